// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Strategy "fault": for hardware that can meet a page that is not there. The
 * notifier waits for nobody: it clears the entries, and when the device has
 * forgotten them, the pages are free. The job that wants them next stalls, and
 * asks; figment_fault.c answers.
 *
 *	first pass	clear the entries, start the invalidation
 *	second pass	wait until it is acknowledged, which takes as long as one
 *			access; unmap the pages for DMA
 *
 * Nothing is present when a range is bound, and SUBMIT has nothing to look at.
 */
#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

#include <drm/drm_drv.h>

#include "figment_device.h"
#include "figment_hw.h"
#include "figment_pt.h"
#include "figment_tlb.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/* Clears the entries of @count pages; returns the invalidation, 0: none is needed. */
static u64 figment_fault_zap(struct figment_userptr *userptr, unsigned long first,
			     unsigned long count)
{
	u64 begin = (u64)first << PAGE_SHIFT, end = begin + ((u64)count << PAGE_SHIFT);
	struct figment_pt_space *pt = &userptr->vm->pt;
	struct figment_pt_flush flush;
	struct figment_vma *vma;

	figment_pt_flush_init(&flush);
	guard(mutex)(&pt->lock);
	list_for_each_entry(vma, &userptr->vmas, link) {
		u64 from = max(begin, vma->base.gem.offset);
		u64 to = min(end, vma->base.gem.offset + vma->base.va.range);

		if (from < to)
			figment_pt_zap(pt, &flush, vma->base.va.addr +
				       (from - vma->base.gem.offset), to - from);
	}
	return figment_pt_flush_begin(pt, &flush);
}

/* Pages from @page on, up to @end, that are mapped for DMA, or that are not. */
static unsigned long figment_fault_run(const struct hmm_dma_map *map, unsigned long page,
				       unsigned long end)
{
	bool mapped = map->pfn_list[page] & HMM_PFN_DMA_MAPPED;
	unsigned long n = 1;

	while (page + n < end && !(map->pfn_list[page + n] & HMM_PFN_DMA_MAPPED) == !mapped)
		n++;
	return n;
}

/* Returns how many of them were mapped for DMA. */
static unsigned long figment_fault_unmap_pages(struct figment_userptr *userptr,
					       unsigned long first, unsigned long count)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	struct hmm_dma_map *map = &userptr->fault.map;
	unsigned long page, i, n, end = first + count, unmapped = 0;

	for (page = first; page < end; page += n) {
		n = figment_fault_run(map, page, end);
		if (!(map->pfn_list[page] & HMM_PFN_DMA_MAPPED))
			continue;
		/* What an IOMMU has mapped goes by one invalidation, not by one for each page. */
		if (dma_use_iova(&map->state))
			dma_iova_unlink(dev, &map->state, page * PAGE_SIZE, n * PAGE_SIZE,
					DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
		else
			for (i = page; i < page + n; i++)
				hmm_dma_unmap_pfn(dev, map, i);
		memset(map->pfn_list + page, 0, n * sizeof(*map->pfn_list));
		unmapped += n;
	}
	return unmapped;
}

/* The first pass: returns whether that was all. */
static bool figment_fault_begin(struct figment_userptr *userptr, unsigned long first,
				unsigned long count, struct figment_notice *notice)
{
	struct figment_vm *vm = userptr->vm;
	u64 since, tlb;

	tlb = figment_fault_zap(userptr, first, count);
	if (userptr->watch.busy) {
		/* What that one has cleared may be ours as well, and is not acknowledged. */
		since = figment_notice_now(notice);
		figment_tlb_wait(vm->fdev, max(tlb, userptr->fault.seq));
		figment_notice_waited(notice, since);
	} else if (!figment_tlb_is_done(vm->fdev, tlb)) {
		userptr->watch.busy = true;
		userptr->fault.first = first;
		userptr->fault.count = count;
		userptr->fault.seq = tlb;
		return false;
	}
	notice->pages += figment_fault_unmap_pages(userptr, first, count);
	return true;
}

static bool figment_fault_invalidate_start(struct mmu_interval_notifier *notifier,
					   const struct mmu_notifier_range *range,
					   unsigned long seq,
					   struct mmu_interval_notifier_finish **finish)
{
	struct figment_userptr *userptr = container_of(notifier, struct figment_userptr,
						       watch.notifier);
	unsigned long start = max(range->start, userptr->start);
	unsigned long end = min(range->end, userptr->start + userptr->size);
	unsigned long first = (start - userptr->start) >> PAGE_SHIFT;
	unsigned long count = (end - start) >> PAGE_SHIFT;
	struct figment_vm *vm = userptr->vm;
	struct figment_notice notice;
	bool done;

	figment_notice_begin(&notice, vm, false, range);

	/* Before anything is touched: the caller will try again, or go elsewhere. */
	if (!mmu_notifier_range_blockable(range)) {
		figment_notice_end(&notice, vm);
		return false;
	}

	scoped_guard(rwsem_write, &vm->svm.notifier_lock) {
		mmu_interval_set_seq(notifier, seq);
		done = figment_fault_begin(userptr, first, count, &notice);
	}

	if (done) {
		figment_notice_end(&notice, vm);
	} else {
		figment_notice_pause(&notice);
		userptr->watch.notice = notice;
		*finish = &userptr->watch.finish;
	}
	return true;
}

static void figment_fault_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct figment_userptr *userptr = container_of(finish, struct figment_userptr,
						       watch.finish);
	struct figment_notice notice = userptr->watch.notice;
	struct figment_vm *vm = userptr->vm;
	u64 since;

	figment_notice_resume(&notice);
	since = figment_notice_now(&notice);
	figment_tlb_wait(vm->fdev, userptr->fault.seq);
	figment_notice_waited(&notice, since);

	scoped_guard(rwsem_write, &vm->svm.notifier_lock) {
		notice.pages += figment_fault_unmap_pages(userptr, userptr->fault.first,
							  userptr->fault.count);
		userptr->watch.busy = false;
	}

	figment_notice_end(&notice, vm);
}

static const struct mmu_interval_notifier_ops figment_fault_notifier_ops = {
	.invalidate_start = figment_fault_invalidate_start,
	.invalidate_finish = figment_fault_invalidate_finish,
};

static int figment_fault_init(struct figment_userptr *userptr)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	int idx, ret;

	/* Found by figment_vm_unplug(), or not begun. */
	if (!drm_dev_enter(&userptr->vm->fdev->drm, &idx))
		return -ENODEV;
	ret = hmm_dma_map_alloc(dev, &userptr->fault.map, userptr->size >> PAGE_SHIFT, PAGE_SIZE);
	drm_dev_exit(idx);
	if (ret)
		return ret;
	ret = mmu_interval_notifier_insert(&userptr->watch.notifier, current->mm, userptr->start,
					   userptr->size, &figment_fault_notifier_ops);
	if (ret)
		hmm_dma_map_free(dev, &userptr->fault.map);
	return ret;
}

static int figment_fault_pin(struct figment_userptr *userptr)
{
	return figment_userptr_check_memory(userptr->vm, userptr->watch.notifier.mm,
					    userptr->start, userptr->size, !userptr->read_only);
}

static bool figment_fault_valid(struct figment_userptr *userptr)
{
	return true;
}

static void figment_fault_unmap_dma(struct figment_userptr *userptr)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	struct hmm_dma_map *map = &userptr->fault.map;

	/* The device is gone, and with the root of the page tables who could map more. */
	guard(rwsem_write)(&userptr->vm->svm.notifier_lock);
	if (!map->pfn_list)
		return;
	figment_fault_unmap_pages(userptr, 0, userptr->size >> PAGE_SHIFT);
	/* Later there is no IOMMU any more to give it back to. */
	if (dma_use_iova(&map->state)) {
		dma_iova_free(dev, &map->state);
		map->state = (struct dma_iova_state){};
	}
}

static void figment_fault_fini(struct figment_userptr *userptr)
{
	mmu_interval_notifier_remove(&userptr->watch.notifier);
	figment_fault_unmap_pages(userptr, 0, userptr->size >> PAGE_SHIFT);
	hmm_dma_map_free(userptr->vm->fdev->drm.dev, &userptr->fault.map);
}

const struct figment_strategy figment_strategy_fault = {
	.name = "fault",
	.long_running = true,
	.root_flags = FIGMENT_ROOT_FAULTS,
	.init = figment_fault_init,
	.pin = figment_fault_pin,
	.valid = figment_fault_valid,
	.unmap_dma = figment_fault_unmap_dma,
	.fini = figment_fault_fini,
};
