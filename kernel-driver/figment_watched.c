// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Userptrs that are watched: their pages may be taken away by an mmu notifier,
 * which first waits for all fences of the VM.
 *
 *	first pass	note that the pages are lost, so that the next job gets new
 *			ones; make all fences of the VM signal themselves
 *	second pass	wait for them; clear the page tables; flush the TLB; give
 *			the pages back
 *
 * Between the passes the kernel runs the first pass of other notifiers, other
 * devices among them, so that all of them come to an end at the same time. For
 * measurements there may be one pass only, see figment_one_pass().
 *
 * Why no job slips in: each adds its fence under the notifier lock after it has
 * checked, under the same lock, that no page is lost. So it comes before the
 * first pass, and the second one waits for it; or it finds the page lost.
 *
 * Which fences there are is up to the strategy: those of the jobs, or one that
 * signals when the jobs have been put aside.
 */
#include <linux/dma-resv.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include <drm/drm_gpusvm.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_pt.h"
#include "figment_userptr.h"
#include "figment_vm.h"
#include "figment_watched.h"

static void figment_watched_unmap_pages(struct figment_userptr *userptr, bool in_notifier)
{
	struct drm_gpusvm_ctx ctx = {
		.in_notifier = in_notifier,
		.read_only = userptr->read_only,
	};

	drm_gpusvm_unmap_pages(&userptr->vm->svm, &userptr->pages,
			       userptr->size >> PAGE_SHIFT, &ctx);
}

/* Returns true when some fence has not signalled yet. */
static bool figment_watched_kick(struct figment_vm *vm)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	bool busy = false;

	dma_resv_iter_begin(&cursor, drm_gpuvm_resv(&vm->base), DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		dma_fence_enable_signaling(fence);
		if (!dma_fence_is_signaled(fence))
			busy = true;
	}
	dma_resv_iter_end(&cursor);
	return busy;
}

static void figment_watched_give_back(struct figment_userptr *userptr,
				      struct figment_notice *notice)
{
	if (userptr->pages.flags.has_dma_mapping)
		notice->pages += userptr->size >> PAGE_SHIFT;
	figment_watched_unmap_pages(userptr, true);
}

/* The pages are lost to the device when this returns. */
static void figment_watched_take_away(struct figment_userptr *userptr,
				      struct figment_notice *notice)
{
	struct figment_vm *vm = userptr->vm;
	struct figment_pt_flush flush;
	struct figment_vma *vma;
	u64 since;

	since = figment_notice_now(notice);
	figment_vm_wait_idle(vm);
	figment_notice_waited(notice, since);

	figment_pt_flush_init(&flush);
	scoped_guard(mutex, &vm->pt.lock) {
		list_for_each_entry(vma, &userptr->vmas, link)
			figment_pt_zap(&vm->pt, &flush, vma->base.va.addr, vma->base.va.range);
		figment_notice_flush(notice, vm, &flush);
	}

	figment_watched_give_back(userptr, notice);
}

static bool figment_watched_invalidate_start(struct mmu_interval_notifier *notifier,
					     const struct mmu_notifier_range *range,
					     unsigned long seq,
					     struct mmu_interval_notifier_finish **finish)
{
	struct figment_userptr *userptr = container_of(notifier, struct figment_userptr,
						       watch.notifier);
	struct figment_vm *vm = userptr->vm;
	struct figment_notice notice;

	figment_notice_begin(&notice, vm, false, range);

	/* Before anything is touched: the caller will try again, or go elsewhere. */
	if (!mmu_notifier_range_blockable(range)) {
		figment_notice_end(&notice, vm);
		return false;
	}

	down_write(&vm->svm.notifier_lock);
	mmu_interval_set_seq(notifier, seq);

	if (!userptr->armed) {
		/* No job knows the pages, and no page table. */
		figment_watched_give_back(userptr, &notice);
	} else {
		list_move_tail(&userptr->stale_link, &vm->stale);
		if (figment_watched_kick(vm) && !userptr->watch.busy && !figment_one_pass()) {
			userptr->watch.busy = true;
			*finish = &userptr->watch.finish;
		} else {
			figment_watched_take_away(userptr, &notice);
		}
	}

	up_write(&vm->svm.notifier_lock);

	if (*finish) {
		figment_notice_pause(&notice);
		userptr->watch.notice = notice;
	} else {
		figment_notice_end(&notice, vm);
	}
	return true;
}

static void figment_watched_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct figment_userptr *userptr = container_of(finish, struct figment_userptr,
						       watch.finish);
	struct figment_notice notice = userptr->watch.notice;
	struct figment_vm *vm = userptr->vm;

	figment_notice_resume(&notice);

	down_write(&vm->svm.notifier_lock);
	figment_watched_take_away(userptr, &notice);
	userptr->watch.busy = false;
	up_write(&vm->svm.notifier_lock);

	figment_notice_end(&notice, vm);
}

static const struct mmu_interval_notifier_ops figment_watched_notifier_ops = {
	.invalidate_start = figment_watched_invalidate_start,
	.invalidate_finish = figment_watched_invalidate_finish,
};

/** figment_watched_init() - &figment_strategy.init. */
int figment_watched_init(struct figment_userptr *userptr)
{
	return mmu_interval_notifier_insert(&userptr->watch.notifier, current->mm,
					    userptr->start, userptr->size,
					    &figment_watched_notifier_ops);
}

/**
 * figment_watched_mark_dirty() - Mark pages dirty that the device may write.
 * @vm: the VM
 * @notifier: watches the pages
 * @seq: its sequence number when they were got
 * @start: CPU address
 * @size: bytes, whole pages
 * @owner: of pages in VRAM that may be among them, or NULL
 *
 * See figment_userptr_mark_dirty().
 *
 * Of its own pages, those in VRAM, the kernel tells where they are and never makes
 * them writable. Such a page may be shared with a child.
 *
 * Return: 0; -ESTALE: a page of @owner may not be written; -EBUSY: the pages were lost
 * meanwhile; -EFAULT, -ENOMEM, -EINTR.
 */
int figment_watched_mark_dirty(struct figment_vm *vm, struct mmu_interval_notifier *notifier,
			       unsigned long seq, unsigned long start, unsigned long size,
			       void *owner)
{
	unsigned long i, count = size >> PAGE_SHIFT;
	struct hmm_range range = {
		.notifier = notifier,
		.notifier_seq = seq,
		.start = start,
		.end = start + size,
		.dev_private_owner = owner,
	};
	struct mm_struct *mm = notifier->mm;
	int ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	/* Zeroed: no page is to be faulted in, just tell which ones there are. */
	range.hmm_pfns = kvcalloc(count, sizeof(*range.hmm_pfns), GFP_KERNEL);
	ret = range.hmm_pfns ? mmap_read_lock_killable(mm) : -ENOMEM;
	if (!ret) {
		ret = hmm_range_fault(&range);
		mmap_read_unlock(mm);
	}
	mmput(mm);
	if (ret)
		goto free_pfns;

	down_read(&vm->svm.notifier_lock);
	if (mmu_interval_read_retry(range.notifier, range.notifier_seq))
		ret = -EBUSY;
	for (i = 0; !ret && i < count; i++) {
		struct page *page = hmm_pfn_to_page(range.hmm_pfns[i]);

		if (range.hmm_pfns[i] & HMM_PFN_WRITE)
			figment_userptr_mark_dirty(page);
		else if (range.hmm_pfns[i] & HMM_PFN_VALID && is_device_private_page(page))
			ret = -ESTALE;
	}
	up_read(&vm->svm.notifier_lock);

free_pfns:
	kvfree(range.hmm_pfns);
	return ret;
}

/** figment_watched_pin() - &figment_strategy.pin. */
int figment_watched_pin(struct figment_userptr *userptr)
{
	struct mmu_interval_notifier *notifier = &userptr->watch.notifier;
	struct drm_gpusvm_ctx ctx = {
		.read_only = userptr->read_only,
	};
	unsigned long seq;
	int ret;

	/*
	 * Memory of another kind may be mapped there between the check and the
	 * faults; the sequence number tells, because the old mapping had to go.
	 */
	do {
		if (signal_pending(current))
			return -ERESTARTSYS;
		if (figment_device_wedged(userptr->vm->fdev))
			return -ENODEV;

		seq = mmu_interval_read_begin(notifier);
		ret = figment_userptr_check_memory(userptr->vm, notifier->mm, userptr->start,
						   userptr->size, !userptr->read_only);
		if (ret)
			return ret;

		ret = drm_gpusvm_get_pages(&userptr->vm->svm, &userptr->pages, notifier->mm,
					   notifier, userptr->start,
					   userptr->start + userptr->size, &ctx);
		if (!ret && !userptr->read_only)
			ret = figment_watched_mark_dirty(userptr->vm, notifier,
							 userptr->pages.notifier_seq,
							 userptr->start, userptr->size,
							 NULL);
	} while (ret == -EBUSY || (!ret && userptr->pages.notifier_seq != seq));

	/* A protection that hmm_range_fault() found, and the check before it not. */
	return ret == -EPERM ? -EFAULT : ret;
}

/** figment_watched_valid() - &figment_strategy.valid. */
bool figment_watched_valid(struct figment_userptr *userptr)
{
	lockdep_assert_held_read(&userptr->vm->svm.notifier_lock);
	return !mmu_interval_read_retry(&userptr->watch.notifier, userptr->pages.notifier_seq);
}

/** figment_watched_unmap_dma() - &figment_strategy.unmap_dma. */
void figment_watched_unmap_dma(struct figment_userptr *userptr)
{
	figment_watched_unmap_pages(userptr, false);
}

/** figment_watched_fini() - &figment_strategy.fini. */
void figment_watched_fini(struct figment_userptr *userptr)
{
	/* In this order: until the notifier is removed, the pages are ours to unmap. */
	drm_gpusvm_free_pages(&userptr->vm->svm, &userptr->pages, userptr->size >> PAGE_SHIFT);
	mmu_interval_notifier_remove(&userptr->watch.notifier);
}
