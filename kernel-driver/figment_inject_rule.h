/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a rule of injection may say, kind by kind: for the device model and for the driver, which
 * both read rules as text (docs/hardware.md, "Injection").
 */
#ifndef FIGMENT_INJECT_RULE_H
#define FIGMENT_INJECT_RULE_H

#include "figment_hw.h"

/* What a kind can be aimed by. */
#define FIGMENT_AIM_QUEUE	FIGMENT_BIT32(0)
#define FIGMENT_AIM_ENGINE	FIGMENT_BIT32(1)
#define FIGMENT_AIM_VECTOR	FIGMENT_BIT32(2)
#define FIGMENT_AIM_EVENT	FIGMENT_BIT32(3)
#define FIGMENT_AIM_ADDRESS	FIGMENT_BIT32(4)

#define FIGMENT_INJECT_KINDS	FIGMENT_INJECT_REMOVED
#define FIGMENT_INJECT_EVENTS	FIGMENT_EVENT_QUEUE_RESET

struct figment_inject_kind {
	const char *name;
	__u32 aims;
	__u64 value_min;
	__u64 value_max;	/* 0: it takes none */
};

/* In the order of their numbers, from 1. */
static const struct figment_inject_kind figment_inject_kinds[FIGMENT_INJECT_KINDS] = {
	{
		.name = "interrupt-lost",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_VECTOR | FIGMENT_AIM_EVENT,
	},
	{
		.name = "interrupt-late",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_VECTOR | FIGMENT_AIM_EVENT,
		.value_min = 1,
		.value_max = FIGMENT_INJECT_NS_MAX,
	},
	{
		.name = "interrupt-duplicated",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_VECTOR | FIGMENT_AIM_EVENT,
		.value_min = 1,
		.value_max = FIGMENT_INJECT_NS_MAX,
	},
	{
		.name = "interrupt-spurious",
		.aims = FIGMENT_AIM_VECTOR,
		.value_min = FIGMENT_INJECT_PERIOD_MIN,
		.value_max = FIGMENT_INJECT_NS_MAX,
	},
	{
		.name = "hang",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE | FIGMENT_AIM_ADDRESS,
	},
	{
		.name = "preempt-stuck",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE,
	},
	{
		.name = "preempt-slow",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE,
		.value_min = 1,
		.value_max = FIGMENT_INJECT_NS_MAX,
	},
	{
		.name = "event-full",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_EVENT,
		.value_min = 1,
		.value_max = FIGMENT_INJECT_NS_MAX,
	},
	{
		.name = "bus-error",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE | FIGMENT_AIM_ADDRESS,
	},
	{
		.name = "vram-error",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE | FIGMENT_AIM_ADDRESS,
	},
	{
		.name = "completion-corrupt",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE | FIGMENT_AIM_EVENT |
			FIGMENT_AIM_ADDRESS,
		.value_min = 1,
		.value_max = ~0ull,
	},
	{
		.name = "removed",
		.aims = FIGMENT_AIM_QUEUE | FIGMENT_AIM_ENGINE,
	},
};

/* In the order of FIGMENT_EVENT_*, from 1. */
static const char *const figment_inject_events[FIGMENT_INJECT_EVENTS] = {
	"fence", "fault", "preempted", "invalidated", "queue-error", "queue-reset",
};

#endif
