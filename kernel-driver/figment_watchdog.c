// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Interrupts that do not come. The device raises a vector once for a ring that was
 * empty: if that message gets lost, no other one follows, and everybody who waits for
 * an event waits for ever. So while jobs are in flight a timer looks at the ring, in
 * memory, and at the numbers that jobs have written. What it finds it handles, and it
 * counts what it should not have found.
 *
 * Nothing else needs it: invalidations, preemptions and resets are waited for by
 * looking at their registers, and a fault or an error comes only while a job is in
 * flight. As long as there are user queues it looks, in memory, whether they have work.
 *
 * It is a timer, and not a work, since fences depend on it: it needs no memory and no
 * thread. A device that nothing is heard of is asked for its errors, at one register
 * a time; so one that is gone is noticed.
 */
#include <linux/jiffies.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_event.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_watchdog.h"

/* After an event was seen whose interrupt may be on its way. */
#define FIGMENT_WATCHDOG_AGAIN_MS	20
/* With watchdog_ms=0, as long as the event ring is broken. */
#define FIGMENT_WATCHDOG_MEND_MS	100

/* Returns when to look again, in ms. The caller is inside drm_dev_enter(). */
static unsigned int figment_watchdog_look(struct figment_device *fdev)
{
	u32 read = READ_ONCE(fdev->events.read);
	bool heard = read != fdev->watchdog.read;

	fdev->watchdog.read = read;
	switch (figment_event_age(fdev)) {
	case FIGMENT_EVENT_FRESH:
		return FIGMENT_WATCHDOG_AGAIN_MS;
	case FIGMENT_EVENT_LATE:
		atomic64_inc(&fdev->counts.interrupts_lost);
		drm_err_ratelimited(&fdev->drm, "an interrupt is lost or late: %lld so far\n",
				    atomic64_read(&fdev->counts.interrupts_lost));
		figment_event_poll(fdev);
		break;
	case FIGMENT_EVENT_NONE:
		/* The interrupt for an error may be lost as well. */
		if (!heard && !figment_event_check_error(fdev))
			figment_device_gone(fdev);
		break;
	}
	figment_event_mend_ring(fdev);
	figment_queues_retire(fdev);
	return figment_watchdog_ms();
}

static void figment_watchdog_start(struct figment_device *fdev, unsigned int ms)
{
	/* Also of somebody who does not want to know: without a ring nothing goes on. */
	if (!ms && READ_ONCE(fdev->events.broken))
		ms = FIGMENT_WATCHDOG_MEND_MS;
	if (ms)
		mod_timer(&fdev->watchdog.timer, jiffies + msecs_to_jiffies(ms));
	else
		WRITE_ONCE(fdev->watchdog.armed, false);
}

static bool figment_watchdog_has_work(struct figment_device *fdev)
{
	return figment_queues_are_busy(fdev, NULL) || READ_ONCE(fdev->events.broken);
}

static void figment_watchdog_tick(struct timer_list *timer)
{
	struct figment_device *fdev = timer_container_of(fdev, timer, watchdog.timer);
	unsigned int again;
	int idx, users;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	/* A user queue keeps us here, as nobody tells when it gets work. */
	users = atomic_read(&fdev->queues.users);
	if (figment_device_is_down(fdev) || (users && !figment_watchdog_has_work(fdev)))
		again = figment_watchdog_ms();
	else
		again = figment_watchdog_look(fdev);
	drm_dev_exit(idx);

	WRITE_ONCE(fdev->watchdog.armed, false);
	/* Pairs with figment_watchdog_arm(): that sees this, or we its job. */
	smp_mb();
	if ((figment_watchdog_has_work(fdev) || atomic_read(&fdev->queues.users)) &&
	    !xchg(&fdev->watchdog.armed, true))
		figment_watchdog_start(fdev, again);
}

/**
 * figment_watchdog_arm() - Something is waited for.
 * @fdev: the device
 *
 * Any context. Costs a look at a flag when it is armed already.
 */
void figment_watchdog_arm(struct figment_device *fdev)
{
	/* Pairs with figment_watchdog_tick(). */
	smp_mb();
	if (!READ_ONCE(fdev->watchdog.armed) && !xchg(&fdev->watchdog.armed, true))
		figment_watchdog_start(fdev, figment_watchdog_ms());
}

/** figment_watchdog_init() - Prepare the timer. */
void figment_watchdog_init(struct figment_device *fdev)
{
	timer_setup(&fdev->watchdog.timer, figment_watchdog_tick, 0);
}

/** figment_watchdog_fini() - No more ticks; the device is unplugged. */
void figment_watchdog_fini(struct figment_device *fdev)
{
	timer_shutdown_sync(&fdev->watchdog.timer);
}
