// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Recoverable faults of the device: a queue of a VM with the strategy fault has met
 * a page that its page tables do not have, or not for writing. It has stalled, and
 * waits for our word. Nothing else does.
 *
 *	find	what is mapped there: nothing that could help ends the job, unless the
 *		VM mirrors its process (figment_mirror.c)
 *	fault	have the kernel make the page present, as an access of the process
 *		would, and look which pages around it are present as well. No lock is
 *		held, as this may take as long as a handler of userfaultfd likes
 *	check	with notifiers locked out: still the right pages? And still mapped?
 *		If not, once more from the top
 *	commit	map them for DMA, write the page tables, let the queue try again
 *
 * Each queue has one fault at a time and a work of its own on a workqueue that is
 * not bound to processors: one that takes long holds up nobody else.
 *
 * A page that the device has only read is mapped for reading only, so that the
 * kernel learns when the device begins to write to it.
 */
#include <linux/delay.h>
#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_fault.h"
#include "figment_mirror.h"
#include "figment_pt.h"
#include "figment_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/* Pages around the one that was asked for are mapped if they are present. */
#define FIGMENT_FAULT_AROUND	SZ_64K
/* And all of a huge page. */
#define FIGMENT_FAULT_MAX	SZ_2M
#define FIGMENT_FAULT_PAGES	(FIGMENT_FAULT_MAX >> PAGE_SHIFT)
/* When memory is short, or the page can not be mapped for DMA. */
#define FIGMENT_FAULT_RETRY_MS	10
#define FIGMENT_FAULT_ATTEMPTS	500

/** struct figment_fault - A fault that is being resolved. */
struct figment_fault {
	struct figment_vm *vm;
	/** @address: Where the device wants to go: GPU address of the page. */
	u64 address;
	bool write;

	/** @userptr: What is mapped there; holds a reference. */
	struct figment_userptr *userptr;
	/** @va: GPU address of the first page of the mapping. */
	u64 va;
	/** @first: Page of the userptr that is mapped there. */
	unsigned long first;
	/** @count: Pages of the mapping. */
	unsigned long count;

	/** @begin: Pages of the userptr that are looked at. */
	unsigned long begin;
	/** @end: Exclusive. */
	unsigned long end;
	/** @pfns: Of those, as hmm_range_fault() has them. */
	unsigned long *pfns;
};

/* --- find ----------------------------------------------------------------- */

static struct figment_vma *figment_fault_lookup(struct figment_fault *fault)
{
	struct drm_gpuva *va;

	lockdep_assert_held(&fault->vm->pt.lock);

	if (!fault->vm->pt.root)
		return NULL;
	va = drm_gpuva_find_first(&fault->vm->base, fault->address, PAGE_SIZE);
	/* The part that the driver has for itself is no mapping of anybody. */
	return va && va != &fault->vm->base.kernel_alloc_node ? to_figment_vma(va) : NULL;
}

/*
 * Returns 0, with a reference of the userptr; -EAGAIN: the access may be tried
 * again; -ENOENT: nothing is mapped there; -EFAULT: it may not be written.
 */
static int figment_fault_find(struct figment_fault *fault)
{
	struct figment_vma *vma;

	guard(mutex)(&fault->vm->pt.lock);
	vma = figment_fault_lookup(fault);
	if (!vma)
		return -ENOENT;
	if (fault->write && vma->read_only)
		return -EFAULT;
	/* A buffer is there as soon as it is mapped: now it is. */
	if (!vma->userptr)
		return -EAGAIN;

	kref_get(&vma->userptr->refs);
	fault->userptr = vma->userptr;
	fault->va = vma->base.va.addr;
	fault->first = vma->base.gem.offset >> PAGE_SHIFT;
	fault->count = vma->base.va.range >> PAGE_SHIFT;
	return 0;
}

/* --- fault ---------------------------------------------------------------- */

static unsigned long figment_fault_page(struct figment_fault *fault)
{
	return fault->first + ((fault->address - fault->va) >> PAGE_SHIFT);
}

/* Look at the pages of the process around the fault, up to @bytes, aligned to them. */
static void figment_fault_set_window(struct figment_fault *fault, unsigned long bytes)
{
	unsigned long start = fault->userptr->start >> PAGE_SHIFT;
	unsigned long at = start + figment_fault_page(fault);
	unsigned long n = bytes >> PAGE_SHIFT;

	fault->begin = max(ALIGN_DOWN(at, n), start + fault->first) - start;
	fault->end = min(ALIGN_DOWN(at, n) + n, start + fault->first + fault->count) - start;
}

/*
 * Look which pages are present, after making those present that @request wants.
 * Returns 0 with the sequence number in @range, or a negative errno.
 */
static int figment_fault_get_pages(struct figment_fault *fault, struct hmm_range *range,
				   unsigned long request)
{
	struct figment_userptr *userptr = fault->userptr;
	struct mm_struct *mm = userptr->watch.notifier.mm;
	unsigned long seq;
	int ret;

	memset(fault->pfns, 0, (fault->end - fault->begin) * sizeof(*fault->pfns));
	*range = (struct hmm_range) {
		.notifier = &userptr->watch.notifier,
		.start = userptr->start + (fault->begin << PAGE_SHIFT),
		.end = userptr->start + (fault->end << PAGE_SHIFT),
		.hmm_pfns = fault->pfns,
		.default_flags = request,
	};

	if (!mmget_not_zero(mm))
		return -EFAULT;
	/*
	 * Memory of another kind may be mapped there by now, or between the check
	 * and the fault; the sequence number tells, because the old mapping had to go.
	 */
	seq = mmu_interval_read_begin(range->notifier);
	ret = figment_userptr_check_memory(mm, range->start, range->end - range->start,
					   request & HMM_PFN_REQ_WRITE);
	if (!ret)
		ret = hmm_range_fault_unlocked_timeout(range, 0);
	if (!ret && range->notifier_seq != seq)
		ret = -EAGAIN;
	mmput(mm);
	return ret;
}

static int figment_fault_make_present(struct figment_fault *fault, struct hmm_range *range)
{
	unsigned int order;
	int ret;

	figment_fault_set_window(fault, PAGE_SIZE);
	ret = figment_fault_get_pages(fault, range, HMM_PFN_REQ_FAULT |
				      (fault->write ? HMM_PFN_REQ_WRITE : 0));
	if (ret)
		return ret;

	/* Those around it, if they happen to be present, and are ours to map. */
	order = hmm_pfn_to_map_order(fault->pfns[0]);
	figment_fault_set_window(fault, order < get_order(FIGMENT_FAULT_MAX) ?
					FIGMENT_FAULT_AROUND : FIGMENT_FAULT_MAX);
	if (figment_fault_get_pages(fault, range, 0)) {
		figment_fault_set_window(fault, PAGE_SIZE);
		return figment_fault_get_pages(fault, range, 0);
	}
	return 0;
}

/* --- commit --------------------------------------------------------------- */

/* The entry for a page, or 0: leave it as it is. */
static u64 figment_fault_entry(struct figment_fault *fault, struct figment_vma *vma,
			       unsigned long page)
{
	struct device *dev = fault->vm->fdev->drm.dev;
	struct hmm_dma_map *map = &fault->userptr->fault.map;
	struct pci_p2pdma_map_state p2pdma = {};
	unsigned long pfn = fault->pfns[page - fault->begin];
	bool write = fault->write && !vma->read_only && (pfn & HMM_PFN_WRITE);
	dma_addr_t addr;

	if (!(pfn & HMM_PFN_VALID))
		return 0;

	if (map->pfn_list[page] & HMM_PFN_DMA_MAPPED) {
		/* The device has it: maybe for reading only. */
		if (!write || (map->pfn_list[page] & HMM_PFN_WRITE))
			return 0;
	} else {
		map->pfn_list[page] = pfn & ~(HMM_PFN_WRITE | HMM_PFN_P2PDMA |
					      HMM_PFN_P2PDMA_BUS);
	}
	addr = hmm_dma_map_pfn(dev, map, page, &p2pdma);
	if (dma_mapping_error(dev, addr))
		return 0;

	if (write) {
		map->pfn_list[page] |= HMM_PFN_WRITE;
		/*
		 * The device will write without any fault telling the kernel, and what
		 * is clean may be dropped.
		 */
		folio_mark_dirty(page_folio(hmm_pfn_to_page(pfn)));
	}
	return addr | FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | (write ? FIGMENT_PTE_WRITE : 0);
}

/* Is the page that was asked for still among them? */
static bool figment_fault_is_present(struct figment_fault *fault)
{
	unsigned long need = HMM_PFN_VALID | (fault->write ? HMM_PFN_WRITE : 0);

	return (fault->pfns[figment_fault_page(fault) - fault->begin] & need) == need;
}

static void figment_fault_write_entries(struct figment_fault *fault, struct figment_vma *vma,
					struct figment_pt_flush *flush)
{
	struct figment_pt_space *pt = &fault->vm->pt;
	unsigned long page = fault->begin, n;
	u64 first, next, va;

	next = figment_fault_entry(fault, vma, page);
	while (page < fault->end) {
		first = next;
		for (n = 1; page + n < fault->end; n++) {
			next = figment_fault_entry(fault, vma, page + n);
			if (next != (first ? first + n * PAGE_SIZE : 0))
				break;
		}
		va = fault->va + ((u64)(page - fault->first) << PAGE_SHIFT);
		if (first)
			figment_pt_rewrite(pt, flush, va, n * PAGE_SIZE, first);
		page += n;
	}
}

/*
 * Returns 0; -EAGAIN: from the top; -ENOMEM: it could not be mapped for DMA.
 */
static int figment_fault_commit(struct figment_fault *fault, const struct hmm_range *range)
{
	unsigned long page = figment_fault_page(fault);
	struct figment_userptr *userptr = fault->userptr;
	struct figment_vm *vm = fault->vm;
	struct figment_pt_flush flush;
	struct figment_vma *vma;

	figment_pt_flush_init(&flush);
	guard(rwsem_read)(&vm->svm.notifier_lock);
	guard(mutex)(&vm->pt.lock);

	vma = figment_fault_lookup(fault);
	if (!vma || vma->userptr != userptr || vma->base.va.addr != fault->va ||
	    vma->base.gem.offset >> PAGE_SHIFT != fault->first ||
	    vma->base.va.range >> PAGE_SHIFT != fault->count)
		return -EAGAIN;
	if (mmu_interval_read_retry(range->notifier, range->notifier_seq) ||
	    !figment_fault_is_present(fault))
		return -EAGAIN;

	figment_fault_write_entries(fault, vma, &flush);
	/* What was there for reading only may be in the TLB. */
	figment_pt_flush(&vm->pt, &flush);

	return userptr->fault.map.pfn_list[page] & HMM_PFN_DMA_MAPPED ? 0 : -ENOMEM;
}

/* --- the whole ------------------------------------------------------------ */

/* Returns 0 or -EAGAIN: let the device try again; another errno: it never will succeed. */
static int figment_fault_resolve(struct figment_fault *fault)
{
	struct hmm_range range;
	int ret;

	ret = figment_fault_find(fault);
	if (ret == -ENOENT && fault->vm->mirror.on)
		return figment_mirror_fault(fault->vm, fault->address, fault->write);
	if (ret)
		return ret;

	ret = figment_fault_make_present(fault, &range);
	if (!ret)
		ret = figment_fault_commit(fault, &range);

	figment_userptr_put(fault->userptr);
	return ret;
}

/* Errors of an access that may succeed when it is tried again at once. */
static bool figment_fault_may_pass(int error)
{
	return error == -EAGAIN || error == -EBUSY || error == -EINTR;
}

/** figment_fault_work() - &figment_queue.fault.work: answer the fault of a queue. */
void figment_fault_work(struct work_struct *work)
{
	struct figment_queue *queue = container_of(work, struct figment_queue, fault.work);
	struct figment_fault fault = { .vm = queue->vm };
	u64 address;
	int ret;

	/* A report may be older than the queue: only what it waits for now counts. */
	if (!figment_queue_get_fault(queue, &address, &fault.write))
		goto put_queue;
	fault.address = ALIGN_DOWN(address, PAGE_SIZE);

	fault.pfns = kvmalloc_array(FIGMENT_FAULT_PAGES, sizeof(*fault.pfns), GFP_KERNEL);
	ret = fault.pfns ? figment_fault_resolve(&fault) : -ENOMEM;
	kvfree(fault.pfns);

	if (ret && figment_fault_may_pass(ret)) {
		/* Lost against a notifier: the device faults again. */
		ret = 0;
	} else if (ret == -ENOMEM && queue->fault.attempts++ < FIGMENT_FAULT_ATTEMPTS) {
		/* Not at once: memory has to come from somewhere. */
		msleep(FIGMENT_FAULT_RETRY_MS);
		ret = 0;
	} else {
		queue->fault.attempts = 0;
	}
	if (ret)
		drm_dbg_driver(&queue->fdev->drm, "queue %u: no page at 0x%llx for %s: %pe\n",
			       queue->hw_id, fault.address, fault.write ? "writing" : "reading",
			       ERR_PTR(ret));
	figment_queue_answer_fault(queue, address, ret);
put_queue:
	/* Taken in figment_fault_report(). */
	figment_queue_put(queue);
}

/**
 * figment_fault_report() - A queue has stalled on a fault.
 * @queue: the queue
 * @address: GPU address
 * @access: FIGMENT_EVENT_ACCESS_*
 *
 * Hard irq, under rcu_read_lock().
 */
void figment_fault_report(struct figment_queue *queue, u64 address, u32 access)
{
	/* Of an earlier owner of the number, or of one on its way out: nobody waits. */
	if (!(queue->vm->strategy->root_flags & FIGMENT_ROOT_FAULTS) ||
	    !kref_get_unless_zero(&queue->refs))
		return;
	figment_queue_set_fault(queue, address,
				access & (FIGMENT_EVENT_ACCESS_WRITE |
					  FIGMENT_EVENT_ACCESS_ATOMIC));
	if (!queue_work(queue->fdev->fault_wq, &queue->fault.work))
		figment_queue_put(queue);
}
