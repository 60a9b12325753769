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
 * A queue that goes from page to page, each fault where the last answer has ended,
 * gets pages ahead, as who reads a file does, and more each time. One that reads
 * gets the pages around, too. Only these are made present without having been asked
 * for, so only memory of which nobody else has to provide the pages, and little of it
 * where the device writes.
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
#include "figment_eviction.h"
#include "figment_fault.h"
#include "figment_mirror.h"
#include "figment_pt.h"
#include "figment_queue.h"
#include "figment_trace.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/*
 * Pages around the one that was asked for are mapped if they are present, as far as
 * figment_fault_around() says, and all of a huge page.
 */
#define FIGMENT_FAULT_MAX	SZ_2M
#define FIGMENT_FAULT_PAGES	(FIGMENT_FAULT_MAX >> PAGE_SHIFT)
/* Ahead of a queue that goes from page to page: at first, and at most. */
#define FIGMENT_FAULT_AHEAD		SZ_16K
#define FIGMENT_FAULT_AHEAD_READ	FIGMENT_FAULT_MAX
#define FIGMENT_FAULT_AHEAD_WRITE	SZ_64K
/* How often to look before the device is asked to try again. */
#define FIGMENT_FAULT_LOOKS	4
/* When memory is short, or the page can not be mapped for DMA. */
#define FIGMENT_FAULT_RETRY_MS	10
#define FIGMENT_FAULT_ATTEMPTS	500

/** struct figment_fault - A fault that is being resolved. */
struct figment_fault {
	struct figment_vm *vm;
	/** @address: Where the device wants to go: GPU address of the page. */
	u64 address;
	bool write;
	/** @ahead: Bytes from there on that are made present, if they can be; or 0. */
	unsigned long ahead;
	/** @answered: The address behind what the device has got. */
	u64 answered;

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
 * again; -ENOENT: nothing is mapped there; -EFAULT: it may not be written; -ENODATA: a
 * buffer that has been evicted is.
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
	/* A buffer is there as soon as it is mapped, and now it is; unless it was evicted. */
	if (!vma->userptr)
		return vma->evicted ? -ENODATA : -EAGAIN;

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
 * Look which pages from @begin to @end are present, or make them present if @request
 * says so. Returns 0 with the sequence number in @range, or a negative errno.
 */
static int figment_fault_get_pages(struct figment_fault *fault, struct hmm_range *range,
				   unsigned long begin, unsigned long end, unsigned long request)
{
	struct figment_userptr *userptr = fault->userptr;
	unsigned long *pfns = fault->pfns + (begin - fault->begin);

	memset(pfns, 0, (end - begin) * sizeof(*pfns));
	*range = (struct hmm_range) {
		.notifier = &userptr->watch.notifier,
		.start = userptr->start + (begin << PAGE_SHIFT),
		.end = userptr->start + (end << PAGE_SHIFT),
		.hmm_pfns = pfns,
		.default_flags = request,
	};
	return hmm_range_fault_unlocked_timeout(range, 0);
}

/* Is the page that was asked for among those that are present? */
static bool figment_fault_is_present(struct figment_fault *fault)
{
	unsigned long need = HMM_PFN_VALID | (fault->write ? HMM_PFN_WRITE : 0);

	return (fault->pfns[figment_fault_page(fault) - fault->begin] & need) == need;
}

static int figment_fault_check_memory(struct figment_fault *fault)
{
	struct figment_userptr *userptr = fault->userptr;

	return figment_userptr_check_memory(userptr->vm, userptr->watch.notifier.mm,
					    userptr->start + (fault->begin << PAGE_SHIFT),
					    (fault->end - fault->begin) << PAGE_SHIFT,
					    fault->write);
}

/* Have all pages of the window present, also those that nobody has asked for. */
static int figment_fault_populate(struct figment_fault *fault, struct hmm_range *range)
{
	return figment_fault_get_pages(fault, range, fault->begin, fault->end,
				       HMM_PFN_REQ_FAULT |
				       (fault->write ? HMM_PFN_REQ_WRITE : 0));
}

/*
 * All that is ahead at once. Returns 0; another value: there is something in the way,
 * look at what was asked for alone.
 */
static int figment_fault_look_ahead(struct figment_fault *fault, struct hmm_range *range)
{
	struct figment_userptr *userptr = fault->userptr;
	unsigned long at, size;

	fault->begin = figment_fault_page(fault);
	at = userptr->start + (fault->begin << PAGE_SHIFT);
	size = min(fault->ahead, (fault->first + fault->count - fault->begin) << PAGE_SHIFT);
	size = figment_userptr_may_prefault(userptr->watch.notifier.mm, at, size);
	if (!size)
		return -EOPNOTSUPP;
	fault->end = fault->begin + (size >> PAGE_SHIFT);
	return figment_fault_populate(fault, range);
}

/*
 * All around a page that is read: what the process has never touched is the zero page,
 * which costs an entry of a page table. Returns as figment_fault_look_ahead() does.
 */
static int figment_fault_look_around(struct figment_fault *fault, struct hmm_range *range)
{
	struct figment_userptr *userptr = fault->userptr;
	unsigned long at = userptr->start + (fault->begin << PAGE_SHIFT);
	unsigned long size = (fault->end - fault->begin) << PAGE_SHIFT;

	if (figment_userptr_may_prefault(userptr->watch.notifier.mm, at, size) < size)
		return -EOPNOTSUPP;
	return figment_fault_populate(fault, range);
}

/*
 * The pages around first: in most cases the one that was asked for is present, and
 * then all is done. For writing only that one is ever made present.
 */
static int figment_fault_look(struct figment_fault *fault, struct hmm_range *range,
			      unsigned long around)
{
	unsigned long page = figment_fault_page(fault);
	int ret;

	if (fault->ahead && !figment_fault_look_ahead(fault, range))
		return 0;

	figment_fault_set_window(fault, around);
	if (!fault->write && !figment_fault_look_around(fault, range))
		return 0;

	ret = figment_fault_check_memory(fault);
	if (!ret)
		ret = figment_fault_get_pages(fault, range, fault->begin, fault->end, 0);
	if (ret) {
		/* Some of them are not ours to map. */
		figment_fault_set_window(fault, PAGE_SIZE);
		ret = figment_fault_check_memory(fault);
		if (ret)
			return ret;
		fault->pfns[0] = 0;
	}
	if (figment_fault_is_present(fault))
		return 0;
	return figment_fault_get_pages(fault, range, page, page + 1, HMM_PFN_REQ_FAULT |
				       (fault->write ? HMM_PFN_REQ_WRITE : 0));
}

/* Returns 0 with the sequence number in @range; -EAGAIN; another negative errno. */
static int figment_fault_make_present(struct figment_fault *fault, struct hmm_range *range)
{
	struct mmu_interval_notifier *notifier = &fault->userptr->watch.notifier;
	unsigned int order, attempts = FIGMENT_FAULT_LOOKS;
	unsigned long around = figment_fault_around();
	unsigned long seq;
	int ret;

	if (!mmget_not_zero(notifier->mm))
		return -EFAULT;
	/*
	 * Memory of another kind may be mapped there by now, or between the check
	 * and the fault; the sequence number tells, because the old mapping had to go.
	 * What the fault itself takes away, a page that was shared for one, is found by
	 * looking again.
	 */
	do {
		seq = mmu_interval_read_begin(notifier);
		ret = figment_fault_look(fault, range, around);
		if (ret)
			break;
		order = hmm_pfn_to_map_order(fault->pfns[figment_fault_page(fault) -
							 fault->begin]);
		if (order >= get_order(FIGMENT_FAULT_MAX) && around < FIGMENT_FAULT_MAX) {
			/* As one entry, from its beginning. */
			fault->ahead = 0;
			around = FIGMENT_FAULT_MAX;
			ret = -EAGAIN;
		} else if (range->notifier_seq != seq) {
			ret = -EAGAIN;
		}
	} while (ret == -EAGAIN && --attempts);
	mmput(notifier->mm);
	return ret;
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
		figment_userptr_mark_dirty(hmm_pfn_to_page(pfn));
	}
	return addr | FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | (write ? FIGMENT_PTE_WRITE : 0);
}

static void figment_fault_write_entries(struct figment_fault *fault, struct figment_vma *vma,
					struct figment_pt_flush *flush)
{
	struct figment_pt_space *pt = &fault->vm->pt;
	unsigned long page = fault->begin, n;
	u64 first, next, va;

	for (n = figment_fault_page(fault); n < fault->end; n++)
		if (!(fault->pfns[n - fault->begin] & HMM_PFN_VALID))
			break;
	fault->answered = fault->va + ((u64)(n - fault->first) << PAGE_SHIFT);

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
		return figment_mirror_fault(fault->vm, fault->address, fault->write,
					    fault->write ? 0 :
					    max(fault->ahead, figment_fault_around()),
					    &fault->answered);
	if (ret == -ENODATA)
		return figment_eviction_fault(fault->vm, fault->address);
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

/* How much to have ready for a queue that was given what it had asked for before. */
static unsigned long figment_fault_ahead(struct figment_queue *queue, u64 address, bool write)
{
	unsigned long most = write ? FIGMENT_FAULT_AHEAD_WRITE : FIGMENT_FAULT_AHEAD_READ;
	unsigned long last = max(queue->fault.answered_size, PAGE_SIZE);

	if (address != queue->fault.answered)
		queue->fault.ahead = 0;
	else
		queue->fault.ahead = clamp(max(4 * queue->fault.ahead, roundup_pow_of_two(last)),
					   FIGMENT_FAULT_AHEAD, most);
	return queue->fault.ahead;
}

/** figment_fault_work() - &figment_queue.fault.work: answer the fault of a queue. */
void figment_fault_work(struct work_struct *work)
{
	struct figment_queue *queue = container_of(work, struct figment_queue, fault.work);
	struct figment_fault fault = { .vm = queue->vm };
	u64 address;
	int ret;

	if (!figment_queue_get_fault(queue, &address, &fault.write))
		goto put_queue;
	WRITE_ONCE(queue->fault.count, queue->fault.count + 1);
	fault.address = ALIGN_DOWN(address, PAGE_SIZE);
	fault.ahead = figment_fault_ahead(queue, fault.address, fault.write);

	fault.pfns = kvmalloc_array(FIGMENT_FAULT_PAGES, sizeof(*fault.pfns), GFP_KERNEL);
	ret = fault.pfns ? figment_fault_resolve(&fault) : -ENOMEM;
	kvfree(fault.pfns);
	if (!ret) {
		queue->fault.answered = fault.answered;
		queue->fault.answered_size = fault.answered - fault.address;
	}

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
	trace_figment_fault_done(queue, address, ret);
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
	trace_figment_fault(queue, address, access);
	figment_queue_set_fault(queue, address,
				access & (FIGMENT_EVENT_ACCESS_WRITE |
					  FIGMENT_EVENT_ACCESS_ATOMIC));
	if (!queue_work(queue->fdev->fault_wq, &queue->fault.work))
		figment_queue_put(queue);
}
