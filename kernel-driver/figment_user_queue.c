// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Queues whose process submits by itself: it writes packets to a ring in memory of its
 * own, the end of them to a page that it shares with us, and then the same to the
 * doorbell of the device. We see nothing of that. Everything else about the queue is ours:
 * its descriptor, when it is on the device, and whose doorbell the page is.
 *
 * What the process has is three pages: the doorbell; the index, of which nothing is
 * believed; and the control page, read only, as the device resumes from it.
 *
 * DOC: Doorbells that nobody hears
 *
 * The device does not listen while the queue is put aside, and the process can not know.
 * So whoever lets the queue on the device takes the index from the page: a doorbell from
 * before is in it, since the index is stored first. One that comes between that look and
 * the RESUME is lost. So there is another look when the device has obeyed, and if the
 * index is another one, somebody has to ring.
 *
 * But not at once. The process may be ringing as well, has been heard, and rings for
 * more: our value, a moment older, would go back, which the device takes for an error.
 * So it is done by a work that takes the doorbell away from the process, rings with the
 * index of then, and lets it have the page again. It needs i_mmap_rwsem, under which
 * notifiers run that wait for queues to leave the device; so it is a work of its own,
 * that no fence depends on.
 *
 * DOC: Numbers of user queues
 *
 * A doorbell names a hardware queue, so that number is nobody else's until no process has
 * the page: when the last reference of the queue is gone, mappings show a page that
 * leads nowhere, which faults get from then on, and only after that the number is free. It
 * is not SIGBUS, as a thread that rings does not know of the one that destroys, and need
 * not die of an unplugged device.
 */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_queue.h"
#include "figment_trace.h"
#include "figment_user_fence.h"
#include "figment_user_queue.h"
#include "figment_vm.h"
#include "figment_watchdog.h"

/* Far behind the offsets of buffers; then the pages of all hardware queues. */
#define FIGMENT_USER_QUEUE_OFFSET	BIT_ULL(56)
#define FIGMENT_USER_QUEUE_BYTES	(4 * PAGE_SIZE)
/* No index of a ring: those are multiples of 8. */
#define FIGMENT_USER_QUEUE_NOWHERE	U64_MAX

/* Nothing of another queue is in a page that a process gets. */
static_assert(FIGMENT_DOORBELL_BYTES == PAGE_SIZE);
static_assert(DRM_FIGMENT_USER_QUEUE_INDEX == PAGE_SIZE);
static_assert(DRM_FIGMENT_USER_QUEUE_STATUS == 2 * PAGE_SIZE);
static_assert(offsetof(struct drm_figment_user_queue_status, read) ==
	      offsetof(struct figment_control, descriptor.read));

/** struct figment_user_queue - What a process has of its queue. */
struct figment_user_queue {
	/** @refs: Of the queue and of mappings. */
	struct kref refs;
	/** @fdev: Lives as long as the queue, or the file of a mapping. */
	struct figment_device *fdev;
	/** @queue: Not for mappings, which it does not live as long as. */
	struct figment_queue *queue;
	/** @hw_id: Its number. */
	u32 hw_id;
	u32 ring_bytes_lg2;
	u64 ring_address;

	/** @index: The process writes it at any time. */
	struct drm_figment_user_queue_index *index;
	/** @control: &figment_queue.control as long as that lives. */
	struct figment_control *control;
	/** @nowhere: What the doorbell leads to when @revoked. */
	void *nowhere;

	/** @lock: Below mmap_lock, above &figment_queue.hw_lock: who maps the doorbell. */
	struct mutex lock;
	/** @revoked: Nobody gets the doorbell any more; under @lock. */
	bool revoked;
	/** @ring: Rings for the process; has a reference of the queue. */
	struct work_struct ring;
};

static u64 figment_user_queue_ring_bytes(struct figment_user_queue *user)
{
	return BIT_ULL(user->ring_bytes_lg2);
}

static u64 figment_user_queue_read(struct figment_queue *queue)
{
	return le64_to_cpu(READ_ONCE(queue->control->descriptor.read));
}

/* Once for each decision: it may be another one at the next look. */
static u64 figment_user_queue_index(struct figment_queue *queue)
{
	return READ_ONCE(queue->user->index->write);
}

/* --- on and off the device ------------------------------------------------- */

/* Could the queue, which is off the device, go on with this write index? */
static bool figment_user_queue_may_write(struct figment_queue *queue, u64 write)
{
	u64 bytes = figment_user_queue_ring_bytes(queue->user);
	u64 read = figment_user_queue_read(queue);
	u64 before = le64_to_cpu(queue->control->descriptor.write) - read;
	u64 ahead = write - read;

	/* What the device was told last; after a reset it may be older than @read. */
	if (before > bytes)
		before = 0;
	return IS_ALIGNED(write, sizeof(u64)) && ahead >= before && ahead <= bytes;
}

/* @write is checked, and @read where the device was. */
static void figment_user_queue_start(struct figment_queue *queue, u64 write)
{
	struct figment_descriptor *desc = &queue->control->descriptor;
	struct figment_user_queue *user = queue->user;

	lockdep_assert_held(&queue->lock);

	/* Not as a whole: the process looks at @read, which stays as it is. */
	desc->ring_address = cpu_to_le64(user->ring_address);
	desc->ring_bytes_lg2 = cpu_to_le32(user->ring_bytes_lg2);
	desc->asid = cpu_to_le32(queue->vm->pt.asid);
	desc->priority = cpu_to_le32(queue->priority);
	desc->flags = 0;
	desc->timeslice_ns = cpu_to_le64(queue->timeslice_ns);
	desc->write = cpu_to_le64(write);
	/* writel() orders this after the descriptor for the device. */
	queue->running = figment_queue_command(queue, FIGMENT_QUEUE_START);
}

static void figment_user_queue_resume(struct figment_queue *queue, u64 write)
{
	lockdep_assert_held(&queue->lock);

	queue->control->descriptor.write = cpu_to_le64(write);
	/* writel() orders this after the descriptor for the device. */
	queue->running = figment_queue_command(queue, FIGMENT_QUEUE_RESUME);
	queue->saved = !queue->running;
}

/* A doorbell may have been lost, see DOC: Doorbells that nobody hears. */
static void figment_user_queue_ring_later(struct figment_queue *queue)
{
	/* On its way out it needs none. */
	if (!kref_get_unless_zero(&queue->refs))
		return;
	if (!queue_work(queue->fdev->fault_wq, &queue->user->ring))
		figment_queue_put(queue);
}

/**
 * figment_user_queue_continue() - Let a queue on the device, where it was, or anew.
 * @queue: the queue, off the device; the caller is inside drm_dev_enter()
 *
 * With what its process has written until now. In the signalling path.
 */
void figment_user_queue_continue(struct figment_queue *queue)
{
	u64 write = figment_user_queue_index(queue);

	lockdep_assert_held(&queue->hw_lock);

	if (queue->dead || queue->failed || figment_device_wedged(queue->fdev))
		return;
	if (!figment_user_queue_may_write(queue, write)) {
		drm_dbg_driver(&queue->fdev->drm, "queue %u: a write index of 0x%llx\n",
			       queue->hw_id, write);
		figment_queue_reset(queue);
		figment_user_queue_fail(queue, -EINVAL, FIGMENT_CODE_DOORBELL, write);
		return;
	}

	queue->drain = FIGMENT_USER_QUEUE_NOWHERE;
	scoped_guard(spinlock_irqsave, &queue->lock) {
		if (queue->saved)
			figment_user_queue_resume(queue, write);
		else
			figment_user_queue_start(queue, write);
	}
	/* A device that is away gets a newer index when it is back. */
	if (!READ_ONCE(queue->running))
		return;

	/* The device has obeyed when this returns; doorbells from now on are heard. */
	figment_queue_read32(queue, FIGMENT_QUEUE_STATE);
	if (figment_user_queue_index(queue) != write)
		figment_user_queue_ring_later(queue);
}

static void figment_user_queue_ring(struct figment_queue *queue)
{
	int idx;

	guard(mutex)(&queue->hw_lock);
	if (queue->dead || !drm_dev_enter(&queue->fdev->drm, &idx))
		return;
	scoped_guard(spinlock_irqsave, &queue->lock) {
		u64 write = figment_user_queue_index(queue);

		/* What is wrong with the index the device will find. */
		if (queue->running) {
			trace_figment_doorbell(queue, write);
			writeq(write, queue->fdev->doorbells +
				      queue->hw_id * FIGMENT_DOORBELL_BYTES);
		}
	}
	drm_dev_exit(idx);
}

/* Take the doorbell away from the process; it may have it back. */
static void figment_user_queue_zap(struct figment_user_queue *user)
{
	loff_t offset = FIGMENT_USER_QUEUE_OFFSET +
			(loff_t)user->hw_id * FIGMENT_USER_QUEUE_BYTES;

	unmap_mapping_range(user->fdev->drm.anon_inode->i_mapping, offset, PAGE_SIZE, 1);
}

static void figment_user_queue_ring_work(struct work_struct *work)
{
	struct figment_user_queue *user = container_of(work, struct figment_user_queue, ring);
	struct figment_queue *queue = user->queue;

	/* Who wants to ring meanwhile waits in the fault. */
	scoped_guard(mutex, &user->lock) {
		figment_user_queue_zap(user);
		figment_user_queue_ring(queue);
	}
	/* Taken in figment_user_queue_ring_later(). */
	figment_queue_put(queue);
}

/**
 * figment_user_queue_fail() - The queue ends with an error.
 * @queue: the queue, off the device
 * @error: errno for QUEUE_QUERY
 * @code: FIGMENT_CODE_* of the device
 * @address: GPU address that went wrong, or what CODE_DOORBELL has
 *
 * It keeps its number and its memory until it is destroyed. In the signalling path.
 */
void figment_user_queue_fail(struct figment_queue *queue, int error, u32 code, u64 address)
{
	lockdep_assert_held(&queue->hw_lock);

	queue->saved = false;
	scoped_guard(spinlock_irqsave, &queue->lock) {
		if (queue->failed)
			return;
		queue->failed = true;
		figment_queue_count(queue, error, code, address);
	}
	figment_queue_count_failure(queue->fdev, error);
	figment_user_fence_wake(queue->fdev);
}

/**
 * figment_user_queue_lose() - The whole device has been reset, and the queue was on it.
 * @queue: the queue
 *
 * Without anything to do it has lost nothing. Else nobody knows what has been begun.
 */
void figment_user_queue_lose(struct figment_queue *queue)
{
	u64 read = figment_user_queue_read(queue);

	lockdep_assert_held(&queue->hw_lock);

	/* What was written after a pause the device has not heard of. */
	if (queue->failed || read == queue->drain || read == figment_user_queue_index(queue))
		return;
	figment_user_queue_fail(queue, -ECANCELED, FIGMENT_CODE_NONE, 0);
}

/** figment_user_queue_is_busy() - Has the device something to do? Locked, and lives. */
bool figment_user_queue_is_busy(struct figment_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	return figment_user_queue_index(queue) != figment_user_queue_read(queue);
}

/** figment_user_queue_announced() - Where the ring ends for the device, which answers. */
u64 figment_user_queue_announced(struct figment_queue *queue)
{
	return figment_read64(queue->fdev, FIGMENT_REG_QUEUE(queue->hw_id) + FIGMENT_QUEUE_WRITE);
}

/** figment_user_queue_has_drained() - Is the device done up to @position? Locked, and lives. */
bool figment_user_queue_has_drained(struct figment_queue *queue, u64 position)
{
	lockdep_assert_held(&queue->lock);
	return queue->failed || position == FIGMENT_USER_QUEUE_NOWHERE ||
	       (s64)(figment_user_queue_read(queue) - position) >= 0;
}

/**
 * figment_user_queue_pending() - Packets that the device is not done with.
 * @queue: the queue, off the device
 * @address: gets their GPU address
 * @size: gets bytes of them, up to the end of the ring
 */
void figment_user_queue_pending(struct figment_queue *queue, u64 *address, u64 *size)
{
	u64 bytes = figment_user_queue_ring_bytes(queue->user);
	u64 read = figment_user_queue_read(queue);
	u64 at = read & (bytes - 1);

	*address = queue->user->ring_address + at;
	*size = min(le64_to_cpu(queue->control->descriptor.write) - read, bytes - at);
}

/* --- pages of the process -------------------------------------------------- */

static void figment_user_queue_free(struct kref *refs)
{
	struct figment_user_queue *user = container_of(refs, struct figment_user_queue, refs);

	free_page((unsigned long)user->index);
	free_page((unsigned long)user->control);
	free_page((unsigned long)user->nowhere);
	mutex_destroy(&user->lock);
	kfree(user);
}

/** figment_user_queue_put() - Drop a reference; NULL is fine. */
void figment_user_queue_put(struct figment_user_queue *user)
{
	if (user)
		kref_put(&user->refs, figment_user_queue_free);
}

static vm_fault_t figment_user_queue_insert(struct vm_fault *vmf, void *page)
{
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(virt_to_page(page)));
}

static vm_fault_t figment_user_queue_fault_doorbell(struct vm_fault *vmf,
						    struct figment_user_queue *user)
{
	struct figment_device *fdev = user->fdev;
	unsigned long pfn = PHYS_PFN(fdev->doorbells_base) + user->hw_id;
	vm_fault_t ret;
	int idx;

	guard(mutex)(&user->lock);
	if (user->revoked || !drm_dev_enter(&fdev->drm, &idx))
		return figment_user_queue_insert(vmf, user->nowhere);
	/* The BARs are away together. */
	figment_vram_enter(fdev);
	ret = vmf_insert_pfn_prot(vmf->vma, vmf->address, pfn,
				  pgprot_noncached(vmf->vma->vm_page_prot));
	figment_vram_exit(fdev);
	drm_dev_exit(idx);
	return ret;
}

static unsigned long figment_user_queue_page(struct vm_area_struct *vma)
{
	return vma->vm_pgoff % PHYS_PFN(FIGMENT_USER_QUEUE_BYTES);
}

static vm_fault_t figment_user_queue_fault(struct vm_fault *vmf)
{
	struct figment_user_queue *user = vmf->vma->vm_private_data;

	switch (PFN_PHYS(figment_user_queue_page(vmf->vma))) {
	case DRM_FIGMENT_USER_QUEUE_DOORBELL:
		return figment_user_queue_fault_doorbell(vmf, user);
	case DRM_FIGMENT_USER_QUEUE_INDEX:
		return figment_user_queue_insert(vmf, user->index);
	default:
		return figment_user_queue_insert(vmf, user->control);
	}
}

static void figment_user_queue_open(struct vm_area_struct *vma)
{
	struct figment_user_queue *user = vma->vm_private_data;

	kref_get(&user->refs);
}

static void figment_user_queue_close(struct vm_area_struct *vma)
{
	figment_user_queue_put(vma->vm_private_data);
}

static const struct vm_operations_struct figment_user_queue_vm_ops = {
	.fault = figment_user_queue_fault,
	.open = figment_user_queue_open,
	.close = figment_user_queue_close,
};

/** figment_user_queue_offset() - &drm_figment_queue_create.mmap_offset. */
u64 figment_user_queue_offset(struct figment_queue *queue)
{
	return FIGMENT_USER_QUEUE_OFFSET + queue->hw_id * FIGMENT_USER_QUEUE_BYTES;
}

/** figment_user_queue_has_offset() - Is that for figment_user_queue_mmap()? */
bool figment_user_queue_has_offset(unsigned long pgoff)
{
	return pgoff >= PHYS_PFN(FIGMENT_USER_QUEUE_OFFSET);
}

/* Returns the queue whose offset that is, with a reference; NULL: none of this file. */
static struct figment_queue *figment_user_queue_at(struct drm_file *file, unsigned long pgoff)
{
	struct figment_device *fdev = to_figment_device(file->minor->dev);
	unsigned long hw_id = (pgoff - PHYS_PFN(FIGMENT_USER_QUEUE_OFFSET)) /
			      PHYS_PFN(FIGMENT_USER_QUEUE_BYTES);
	struct figment_queue *queue;

	queue = hw_id < fdev->info.queues ? figment_queue_find(fdev, hw_id) : NULL;
	if (queue && (!queue->user || queue->client != figment_file_client(file))) {
		figment_queue_put(queue);
		return NULL;
	}
	return queue;
}

/**
 * figment_user_queue_mmap() - Map a page of a user queue.
 * @file: whose queue it has to be
 * @vma: mapping, at an offset of figment_user_queue_has_offset()
 *
 * Return: 0; -EINVAL: not there, not one page, or not shared; -EACCES: it is not to be
 * written; -ENODEV: the device is gone.
 */
int figment_user_queue_mmap(struct drm_file *file, struct vm_area_struct *vma)
{
	u64 offset = PFN_PHYS(figment_user_queue_page(vma));
	struct figment_queue *queue;

	if (drm_dev_is_unplugged(file->minor->dev))
		return -ENODEV;
	if (vma_pages(vma) != 1 || !(vma->vm_flags & VM_SHARED) ||
	    offset > DRM_FIGMENT_USER_QUEUE_STATUS)
		return -EINVAL;
	if (offset == DRM_FIGMENT_USER_QUEUE_STATUS) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	queue = figment_user_queue_at(file, vma->vm_pgoff);
	if (!queue)
		return -EINVAL;
	/* The mapping is of this process; a child would ring for memory that it has not. */
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	kref_get(&queue->user->refs);
	vma->vm_private_data = queue->user;
	vma->vm_ops = &figment_user_queue_vm_ops;
	figment_queue_put(queue);
	return 0;
}

/* --- life ------------------------------------------------------------------ */

/** figment_user_queue_args_are_valid() - Those of QUEUE_CREATE that are about user queues. */
bool figment_user_queue_args_are_valid(const struct drm_figment_queue_create *args)
{
	u64 end;

	if (args->flags & ~DRM_FIGMENT_QUEUE_USER)
		return false;
	if (!(args->flags & DRM_FIGMENT_QUEUE_USER))
		return !args->ring_address && !args->ring_size;

	return is_power_of_2(args->ring_size) &&
	       args->ring_size >= BIT_ULL(FIGMENT_RING_BYTES_LG2_MIN) &&
	       args->ring_size <= BIT_ULL(FIGMENT_RING_BYTES_LG2_MAX) &&
	       PAGE_ALIGNED(args->ring_address) && args->ring_address >= FIGMENT_VA_START &&
	       !check_add_overflow(args->ring_address, args->ring_size, &end) &&
	       end <= FIGMENT_VA_END;
}

/**
 * figment_user_queue_init() - The memory of a user queue.
 * @queue: the queue; whatever was done when this fails, it has
 * @args: of QUEUE_CREATE, checked
 *
 * Return: 0; -ENOMEM.
 */
int figment_user_queue_init(struct figment_queue *queue,
			    const struct drm_figment_queue_create *args)
{
	struct device *dev = queue->fdev->drm.dev;
	struct figment_user_queue *user;
	dma_addr_t bus;

	user = kzalloc_obj(*user, GFP_KERNEL_ACCOUNT);
	if (!user)
		return -ENOMEM;
	queue->user = user;
	queue->drain = FIGMENT_USER_QUEUE_NOWHERE;

	kref_init(&user->refs);
	user->fdev = queue->fdev;
	user->queue = queue;
	user->ring_address = args->ring_address;
	user->ring_bytes_lg2 = ilog2(args->ring_size);
	mutex_init(&user->lock);
	INIT_WORK(&user->ring, figment_user_queue_ring_work);
	user->index = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	user->control = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	user->nowhere = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!user->index || !user->control || !user->nowhere)
		return -ENOMEM;

	/* Not dma_alloc_coherent(): a mapping may keep the page longer than we the device. */
	bus = dma_map_page_attrs(dev, virt_to_page(user->control), 0, PAGE_SIZE,
				 DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, bus))
		return -ENOMEM;
	queue->control = user->control;
	queue->control_bus = bus;
	return 0;
}

/** figment_user_queue_enter() - It has got its number. */
void figment_user_queue_enter(struct figment_queue *queue)
{
	queue->user->hw_id = queue->hw_id;
	atomic_inc(&queue->fdev->queues.users);
	figment_watchdog_arm(queue->fdev);
}

/** figment_user_queue_unmap_dma() - The device does not reach it any more, for good. */
void figment_user_queue_unmap_dma(struct figment_queue *queue)
{
	if (!queue->control)
		return;
	dma_unmap_page_attrs(queue->fdev->drm.dev, queue->control_bus, PAGE_SIZE,
			     DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	queue->control = NULL;
}

/**
 * figment_user_queue_revoke() - From here on nobody rings its doorbell.
 * @queue: the queue, dead, without references
 *
 * Takes locks that notifiers run under: not in the signalling path.
 */
void figment_user_queue_revoke(struct figment_queue *queue)
{
	struct figment_user_queue *user = queue->user;

	atomic_dec(&queue->fdev->queues.users);
	/* A fault that has not seen it has mapped the page when we get the lock. */
	scoped_guard(mutex, &user->lock)
		user->revoked = true;
	figment_user_queue_zap(user);
}
