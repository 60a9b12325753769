// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Strategy "preempt": for hardware that can put its work aside. The notifier does
 * not wait for the end of jobs, which may never come, but until the queues of the
 * VM have left the hardware. They come back with the new pages.
 *
 *	first pass	as in the strategy fence: all fences of the VM are made to
 *			signal themselves. Here it is one, the preempt fence, and
 *			somebody asking for it is what starts the preemption
 *	suspend		all queues of the VM leave the device; the fence signals
 *	second pass	page tables, TLB, pages
 *	resume		the four verbs of figment_userptr.c; a new preempt fence;
 *			the queues go on where they were
 *
 * The queues run only while there is a preempt fence that has not signalled. It is
 * added under the notifier lock, after the check that no page is lost, as the
 * fences of jobs are elsewhere; so no queue slips in.
 *
 * Resuming needs memory and the pages, so no fence may depend on it. A thread of
 * the VM does it when there is work for the queues, else the next SUBMIT: a process
 * that forks with an idle GPU pays for the preemption once. A user queue comes back in
 * any case: nobody tells when it gets work. It is a thread and not a work so that it
 * can be interrupted when the VM is closed: what it waits for may be up to user space,
 * which may be waiting for the VM to be closed.
 *
 * A queue that does not leave in time is reset, and its job lost. That bounds the
 * time that the preempt fence takes, whatever user space has the GPU do.
 */
#include <linux/dma-fence.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"
#include "figment_watched.h"

/* When memory is too short to resume. */
#define FIGMENT_RESUME_RETRY_MS		10

/** struct figment_preempt_fence - Signals when the queues of a VM are off the device. */
struct figment_preempt_fence {
	/** @base: First, so that the fence can be freed without this driver. */
	struct dma_fence base;
	/** @vm: Lives until the fence has signalled. */
	struct figment_vm *vm;
};

static_assert(offsetof(struct figment_preempt_fence, base) == 0);

static const char *figment_preempt_driver_name(struct dma_fence *fence)
{
	return "figment";
}

static const char *figment_preempt_timeline_name(struct dma_fence *fence)
{
	return "figment-preempt";
}

/* Somebody wants the pages. May be called with any lock held, and in any context. */
static bool figment_preempt_enable_signaling(struct dma_fence *base)
{
	struct figment_preempt_fence *fence = container_of(base, struct figment_preempt_fence,
							   base);

	queue_work(fence->vm->fdev->preempt_wq, &fence->vm->preempt.suspend);
	return true;
}

static const struct dma_fence_ops figment_preempt_fence_ops = {
	.get_driver_name = figment_preempt_driver_name,
	.get_timeline_name = figment_preempt_timeline_name,
	.enable_signaling = figment_preempt_enable_signaling,
};

/* --- suspend -------------------------------------------------------------- */

/* Returns whether there is work left that has to go on. */
static bool figment_preempt_suspend(struct figment_vm *vm)
{
	ktime_t deadline = ktime_add_ms(ktime_get(), figment_preempt_timeout_ms());
	struct figment_queue *queue;
	bool busy = false;

	guard(mutex)(&vm->preempt.lock);
	if (!vm->preempt.fence)
		return false;

	/* All are asked before the first one is waited for. */
	list_for_each_entry(queue, &vm->preempt.queues, suspend_link)
		figment_queue_suspend_begin(queue);
	list_for_each_entry(queue, &vm->preempt.queues, suspend_link) {
		figment_queue_suspend_end(queue, deadline);
		busy |= figment_queue_wants_back(queue);
	}

	dma_fence_signal(vm->preempt.fence);
	dma_fence_put(vm->preempt.fence);
	vm->preempt.fence = NULL;
	return busy;
}

/* Have the queues brought back. */
static void figment_preempt_wake(struct figment_vm *vm)
{
	WRITE_ONCE(vm->preempt.resume, true);
	wake_up(&vm->preempt.wait);
}

static void figment_preempt_suspend_work(struct work_struct *work)
{
	struct figment_vm *vm = container_of(work, struct figment_vm, preempt.suspend);
	bool cookie = dma_fence_begin_signalling();
	bool busy = figment_preempt_suspend(vm);

	dma_fence_end_signalling(cookie);
	if (busy)
		figment_preempt_wake(vm);
}

/* --- resume --------------------------------------------------------------- */

static int figment_preempt_prepare_run(struct figment_vm *vm)
{
	lockdep_assert_held(&vm->lock);

	if (!vm->preempt.spare)
		vm->preempt.spare = kzalloc_obj(*vm->preempt.spare, GFP_KERNEL_ACCOUNT);
	return vm->preempt.spare ? 0 : -ENOMEM;
}

static void figment_preempt_run(struct figment_vm *vm)
{
	struct figment_preempt_fence *fence;
	struct figment_queue *queue;

	lockdep_assert_held(&vm->lock);
	lockdep_assert_held_read(&vm->svm.notifier_lock);

	guard(mutex)(&vm->preempt.lock);
	if (vm->preempt.fence)
		return;

	fence = vm->preempt.spare;
	vm->preempt.spare = NULL;
	fence->vm = vm;
	dma_fence_init64(&fence->base, &figment_preempt_fence_ops, NULL, vm->preempt.context,
			 ++vm->preempt.seqno);
	vm->preempt.fence = &fence->base;
	figment_vm_add_fence(vm, &fence->base);

	list_for_each_entry(queue, &vm->preempt.queues, suspend_link)
		figment_queue_resume(queue);
}

static int figment_preempt_resume(struct figment_vm *vm)
{
	struct figment_vm_hold hold;
	bool cookie;
	int ret;

	guard(mutex)(&vm->lock);
	ret = figment_preempt_prepare_run(vm);
	if (ret)
		return ret;
	ret = figment_vm_begin_resume(vm, &hold);
	if (ret)
		return ret;

	cookie = dma_fence_begin_signalling();
	figment_preempt_run(vm);
	dma_fence_end_signalling(cookie);

	figment_vm_end_job(vm, &hold);
	return 0;
}

static int figment_preempt_thread(void *data)
{
	struct figment_vm *vm = data;
	long wait = MAX_SCHEDULE_TIMEOUT;
	int ret;

	allow_kernel_signal(SIGKILL);
	/* Closing says it twice: a signal from before the line above is lost. */
	while (!kthread_should_stop() && !signal_pending(current) &&
	       !READ_ONCE(vm->preempt.closing)) {
		wait_event_interruptible_timeout(vm->preempt.wait, kthread_should_stop() ||
						 xchg(&vm->preempt.resume, false), wait);
		if (kthread_should_stop() || signal_pending(current))
			break;

		wait = MAX_SCHEDULE_TIMEOUT;
		ret = figment_preempt_resume(vm);
		/* -ENODEV, -ENOENT: there is nothing left to resume. */
		if (!ret || ret == -ENODEV || ret == -ENOENT)
			continue;
		drm_dbg_driver(&vm->fdev->drm, "asid %u: not resumed yet: %pe\n", vm->pt.asid,
			       ERR_PTR(ret));
		wait = msecs_to_jiffies(FIGMENT_RESUME_RETRY_MS);
	}

	/* Closed: stay to be stopped. */
	flush_signals(current);
	wait_event_idle(vm->preempt.wait, kthread_should_stop());
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static int figment_preempt_vm_init(struct figment_vm *vm)
{
	struct task_struct *thread;

	mutex_init(&vm->preempt.lock);
	INIT_LIST_HEAD(&vm->preempt.queues);
	INIT_WORK(&vm->preempt.suspend, figment_preempt_suspend_work);
	init_waitqueue_head(&vm->preempt.wait);
	vm->preempt.context = dma_fence_context_alloc(1);

	thread = kthread_run(figment_preempt_thread, vm, "figment-resume/%u", vm->pt.asid);
	if (IS_ERR(thread)) {
		mutex_destroy(&vm->preempt.lock);
		return PTR_ERR(thread);
	}
	vm->preempt.thread = thread;
	return 0;
}

static void figment_preempt_vm_interrupt(struct figment_vm *vm)
{
	WRITE_ONCE(vm->preempt.closing, true);
	send_sig(SIGKILL, vm->preempt.thread, true);
}

static void figment_preempt_vm_fini(struct figment_vm *vm)
{
	/* Without a fence nobody asks for a suspension, which asks for a resumption. */
	figment_preempt_suspend(vm);
	cancel_work_sync(&vm->preempt.suspend);
	kthread_stop(vm->preempt.thread);
	kfree(vm->preempt.spare);
	mutex_destroy(&vm->preempt.lock);
}

static void figment_preempt_add_queue(struct figment_queue *queue)
{
	struct figment_vm *vm = queue->vm;

	guard(mutex)(&vm->preempt.lock);
	list_add_tail(&queue->suspend_link, &vm->preempt.queues);
	/* Without a fence it waits for its first job, of which only SUBMIT would tell. */
	if (vm->preempt.fence)
		figment_queue_resume(queue);
	else if (queue->user)
		figment_preempt_wake(vm);
}

static void figment_preempt_remove_queue(struct figment_queue *queue)
{
	guard(mutex)(&queue->vm->preempt.lock);
	list_del_init(&queue->suspend_link);
}

const struct figment_strategy figment_strategy_preempt = {
	.name = "preempt",
	.long_running = true,
	.vm_init = figment_preempt_vm_init,
	.vm_interrupt = figment_preempt_vm_interrupt,
	.vm_fini = figment_preempt_vm_fini,
	.add_queue = figment_preempt_add_queue,
	.remove_queue = figment_preempt_remove_queue,
	.prepare_run = figment_preempt_prepare_run,
	.run = figment_preempt_run,
	.init = figment_watched_init,
	.pin = figment_watched_pin,
	.valid = figment_watched_valid,
	.unmap_dma = figment_watched_unmap_dma,
	.fini = figment_watched_fini,
};
