// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Device TLB and page-walk cache invalidation.
 *
 * A translation that was valid once may be used by the device until an
 * invalidation that was issued after the page-table write is acknowledged.
 * So nothing that a cleared entry pointed to (a page, or a page-table page)
 * may be given back before figment_tlb_wait() has returned.
 *
 * All of this runs in mmu notifiers: no allocation, no interruptible wait, and
 * an end even when the device is sick. When the device does not acknowledge, it
 * is wedged, which cuts it off from memory; then, too, no old translation is
 * in use and the caller may go on.
 */
#include <linux/bitfield.h>
#include <linux/jiffies.h>

#include <drm/drm_drv.h>

#include "figment_device.h"
#include "figment_tlb.h"

/* A lost interrupt costs this much: then the register is read. */
#define FIGMENT_TLB_POLL_MS	10
/* Without any acknowledgment for so long the device is taken for dead. */
#define FIGMENT_TLB_DEAD_MS	10000

/** figment_tlb_init() - Prepare the bookkeeping; the device has just been reset. */
void figment_tlb_init(struct figment_device *fdev)
{
	spin_lock_init(&fdev->tlb.lock);
	init_waitqueue_head(&fdev->tlb.wait);
	atomic64_set(&fdev->tlb.done, 0);
	fdev->tlb.issued = 0;
}

/**
 * figment_tlb_acknowledge() - Note that invalidations have been acknowledged.
 * @fdev: the device
 * @seq: sequence number of the last one
 *
 * Any context, hard irq included.
 */
void figment_tlb_acknowledge(struct figment_device *fdev, u64 seq)
{
	s64 old = atomic64_read(&fdev->tlb.done);

	do {
		if (seq <= (u64)old)
			return;
	} while (!atomic64_try_cmpxchg(&fdev->tlb.done, &old, seq));
	wake_up_all(&fdev->tlb.wait);
}

/** figment_tlb_is_done() - Is it acknowledged, or can the device not reach memory any more? */
bool figment_tlb_is_done(struct figment_device *fdev, u64 seq)
{
	return (u64)atomic64_read(&fdev->tlb.done) >= seq || READ_ONCE(fdev->quiet);
}

/**
 * figment_tlb_wait() - Wait until an invalidation is acknowledged.
 * @fdev: the device
 * @seq: what figment_tlb_issue_range() or figment_tlb_issue_asid() returned
 *
 * Uninterruptible. On return no access by a translation that was cached when
 * the invalidation was issued is in flight, or ever will be.
 */
void figment_tlb_wait(struct figment_device *fdev, u64 seq)
{
	unsigned long dead = jiffies + msecs_to_jiffies(FIGMENT_TLB_DEAD_MS);
	int idx;

	might_sleep();
	/* Unplugged means quiet: figment_device_stop() came first. */
	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	while (!wait_event_timeout(fdev->tlb.wait, figment_tlb_is_done(fdev, seq),
				   msecs_to_jiffies(FIGMENT_TLB_POLL_MS))) {
		u64 done = figment_read64(fdev, FIGMENT_REG_INVAL_DONE);

		/* All ones: the device is gone; figment_device_wedge() will find out. */
		if (done != U64_MAX)
			figment_tlb_acknowledge(fdev, done);
		if (!figment_tlb_is_done(fdev, seq) &&
		    (done == U64_MAX || time_after(jiffies, dead)))
			figment_device_wedge(fdev, "an invalidation was not acknowledged");
	}
	drm_dev_exit(idx);
}

static u64 figment_tlb_issue(struct figment_device *fdev, u64 first, u64 last, u64 command)
{
	unsigned long flags;
	u64 seq = 0;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return 0;

	/*
	 * The device refuses what exceeds its depth, and a refused
	 * invalidation is never acknowledged: leave no chance for that.
	 */
	spin_lock_irqsave(&fdev->tlb.lock, flags);
	while (fdev->tlb.issued - (u64)atomic64_read(&fdev->tlb.done) >= FIGMENT_INVAL_DEPTH &&
	       !READ_ONCE(fdev->quiet)) {
		u64 oldest = fdev->tlb.issued - FIGMENT_INVAL_DEPTH + 1;

		spin_unlock_irqrestore(&fdev->tlb.lock, flags);
		figment_tlb_wait(fdev, oldest);
		spin_lock_irqsave(&fdev->tlb.lock, flags);
	}
	seq = ++fdev->tlb.issued;
	if (!READ_ONCE(fdev->quiet)) {
		figment_write64(fdev, FIGMENT_REG_INVAL_FIRST, first);
		figment_write64(fdev, FIGMENT_REG_INVAL_LAST, last);
		/* writeq() orders this after the page-table writes for the device. */
		figment_write64(fdev, FIGMENT_REG_INVAL_COMMAND, command | FIGMENT_INVAL_EVENT);
	}
	spin_unlock_irqrestore(&fdev->tlb.lock, flags);
	drm_dev_exit(idx);
	return seq;
}

/**
 * figment_tlb_issue_range() - Start the invalidation of a range of an address space.
 * @fdev: the device
 * @asid: address space
 * @first: first address
 * @last: last address, inclusive
 *
 * May wait for older invalidations, never for memory or fences.
 *
 * Return: the sequence number for figment_tlb_wait().
 */
u64 figment_tlb_issue_range(struct figment_device *fdev, u32 asid, u64 first, u64 last)
{
	return figment_tlb_issue(fdev, first, last,
				 FIELD_PREP(FIGMENT_INVAL_ASID, asid) |
				 FIELD_PREP(FIGMENT_INVAL_KIND, FIGMENT_INVAL_KIND_RANGE));
}

/**
 * figment_tlb_issue_asid() - Start the invalidation of a whole address space.
 * @fdev: the device
 * @asid: address space
 *
 * Return: the sequence number for figment_tlb_wait().
 */
u64 figment_tlb_issue_asid(struct figment_device *fdev, u32 asid)
{
	return figment_tlb_issue(fdev, 0, 0,
				 FIELD_PREP(FIGMENT_INVAL_ASID, asid) |
				 FIELD_PREP(FIGMENT_INVAL_KIND, FIGMENT_INVAL_KIND_ASID));
}
