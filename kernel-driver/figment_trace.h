/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The decisions of the driver as tracepoints, /sys/kernel/tracing/events/figment. What
 * names an object is what the device's own trace names it by: number of the queue, of
 * the address space ("vm"), of a job in its queue, of an invalidation, of an event.
 * docs/driver.md has the list, docs/timeline.md what is made of them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM figment

#if !defined(FIGMENT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FIGMENT_TRACE_H

#include <linux/bitfield.h>
#include <linux/device.h>
#include <linux/mmu_notifier.h>
#include <linux/tracepoint.h>

#include <drm/figment_drm.h>

#include "figment_clock.h"
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
TRACE_DEFINE_ENUM(DRM_FIGMENT_BIND_MAP);
TRACE_DEFINE_ENUM(DRM_FIGMENT_BIND_UNMAP);
TRACE_DEFINE_ENUM(DRM_FIGMENT_BIND_MAP_USERPTR);

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

/* --- jobs ----------------------------------------------------------------- */

/* SUBMIT has taken a job: the scheduler gets it next. In the context of the process. */
TRACE_EVENT(figment_job_submit,
	    TP_PROTO(const struct figment_queue *queue, const struct dma_fence *fence,
		     u64 address, u64 size),
	    TP_ARGS(queue, fence, address, size),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, context)
			     __field(u64, seqno)
			     __field(u64, address)
			     __field(u64, size)
			     __field(u32, vm)
			     __field(u32, queue)),
	    TP_fast_assign(__assign_str(device);
			   __entry->context = fence->context;
			   __entry->seqno = fence->seqno;
			   __entry->address = address;
			   __entry->size = size;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;),
	    TP_printk("device=%s vm=%u queue=%u context=%llu seqno=%llu address=0x%llx size=%llu",
		      __get_str(device), __entry->vm, __entry->queue, __entry->context,
		      __entry->seqno, __entry->address, __entry->size)
);

/*
 * A job is in the ring, and with rung=1 the doorbell is next. Its packets are those
 * from @begin to @end, free-running bytes as in the descriptor.
 */
TRACE_EVENT(figment_job_emit,
	    TP_PROTO(const struct figment_queue *queue, const struct figment_fence *fence),
	    TP_ARGS(queue, fence),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, job)
			     __field(u64, begin)
			     __field(u64, end)
			     __field(u64, hw_context)
			     __field(u64, context)
			     __field(u64, seqno)
			     __field(u32, vm)
			     __field(u32, queue)
			     __field(bool, rung)),
	    TP_fast_assign(__assign_str(device);
			   __entry->job = fence->base.seqno;
			   __entry->begin = fence->begin;
			   __entry->end = queue->write;
			   __entry->hw_context = fence->base.context;
			   __entry->context = fence->visible.context;
			   __entry->seqno = fence->visible.seqno;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;
			   __entry->rung = queue->running;),
	    TP_printk("device=%s vm=%u queue=%u job=%llu begin=%llu end=%llu hw_context=%llu context=%llu seqno=%llu rung=%d",
		      __get_str(device), __entry->vm, __entry->queue, __entry->job,
		      __entry->begin, __entry->end, __entry->hw_context, __entry->context,
		      __entry->seqno, __entry->rung)
);

/* The driver knows how a job has ended; its fence signals next. */
TRACE_EVENT(figment_job_end,
	    TP_PROTO(const struct figment_queue *queue, const struct figment_fence *fence,
		     int error),
	    TP_ARGS(queue, fence, error),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, job)
			     __field(u32, vm)
			     __field(u32, queue)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(device);
			   __entry->job = fence->base.seqno;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;
			   __entry->error = error;),
	    TP_printk("device=%s vm=%u queue=%u job=%llu error=%d",
		      __get_str(device), __entry->vm, __entry->queue, __entry->job,
		      __entry->error)
);

/* --- memory --------------------------------------------------------------- */

#define figment_show_bind(kind)						\
	__print_symbolic(kind,						\
			 { DRM_FIGMENT_BIND_MAP,	"MAP" },	\
			 { DRM_FIGMENT_BIND_UNMAP,	"UNMAP" },	\
			 { DRM_FIGMENT_BIND_MAP_USERPTR,	"USERPTR" })

/* One operation of VM_BIND is executed. */
TRACE_EVENT(figment_bind,
	    TP_PROTO(const struct figment_vm *vm, u32 kind, u64 address, u64 size),
	    TP_ARGS(vm, kind, address, size),
	    TP_STRUCT__entry(__string(device, dev_name(vm->fdev->drm.dev))
			     __field(u64, address)
			     __field(u64, size)
			     __field(u32, vm)
			     __field(u32, kind)),
	    TP_fast_assign(__assign_str(device);
			   __entry->address = address;
			   __entry->size = size;
			   __entry->vm = vm->pt.asid;
			   __entry->kind = kind;),
	    TP_printk("device=%s vm=%u kind=%s address=0x%llx size=%llu",
		      __get_str(device), __entry->vm, figment_show_bind(__entry->kind),
		      __entry->address, __entry->size)
);

/* A buffer has been evicted from VRAM, or is back. */
TRACE_EVENT(figment_bo_move,
	    TP_PROTO(const struct figment_device *fdev, u64 size, bool to_vram),
	    TP_ARGS(fdev, size, to_vram),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, size)
			     __field(bool, to_vram)),
	    TP_fast_assign(__assign_str(device);
			   __entry->size = size;
			   __entry->to_vram = to_vram;),
	    TP_printk("device=%s size=%llu to=%s", __get_str(device), __entry->size,
		      __entry->to_vram ? "vram" : "system")
);

/* The device is told to forget translations. */
TRACE_EVENT(figment_invalidate,
	    TP_PROTO(const struct figment_device *fdev, u64 seq, u64 first, u64 last,
		     u64 command),
	    TP_ARGS(fdev, seq, first, last, command),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, seq)
			     __field(u64, first)
			     __field(u64, last)
			     __field(u32, vm)
			     __field(bool, all)),
	    TP_fast_assign(__assign_str(device);
			   __entry->seq = seq;
			   __entry->first = first;
			   __entry->last = last;
			   __entry->vm = FIELD_GET(FIGMENT_INVAL_ASID, command);
			   __entry->all = FIELD_GET(FIGMENT_INVAL_KIND, command) !=
					  FIGMENT_INVAL_KIND_RANGE;),
	    TP_printk("device=%s vm=%u seq=%llu first=0x%llx last=0x%llx all=%d",
		      __get_str(device), __entry->vm, __entry->seq, __entry->first,
		      __entry->last, __entry->all)
);

/* All invalidations up to @seq are acknowledged, and the driver knows it. */
TRACE_EVENT(figment_invalidated,
	    TP_PROTO(const struct figment_device *fdev, u64 seq),
	    TP_ARGS(fdev, seq),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, seq)),
	    TP_fast_assign(__assign_str(device);
			   __entry->seq = seq;),
	    TP_printk("device=%s seq=%llu", __get_str(device), __entry->seq)
);

/* --- queues --------------------------------------------------------------- */

/* The device waits for a page: this is its report. */
TRACE_EVENT(figment_fault,
	    TP_PROTO(const struct figment_queue *queue, u64 address, u32 access),
	    TP_ARGS(queue, address, access),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, address)
			     __field(u32, vm)
			     __field(u32, queue)
			     __field(u32, access)),
	    TP_fast_assign(__assign_str(device);
			   __entry->address = address;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;
			   __entry->access = access;),
	    TP_printk("device=%s vm=%u queue=%u address=0x%llx access=%u",
		      __get_str(device), __entry->vm, __entry->queue, __entry->address,
		      __entry->access)
);

/* The answer: error=0 lets it try again, another one ends the job. */
TRACE_EVENT(figment_fault_done,
	    TP_PROTO(const struct figment_queue *queue, u64 address, int error),
	    TP_ARGS(queue, address, error),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, address)
			     __field(u32, vm)
			     __field(u32, queue)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(device);
			   __entry->address = address;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;
			   __entry->error = error;),
	    TP_printk("device=%s vm=%u queue=%u address=0x%llx error=%d",
		      __get_str(device), __entry->vm, __entry->queue, __entry->address,
		      __entry->error)
);

DECLARE_EVENT_CLASS(figment_queue,
		    TP_PROTO(const struct figment_queue *queue),
		    TP_ARGS(queue),
		    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
				     __field(u32, vm)
				     __field(u32, queue)),
		    TP_fast_assign(__assign_str(device);
				   __entry->vm = queue->vm->pt.asid;
				   __entry->queue = queue->hw_id;),
		    TP_printk("device=%s vm=%u queue=%u", __get_str(device), __entry->vm,
			      __entry->queue)
);

/* A queue is asked to leave the device, */
DEFINE_EVENT(figment_queue, figment_preempt,
	     TP_PROTO(const struct figment_queue *queue),
	     TP_ARGS(queue)
);

/* and may go on. */
DEFINE_EVENT(figment_queue, figment_resume,
	     TP_PROTO(const struct figment_queue *queue),
	     TP_ARGS(queue)
);

/* The driver rings the doorbell of a user queue, which may not have been heard. */
TRACE_EVENT(figment_doorbell,
	    TP_PROTO(const struct figment_queue *queue, u64 write),
	    TP_ARGS(queue, write),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u64, write)
			     __field(u32, vm)
			     __field(u32, queue)),
	    TP_fast_assign(__assign_str(device);
			   __entry->write = write;
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;),
	    TP_printk("device=%s vm=%u queue=%u write=%llu", __get_str(device), __entry->vm,
		      __entry->queue, __entry->write)
);

/* It has left. saved=0: there is nothing to go on from but the next job. */
TRACE_EVENT(figment_preempt_done,
	    TP_PROTO(const struct figment_queue *queue),
	    TP_ARGS(queue),
	    TP_STRUCT__entry(__string(device, dev_name(queue->fdev->drm.dev))
			     __field(u32, vm)
			     __field(u32, queue)
			     __field(bool, saved)),
	    TP_fast_assign(__assign_str(device);
			   __entry->vm = queue->vm->pt.asid;
			   __entry->queue = queue->hw_id;
			   __entry->saved = queue->saved;),
	    TP_printk("device=%s vm=%u queue=%u saved=%d", __get_str(device), __entry->vm,
		      __entry->queue, __entry->saved)
);

/* --- events, user fences, time -------------------------------------------- */

/* An entry of the event ring is read. */
TRACE_EVENT(figment_event,
	    TP_PROTO(const struct figment_device *fdev, u32 index,
		     const struct figment_event *event),
	    TP_ARGS(fdev, index, event),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, value)
			     __field(u32, index)
			     __field(u16, type)
			     __field(u16, queue)),
	    TP_fast_assign(__assign_str(device);
			   __entry->value = le64_to_cpu(event->value);
			   __entry->index = index;
			   __entry->type = le16_to_cpu(event->type);
			   __entry->queue = le16_to_cpu(event->queue);),
	    TP_printk("device=%s index=%u type=%u queue=%u value=0x%llx",
		      __get_str(device), __entry->index, __entry->type, __entry->queue,
		      __entry->value)
);

/* Whoever waits for a user fence of the device is to look again. */
TRACE_EVENT(figment_user_fence_wake,
	    TP_PROTO(const struct figment_device *fdev),
	    TP_ARGS(fdev),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))),
	    TP_fast_assign(__assign_str(device);),
	    TP_printk("device=%s", __get_str(device))
);

/* WAIT_USER_FENCE begins, */
TRACE_EVENT(figment_user_fence_wait,
	    TP_PROTO(const struct figment_device *fdev, u64 address),
	    TP_ARGS(fdev, address),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, address)),
	    TP_fast_assign(__assign_str(device);
			   __entry->address = address;),
	    TP_printk("device=%s address=0x%llx", __get_str(device), __entry->address)
);

/* and returns. */
TRACE_EVENT(figment_user_fence_wait_done,
	    TP_PROTO(const struct figment_device *fdev, u64 address, int error),
	    TP_ARGS(fdev, address, error),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, address)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(device);
			   __entry->address = address;
			   __entry->error = error;),
	    TP_printk("device=%s address=0x%llx error=%d", __get_str(device),
		      __entry->address, __entry->error)
);

/* Device time, and the kernel's monotonic time before and after it was read. */
TRACE_EVENT(figment_clock,
	    TP_PROTO(const struct figment_device *fdev, const struct figment_clock *clock),
	    TP_ARGS(fdev, clock),
	    TP_STRUCT__entry(__string(device, dev_name(fdev->drm.dev))
			     __field(u64, before)
			     __field(u64, time)
			     __field(u64, after)),
	    TP_fast_assign(__assign_str(device);
			   __entry->before = clock->before;
			   __entry->time = clock->time;
			   __entry->after = clock->after;),
	    TP_printk("device=%s before=%llu time=%llu after=%llu", __get_str(device),
		      __entry->before, __entry->time, __entry->after)
);

/* --- resets --------------------------------------------------------------- */

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
