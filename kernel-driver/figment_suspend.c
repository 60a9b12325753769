// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Queues that are not on the hardware for a while: put aside by a strategy, in the
 * middle of a job maybe, so that nothing of them is in flight until they are
 * resumed; all of them, because the device is about to be reset; or waiting for the
 * answer to a page fault.
 */
#include <linux/iopoll.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_trace.h"
#include "figment_user_queue.h"

#define FIGMENT_QUEUE_POLL_US		10
#define FIGMENT_QUEUE_DRAIN_US		200

/* What the device does not write: so we see that it has written the descriptor. */
#define FIGMENT_QUEUE_UNWRITTEN		cpu_to_le32(U32_MAX)

/* Ask the device to put a queue aside. The caller is inside drm_dev_enter(). */
static void figment_queue_leave(struct figment_queue *queue)
{
	bool running;

	lockdep_assert_held(&queue->hw_lock);

	scoped_guard(spinlock_irqsave, &queue->lock) {
		running = queue->running;
		queue->running = false;
	}
	if (!running)
		return;
	WRITE_ONCE(queue->control->descriptor.state, FIGMENT_QUEUE_UNWRITTEN);
	/* writel() orders this after the state for the device. */
	queue->leaving = figment_queue_command(queue, FIGMENT_QUEUE_PREEMPT);
}

/* True when the queue is where PREEMPT leads, or where it leads nowhere. */
static bool figment_queue_has_left(u32 state)
{
	return state != FIGMENT_QUEUE_STOPPING && state != FIGMENT_QUEUE_READY &&
	       state != FIGMENT_QUEUE_FAULTED;
}

/* Without a lock: what it waits for may be the answer to a fault. */
static void figment_queue_wait_left(struct figment_queue *queue, ktime_t deadline)
{
	s64 timeout_us = max(ktime_us_delta(deadline, ktime_get()), 1);
	u32 state;
	int idx;

	if (!drm_dev_enter(&queue->fdev->drm, &idx))
		return;
	read_poll_timeout(figment_queue_read32, state,
			  figment_queue_has_left(state) || READ_ONCE(queue->dead) ||
			  figment_device_is_down(queue->fdev),
			  FIGMENT_QUEUE_POLL_US, timeout_us, false, queue,
			  FIGMENT_QUEUE_STATE);
	drm_dev_exit(idx);
}

/*
 * After figment_queue_leave(): take what the device has put aside. Returns 0: nothing of
 * the queue is in flight; -ETIME: it is still at it, and asked for; -EIO: its state is lost.
 */
static int figment_queue_collect(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u32 state;

	lockdep_assert_held(&queue->hw_lock);

	if (figment_device_is_down(fdev)) {
		/* The rest is for figment_queue_lose(). */
		figment_device_wait_quiet(fdev);
		return 0;
	}
	if (!queue->leaving || figment_queue_take_error(queue))
		return 0;

	state = figment_queue_read32(queue, FIGMENT_QUEUE_STATE);
	if (state != FIGMENT_QUEUE_PREEMPTED && state != FIGMENT_QUEUE_OFF)
		return -ETIME;
	queue->leaving = false;
	if (state == FIGMENT_QUEUE_OFF)
		return 0;
	if (READ_ONCE(queue->control->descriptor.state) == FIGMENT_QUEUE_UNWRITTEN)
		return -EIO;
	queue->saved = true;
	return 0;
}

/* Let a queue on the device, where it was. The caller is inside drm_dev_enter(). */
static void figment_queue_continue(struct figment_queue *queue)
{
	lockdep_assert_held(&queue->hw_lock);

	if (!queue->saved) {
		figment_queue_restart(queue);
		return;
	}
	if (queue->user) {
		figment_user_queue_continue(queue);
		return;
	}

	guard(spinlock_irqsave)(&queue->lock);
	/* The device has not heard of what came meanwhile. */
	WRITE_ONCE(queue->control->descriptor.write, cpu_to_le64(queue->write));
	/* writel() orders this after the descriptor for the device. */
	queue->running = figment_queue_command(queue, FIGMENT_QUEUE_RESUME);
	queue->saved = !queue->running;
}

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
	trace_figment_preempt(queue);
	figment_queue_leave(queue);
	drm_dev_exit(idx);
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
	struct figment_device *fdev = queue->fdev;
	int error, idx;

	figment_queue_wait_left(queue, deadline);

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&fdev->drm, &idx))
		return;

	error = figment_queue_collect(queue);
	if (error) {
		drm_dbg_driver(&fdev->drm, "queue %u: not put aside: %pe\n", queue->hw_id,
			       ERR_PTR(error));
		figment_queue_reset_and_blame(queue, error, error == -EIO ? FIGMENT_CODE_BUS :
								    FIGMENT_CODE_NONE, 0, NULL);
	}
	trace_figment_preempt_done(queue);
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
	trace_figment_resume(queue);
	figment_queue_continue(queue);
	drm_dev_exit(idx);
}

/* --- the whole device ------------------------------------------------------ */

/** figment_queue_return() - The device is there again: let the queue go on, if it may. */
void figment_queue_return(struct figment_queue *queue)
{
	lockdep_assert_held(&queue->hw_lock);

	/* Running: it was started just now, by somebody else. */
	if (!queue->suspended && !READ_ONCE(queue->running))
		figment_queue_continue(queue);
}

static void figment_queue_leave_device(struct figment_queue *queue)
{
	if (queue->fdev->info.features & FIGMENT_FEATURE_PREEMPT) {
		figment_queue_leave(queue);
	} else {
		figment_queue_silence(queue);
		queue->drain = queue->user ? figment_user_queue_announced(queue) :
					     figment_queue_written(queue);
	}
}

/* The device can put nothing aside: see that the jobs end which it knows of. */
static void figment_queue_wait_drained(struct figment_queue *queue, ktime_t deadline)
{
	while (!READ_ONCE(queue->dead) && !figment_device_is_down(queue->fdev) &&
	       !figment_queue_has_drained(queue, queue->drain) &&
	       ktime_before(ktime_get(), deadline)) {
		fsleep(FIGMENT_QUEUE_DRAIN_US);
		figment_queue_retire(queue);
	}
}

/**
 * figment_queues_put_aside() - Have all queues leave the device, as well as they can.
 * @fdev: the device, FIGMENT_STOPPING; the caller is inside drm_dev_enter()
 *
 * One that does not manage in time loses its job when the device is reset.
 */
void figment_queues_put_aside(struct figment_device *fdev)
{
	bool preempt = fdev->info.features & FIGMENT_FEATURE_PREEMPT;
	unsigned int ms = preempt ? figment_preempt_timeout_ms() : figment_job_timeout_ms();
	ktime_t deadline = ktime_add_ms(ktime_get(), ms);
	u32 i;

	/* All are asked before the first one is waited for. */
	figment_queues_visit(fdev, figment_queue_leave_device);
	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue = figment_queue_find(fdev, i);

		if (!queue)
			continue;
		if (preempt)
			figment_queue_wait_left(queue, deadline);
		else
			figment_queue_wait_drained(queue, deadline);
		scoped_guard(mutex, &queue->hw_lock)
			if (!queue->dead)
				figment_queue_collect(queue);
		figment_queue_put(queue);
	}
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
	if (!figment_device_is_down(fdev) &&
	    figment_queue_read32(queue, FIGMENT_QUEUE_STATE) == FIGMENT_QUEUE_FAULTED &&
	    (!kill || figment_queue_waits_for(queue, address)))
		figment_queue_command(queue, kill ? FIGMENT_QUEUE_FAULT_KILL :
						    FIGMENT_QUEUE_FAULT_RETRY);
	drm_dev_exit(idx);
}
