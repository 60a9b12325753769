// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Queues of long-running VMs that are not on the hardware: put aside by a
 * strategy, in the middle of a job maybe, so that nothing of them is in flight
 * until they are resumed; or waiting for the answer to a page fault.
 */
#include <linux/iopoll.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_queue.h"

#define FIGMENT_QUEUE_POLL_US		10

/**
 * figment_queue_suspend_begin() - Ask the device to put a queue aside.
 * @queue: the queue
 *
 * In the signalling path; sleeps. figment_queue_suspend_end() must follow.
 */
void figment_queue_suspend_begin(struct figment_queue *queue)
{
	int idx;

	guard(mutex)(&queue->hw_lock);
	queue->suspended = true;
	if (queue->dead || !drm_dev_enter(&queue->fdev->drm, &idx))
		return;
	scoped_guard(spinlock_irqsave, &queue->lock)
		queue->running = false;
	figment_queue_command(queue, FIGMENT_QUEUE_PREEMPT);
	drm_dev_exit(idx);
}

/* True when the queue is where PREEMPT leads, or where it leads nowhere. */
static bool figment_queue_has_left(u32 state)
{
	return state != FIGMENT_QUEUE_STOPPING && state != FIGMENT_QUEUE_READY;
}

/**
 * figment_queue_suspend_end() - Wait until the device has put a queue aside.
 * @queue: the queue, after figment_queue_suspend_begin()
 * @deadline: how long
 *
 * On return nothing of it is in flight. If the device does not manage in time, the
 * queue is reset, which costs it the job: -ETIME. In the signalling path; sleeps.
 */
void figment_queue_suspend_end(struct figment_queue *queue, ktime_t deadline)
{
	s64 timeout_us = max(ktime_us_delta(deadline, ktime_get()), 1);
	struct figment_device *fdev = queue->fdev;
	u32 state;
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&fdev->drm, &idx))
		return;

	read_poll_timeout(figment_queue_read32, state,
			  figment_queue_has_left(state) || figment_device_wedged(fdev),
			  FIGMENT_QUEUE_POLL_US, timeout_us, false, queue,
			  FIGMENT_QUEUE_STATE);
	if (state == FIGMENT_QUEUE_PREEMPTED) {
		queue->saved = true;
	} else if (!figment_device_wedged(fdev) && state != FIGMENT_QUEUE_OFF &&
		   !figment_queue_take_error(queue)) {
		drm_dbg_driver(&fdev->drm, "queue %u: does not leave the device\n",
			       queue->hw_id);
		figment_queue_reset_and_blame(queue, -ETIME, FIGMENT_CODE_NONE, 0, NULL);
	}
	/* What it has ended is no reason to come back. */
	figment_queue_retire(queue);
	drm_dev_exit(idx);
}

/**
 * figment_queue_resume() - Let a queue on the hardware, where it was.
 * @queue: the queue
 *
 * In the signalling path; sleeps.
 */
void figment_queue_resume(struct figment_queue *queue)
{
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (!queue->suspended)
		return;
	queue->suspended = false;
	if (queue->dead || !drm_dev_enter(&queue->fdev->drm, &idx))
		return;

	if (queue->saved) {
		queue->saved = false;
		guard(spinlock_irqsave)(&queue->lock);
		if (!figment_device_wedged(queue->fdev)) {
			/* The device has not heard of what came meanwhile. */
			WRITE_ONCE(queue->control->descriptor.write, cpu_to_le64(queue->write));
			queue->running = true;
			/* writel() orders this after the descriptor for the device. */
			figment_queue_command(queue, FIGMENT_QUEUE_RESUME);
		}
	} else {
		figment_queue_restart(queue);
	}
	drm_dev_exit(idx);
}

/* --- faults --------------------------------------------------------------- */

/** figment_queue_set_fault() - The device waits for a page. Hard irq. */
void figment_queue_set_fault(struct figment_queue *queue, u64 address, bool write)
{
	guard(spinlock_irqsave)(&queue->lock);
	queue->fault.address = address;
	queue->fault.write = write;
}

/**
 * figment_queue_get_fault() - What was reported last.
 * @queue: the queue
 * @address: gets the GPU address
 * @write: gets whether it is to be written
 *
 * The report may be older than what the device is doing, or than the queue. Whoever
 * makes a page present for it does no harm, and registers are dear to read: only the
 * answer looks at them.
 *
 * Return: false when the queue is dead.
 */
bool figment_queue_get_fault(struct figment_queue *queue, u64 *address, bool *write)
{
	scoped_guard(spinlock_irqsave, &queue->lock) {
		*address = queue->fault.address;
		*write = queue->fault.write;
	}
	guard(mutex)(&queue->hw_lock);
	return !queue->dead;
}

/* Does the device wait for an answer about @address? The caller is inside drm_dev_enter(). */
static bool figment_queue_waits_for(struct figment_queue *queue, u64 address)
{
	return figment_read64(queue->fdev, FIGMENT_REG_QUEUE(queue->hw_id) +
			      FIGMENT_QUEUE_ADDRESS) == address;
}

/**
 * figment_queue_answer_fault() - Let the device try again, or give up.
 * @queue: the queue; nothing happens if it does not wait any more
 * @address: GPU address that the answer is about
 * @kill: the job ends with -EFAULT
 *
 * To try again is never wrong: if it waits for another address by now, it reports that
 * once more.
 */
void figment_queue_answer_fault(struct figment_queue *queue, u64 address, bool kill)
{
	struct figment_device *fdev = queue->fdev;
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&fdev->drm, &idx))
		return;
	if (!figment_device_wedged(fdev) &&
	    figment_queue_read32(queue, FIGMENT_QUEUE_STATE) == FIGMENT_QUEUE_FAULTED &&
	    (!kill || figment_queue_waits_for(queue, address)))
		figment_queue_command(queue, kill ? FIGMENT_QUEUE_FAULT_KILL :
						    FIGMENT_QUEUE_FAULT_RETRY);
	drm_dev_exit(idx);
}
