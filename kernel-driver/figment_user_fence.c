// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * User fences: words in memory of a process that jobs write with RELEASE. They
 * belong to the process alone. Nothing in the kernel waits for one, so a job
 * that completes one may run for ever, or meet a page fault, and no notifier,
 * no reclaim and no other driver is held up.
 *
 * Waiting is looking, and sleeping until something might have changed: any
 * RELEASE with an event, of whatever queue, wakes all who wait. Which of them it
 * was for only the memory says, and it would not matter: who has looked for
 * nothing sleeps again.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_event.h"
#include "figment_queue.h"
#include "figment_trace.h"
#include "figment_user_fence.h"

/* Look again without an event: the value came from a CPU, or an interrupt got lost. */
#define FIGMENT_USER_FENCE_POLL_MS	100

/**
 * figment_user_fence_wake() - Somebody may have got what it waits for.
 * @fdev: the device
 *
 * Any context, hard irq included.
 */
void figment_user_fence_wake(struct figment_device *fdev)
{
	if (!wq_has_sleeper(&fdev->user_fences))
		return;
	trace_figment_user_fence_wake(fdev);
	wake_up_all(&fdev->user_fences);
}

/* 1: the comparison holds; 0: not yet; or -EFAULT. */
static int figment_user_fence_look(const struct drm_figment_wait_user_fence *args)
{
	u64 value;

	/* One access: the device may be writing it. */
	if (get_user(value, (u64 __user *)u64_to_user_ptr(args->address)))
		return -EFAULT;
	value &= args->mask;

	switch (args->compare) {
	case DRM_FIGMENT_COMPARE_EQ:
		return value == args->reference;
	case DRM_FIGMENT_COMPARE_NE:
		return value != args->reference;
	case DRM_FIGMENT_COMPARE_LT:
		return value < args->reference;
	case DRM_FIGMENT_COMPARE_LE:
		return value <= args->reference;
	case DRM_FIGMENT_COMPARE_GT:
		return value > args->reference;
	default:
		return value >= args->reference;
	}
}

/* An interrupt may have got lost, and with it what the job waits for. */
static void figment_user_fence_poll(struct figment_device *fdev)
{
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	figment_event_poll(fdev);
	drm_dev_exit(idx);
}

/* Returns 0 when the caller may look again, or a negative errno. */
static int figment_user_fence_sleep(struct figment_device *fdev, struct wait_queue_entry *wait,
				    s64 deadline_ns)
{
	s64 now = ktime_get();
	long timeout = msecs_to_jiffies(FIGMENT_USER_FENCE_POLL_MS);

	if (drm_dev_is_unplugged(&fdev->drm) || figment_device_wedged(fdev))
		return -ENODEV;
	if (now >= deadline_ns)
		return -ETIME;
	/* Rounded up: a deadline is not missed by waking before it. */
	if (deadline_ns - now < FIGMENT_USER_FENCE_POLL_MS * NSEC_PER_MSEC)
		timeout = nsecs_to_jiffies(deadline_ns - now) + 1;

	if (!wait_woken(wait, TASK_INTERRUPTIBLE, timeout))
		figment_user_fence_poll(fdev);
	return signal_pending(current) ? -ERESTARTSYS : 0;
}

/** figment_wait_user_fence_ioctl() - DRM_IOCTL_FIGMENT_WAIT_USER_FENCE. */
int figment_wait_user_fence_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_figment_wait_user_fence *args = data;
	struct figment_device *fdev = to_figment_device(drm);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct figment_queue *queue = NULL;
	bool failed;
	int ret;

	if (args->flags || args->pad || args->compare > DRM_FIGMENT_COMPARE_GE ||
	    (args->errors && !args->queue_id) || !IS_ALIGNED(args->address, sizeof(u64))) {
		drm_dbg_driver(drm, "WAIT_USER_FENCE: flags 0x%x, comparison %u, at 0x%llx\n",
			       args->flags, args->compare, args->address);
		return -EINVAL;
	}

	if (args->queue_id) {
		queue = figment_file_queue(file, args->queue_id);
		if (!queue)
			return -ENOENT;
	}

	trace_figment_user_fence_wait(fdev, args->address);
	/* In line before the first look: what changes after it wakes us. */
	add_wait_queue(&fdev->user_fences, &wait);
	do {
		/* Before the look: what an earlier job has written counts. */
		failed = queue && figment_queue_has_failed(queue, args->errors);
		ret = figment_user_fence_look(args);
		if (ret)
			break;
		/* A device that is gone takes all queues with it: that is the news. */
		ret = failed && !figment_device_wedged(fdev) ? -ECANCELED :
		      figment_user_fence_sleep(fdev, &wait, args->deadline_ns);
	} while (!ret);
	remove_wait_queue(&fdev->user_fences, &wait);
	trace_figment_user_fence_wait_done(fdev, args->address, min(ret, 0));

	if (queue)
		figment_queue_put(queue);
	return min(ret, 0);
}
