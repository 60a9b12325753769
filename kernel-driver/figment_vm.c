// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Address spaces: life, death, and the locks that hold them together. What
 * happens to mappings is in figment_bind.c; what happens when the kernel takes
 * pages away, in figment_userptr.c and the strategies.
 *
 * DOC: Locking
 *
 * From the outside to the inside:
 *
 *	figment_vm.mirror.lock			mutex
 *	figment_vm.lock				mutex
 *	  mmap_lock of the process		pages are faulted in
 *	  dma_resv of the VM			holds the fences of its jobs
 *	  dma_resv of buffers			with that of the VM, of those that move
 *	    figment_device.vram.moves		mutex; never those of two devices
 *	  figment_vm.userptrs.lock		mutex
 *	    [ memory allocation, fs_reclaim ]
 *	      notifier lock			rwsem, figment_vm.svm.notifier_lock
 *	        [ dma_fence_wait() ]		by notifiers, under the lock for writing
 *	        figment_pt_space.lock		mutex
 *	          drm_gem_object.gpuva.lock	mutex
 *	          figment_device.gate.lock	spinlock, hard irq
 *	        figment_vm.preempt.lock		mutex
 *	        figment_device.reset.lock	mutex
 *	        figment_queue.hw_lock		mutex
 *	          figment_device.queues.lock	mutex
 *	          figment_pt_space.lock		to unmap the ring of a dead queue, for a dump
 *	        figment_device.events.lock	spinlock, hard irq
 *	          figment_queue.lock		spinlock, hard irq
 *	            figment_device.gate.lock	spinlock, hard irq
 *
 * - The notifier lock is taken for writing by mmu notifiers, thus in reclaim:
 *   nothing is allocated under it, nor under any lock below it. Jobs take it for
 *   reading between the last check that their pages are still the right ones
 *   and the moment when their fence is in the dma_resv of the VM, where the
 *   notifier looks for it.
 * - Below the notifier lock everything is needed to make fences signal: a bind,
 *   a timeout, a reset. So no fence is waited for below it; only the notifier
 *   itself waits, under the notifier lock alone. The page-table lock is not
 *   held across that wait, as an asynchronous bind that the notifier waits for
 *   takes it.
 * - figment_vm.lock serialises binds and submissions of a VM. Neither notifiers
 *   nor jobs that have been armed take it.
 * - Memory that moves to VRAM does so under figment_vm.mirror.lock and mmap_lock, with
 *   pages locked. Pages of others may have to leave for it: of those no page is
 *   waited for, and no other lock taken than those that a notifier of theirs takes.
 *   Memory that comes back for a CPU does so under the mmap_lock of that CPU, with no lock
 *   of ours but those of notifiers, and figment_device.vram.access, which all CPUs hold
 *   for reading while they use VRAM, below mmap_lock, and nobody for writing for longer
 *   than it takes to close or open it. figment_device.vram.lock is taken below mmap_lock
 *   and allocates; the lock of figment_device.pagemap.blocks is a leaf, and is taken in
 *   interrupts.
 * - Buffers move to VRAM and back under figment_device.vram.moves, which comes after
 *   figment_vm.lock, mmap_lock and reservations, and before notifier locks of any VM: see
 *   figment_eviction.c. Below it, figment_bo.move keeps CPUs out while a buffer is copied.
 *   An importer is told under the reservation of the buffer that it moves, and then takes
 *   notifier locks of its own VMs; to map the buffer again it has that reservation and asks
 *   the exporter, who takes its figment_device.vram.moves. So an importer asks before it takes
 *   its own.
 * - figment_user_queue.lock comes after mmap_lock, as faults take it, and before
 *   figment_queue.hw_lock and i_mmap_rwsem, under which notifiers run. So it is taken
 *   by works that no fence depends on.
 * - figment_device.vms.lock is taken before all of these, at unplug, and alone
 *   when a VM comes or goes. figment_device.bos.lock is a leaf: buffers go
 *   under mmap_lock and under any reservation.
 */
#include <linux/dma-resv.h>
#include <linux/error-injection.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_bind.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_eviction.h"
#include "figment_mirror.h"
#include "figment_userptr.h"
#include "figment_vm.h"

#ifdef CONFIG_LOCKDEP
/** struct figment_vm_lesson - What lockdep is taught with. */
struct figment_vm_lesson {
	struct drm_gpusvm svm;
	struct figment_pt_space pt;
	struct dma_fence *fence;
	struct mmu_interval_notifier notifier;
};

static void figment_vm_teach_wait(struct figment_vm_lesson *lesson)
{
	down_write(&lesson->svm.notifier_lock);
	dma_fence_wait(lesson->fence, false);
	up_write(&lesson->svm.notifier_lock);
}

static bool figment_vm_lesson_invalidate(struct mmu_interval_notifier *notifier,
					 const struct mmu_notifier_range *range,
					 unsigned long seq)
{
	struct figment_vm_lesson *lesson = container_of(notifier, struct figment_vm_lesson,
							notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;
	mmu_interval_set_seq(notifier, seq);
	figment_vm_teach_wait(lesson);
	return true;
}

static const struct mmu_interval_notifier_ops figment_vm_lesson_ops = {
	.invalidate = figment_vm_lesson_invalidate,
};

/*
 * The map that stands for running notifiers is not for modules. So have one run:
 * on a page of the process that loads us, which nobody else knows.
 */
static void figment_vm_teach_notifier(struct figment_vm_lesson *lesson)
{
	unsigned long page;
	int ret;

	/* Built in there is no process; the first VM teaches it then. */
	if (!current->mm)
		return;
	page = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(page))
		return;
	ret = mmu_interval_notifier_insert(&lesson->notifier, current->mm, page, PAGE_SIZE,
					   &figment_vm_lesson_ops);
	vm_munmap(page, PAGE_SIZE);
	if (!ret)
		mmu_interval_notifier_remove(&lesson->notifier);
}
#endif

/**
 * figment_vm_prime_lockdep() - Teach lockdep the order before it is needed.
 *
 * Reclaim may run mmu notifiers, as the kernel itself has taught; ours takes the
 * notifier lock and waits for fences, and with them for all that runs before a
 * fence signals. From here on a wrong order is reported when it is first taken,
 * not when it meets the right one: no memory has to be short, no page taken
 * away, and nobody has to hang.
 */
void figment_vm_prime_lockdep(void)
{
#ifdef CONFIG_LOCKDEP
	struct figment_vm_lesson *lesson = kzalloc_obj(*lesson, GFP_KERNEL);
	bool cookie;

	if (!lesson)
		return;
	/* Locks of the classes that VMs use: initialised in the same places. */
	drm_gpusvm_init(&lesson->svm, "figment", NULL, 0, 0, 0, NULL, NULL, 0);
	figment_pt_init_lock(&lesson->pt);
	lesson->fence = dma_fence_get_stub();

	fs_reclaim_acquire(GFP_KERNEL);
	figment_vm_teach_wait(lesson);
	fs_reclaim_release(GFP_KERNEL);
	figment_vm_teach_notifier(lesson);

	cookie = dma_fence_begin_signalling();
	mutex_lock(&lesson->pt.lock);
	mutex_unlock(&lesson->pt.lock);
	dma_fence_end_signalling(cookie);

	dma_fence_put(lesson->fence);
	mutex_destroy(&lesson->pt.lock);
	drm_gpusvm_fini(&lesson->svm);
	kfree(lesson);
#endif
}

/** figment_vm_assert_notifier() - In a notifier of the VM, with its lock. */
void figment_vm_assert_notifier(struct figment_vm *vm)
{
	lockdep_assert_held_write(&vm->svm.notifier_lock);
}

/**
 * figment_vma_free_dead() - Free mappings that are gone from tree, tables and TLB.
 * @vm: the VM
 * @dead: list of them, left empty
 *
 * Drops the last reference of userptrs and buffers: sleeps, waits for running
 * notifiers, and so must be called with no lock held.
 */
void figment_vma_free_dead(struct figment_vm *vm, struct list_head *dead)
{
	struct figment_vma *vma, *next;

	list_for_each_entry_safe(vma, next, dead, link) {
		list_del(&vma->link);
		if (vma->userptr)
			figment_userptr_put(vma->userptr);
		kfree(vma);
	}
	drm_gpuvm_bo_deferred_cleanup(&vm->base);
}

/* How often somebody who waits for jobs looks whether the machine is being suspended. */
#define FIGMENT_VM_LOOK		(5 * HZ)

/**
 * figment_vm_wait_idle() - Wait until the device is not at work for a VM.
 * @vm: the VM, with its notifier lock for writing: no job begins
 *
 * Makes all fences signal themselves, those that put jobs aside among them. Where the
 * device asks for its pages there are none, and it may be at work.
 *
 * Uninterruptible: the kernel is about to use the pages for something else, whatever
 * signal comes. It ends because fences do; but not while the machine is suspended, and
 * whoever suspends it may be the one who wants the pages. Then the device is quiet, and a
 * job that comes back without them fails.
 *
 * Return: false: the machine is being suspended, and there are jobs or binds.
 */
bool figment_vm_wait_idle(struct figment_vm *vm)
{
	long ret;

	figment_vm_assert_notifier(vm);

	do {
		ret = dma_resv_wait_timeout(drm_gpuvm_resv(&vm->base), DMA_RESV_USAGE_BOOKKEEP,
					    false, FIGMENT_VM_LOOK);
	} while (!ret && !READ_ONCE(vm->fdev->reset.suspended));
	drm_WARN_ON(&vm->fdev->drm, ret < 0);
	return ret;
}

/* --- jobs ----------------------------------------------------------------- */

static int figment_vm_lock_resv(struct figment_vm *vm)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);
	int ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		dma_resv_unlock(resv);
	return ret;
}

static void figment_vm_unlock_resv(struct figment_vm *vm, struct figment_vm_hold *hold)
{
	if (hold->claimed)
		figment_claim_end(&hold->claim);
	else
		dma_resv_unlock(drm_gpuvm_resv(&vm->base));
}

/* With notifiers locked out. Returns also -EAGAIN: something has been lost again. */
static int figment_vm_commit(struct figment_vm *vm, struct figment_fresh *fresh,
			     struct figment_vm_hold *hold)
{
	struct list_head *userptrs = fresh ? &fresh->userptrs : NULL;

	if (!figment_userptr_recheck(vm, userptrs))
		return -EAGAIN;
	if (!fresh && !hold->claimed && figment_eviction_pending(vm))
		return -EAGAIN;
	if (!drm_dev_enter(&vm->fdev->drm, &hold->idx))
		return -ENODEV;
	if (!fresh && hold->claimed && !figment_eviction_commit(vm, &hold->claim)) {
		drm_dev_exit(hold->idx);
		return -EAGAIN;
	}
	figment_userptr_commit(vm, userptrs);
	return 0;
}

static int figment_vm_try_begin(struct figment_vm *vm, struct figment_fresh *fresh, bool tolerant,
				struct figment_vm_hold *hold)
{
	int ret;

	if (figment_device_wedged(vm->fdev))
		return -ENODEV;
	/* Destroyed after the caller had found it: its number is no more. */
	if (vm->closed)
		return -ENOENT;

	if (!fresh)
		figment_userptr_collect(vm);
	ret = figment_userptr_pin(vm, fresh ? &fresh->userptrs : NULL, tolerant);
	if (ret)
		return ret;

	/* Last, since all others who move buffers wait from here on. */
	hold->claimed = fresh ? fresh->count : figment_eviction_pending(vm);
	ret = !hold->claimed ? figment_vm_lock_resv(vm) :
	      figment_claim_begin(&hold->claim, vm, fresh ? fresh->objects : NULL,
				  fresh ? fresh->count : 0, tolerant);
	if (ret)
		return ret;

	down_read(&vm->svm.notifier_lock);
	ret = figment_vm_commit(vm, fresh, hold);
	if (hold->claimed)
		figment_claim_settle(vm);
	if (ret) {
		up_read(&vm->svm.notifier_lock);
		figment_vm_unlock_resv(vm, hold);
	}
	return ret;
}

static int figment_vm_begin(struct figment_vm *vm, struct figment_fresh *fresh, bool tolerant,
			    struct figment_vm_hold *hold)
{
	int ret;

	lockdep_assert_held(&vm->lock);

	/*
	 * Pages can be had only without the lock that keeps them from going
	 * away again: so get them, lock, look, and if one was lost, once more.
	 * The kernel makes progress between two rounds, and a signal ends them.
	 */
	while ((ret = figment_vm_try_begin(vm, fresh, tolerant, hold)) == -EAGAIN)
		if (signal_pending(current))
			return -ERESTARTSYS;
	return ret;
}

/**
 * figment_vm_begin_job() - Make a VM fit for a job, and hold it so.
 * @vm: the VM, locked
 * @fresh: for a bind: what it brings in, maybe nothing; for a job of a queue: NULL, it
 *	needs all userptrs and buffers of the VM
 * @hold: for figment_vm_end_job()
 *
 * On success the userptrs have their pages and the buffers their place, the page tables say
 * so (those of @fresh will, when the bind is executed), and no notifier can run before
 * figment_vm_end_job(). Until then the job is armed and its fence added, and
 * nothing is allocated.
 *
 * This is where userptr is told in four verbs.
 *
 * Return: 0; -ENODEV; -ENOENT: the VM is closed; -ERESTARTSYS: a signal came;
 * -EFAULT, -EOPNOTSUPP: the memory of a userptr is not what it was; -ENOMEM;
 * what figment_claim_begin() returns.
 */
int figment_vm_begin_job(struct figment_vm *vm, struct figment_fresh *fresh,
			 struct figment_vm_hold *hold)
{
	return figment_vm_begin(vm, fresh, false, hold);
}
ALLOW_ERROR_INJECTION(figment_vm_begin_job, ERRNO);

/**
 * figment_vm_begin_resume() - Make a VM fit for its jobs to go on.
 * @vm: the VM, locked
 * @hold: for figment_vm_end_job()
 *
 * As figment_vm_begin_job() for a job of a queue. But memory that is not what it
 * was keeps nobody back: it stays unmapped, and the job that touches it learns so.
 *
 * Return: 0, or as there.
 */
int figment_vm_begin_resume(struct figment_vm *vm, struct figment_vm_hold *hold)
{
	return figment_vm_begin(vm, NULL, true, hold);
}

/**
 * figment_vm_add_fence() - Show the fence of a job to the notifiers.
 * @vm: the VM, between figment_vm_begin_job() and figment_vm_end_job()
 * @fence: fence of the armed job
 */
void figment_vm_add_fence(struct figment_vm *vm, struct dma_fence *fence)
{
	lockdep_assert_held_read(&vm->svm.notifier_lock);
	dma_resv_add_fence(drm_gpuvm_resv(&vm->base), fence, DMA_RESV_USAGE_BOOKKEEP);
}

/** figment_vm_end_job() - Let the notifiers run again. */
void figment_vm_end_job(struct figment_vm *vm, struct figment_vm_hold *hold)
{
	drm_dev_exit(hold->idx);
	up_read(&vm->svm.notifier_lock);
	figment_vm_unlock_resv(vm, hold);
}

/* --- life and death ------------------------------------------------------- */

static void figment_vm_gpuvm_free(struct drm_gpuvm *gpuvm)
{
	kfree(container_of(gpuvm, struct figment_vm, base));
}

static const struct drm_gpuvm_ops figment_vm_ops = {
	.vm_free = figment_vm_gpuvm_free,
	.sm_step_map = figment_bind_step_map,
	.sm_step_remap = figment_bind_step_remap,
	.sm_step_unmap = figment_bind_step_unmap,
};

static void figment_vm_unmap_all(struct figment_vm *vm)
{
	struct drm_gpuva *va, *next;
	LIST_HEAD(dead);

	mutex_lock(&vm->pt.lock);
	drm_gpuvm_for_each_va_safe(va, next, &vm->base) {
		struct figment_vma *vma = to_figment_vma(va);

		if (va == &vm->base.kernel_alloc_node)
			continue;
		drm_gpuva_remove(va);
		drm_gpuva_unlink_defer(va);
		if (vma->userptr) {
			list_del(&vma->link);
			atomic_dec(&vma->userptr->mappings);
		}
		list_add(&vma->link, &dead);
	}
	mutex_unlock(&vm->pt.lock);

	figment_vma_free_dead(vm, &dead);
}

static void figment_vm_free_work(struct work_struct *work)
{
	struct figment_vm *vm = container_of(work, struct figment_vm, free_work);
	struct figment_device *fdev = vm->fdev;

	scoped_guard(mutex, &fdev->vms.lock)
		list_del(&vm->device_link);

	drm_sched_entity_fini(&vm->bind.entity);
	drm_sched_fini(&vm->bind.sched);
	dma_fence_put(vm->bind.last);
	if (vm->strategy->vm_fini)
		vm->strategy->vm_fini(vm);

	figment_pt_fini(&vm->pt);
	figment_vm_unmap_all(vm);
	ida_free(&fdev->asids, vm->pt.asid);
	figment_mirror_fini(vm);
	mutex_destroy(&vm->pt.lock);
	mutex_destroy(&vm->userptrs.lock);
	mutex_destroy(&vm->lock);

	/* Fences of the bind scheduler may be asked for their names a little longer. */
	synchronize_rcu();
	drm_gpuvm_put(&vm->base);
}

static void figment_vm_release(struct kref *refs)
{
	struct figment_vm *vm = container_of(refs, struct figment_vm, refs);

	/* The last one may be a bind, on the scheduler that goes away. */
	queue_work(figment_cleanup_wq, &vm->free_work);
}

/** figment_vm_get() - Take a reference; figment_vm_put() drops it. */
struct figment_vm *figment_vm_get(struct figment_vm *vm)
{
	kref_get(&vm->refs);
	return vm;
}

/** figment_vm_put() - Drop a reference. Any context that may take a spinlock. */
void figment_vm_put(struct figment_vm *vm)
{
	kref_put(&vm->refs, figment_vm_release);
}

/**
 * figment_vm_shut() - No more binds, jobs and queues.
 * @vm: the VM
 */
void figment_vm_shut(struct figment_vm *vm)
{
	if (vm->strategy->vm_interrupt)
		vm->strategy->vm_interrupt(vm);
	guard(mutex)(&vm->lock);
	vm->closed = true;
}

/**
 * figment_vm_close() - Take the VM from the hardware; no more binds and jobs.
 * @vm: the VM; its queues are dead
 */
void figment_vm_close(struct figment_vm *vm)
{
	figment_vm_shut(vm);
	figment_pt_fini(&vm->pt);
}

/**
 * figment_vm_publish_queue() - Give a queue its number, unless the VM is closed.
 * @vm: the VM of the queue
 * @queues: the queues of the file
 * @id: gets the number
 * @queue: the queue
 *
 * Return: 0; -ENOENT: closed meanwhile; -ENOSPC; -ENOMEM; -EINTR.
 */
int figment_vm_publish_queue(struct figment_vm *vm, struct xarray *queues, u32 *id,
			     struct figment_queue *queue)
{
	int ret;

	ret = mutex_lock_interruptible(&vm->lock);
	if (ret)
		return ret;
	ret = vm->closed ? -ENOENT :
	      xa_alloc(queues, id, queue, FIGMENT_ID_LIMIT, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&vm->lock);
	return ret == -EBUSY ? -ENOSPC : ret;
}

/**
 * figment_vm_unplug() - Free all that was allocated or mapped for DMA.
 * @vm: the VM; the device is quiet and unplugged
 */
void figment_vm_unplug(struct figment_vm *vm)
{
	struct figment_userptr *userptr;

	figment_vm_close(vm);

	scoped_guard(mutex, &vm->lock) {
		guard(mutex)(&vm->userptrs.lock);
		/* Binds that are under way do not map anything for DMA. */
		list_for_each_entry(userptr, &vm->userptrs.list, vm_link)
			vm->strategy->unmap_dma(userptr);
	}
	figment_mirror_unplug(vm);
}

static int figment_vm_alloc_asid(struct figment_device *fdev)
{
	int asid = ida_alloc_max(&fdev->asids, fdev->info.asids - 1, GFP_KERNEL);

	if (asid == -ENOSPC) {
		/* One may be on its way back. */
		flush_workqueue(figment_cleanup_wq);
		asid = ida_alloc_max(&fdev->asids, fdev->info.asids - 1, GFP_KERNEL);
	}
	return asid;
}

static int figment_vm_init_bind(struct figment_vm *vm)
{
	struct drm_sched_init_args args = {
		.ops = &figment_bind_sched_ops,
		.submit_wq = vm->fdev->bind_wq,
		.num_rqs = 1,
		.credit_limit = 1,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = "figment-bind",
		.dev = vm->fdev->drm.dev,
	};
	struct drm_gpu_scheduler *sched = &vm->bind.sched;
	int ret;

	ret = drm_sched_init(sched, &args);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&vm->bind.entity, DRM_SCHED_PRIORITY_KERNEL, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}

/**
 * figment_vm_create() - Make an address space.
 * @fdev: the device; the caller is inside drm_dev_enter()
 * @strategy: enum drm_figment_strategy
 * @flags: DRM_FIGMENT_VM_*, checked
 *
 * Return: the VM with one reference, or an ERR_PTR as
 * DRM_IOCTL_FIGMENT_VM_CREATE has it.
 */
struct figment_vm *figment_vm_create(struct figment_device *fdev, u32 strategy, u32 flags)
{
	const struct figment_strategy *ops = figment_strategy_find(fdev, strategy);
	struct drm_gem_object *resv;
	struct figment_vm *vm;
	int asid, ret;

	if (IS_ERR(ops))
		return ERR_CAST(ops);
	/* Only a device that asks for its pages can reach some that nobody has named. */
	if (flags & DRM_FIGMENT_VM_SVM && ops != &figment_strategy_fault)
		return ERR_PTR(-EINVAL);
	if (figment_device_wedged(fdev))
		return ERR_PTR(-ENODEV);

	vm = kzalloc_obj(*vm, GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	kref_init(&vm->refs);
	vm->fdev = fdev;
	vm->strategy = ops;
	mutex_init(&vm->userptrs.lock);
	INIT_LIST_HEAD(&vm->userptrs.list);
	INIT_LIST_HEAD(&vm->stale);
	INIT_LIST_HEAD(&vm->repin);
	INIT_WORK(&vm->free_work, figment_vm_free_work);
	mutex_init(&vm->lock);

	ret = figment_mirror_init(vm, flags & DRM_FIGMENT_VM_SVM);
	if (ret)
		goto free_vm;

	asid = figment_vm_alloc_asid(fdev);
	if (asid < 0) {
		ret = asid;
		goto fini_mirror;
	}
	ret = figment_pt_init(&vm->pt, fdev, asid, ops->root_flags);
	if (ret)
		goto free_asid;

	ret = figment_vm_init_bind(vm);
	if (ret)
		goto fini_pt;

	resv = drm_gpuvm_resv_object_alloc(&fdev->drm);
	if (!resv) {
		ret = -ENOMEM;
		goto fini_bind;
	}
	ret = ops->vm_init ? ops->vm_init(vm) : 0;
	if (ret)
		goto put_resv;
	drm_gpuvm_init(&vm->base, "figment", DRM_GPUVM_IMMEDIATE_MODE, &fdev->drm, resv,
		       0, BIT_ULL(FIGMENT_VA_BITS),
		       FIGMENT_VA_END, BIT_ULL(FIGMENT_VA_BITS) - FIGMENT_VA_END,
		       &figment_vm_ops);
	/* The VM holds it from now on. */
	drm_gem_object_put(resv);

	scoped_guard(mutex, &fdev->vms.lock)
		list_add_tail(&vm->device_link, &fdev->vms.list);
	return vm;

put_resv:
	drm_gem_object_put(resv);
fini_bind:
	drm_sched_entity_fini(&vm->bind.entity);
	drm_sched_fini(&vm->bind.sched);
fini_pt:
	figment_pt_fini(&vm->pt);
free_asid:
	ida_free(&fdev->asids, asid);
fini_mirror:
	figment_mirror_fini(vm);
free_vm:
	mutex_destroy(&vm->userptrs.lock);
	mutex_destroy(&vm->lock);
	kfree(vm);
	return ERR_PTR(ret);
}
ALLOW_ERROR_INJECTION(figment_vm_create, ERRNO);
