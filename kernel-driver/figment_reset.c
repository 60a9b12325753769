// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Resets of the whole device, and the way back from them.
 *
 * DOC: Recovery
 *
 * What goes wrong is answered with the least that helps:
 *
 *	a job fails or does not end		its queue is reset
 *	a queue can not be reset, an		the device is reset
 *	invalidation is not acknowledged
 *	that does not help, or happens		the device is wedged: -ENODEV for
 *	too often				everybody, until it is bound again
 *
 * A device that has been reset, for that reason or by somebody else (FLR, suspend
 * to RAM), is empty: no queue, no root, no translation, no event. All of it is in
 * our memory too, and comes back in three steps:
 *
 *	halt	The gate goes down: whoever writes a register that a reset takes away
 *		looks at figment_device.gate.level first, under a lock. Then the
 *		RESET. When it is over the device is quiet: invalidations count as
 *		acknowledged, and nothing of any queue is in flight. Needs no lock but
 *		spinlocks, so it is done on the spot by whoever finds the device sick:
 *		a notifier, or who holds the lock of a queue.
 *	lose	For each queue, under its lock: what has ended is retired, and a job
 *		that had begun ends with -ECANCELED, as half of it can not be undone.
 *		One that was put aside before the reset has not lost anything: its
 *		state is in the descriptor. One that had not begun will be executed.
 *	return	Event ring, roots, and the count of invalidations; the gate goes up.
 *		Then each queue, under its lock: RESUME, or START at its first job.
 *
 * A queue that comes or goes, is suspended, resumed or killed in the meantime does
 * so in our memory; the register is written when the queue returns.
 *
 * For a reset that is announced all queues are first put aside, if the device can
 * do so, and otherwise given the time of a job to end what they have: see
 * figment_device_pause().
 *
 * All of this is in the signalling path: it takes the locks of queues, but no other
 * sleeping lock, and does not allocate.
 */
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/string.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_event.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_tlb.h"
#include "figment_trace.h"
#include "figment_user_fence.h"
#include "figment_watchdog.h"

/* More than figment_device_resets() of them in this time, and resets are no help. */
#define FIGMENT_RESETS_MS	60000

/* --- the gate ------------------------------------------------------------- */

/**
 * figment_device_set_root() - Write ASID_ROOT, now and after each reset.
 * @fdev: the device; the caller is inside drm_dev_enter()
 * @asid: address space
 * @root: what to write; zero: it is not in use
 */
void figment_device_set_root(struct figment_device *fdev, u32 asid, u64 root)
{
	guard(spinlock_irqsave)(&fdev->gate.lock);
	fdev->gate.roots[asid] = root;
	/* writeq() orders this after the tables for the device. */
	if (fdev->gate.level != FIGMENT_DOWN)
		figment_write64(fdev, FIGMENT_REG_ASID_ROOT(asid), root);
}

/**
 * figment_device_open() - Tell a device that has been reset all but its queues.
 * @fdev: the device; the caller is inside drm_dev_enter()
 *
 * Return: false when it is wedged, and nothing was done.
 */
bool figment_device_open(struct figment_device *fdev)
{
	u32 asid;

	guard(spinlock_irqsave)(&fdev->events.lock);
	guard(spinlock)(&fdev->gate.lock);
	if (fdev->wedged)
		return false;

	figment_event_start_ring(fdev);
	for (asid = 0; asid < fdev->info.asids; asid++)
		if (fdev->gate.roots[asid])
			figment_write64(fdev, FIGMENT_REG_ASID_ROOT(asid),
					fdev->gate.roots[asid]);
	figment_tlb_restart(fdev);

	WRITE_ONCE(fdev->reset.epoch, fdev->reset.epoch + 1);
	WRITE_ONCE(fdev->gate.quiet, false);
	WRITE_ONCE(fdev->gate.level, FIGMENT_UP);
	figment_write32(fdev, FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
	/* Who has seen neither quiet nor up, in between, may sleep. */
	wake_up_all(&fdev->tlb.wait);
	return true;
}

/**
 * figment_device_wait_quiet() - Wait until the device does not reach memory any more.
 * @fdev: the device, of which FIGMENT_DOWN was seen
 *
 * If it is up again by now, it was quiet in between.
 */
void figment_device_wait_quiet(struct figment_device *fdev)
{
	wait_event(fdev->tlb.wait,
		   READ_ONCE(fdev->gate.quiet) || !figment_device_is_down(fdev));
}

/**
 * figment_device_halt() - Have the device forget everything.
 * @fdev: the device; the caller is inside drm_dev_enter() or before drm_dev_unplug()
 *
 * May be called in mmu notifiers and under the lock of a queue. On return nothing of
 * the device is in flight, and all invalidations count as acknowledged. Whoever was
 * the first has to have it brought back.
 *
 * Return: true for the first one.
 */
bool figment_device_halt(struct figment_device *fdev)
{
	bool first;

	scoped_guard(spinlock_irqsave, &fdev->events.lock) {
		guard(spinlock)(&fdev->gate.lock);
		first = fdev->gate.level != FIGMENT_DOWN;
		WRITE_ONCE(fdev->gate.level, FIGMENT_DOWN);
	}
	if (!first) {
		figment_device_wait_quiet(fdev);
		return false;
	}

	figment_queues_silence(fdev);
	if (figment_device_reset(fdev))
		/* It will be tried once more; until then it is cut off. */
		pci_clear_master(to_pci_dev(fdev->drm.dev));

	WRITE_ONCE(fdev->gate.quiet, true);
	wake_up_all(&fdev->tlb.wait);
	return true;
}

/* --- the way back --------------------------------------------------------- */

/* Returns whether the device is back. Under figment_device.reset.lock. */
static bool figment_device_return(struct figment_device *fdev)
{
	struct pci_dev *pdev = to_pci_dev(fdev->drm.dev);
	int ret;

	lockdep_assert_held(&fdev->reset.lock);

	/* Somebody else may have been here. */
	if (!figment_device_is_down(fdev) || figment_device_wedged(fdev))
		return false;
	/* The work may be older than the halt that is under way. */
	figment_device_wait_quiet(fdev);

	ret = figment_device_reset(fdev);
	if (ret) {
		figment_device_wedge(fdev, ret == -ENODEV ? "it does not answer any more" :
							    "it does not come out of reset");
		return false;
	}
	/* Only now: jobs of a device that is gone have not been canceled for others. */
	figment_queues_visit(fdev, figment_queue_lose);
	pci_set_master(pdev);
	if (!figment_device_open(fdev)) {
		pci_clear_master(pdev);
		return false;
	}
	figment_queues_visit(fdev, figment_queue_return);
	figment_watchdog_arm(fdev);
	return true;
}

static void figment_reset_tell(struct figment_device *fdev, u64 canceled)
{
	u64 resets = atomic64_read(&fdev->counts.device_resets);

	if (fdev->reset.guilty.pid)
		drm_err(&fdev->drm,
			"reset %llu of the device: %s; because of %s[%d], client %llu, queue %u; %llu other jobs canceled\n",
			resets, fdev->reset.why, fdev->reset.guilty.comm, fdev->reset.guilty.pid,
			fdev->reset.guilty.client, fdev->reset.guilty.queue, canceled);
	else
		drm_err(&fdev->drm, "reset %llu of the device: %s; %llu jobs canceled\n", resets,
			fdev->reset.why, canceled);
}

static void figment_reset_recover(struct figment_device *fdev)
{
	u64 canceled;

	guard(mutex)(&fdev->reset.lock);
	if (fdev->reset.paused)
		return;

	canceled = atomic64_read(&fdev->counts.jobs_canceled);
	if (figment_device_return(fdev))
		figment_reset_tell(fdev, atomic64_read(&fdev->counts.jobs_canceled) - canceled);
}

static void figment_reset_work(struct work_struct *work)
{
	struct figment_device *fdev = container_of(work, struct figment_device, reset.work);
	bool cookie;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	cookie = dma_fence_begin_signalling();
	figment_reset_recover(fdev);
	dma_fence_end_signalling(cookie);
	drm_dev_exit(idx);
}

/* --- failures ------------------------------------------------------------- */

/* Whoever has halted the device. Returns whether resets may still help. */
static bool figment_reset_note(struct figment_device *fdev, const char *why,
			       struct figment_queue *guilty)
{
	unsigned long now = jiffies;

	fdev->reset.why = why;
	memset(&fdev->reset.guilty, 0, sizeof(fdev->reset.guilty));
	if (guilty) {
		strscpy(fdev->reset.guilty.comm, guilty->client->comm);
		fdev->reset.guilty.pid = guilty->client->pid;
		fdev->reset.guilty.client = guilty->client->id;
		fdev->reset.guilty.queue = guilty->hw_id;
	}
	atomic64_inc(&fdev->counts.device_resets);
	trace_figment_reset(fdev, NULL, why, 0);

	if (!fdev->reset.recent ||
	    time_after(now, fdev->reset.since + msecs_to_jiffies(FIGMENT_RESETS_MS))) {
		fdev->reset.since = now;
		fdev->reset.recent = 0;
	}
	return ++fdev->reset.recent <= figment_device_resets();
}

/**
 * figment_device_fail() - The device does not do what it must: reset all of it.
 * @fdev: the device; the caller is inside drm_dev_enter()
 * @why: for the log
 * @guilty: whose job it was, or NULL
 *
 * May be called in mmu notifiers and under the lock of a queue. On return nothing of
 * the device is in flight; it comes back a little later, or is wedged.
 */
void figment_device_fail(struct figment_device *fdev, const char *why,
			 struct figment_queue *guilty)
{
	if (!figment_device_halt(fdev))
		return;
	if (figment_reset_note(fdev, why, guilty))
		queue_work(fdev->reset_wq, &fdev->reset.work);
	else
		figment_device_wedge(fdev, why);
}

static void figment_reset_gone_work(struct work_struct *work)
{
	struct figment_device *fdev = container_of(work, struct figment_device, reset.gone);
	bool cookie = dma_fence_begin_signalling();
	int idx;

	if (drm_dev_enter(&fdev->drm, &idx)) {
		figment_device_fail(fdev, "it does not answer", NULL);
		drm_dev_exit(idx);
	}
	dma_fence_end_signalling(cookie);
}

/** figment_device_gone() - figment_device_fail() for a device that is not there; any context. */
void figment_device_gone(struct figment_device *fdev)
{
	queue_work(fdev->reset_wq, &fdev->reset.gone);
}

/* --- resets that are announced --------------------------------------------- */

/**
 * figment_device_pause() - Put everything aside: the device is about to lose all state.
 * @fdev: the device
 *
 * On return it does not reach memory, nor needs its registers any more, until
 * figment_device_unpause(). Jobs that could not be put aside in time are lost then.
 */
void figment_device_pause(struct figment_device *fdev)
{
	bool cookie;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	/* Before anything stops: it waits for others, who may need fences. */
	figment_vram_close(fdev);
	cookie = dma_fence_begin_signalling();
	mutex_lock(&fdev->reset.lock);
	fdev->reset.paused = true;
	atomic64_inc(&fdev->counts.pauses);

	scoped_guard(spinlock_irqsave, &fdev->events.lock) {
		guard(spinlock)(&fdev->gate.lock);
		if (fdev->gate.level == FIGMENT_UP)
			WRITE_ONCE(fdev->gate.level, FIGMENT_STOPPING);
	}
	figment_queues_put_aside(fdev);
	figment_device_halt(fdev);

	mutex_unlock(&fdev->reset.lock);
	dma_fence_end_signalling(cookie);
	drm_dev_exit(idx);
}

/** figment_device_unpause() - The device is there again, and empty: go on. */
void figment_device_unpause(struct figment_device *fdev)
{
	bool cookie;
	int idx;

	if (drm_dev_enter(&fdev->drm, &idx)) {
		cookie = dma_fence_begin_signalling();
		mutex_lock(&fdev->reset.lock);
		fdev->reset.paused = false;
		figment_device_return(fdev);
		mutex_unlock(&fdev->reset.lock);
		dma_fence_end_signalling(cookie);
		drm_dev_exit(idx);
	}
	figment_vram_open(fdev);
}

/* --- life ----------------------------------------------------------------- */

/**
 * figment_reset_init() - Prepare; the gate is down.
 * @fdev: the device
 *
 * Return: 0, or a negative errno.
 */
int figment_reset_init(struct figment_device *fdev)
{
	spin_lock_init(&fdev->gate.lock);
	fdev->gate.level = FIGMENT_DOWN;
	fdev->gate.quiet = true;
	INIT_WORK(&fdev->reset.work, figment_reset_work);
	INIT_WORK(&fdev->reset.gone, figment_reset_gone_work);
	return drmm_mutex_init(&fdev->drm, &fdev->reset.lock);
}

/** figment_reset_fini() - No more works; the device is unplugged. */
void figment_reset_fini(struct figment_device *fdev)
{
	cancel_work_sync(&fdev->reset.gone);
	cancel_work_sync(&fdev->reset.work);
}
