// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers in VRAM make room for others. What a buffer is to its VMs then is what memory
 * of the process is to them under a notifier, and it is done in the same way:
 *
 *	evict	each VM that has it mapped is idle: its fences have signalled, and
 *		while its notifier lock is held no job begins. The entries go, the
 *		TLB is flushed. CPUs lose their mappings. Then the buffer is copied
 *		to the pages of its shmem file, which the kernel may swap out
 *	restore	before the next job of such a VM, when its queue faults (strategy
 *		fault), when a CPU touches the buffer, or when it is bound: VRAM is found,
 *		maybe others have to go, and the buffer is copied back
 *	commit	the entries are written, under the notifier lock
 *
 * A job needs all buffers of its VM, so these do not make room for each other: a VM
 * uses as much VRAM as there is, or its jobs are refused (-ENOSPC). Where the device
 * asks for its pages each buffer comes by itself, and there is no such limit.
 *
 * figment_device.vram.moves makes it one mover at a time: two VMs that need more than there is
 * get all of it in turns, and never half of it each. Whoever holds it may wait
 * for fences, so nothing that makes one signal takes it. It comes after figment_vm.lock,
 * mmap_lock and reservations, and before notifier locks and memory allocation. What is in
 * VRAM goes without its reservation; what comes to VRAM needs it, as other devices may have
 * the buffer in the meantime (figment_export.c). Those of two devices are never held together.
 *
 * VRAM is on the account of the cgroup that a buffer came to it for (dmem). Who is at a
 * limit has only buffers evicted that are below it.
 *
 * Buffers of others, which move when their exporter likes (figment_import.c), are
 * taken from VMs and given back in the same way, under their reservation.
 *
 * A job, or a bind, claims what it needs: the reservations of all these buffers, then each
 * where it has to be. The claim ends when notifiers are locked out, or wait for the fence of the
 * job or the bind: whoever takes a buffer away does so, too.
 */
#include <linux/cgroup_dmem.h>
#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/seq_file.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_eviction.h"
#include "figment_export.h"
#include "figment_import.h"
#include "figment_pagemap.h"
#include "figment_trace.h"
#include "figment_vm.h"

/** figment_eviction_init() - Before the first buffer. Returns 0 or a negative errno. */
int figment_eviction_init(struct figment_device *fdev)
{
	int ret;

	INIT_LIST_HEAD(&fdev->vram.bos);
	ret = drmm_mutex_init(&fdev->drm, &fdev->vram.bos_lock);
	if (ret)
		return ret;
	return drmm_mutex_init(&fdev->drm, &fdev->vram.moves);
}

static struct figment_device *figment_bo_device(struct figment_bo *bo)
{
	return to_figment_device(bo->shmem.base.dev);
}

/* --- copies --------------------------------------------------------------- */

/* Returns 0; -ENODEV: the device has been unplugged. */
static int figment_bo_copy(struct figment_bo *bo, struct list_head *blocks, struct page **pages,
			   bool to_vram)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct gpu_buddy_block *block;
	int idx;

	/* Not before all waiting for fences is done: who unplugs waits for us here. */
	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	figment_vram_enter(fdev);
	list_for_each_entry(block, blocks, link) {
		void __iomem *vram = fdev->vram.map + gpu_buddy_block_offset(block);
		u64 at, bytes = gpu_buddy_block_size(&fdev->vram.mm, block);

		for (at = 0; at < bytes; at += PAGE_SIZE) {
			void *page = kmap_local_page(*pages++);

			if (to_vram)
				memcpy_toio(vram + at, page, PAGE_SIZE);
			else
				memcpy_fromio(page, vram + at, PAGE_SIZE);
			kunmap_local(page);
		}
		cond_resched();
	}
	figment_vram_exit(fdev);
	drm_dev_exit(idx);
	return 0;
}

/** struct figment_room - VRAM that a buffer has, or is to have. */
struct figment_room {
	struct list_head blocks;
	struct dmem_cgroup_pool_state *pool;
};

static void figment_eviction_free(struct figment_device *fdev, struct list_head *blocks,
				  struct dmem_cgroup_pool_state *pool, u64 size)
{
	scoped_guard(mutex, &fdev->vram.lock)
		gpu_buddy_free_list(&fdev->vram.mm, blocks, 0);
	dmem_cgroup_uncharge(pool, size);
}

static void figment_bo_free_blocks(struct figment_bo *bo)
{
	figment_eviction_free(figment_bo_device(bo), &bo->blocks, bo->pool, bo->shmem.base.size);
	bo->pool = NULL;
}

/* The one that was brought last is the last to go. */
static void figment_bo_touch(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);

	guard(mutex)(&fdev->vram.bos_lock);
	list_move_tail(&bo->vram_link, &fdev->vram.bos);
}

/* --- evict ---------------------------------------------------------------- */

/*
 * The device does not reach the buffer through this VM when this returns. Returns false if a
 * bind may be under way all the same, because the machine is being suspended.
 */
static bool figment_bo_take_away(struct figment_bo *bo, struct figment_vm *vm)
{
	struct figment_pt_flush flush;
	struct drm_gpuva *va;
	bool idle;

	guard(rwsem_write)(&vm->svm.notifier_lock);
	WRITE_ONCE(vm->evicted, true);
	idle = figment_vm_wait_idle(vm);

	figment_pt_flush_init(&flush);
	guard(mutex)(&vm->pt.lock);
	/* That bind will look at it under the same lock. What is in VRAM stays for it. */
	if (!idle && bo->attach)
		bo->lost = true;
	drm_gpuvm_for_each_va(va, &vm->base) {
		if (va->gem.obj != &bo->shmem.base)
			continue;
		figment_pt_zap(&vm->pt, &flush, va->va.addr, va->va.range);
		to_figment_vma(va)->evicted = true;
	}
	figment_pt_flush(&vm->pt, &flush);
	return idle;
}

/* Mark all VMs that have the buffer, in what links the two. Who comes later is not marked. */
static void figment_bo_mark_vms(struct figment_bo *bo)
{
	struct drm_gem_object *obj = &bo->shmem.base;
	struct drm_gpuvm_bo *vm_bo;

	guard(mutex)(&obj->gpuva.lock);
	drm_gem_for_each_gpuvm_bo(vm_bo, obj)
		vm_bo->evicted = true;
}

/* The next VM that is marked, with a reference; NULL: that was the last one. */
static struct figment_vm *figment_bo_next_vm(struct figment_bo *bo)
{
	struct drm_gem_object *obj = &bo->shmem.base;
	struct drm_gpuvm_bo *vm_bo;

	guard(mutex)(&obj->gpuva.lock);
	drm_gem_for_each_gpuvm_bo(vm_bo, obj) {
		struct figment_vm *vm = container_of(vm_bo->vm, struct figment_vm, base);

		if (!vm_bo->evicted)
			continue;
		vm_bo->evicted = false;
		/* One without references has no queue that could use it. */
		if (kref_get_unless_zero(&vm->refs))
			return vm;
	}
	return NULL;
}

/**
 * figment_bo_take_from_all() - Take a buffer from all VMs that have it.
 * @bo: the buffer; the lock without which no VM gets it is held: &figment_device.vram.moves
 *	if it is for VRAM, its reservation if it is imported
 *
 * Waits for jobs, and for binds under way; a VM that binds it from here on needs that lock
 * before. Does not allocate.
 *
 * Return: false: a bind may still rely on the buffer, because the machine is being suspended.
 */
bool figment_bo_take_from_all(struct figment_bo *bo)
{
	struct figment_vm *vm;
	bool idle = true;

	figment_bo_mark_vms(bo);
	while ((vm = figment_bo_next_vm(bo))) {
		idle &= figment_bo_take_away(bo, vm);
		figment_vm_put(vm);
	}
	return idle;
}

static int figment_bo_evict(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct drm_gem_object *obj = &bo->shmem.base;
	struct page **pages;
	int ret;

	lockdep_assert_held(&fdev->vram.moves);

	/* All that may fail comes first; but for an unplug, after which nobody gets anything. */
	pages = drm_gem_get_pages(obj);
	if (IS_ERR(pages))
		return PTR_ERR(pages);

	/* If a bind is under way the buffer stays, and jobs find it where it is. */
	if (!figment_bo_take_from_all(bo)) {
		drm_gem_put_pages(obj, pages, false, false);
		return -EBUSY;
	}
	scoped_guard(rwsem_write, &bo->move) {
		drm_vma_node_unmap(&obj->vma_node, fdev->drm.anon_inode->i_mapping);
		ret = figment_bo_copy(bo, &bo->blocks, pages, false);
		if (!ret)
			figment_bo_free_blocks(bo);
	}
	drm_gem_put_pages(obj, pages, !ret, false);
	if (ret)
		return ret;
	scoped_guard(mutex, &fdev->vram.bos_lock)
		list_del_init(&bo->vram_link);
	atomic64_inc(&fdev->vram.evictions);
	trace_figment_bo_move(fdev, obj->size, false);
	return 0;
}

static bool figment_bo_is_of(struct figment_bo *bo, struct figment_vm *vm)
{
	struct drm_gem_object *obj = &bo->shmem.base;
	struct drm_gpuvm_bo *vm_bo;

	if (!vm)
		return false;
	guard(mutex)(&obj->gpuva.lock);
	drm_gem_for_each_gpuvm_bo(vm_bo, obj)
		if (vm_bo->vm == &vm->base)
			return true;
	return false;
}

/*
 * The buffer that came longest ago and can go, with a reference; none of @vm, and one below
 * @limit if there is one.
 */
static struct figment_bo *figment_eviction_pick(struct figment_device *fdev, struct figment_vm *vm,
						struct dmem_cgroup_pool_state *limit)
{
	struct figment_bo *bo;
	bool low;

	guard(mutex)(&fdev->vram.bos_lock);
	list_for_each_entry(bo, &fdev->vram.bos, vram_link) {
		if (bo->held || figment_bo_is_of(bo, vm))
			continue;
		if (limit && !dmem_cgroup_state_evict_valuable(limit, bo->pool, true, &low))
			continue;
		/* One that is being freed makes room by itself. */
		if (kref_get_unless_zero(&bo->shmem.base.refcount))
			return bo;
	}
	return NULL;
}

/* Evict one as figment_eviction_pick() says. Returns 0; -ENOSPC: there is none; an errno. */
static int figment_eviction_make_room(struct figment_device *fdev, struct figment_vm *vm,
				      struct dmem_cgroup_pool_state *limit)
{
	struct figment_bo *bo;
	int ret;

	/* There may be thousands of them. A CPU that faults has no other signal to heed. */
	if (fatal_signal_pending(current))
		return -ERESTARTSYS;
	bo = figment_eviction_pick(fdev, vm, limit);
	if (!bo)
		return -ENOSPC;
	ret = figment_bo_evict(bo);
	drm_gem_object_put(&bo->shmem.base);
	return ret;
}

/* --- accounts ------------------------------------------------------------- */

/* &dmem_cgroup_ops.reclaim: a limit is below what is used. */
static int figment_eviction_reclaim(struct dmem_cgroup_pool_state *pool, u64 target, void *priv)
{
	struct figment_device *fdev = priv;

	guard(mutex)(&fdev->vram.moves);
	return figment_eviction_make_room(fdev, NULL, pool);
}

static const struct dmem_cgroup_ops figment_eviction_dmem_ops = {
	.reclaim = figment_eviction_reclaim,
};

/** figment_eviction_account() - Let cgroups count VRAM. Returns 0 or a negative errno. */
int figment_eviction_account(struct figment_device *fdev)
{
	const struct dmem_cgroup_init init = {
		.size = fdev->info.vram_bytes,
		.ops = &figment_eviction_dmem_ops,
		.reclaim_priv = fdev,
	};

	fdev->vram.region = drmm_cgroup_register_region(&fdev->drm, "vram", &init);
	return PTR_ERR_OR_ZERO(fdev->vram.region);
}

static int figment_eviction_charge(struct figment_device *fdev, u64 size, struct figment_vm *vm,
				   struct dmem_cgroup_pool_state **pool)
{
	struct dmem_cgroup_pool_state *limit;
	int ret;

	for (;;) {
		limit = NULL;
		ret = dmem_cgroup_try_charge(fdev->vram.region, size, pool, &limit);
		if (ret != -EAGAIN)
			return ret;
		ret = figment_eviction_make_room(fdev, vm, limit);
		dmem_cgroup_pool_state_put(limit);
		if (ret)
			return ret;
	}
}

/* --- restore -------------------------------------------------------------- */

/*
 * VRAM for a buffer. Memory of processes goes first, then other buffers, but none of @vm.
 * Returns 0; -ENOSPC; -ENOMEM; -ENODEV; -ERESTARTSYS.
 */
static int figment_eviction_alloc(struct figment_device *fdev, u64 size, struct figment_vm *vm,
				  struct figment_room *room)
{
	int ret;

	lockdep_assert_held(&fdev->vram.moves);

	INIT_LIST_HEAD(&room->blocks);
	ret = figment_eviction_charge(fdev, size, vm, &room->pool);
	while (!ret) {
		scoped_guard(mutex, &fdev->vram.lock)
			ret = gpu_buddy_alloc_blocks(&fdev->vram.mm, 0, fdev->info.vram_bytes,
						     size, PAGE_SIZE, &room->blocks, 0);
		if (!ret)
			return 0;
		if (ret == -ENOSPC)
			ret = fatal_signal_pending(current) ? -ERESTARTSYS :
			      figment_pagemap_make_room(fdev, true) ? 0 :
			      figment_eviction_make_room(fdev, vm, NULL);
		if (ret)
			dmem_cgroup_uncharge(room->pool, size);
	}
	return ret;
}

/* With the reservation of the buffer. */
static int figment_bo_restore(struct figment_bo *bo, struct figment_vm *vm)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct drm_gem_object *obj = &bo->shmem.base;
	struct figment_room room;
	struct page **pages;
	int ret;

	lockdep_assert_held(&fdev->vram.moves);
	dma_resv_assert_held(obj->resv);

	if (!list_empty(&bo->blocks))
		return 0;
	ret = figment_export_revoke(bo);
	if (ret)
		return ret;
	/* Before there is VRAM for it: what has been swapped out takes its time. */
	pages = drm_gem_get_pages(obj);
	if (IS_ERR(pages))
		return PTR_ERR(pages);
	ret = figment_eviction_alloc(fdev, obj->size, vm, &room);
	if (!ret) {
		ret = figment_bo_copy(bo, &room.blocks, pages, true);
		if (ret)
			figment_eviction_free(fdev, &room.blocks, room.pool, obj->size);
	}
	drm_gem_put_pages(obj, pages, false, false);
	if (ret)
		return ret;
	scoped_guard(rwsem_write, &bo->move)
		list_splice_init(&room.blocks, &bo->blocks);
	bo->pool = room.pool;
	figment_bo_touch(bo);
	shmem_truncate_range(file_inode(obj->filp), 0, -1);
	atomic64_inc(&fdev->vram.restorations);
	trace_figment_bo_move(fdev, obj->size, true);
	return 0;
}

/* --- buffers -------------------------------------------------------------- */

/**
 * figment_bo_place() - Find VRAM for a new buffer.
 * @bo: the buffer, which nobody else knows
 *
 * What was there before is still in it.
 *
 * Return: 0; -ENOSPC; -ENOMEM; -ENODEV; -ERESTARTSYS.
 */
int figment_bo_place(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct figment_room room;
	int ret;

	ret = mutex_lock_interruptible(&fdev->vram.moves);
	if (ret)
		return ret;
	ret = figment_eviction_alloc(fdev, bo->shmem.base.size, NULL, &room);
	mutex_unlock(&fdev->vram.moves);
	if (ret)
		return ret;
	list_splice_init(&room.blocks, &bo->blocks);
	bo->pool = room.pool;
	return 0;
}

/** figment_bo_offer() - The new buffer is complete: it may be evicted from here on. */
void figment_bo_offer(struct figment_bo *bo)
{
	figment_bo_touch(bo);
}

/** figment_bo_displace() - Give the VRAM of a buffer back that goes away. */
void figment_bo_displace(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);

	scoped_guard(mutex, &fdev->vram.bos_lock)
		list_del_init(&bo->vram_link);
	figment_bo_free_blocks(bo);
}

/**
 * figment_bo_leave() - Have a buffer in system memory.
 * @bo: the buffer, for VRAM, with its reservation
 *
 * There it is as long as somebody else has it mapped. Sleeps, and waits for fences.
 *
 * Return: 0; -ENOMEM; -ENODEV; -EINTR.
 */
int figment_bo_leave(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	int ret;

	dma_resv_assert_held(bo->shmem.base.resv);
	ret = mutex_lock_interruptible(&fdev->vram.moves);
	if (ret)
		return ret;
	ret = list_empty(&bo->blocks) ? 0 : figment_bo_evict(bo);
	mutex_unlock(&fdev->vram.moves);
	return ret;
}

/**
 * figment_bo_bring_home() - A CPU wants a buffer that was evicted.
 * @bo: the buffer, for VRAM; mmap_lock may be held
 *
 * It may have gone again when this returns. Only a fatal signal ends it early.
 *
 * Return: 0; -ENOSPC; -ENOMEM; -ENODEV; -EBUSY: another driver keeps it; -EINTR; -ERESTARTSYS.
 */
int figment_bo_bring_home(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	int ret;

	dma_resv_lock(bo->shmem.base.resv, NULL);
	ret = mutex_lock_killable(&fdev->vram.moves);
	if (!ret) {
		ret = figment_bo_restore(bo, NULL);
		mutex_unlock(&fdev->vram.moves);
	}
	dma_resv_unlock(bo->shmem.base.resv);
	return ret;
}

/* --- VMs ------------------------------------------------------------------ */

/* The first buffer from @at on that may move, with a reference; @at goes behind it. */
static struct figment_bo *figment_eviction_next(struct figment_vm *vm, u64 *at)
{
	struct drm_gpuva *va;

	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va_range(va, &vm->base, *at, FIGMENT_VA_END) {
		if (!va->gem.obj || !figment_bo_moves(to_figment_bo(va->gem.obj)))
			continue;
		*at = va->va.addr + va->va.range;
		drm_gem_object_get(va->gem.obj);
		return to_figment_bo(va->gem.obj);
	}
	return NULL;
}

/** struct figment_vma_entries - Entries of a mapping that are being written. */
struct figment_vma_entries {
	struct figment_vm *vm;
	struct figment_pt_flush *flush;
	u64 address;
	u64 flags;
};

static int figment_vma_write_extent(void *data, const struct figment_extent *extent)
{
	struct figment_vma_entries *at = data;

	figment_pt_rewrite(&at->vm->pt, at->flush, at->address, extent->bytes,
			   extent->address | at->flags);
	at->address += extent->bytes;
	return 0;
}

static void figment_vma_write(struct figment_vm *vm, struct figment_vma *vma,
			      struct figment_pt_flush *flush)
{
	struct figment_vma_entries at = {
		.vm = vm,
		.flush = flush,
		.address = vma->base.va.addr,
		.flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF |
			 (to_figment_bo(vma->base.gem.obj)->vram ? FIGMENT_PTE_VRAM : 0) |
			 (vma->read_only ? 0 : FIGMENT_PTE_WRITE),
	};

	lockdep_assert_held(&vm->pt.lock);
	figment_bo_visit(to_figment_bo(vma->base.gem.obj), vma->base.gem.offset,
			 vma->base.va.range, figment_vma_write_extent, &at);
	vma->evicted = false;
}

/* The device asks for what it has lost when it needs it. */
static bool figment_eviction_by_fault(struct figment_vm *vm)
{
	return vm->strategy->root_flags & FIGMENT_ROOT_FAULTS;
}

/**
 * figment_eviction_pending() - Are there buffers that a job would not find?
 * @vm: the VM; with its notifier lock the answer stays true
 */
bool figment_eviction_pending(struct figment_vm *vm)
{
	return READ_ONCE(vm->evicted) && !figment_eviction_by_fault(vm);
}

/* Can entries be written? With the lock that makes the answer last. */
static bool figment_bo_is_there(struct figment_bo *bo)
{
	return bo->attach ? !!bo->sgt : !list_empty(&bo->blocks);
}

/* All buffers of the VM that may move, with references. */
static int figment_claim_collect(struct figment_claim *claim, struct figment_vm *vm)
{
	struct drm_gem_object **objects;
	struct figment_bo *bo;
	u32 room = 0;
	u64 at = 0;

	while ((bo = figment_eviction_next(vm, &at))) {
		if (claim->count == room) {
			room = 2 * room + 16;
			objects = kvrealloc(claim->own, room * sizeof(*objects),
					    GFP_KERNEL_ACCOUNT);
			if (!objects) {
				drm_gem_object_put(&bo->shmem.base);
				return -ENOMEM;
			}
			claim->own = objects;
		}
		claim->own[claim->count++] = &bo->shmem.base;
	}
	claim->objects = claim->own;
	return 0;
}

static int figment_claim_lock(struct figment_claim *claim, struct figment_vm *vm)
{
	int ret = 0;

	drm_exec_init(&claim->exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&claim->exec) {
		u32 i;

		ret = drm_exec_prepare_obj(&claim->exec, drm_gpuvm_resv_obj(&vm->base), 1);
		for (i = 0; !ret && i < claim->count; i++)
			ret = drm_exec_lock_obj(&claim->exec, claim->objects[i]);
		drm_exec_retry_on_contention(&claim->exec);
		if (ret)
			break;
	}
	return ret;
}

static int figment_claim_map_imports(struct figment_claim *claim, bool tolerant)
{
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < claim->count; i++) {
		struct figment_bo *bo = to_figment_bo(claim->objects[i]);

		if (!bo->attach)
			continue;
		ret = figment_import_map(bo);
		/* It is gone for good: the job that touches it learns so. */
		if (tolerant && (ret == -EIO || ret == -EINVAL))
			ret = 0;
	}
	return ret;
}

/* Those of a bind, which are in nobody's way: what else the VM has may go for them. */
static int figment_claim_restore_these(struct figment_claim *claim)
{
	u32 i, held;
	int ret = 0;

	for (held = 0; !ret && held < claim->count; held++) {
		struct figment_bo *bo = to_figment_bo(claim->objects[held]);

		bo->held++;
		if (bo->vram)
			ret = figment_bo_restore(bo, NULL);
	}
	for (i = 0; i < held; i++)
		to_figment_bo(claim->objects[i])->held--;
	return ret;
}

/* All of the VM. */
static int figment_claim_restore_all(struct figment_claim *claim, struct figment_vm *vm)
{
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < claim->count; i++) {
		struct figment_bo *bo = to_figment_bo(claim->objects[i]);

		if (bo->vram)
			ret = figment_bo_restore(bo, vm);
	}
	return ret;
}

static void figment_claim_put(struct figment_claim *claim)
{
	u32 i;

	/* With no reservation: to free an imported buffer takes one. */
	for (i = 0; claim->own && i < claim->count; i++)
		drm_gem_object_put(claim->own[i]);
	kvfree(claim->own);
}

/**
 * figment_claim_begin() - Have the buffers of a job or a bind where the device finds them.
 * @claim: the claim
 * @vm: the VM, locked
 * @objects: buffers of a bind that may move; NULL: all of the VM, for a job
 * @count: how many
 * @tolerant: go on without imports that their exporter has lost
 *
 * On success with the reservation of the VM, in which there is room for a fence, until
 * figment_claim_end(), and with &figment_device.vram.moves, until figment_claim_settle():
 * nothing of it is evicted until then, and figment_eviction_commit() can write the entries.
 *
 * Return: 0; -ENOSPC: they are more than there is VRAM; -ENOMEM; -ENODEV;
 * -EBUSY; -EINTR; -ERESTARTSYS; of an imported buffer what its exporter says.
 */
int figment_claim_begin(struct figment_claim *claim, struct figment_vm *vm,
			struct drm_gem_object **objects, u32 count, bool tolerant)
{
	int ret = 0;

	lockdep_assert_held(&vm->lock);

	claim->own = NULL;
	claim->objects = objects;
	claim->count = count;
	if (!objects)
		ret = figment_claim_collect(claim, vm);
	if (ret)
		goto put;
	ret = figment_claim_lock(claim, vm);
	/* Before our moves, because it may take those of another device. */
	if (!ret)
		ret = figment_claim_map_imports(claim, tolerant);
	if (!ret)
		ret = mutex_lock_interruptible(&vm->fdev->vram.moves);
	if (ret)
		goto end;
	ret = objects ? figment_claim_restore_these(claim) : figment_claim_restore_all(claim, vm);
	if (!ret)
		return 0;

	figment_claim_settle(vm);
end:
	drm_exec_fini(&claim->exec);
put:
	figment_claim_put(claim);
	return ret;
}

/** figment_claim_settle() - Notifiers are locked out: let others move buffers. */
void figment_claim_settle(struct figment_vm *vm)
{
	mutex_unlock(&vm->fdev->vram.moves);
}

/** figment_claim_end() - After figment_claim_settle(), when a fence is added, if there is one. */
void figment_claim_end(struct figment_claim *claim)
{
	drm_exec_fini(&claim->exec);
	figment_claim_put(claim);
}

static bool figment_claim_has(struct figment_claim *claim, struct figment_bo *bo)
{
	return dma_resv_locking_ctx(bo->shmem.base.resv) == &claim->exec.ticket;
}

/**
 * figment_eviction_commit() - Write the entries of what has come back.
 * @vm: the VM, with notifiers locked out
 * @claim: on all its buffers
 *
 * Return: false: there is one that was not claimed, and the job has to wait.
 */
bool figment_eviction_commit(struct figment_vm *vm, struct figment_claim *claim)
{
	bool claimed = true, all = true;
	struct figment_pt_flush flush;
	struct drm_gpuva *va;

	lockdep_assert_held(&vm->fdev->vram.moves);
	lockdep_assert_held_read(&vm->svm.notifier_lock);

	figment_pt_flush_init(&flush);
	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va(va, &vm->base) {
		if (va == &vm->base.kernel_alloc_node || !to_figment_vma(va)->evicted)
			continue;
		if (!figment_claim_has(claim, to_figment_bo(va->gem.obj)))
			claimed = false;
		else if (figment_bo_is_there(to_figment_bo(va->gem.obj)))
			figment_vma_write(vm, to_figment_vma(va), &flush);
		else
			all = false;
	}
	WRITE_ONCE(vm->evicted, !all || !claimed);
	figment_pt_flush(&vm->pt, &flush);
	return claimed;
}

/* The mapping at an address, if its buffer is to come back. */
static struct figment_vma *figment_eviction_at(struct figment_vm *vm, u64 address)
{
	struct drm_gpuva *va;

	lockdep_assert_held(&vm->pt.lock);

	/* Without a root the VM is closed. */
	va = vm->pt.root ? drm_gpuva_find_first(&vm->base, address, PAGE_SIZE) : NULL;
	return va && va->gem.obj && to_figment_vma(va)->evicted ? to_figment_vma(va) : NULL;
}

/*
 * Write the entries of a buffer at an address, unless somebody has been faster, or has bound
 * something else there, which is not locked.
 */
static void figment_eviction_commit_at(struct figment_vm *vm, struct figment_bo *bo, u64 address)
{
	struct figment_pt_flush flush;
	struct figment_vma *vma;

	figment_pt_flush_init(&flush);
	guard(rwsem_read)(&vm->svm.notifier_lock);
	guard(mutex)(&vm->pt.lock);
	vma = figment_eviction_at(vm, address);
	if (vma && vma->base.gem.obj == &bo->shmem.base && figment_bo_is_there(bo))
		figment_vma_write(vm, vma, &flush);
	figment_pt_flush(&vm->pt, &flush);
}

/**
 * figment_eviction_fault() - The device asks for a page of a buffer.
 * @vm: the VM
 * @address: GPU address; the buffer that is mapped there had been evicted
 *
 * Sleeps, and waits for fences of others.
 *
 * Return: -EAGAIN: try the access again; -ENOMEM: the same, later; another errno.
 */
int figment_eviction_fault(struct figment_vm *vm, u64 address)
{
	struct figment_bo *bo = NULL;
	struct figment_vma *vma;
	int ret;

	scoped_guard(mutex, &vm->pt.lock) {
		vma = figment_eviction_at(vm, address);
		if (vma) {
			bo = to_figment_bo(vma->base.gem.obj);
			drm_gem_object_get(&bo->shmem.base);
		}
	}
	if (!bo)
		return -EAGAIN;

	dma_resv_lock(bo->shmem.base.resv, NULL);
	if (bo->attach) {
		ret = figment_import_map(bo);
		if (!ret)
			figment_eviction_commit_at(vm, bo, address);
	} else {
		guard(mutex)(&vm->fdev->vram.moves);
		/* Others of the same VM may go for it: they come back in the same way. */
		ret = figment_bo_restore(bo, NULL);
		if (!ret)
			figment_eviction_commit_at(vm, bo, address);
	}
	dma_resv_unlock(bo->shmem.base.resv);
	drm_gem_object_put(&bo->shmem.base);
	/* -EBUSY: the device that has it is asleep. */
	if (ret)
		return ret == -ENOSPC || ret == -EBUSY ? -ENOMEM : ret;
	return -EAGAIN;
}

/** figment_eviction_show() - For debugfs: bytes that nobody has, and what has been moved. */
void figment_eviction_show(struct figment_device *fdev, struct seq_file *m)
{
	u64 free;

	scoped_guard(mutex, &fdev->vram.lock)
		free = fdev->vram.mm.avail;
	seq_printf(m, "vram_free %llu\n", free);
	seq_printf(m, "buffer_evictions %lld\n", atomic64_read(&fdev->vram.evictions));
	seq_printf(m, "buffer_restorations %lld\n", atomic64_read(&fdev->vram.restorations));
	seq_printf(m, "import_invalidations %lld\n", atomic64_read(&fdev->bos.invalidations));
}
