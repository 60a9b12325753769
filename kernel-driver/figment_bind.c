// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * VM_BIND. Each call becomes one bind: a plan with everything allocated that its
 * operations can need (mappings, page tables, buffers made present, userptrs
 * watched), and then, past the point of no return, its execution, which
 * allocates nothing and can not fail. So a call happens as a whole or not at all.
 *
 * A synchronous bind is executed by its caller. An asynchronous one is a job
 * of the bind scheduler of its VM, and part of what makes its fence signal;
 * the notifier waits for that fence, too, so that pages of a userptr that were
 * right when the bind was armed are still there when it is executed.
 */
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_bind.h"
#include "figment_bo.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_eviction.h"
#include "figment_mirror.h"
#include "figment_pt.h"
#include "figment_sync.h"
#include "figment_trace.h"
#include "figment_userptr.h"
#include "figment_vm.h"

#define FIGMENT_BIND_OPS_MAX	65536

/** struct figment_bind_op - One operation, and what it will need. */
struct figment_bind_op {
	u32 kind;
	bool read_only;
	u64 address;
	u64 size;
	u64 offset;
	/** @bo: For MAP; holds a reference. */
	struct figment_bo *bo;
	/** @vm_bo: For MAP; holds a reference. */
	struct drm_gpuvm_bo *vm_bo;
	/** @userptr: For MAP_USERPTR; holds a reference. */
	struct figment_userptr *userptr;
	/** @spare: Mappings: the new one, and what is left of two old ones. */
	struct figment_vma *spare[3];
};

/** struct figment_bind - A call of VM_BIND. Belongs to one thread or work at a time. */
struct figment_bind {
	/** @job: For an asynchronous one. */
	struct drm_sched_job job;
	/** @vm: Holds a reference. */
	struct figment_vm *vm;
	struct figment_bind_op *ops;
	u32 count;
	/** @fresh: Userptrs that it brings in, and buffers that may move. */
	struct figment_fresh fresh;
	/** @stock: Page tables. */
	struct figment_pt_stock stock;
	/** @flush: What execution leaves to flush, and tables to free. */
	struct figment_pt_flush flush;
	/** @dead: Mappings that execution has removed, by &figment_vma.link. */
	struct list_head dead;
	/** @now: Operation that is being executed. */
	struct figment_bind_op *now;
	struct figment_syncs syncs;
	struct work_struct free_work;
};

/* --- the plan ------------------------------------------------------------- */

static int figment_bind_check(const struct drm_figment_bind_op *in)
{
	u64 end;

	if (in->pad || !in->size || !PAGE_ALIGNED(in->address | in->size | in->offset))
		return -EINVAL;
	if (check_add_overflow(in->address, in->size, &end) ||
	    in->address < FIGMENT_VA_START || end > FIGMENT_VA_END)
		return -EINVAL;

	switch (in->kind) {
	case DRM_FIGMENT_BIND_MAP:
		return in->flags & ~DRM_FIGMENT_BIND_READONLY ? -EINVAL : 0;
	case DRM_FIGMENT_BIND_UNMAP:
		return in->flags || in->handle || in->offset ? -EINVAL : 0;
	case DRM_FIGMENT_BIND_MAP_USERPTR:
		return in->flags & ~DRM_FIGMENT_BIND_READONLY || in->handle ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int figment_bind_plan_bo(struct figment_bind *bind, struct figment_bind_op *op,
				struct drm_file *file, u32 handle)
{
	struct drm_gem_object *obj = drm_gem_object_lookup(file, handle);
	struct drm_gpuvm_bo *vm_bo;
	u64 end;
	int ret;

	if (!obj)
		return -ENOENT;
	op->bo = to_figment_bo(obj);

	if (check_add_overflow(op->offset, op->size, &end) || end > obj->size)
		return -EINVAL;
	ret = figment_bo_pin(op->bo);
	if (ret)
		return ret;
	if (figment_bo_moves(op->bo))
		bind->fresh.objects[bind->fresh.count++] = obj;

	vm_bo = drm_gpuvm_bo_create(&bind->vm->base, obj);
	if (!vm_bo)
		return -ENOMEM;
	/* The one that there is already, or this one. Who moves the buffer finds all of them. */
	op->vm_bo = drm_gpuvm_bo_obtain_prealloc(vm_bo);
	return 0;
}

static int figment_bind_plan_userptr(struct figment_bind *bind, struct figment_bind_op *op)
{
	struct figment_userptr *userptr;

	userptr = figment_userptr_create(bind->vm, op->offset, op->size, op->read_only);
	if (IS_ERR(userptr))
		return PTR_ERR(userptr);

	op->userptr = userptr;
	list_add_tail(&userptr->fresh_link, &bind->fresh.userptrs);
	return 0;
}

static int figment_bind_plan_op(struct figment_bind *bind, struct figment_bind_op *op,
				struct drm_file *file, const struct drm_figment_bind_op *in)
{
	bool map = in->kind != DRM_FIGMENT_BIND_UNMAP;
	unsigned int i;
	int ret;

	op->kind = in->kind;
	op->read_only = in->flags & DRM_FIGMENT_BIND_READONLY;
	op->address = in->address;
	op->size = in->size;
	op->offset = in->offset;

	if (in->kind == DRM_FIGMENT_BIND_MAP)
		ret = figment_bind_plan_bo(bind, op, file, in->handle);
	else if (in->kind == DRM_FIGMENT_BIND_MAP_USERPTR)
		ret = figment_bind_plan_userptr(bind, op);
	else
		ret = 0;
	if (ret)
		return ret;

	for (i = 0; i < ARRAY_SIZE(op->spare) - !map; i++) {
		op->spare[i] = kzalloc_obj(*op->spare[i], GFP_KERNEL_ACCOUNT);
		if (!op->spare[i])
			return -ENOMEM;
	}

	if (map)
		return figment_pt_stock_fill(&bind->vm->pt, &bind->stock, op->address, op->size);
	return figment_pt_stock_fill_split(&bind->vm->pt, &bind->stock);
}

static int figment_bind_plan(struct figment_bind *bind, struct drm_file *file,
			     const struct drm_figment_array *array)
{
	struct drm_figment_bind_op *in;
	u32 i;
	int ret;

	ret = figment_array_copy(array, FIGMENT_BIND_OPS_MAX, sizeof(*in), (void **)&in);
	if (ret || !in)
		return ret;

	for (i = 0; i < array->count; i++) {
		ret = figment_bind_check(&in[i]);
		if (ret) {
			drm_dbg_driver(&bind->vm->fdev->drm, "VM_BIND: operation %u is malformed\n",
				       i);
			goto free_in;
		}
	}

	ret = -ENOMEM;
	bind->ops = kvcalloc(array->count, sizeof(*bind->ops), GFP_KERNEL_ACCOUNT);
	bind->fresh.objects = kvcalloc(array->count, sizeof(*bind->fresh.objects),
				       GFP_KERNEL_ACCOUNT);
	if (!bind->ops || !bind->fresh.objects)
		goto free_in;

	for (i = 0; i < array->count; i++) {
		/* Counted first: figment_bind_free() undoes also half an operation. */
		bind->count++;
		ret = figment_bind_plan_op(bind, &bind->ops[i], file, &in[i]);
		if (ret)
			goto free_in;
	}

free_in:
	kvfree(in);
	return ret;
}

static struct figment_bind *figment_bind_alloc(struct figment_vm *vm)
{
	struct figment_bind *bind = kzalloc_obj(*bind, GFP_KERNEL_ACCOUNT);

	if (!bind)
		return NULL;

	/* Dropped in figment_bind_free(). */
	bind->vm = figment_vm_get(vm);
	INIT_LIST_HEAD(&bind->fresh.userptrs);
	INIT_LIST_HEAD(&bind->dead);
	figment_pt_stock_init(&bind->stock);
	figment_pt_flush_init(&bind->flush);
	return bind;
}

/* Frees what was planned and not used, and what execution has replaced. */
static void figment_bind_free(struct figment_bind *bind)
{
	struct figment_vm *vm = bind->vm;
	unsigned int j;
	u32 i;

	/* The list is ours, and its members may live on. */
	while (!list_empty(&bind->fresh.userptrs))
		list_del_init(bind->fresh.userptrs.next);

	for (i = 0; i < bind->count; i++) {
		struct figment_bind_op *op = &bind->ops[i];

		for (j = 0; j < ARRAY_SIZE(op->spare); j++)
			kfree(op->spare[j]);
		if (op->userptr)
			figment_userptr_put(op->userptr);
		if (op->vm_bo)
			drm_gpuvm_bo_put_deferred(op->vm_bo);
		if (op->bo)
			drm_gem_object_put(&op->bo->shmem.base);
	}
	kvfree(bind->ops);
	kvfree(bind->fresh.objects);

	figment_vma_free_dead(vm, &bind->dead);
	figment_pt_free_tables(&vm->pt, &bind->flush.retired);
	figment_pt_stock_free(&vm->pt, &bind->stock);
	figment_syncs_release(&bind->syncs);
	kfree(bind);
	figment_vm_put(vm);
}

/* --- execution: nothing is allocated, nothing fails ----------------------- */

static struct figment_vma *figment_bind_take_vma(struct figment_bind *bind,
						 struct figment_userptr *userptr, bool read_only)
{
	struct figment_bind_op *op = bind->now;
	struct figment_vma *vma = NULL;
	unsigned int i;

	lockdep_assert_held(&bind->vm->pt.lock);

	for (i = 0; i < ARRAY_SIZE(op->spare) && !vma; i++)
		vma = xchg(&op->spare[i], NULL);

	/* The plan was too small: our bug. */
	if (drm_WARN_ON(&bind->vm->fdev->drm, !vma))
		return NULL;

	vma->read_only = read_only;
	INIT_LIST_HEAD(&vma->link);
	if (userptr) {
		kref_get(&userptr->refs);	/* dropped in figment_vma_free_dead() */
		vma->userptr = userptr;
		list_add_tail(&vma->link, &userptr->vmas);
	}
	return vma;
}

static void figment_bind_link(struct figment_vma *vma, struct drm_gpuvm_bo *vm_bo)
{
	struct drm_gem_object *obj = vma->base.gem.obj;

	if (!obj)
		return;
	mutex_lock(&obj->gpuva.lock);
	drm_gpuva_link(&vma->base, vm_bo);
	mutex_unlock(&obj->gpuva.lock);
}

static void figment_bind_bury(struct figment_bind *bind, struct figment_vma *vma)
{
	lockdep_assert_held(&bind->vm->pt.lock);

	if (vma->userptr) {
		list_del(&vma->link);
		atomic_dec(&vma->userptr->mappings);
	}
	list_add_tail(&vma->link, &bind->dead);
}

/* They are gone from the TLB: from here on who moves a buffer need not ask this VM. */
static void figment_bind_unlink_dead(struct figment_bind *bind)
{
	struct figment_vma *vma;

	lockdep_assert_held(&bind->vm->pt.lock);

	list_for_each_entry(vma, &bind->dead, link)
		drm_gpuva_unlink_defer(&vma->base);
}

struct figment_bind_extent {
	struct figment_bind *bind;
	u64 address;
	u64 flags;
	bool huge;
};

static int figment_bind_map_extent(void *data, const struct figment_extent *extent)
{
	struct figment_bind_extent *at = data;

	figment_pt_map(&at->bind->vm->pt, &at->bind->stock, at->address, extent->bytes,
		       extent->address | at->flags, at->huge);
	at->address += extent->bytes;
	return 0;
}

/** figment_bind_step_map() - &drm_gpuvm_ops.sm_step_map: the new mapping. */
int figment_bind_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct figment_bind *bind = priv;
	struct figment_bind_op *now = bind->now;
	struct figment_vma *vma;

	lockdep_assert_held(&bind->vm->pt.lock);

	vma = figment_bind_take_vma(bind, now->userptr, now->read_only);
	if (!vma)
		return -ENOMEM;
	drm_gpuva_map(&bind->vm->base, &vma->base, &op->map);
	figment_bind_link(vma, now->vm_bo);

	if (now->userptr) {
		/* figment_userptr_commit() has counted it. */
		figment_userptr_map(vma, &bind->stock);
	} else if (now->bo->lost) {
		/* The machine was suspended meanwhile. A job that comes now fetches it. */
		figment_pt_map(&bind->vm->pt, &bind->stock, now->address, now->size, 0, false);
		vma->evicted = true;
		WRITE_ONCE(bind->vm->evicted, true);
	} else if (bind->vm->pt.root) {
		/* Without a root the VM is closed, and the buffer maybe unmapped. */
		struct figment_bind_extent at = {
			.bind = bind,
			.address = now->address,
			.flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF |
				 (now->bo->vram ? FIGMENT_PTE_VRAM : 0) |
				 (now->read_only ? 0 : FIGMENT_PTE_WRITE),
			/* What may have to go keeps its tables. */
			.huge = !figment_bo_moves(now->bo),
		};

		figment_bo_visit(now->bo, now->offset, now->size,
				 figment_bind_map_extent, &at);
	}
	return 0;
}

/** figment_bind_step_remap() - &drm_gpuvm_ops.sm_step_remap: a mapping loses a part. */
int figment_bind_step_remap(struct drm_gpuva_op *op, void *priv)
{
	struct figment_bind *bind = priv;
	struct figment_vma *old = to_figment_vma(op->remap.unmap->va);
	struct figment_vma *prev = NULL, *next = NULL;
	u64 address, size;

	lockdep_assert_held(&bind->vm->pt.lock);

	if (op->remap.prev) {
		prev = figment_bind_take_vma(bind, old->userptr, old->read_only);
		if (!prev)
			return -ENOMEM;
	}
	if (op->remap.next) {
		next = figment_bind_take_vma(bind, old->userptr, old->read_only);
		if (!next)
			return -ENOMEM;
	}
	if (prev)
		prev->evicted = old->evicted;
	if (next)
		next->evicted = old->evicted;
	if (old->userptr)
		atomic_add(!!prev + !!next, &old->userptr->mappings);

	drm_gpuva_op_remap_to_unmap_range(&op->remap, &address, &size);
	figment_pt_unmap(&bind->vm->pt, &bind->stock, &bind->flush, address, size);

	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		figment_bind_link(prev, old->base.vm_bo);
	if (next)
		figment_bind_link(next, old->base.vm_bo);
	figment_bind_bury(bind, old);
	return 0;
}

/** figment_bind_step_unmap() - &drm_gpuvm_ops.sm_step_unmap: a mapping goes. */
int figment_bind_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	struct figment_bind *bind = priv;
	struct figment_vma *vma = to_figment_vma(op->unmap.va);

	lockdep_assert_held(&bind->vm->pt.lock);

	figment_pt_unmap(&bind->vm->pt, &bind->stock, &bind->flush,
			 vma->base.va.addr, vma->base.va.range);
	drm_gpuva_unmap(&op->unmap);
	figment_bind_bury(bind, vma);
	return 0;
}

static void figment_bind_execute(struct figment_bind *bind)
{
	struct figment_vm *vm = bind->vm;
	u32 i;

	guard(mutex)(&vm->pt.lock);

	for (i = 0; i < bind->count; i++) {
		struct figment_bind_op *op = &bind->ops[i];
		struct drm_gpuvm_map_req req = {
			.map.va.addr = op->address,
			.map.va.range = op->size,
			.map.gem.obj = op->bo ? &op->bo->shmem.base : NULL,
			/* A userptr is mapped from its beginning. */
			.map.gem.offset = op->bo ? op->offset : 0,
		};
		int ret;

		trace_figment_bind(vm, op->kind, op->address, op->size);
		bind->now = op;
		if (op->kind == DRM_FIGMENT_BIND_UNMAP) {
			ret = drm_gpuvm_sm_unmap(&vm->base, bind, op->address, op->size);
		} else {
			figment_mirror_yield(vm, op->address, op->size, &bind->flush);
			ret = drm_gpuvm_sm_map(&vm->base, bind, &req);
		}
		drm_WARN_ON(&vm->fdev->drm, ret);
	}

	/* Under the lock: the next bind may free what these tables pointed to. */
	figment_pt_flush(&vm->pt, &bind->flush);
	figment_bind_unlink_dead(bind);
}

/* --- asynchronous --------------------------------------------------------- */

static struct dma_fence *figment_bind_run_job(struct drm_sched_job *job)
{
	struct figment_bind *bind = container_of(job, struct figment_bind, job);
	bool cookie = dma_fence_begin_signalling();

	figment_bind_execute(bind);
	dma_fence_end_signalling(cookie);
	return NULL;
}

static enum drm_gpu_sched_stat figment_bind_timedout_job(struct drm_sched_job *job)
{
	/* Never armed: an execution has no end but its own. */
	return DRM_GPU_SCHED_STAT_NO_HANG;
}

static void figment_bind_free_work(struct work_struct *work)
{
	figment_bind_free(container_of(work, struct figment_bind, free_work));
}

static void figment_bind_free_job(struct drm_sched_job *job)
{
	struct figment_bind *bind = container_of(job, struct figment_bind, job);

	drm_sched_job_cleanup(job);
	/* It waits for notifiers, and notifiers wait for later binds. */
	INIT_WORK(&bind->free_work, figment_bind_free_work);
	queue_work(figment_cleanup_wq, &bind->free_work);
}

const struct drm_sched_backend_ops figment_bind_sched_ops = {
	.run_job = figment_bind_run_job,
	.timedout_job = figment_bind_timedout_job,
	.free_job = figment_bind_free_job,
};

/* Takes over the bind when it succeeds. */
static int figment_bind_push(struct figment_bind *bind)
{
	struct figment_vm *vm = bind->vm;
	struct figment_vm_hold hold;
	struct dma_fence *fence;
	bool cookie;
	int ret;

	ret = mutex_lock_interruptible(&vm->lock);
	if (ret)
		return ret;
	ret = figment_vm_begin_job(vm, &bind->fresh, &hold);
	if (ret)
		goto unlock;

	cookie = dma_fence_begin_signalling();
	drm_sched_job_arm(&bind->job);
	fence = dma_fence_get(&bind->job.s_fence->finished);
	figment_vm_add_fence(vm, fence);
	figment_syncs_signal(&bind->syncs, fence);
	dma_fence_put(vm->bind.last);
	vm->bind.last = fence;
	drm_sched_entity_push_job(&bind->job);
	dma_fence_end_signalling(cookie);

	figment_vm_end_job(vm, &hold);
unlock:
	mutex_unlock(&vm->lock);
	return ret;
}

static int figment_bind_async(struct figment_bind *bind, struct drm_file *file,
			      const struct drm_figment_vm_bind *args)
{
	int ret;

	ret = drm_sched_job_init(&bind->job, &bind->vm->bind.entity, 1, file, file->client_id);
	if (ret)
		goto free_bind;
	ret = figment_syncs_collect(&bind->syncs, file, &args->syncs, &bind->job);
	if (ret)
		goto cleanup_job;
	ret = figment_bind_plan(bind, file, &args->ops);
	if (ret)
		goto cleanup_job;
	ret = figment_bind_push(bind);
	if (ret)
		goto cleanup_job;
	return 0;

cleanup_job:
	drm_sched_job_cleanup(&bind->job);
free_bind:
	figment_bind_free(bind);
	return ret;
}

/* --- synchronous ---------------------------------------------------------- */

/* Returns with the lock of the VM, and with all asynchronous binds done. */
static int figment_bind_lock_in_order(struct figment_vm *vm)
{
	struct dma_fence *last;
	int ret;

	for (;;) {
		ret = mutex_lock_interruptible(&vm->lock);
		if (ret)
			return ret;
		last = vm->bind.last;
		if (!last || dma_fence_is_signaled(last))
			return 0;
		dma_fence_get(last);
		mutex_unlock(&vm->lock);

		ret = dma_fence_wait(last, true);
		dma_fence_put(last);
		if (ret)
			return ret;
	}
}

static int figment_bind_sync(struct figment_bind *bind, struct drm_file *file,
			     const struct drm_figment_vm_bind *args)
{
	struct figment_vm *vm = bind->vm;
	struct figment_vm_hold hold;
	int ret;

	ret = figment_bind_plan(bind, file, &args->ops);
	if (ret)
		goto free_bind;
	ret = figment_bind_lock_in_order(vm);
	if (ret)
		goto free_bind;

	ret = figment_vm_begin_job(vm, &bind->fresh, &hold);
	if (!ret) {
		figment_bind_execute(bind);
		figment_vm_end_job(vm, &hold);
	}
	mutex_unlock(&vm->lock);
free_bind:
	figment_bind_free(bind);
	return ret;
}

/** figment_bind_ioctl() - DRM_IOCTL_FIGMENT_VM_BIND. */
int figment_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_figment_vm_bind *args = data;
	struct figment_bind *bind;
	struct figment_vm *vm;
	bool async = args->flags & DRM_FIGMENT_VM_BIND_ASYNC;
	int ret;

	if (args->flags & ~DRM_FIGMENT_VM_BIND_ASYNC || (!async && args->syncs.count))
		return -EINVAL;

	vm = figment_file_vm(file, args->vm_id);
	if (!vm)
		return -ENOENT;

	bind = figment_bind_alloc(vm);
	if (!bind)
		ret = -ENOMEM;
	else if (async)
		ret = figment_bind_async(bind, file, args);
	else
		ret = figment_bind_sync(bind, file, args);

	figment_vm_put(vm);
	return ret;
}
