// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The life of a hardware queue. What its ring has is in figment_ring.c, what is
 * done when a job goes wrong in figment_recovery.c, and how a queue leaves the
 * hardware for a while in figment_suspend.c.
 *
 * A queue dies by figment_queue_kill(): it leaves the hardware at once, and
 * its number is free again; that of a user queue a little later, when nobody has its
 * doorbell mapped any more (figment_user_queue.c). Jobs that wait in the scheduler,
 * maybe for fences of others, drain through it with an error; the last one takes it
 * along.
 */
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_drv.h"
#include "figment_fault.h"
#include "figment_job.h"
#include "figment_queue.h"
#include "figment_trace.h"
#include "figment_user_fence.h"
#include "figment_user_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

#define FIGMENT_TIMESLICE_NS		NSEC_PER_MSEC

static_assert(sizeof(struct figment_control) <= PAGE_SIZE);
static_assert(offsetof(struct figment_control, descriptor) % 256 == 0);
static_assert(FIGMENT_RING_BYTES == PAGE_SIZE);
static_assert(FIGMENT_QUEUE_VA(FIGMENT_QUEUES_MAX) <= BIT_ULL(FIGMENT_VA_BITS));

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

static int figment_queue_alloc_memory(struct figment_queue *queue,
				      const struct drm_figment_queue_create *args)
{
	struct device *dev = queue->fdev->drm.dev;

	if (args->flags & DRM_FIGMENT_QUEUE_USER)
		return figment_user_queue_init(queue, args);

	queue->ring = dma_alloc_coherent(dev, FIGMENT_RING_BYTES, &queue->ring_bus,
					 GFP_KERNEL_ACCOUNT);
	queue->control = dma_alloc_coherent(dev, PAGE_SIZE, &queue->control_bus,
					    GFP_KERNEL_ACCOUNT);
	return queue->ring && queue->control ? 0 : -ENOMEM;
}

static void figment_queue_free_memory(struct figment_queue *queue)
{
	struct device *dev = queue->fdev->drm.dev;

	if (queue->user) {
		figment_user_queue_unmap_dma(queue);
		return;
	}
	if (queue->ring)
		dma_free_coherent(dev, FIGMENT_RING_BYTES, queue->ring, queue->ring_bus);
	if (queue->control)
		dma_free_coherent(dev, PAGE_SIZE, queue->control, queue->control_bus);
	queue->ring = NULL;
	queue->control = NULL;
}

static void figment_queue_free_slot(struct figment_queue *queue)
{
	struct figment_device *fdev = queue->fdev;

	guard(mutex)(&fdev->queues.lock);
	RCU_INIT_POINTER(fdev->queues.slot[queue->hw_id], NULL);
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
		figment_queue_reset(queue);
		drm_dev_exit(idx);
	}
	figment_queue_retire(queue);

	scoped_guard(spinlock_irqsave, &queue->lock) {
		queue->running = false;
		queue->dead = error;
		list_for_each_entry(fence, &queue->in_flight, link) {
			figment_queue_count(queue, error, FIGMENT_CODE_NONE, 0);
			trace_figment_job_end(queue, fence, error);
			dma_fence_set_error(&fence->base, error);
		}
		list_splice_init(&queue->in_flight, &done);
	}
	figment_fence_signal_list(&done);
	dma_fence_end_signalling(cookie);
	wake_up_interruptible(&queue->space);
	figment_user_fence_wake(fdev);

	if (!queue->user)
		figment_queue_unmap_ring(queue);
	/* Nobody looks at it who sees that the queue is dead. */
	figment_queue_free_memory(queue);
	/* Else it takes locks that are not for here, see figment_queue_free_work(). */
	if (!queue->user)
		figment_queue_free_slot(queue);
}

/** figment_queue_find() - The queue with that number, with a reference; or NULL. */
struct figment_queue *figment_queue_find(struct figment_device *fdev, u32 hw_id)
{
	struct figment_queue *queue;

	guard(mutex)(&fdev->queues.lock);
	queue = rcu_dereference_protected(fdev->queues.slot[hw_id],
					  lockdep_is_held(&fdev->queues.lock));
	/* Without a reference it is on its way out, but kills itself first. */
	return queue && kref_get_unless_zero(&queue->refs) ? queue : NULL;
}

/**
 * figment_queues_visit() - Call a function for each queue that lives.
 * @fdev: the device
 * @visit: called under &figment_queue.hw_lock
 */
void figment_queues_visit(struct figment_device *fdev, void (*visit)(struct figment_queue *queue))
{
	u32 i;

	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue = figment_queue_find(fdev, i);

		if (!queue)
			continue;
		scoped_guard(mutex, &queue->hw_lock)
			if (!queue->dead)
				visit(queue);
		figment_queue_put(queue);
	}
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
		struct figment_queue *queue = figment_queue_find(fdev, i);

		if (!queue)
			continue;
		figment_queue_kill(queue, error);
		figment_queue_put(queue);
	}
}

/**
 * figment_queues_are_busy() - Are there jobs that have not ended?
 * @fdev: the device; any context
 * @vm: of this VM; NULL: of any
 */
bool figment_queues_are_busy(struct figment_device *fdev, struct figment_vm *vm)
{
	unsigned int i;

	guard(rcu)();
	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue = rcu_dereference(fdev->queues.slot[i]);

		if (queue && (!vm || queue->vm == vm) && figment_queue_is_busy(queue))
			return true;
	}
	return false;
}

/** figment_queues_silence() - No more doorbells; any context. */
void figment_queues_silence(struct figment_device *fdev)
{
	unsigned int i;

	guard(rcu)();
	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue = rcu_dereference(fdev->queues.slot[i]);

		if (queue)
			figment_queue_silence(queue);
	}
}

/** figment_queues_retire() - Signal the fences of jobs that nobody has told of; any context. */
void figment_queues_retire(struct figment_device *fdev)
{
	unsigned int i;

	guard(rcu)();
	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue = rcu_dereference(fdev->queues.slot[i]);

		if (queue)
			figment_queue_retire(queue);
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
	if (queue->user) {
		figment_user_queue_revoke(queue);
		figment_queue_free_slot(queue);
	}
	if (queue->vm->strategy->remove_queue)
		queue->vm->strategy->remove_queue(queue);
	if (!queue->vm->strategy->long_running)
		figment_queue_fini_sched(queue);

	/* The interrupt handler may still be at it; after that nobody starts the work. */
	synchronize_rcu();
	cancel_work_sync(&queue->error_work);

	figment_user_queue_put(queue->user);
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

/* Whoever finds the queue in its slot, and kills it, has to wait until it is started. */
static int figment_queue_enter(struct figment_queue *queue, struct figment_pt_stock *stock)
{
	int ret;

	guard(mutex)(&queue->hw_lock);
	ret = figment_queue_alloc_slot(queue);
	if (ret)
		return ret;
	if (queue->user)
		figment_user_queue_enter(queue);
	else
		figment_queue_map_ring(queue, stock);
	queue->suspended = queue->vm->strategy->add_queue;
	figment_queue_restart(queue);
	return 0;
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
	struct figment_pt_stock stock;
	struct figment_queue *queue;
	int ret;

	/* What others wait for must not depend on what nobody can see the end of. */
	if (args->flags & DRM_FIGMENT_QUEUE_USER && !vm->strategy->long_running)
		return ERR_PTR(-EOPNOTSUPP);

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

	ret = figment_queue_alloc_memory(queue, args);
	if (ret)
		goto free_memory;

	if (!vm->strategy->long_running) {
		ret = figment_queue_init_sched(queue);
		if (ret)
			goto free_memory;
	}

	/* The rings of all queues are near each other, and take the same tables. */
	figment_pt_stock_init(&stock);
	ret = queue->user ? 0 :
	      figment_pt_stock_fill(&vm->pt, &stock, FIGMENT_VA_END, 2 * PAGE_SIZE);
	if (ret)
		goto free_stock;

	ret = figment_queue_enter(queue, &stock);
	if (ret == -ENOSPC) {
		/* One may be on its way back. */
		flush_workqueue(figment_cleanup_wq);
		ret = figment_queue_enter(queue, &stock);
	}
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
	figment_user_queue_put(queue->user);
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
