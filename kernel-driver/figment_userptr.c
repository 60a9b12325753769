// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory of a process, in the page tables of the device. The life of the pages
 * before a job is told in four verbs, and figment_vm_begin_job() is the teller:
 *
 *	collect	which userptrs have lost their pages since the last job
 *	pin	make the pages present again and map them for DMA; may sleep
 *	recheck	with notifiers locked out: are they still the right ones?
 *	commit	write the page tables; from here on the job is armed
 *
 * A userptr belongs to the process that bound it, by its mm. Whoever has the file
 * may submit jobs that use it, a forked child for one, and they work on the
 * memory of the process that bound it. When that process is gone, or has
 * unmapped the memory, submissions to the VM fail with -EFAULT until the range is
 * unbound or bound anew.
 */
#include <linux/backing-dev.h>
#include <linux/bitfield.h>
#include <linux/error-injection.h>
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include <drm/drm_pagemap.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_device.h"
#include "figment_pt.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/* --- strategies ----------------------------------------------------------- */

static bool figment_can_preempt(struct figment_device *fdev)
{
	return FIELD_GET(FIGMENT_FEATURE_PREEMPT, fdev->info.features) != FIGMENT_PREEMPT_NONE;
}

static bool figment_can_fault(struct figment_device *fdev)
{
	return fdev->info.features & FIGMENT_FEATURE_FAULTS;
}

/** figment_strategies() - Bit n is set when strategy n can be used now. */
u64 figment_strategies(struct figment_device *fdev)
{
	u64 strategies = BIT_ULL(DRM_FIGMENT_STRATEGY_FENCE) | BIT_ULL(DRM_FIGMENT_STRATEGY_PIN);

	if (figment_can_fault(fdev))
		strategies |= BIT_ULL(DRM_FIGMENT_STRATEGY_FAULT);
	if (figment_can_preempt(fdev))
		strategies |= BIT_ULL(DRM_FIGMENT_STRATEGY_PREEMPT);
	if (READ_ONCE(figment_allow_unsafe))
		strategies |= BIT_ULL(DRM_FIGMENT_STRATEGY_UNSAFE);
	return strategies;
}

/**
 * figment_strategy_find() - The strategy for a new VM.
 * @fdev: the device
 * @strategy: enum drm_figment_strategy
 *
 * Return: the strategy, or an ERR_PTR as DRM_IOCTL_FIGMENT_VM_CREATE has it.
 */
const struct figment_strategy *figment_strategy_find(struct figment_device *fdev, u32 strategy)
{
	static bool tainted;

	switch (strategy) {
	case DRM_FIGMENT_STRATEGY_FENCE:
		return &figment_strategy_fence;
	case DRM_FIGMENT_STRATEGY_PREEMPT:
		return figment_can_preempt(fdev) ? &figment_strategy_preempt :
						   ERR_PTR(-EOPNOTSUPP);
	case DRM_FIGMENT_STRATEGY_FAULT:
		return figment_can_fault(fdev) ? &figment_strategy_fault : ERR_PTR(-EOPNOTSUPP);
	case DRM_FIGMENT_STRATEGY_PIN:
		return &figment_strategy_pin;
	case DRM_FIGMENT_STRATEGY_UNSAFE:
		if (!READ_ONCE(figment_allow_unsafe))
			return ERR_PTR(-EPERM);
		if (!xchg(&tainted, true)) {
			drm_info(&fdev->drm,
				 "strategy unsafe in use: user memory will be corrupted on purpose\n");
			add_taint(TAINT_USER, LOCKDEP_STILL_OK);
		}
		return &figment_strategy_unsafe;
	default:
		return ERR_PTR(-EINVAL);
	}
}

/* --- life ----------------------------------------------------------------- */

/**
 * figment_userptr_create() - Begin to watch a range of current->mm.
 * @vm: the VM
 * @start: CPU address, whole pages
 * @size: bytes, whole pages, not zero
 * @read_only: the device may not write
 *
 * Return: the userptr with one reference, or an ERR_PTR.
 */
struct figment_userptr *figment_userptr_create(struct figment_vm *vm, u64 start, u64 size,
					       bool read_only)
{
	struct figment_userptr *userptr;
	u64 end;
	int ret;

	if (check_add_overflow(start, size, &end) || end > TASK_SIZE)
		return ERR_PTR(-EFAULT);
	/* More than there is could never be present at a time. */
	if (size >> PAGE_SHIFT > totalram_pages())
		return ERR_PTR(-ENOMEM);

	userptr = kzalloc_obj(*userptr, GFP_KERNEL_ACCOUNT);
	if (!userptr)
		return ERR_PTR(-ENOMEM);

	kref_init(&userptr->refs);
	userptr->vm = vm;
	userptr->start = start;
	userptr->size = size;
	userptr->read_only = read_only;
	INIT_LIST_HEAD(&userptr->vmas);
	INIT_LIST_HEAD(&userptr->stale_link);
	INIT_LIST_HEAD(&userptr->repin_link);
	INIT_LIST_HEAD(&userptr->fresh_link);
	drm_gpusvm_init_pages(&userptr->pages, &vm->fdev->drm);

	/* Before it maps anything: figment_vm_unplug() has to find it. */
	scoped_guard(mutex, &vm->userptrs.lock)
		list_add_tail(&userptr->vm_link, &vm->userptrs.list);
	ret = vm->strategy->init(userptr);
	if (ret) {
		scoped_guard(mutex, &vm->userptrs.lock)
			list_del(&userptr->vm_link);
		kfree(userptr);
		return ERR_PTR(ret);
	}
	return userptr;
}
ALLOW_ERROR_INJECTION(figment_userptr_create, ERRNO);

/* With the lock of the VM. */
static void figment_userptr_free(struct figment_userptr *userptr)
{
	struct figment_vm *vm = userptr->vm;

	lockdep_assert_held(&vm->lock);

	/* From here on the notifier has nothing to do, and adds us to no list. */
	down_read(&vm->svm.notifier_lock);
	userptr->armed = false;
	list_del_init(&userptr->stale_link);
	up_read(&vm->svm.notifier_lock);
	list_del_init(&userptr->repin_link);
	scoped_guard(mutex, &vm->userptrs.lock)
		list_del(&userptr->vm_link);

	vm->strategy->fini(userptr);
	kfree(userptr);
}

static void figment_userptr_release_work(struct work_struct *work)
{
	struct figment_userptr *userptr = container_of(work, struct figment_userptr, release_work);
	struct figment_vm *vm = userptr->vm;

	scoped_guard(mutex, &vm->lock)
		figment_userptr_free(userptr);
	figment_vm_put(vm);
}

static void figment_userptr_release(struct kref *refs)
{
	struct figment_userptr *userptr = container_of(refs, struct figment_userptr, refs);
	struct figment_vm *vm = userptr->vm;

	if (mutex_trylock(&vm->lock)) {
		figment_userptr_free(userptr);
		mutex_unlock(&vm->lock);
		return;
	}
	/*
	 * Who has it may be waiting for a page that user space provides, and user
	 * space for us. The VM is alive: when it goes, nobody has its lock.
	 */
	figment_vm_get(vm);
	INIT_WORK(&userptr->release_work, figment_userptr_release_work);
	queue_work(vm->fdev->fault_wq, &userptr->release_work);
}

/**
 * figment_userptr_put() - Drop a reference.
 * @userptr: gone from page tables and TLB if this is the last one
 *
 * Sleeps, takes &figment_vm.lock if it is free, waits for running notifiers.
 */
void figment_userptr_put(struct figment_userptr *userptr)
{
	kref_put(&userptr->refs, figment_userptr_release);
}

/* Do we hear of all that happens to the pages, as far as it matters? */
static bool figment_userptr_can_follow(const struct vm_area_struct *vma, bool write,
				       bool holds_pages)
{
	const struct address_space *mapping;
	umode_t mode;

	/* Without pages, or with those of a device. */
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP) || vma_is_dax(vma))
		return false;
	if (vma_is_anonymous(vma) || is_vm_hugetlb_page(vma))
		return true;
	if (!vma->vm_file)
		return false;

	mapping = vma->vm_file->f_mapping;
	if (shmem_mapping(mapping))
		return true;
	/*
	 * Files with a page cache, which is filled by reading. Drivers that map pages of
	 * their own have none, nor have secretmem and guest_memfd, which are to be
	 * kept from devices.
	 */
	mode = mapping->host->i_mode;
	if (!(S_ISREG(mode) || S_ISBLK(mode)) || !mapping->a_ops->read_folio)
		return false;
	/*
	 * Through a private mapping only pages of the process are written. What is
	 * written through a shared one, the file system has to know before, and it
	 * takes the right to write away when it writes the page back: a page that
	 * is held would be written all the same.
	 */
	return !(write && holds_pages && vma->vm_flags & VM_SHARED);
}

/**
 * figment_userptr_check_memory() - Is a range of a kind that we can use?
 * @vm: the VM
 * @mm: the process of the range
 * @at: CPU address
 * @size: bytes, whole pages
 * @write: the device may write
 *
 * Anonymous memory, shmem, hugetlbfs, and files with a page cache are; see
 * DRM_FIGMENT_BIND_MAP_USERPTR.
 *
 * Return: 0; -EFAULT: not mapped, or without the access; -EOPNOTSUPP; -EINTR.
 */
int figment_userptr_check_memory(struct figment_vm *vm, struct mm_struct *mm, unsigned long at,
				 unsigned long size, bool write)
{
	unsigned long need = VM_READ | (write ? VM_WRITE : 0);
	unsigned long end = at + size;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;
	int ret = 0;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	if (mmap_read_lock_killable(mm)) {
		mmput(mm);
		return -EINTR;
	}

	vma_iter_init(&vmi, mm, at);
	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_start > at) {
			ret = -EFAULT;
			break;
		}
		if (!figment_userptr_can_follow(vma, write, vm->strategy->holds_pages)) {
			ret = -EOPNOTSUPP;
			break;
		}
		if ((vma->vm_flags & need) != need) {
			ret = -EFAULT;
			break;
		}
		at = vma->vm_end;
	}
	if (!ret && at < end)
		ret = -EFAULT;

	mmap_read_unlock(mm);
	mmput(mm);
	return ret;
}

/**
 * figment_userptr_may_prefault() - Can pages be made present that nobody has asked for?
 * @mm: its process; the caller holds a reference (mmget)
 * @at: CPU address
 * @size: bytes, whole pages
 *
 * Anonymous memory only: of shmem there would be more for everybody. And not if a
 * userfaultfd has to provide them, who may never do so.
 *
 * Return: of how many bytes from there on.
 */
unsigned long figment_userptr_may_prefault(struct mm_struct *mm, unsigned long at,
					   unsigned long size)
{
	struct vm_area_struct *vma;
	unsigned long may = 0;

	if (mmap_read_lock_killable(mm))
		return 0;
	vma = vma_lookup(mm, at);
	if (vma && vma_is_anonymous(vma) && !userfaultfd_armed(vma) &&
	    !(vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP)))
		may = min(size, vma->vm_end - at);
	mmap_read_unlock(mm);
	return may;
}

/**
 * figment_userptr_mark_dirty() - Mark a page dirty that the device may write.
 * @page: writable by the process; it stays its page as notifiers are locked out
 *
 * The device will write without any fault telling the kernel. A page that is
 * writable but clean, after MADV_FREE or swapped in again, would be dropped by
 * reclaim, and the writes with it: make it dirty now. Nothing cleans it while the
 * device has it, as the right to write is taken away before, and with it the notifier.
 *
 * A page of a file that is written back is dirty already: the fault that has made
 * it writable has asked the file system, which is not to be asked here, where
 * nothing may be allocated.
 */
void figment_userptr_mark_dirty(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	if (!folio_test_anon(folio)) {
		mapping = folio_mapping(folio);
		if (mapping && mapping_can_writeback(mapping))
			return;
	}
	folio_mark_dirty(folio);
}

/* --- the four verbs ------------------------------------------------------- */

/**
 * figment_userptr_collect() - Note the userptrs that have lost their pages.
 * @vm: the VM, locked
 */
void figment_userptr_collect(struct figment_vm *vm)
{
	struct figment_userptr *userptr, *next;

	lockdep_assert_held(&vm->lock);

	/* The common case, and only a hint: figment_userptr_recheck() has the word. */
	if (list_empty_careful(&vm->stale))
		return;

	down_read(&vm->svm.notifier_lock);
	list_for_each_entry_safe(userptr, next, &vm->stale, stale_link) {
		list_del_init(&userptr->stale_link);
		if (list_empty(&userptr->repin_link))
			list_add_tail(&userptr->repin_link, &vm->repin);
	}
	up_read(&vm->svm.notifier_lock);
}

/**
 * figment_userptr_pin() - Make the pages of all that need it present.
 * @vm: the VM, locked
 * @fresh: userptrs of the bind under way; NULL: those of the VM
 * @tolerant: go on without those whose memory is not what it was
 *
 * What could not be pinned stays collected, for the next job.
 *
 * Return: 0, or a negative errno as &figment_strategy.pin has it.
 */
int figment_userptr_pin(struct figment_vm *vm, struct list_head *fresh, bool tolerant)
{
	struct figment_userptr *userptr, *next;
	int ret;

	lockdep_assert_held(&vm->lock);

	if (fresh) {
		list_for_each_entry(userptr, fresh, fresh_link) {
			ret = vm->strategy->pin(userptr);
			if (ret)
				return ret;
		}
		return 0;
	}

	list_for_each_entry_safe(userptr, next, &vm->repin, repin_link) {
		/* Unbound meanwhile: nobody cares about its pages any more. */
		if (!atomic_read(&userptr->mappings)) {
			list_del_init(&userptr->repin_link);
			continue;
		}
		ret = vm->strategy->pin(userptr);
		if (ret)
			drm_dbg_driver(&vm->fdev->drm, "userptr at 0x%lx is lost: %pe\n",
				       userptr->start, ERR_PTR(ret));
		userptr->lost = ret == -EFAULT || ret == -EOPNOTSUPP;
		if (ret && !(tolerant && userptr->lost))
			return ret;
	}
	return 0;
}
ALLOW_ERROR_INJECTION(figment_userptr_pin, ERRNO);

/**
 * figment_userptr_recheck() - Are all pages still the right ones?
 * @vm: the VM, locked, with notifiers locked out
 * @fresh: userptrs of the bind under way; NULL: those of the VM
 *
 * Return: true if so.
 */
bool figment_userptr_recheck(struct figment_vm *vm, struct list_head *fresh)
{
	struct figment_userptr *userptr;

	lockdep_assert_held_read(&vm->svm.notifier_lock);

	if (fresh) {
		list_for_each_entry(userptr, fresh, fresh_link)
			if (!vm->strategy->valid(userptr))
				return false;
		return true;
	}

	if (!list_empty(&vm->stale))
		return false;
	list_for_each_entry(userptr, &vm->repin, repin_link)
		if (!userptr->lost && !vm->strategy->valid(userptr))
			return false;
	return true;
}

/* Write the entries of a mapping: new ones with a stock, else lost ones again. */
static void figment_userptr_walk(struct figment_vma *vma, struct figment_pt_stock *stock,
				 struct figment_pt_flush *flush)
{
	struct figment_userptr *userptr = vma->userptr;
	struct figment_pt_space *pt = &userptr->vm->pt;
	u64 flags = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF |
		    (vma->read_only ? 0 : FIGMENT_PTE_WRITE);
	u64 first = vma->base.gem.offset, end = first + vma->base.va.range;
	const struct drm_pagemap_addr *addr = userptr->pages.dma_addr;
	u64 at = 0;

	lockdep_assert_held(&pt->lock);

	/* The device asks for pages when it needs them. */
	if (!addr) {
		figment_pt_map(pt, stock, vma->base.va.addr, vma->base.va.range, 0, false);
		return;
	}

	for (; at < end; addr++) {
		u64 bytes = PAGE_SIZE << addr->order;
		u64 from = max(at, first), to = min(at + bytes, end);

		if (from < to) {
			u64 va = vma->base.va.addr + (from - first);
			u64 pte = (addr->addr + (from - at)) | flags;

			if (stock)
				figment_pt_map(pt, stock, va, to - from, pte, false);
			else
				figment_pt_rewrite(pt, flush, va, to - from, pte);
		}
		at += bytes;
	}
}

/**
 * figment_userptr_commit() - Write the page tables for what was pinned.
 * @vm: the VM, locked, with notifiers locked out, after figment_userptr_recheck()
 * @fresh: userptrs of the bind under way, which writes the tables when it is
 *	executed; NULL: those of the VM
 */
void figment_userptr_commit(struct figment_vm *vm, struct list_head *fresh)
{
	struct figment_userptr *userptr, *next;
	struct figment_pt_flush flush;
	struct figment_vma *vma;

	lockdep_assert_held_read(&vm->svm.notifier_lock);

	if (fresh) {
		list_for_each_entry(userptr, fresh, fresh_link) {
			userptr->armed = true;
			/* The mapping to come. */
			atomic_inc(&userptr->mappings);
		}
		return;
	}

	if (list_empty(&vm->repin))
		return;
	figment_pt_flush_init(&flush);
	guard(mutex)(&vm->pt.lock);
	list_for_each_entry_safe(userptr, next, &vm->repin, repin_link) {
		/* Without pages; maybe the next job finds some. */
		if (userptr->lost)
			continue;
		list_for_each_entry(vma, &userptr->vmas, link)
			figment_userptr_walk(vma, NULL, &flush);
		list_del_init(&userptr->repin_link);
	}
	figment_pt_flush(&vm->pt, &flush);
}

/**
 * figment_userptr_map() - Map a new mapping of a userptr.
 * @vma: the mapping
 * @stock: tables for it
 *
 * The pages are valid: notifiers are locked out, or wait for the fence of the
 * caller.
 */
void figment_userptr_map(struct figment_vma *vma, struct figment_pt_stock *stock)
{
	figment_userptr_walk(vma, stock, NULL);
}
