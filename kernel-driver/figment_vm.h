/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_VM_H
#define FIGMENT_VM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <drm/drm_gpusvm.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

#include "figment_eviction.h"
#include "figment_pt.h"

struct drm_file;
struct figment_device;
struct figment_preempt_fence;
struct figment_queue;
struct figment_strategy;
struct figment_userptr;
struct task_struct;
struct xarray;

/* The first pages catch null pointers; the last 2 MiB are for the rings. */
#define FIGMENT_VA_START	SZ_64K
#define FIGMENT_VA_END		(BIT_ULL(FIGMENT_VA_BITS) - SZ_2M)

/** struct figment_vma - A mapping in a VM. */
struct figment_vma {
	/** @base: In the tree of the VM; under &figment_pt_space.lock. */
	struct drm_gpuva base;
	/** @userptr: Holds a reference; NULL for a mapping of a buffer. Constant. */
	struct figment_userptr *userptr;
	/** @link: In &figment_userptr.vmas, or among the dead of a bind. */
	struct list_head link;
	/** @read_only: The device may not write. Constant. */
	bool read_only;
	/** @evicted: Of a buffer: it has no entries; under &figment_pt_space.lock. */
	bool evicted;
};

/** struct figment_vm - An address space of a file. The locks are in DOC: Locking. */
struct figment_vm {
	/** @base: The tree of mappings, under @pt.lock. */
	struct drm_gpuvm base;
	/** @refs: Of handle, queues and binds. */
	struct kref refs;
	struct figment_device *fdev;
	/** @strategy: Constant. */
	const struct figment_strategy *strategy;
	/** @pt: Page tables. */
	struct figment_pt_space pt;

	/** @lock: Outermost lock of the VM. */
	struct mutex lock;
	/** @closed: No more binds and jobs; under @lock. */
	bool closed;

	/** @svm: Carries the notifier lock, @svm.notifier_lock. */
	struct drm_gpusvm svm;
	/** @userptrs: All of them, also those that no mapping has. */
	struct {
		/** @userptrs.lock: Guards the list; below @lock, above the notifier lock. */
		struct mutex lock;
		struct list_head list;
	} userptrs;

	/** @mirror: Shared virtual memory, see figment_mirror.c. */
	struct {
		/** @mirror.on: The VM mirrors its process; constant. */
		bool on;
		/** @mirror.lock: Taken before any other. */
		struct mutex lock;
		/** @mirror.ranges: All ranges; under @pt.lock. */
		struct list_head ranges;
		/** @mirror.garbage: Those that the process has unmapped; notifier lock (write). */
		struct list_head garbage;
		/** @mirror.collect: Removes @mirror.garbage. */
		struct work_struct collect;
		/** @mirror.pagemap: For VRAM; NULL: not used. Written once. */
		struct drm_pagemap *pagemap;
		/** @mirror.places: Where memory should be, by page; see figment_place.c. */
		struct maple_tree places;
	} mirror;
	/** @stale: Invalidated userptrs; add under notifier lock (write), remove under
	 * @lock and notifier lock (read).
	 */
	struct list_head stale;
	/** @repin: Those that the next job has to pin; under @lock. */
	struct list_head repin;

	/**
	 * @evicted: Some buffer has no entries. Set under notifier lock (write), cleared under
	 * it (read) and @pt.lock, by one thread at a time: with @lock.
	 */
	bool evicted;

	/** @bind: Asynchronous binds, one after the other. */
	struct {
		struct drm_gpu_scheduler sched;
		/** @bind.entity: Pushed to under @lock. */
		struct drm_sched_entity entity;
		/** @bind.last: Fence of the last one, or NULL; under @lock. */
		struct dma_fence *last;
	} bind;

	/** @preempt: Of the preempt strategy, see there. */
	struct {
		/** @preempt.lock: Guards what follows. Below the notifier lock. */
		struct mutex lock;
		/** @preempt.queues: Queues of the VM, by &figment_queue.suspend_link. */
		struct list_head queues;
		/** @preempt.fence: Not signalled while queues may run; NULL: they are suspended. */
		struct dma_fence *fence;
		/** @preempt.spare: For the next one; under &figment_vm.lock. */
		struct figment_preempt_fence *spare;
		u64 context;
		u64 seqno;
		/** @preempt.suspend: On the preemption workqueue. */
		struct work_struct suspend;
		/** @preempt.thread: Brings the queues back. */
		struct task_struct *thread;
		/** @preempt.closing: It is not to resume any more. */
		bool closing;
		/** @preempt.wait: Where it waits. */
		wait_queue_head_t wait;
		/** @preempt.resume: There is something to do for it. */
		bool resume;
	} preempt;

	/** @free_work: Tears down when @refs is zero. */
	struct work_struct free_work;
	/** @device_link: In &figment_device.vms. */
	struct list_head device_link;
};

/** to_figment_vma() - The Figment mapping of a mapping. */
static inline struct figment_vma *to_figment_vma(struct drm_gpuva *va)
{
	return container_of(va, struct figment_vma, base);
}

/** struct figment_fresh - What a bind brings in, and its execution relies on. */
struct figment_fresh {
	/** @userptrs: By &figment_userptr.fresh_link. */
	struct list_head userptrs;
	/** @objects: Buffers that may move; the references are those of the bind. */
	struct drm_gem_object **objects;
	u32 count;
};

/** struct figment_vm_hold - A VM that is fit for a job, and held so. */
struct figment_vm_hold {
	/** @idx: Of drm_dev_enter(). */
	int idx;
	/** @claimed: There is a @claim, and it has the reservation of the VM. */
	bool claimed;
	struct figment_claim claim;
};

struct figment_vm *figment_vm_create(struct figment_device *fdev, u32 strategy, u32 flags);
void figment_vm_shut(struct figment_vm *vm);
void figment_vm_close(struct figment_vm *vm);
void figment_vm_unplug(struct figment_vm *vm);
struct figment_vm *figment_vm_get(struct figment_vm *vm);
void figment_vm_put(struct figment_vm *vm);
int figment_vm_publish_queue(struct figment_vm *vm, struct xarray *queues, u32 *id,
			     struct figment_queue *queue);

int figment_vm_begin_job(struct figment_vm *vm, struct figment_fresh *fresh,
			 struct figment_vm_hold *hold);
int figment_vm_begin_resume(struct figment_vm *vm, struct figment_vm_hold *hold);
void figment_vm_add_fence(struct figment_vm *vm, struct dma_fence *fence);
void figment_vm_end_job(struct figment_vm *vm, struct figment_vm_hold *hold);
void figment_vm_assert_notifier(struct figment_vm *vm);
bool figment_vm_wait_idle(struct figment_vm *vm);
void figment_vma_free_dead(struct figment_vm *vm, struct list_head *dead);

void figment_vm_prime_lockdep(void);

#endif
