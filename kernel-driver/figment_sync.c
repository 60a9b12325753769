// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Arrays from user space, and the array of syncobjs in particular: waits become
 * dependencies of the job at once, signals are prepared so far that handing
 * them the fence can neither fail nor allocate.
 */
#include <linux/dma-fence-chain.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/error-injection.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <drm/figment_drm.h>
#include <drm/gpu_scheduler.h>

#include "figment_sync.h"

#define FIGMENT_SYNCS_MAX	1024

/**
 * figment_array_copy() - Copy an array whose elements may have grown or not.
 * @array: as user space gave it
 * @max: most elements that are taken
 * @size: bytes of an element as the kernel knows it
 * @out: elements of @size bytes each, for kvfree(); NULL without elements
 *
 * Return: 0; -EINVAL: no stride; -E2BIG: more than @max elements, or one is set
 * past what the kernel knows; -EFAULT; -ENOMEM.
 */
int figment_array_copy(const struct drm_figment_array *array, u32 max, size_t size, void **out)
{
	u8 *elements;
	u32 i;
	int ret;

	*out = NULL;
	if (!array->count)
		return 0;
	/* The smallest element there ever was had a flags word. */
	if (array->stride < sizeof(u32))
		return -EINVAL;
	if (array->count > max)
		return -E2BIG;

	elements = kvcalloc(array->count, size, GFP_KERNEL_ACCOUNT);
	if (!elements)
		return -ENOMEM;

	for (i = 0; i < array->count; i++) {
		u64 from;

		if (check_add_overflow(array->array, (u64)i * array->stride, &from)) {
			ret = -EFAULT;
			goto free;
		}
		ret = copy_struct_from_user(elements + i * size, size, u64_to_user_ptr(from),
					    array->stride);
		if (ret)
			goto free;
	}

	*out = elements;
	return 0;

free:
	kvfree(elements);
	return ret;
}

static int figment_sync_add_wait(struct drm_file *file, const struct drm_figment_sync *in,
				 struct drm_sched_job *job)
{
	struct dma_fence *fence, *inner;
	struct dma_fence_unwrap iter;
	int ret;

	ret = drm_syncobj_find_fence(file, in->handle, in->timeline_value, 0, &fence);
	if (ret)
		return ret;
	/*
	 * One by one, without the chain of a timeline and the array of a sync file:
	 * so the scheduler knows its own, and tracepoints name the jobs that are
	 * waited for. To the end, also after an error: the iterator holds references.
	 */
	dma_fence_unwrap_for_each(inner, &iter, fence) {
		/* A process can make a chain of many fences, and each is looked for in all. */
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		/* Takes the reference, also when it fails. */
		if (!ret)
			ret = drm_sched_job_add_dependency(job, dma_fence_get(inner));
	}
	dma_fence_put(fence);
	return ret;
}

static int figment_sync_add_signal(struct figment_syncs *syncs, struct drm_file *file,
				   const struct drm_figment_sync *in)
{
	struct figment_sync *sync = &syncs->signal[syncs->count];

	sync->syncobj = drm_syncobj_find(file, in->handle);
	if (!sync->syncobj)
		return -ENOENT;
	/* From here on it is in the count, and figment_syncs_release() undoes it. */
	syncs->count++;

	if (in->flags & DRM_FIGMENT_SYNC_TIMELINE && in->timeline_value) {
		sync->chain = dma_fence_chain_alloc();
		if (!sync->chain)
			return -ENOMEM;
		sync->point = in->timeline_value;
	}
	return 0;
}

/**
 * figment_syncs_collect() - Take in the syncobjs of a job.
 * @syncs: zeroed; to be released by figment_syncs_release() also after an error
 * @file: who submits
 * @array: array of struct drm_figment_sync
 * @job: gets the waits as dependencies
 *
 * Return: 0; -EINVAL: unknown flag, a point without a timeline, or a wait for
 * what nobody has submitted; -ENOENT: no such syncobj; or as
 * figment_array_copy() does.
 */
int figment_syncs_collect(struct figment_syncs *syncs, struct drm_file *file,
			  const struct drm_figment_array *array, struct drm_sched_job *job)
{
	struct drm_figment_sync *in;
	u32 i;
	int ret;

	ret = figment_array_copy(array, FIGMENT_SYNCS_MAX, sizeof(*in), (void **)&in);
	if (ret || !in)
		return ret;

	ret = -ENOMEM;
	syncs->signal = kvcalloc(array->count, sizeof(*syncs->signal), GFP_KERNEL_ACCOUNT);
	if (!syncs->signal)
		goto free;

	for (i = 0; i < array->count; i++) {
		ret = -EINVAL;
		if (in[i].flags & ~(DRM_FIGMENT_SYNC_SIGNAL | DRM_FIGMENT_SYNC_TIMELINE))
			goto free;
		if (!(in[i].flags & DRM_FIGMENT_SYNC_TIMELINE) && in[i].timeline_value)
			goto free;

		if (in[i].flags & DRM_FIGMENT_SYNC_SIGNAL)
			ret = figment_sync_add_signal(syncs, file, &in[i]);
		else
			ret = figment_sync_add_wait(file, &in[i], job);
		if (ret)
			goto free;
	}

free:
	kvfree(in);
	return ret;
}
ALLOW_ERROR_INJECTION(figment_syncs_collect, ERRNO);

/**
 * figment_syncs_signal() - Give the syncobjs the fence of the armed job.
 * @syncs: from figment_syncs_collect()
 * @fence: the fence
 *
 * Cannot fail, does not allocate.
 */
void figment_syncs_signal(struct figment_syncs *syncs, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < syncs->count; i++) {
		struct figment_sync *sync = &syncs->signal[i];

		if (sync->chain) {
			drm_syncobj_add_point(sync->syncobj, sync->chain, fence, sync->point);
			sync->chain = NULL;	/* the syncobj has it now */
		} else {
			drm_syncobj_replace_fence(sync->syncobj, fence);
		}
	}
}

/** figment_syncs_release() - Undo figment_syncs_collect(). */
void figment_syncs_release(struct figment_syncs *syncs)
{
	u32 i;

	for (i = 0; i < syncs->count; i++) {
		dma_fence_chain_free(syncs->signal[i].chain);
		drm_syncobj_put(syncs->signal[i].syncobj);
	}
	kvfree(syncs->signal);
	syncs->signal = NULL;
	syncs->count = 0;
}
