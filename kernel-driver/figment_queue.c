// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Hardware queues. Each has a ring that only the driver writes, in a part of the
 * address space that only privileged packets reach. A job is a call of the
 * buffer of the user, without privilege, and a privileged RELEASE that writes its
 * sequence number and reports it:
 *
 *	TIMESTAMP	begin
 *	INDIRECT	address and size from the user
 *	TIMESTAMP	end
 *	RELEASE		write the sequence number, and an event
 *
 * Jobs of a queue are executed in order, so the number says it for all jobs up
 * to it. What the event says is not looked at: the number in memory is.
 *
 * When a job goes wrong the device stops the queue, or we do after a time. Then
 * the queue is reset, the first job that has not ended gets the error, and the
 * queue is started again behind it; the jobs that follow do not notice.
 *
 * Queues of long-running VMs have no scheduler: SUBMIT writes to the ring, and
 * the fences are for us alone. A strategy may suspend such a queue: the device
 * puts it aside, in the middle of a job maybe, and nothing of it is in flight
 * until it is resumed.
 *
 * A queue dies by figment_queue_kill(): it leaves the hardware at once, and
 * its number is free again. Jobs that wait in the scheduler, maybe for fences
 * of others, drain through it with an error; the last one takes it along.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/iopoll.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_event.h"
#include "figment_fault.h"
#include "figment_job.h"
#include "figment_queue.h"
#include "figment_user_fence.h"
#include "figment_userptr.h"
#include "figment_vm.h"

#define FIGMENT_RING_BYTES_LG2		12
#define FIGMENT_RING_BYTES		BIT(FIGMENT_RING_BYTES_LG2)
#define FIGMENT_RING_QWORDS		(FIGMENT_RING_BYTES / sizeof(__le64))
#define FIGMENT_JOB_QWORDS_MAX		10
/* Jobs that the ring has at a time. */
#define FIGMENT_QUEUE_CREDITS		48
#define FIGMENT_TIMESLICE_NS		NSEC_PER_MSEC
#define FIGMENT_QUEUE_RESET_US		(2 * USEC_PER_SEC)
#define FIGMENT_QUEUE_POLL_US		10
#define FIGMENT_QUEUE_SPACE_MS		100

/* Where ring and control page of a hardware queue are mapped. */
#define FIGMENT_QUEUE_VA(hw_id)		(FIGMENT_VA_END + (u64)(hw_id) * 2 * PAGE_SIZE)

static_assert(sizeof(struct figment_control) <= PAGE_SIZE);
static_assert(offsetof(struct figment_control, descriptor) % 256 == 0);
static_assert(offsetof(struct figment_fence, base) == 0);
static_assert(FIGMENT_RING_BYTES == PAGE_SIZE);
static_assert(FIGMENT_QUEUE_CREDITS * FIGMENT_JOB_QWORDS_MAX <= FIGMENT_RING_QWORDS);
static_assert(FIGMENT_QUEUE_CREDITS <= FIGMENT_STAMPS);
static_assert(FIGMENT_QUEUE_VA(FIGMENT_QUEUES_MAX) <= BIT_ULL(FIGMENT_VA_BITS));

static const char *figment_fence_driver_name(struct dma_fence *fence)
{
	return "figment";
}

static const char *figment_fence_timeline_name(struct dma_fence *fence)
{
	return "figment-queue";
}

/* No release and no wait: a signalled fence does not need this module any more. */
static const struct dma_fence_ops figment_fence_ops = {
	.get_driver_name = figment_fence_driver_name,
	.get_timeline_name = figment_fence_timeline_name,
};

static struct figment_stamp *figment_queue_stamp(struct figment_queue *queue,
						 struct figment_fence *fence)
{
	return &queue->control->stamps[fence->base.seqno % FIGMENT_STAMPS];
}

static u32 figment_queue_read32(struct figment_queue *queue, u32 reg)
{
	return figment_read32(queue->fdev, FIGMENT_REG_QUEUE(queue->hw_id) + reg);
}

static void figment_queue_command(struct figment_queue *queue, u32 command)
{
	figment_write32(queue->fdev, FIGMENT_REG_QUEUE(queue->hw_id) + FIGMENT_QUEUE_COMMAND,
			command);
}

/* --- jobs in the ring ----------------------------------------------------- */

static void figment_ring_put(struct figment_queue *queue, u64 qword)
{
	lockdep_assert_held(&queue->lock);

	queue->ring[queue->write / sizeof(qword) % FIGMENT_RING_QWORDS] = cpu_to_le64(qword);
	queue->write += sizeof(qword);
}

static void figment_ring_put_stamp(struct figment_queue *queue, u64 address)
{
	figment_ring_put(queue, FIGMENT_PACKET(FIGMENT_OP_TIMESTAMP, 2, 0));
	figment_ring_put(queue, address);
}

/**
 * figment_queue_emit() - Put a job into the ring.
 * @queue: the queue
 * @fence: zeroed; gets initialised, and a reference of the ring
 * @address: GPU address of the packets of the user
 * @size: bytes of them, maybe zero
 *
 * In the signalling path: does not allocate.
 *
 * Return: 0, or the errno for the fence of the job: then @fence is as before.
 */
int figment_queue_emit(struct figment_queue *queue, struct figment_fence *fence,
		       u64 address, u64 size)
{
	u64 control = FIGMENT_QUEUE_VA(queue->hw_id) + FIGMENT_RING_BYTES;
	int idx;

	guard(spinlock_irqsave)(&queue->lock);
	if (queue->dead)
		return queue->dead;

	dma_fence_init64(&fence->base, &figment_fence_ops, NULL, queue->fence_context,
			 ++queue->seqno);
	fence->begin = queue->write;
	fence->stamped = size;

	if (size) {
		struct figment_stamp *stamp = figment_queue_stamp(queue, fence);
		u64 at = control + ((void *)stamp - (void *)queue->control);

		WRITE_ONCE(stamp->begin, 0);
		WRITE_ONCE(stamp->end, 0);
		figment_ring_put_stamp(queue, at + offsetof(struct figment_stamp, begin));
		figment_ring_put(queue, FIGMENT_PACKET(FIGMENT_OP_INDIRECT, 3, 0));
		figment_ring_put(queue, address);
		figment_ring_put(queue, size);
		figment_ring_put_stamp(queue, at + offsetof(struct figment_stamp, end));
	}
	figment_ring_put(queue, FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3,
					       FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 |
					       FIGMENT_RELEASE_EVENT));
	figment_ring_put(queue, control + offsetof(struct figment_control, fence));
	figment_ring_put(queue, fence->base.seqno);

	/* Dropped when it signals. */
	dma_fence_get(&fence->base);
	list_add_tail(&fence->link, &queue->in_flight);

	/* A queue that is being reset finds the job when it is started again. */
	if (queue->running && drm_dev_enter(&queue->fdev->drm, &idx)) {
		/* writeq() orders this after the packets for the device. */
		writeq(queue->write,
		       queue->fdev->doorbells + queue->hw_id * FIGMENT_DOORBELL_BYTES);
		drm_dev_exit(idx);
	}
	return 0;
}

static void figment_queue_count(struct figment_queue *queue, int error, u32 code, u64 address)
{
	lockdep_assert_held(&queue->lock);

	queue->jobs++;
	/* Zero in a VM whose jobs the scheduler counts. */
	if (queue->reserved) {
		queue->reserved--;
		wake_up_interruptible(&queue->space);
	}
	if (error) {
		queue->errors++;
		queue->last_error = error;
		queue->last_code = code;
		queue->last_address = address;
	}
}

/* Device time in ns of a job that the device has executed; 0: not known. */
static u64 figment_queue_time_used(struct figment_queue *queue, struct figment_fence *fence)
{
	struct figment_stamp *stamp = figment_queue_stamp(queue, fence);
	u64 begin, end;

	lockdep_assert_held(&queue->lock);

	if (!fence->stamped)
		return 0;
	begin = le64_to_cpu(READ_ONCE(stamp->begin));
	end = le64_to_cpu(READ_ONCE(stamp->end));
	return begin && end > begin ? end - begin : 0;
}

static void figment_fence_signal_list(struct list_head *list)
{
	struct figment_fence *fence, *next;

	list_for_each_entry_safe(fence, next, list, link) {
		list_del_init(&fence->link);
		dma_fence_signal(&fence->base);
		dma_fence_put(&fence->base);
	}
}

/**
 * figment_queue_retire() - Signal the fences of the jobs that have ended.
 * @queue: the queue
 *
 * Any context, hard irq included.
 */
void figment_queue_retire(struct figment_queue *queue)
{
	struct figment_fence *fence, *next;
	LIST_HEAD(done);
	bool cookie;
	u64 ended;

	cookie = dma_fence_begin_signalling();
	scoped_guard(spinlock_irqsave, &queue->lock) {
		if (list_empty(&queue->in_flight))
			break;

		ended = le64_to_cpu(READ_ONCE(queue->control->fence));
		/* What jobs wrote comes before their number: see it, too. */
		dma_rmb();
		if (ended > queue->seqno) {
			drm_err_ratelimited(&queue->fdev->drm,
					    "queue %u: job %llu has ended, but %llu was the last\n",
					    queue->hw_id, ended, queue->seqno);
			break;
		}

		list_for_each_entry_safe(fence, next, &queue->in_flight, link) {
			if (fence->base.seqno > ended)
				break;
			list_move_tail(&fence->link, &done);
			atomic64_add(figment_queue_time_used(queue, fence),
				     &queue->client->engine_ns);
			figment_queue_count(queue, 0, 0, 0);
		}
	}
	figment_fence_signal_list(&done);
	dma_fence_end_signalling(cookie);
}

/** figment_queue_has_begun() - True when the device has begun with a job. */
bool figment_queue_has_begun(struct figment_queue *queue, struct figment_fence *fence)
{
	guard(spinlock_irqsave)(&queue->lock);
	return !queue->dead && fence->stamped &&
	       READ_ONCE(figment_queue_stamp(queue, fence)->begin);
}

/* --- recovery ------------------------------------------------------------- */

static int figment_code_to_errno(u32 code)
{
	switch (code) {
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

/* True for what a command buffer can not bring about. */
static bool figment_code_is_ours(u32 code)
{
	return code == FIGMENT_CODE_DESCRIPTOR || code == FIGMENT_CODE_DOORBELL ||
	       code == FIGMENT_CODE_PAGE_TABLE;
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
	queue->running = true;
	/* writel() orders this after the descriptor for the device. */
	figment_queue_command(queue, FIGMENT_QUEUE_START);
}

/* Start a queue that is off, with the first job that has not ended. */
static void figment_queue_restart(struct figment_queue *queue)
{
	struct figment_fence *first;

	lockdep_assert_held(&queue->hw_lock);

	queue->saved = false;
	if (queue->suspended)
		return;

	guard(spinlock_irqsave)(&queue->lock);
	if (queue->dead || figment_device_wedged(queue->fdev))
		return;
	first = list_first_entry_or_null(&queue->in_flight, struct figment_fence, link);
	figment_queue_start(queue, first ? first->begin : queue->write);
}

/* Take the queue off the device; on return nothing of it is in flight. */
static void figment_queue_reset(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u32 state;

	lockdep_assert_held(&queue->hw_lock);

	scoped_guard(spinlock_irqsave, &queue->lock)
		queue->running = false;

	figment_queue_command(queue, FIGMENT_QUEUE_RESET);
	if (read_poll_timeout(figment_queue_read32, state, state == FIGMENT_QUEUE_OFF,
			      20, FIGMENT_QUEUE_RESET_US, false, queue, FIGMENT_QUEUE_STATE))
		figment_device_wedge(fdev, "a queue can not be reset");
}

static void figment_queue_blame(struct figment_queue *queue, struct figment_fence *guilty,
				int error, u32 code, u64 address)
{
	LIST_HEAD(done);

	scoped_guard(spinlock_irqsave, &queue->lock) {
		list_move_tail(&guilty->link, &done);
		figment_queue_count(queue, error, code, address);
	}
	dma_fence_set_error(&guilty->base, error);
	figment_fence_signal_list(&done);
	figment_user_fence_wake(queue->fdev);
}

static struct figment_fence *figment_queue_first(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	return list_first_entry_or_null(&queue->in_flight, struct figment_fence, link);
}

static void figment_queue_reset_and_blame(struct figment_queue *queue, int error, u32 code,
					  u64 address, struct figment_fence *late)
{
	struct figment_fence *first;

	lockdep_assert_held(&queue->hw_lock);

	figment_queue_reset(queue);
	/* It may have ended just before the reset. */
	figment_queue_retire(queue);

	first = figment_queue_first(queue);
	if (first && (!late || first == late))
		figment_queue_blame(queue, first, error, code, address);
	else if (first && figment_queue_has_begun(queue, first))
		/* Hit by a reset that was not for it; half of it can not be undone. */
		figment_queue_blame(queue, first, -ECANCELED, FIGMENT_CODE_NONE, 0);

	figment_queue_restart(queue);
}

/* Look whether the device has stopped the queue; returns whether it had. */
static bool figment_queue_take_error(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u64 address;
	u32 code;

	if (figment_queue_read32(queue, FIGMENT_QUEUE_STATE) != FIGMENT_QUEUE_ERROR)
		return false;

	code = figment_queue_read32(queue, FIGMENT_QUEUE_CODE);
	address = figment_read64(fdev, FIGMENT_REG_QUEUE(queue->hw_id) + FIGMENT_QUEUE_ADDRESS);
	if (figment_code_is_ours(code))
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

	if (!figment_queue_take_error(queue) && late) {
		drm_dbg_driver(&fdev->drm, "queue %u: job %llu takes too long\n",
			       queue->hw_id, late->base.seqno);
		figment_queue_reset_and_blame(queue, -ETIME, FIGMENT_CODE_NONE, 0, late);
	}
	drm_dev_exit(idx);
}

static void figment_queue_error_work(struct work_struct *work)
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

/* --- long-running: a ring without a scheduler, queues that are put aside ---- */

static bool figment_queue_try_reserve(struct figment_queue *queue, int *error)
{
	guard(spinlock_irqsave)(&queue->lock);
	*error = queue->dead;
	if (queue->dead)
		return true;
	if (queue->reserved >= FIGMENT_QUEUE_CREDITS)
		return false;
	queue->reserved++;
	return true;
}

/**
 * figment_queue_reserve() - Wait until the ring has space for one more job.
 * @queue: a queue of a long-running VM
 *
 * The space is used by figment_queue_emit(), or given back by
 * figment_queue_unreserve().
 *
 * Return: 0; -ERESTARTSYS; the errno that the queue died of.
 */
int figment_queue_reserve(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	int error, idx;
	long ret;

	for (;;) {
		ret = wait_event_interruptible_timeout(queue->space,
						       figment_queue_try_reserve(queue, &error),
						       msecs_to_jiffies(FIGMENT_QUEUE_SPACE_MS));
		if (ret)
			return ret < 0 ? ret : error;
		/* An interrupt may have got lost. */
		if (!drm_dev_enter(&fdev->drm, &idx))
			return -ENODEV;
		figment_event_poll(fdev);
		drm_dev_exit(idx);
	}
}

/** figment_queue_unreserve() - Give back what figment_queue_reserve() took. */
void figment_queue_unreserve(struct figment_queue *queue)
{
	scoped_guard(spinlock_irqsave, &queue->lock)
		queue->reserved--;
	wake_up_interruptible(&queue->space);
}

/**
 * figment_queue_has_failed() - Has a job gone wrong, or the queue been killed?
 * @queue: the queue
 * @errors: errors that the caller knows of
 */
bool figment_queue_has_failed(struct figment_queue *queue, u64 errors)
{
	guard(spinlock_irqsave)(&queue->lock);
	return queue->dead || queue->errors != errors;
}

/** figment_queue_is_busy() - Does it have jobs that have not ended? */
bool figment_queue_is_busy(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	return !list_empty(&queue->in_flight);
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

/* --- long-running: faults --------------------------------------------------- */

/** figment_queue_set_fault() - The device waits for a page. Hard irq. */
void figment_queue_set_fault(struct figment_queue *queue, u64 address, bool write)
{
	guard(spinlock_irqsave)(&queue->lock);
	queue->fault.address = address;
	queue->fault.write = write;
}

/* Does the device wait for an answer about @address? The caller is inside drm_dev_enter(). */
static bool figment_queue_has_faulted(struct figment_queue *queue, u64 address)
{
	struct figment_device *fdev = queue->fdev;

	lockdep_assert_held(&queue->hw_lock);

	return !figment_device_wedged(fdev) &&
	       figment_queue_read32(queue, FIGMENT_QUEUE_STATE) == FIGMENT_QUEUE_FAULTED &&
	       figment_read64(fdev, FIGMENT_REG_QUEUE(queue->hw_id) +
			      FIGMENT_QUEUE_ADDRESS) == address;
}

/**
 * figment_queue_get_fault() - What the device waits for.
 * @queue: the queue
 * @address: gets the GPU address
 * @write: gets whether it is to be written
 *
 * Return: false when it does not wait, or not for what was reported last.
 */
bool figment_queue_get_fault(struct figment_queue *queue, u64 *address, bool *write)
{
	bool waits;
	int idx;

	scoped_guard(spinlock_irqsave, &queue->lock) {
		*address = queue->fault.address;
		*write = queue->fault.write;
	}

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&queue->fdev->drm, &idx))
		return false;
	waits = figment_queue_has_faulted(queue, *address);
	drm_dev_exit(idx);
	return waits;
}

/**
 * figment_queue_answer_fault() - Let the device try again, or give up.
 * @queue: the queue; nothing happens if it does not wait any more
 * @address: GPU address that the answer is about
 * @kill: the job ends with -EFAULT
 */
void figment_queue_answer_fault(struct figment_queue *queue, u64 address, bool kill)
{
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&queue->fdev->drm, &idx))
		return;
	if (figment_queue_has_faulted(queue, address))
		figment_queue_command(queue, kill ? FIGMENT_QUEUE_FAULT_KILL :
						    FIGMENT_QUEUE_FAULT_RETRY);
	drm_dev_exit(idx);
}

/* --- life and death ------------------------------------------------------- */

static void figment_queue_unmap_ring(struct figment_queue *queue)
{
	struct figment_pt_space *pt = &queue->vm->pt;
	struct figment_pt_stock stock;
	struct figment_pt_flush flush;

	figment_pt_stock_init(&stock);
	figment_pt_flush_init(&flush);
	scoped_guard(mutex, &pt->lock) {
		figment_pt_unmap(pt, &stock, &flush, FIGMENT_QUEUE_VA(queue->hw_id),
				 2 * PAGE_SIZE);
		figment_pt_flush(pt, &flush);
	}
	figment_pt_free_tables(pt, &flush.retired);
}

static void figment_queue_map_ring(struct figment_queue *queue, struct figment_pt_stock *stock)
{
	u64 flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE |
		    FIGMENT_PTE_PRIVILEGED;
	u64 va = FIGMENT_QUEUE_VA(queue->hw_id);
	struct figment_pt_space *pt = &queue->vm->pt;

	guard(mutex)(&pt->lock);
	figment_pt_map(pt, stock, va, PAGE_SIZE, queue->ring_bus | flags, false);
	figment_pt_map(pt, stock, va + PAGE_SIZE, PAGE_SIZE, queue->control_bus | flags, false);
}

static void figment_queue_free_memory(struct figment_queue *queue)
{
	struct device *dev = queue->fdev->drm.dev;

	if (queue->ring)
		dma_free_coherent(dev, FIGMENT_RING_BYTES, queue->ring, queue->ring_bus);
	if (queue->control)
		dma_free_coherent(dev, PAGE_SIZE, queue->control, queue->control_bus);
	queue->ring = NULL;
	queue->control = NULL;
}

/**
 * figment_queue_kill() - Take a queue from the hardware for good.
 * @queue: the queue
 * @error: errno for the fences of its jobs
 *
 * On return its jobs in the ring have signalled, and those that wait in the
 * scheduler will when their turn comes. In the signalling path; sleeps.
 */
void figment_queue_kill(struct figment_queue *queue, int error)
{
	struct figment_device *fdev = queue->fdev;
	struct figment_fence *fence;
	LIST_HEAD(done);
	bool cookie;
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead)
		return;

	cookie = dma_fence_begin_signalling();
	if (drm_dev_enter(&fdev->drm, &idx)) {
		if (!figment_device_wedged(fdev))
			figment_queue_reset(queue);
		drm_dev_exit(idx);
	}
	figment_queue_retire(queue);

	scoped_guard(spinlock_irqsave, &queue->lock) {
		queue->running = false;
		queue->dead = error;
		list_for_each_entry(fence, &queue->in_flight, link) {
			figment_queue_count(queue, error, FIGMENT_CODE_NONE, 0);
			dma_fence_set_error(&fence->base, error);
		}
		list_splice_init(&queue->in_flight, &done);
	}
	figment_fence_signal_list(&done);
	dma_fence_end_signalling(cookie);
	wake_up_interruptible(&queue->space);
	figment_user_fence_wake(fdev);

	figment_queue_unmap_ring(queue);
	/* Nobody looks at it who sees that the queue is dead. */
	figment_queue_free_memory(queue);
	scoped_guard(mutex, &fdev->queues.lock)
		RCU_INIT_POINTER(fdev->queues.slot[queue->hw_id], NULL);
}

/**
 * figment_queues_kill_all() - Kill the queues of all files.
 * @fdev: the device, wedged: no queue can come
 * @error: errno for the fences of their jobs
 */
void figment_queues_kill_all(struct figment_device *fdev, int error)
{
	u32 i;

	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue;

		scoped_guard(mutex, &fdev->queues.lock) {
			queue = rcu_dereference_protected(fdev->queues.slot[i],
							  lockdep_is_held(&fdev->queues.lock));
			/* Without a reference it is on its way out, but kills itself first. */
			if (queue && !kref_get_unless_zero(&queue->refs))
				queue = NULL;
		}
		if (!queue)
			continue;
		figment_queue_kill(queue, error);
		figment_queue_put(queue);
	}
}

static void figment_queue_fini_sched(struct figment_queue *queue)
{
	drm_sched_entity_fini(&queue->entity);
	drm_sched_fini(&queue->sched);
}

static void figment_queue_free_work(struct work_struct *work)
{
	struct figment_queue *queue = container_of(work, struct figment_queue, free_work);
	struct drm_device *drm = &queue->fdev->drm;

	figment_queue_kill(queue, -ECANCELED);
	if (queue->vm->strategy->remove_queue)
		queue->vm->strategy->remove_queue(queue);
	if (!queue->vm->strategy->long_running)
		figment_queue_fini_sched(queue);

	/* The interrupt handler may still be at it; after that nobody starts the work. */
	synchronize_rcu();
	cancel_work_sync(&queue->error_work);

	mutex_destroy(&queue->hw_lock);
	figment_vm_put(queue->vm);
	figment_client_put(queue->client);
	kfree_rcu(queue, rcu);
	drm_dev_put(drm);
}

static void figment_queue_release(struct kref *refs)
{
	struct figment_queue *queue = container_of(refs, struct figment_queue, refs);

	/* The last one may be a job, on the scheduler that goes away. */
	queue_work(figment_cleanup_wq, &queue->free_work);
}

/** figment_queue_get() - Take a reference; figment_queue_put() drops it. */
struct figment_queue *figment_queue_get(struct figment_queue *queue)
{
	kref_get(&queue->refs);
	return queue;
}

/** figment_queue_put() - Drop a reference. Any context that may take a spinlock. */
void figment_queue_put(struct figment_queue *queue)
{
	kref_put(&queue->refs, figment_queue_release);
}

static int figment_queue_alloc_slot(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	u32 i;

	guard(mutex)(&fdev->queues.lock);
	/* Checked under the lock: figment_queues_kill_all() sees the queue, or we this. */
	if (figment_device_wedged(fdev))
		return -ENODEV;
	for (i = 0; i < fdev->info.queues; i++) {
		if (rcu_access_pointer(fdev->queues.slot[i]))
			continue;
		queue->hw_id = i;
		rcu_assign_pointer(fdev->queues.slot[i], queue);
		return 0;
	}
	return -ENOSPC;
}

static int figment_queue_init_sched(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;
	struct drm_sched_init_args args = {
		.ops = &figment_job_sched_ops,
		.submit_wq = fdev->run_wq,
		.num_rqs = 1,
		.credit_limit = FIGMENT_QUEUE_CREDITS,
		.timeout = msecs_to_jiffies(figment_job_timeout_ms()),
		.timeout_wq = fdev->reset_wq,
		.name = "figment-queue",
		.dev = fdev->drm.dev,
	};
	struct drm_gpu_scheduler *sched = &queue->sched;
	int ret;

	ret = drm_sched_init(sched, &args);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&queue->entity, DRM_SCHED_PRIORITY_KERNEL, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}

/**
 * figment_queue_create() - Make a queue and start it.
 * @vm: the VM it works in
 * @client: whose time it uses
 * @args: checked by the caller; the caller is inside drm_dev_enter()
 *
 * Return: the queue with one reference, or an ERR_PTR as
 * DRM_IOCTL_FIGMENT_QUEUE_CREATE has it.
 */
struct figment_queue *figment_queue_create(struct figment_vm *vm, struct figment_client *client,
					   const struct drm_figment_queue_create *args)
{
	struct figment_device *fdev = vm->fdev;
	struct device *dev = fdev->drm.dev;
	struct figment_pt_stock stock;
	struct figment_queue *queue;
	int ret;

	queue = kzalloc_obj(*queue, GFP_KERNEL_ACCOUNT);
	if (!queue)
		return ERR_PTR(-ENOMEM);

	/* Dropped in figment_queue_free_work(). */
	figment_vm_get(vm);
	kref_get(&client->refs);
	drm_dev_get(&fdev->drm);

	kref_init(&queue->refs);
	queue->fdev = fdev;
	queue->vm = vm;
	queue->client = client;
	queue->priority = args->priority;
	queue->timeslice_ns = args->timeslice_ns ?: FIGMENT_TIMESLICE_NS;
	mutex_init(&queue->hw_lock);
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->in_flight);
	INIT_LIST_HEAD(&queue->suspend_link);
	init_waitqueue_head(&queue->space);
	INIT_WORK(&queue->error_work, figment_queue_error_work);
	INIT_WORK(&queue->fault.work, figment_fault_work);
	INIT_WORK(&queue->free_work, figment_queue_free_work);
	queue->fence_context = dma_fence_context_alloc(1);

	ret = -ENOMEM;
	queue->ring = dma_alloc_coherent(dev, FIGMENT_RING_BYTES, &queue->ring_bus,
					 GFP_KERNEL_ACCOUNT);
	queue->control = dma_alloc_coherent(dev, PAGE_SIZE, &queue->control_bus,
					    GFP_KERNEL_ACCOUNT);
	if (!queue->ring || !queue->control)
		goto free_memory;

	if (!vm->strategy->long_running) {
		ret = figment_queue_init_sched(queue);
		if (ret)
			goto free_memory;
	}

	/* The rings of all queues are near each other, and take the same tables. */
	figment_pt_stock_init(&stock);
	ret = figment_pt_stock_fill(&vm->pt, &stock, FIGMENT_VA_END, 2 * PAGE_SIZE);
	if (ret)
		goto free_stock;

	/* Whoever finds the queue in its slot, and kills it, has to wait for us. */
	mutex_lock(&queue->hw_lock);
	ret = figment_queue_alloc_slot(queue);
	if (!ret) {
		figment_queue_map_ring(queue, &stock);
		figment_write64(fdev, FIGMENT_REG_QUEUE(queue->hw_id) + FIGMENT_QUEUE_DESC,
				queue->control_bus);
		queue->suspended = vm->strategy->add_queue;
		figment_queue_restart(queue);
	}
	mutex_unlock(&queue->hw_lock);
	if (ret)
		goto free_stock;
	if (vm->strategy->add_queue)
		vm->strategy->add_queue(queue);

	figment_pt_stock_free(&vm->pt, &stock);
	return queue;

free_stock:
	figment_pt_stock_free(&vm->pt, &stock);
	if (!vm->strategy->long_running)
		figment_queue_fini_sched(queue);
free_memory:
	figment_queue_free_memory(queue);
	mutex_destroy(&queue->hw_lock);
	drm_dev_put(&fdev->drm);
	figment_client_put(client);
	figment_vm_put(vm);
	kfree(queue);
	return ERR_PTR(ret);
}
ALLOW_ERROR_INJECTION(figment_queue_create, ERRNO);

/** figment_queue_query() - DRM_IOCTL_FIGMENT_QUEUE_QUERY. */
void figment_queue_query(struct figment_queue *queue, struct drm_figment_queue_query *args)
{
	guard(spinlock_irqsave)(&queue->lock);
	args->jobs = queue->jobs;
	args->errors = queue->errors;
	args->last_error = queue->last_error;
	args->last_code = queue->last_code;
	args->last_address = queue->last_address;
}
