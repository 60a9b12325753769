// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The ring of a queue, which only the driver writes, in a part of the address
 * space that only privileged packets reach. A job is a call of the buffer of the
 * user, without privilege, and a privileged RELEASE that writes its sequence
 * number and reports it:
 *
 *	TIMESTAMP	begin
 *	INDIRECT	address and size from the user
 *	TIMESTAMP	end
 *	RELEASE		write the sequence number, and an event
 *
 * Jobs of a queue are executed in order, so the number says it for all jobs up
 * to it. What the event says is not looked at: the number in memory is.
 *
 * But the number alone is not believed. A job that has not noted when it ended has
 * not, whatever the number says; and one whose packets the descriptor says are
 * retired has ended, also if the number does not say so.
 *
 * Queues of long-running VMs have no scheduler: SUBMIT writes to the ring, and
 * the fences are for us alone.
 */
#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_event.h"
#include "figment_queue.h"
#include "figment_trace.h"
#include "figment_user_queue.h"
#include "figment_vm.h"
#include "figment_watchdog.h"

#define FIGMENT_JOB_QWORDS_MAX		10
#define FIGMENT_QUEUE_SPACE_MS		100

static_assert(offsetof(struct figment_fence, base) == 0);
static_assert(FIGMENT_QUEUE_CREDITS * FIGMENT_JOB_QWORDS_MAX <= FIGMENT_RING_QWORDS);
static_assert(FIGMENT_QUEUE_CREDITS <= FIGMENT_STAMPS);

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

/** figment_fence_alloc() - For a job of this process; figment_queue_emit() makes it a fence. */
struct figment_fence *figment_fence_alloc(void)
{
	struct figment_fence *fence = kzalloc_obj(*fence, GFP_KERNEL_ACCOUNT);

	if (!fence)
		return NULL;
	fence->pid = task_tgid_nr(current);
	get_task_comm(fence->comm, current->group_leader);
	return fence;
}

static struct figment_stamp *figment_queue_stamp(struct figment_queue *queue,
						 struct figment_fence *fence)
{
	return &queue->control->stamps[fence->base.seqno % FIGMENT_STAMPS];
}

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
 * @fence: of figment_fence_alloc(); gets initialised, and a reference of the ring
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
	fence->end = queue->write;

	/* Dropped when it signals. */
	dma_fence_get(&fence->base);
	list_add_tail(&fence->link, &queue->in_flight);
	trace_figment_job_emit(queue, fence);

	/* A queue that is being reset finds the job when it is started again. */
	if (queue->running && drm_dev_enter(&queue->fdev->drm, &idx)) {
		/* writeq() orders this after the packets for the device. */
		writeq(queue->write,
		       queue->fdev->doorbells + queue->hw_id * FIGMENT_DOORBELL_BYTES);
		drm_dev_exit(idx);
	}
	figment_watchdog_arm(queue->fdev);
	return 0;
}

/**
 * figment_queue_count() - A job has ended.
 * @queue: the queue, locked
 * @error: errno of its fence, or zero
 * @code: FIGMENT_CODE_* of the device, for @error
 * @address: GPU address that went wrong, for @error
 */
void figment_queue_count(struct figment_queue *queue, int error, u32 code, u64 address)
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

/** figment_fence_signal_list() - Signal fences that nobody else finds any more; any context. */
void figment_fence_signal_list(struct list_head *list)
{
	struct figment_fence *fence, *next;

	list_for_each_entry_safe(fence, next, list, link) {
		list_del_init(&fence->link);
		dma_fence_signal(&fence->base);
		dma_fence_put(&fence->base);
	}
}

static void figment_queue_disbelieve(struct figment_queue *queue, u64 number)
{
	lockdep_assert_held(&queue->lock);

	/* Once for each such number. */
	if (number == queue->disbelieved)
		return;
	queue->disbelieved = number;
	atomic64_inc(&queue->fdev->counts.completions_corrupt);
	drm_err_ratelimited(&queue->fdev->drm,
			    "queue %u: the device says that job %llu has ended, of %llu\n",
			    queue->hw_id, number, queue->seqno);
}

/* Has a job ended, if the device has written @number? Sees what it wrote, if so. */
static bool figment_queue_has_ended(struct figment_queue *queue, struct figment_fence *fence,
				    u64 number)
{
	struct figment_descriptor *desc = &queue->control->descriptor;

	lockdep_assert_held(&queue->lock);

	/* One without packets has nothing to end. */
	if (fence->base.seqno <= number &&
	    (!fence->stamped || READ_ONCE(figment_queue_stamp(queue, fence)->end))) {
		/* What jobs wrote comes before their number and their stamp: see it, too. */
		dma_rmb();
		return true;
	}

	/* The number was written before this: if it does not say so now, it is wrong. */
	if (le64_to_cpu(READ_ONCE(desc->read)) < fence->end)
		return false;
	dma_rmb();
	number = le64_to_cpu(READ_ONCE(queue->control->fence));
	if (fence->base.seqno > number)
		figment_queue_disbelieve(queue, number);
	return true;
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
	u64 number;

	cookie = dma_fence_begin_signalling();
	scoped_guard(spinlock_irqsave, &queue->lock) {
		if (list_empty(&queue->in_flight))
			break;

		number = le64_to_cpu(READ_ONCE(queue->control->fence));
		/* The stamps are older than that. */
		dma_rmb();
		if (number > queue->seqno) {
			figment_queue_disbelieve(queue, number);
			/* Then the descriptor tells. */
			number = 0;
		}
		list_for_each_entry_safe(fence, next, &queue->in_flight, link) {
			if (!figment_queue_has_ended(queue, fence, number))
				break;
			list_move_tail(&fence->link, &done);
			atomic64_add(figment_queue_time_used(queue, fence),
				     &queue->client->engine_ns);
			figment_queue_count(queue, 0, 0, 0);
			trace_figment_job_end(queue, fence, 0);
		}
	}
	figment_fence_signal_list(&done);
	dma_fence_end_signalling(cookie);
}

/** figment_queue_silence() - No more doorbells until the queue is started; any context. */
void figment_queue_silence(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	queue->running = false;
}

/** figment_queue_has_begun() - True when the device has begun with a job. */
bool figment_queue_has_begun(struct figment_queue *queue, struct figment_fence *fence)
{
	guard(spinlock_irqsave)(&queue->lock);
	return !queue->dead && fence->stamped &&
	       READ_ONCE(figment_queue_stamp(queue, fence)->begin);
}

/** figment_queue_first() - The first job that has not ended, or NULL. */
struct figment_fence *figment_queue_first(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	return list_first_entry_or_null(&queue->in_flight, struct figment_fence, link);
}

/* --- long-running: space in a ring without a scheduler --------------------- */

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

/** figment_queue_written() - Where the ring ends by now. */
u64 figment_queue_written(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	return queue->write;
}

/** figment_queue_has_drained() - Have all jobs ended that begin before @position of the ring? */
bool figment_queue_has_drained(struct figment_queue *queue, u64 position)
{
	struct figment_fence *first;

	guard(spinlock_irqsave)(&queue->lock);
	if (queue->user)
		return queue->dead || figment_user_queue_has_drained(queue, position);
	first = list_first_entry_or_null(&queue->in_flight, struct figment_fence, link);
	return !first || first->begin >= position;
}

/** figment_queue_is_busy() - Does it have jobs that have not ended? */
bool figment_queue_is_busy(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	if (queue->user)
		return !queue->dead && !queue->failed && figment_user_queue_is_busy(queue);
	return !list_empty(&queue->in_flight);
}

/** figment_queue_wants_back() - Does it have work, or may it get some without a call? */
bool figment_queue_wants_back(struct figment_queue *queue)
{
	guard(spinlock_irqsave)(&queue->lock);
	if (queue->user)
		return !queue->dead && !queue->failed;
	return !list_empty(&queue->in_flight);
}
