// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Jobs: from SUBMIT through the scheduler of the queue to the ring, and what to
 * do when one takes too long.
 */
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_event.h"
#include "figment_job.h"
#include "figment_long_running.h"
#include "figment_queue.h"
#include "figment_sync.h"
#include "figment_trace.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/*
 * A job that others do not let run is given more time, but not for ever: a
 * fence has to signal some day.
 */
#define FIGMENT_JOB_EXTENSIONS	8

/** struct figment_job - A job. */
struct figment_job {
	struct drm_sched_job base;
	/** @queue: Holds a reference. */
	struct figment_queue *queue;
	/** @fence: Allocated with the job, initialised when it is emitted. */
	struct figment_fence *fence;
	/** @emitted: @fence is a fence, and we hold a reference. */
	bool emitted;
	/** @extensions: How often it was given more time; by the timeout work. */
	u32 extensions;
	/** @epoch: Of the device, since when it had time; by the timeout work, once emitted. */
	u32 epoch;
	u64 address;
	u64 size;
};

static struct figment_job *to_figment_job(struct drm_sched_job *job)
{
	return container_of(job, struct figment_job, base);
}

static void figment_job_free(struct figment_job *job)
{
	/* Pairs with the release in figment_job_run(). */
	if (smp_load_acquire(&job->emitted))
		dma_fence_put(&job->fence->base);
	else
		kfree(job->fence);
	figment_queue_put(job->queue);
	kfree(job);
}

static struct figment_job *figment_job_alloc(struct figment_queue *queue)
{
	struct figment_job *job = kzalloc_obj(*job, GFP_KERNEL_ACCOUNT);

	if (!job)
		return NULL;
	job->fence = figment_fence_alloc();
	if (!job->fence) {
		kfree(job);
		return NULL;
	}
	/* Dropped in figment_job_free(). */
	job->queue = figment_queue_get(queue);
	return job;
}

/* --- scheduler ------------------------------------------------------------ */

static struct dma_fence *figment_job_run(struct drm_sched_job *sched_job)
{
	struct figment_job *job = to_figment_job(sched_job);
	bool cookie = dma_fence_begin_signalling();
	struct dma_fence *fence;
	int ret;

	if (figment_device_wedged(job->queue->fdev))
		ret = -ENODEV;
	else
		ret = figment_queue_emit(job->queue, job->fence, job->address, job->size);
	if (ret) {
		fence = ERR_PTR(ret);
	} else {
		/* One for the scheduler; the first one is ours. */
		fence = dma_fence_get(&job->fence->base);
		job->epoch = READ_ONCE(job->queue->fdev->reset.epoch);
		/* Pairs with the timeout work: it sees the fence with the flag. */
		smp_store_release(&job->emitted, true);
	}

	dma_fence_end_signalling(cookie);
	return fence;
}

static void figment_job_check(struct figment_job *job)
{
	struct figment_queue *queue = job->queue;
	struct figment_device *fdev = queue->fdev;
	int idx;

	/* A workqueue that is late is no fault of the job. */
	if (!smp_load_acquire(&job->emitted))
		return;

	/* Nor is a lost interrupt. */
	if (drm_dev_enter(&fdev->drm, &idx)) {
		figment_event_poll(fdev);
		drm_dev_exit(idx);
	}
	figment_queue_retire(queue);
	if (dma_fence_is_signaled(&job->fence->base))
		return;

	/* Nor is a device that was away: the job gets its time once more. */
	if (!figment_device_is_up(fdev) || job->epoch != READ_ONCE(fdev->reset.epoch)) {
		job->epoch = READ_ONCE(fdev->reset.epoch);
		return;
	}

	if (!figment_queue_has_begun(queue, job->fence) &&
	    job->extensions++ < FIGMENT_JOB_EXTENSIONS) {
		drm_dbg_driver(&fdev->drm, "queue %u: job %llu has not begun yet\n",
			       queue->hw_id, job->fence->base.seqno);
		/* But not begun because the queue has stopped is an error. */
		figment_queue_recover(queue, NULL);
		return;
	}
	figment_queue_recover(queue, job->fence);
}

static enum drm_gpu_sched_stat figment_job_timedout(struct drm_sched_job *sched_job)
{
	bool cookie = dma_fence_begin_signalling();

	figment_job_check(to_figment_job(sched_job));
	dma_fence_end_signalling(cookie);
	/*
	 * Whatever it was, the queue goes on and the scheduler has nothing to
	 * stop or restart: the fence of the job says how it ended, if it has.
	 */
	return DRM_GPU_SCHED_STAT_NO_HANG;
}

static void figment_job_free_sched(struct drm_sched_job *sched_job)
{
	drm_sched_job_cleanup(sched_job);
	figment_job_free(to_figment_job(sched_job));
}

const struct drm_sched_backend_ops figment_job_sched_ops = {
	.run_job = figment_job_run,
	.timedout_job = figment_job_timedout,
	.free_job = figment_job_free_sched,
};

/* --- submission ----------------------------------------------------------- */

/* The scheduler has the job when this succeeds. */
static int figment_job_push(struct figment_job *job, struct figment_syncs *syncs)
{
	struct figment_vm *vm = job->queue->vm;
	struct figment_vm_hold hold;
	struct dma_fence *fence;
	bool cookie;
	int ret;

	ret = mutex_lock_interruptible(&vm->lock);
	if (ret)
		return ret;
	ret = figment_vm_begin_job(vm, NULL, &hold);
	if (ret)
		goto unlock;

	cookie = dma_fence_begin_signalling();
	drm_sched_job_arm(&job->base);
	fence = &job->base.s_fence->finished;
	job->fence->visible.context = fence->context;
	job->fence->visible.seqno = fence->seqno;
	trace_figment_job_submit(job->queue, fence, job->address, job->size);
	figment_vm_add_fence(vm, fence);
	figment_syncs_signal(syncs, fence);
	drm_sched_entity_push_job(&job->base);
	dma_fence_end_signalling(cookie);

	figment_vm_end_job(vm, &hold);
unlock:
	mutex_unlock(&vm->lock);
	return ret;
}

/** figment_submit_ioctl() - DRM_IOCTL_FIGMENT_SUBMIT. */
int figment_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_figment_submit *args = data;
	struct figment_syncs syncs = {};
	struct figment_queue *queue;
	struct figment_job *job;
	u64 end;
	int ret;

	if (args->flags || !IS_ALIGNED(args->address | args->size, sizeof(u64)) ||
	    check_add_overflow(args->address, args->size, &end)) {
		drm_dbg_driver(drm, "SUBMIT: flags 0x%x, 0x%llx bytes at 0x%llx\n", args->flags,
			       args->size, args->address);
		return -EINVAL;
	}

	queue = figment_file_queue(file, args->queue_id);
	if (!queue)
		return -ENOENT;

	if (queue->user) {
		drm_dbg_driver(drm, "SUBMIT: queue %u is a user queue\n", args->queue_id);
		ret = -EINVAL;
		goto put_queue;
	}
	if (queue->vm->strategy->long_running) {
		/* Such a job may wait for others, but its end can not be promised. */
		ret = args->syncs.count ? -EOPNOTSUPP :
		      figment_long_running_submit(queue, args->address, args->size);
		goto put_queue;
	}

	ret = -ENOMEM;
	job = figment_job_alloc(queue);
	if (!job)
		goto put_queue;
	job->address = args->address;
	job->size = args->size;

	ret = drm_sched_job_init(&job->base, &queue->entity, 1, file, file->client_id);
	if (ret)
		goto free_job;
	ret = figment_syncs_collect(&syncs, file, &args->syncs, &job->base);
	if (ret)
		goto cleanup_job;
	ret = figment_job_push(job, &syncs);
	if (ret)
		goto cleanup_job;

	figment_syncs_release(&syncs);
	figment_queue_put(queue);
	return 0;

cleanup_job:
	figment_syncs_release(&syncs);
	drm_sched_job_cleanup(&job->base);
free_job:
	figment_job_free(job);
put_queue:
	figment_queue_put(queue);
	return ret;
}
