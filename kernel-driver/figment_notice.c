// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * When the tracepoints of mmu notifiers are emitted; and here is the code of all others.
 */
#include "figment_device.h"
#include "figment_notice.h"
#include "figment_pt.h"
#include "figment_queue.h"
#include "figment_vm.h"

#define CREATE_TRACE_POINTS
#include "figment_trace.h"

/**
 * figment_notice_begin() - The kernel has called a notifier.
 * @notice: gets what figment_notice_end() tells
 * @vm: whose notifier
 * @svm: it is of the mirror, not of a userptr
 * @range: what the kernel wants
 *
 * First thing in a notifier: whoever looks at the stack sees who has called.
 */
void figment_notice_begin(struct figment_notice *notice, struct figment_vm *vm, bool svm,
			  const struct mmu_notifier_range *range)
{
	*notice = (struct figment_notice){};
	if (trace_figment_notifier_enabled())
		trace_figment_notifier(vm, svm, range, figment_queues_are_busy(vm->fdev, vm));
	if (!trace_figment_notifier_done_enabled())
		return;
	notice->timed = true;
	notice->svm = svm;
	notice->blockable = mmu_notifier_range_blockable(range);
	notice->event = range->event;
	notice->start = range->start;
	notice->end = range->end;
	notice->began = ktime_get_ns();
}

/**
 * figment_notice_end() - The last pass is over.
 * @notice: of figment_notice_begin()
 * @vm: its VM
 */
void figment_notice_end(struct figment_notice *notice, struct figment_vm *vm)
{
	if (!notice->timed)
		return;
	figment_notice_pause(notice);
	trace_figment_notifier_done(vm, notice);
}

/**
 * figment_notice_flush() - figment_pt_flush(), with the time that it waits.
 * @notice: the notifier
 * @vm: its VM
 * @flush: what to invalidate
 */
void figment_notice_flush(struct figment_notice *notice, struct figment_vm *vm,
			  struct figment_pt_flush *flush)
{
	u64 seq = figment_pt_flush_begin(&vm->pt, flush);
	u64 since = figment_notice_now(notice);

	figment_pt_flush_end(&vm->pt, seq);
	figment_notice_waited(notice, since);
}
