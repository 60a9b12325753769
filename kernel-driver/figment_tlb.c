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
 * is reset, and a device in reset has no translation: the caller may go on.
 *
 * Each reset makes the device count from one again, so our sequence numbers are
 * figment_device.tlb.base ahead of those of the device.
 */
#include <linux/bitfield.h>
#include <linux/jiffies.h>

#include <drm/drm_drv.h>

#include "figment_device.h"
#include "figment_reset.h"
#include "figment_tlb.h"
#include "figment_trace.h"

/* A lost interrupt costs this much: then the register is read. */
#define FIGMENT_TLB_POLL_MS	10
/* Not acknowledged for so long: the device is reset. */
#define FIGMENT_TLB_DEAD_MS	10000

/** figment_tlb_init() - Prepare the bookkeeping. */
void figment_tlb_init(struct figment_device *fdev)
{
	init_waitqueue_head(&fdev->tlb.wait);
}

/**
 * figment_tlb_restart() - The device has been reset and knows no translation.
 * @fdev: the device, gate and event ring locked
 *
 * Nobody needs to be woken: whoever waits was, when the device became quiet.
 */
void figment_tlb_restart(struct figment_device *fdev)
{
	lockdep_assert_held(&fdev->gate.lock);
	lockdep_assert_held(&fdev->events.lock);

	fdev->tlb.base = fdev->tlb.issued;
	atomic64_set(&fdev->tlb.done, fdev->tlb.issued);
}

/**
 * figment_tlb_acknowledge() - Note that invalidations have been acknowledged.
 * @fdev: the device, gate or event ring locked
 * @seq: sequence number of the last one, as the device counts
 *
 * Any context, hard irq included.
 */
void figment_tlb_acknowledge(struct figment_device *fdev, u64 seq)
{
	s64 old = atomic64_read(&fdev->tlb.done);

	seq += fdev->tlb.base;
	do {
		if (seq <= (u64)old)
			return;
	} while (!atomic64_try_cmpxchg(&fdev->tlb.done, &old, seq));
	trace_figment_invalidated(fdev, seq);
	wake_up_all(&fdev->tlb.wait);
}

/* Ask the device how far it is; false: it is not there. The caller is inside drm_dev_enter(). */
static bool figment_tlb_poll(struct figment_device *fdev)
{
	u64 done;

	guard(spinlock_irqsave)(&fdev->gate.lock);
	if (fdev->gate.level == FIGMENT_DOWN)
		return true;
	done = figment_read64(fdev, FIGMENT_REG_INVAL_DONE);
	if (done == U64_MAX)
		return false;
	figment_tlb_acknowledge(fdev, done);
	return true;
}

/** figment_tlb_is_done() - Is it acknowledged, or can the device not reach memory any more? */
bool figment_tlb_is_done(struct figment_device *fdev, u64 seq)
{
	return (u64)atomic64_read(&fdev->tlb.done) >= seq ||
	       READ_ONCE(fdev->gate.quiet);
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
		bool there = figment_tlb_poll(fdev);

		if (!figment_tlb_is_done(fdev, seq) && (!there || time_after(jiffies, dead)))
			figment_device_fail(fdev, "an invalidation is not acknowledged", NULL);
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
	spin_lock_irqsave(&fdev->gate.lock, flags);
	while (fdev->tlb.issued - (u64)atomic64_read(&fdev->tlb.done) >= FIGMENT_INVAL_DEPTH &&
	       fdev->gate.level != FIGMENT_DOWN) {
		u64 oldest = fdev->tlb.issued - FIGMENT_INVAL_DEPTH + 1;

		spin_unlock_irqrestore(&fdev->gate.lock, flags);
		figment_tlb_wait(fdev, oldest);
		spin_lock_irqsave(&fdev->gate.lock, flags);
	}
	seq = ++fdev->tlb.issued;
	/* Otherwise the reset does it. */
	if (fdev->gate.level != FIGMENT_DOWN) {
		trace_figment_invalidate(fdev, seq - fdev->tlb.base, first, last, command);
		figment_write64(fdev, FIGMENT_REG_INVAL_FIRST, first);
		figment_write64(fdev, FIGMENT_REG_INVAL_LAST, last);
		/* writeq() orders this after the page-table writes for the device. */
		figment_write64(fdev, FIGMENT_REG_INVAL_COMMAND, command | FIGMENT_INVAL_EVENT);
	}
	spin_unlock_irqrestore(&fdev->gate.lock, flags);
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
