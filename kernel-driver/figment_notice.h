/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One call of an mmu notifier, as it is told by the tracepoints of figment_trace.h:
 * who wants which pages, how long it took, and how much of that somebody else did.
 * While nobody listens, no clock is read.
 */
#ifndef FIGMENT_NOTICE_H
#define FIGMENT_NOTICE_H

#include <linux/mmu_notifier.h>
#include <linux/timekeeping.h>
#include <linux/types.h>

struct figment_pt_flush;
struct figment_vm;

/** struct figment_notice - Of one notifier; on its stack, and its owner's between the passes. */
struct figment_notice {
	/** @timed: Somebody listens. What follows is set if so, but for @pages. */
	bool timed;
	bool svm;
	bool blockable;
	enum mmu_notifier_event event;
	/** @start: First byte that the kernel has named; @end is past the last one. */
	unsigned long start;
	unsigned long end;
	/** @began: Time when the pass that runs began. */
	u64 began;
	/** @total_ns: Of all passes, without the time between them. */
	u64 total_ns;
	/** @waited_ns: Of that, asleep until fences signalled or the device had forgotten. */
	u64 waited_ns;
	/** @pages: Unmapped for DMA. */
	unsigned long pages;
};

void figment_notice_begin(struct figment_notice *notice, struct figment_vm *vm, bool svm,
			  const struct mmu_notifier_range *range);
void figment_notice_end(struct figment_notice *notice, struct figment_vm *vm);
void figment_notice_flush(struct figment_notice *notice, struct figment_vm *vm,
			  struct figment_pt_flush *flush);

static inline u64 figment_notice_now(const struct figment_notice *notice)
{
	return notice->timed ? ktime_get_ns() : 0;
}

/** figment_notice_pause() - The first pass is over, and there will be another one. */
static inline void figment_notice_pause(struct figment_notice *notice)
{
	notice->total_ns += figment_notice_now(notice) - notice->began;
}

/** figment_notice_resume() - The second pass begins. */
static inline void figment_notice_resume(struct figment_notice *notice)
{
	notice->began = figment_notice_now(notice);
}

/** figment_notice_waited() - It was asleep since @since, of figment_notice_now(). */
static inline void figment_notice_waited(struct figment_notice *notice, u64 since)
{
	notice->waited_ns += figment_notice_now(notice) - since;
}

#endif
