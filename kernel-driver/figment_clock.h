/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_CLOCK_H
#define FIGMENT_CLOCK_H

#include <linux/types.h>

struct figment_device;

/** struct figment_clock - One moment by two clocks, in ns. */
struct figment_clock {
	/** @before: Monotonic time of the kernel, before @time was read. */
	u64 before;
	/** @time: Of the device. */
	u64 time;
	/** @after: As @before, after it. */
	u64 after;
};

int figment_clock_read(struct figment_device *fdev, struct figment_clock *clock);

#endif
