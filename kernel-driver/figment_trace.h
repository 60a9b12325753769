/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Tracepoints, /sys/kernel/tracing/events/figment: of mmu notifiers, emitted by
 * figment_notice.h, and of resets; docs/driver.md has an example.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM figment

#if !defined(FIGMENT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FIGMENT_TRACE_H

#include <linux/device.h>
#include <linux/mmu_notifier.h>
#include <linux/tracepoint.h>

#include "figment_device.h"
#include "figment_notice.h"
#include "figment_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

/* Programs that read the binary format look the names up by value. */
TRACE_DEFINE_ENUM(MMU_NOTIFY_UNMAP);
TRACE_DEFINE_ENUM(MMU_NOTIFY_CLEAR);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_VMA);
TRACE_DEFINE_ENUM(MMU_NOTIFY_PROTECTION_PAGE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_SOFT_DIRTY);
TRACE_DEFINE_ENUM(MMU_NOTIFY_RELEASE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_MIGRATE);
TRACE_DEFINE_ENUM(MMU_NOTIFY_EXCLUSIVE);

#define figment_show_event(event)					\
	__print_symbolic(event,						\
			 { MMU_NOTIFY_UNMAP,		"UNMAP" },	\
			 { MMU_NOTIFY_CLEAR,		"CLEAR" },	\
			 { MMU_NOTIFY_PROTECTION_VMA,	"PROTECTION_VMA" },	\
			 { MMU_NOTIFY_PROTECTION_PAGE,	"PROTECTION_PAGE" },	\
			 { MMU_NOTIFY_SOFT_DIRTY,	"SOFT_DIRTY" },	\
			 { MMU_NOTIFY_RELEASE,		"RELEASE" },	\
			 { MMU_NOTIFY_MIGRATE,		"MIGRATE" },	\
			 { MMU_NOTIFY_EXCLUSIVE,	"EXCLUSIVE" })

/* The kernel has called a notifier: in the context of whoever wants the pages. */
TRACE_EVENT(figment_notifier,
	    TP_PROTO(const struct figment_vm *vm, bool svm,
		     const struct mmu_notifier_range *range, bool busy),
	    TP_ARGS(vm, svm, range, busy),
	    TP_STRUCT__entry(__string(device, dev_name(vm->fdev->drm.dev))
			     __string(strategy, vm->strategy->name)
			     __field(u64, start)
			     __field(u64, end)
			     __field(u32, vm)
			     __field(u32, event)
			     __field(bool, svm)
			     __field(bool, busy)
			     __field(bool, blockable)),
	    TP_fast_assign(__assign_str(device);
			   __assign_str(strategy);
			   __entry->start = range->start;
			   __entry->end = range->end;
			   __entry->vm = vm->pt.asid;
			   __entry->event = range->event;
			   __entry->svm = svm;
			   __entry->busy = busy;
			   __entry->blockable = mmu_notifier_range_blockable(range);),
	    TP_printk("device=%s vm=%u strategy=%s svm=%d event=%s start=0x%llx end=0x%llx busy=%d blockable=%d",
		      __get_str(device), __entry->vm, __get_str(strategy), __entry->svm,
		      figment_show_event(__entry->event), __entry->start, __entry->end,
		      __entry->busy, __entry->blockable)
);

/* The driver has done what it had to do; the pages are the kernel's. */
TRACE_EVENT(figment_notifier_done,
	    TP_PROTO(const struct figment_vm *vm, const struct figment_notice *notice),
	    TP_ARGS(vm, notice),
	    TP_STRUCT__entry(__string(device, dev_name(vm->fdev->drm.dev))
			     __string(strategy, vm->strategy->name)
			     __field(u64, start)
			     __field(u64, end)
			     __field(u64, total_ns)
			     __field(u64, waited_ns)
			     __field(unsigned long, pages)
			     __field(u32, vm)
			     __field(u32, event)
			     __field(bool, svm)
			     __field(bool, blockable)),
	    TP_fast_assign(__assign_str(device);
			   __assign_str(strategy);
			   __entry->start = notice->start;
			   __entry->end = notice->end;
			   __entry->total_ns = notice->total_ns;
			   __entry->waited_ns = notice->waited_ns;
			   __entry->pages = notice->pages;
			   __entry->vm = vm->pt.asid;
			   __entry->event = notice->event;
			   __entry->svm = notice->svm;
			   __entry->blockable = notice->blockable;),
	    TP_printk("device=%s vm=%u strategy=%s svm=%d event=%s start=0x%llx end=0x%llx blockable=%d total_ns=%llu waited_ns=%llu pages=%lu",
		      __get_str(device), __entry->vm, __get_str(strategy), __entry->svm,
		      figment_show_event(__entry->event), __entry->start, __entry->end,
		      __entry->blockable, __entry->total_ns, __entry->waited_ns, __entry->pages)
);

/* A queue is about to be reset; or the whole device was. */
TRACE_EVENT(figment_reset,
	    TP_PROTO(const struct figment_device *fdev, const struct figment_queue *queue,
		     const char *cause, int error),
	    TP_ARGS(fdev, queue, cause, error),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __string(cause, cause)
			     __field(int, queue)
			     __field(int, vm)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(device);
			   __assign_str(cause);
			   __entry->queue = queue ? (int)queue->hw_id : -1;
			   __entry->vm = queue ? (int)queue->vm->pt.asid : -1;
			   __entry->error = error;),
	    TP_printk("device=%s queue=%d vm=%d error=%d cause=%s", __get_str(device),
		      __entry->queue, __entry->vm, __entry->error, __get_str(cause))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE figment_trace
#include <trace/define_trace.h>
