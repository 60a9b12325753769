// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * When a job goes wrong the device stops the queue, or we do after a time. Then
 * the queue is reset, the first job that has not ended gets the error, and the
 * queue is started again behind it; the jobs that follow do not notice.
 */
#include <linux/iopoll.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_coredump.h"
#include "figment_device.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_trace.h"
#include "figment_user_fence.h"
#include "figment_user_queue.h"
#include "figment_vm.h"

#define FIGMENT_QUEUE_RESET_US		(2 * USEC_PER_SEC)

/** figment_queue_read32() - Read FIGMENT_QUEUE_*; the caller is inside drm_dev_enter(). */
u32 figment_queue_read32(struct figment_queue *queue, u32 reg)
{
	return figment_read32(queue->fdev, FIGMENT_REG_QUEUE(queue->hw_id) + reg);
}

/**
 * figment_queue_command() - Write FIGMENT_QUEUE_COMMAND.
 * @queue: the queue, whose @hw_lock is held
 * @command: what to write
 *
 * Return: false when the device is in reset, or on the way there: nothing is done.
 */
bool figment_queue_command(struct figment_queue *queue, u32 command)
{
	bool starts = command == FIGMENT_QUEUE_START || command == FIGMENT_QUEUE_RESUME;
	u32 block = FIGMENT_REG_QUEUE(queue->hw_id);
	struct figment_device *fdev = queue->fdev;

	lockdep_assert_held(&queue->hw_lock);

	guard(spinlock_irqsave)(&fdev->gate.lock);
	if (fdev->gate.level < (starts ? FIGMENT_UP : FIGMENT_STOPPING))
		return false;
	if (starts && !queue->described) {
		figment_write64(fdev, block + FIGMENT_QUEUE_DESC, queue->control_bus);
		queue->described = true;
	}
	figment_write32(fdev, block + FIGMENT_QUEUE_COMMAND, command);
	return true;
}

static int figment_code_to_errno(u32 code)
{
	switch (code) {
	case FIGMENT_CODE_DOORBELL:
	case FIGMENT_CODE_OPCODE:
	case FIGMENT_CODE_VERSION:
	case FIGMENT_CODE_LENGTH:
	case FIGMENT_CODE_FIELD:
	case FIGMENT_CODE_NESTING:
		return -EINVAL;
	case FIGMENT_CODE_UNMAPPED:
	case FIGMENT_CODE_PERMISSION:
	case FIGMENT_CODE_KILLED:
		return -EFAULT;
	default:
		return -EIO;
	}
}

/* True for what a process can not bring about. */
static bool figment_code_is_ours(struct figment_queue *queue, u32 code)
{
	return code == FIGMENT_CODE_DESCRIPTOR || code == FIGMENT_CODE_PAGE_TABLE ||
	       (code == FIGMENT_CODE_DOORBELL && !queue->user);
}

static void figment_queue_start(struct figment_queue *queue, u64 read)
{
	struct figment_descriptor *desc = &queue->control->descriptor;

	lockdep_assert_held(&queue->lock);

	*desc = (struct figment_descriptor) {
		.ring_address = cpu_to_le64(FIGMENT_QUEUE_VA(queue->hw_id)),
		.ring_bytes_lg2 = cpu_to_le32(FIGMENT_RING_BYTES_LG2),
		.asid = cpu_to_le32(queue->vm->pt.asid),
		.priority = cpu_to_le32(queue->priority),
		.flags = cpu_to_le32(FIGMENT_DESC_PRIVILEGED),
		.timeslice_ns = cpu_to_le64(queue->timeslice_ns),
		.read = cpu_to_le64(read),
		.write = cpu_to_le64(queue->write),
	};
	/* writel() orders this after the descriptor for the device. */
	queue->running = figment_queue_command(queue, FIGMENT_QUEUE_START);
}

/**
 * figment_queue_restart() - Start a queue that is off, with the first job that has not ended.
 * @queue: the queue
 *
 * When the device is in reset it does so with figment_queue_return().
 */
void figment_queue_restart(struct figment_queue *queue)
{
	struct figment_fence *first;

	lockdep_assert_held(&queue->hw_lock);

	queue->saved = false;
	if (queue->suspended)
		return;
	if (queue->user) {
		figment_user_queue_continue(queue);
		return;
	}

	guard(spinlock_irqsave)(&queue->lock);
	if (queue->dead || figment_device_wedged(queue->fdev))
		return;
	first = list_first_entry_or_null(&queue->in_flight, struct figment_fence, link);
	figment_queue_start(queue, first ? first->begin : queue->write);
	/* Whoever waits for what it has to end: it will not. */
	if (!queue->running)
		WRITE_ONCE(queue->drain, 0);
}

/** figment_queue_reset() - Take a queue off the device; on return nothing of it is in flight. */
void figment_queue_reset(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u32 state;

	lockdep_assert_held(&queue->hw_lock);

	figment_queue_silence(queue);
	queue->leaving = false;

	if (figment_queue_command(queue, FIGMENT_QUEUE_RESET) &&
	    read_poll_timeout(figment_queue_read32, state,
			      state == FIGMENT_QUEUE_OFF || figment_device_is_down(fdev),
			      20, FIGMENT_QUEUE_RESET_US, false, queue, FIGMENT_QUEUE_STATE))
		figment_device_fail(fdev, "a queue can not be reset", queue);
	if (figment_device_is_down(fdev))
		figment_device_wait_quiet(fdev);
}

/** figment_queue_count_failure() - Of a job, for debugfs: @error is that of its fence. */
void figment_queue_count_failure(struct figment_device *fdev, int error)
{
	if (error == -ECANCELED)
		atomic64_inc(&fdev->counts.jobs_canceled);
	else
		atomic64_inc(&fdev->counts.jobs_failed);
}

static void figment_queue_blame(struct figment_queue *queue, struct figment_fence *guilty,
				int error, u32 code, u64 address)
{
	LIST_HEAD(done);

	scoped_guard(spinlock_irqsave, &queue->lock) {
		list_move_tail(&guilty->link, &done);
		figment_queue_count(queue, error, code, address);
		trace_figment_job_end(queue, guilty, error);
	}
	figment_queue_count_failure(queue->fdev, error);
	dma_fence_set_error(&guilty->base, error);
	figment_fence_signal_list(&done);
	figment_user_fence_wake(queue->fdev);
}

/**
 * figment_queue_reset_and_blame() - Reset a queue, at the price of its first job.
 * @queue: the queue
 * @error: errno for the fence of the job
 * @code: FIGMENT_CODE_* of the device
 * @address: GPU address that went wrong
 * @late: the job that is to blame; NULL: the first one
 */
void figment_queue_reset_and_blame(struct figment_queue *queue, int error, u32 code,
				   u64 address, struct figment_fence *late)
{
	struct figment_coredump *dump __free(figment_coredump) = figment_coredump_begin(queue);
	struct figment_fence *first;

	lockdep_assert_held(&queue->hw_lock);

	atomic64_inc(&queue->fdev->counts.queue_resets);
	trace_figment_reset(queue->fdev, queue, code ? "error" : late ? "timeout" : "preemption",
			    error);
	figment_queue_reset(queue);
	if (queue->user) {
		figment_coredump_blame(dump, queue, NULL, error, code, address);
		figment_user_queue_fail(queue, error, code, address);
		return;
	}
	/* It may have ended just before the reset. */
	figment_queue_retire(queue);

	first = figment_queue_first(queue);
	if (first && (!late || first == late)) {
		figment_coredump_blame(dump, queue, first, error, code, address);
		figment_queue_blame(queue, first, error, code, address);
	} else if (first && figment_queue_has_begun(queue, first)) {
		/* Hit by a reset that was not for it; half of it can not be undone. */
		figment_queue_blame(queue, first, -ECANCELED, FIGMENT_CODE_NONE, 0);
	}

	figment_queue_restart(queue);
}

/** figment_queue_take_error() - Recover if the device has stopped the queue; whether it had. */
bool figment_queue_take_error(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u64 address;
	u32 code;

	/* A reset has taken the error away, and the job with it. */
	if (figment_device_is_down(fdev) ||
	    figment_queue_read32(queue, FIGMENT_QUEUE_STATE) != FIGMENT_QUEUE_ERROR)
		return false;

	code = figment_queue_read32(queue, FIGMENT_QUEUE_CODE);
	address = figment_read64(fdev, FIGMENT_REG_QUEUE(queue->hw_id) + FIGMENT_QUEUE_ADDRESS);
	if (figment_code_is_ours(queue, code))
		drm_err_ratelimited(&fdev->drm, "queue %u: stopped with code %u at 0x%llx\n",
				    queue->hw_id, code, address);
	else
		drm_dbg_driver(&fdev->drm, "queue %u: job failed, code %u at 0x%llx\n",
			       queue->hw_id, code, address);
	figment_queue_reset_and_blame(queue, figment_code_to_errno(code), code, address, NULL);
	return true;
}

/**
 * figment_queue_recover() - Get a queue going again.
 * @queue: the queue
 * @late: the job that takes too long; NULL: only if the device has stopped the queue
 *
 * In the signalling path; sleeps, does not allocate. Called on the reset
 * workqueue.
 */
void figment_queue_recover(struct figment_queue *queue, struct figment_fence *late)
{
	struct figment_device *fdev = queue->fdev;
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&fdev->drm, &idx))
		return;

	if (!figment_queue_take_error(queue) && late && figment_device_is_up(fdev)) {
		drm_dbg_driver(&fdev->drm, "queue %u: job %llu takes too long\n",
			       queue->hw_id, late->base.seqno);
		figment_queue_reset_and_blame(queue, -ETIME, FIGMENT_CODE_NONE, 0, late);
	}
	drm_dev_exit(idx);
}

/** figment_queue_error_work() - &figment_queue.error_work. */
void figment_queue_error_work(struct work_struct *work)
{
	struct figment_queue *queue = container_of(work, struct figment_queue, error_work);
	bool cookie = dma_fence_begin_signalling();

	figment_queue_recover(queue, NULL);
	dma_fence_end_signalling(cookie);
}

/**
 * figment_queue_stopped() - The device has stopped a queue because of an error.
 * @queue: the queue
 *
 * Hard irq, under rcu_read_lock().
 */
void figment_queue_stopped(struct figment_queue *queue)
{
	queue_work(queue->fdev->reset_wq, &queue->error_work);
}

/**
 * figment_queue_lose() - The whole device has been reset: what is left of a queue?
 * @queue: the queue
 */
void figment_queue_lose(struct figment_queue *queue)
{
	bool known = queue->described;
	struct figment_fence *first;

	lockdep_assert_held(&queue->hw_lock);

	queue->described = false;
	queue->leaving = false;
	figment_queue_retire(queue);
	/* All that it needs is in the descriptor. */
	if (queue->saved)
		return;
	if (queue->user) {
		/* One that has not been on the device since it was empty has not begun. */
		if (known)
			figment_user_queue_lose(queue);
		return;
	}

	first = figment_queue_first(queue);
	if (first && figment_queue_has_begun(queue, first))
		figment_queue_blame(queue, first, -ECANCELED, FIGMENT_CODE_NONE, 0);
}
