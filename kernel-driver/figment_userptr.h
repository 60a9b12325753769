/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory of a process, mapped for the device, and the table of strategies:
 * what to do when the kernel takes pages of it away.
 */
#ifndef FIGMENT_USERPTR_H
#define FIGMENT_USERPTR_H

#include <linux/atomic.h>
#include <linux/hmm-dma.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/workqueue.h>

#include <drm/drm_gpusvm.h>

#include "figment_notice.h"

struct figment_bind_op;
struct figment_device;
struct figment_pt_stock;
struct figment_queue;
struct figment_userptr;
struct figment_vm;
struct figment_vma;
struct mm_struct;
struct page;

/** struct figment_strategy - What can be done about pages that are taken away. */
struct figment_strategy {
	/** @name: For the log. */
	const char *name;
	/** @long_running: Jobs have no DMA fences and no time limit. */
	bool long_running;
	/** @holds_pages: It keeps the pages that it was given, and follows nothing. */
	bool holds_pages;
	/** @root_flags: For ASID_ROOT. */
	u64 root_flags;
	/** @vm_init: A VM begins; under no lock. 0 or a negative errno. Or NULL. */
	int (*vm_init)(struct figment_vm *vm);
	/** @vm_interrupt: The VM is about to be closed: let go of its lock. Or NULL. */
	void (*vm_interrupt)(struct figment_vm *vm);
	/** @vm_fini: The VM has no queue any more, and no bind; sleeps. Or NULL. */
	void (*vm_fini)(struct figment_vm *vm);
	/** @add_queue: A queue of the VM is there, not running yet. Or NULL: it may run. */
	void (*add_queue)(struct figment_queue *queue);
	/** @remove_queue: It is dead. With @add_queue, and maybe without it before. */
	void (*remove_queue)(struct figment_queue *queue);
	/** @prepare_run: Allocate for @run. Under &figment_vm.lock. 0 or -ENOMEM. Or NULL. */
	int (*prepare_run)(struct figment_vm *vm);
	/**
	 * @run: The VM is fit for its jobs: let its queues run. In the signalling
	 * path, between figment_vm_begin_job() and figment_vm_end_job(). With
	 * @prepare_run.
	 */
	void (*run)(struct figment_vm *vm);
	/**
	 * @init: Begin to watch memory of current->mm. Sleeps. Returns 0 or a
	 * negative errno, and has then undone everything.
	 */
	int (*init)(struct figment_userptr *userptr);
	/**
	 * @pin: Make the pages present and map them for DMA, if they are not.
	 * Sleeps; called under &figment_vm.lock. Returns 0; -EFAULT, -EOPNOTSUPP,
	 * -ENOMEM as VM_BIND says; -ERESTARTSYS.
	 */
	int (*pin)(struct figment_userptr *userptr);
	/** @valid: Under the notifier lock: the pages of the last @pin are the right ones. */
	bool (*valid)(struct figment_userptr *userptr);
	/** @unmap_dma: The device is unplugged: drop the DMA mapping. Under &figment_vm.lock. */
	void (*unmap_dma)(struct figment_userptr *userptr);
	/** @fini: Stop watching and drop the pages. Sleeps; under &figment_vm.lock. */
	void (*fini)(struct figment_userptr *userptr);
};

/** struct figment_userptr - A range of memory of a process. */
struct figment_userptr {
	/** @refs: Of mappings, and of the bind that brings it in. */
	struct kref refs;
	/** @vm: The VM; it outlives its userptrs. Constant. */
	struct figment_vm *vm;
	/** @start: First CPU address; constant. */
	unsigned long start;
	/** @size: Bytes; constant. */
	unsigned long size;
	/** @read_only: The device may not write; constant. */
	bool read_only;

	/**
	 * @pages: DMA addresses. Written under &figment_vm.lock and notifier lock
	 * (read), or notifier lock (write); read by whoever may rely on them:
	 * under the notifier lock, or in a job whose fence the VM has.
	 */
	struct drm_gpusvm_pages pages;
	/** @vmas: Mappings, by &figment_vma.link; under &figment_pt_space.lock. */
	struct list_head vmas;
	/** @mappings: Mappings that there are, or will be after binds under way. */
	atomic_t mappings;
	/**
	 * @armed: Device page tables have it, or will have. Written under
	 * &figment_vm.lock and notifier lock (read), read under the latter (write).
	 */
	bool armed;

	/** @lost: The memory was not what it was, at the last @pin; under &figment_vm.lock. */
	bool lost;

	/** @vm_link: In &figment_vm.userptrs. */
	struct list_head vm_link;
	/** @release_work: When the lock of the VM is not to be had at once. */
	struct work_struct release_work;
	/** @stale_link: In &figment_vm.stale. */
	struct list_head stale_link;
	/** @repin_link: In &figment_vm.repin. */
	struct list_head repin_link;
	/** @fresh_link: In the list of the bind that brings it in. */
	struct list_head fresh_link;

	/** @watch: Of strategies with a notifier. */
	struct {
		struct mmu_interval_notifier notifier;
		/** @watch.finish: For the second pass of one notification at a time. */
		struct mmu_interval_notifier_finish finish;
		/** @watch.busy: @watch.finish is in use; under notifier lock (write). */
		bool busy;
		/** @watch.notice: Of that notification; of whoever has set @watch.busy. */
		struct figment_notice notice;
	} watch;

	/** @fault: Of the fault strategy. */
	struct {
		/**
		 * @fault.map: Which pages the device has, and how. Under
		 * &figment_pt_space.lock, with notifier lock (read), or under notifier
		 * lock (write).
		 */
		struct hmm_dma_map map;
		/** @fault.first: Of the second pass, see @watch.busy: pages. */
		unsigned long first;
		/** @fault.count: Of the second pass: pages. */
		unsigned long count;
		/** @fault.seq: Of the second pass: invalidation. */
		u64 seq;
	} fault;

	/** @held: Of strategies that keep their pages: those; constant after init. */
	struct page **held;

	/** @pin: Of the pin strategy. */
	struct {
		/** @pin.mm: Whose account it is; holds a reference (mmgrab). Constant. */
		struct mm_struct *mm;
	} pin;
};

extern const struct figment_strategy figment_strategy_fence;
extern const struct figment_strategy figment_strategy_preempt;
extern const struct figment_strategy figment_strategy_fault;
extern const struct figment_strategy figment_strategy_pin;
extern const struct figment_strategy figment_strategy_unsafe;

u64 figment_strategies(struct figment_device *fdev);
const struct figment_strategy *figment_strategy_find(struct figment_device *fdev, u32 strategy);

struct figment_userptr *figment_userptr_create(struct figment_vm *vm, u64 start, u64 size,
					       bool read_only);
void figment_userptr_put(struct figment_userptr *userptr);
int figment_userptr_check_memory(struct figment_vm *vm, struct mm_struct *mm, unsigned long at,
				 unsigned long size, bool write);
void figment_userptr_mark_dirty(struct page *page);
unsigned long figment_userptr_may_prefault(struct mm_struct *mm, unsigned long at,
					   unsigned long size);

void figment_userptr_collect(struct figment_vm *vm);
int figment_userptr_pin(struct figment_vm *vm, struct list_head *fresh, bool tolerant);
bool figment_userptr_recheck(struct figment_vm *vm, struct list_head *fresh);
void figment_userptr_commit(struct figment_vm *vm, struct list_head *fresh);

void figment_userptr_map(struct figment_vma *vma, struct figment_pt_stock *stock);

#endif
