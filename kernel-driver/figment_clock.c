// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What time it is for the device while it is what time for the kernel. Whoever has the
 * traces of both can put them on one clock: the tracepoint figment_clock has the same
 * monotonic time that tracefs stamps events with when its trace_clock is "mono".
 */
#include <linux/irqflags.h>
#include <linux/timekeeping.h>

#include <drm/drm_drv.h>

#include "figment_clock.h"
#include "figment_device.h"
#include "figment_trace.h"

/* A look that was interrupted by the host says little; the best of these counts. */
#define FIGMENT_CLOCK_LOOKS	8

static void figment_clock_look(struct figment_device *fdev, struct figment_clock *clock)
{
	unsigned long flags;

	local_irq_save(flags);
	clock->before = ktime_get_mono_fast_ns();
	clock->time = figment_read64(fdev, FIGMENT_REG_TIME);
	clock->after = ktime_get_mono_fast_ns();
	local_irq_restore(flags);
}

/**
 * figment_clock_read() - Read both clocks at once.
 * @fdev: the device
 * @clock: gets device time, between two times of the kernel that are close together
 *
 * Return: 0; -ENODEV: the device does not answer.
 */
int figment_clock_read(struct figment_device *fdev, struct figment_clock *clock)
{
	struct figment_clock look;
	unsigned int i;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	figment_clock_look(fdev, clock);
	for (i = 1; i < FIGMENT_CLOCK_LOOKS; i++) {
		figment_clock_look(fdev, &look);
		if (look.after - look.before < clock->after - clock->before)
			*clock = look;
	}
	drm_dev_exit(idx);

	/* All ones: it has been torn out. */
	if (clock->time == U64_MAX)
		return -ENODEV;
	trace_figment_clock(fdev, clock);
	return 0;
}
