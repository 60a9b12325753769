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
 * figment_vm.mirror.lock is the lock that drm_gpusvm wants from a driver. It is the
 * outermost one, and held while pages are faulted in, which may take as long as a
 * handler of userfaultfd likes: nothing but faults of the VM waits for it.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_mirror.h"
#include "figment_pt.h"
#include "figment_userptr.h"
#include "figment_vm.h"
#include "figment_watched.h"

/* As drm_gpusvm recommends: a notifier for so much, ranges in it of these sizes. */
#define FIGMENT_MIRROR_NOTIFIER		SZ_512M
static const unsigned long figment_mirror_chunks[] = { SZ_2M, SZ_64K, SZ_4K };

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

	figment_vm_assert_notifier(vm);

	figment_pt_flush_init(&flush);
	scoped_guard(mutex, &vm->pt.lock) {
		drm_gpusvm_for_each_range(base, notifier, start, end) {
			if (to_figment_range(base)->mapped)
				figment_pt_zap(&vm->pt, &flush, drm_gpusvm_range_start(base),
					       drm_gpusvm_range_size(base));
		}
		figment_pt_flush(&vm->pt, &flush);
	}

	base = NULL;
	drm_gpusvm_for_each_range(base, notifier, start, end) {
		struct figment_range *range = to_figment_range(base);

		figment_range_unmap_pages(range, true);
		if (mmu_range->event != MMU_NOTIFY_UNMAP)
			continue;
		drm_gpusvm_range_set_unmapped(base, &range->pages, 1, mmu_range);
		if (list_empty(&range->garbage_link))
			list_add_tail(&range->garbage_link, &vm->mirror.garbage);
		queue_work(vm->fdev->fault_wq, &vm->mirror.collect);
	}
}

static const struct drm_gpusvm_ops figment_mirror_ops = {
	.range_alloc = figment_mirror_range_alloc,
	.range_free = figment_mirror_range_free,
	.invalidate = figment_mirror_invalidate,
};

/* --- faults --------------------------------------------------------------- */

/* The addresses around @address, at most the largest chunk, where nothing is bound. */
static int figment_mirror_gap(struct figment_vm *vm, u64 address, u64 *start, u64 *end)
{
	struct drm_gpuva *va;

	*start = ALIGN_DOWN(address, SZ_2M);
	*end = *start + SZ_2M;

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

static void figment_mirror_write_entries(struct figment_vm *vm, struct figment_range *range,
					 struct figment_pt_stock *stock,
					 struct figment_pt_flush *flush)
{
	u64 va = drm_gpusvm_range_start(&range->base), end = drm_gpusvm_range_end(&range->base);
	const struct drm_pagemap_addr *addr = range->pages.dma_addr;
	u64 flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF |
		    (range->writable ? FIGMENT_PTE_WRITE : 0);

	lockdep_assert_held(&vm->pt.lock);

	for (; va < end; va += PAGE_SIZE << addr->order, addr++) {
		u64 size = min(end - va, PAGE_SIZE << addr->order);

		if (range->mapped)
			figment_pt_rewrite(&vm->pt, flush, va, size, addr->addr | flags);
		else
			figment_pt_map(&vm->pt, stock, va, size, addr->addr | flags, false);
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

static int figment_mirror_get_pages(struct figment_vm *vm, struct figment_range *range, bool write)
{
	unsigned long start = drm_gpusvm_range_start(&range->base);
	unsigned long size = drm_gpusvm_range_size(&range->base);
	struct mmu_interval_notifier *notifier = &range->base.notifier->notifier;
	struct drm_gpusvm_ctx ctx = { .read_only = !write };
	int ret;

	if (write && !range->writable) {
		figment_mirror_drop(vm, range);
		range->writable = true;
	}
	ctx.read_only = !range->writable;

	/* Of another kind by now, maybe. */
	ret = figment_userptr_check_memory(vm->svm.mm, start, size, range->writable);
	if (!ret)
		ret = drm_gpusvm_get_pages(&vm->svm, &range->pages, vm->svm.mm, notifier,
					   start, start + size, &ctx);
	if (!ret && range->writable)
		ret = figment_watched_mark_dirty(vm, notifier, range->pages.notifier_seq,
						 start, size);
	return ret;
}

static int figment_mirror_resolve(struct figment_vm *vm, u64 address, bool write)
{
	struct drm_gpusvm_ctx ctx = {
		.read_only = !write,
		/* Only what the process has touched, and the page itself. */
		.check_pages_threshold = SZ_2M,
	};
	struct drm_gpusvm_range *base;
	struct figment_pt_stock stock;
	struct figment_range *range;
	u64 start, end;
	int ret;

	figment_mirror_collect(vm);

	if (address >= vm->svm.mm_start + vm->svm.mm_range)
		return -EFAULT;
	ret = figment_userptr_check_memory(vm->svm.mm, address, PAGE_SIZE, write);
	if (ret)
		return ret;
	ret = figment_mirror_gap(vm, address, &start, &end);
	if (ret)
		return ret;
	base = drm_gpusvm_range_find_or_insert(&vm->svm, address, start, end, &ctx);
	if (IS_ERR(base))
		return PTR_ERR(base);
	range = to_figment_range(base);

	figment_pt_stock_init(&stock);
	ret = figment_pt_stock_fill(&vm->pt, &stock, drm_gpusvm_range_start(base),
				    drm_gpusvm_range_size(base));
	if (!ret)
		ret = figment_mirror_get_pages(vm, range, write);
	if (!ret)
		ret = figment_mirror_commit(vm, range, &stock);
	figment_pt_stock_free(&vm->pt, &stock);

	if (ret == -EFAULT || ret == -EPERM || ret == -EOPNOTSUPP || ret == -EBUSY) {
		/* A part of it has gone: what is left gets ranges of its own. */
		if (ret == -EBUSY || READ_ONCE(base->flags.__flags))
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
 *
 * Sleeps, maybe as long as user space likes.
 *
 * Return: 0; -EAGAIN: try the access again; another negative errno: it never will
 * succeed.
 */
int figment_mirror_fault(struct figment_vm *vm, u64 address, bool write)
{
	guard(mutex)(&vm->mirror.lock);
	return figment_mirror_resolve(vm, address, write);
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
