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
 * for fences, so nothing that makes one signal takes it. It comes after figment_vm.lock
 * and mmap_lock, and before notifier locks and memory allocation.
 *
 * VRAM is on the account of the cgroup that a buffer came to it for (dmem). Who is at a
 * limit has only buffers evicted that are below it.
 *
 * What is held (figment_bo_hold()) stays: from when a bind is planned until it is
 * done, for a bind that is executed can wait for nothing.
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

/* The VMs that have a buffer, with references, in an array that ends with NULL. */
static struct figment_vm **figment_bo_get_vms(struct figment_bo *bo)
{
	struct drm_gem_object *obj = &bo->shmem.base;
	struct drm_gpuvm_bo *vm_bo;
	struct figment_vm **vms;
	unsigned int n = 0, i = 0;

	/* None comes: who binds the buffer holds it first, which needs our lock. */
	lockdep_assert_held(&figment_bo_device(bo)->vram.moves);

	scoped_guard(mutex, &obj->gpuva.lock)
		drm_gem_for_each_gpuvm_bo(vm_bo, obj)
			n++;
	vms = kvcalloc(n + 1, sizeof(*vms), GFP_KERNEL);
	if (!vms)
		return ERR_PTR(-ENOMEM);

	guard(mutex)(&obj->gpuva.lock);
	drm_gem_for_each_gpuvm_bo(vm_bo, obj) {
		struct figment_vm *vm = container_of(vm_bo->vm, struct figment_vm, base);

		/* One without references has no queue that could use it. */
		if (i < n && kref_get_unless_zero(&vm->refs))
			vms[i++] = vm;
	}
	return vms;
}

static void figment_bo_put_vms(struct figment_vm **vms)
{
	unsigned int i;

	for (i = 0; vms[i]; i++)
		figment_vm_put(vms[i]);
	kvfree(vms);
}

/* The device does not reach the buffer through this VM when this returns. */
static void figment_bo_take_away(struct figment_bo *bo, struct figment_vm *vm)
{
	struct figment_pt_flush flush;
	struct drm_gpuva *va;

	guard(rwsem_write)(&vm->svm.notifier_lock);
	WRITE_ONCE(vm->evicted, true);
	figment_vm_wait_idle(vm);

	figment_pt_flush_init(&flush);
	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va(va, &vm->base) {
		if (va->gem.obj != &bo->shmem.base)
			continue;
		figment_pt_zap(&vm->pt, &flush, va->va.addr, va->va.range);
		to_figment_vma(va)->evicted = true;
	}
	figment_pt_flush(&vm->pt, &flush);
}

static int figment_bo_evict(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct drm_gem_object *obj = &bo->shmem.base;
	struct figment_vm **vms;
	struct page **pages;
	unsigned int i;
	int ret;

	lockdep_assert_held(&fdev->vram.moves);

	vms = figment_bo_get_vms(bo);
	if (IS_ERR(vms))
		return PTR_ERR(vms);
	/* All that may fail comes first; but for an unplug, after which nobody gets anything. */
	pages = drm_gem_get_pages(obj);
	if (IS_ERR(pages)) {
		figment_bo_put_vms(vms);
		return PTR_ERR(pages);
	}

	for (i = 0; vms[i]; i++)
		figment_bo_take_away(bo, vms[i]);
	scoped_guard(rwsem_write, &bo->move) {
		drm_vma_node_unmap(&obj->vma_node, fdev->drm.anon_inode->i_mapping);
		ret = figment_bo_copy(bo, &bo->blocks, pages, false);
		if (!ret)
			figment_bo_free_blocks(bo);
	}
	drm_gem_put_pages(obj, pages, !ret, false);
	figment_bo_put_vms(vms);
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
		if (atomic_read(&bo->held) || figment_bo_is_of(bo, vm))
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

static int figment_bo_restore(struct figment_bo *bo, struct figment_vm *vm)
{
	struct figment_device *fdev = figment_bo_device(bo);
	struct drm_gem_object *obj = &bo->shmem.base;
	struct figment_room room;
	struct page **pages;
	int ret;

	lockdep_assert_held(&fdev->vram.moves);

	if (!list_empty(&bo->blocks))
		return 0;
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
 * figment_bo_hold() - Have a buffer stay where it is; figment_bo_release() lets it go.
 * @bo: the buffer, of any kind
 *
 * If it is one for VRAM it is there then. Sleeps, and may wait for fences.
 *
 * Return: 0; -ENOSPC; -ENOMEM; -ENODEV; -ERESTARTSYS.
 */
int figment_bo_hold(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	int ret;

	if (!bo->vram)
		return 0;
	ret = mutex_lock_interruptible(&fdev->vram.moves);
	if (ret)
		return ret;
	ret = figment_bo_restore(bo, NULL);
	if (!ret)
		atomic_inc(&bo->held);
	mutex_unlock(&fdev->vram.moves);
	return ret;
}

/** figment_bo_release() - After figment_bo_hold(). Any context. */
void figment_bo_release(struct figment_bo *bo)
{
	if (bo->vram)
		atomic_dec(&bo->held);
}

/**
 * figment_bo_bring_home() - A CPU wants a buffer that was evicted.
 * @bo: the buffer, for VRAM; mmap_lock may be held
 *
 * It may have gone again when this returns. Only a fatal signal ends it early.
 *
 * Return: as figment_bo_hold().
 */
int figment_bo_bring_home(struct figment_bo *bo)
{
	struct figment_device *fdev = figment_bo_device(bo);
	int ret;

	ret = mutex_lock_killable(&fdev->vram.moves);
	if (ret)
		return ret;
	ret = figment_bo_restore(bo, NULL);
	mutex_unlock(&fdev->vram.moves);
	return ret;
}

/* --- VMs ------------------------------------------------------------------ */

/* The first buffer from @at to @end that has no entries, with a reference; @at goes behind it. */
static struct figment_bo *figment_eviction_next(struct figment_vm *vm, u64 *at, u64 end)
{
	struct drm_gpuva *va;

	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va_range(va, &vm->base, *at, end) {
		if (va == &vm->base.kernel_alloc_node || !to_figment_vma(va)->evicted)
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
		.flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_VRAM |
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

/**
 * figment_eviction_restore() - Have all buffers of a VM in VRAM, before a job.
 * @vm: the VM, locked
 *
 * On success with figment_device.vram.moves, until figment_eviction_end(): nothing of
 * it is evicted, and figment_eviction_commit() can write the entries.
 *
 * Return: 0; -ENOSPC: they are more than there is VRAM; -ENOMEM; -ENODEV; -ERESTARTSYS.
 */
int figment_eviction_restore(struct figment_vm *vm)
{
	struct figment_bo *bo;
	u64 at = 0;
	int ret;

	lockdep_assert_held(&vm->lock);

	ret = mutex_lock_interruptible(&vm->fdev->vram.moves);
	while (!ret && (bo = figment_eviction_next(vm, &at, FIGMENT_VA_END))) {
		ret = figment_bo_restore(bo, vm);
		drm_gem_object_put(&bo->shmem.base);
		if (ret)
			mutex_unlock(&vm->fdev->vram.moves);
	}
	return ret;
}

/**
 * figment_eviction_commit() - Write the entries of what was restored.
 * @vm: the VM, after figment_eviction_restore(), with notifiers locked out
 */
void figment_eviction_commit(struct figment_vm *vm)
{
	struct figment_pt_flush flush;
	struct drm_gpuva *va;

	lockdep_assert_held(&vm->fdev->vram.moves);
	lockdep_assert_held_read(&vm->svm.notifier_lock);

	figment_pt_flush_init(&flush);
	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va(va, &vm->base)
		if (va != &vm->base.kernel_alloc_node && to_figment_vma(va)->evicted)
			figment_vma_write(vm, to_figment_vma(va), &flush);
	WRITE_ONCE(vm->evicted, false);
	figment_pt_flush(&vm->pt, &flush);
}

/** figment_eviction_end() - After figment_eviction_restore(), which has succeeded. */
void figment_eviction_end(struct figment_vm *vm)
{
	mutex_unlock(&vm->fdev->vram.moves);
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
	struct figment_pt_flush flush;
	struct figment_bo *bo;
	struct drm_gpuva *va;
	u64 at = address;
	int ret;

	guard(mutex)(&vm->fdev->vram.moves);
	bo = figment_eviction_next(vm, &at, address + PAGE_SIZE);
	if (!bo)
		return -EAGAIN;
	/* Others of the same VM may go for it: they come back in the same way. */
	ret = figment_bo_restore(bo, NULL);
	drm_gem_object_put(&bo->shmem.base);
	if (ret)
		return ret == -ENOSPC ? -ENOMEM : ret;

	figment_pt_flush_init(&flush);
	guard(rwsem_read)(&vm->svm.notifier_lock);
	guard(mutex)(&vm->pt.lock);
	/* Without a root the VM is closed; and somebody may have unbound it. */
	va = vm->pt.root ? drm_gpuva_find_first(&vm->base, address, PAGE_SIZE) : NULL;
	if (va && va != &vm->base.kernel_alloc_node && to_figment_vma(va)->evicted &&
	    !list_empty(&to_figment_bo(va->gem.obj)->blocks))
		figment_vma_write(vm, to_figment_vma(va), &flush);
	figment_pt_flush(&vm->pt, &flush);
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
}
