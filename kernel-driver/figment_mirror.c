// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Shared virtual memory: a VM that mirrors the address space of the process that
 * created it. Where nothing is bound, a GPU address is an address of the process.
 *
 * drm_gpusvm has the ranges: chunks of 4 KiB to 2 MiB that come with the first
 * fault in them, and go when the process unmaps them. What is bound explicitly has
 * its place first: a range that gets in its way yields its slots in the page tables,
 * and is replaced by a smaller one at the next fault.
 *
 * Pages may be in VRAM (figment_pagemap.c): moved there by a call, or by a fault of the
 * device where user space prefers that (figment_place.c). A range may have both kinds.
 * For a page that is to be written the kernel breaks the sharing with a child first, but
 * not for one in VRAM, where it only tells that it may not be written. Such a chunk
 * goes back to system memory, is unshared there, and may come again.
 *
 * A migration of ours runs the notifier like any other, and it is not told apart: the
 * device may be writing to the very page that is copied.
 *
 * figment_vm.mirror.lock is the lock that drm_gpusvm wants from a driver. It is the
 * outermost one, and held while pages are faulted in, which may take as long as a
 * handler of userfaultfd likes: nothing but faults of the VM waits for it.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_mirror.h"
#include "figment_notice.h"
#include "figment_pagemap.h"
#include "figment_place.h"
#include "figment_pt.h"
#include "figment_userptr.h"
#include "figment_vm.h"
#include "figment_watched.h"

/* As drm_gpusvm recommends: a notifier for so much, ranges in it of these sizes. */
#define FIGMENT_MIRROR_NOTIFIER		SZ_512M
static const unsigned long figment_mirror_chunks[] = { SZ_2M, SZ_64K, SZ_4K };

/* What the device has asked for stays in VRAM so long, whatever CPUs want. */
#define FIGMENT_MIRROR_STAY_MS		5
/* Of memory that is shared with a child, so much is unshared for one write. */
#define FIGMENT_MIRROR_UNSHARE		SZ_64K
/* Rounds of moving a chunk to VRAM, and of having it back, for one fault. */
#define FIGMENT_MIRROR_ROUNDS		3

/** struct figment_range - A chunk of the process. */
struct figment_range {
	struct drm_gpusvm_range base;
	/** @pages: DMA addresses; written under the notifier lock. */
	struct drm_gpusvm_pages pages;
	/** @link: In &figment_vm.mirror.ranges; under &figment_pt_space.lock. */
	struct list_head link;
	/** @garbage_link: In &figment_vm.mirror.garbage; under notifier lock. */
	struct list_head garbage_link;
	/** @mapped: Its slots are its own; under &figment_pt_space.lock. */
	bool mapped;
	/** @writable: @pages are for writing; under &figment_vm.mirror.lock. */
	bool writable;
	/** @forked: Pages are shared with a child, or were; set under notifier lock (write). */
	bool forked;
};

static struct figment_range *to_figment_range(struct drm_gpusvm_range *range)
{
	return container_of(range, struct figment_range, base);
}

static struct figment_vm *figment_range_vm(struct figment_range *range)
{
	return container_of(range->base.gpusvm, struct figment_vm, svm);
}

static unsigned long figment_range_pages(struct figment_range *range)
{
	return drm_gpusvm_range_size(&range->base) >> PAGE_SHIFT;
}

static void figment_range_unmap_pages(struct figment_range *range, bool in_notifier)
{
	struct drm_gpusvm_ctx ctx = { .in_notifier = in_notifier };

	drm_gpusvm_unmap_pages(range->base.gpusvm, &range->pages, figment_range_pages(range), &ctx);
}

/* --- ranges come and go --------------------------------------------------- */

static struct drm_gpusvm_range *figment_mirror_range_alloc(struct drm_gpusvm *svm)
{
	struct figment_vm *vm = container_of(svm, struct figment_vm, svm);
	struct figment_range *range = kzalloc_obj(*range, GFP_KERNEL_ACCOUNT);

	if (!range)
		return NULL;
	drm_gpusvm_init_pages(&range->pages, &vm->fdev->drm);
	INIT_LIST_HEAD(&range->garbage_link);

	guard(mutex)(&vm->pt.lock);
	/* The VM is closed; whoever takes the device away will not look here again. */
	if (!vm->pt.root) {
		kfree(range);
		return NULL;
	}
	list_add_tail(&range->link, &vm->mirror.ranges);
	return &range->base;
}

static void figment_mirror_range_free(struct drm_gpusvm_range *base)
{
	struct figment_range *range = to_figment_range(base);
	struct figment_vm *vm = figment_range_vm(range);

	/* No notifier finds it any more, but one may have thought it garbage before. */
	scoped_guard(rwsem_write, &vm->svm.notifier_lock)
		list_del(&range->garbage_link);
	scoped_guard(mutex, &vm->pt.lock)
		list_del(&range->link);
	drm_gpusvm_free_pages(&vm->svm, &range->pages, figment_range_pages(range));
	kfree(range);
}

static void figment_mirror_remove(struct figment_range *range)
{
	struct figment_vm *vm = figment_range_vm(range);
	struct figment_pt_stock stock;
	struct figment_pt_flush flush;

	lockdep_assert_held(&vm->mirror.lock);

	figment_pt_stock_init(&stock);
	figment_pt_flush_init(&flush);
	scoped_guard(mutex, &vm->pt.lock) {
		if (range->mapped)
			figment_pt_unmap(&vm->pt, &stock, &flush,
					 drm_gpusvm_range_start(&range->base),
					 drm_gpusvm_range_size(&range->base));
		range->mapped = false;
		figment_pt_flush(&vm->pt, &flush);
	}
	figment_pt_free_tables(&vm->pt, &flush.retired);
	/* In this order: as long as it is mapped for DMA, notifiers must find it. */
	figment_range_unmap_pages(range, false);
	drm_gpusvm_range_remove(&vm->svm, &range->base);
}

static void figment_mirror_collect(struct figment_vm *vm)
{
	struct figment_range *range;

	lockdep_assert_held(&vm->mirror.lock);

	for (;;) {
		scoped_guard(rwsem_write, &vm->svm.notifier_lock) {
			range = list_first_entry_or_null(&vm->mirror.garbage,
							 struct figment_range, garbage_link);
			if (range)
				list_del_init(&range->garbage_link);
		}
		if (!range)
			return;
		figment_mirror_remove(range);
	}
}

static void figment_mirror_collect_work(struct work_struct *work)
{
	struct figment_vm *vm = container_of(work, struct figment_vm, mirror.collect);

	guard(mutex)(&vm->mirror.lock);
	figment_mirror_collect(vm);
}

/* --- the notifier --------------------------------------------------------- */

static void figment_mirror_invalidate(struct drm_gpusvm *svm, struct drm_gpusvm_notifier *notifier,
				      const struct mmu_notifier_range *mmu_range)
{
	unsigned long start = max(mmu_range->start, drm_gpusvm_notifier_start(notifier));
	unsigned long end = min(mmu_range->end, drm_gpusvm_notifier_end(notifier));
	struct figment_vm *vm = container_of(svm, struct figment_vm, svm);
	struct drm_gpusvm_range *base = NULL;
	struct figment_pt_flush flush;
	struct figment_notice notice;

	figment_notice_begin(&notice, vm, true, mmu_range);
	figment_vm_assert_notifier(vm);

	figment_pt_flush_init(&flush);
	scoped_guard(mutex, &vm->pt.lock) {
		drm_gpusvm_for_each_range(base, notifier, start, end) {
			if (to_figment_range(base)->mapped)
				figment_pt_zap(&vm->pt, &flush, drm_gpusvm_range_start(base),
					       drm_gpusvm_range_size(base));
		}
		figment_notice_flush(&notice, vm, &flush);
	}

	base = NULL;
	drm_gpusvm_for_each_range(base, notifier, start, end) {
		struct figment_range *range = to_figment_range(base);

		if (range->pages.flags.has_dma_mapping)
			notice.pages += figment_range_pages(range);
		figment_range_unmap_pages(range, true);
		if (mmu_range->event == MMU_NOTIFY_PROTECTION_PAGE)
			WRITE_ONCE(range->forked, true);
		if (mmu_range->event != MMU_NOTIFY_UNMAP)
			continue;
		drm_gpusvm_range_set_unmapped(base, &range->pages, 1, mmu_range);
		if (list_empty(&range->garbage_link))
			list_add_tail(&range->garbage_link, &vm->mirror.garbage);
		queue_work(vm->fdev->fault_wq, &vm->mirror.collect);
	}

	figment_notice_end(&notice, vm);
}

static const struct drm_gpusvm_ops figment_mirror_ops = {
	.range_alloc = figment_mirror_range_alloc,
	.range_free = figment_mirror_range_free,
	.invalidate = figment_mirror_invalidate,
};

/* --- faults --------------------------------------------------------------- */

/* The addresses around @address, at most a chunk of @size, where nothing is bound. */
static int figment_mirror_gap(struct figment_vm *vm, u64 address, u64 size, u64 *start, u64 *end)
{
	struct drm_gpuva *va;

	*start = ALIGN_DOWN(address, size);
	*end = *start + size;

	guard(mutex)(&vm->pt.lock);
	drm_gpuvm_for_each_va_range(va, &vm->base, *start, *end) {
		u64 va_end = va->va.addr + va->va.range;

		if (va_end <= address)
			*start = max(*start, va_end);
		else if (va->va.addr > address)
			*end = min(*end, va->va.addr);
		else
			return -EAGAIN;
	}
	return 0;
}

static u64 figment_mirror_entry(const struct drm_pagemap_addr *addr)
{
	return addr->addr | (addr->proto == FIGMENT_INTERCONNECT_VRAM ? FIGMENT_PTE_VRAM : 0);
}

static void figment_mirror_write_entries(struct figment_vm *vm, struct figment_range *range,
					 struct figment_pt_stock *stock,
					 struct figment_pt_flush *flush)
{
	u64 va = drm_gpusvm_range_start(&range->base), end = drm_gpusvm_range_end(&range->base);
	const struct drm_pagemap_addr *addr = range->pages.dma_addr;
	u64 flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF |
		    (range->writable ? FIGMENT_PTE_WRITE : 0);

	lockdep_assert_held(&vm->pt.lock);

	while (va < end) {
		u64 entry = figment_mirror_entry(addr), size = 0;

		/* Small pages side by side, in a block of VRAM for one: one large entry. */
		do {
			size += min(end - va - size, PAGE_SIZE << addr->order);
			addr++;
		} while (va + size < end && figment_mirror_entry(addr) == entry + size);

		if (range->mapped)
			figment_pt_rewrite(&vm->pt, flush, va, size, entry | flags);
		else
			figment_pt_map(&vm->pt, stock, va, size, entry | flags, false);
		va += size;
	}
	range->mapped = true;
}

/* Returns 0; -EAGAIN: from the top; -EBUSY: the range is in the way of a mapping. */
static int figment_mirror_commit(struct figment_vm *vm, struct figment_range *range,
				 struct figment_pt_stock *stock)
{
	struct figment_pt_flush flush;

	figment_pt_flush_init(&flush);
	guard(rwsem_read)(&vm->svm.notifier_lock);
	guard(mutex)(&vm->pt.lock);

	if (!vm->pt.root)
		return -ENOENT;
	if (drm_gpuva_find_first(&vm->base, drm_gpusvm_range_start(&range->base),
				 drm_gpusvm_range_size(&range->base)))
		return -EBUSY;
	if (!drm_gpusvm_pages_valid(&vm->svm, &range->pages))
		return -EAGAIN;
	figment_mirror_write_entries(vm, range, stock, &flush);
	figment_pt_flush(&vm->pt, &flush);
	return 0;
}

/* The pages that were for reading only: let go of them, to get them for writing. */
static void figment_mirror_drop(struct figment_vm *vm, struct figment_range *range)
{
	struct figment_pt_flush flush;

	figment_pt_flush_init(&flush);
	guard(rwsem_write)(&vm->svm.notifier_lock);
	scoped_guard(mutex, &vm->pt.lock) {
		if (range->mapped)
			figment_pt_zap(&vm->pt, &flush, drm_gpusvm_range_start(&range->base),
				       drm_gpusvm_range_size(&range->base));
		figment_pt_flush(&vm->pt, &flush);
	}
	figment_range_unmap_pages(range, true);
}

static void *figment_mirror_owner(struct figment_vm *vm)
{
	return vm->fdev->pagemap.base.owner;
}

static int figment_mirror_get_pages(struct figment_vm *vm, struct figment_range *range, bool write)
{
	unsigned long start = drm_gpusvm_range_start(&range->base);
	unsigned long size = drm_gpusvm_range_size(&range->base);
	struct mmu_interval_notifier *notifier = &range->base.notifier->notifier;
	struct drm_gpusvm_pages_flags flags;
	struct drm_gpusvm_ctx ctx = {
		.device_private_page_owner = figment_mirror_owner(vm),
		.allow_mixed = true,
	};
	int ret;

	if (write && !range->writable)
		figment_mirror_drop(vm, range);
	/*
	 * What was lost comes back as it is asked for now: for writing, private pages
	 * are copied and those of files written back, all of the range.
	 */
	flags.__flags = READ_ONCE(range->pages.flags.__flags);
	if (!flags.has_dma_mapping)
		range->writable = write;
	ctx.read_only = !range->writable;

	/* Of another kind by now, maybe. */
	ret = figment_userptr_check_memory(vm, vm->svm.mm, start, size, range->writable);
	if (!ret)
		ret = drm_gpusvm_get_pages(&vm->svm, &range->pages, vm->svm.mm, notifier,
					   start, start + size, &ctx);
	if (!ret && range->writable)
		ret = figment_watched_mark_dirty(vm, notifier, range->pages.notifier_seq,
						 start, size, figment_mirror_owner(vm));
	return ret;
}

/*
 * Have the page that was asked for present before a range is chosen: if it is one of
 * a huge page, the range can be as large. Returns whether pages that nobody has asked
 * for may be made present around it, or a negative errno.
 */
static int figment_mirror_make_present(struct figment_vm *vm, u64 address, bool write)
{
	struct mm_struct *mm = vm->svm.mm;
	struct page *page;
	int locked = 1;
	bool huge;
	long ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	ret = mmap_read_lock_killable(mm);
	if (!ret) {
		ret = get_user_pages_remote(mm, address, 1, write ? FOLL_WRITE : 0, &page,
					    &locked);
		if (locked)
			mmap_read_unlock(mm);
	}
	if (ret == 1) {
		huge = folio_test_pmd_mappable(page_folio(page));
		put_page(page);
		ret = !huge && figment_userptr_may_prefault(mm, address, PAGE_SIZE);
	} else if (!ret) {
		ret = -EAGAIN;
	}
	mmput(mm);
	return ret;
}

/* Move a range to VRAM: all of it, or nothing. Returns 0 or why not. */
static int figment_mirror_to_vram(struct figment_vm *vm, struct figment_range *range,
				  unsigned long stay_ms)
{
	struct drm_pagemap *dpagemap = vm->mirror.pagemap;
	struct drm_gpusvm_range *base = &range->base;
	int ret;

	lockdep_assert_held(&vm->mirror.lock);

	/* Memory that the kernel can not migrate: files and shmem. */
	if (!dpagemap || !base->flags.migrate_devmem)
		return -EOPNOTSUPP;
	if (drm_gpusvm_scan_mm(base, figment_mirror_owner(vm), dpagemap->pagemap) ==
	    DRM_GPUSVM_SCAN_EQUAL)
		return 0;
	ret = drm_pagemap_populate_mm(dpagemap, drm_gpusvm_range_start(base),
				      drm_gpusvm_range_end(base), vm->svm.mm, stay_ms);
	if (ret == -EBUSY) {
		/* A part may be in VRAM already, ours or of another device: from the start. */
		drm_gpusvm_range_evict(&vm->svm, base);
		ret = drm_pagemap_populate_mm(dpagemap, drm_gpusvm_range_start(base),
					      drm_gpusvm_range_end(base), vm->svm.mm, stay_ms);
	}
	return ret;
}

/* Get the pages of a range, at the place where they should be if that is possible. */
static int figment_mirror_settle(struct figment_vm *vm, struct figment_range *range, bool write,
				 u32 place)
{
	unsigned int round;
	int ret;

	if (place == DRM_FIGMENT_PLACE_SYSTEM)
		drm_gpusvm_range_evict(&vm->svm, &range->base);

	for (round = 0; round < FIGMENT_MIRROR_ROUNDS; round++) {
		if (place == DRM_FIGMENT_PLACE_VRAM)
			figment_mirror_to_vram(vm, range, FIGMENT_MIRROR_STAY_MS);
		ret = figment_mirror_get_pages(vm, range, write);
		if (ret != -ESTALE)
			break;
		/* Shared with a child: home, where the kernel can unshare it. */
		drm_gpusvm_range_evict(&vm->svm, &range->base);
		ret = figment_mirror_get_pages(vm, range, write);
		if (ret || place != DRM_FIGMENT_PLACE_VRAM)
			break;
	}
	return ret == -ESTALE ? -EAGAIN : ret;
}

/* Addresses from @start on, before @end. */
struct figment_span {
	u64 start;
	u64 end;
};

/* The range that an address is in, within limits; a new one is no larger than @wanted. */
static struct drm_gpusvm_range *figment_mirror_find(struct figment_vm *vm, u64 address,
						    const struct figment_span *limits,
						    const struct figment_span *wanted,
						    const struct drm_gpusvm_ctx *ctx)
{
	struct drm_gpusvm_range *base;

	for (;;) {
		base = drm_gpusvm_range_find_or_insert(&vm->svm, address, wanted->start,
						       wanted->end, ctx);
		if (IS_ERR(base) || (drm_gpusvm_range_start(base) >= limits->start &&
				     drm_gpusvm_range_end(base) <= limits->end))
			return base;
		figment_mirror_remove(to_figment_range(base));
	}
}

/*
 * A large range whose pages are shared with a child makes way for a small one, as a range that
 * is for writing has all of its pages unshared, and loses all when a CPU unshares one.
 * Returns the range, or an ERR_PTR.
 */
static struct drm_gpusvm_range *figment_mirror_split(struct figment_vm *vm,
						     struct drm_gpusvm_range *base, u64 address,
						     const struct drm_gpusvm_ctx *ctx)
{
	struct figment_span small = {
		.start = max(ALIGN_DOWN(address, FIGMENT_MIRROR_UNSHARE),
			     drm_gpusvm_range_start(base)),
		.end = min(ALIGN_DOWN(address, FIGMENT_MIRROR_UNSHARE) + FIGMENT_MIRROR_UNSHARE,
			   drm_gpusvm_range_end(base)),
	};

	figment_mirror_remove(to_figment_range(base));
	return figment_mirror_find(vm, address, &small, &small, ctx);
}

/* With a range of at most @size bytes, if there is none yet. */
static int figment_mirror_resolve(struct figment_vm *vm, u64 address, bool write, u64 size,
				  unsigned long ahead, u64 *answered)
{
	struct drm_gpusvm_ctx ctx = {
		.read_only = !write,
		/* Only what the process has touched, and the page itself. */
		.check_pages_threshold = SZ_2M,
		.devmem_possible = vm->fdev->pagemap.on,
		.device_private_page_owner = figment_mirror_owner(vm),
	};
	struct drm_gpusvm_range *base;
	struct figment_pt_stock stock;
	struct figment_range *range;
	struct figment_span limits, wanted;
	u32 place;
	int may, ret;

	figment_mirror_collect(vm);

	if (address >= vm->svm.mm_start + vm->svm.mm_range)
		return -EFAULT;
	ret = figment_userptr_check_memory(vm, vm->svm.mm, address, PAGE_SIZE, write);
	if (ret)
		return ret;
	ret = figment_mirror_gap(vm, address, size, &limits.start, &limits.end);
	if (ret)
		return ret;
	place = figment_place_find(vm, address, &limits.start, &limits.end);
	wanted = limits;
	if (place == DRM_FIGMENT_PLACE_VRAM) {
		/* What is to be in VRAM goes there in large pieces. */
		ctx.check_pages_threshold = 0;
	} else if (!figment_pagemap_bytes(vm->mirror.pagemap)) {
		/* Else what is in VRAM would come home for it, as for a CPU. */
		may = figment_mirror_make_present(vm, address, write);
		if (may < 0)
			return may;
		if (may && ahead) {
			/* All of a chunk, whether the process has touched it or not. */
			wanted.start = max(limits.start, ALIGN_DOWN(address, ahead));
			wanted.end = min(limits.end, ALIGN_DOWN(address, ahead) + ahead);
			ctx.check_pages_threshold = 0;
		}
	}
	base = figment_mirror_find(vm, address, &limits, &wanted, &ctx);
	/* What is to be in VRAM is unshared and moved as it came: in large pieces. */
	if (!IS_ERR(base) && write && place != DRM_FIGMENT_PLACE_VRAM &&
	    READ_ONCE(to_figment_range(base)->forked) &&
	    drm_gpusvm_range_size(base) > FIGMENT_MIRROR_UNSHARE)
		base = figment_mirror_split(vm, base, address, &ctx);
	if (IS_ERR(base))
		return PTR_ERR(base);
	range = to_figment_range(base);

	figment_pt_stock_init(&stock);
	ret = figment_pt_stock_fill(&vm->pt, &stock, drm_gpusvm_range_start(base),
				    drm_gpusvm_range_size(base));
	if (!ret)
		ret = figment_mirror_settle(vm, range, write, place);
	if (!ret)
		ret = figment_mirror_commit(vm, range, &stock);
	figment_pt_stock_free(&vm->pt, &stock);
	*answered = drm_gpusvm_range_end(base);

	if (ret == -EFAULT || ret == -EPERM || ret == -EOPNOTSUPP || ret == -EBUSY) {
		struct drm_gpusvm_range_flags flags = {
			.__flags = READ_ONCE(base->flags.__flags),
		};

		/* A part of it has gone: what is left gets ranges of its own. */
		if (ret == -EBUSY || flags.unmapped)
			ret = -EAGAIN;
		figment_mirror_remove(range);
	}
	return ret;
}

/**
 * figment_mirror_fault() - Have the device reach a page of the process.
 * @vm: the VM; it mirrors
 * @address: GPU address, and address of the process; nothing is bound there
 * @write: the device wants to write
 * @ahead: bytes around it, a power of two up to 2 MiB, that the device may want, or 0
 * @answered: gets, on success, the address behind what the device can reach now
 *
 * Sleeps, maybe as long as user space likes.
 *
 * Return: 0; -EAGAIN: try the access again; another negative errno: it never will
 * succeed.
 */
int figment_mirror_fault(struct figment_vm *vm, u64 address, bool write, unsigned long ahead,
			 u64 *answered)
{
	int ret;

	guard(mutex)(&vm->mirror.lock);
	ret = figment_mirror_resolve(vm, address, write, SZ_2M, ahead, answered);
	/*
	 * Maybe it is another page of the range that is not to be had: it lies past the
	 * end of its file by now, or has become read-only. The range is gone.
	 */
	if (ret == -EFAULT || ret == -EPERM || ret == -EOPNOTSUPP)
		ret = figment_mirror_resolve(vm, address, write, PAGE_SIZE, 0, answered);
	return ret;
}

/**
 * figment_mirror_yield() - Free slots for a mapping that is about to come.
 * @vm: the VM
 * @address: first address
 * @size: bytes
 * @flush: collects what to invalidate
 */
void figment_mirror_yield(struct figment_vm *vm, u64 address, u64 size,
			  struct figment_pt_flush *flush)
{
	struct figment_pt_stock stock;
	struct figment_range *range;

	lockdep_assert_held(&vm->pt.lock);
	if (!vm->mirror.on)
		return;

	figment_pt_stock_init(&stock);
	list_for_each_entry(range, &vm->mirror.ranges, link) {
		if (!range->mapped || drm_gpusvm_range_start(&range->base) >= address + size ||
		    drm_gpusvm_range_end(&range->base) <= address)
			continue;
		figment_pt_unmap(&vm->pt, &stock, flush, drm_gpusvm_range_start(&range->base),
				 drm_gpusvm_range_size(&range->base));
		range->mapped = false;
	}
}

/* --- places --------------------------------------------------------------- */

/**
 * figment_mirror_for_each() - Call a function for each range that is mapped.
 * @vm: the VM
 * @fn: gets @data, first and last address; false: no more of them
 * @data: for @fn
 */
void figment_mirror_for_each(struct figment_vm *vm, bool (*fn)(void *data, u64 first, u64 last),
			     void *data)
{
	struct figment_range *range;

	lockdep_assert_held(&vm->pt.lock);

	list_for_each_entry(range, &vm->mirror.ranges, link)
		if (range->mapped && !fn(data, drm_gpusvm_range_start(&range->base),
					 drm_gpusvm_range_end(&range->base) - 1))
			return;
}

/**
 * figment_mirror_use_vram() - Have what it takes to move memory to VRAM.
 * @vm: the VM; it mirrors
 *
 * Return: 0; -EOPNOTSUPP: there is no VRAM; -ENOMEM.
 */
int figment_mirror_use_vram(struct figment_vm *vm)
{
	struct drm_pagemap *dpagemap;

	if (READ_ONCE(vm->mirror.pagemap))
		return 0;
	dpagemap = figment_pagemap_create(vm->fdev);
	if (IS_ERR(dpagemap))
		return PTR_ERR(dpagemap);
	/* Whoever comes second has nothing in his. */
	if (cmpxchg(&vm->mirror.pagemap, NULL, dpagemap))
		figment_pagemap_destroy(dpagemap);
	return 0;
}

/** figment_mirror_vram_bytes() - VRAM that memory of the process has. */
u64 figment_mirror_vram_bytes(struct figment_vm *vm)
{
	return figment_pagemap_bytes(READ_ONCE(vm->mirror.pagemap));
}

/**
 * figment_mirror_forget() - Have the device ask again for memory.
 * @vm: the VM, &figment_vm.mirror.lock is held
 * @start: first address
 * @end: exclusive
 */
void figment_mirror_forget(struct figment_vm *vm, u64 start, u64 end)
{
	struct drm_gpusvm_notifier *notifier, *next_notifier;
	struct drm_gpusvm_range *base, *next;

	lockdep_assert_held(&vm->mirror.lock);

	drm_gpusvm_for_each_notifier_safe(notifier, next_notifier, &vm->svm, start, end) {
		drm_gpusvm_for_each_range_safe(base, next, notifier, start, end) {
			/* The notifier goes with the last range in it. */
			bool last = !next;

			figment_mirror_remove(to_figment_range(base));
			if (last)
				break;
		}
	}
}

/* The first address from @at on where there is memory that the kernel can migrate. */
static u64 figment_mirror_next_anonymous(struct figment_vm *vm, u64 at, u64 end)
{
	struct mm_struct *mm = vm->svm.mm;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;
	u64 found = end;

	if (!mmget_not_zero(mm))
		return end;
	mmap_read_lock(mm);
	vma_iter_init(&vmi, mm, at);
	for_each_vma_range(vmi, vma, end) {
		/*
		 * Reserved addresses have no memory that could be moved, and would get
		 * some. Nor is anybody to wait here for a userfaultfd.
		 */
		if (!vma_is_anonymous(vma) || !(vma->vm_flags & VM_READ) ||
		    userfaultfd_armed(vma) ||
		    vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
			continue;
		found = max_t(u64, at, vma->vm_start);
		break;
	}
	mmap_read_unlock(mm);
	mmput(mm);
	return found;
}

/*
 * Move the chunk at @*at, and go behind it. Returns 0, also when it stays where it is;
 * an errno that the next chunk would give, too.
 */
static int figment_mirror_move_chunk(struct figment_vm *vm, u64 *at, u64 first, u64 last,
				     bool vram, u64 *moved)
{
	struct drm_gpusvm_ctx ctx = {
		.read_only = true,
		.devmem_possible = vm->fdev->pagemap.on,
		.device_private_page_owner = figment_mirror_owner(vm),
	};
	struct drm_gpusvm_range *base;
	struct figment_span limits;
	int ret;

	scoped_guard(mutex, &vm->pt.lock)
		if (!vm->pt.root)
			return figment_device_wedged(vm->fdev) ? -ENODEV : -ENOENT;
	figment_mirror_collect(vm);

	*at = figment_mirror_next_anonymous(vm, *at, last);
	if (*at == last)
		return 0;
	if (figment_mirror_gap(vm, *at, SZ_2M, &limits.start, &limits.end)) {
		/* Something is bound there: the device does not see the memory. */
		*at += PAGE_SIZE;
		return 0;
	}
	limits.start = max(limits.start, first);
	limits.end = min(limits.end, last);
	figment_place_find(vm, *at, &limits.start, &limits.end);

	base = figment_mirror_find(vm, *at, &limits, &limits, &ctx);
	if (IS_ERR(base)) {
		*at += PAGE_SIZE;
		ret = PTR_ERR(base);
		return ret == -ENOMEM ? ret : 0;
	}
	ret = vram ? figment_mirror_to_vram(vm, to_figment_range(base), 0) :
		     drm_gpusvm_range_evict(&vm->svm, base);
	if (!ret)
		*moved += drm_gpusvm_range_end(base) - *at;
	*at = drm_gpusvm_range_end(base);
	/* The device has not asked for it, and it may be that it never will. */
	if (ret && !to_figment_range(base)->mapped)
		figment_mirror_remove(to_figment_range(base));
	return ret == -ENODEV || ret == -EINTR ? ret : 0;
}

/**
 * figment_mirror_move() - Move memory of the process, as far as that is possible.
 * @vm: the VM; it mirrors current->mm; for VRAM after figment_mirror_use_vram()
 * @start: first address, of a page
 * @end: exclusive
 * @vram: to VRAM, else to system memory
 * @moved: counts bytes that are there now
 *
 * Return: 0, also when a signal came after something had been moved: whoever is called again
 * and again must get on; -ENODEV; -ENOENT: the VM is closed; -ENOMEM; -ERESTARTSYS.
 */
int figment_mirror_move(struct figment_vm *vm, u64 start, u64 end, bool vram, u64 *moved)
{
	u64 at = start;
	int ret;

	while (at < end) {
		/* A fault of the device may hold it as long as user space likes. */
		if (signal_pending(current) || mutex_lock_interruptible(&vm->mirror.lock))
			return *moved ? 0 : -ERESTARTSYS;
		ret = figment_mirror_move_chunk(vm, &at, start, end, vram, moved);
		mutex_unlock(&vm->mirror.lock);
		if (ret)
			return ret != -EINTR ? ret : *moved ? 0 : -ERESTARTSYS;
		cond_resched();
	}
	return 0;
}

/* --- life ----------------------------------------------------------------- */

/**
 * figment_mirror_init() - Prepare the mirror, and &figment_vm.svm.
 * @vm: the VM
 * @on: mirror current->mm; else userptrs only
 *
 * Return: 0 or a negative errno.
 */
int figment_mirror_init(struct figment_vm *vm, bool on)
{
	int ret;

	mutex_init(&vm->mirror.lock);
	INIT_LIST_HEAD(&vm->mirror.ranges);
	INIT_LIST_HEAD(&vm->mirror.garbage);
	INIT_WORK(&vm->mirror.collect, figment_mirror_collect_work);
	vm->mirror.on = on;
	figment_place_init(vm);

	if (on)
		ret = drm_gpusvm_init(&vm->svm, "figment", current->mm, 0, TASK_SIZE,
				      FIGMENT_MIRROR_NOTIFIER, &figment_mirror_ops,
				      figment_mirror_chunks, ARRAY_SIZE(figment_mirror_chunks));
	else
		/* For the page helpers, and for the lock. */
		ret = drm_gpusvm_init(&vm->svm, "figment", NULL, 0, 0, 0, NULL, NULL, 0);
	if (ret)
		mutex_destroy(&vm->mirror.lock);
	else
		drm_gpusvm_driver_set_lock(&vm->svm, &vm->mirror.lock);
	return ret;
}

/** figment_mirror_fini() - Undo figment_mirror_init(); the page tables are gone. Sleeps. */
void figment_mirror_fini(struct figment_vm *vm)
{
	scoped_guard(mutex, &vm->mirror.lock)
		drm_gpusvm_fini(&vm->svm);
	/* No notifier starts it any more, and there is nothing left for it. */
	cancel_work_sync(&vm->mirror.collect);
	figment_place_fini(vm);
	figment_pagemap_destroy(vm->mirror.pagemap);
	mutex_destroy(&vm->mirror.lock);
}

/**
 * figment_mirror_unplug() - Unmap all that is mapped for DMA, for good.
 * @vm: the VM, closed; the device is quiet
 */
void figment_mirror_unplug(struct figment_vm *vm)
{
	struct figment_range *range;

	guard(rwsem_write)(&vm->svm.notifier_lock);
	guard(mutex)(&vm->pt.lock);
	list_for_each_entry(range, &vm->mirror.ranges, link) {
		figment_range_unmap_pages(range, true);
		/* Whoever is getting pages for it right now finds this. */
		range->pages.flags.unmapped = true;
	}
}
