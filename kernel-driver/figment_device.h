/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The device: what is known of the hardware after probe, the way to its
 * registers, and the one-way street out of service (wedge, unplug). The way back
 * from a reset is in figment_reset.c.
 */
#ifndef FIGMENT_DEVICE_H
#define FIGMENT_DEVICE_H

#include <linux/gpu_buddy.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>

#include "figment_hw.h"

struct figment_coredump;
struct figment_inject;
struct figment_queue;
struct pci_dev;

/** enum figment_level - What the device may be told. */
enum figment_level {
	/** @FIGMENT_DOWN: Nothing: it is in reset, on the way there, or cut off. */
	FIGMENT_DOWN,
	/** @FIGMENT_STOPPING: Anything that starts no queue. */
	FIGMENT_STOPPING,
	/** @FIGMENT_UP: Anything. */
	FIGMENT_UP,
};

/** struct figment_device - One Figment function. */
struct figment_device {
	/** @drm: Base object; its reference count is ours. */
	struct drm_device drm;
	/** @regs: BAR 0. Access only through figment_read32() and friends. */
	void __iomem *regs;
	/** @doorbells: BAR 4, one page per queue. */
	void __iomem *doorbells;
	/** @doorbells_base: CPU physical address of it. */
	resource_size_t doorbells_base;

	/** @info: What the identification registers said; constant after probe. */
	struct {
		u32 version;
		u32 engines;
		u32 queues;
		u32 asids;
		u64 features;
		u64 vram_bytes;
	} info;

	/** @vram: BAR 2 and its allocator. */
	struct {
		/** @vram.lock: Guards @vram.mm. */
		struct mutex lock;
		struct gpu_buddy mm;
		/** @vram.base: CPU physical address of offset 0. */
		resource_size_t base;
		/** @vram.map: Kernel mapping of all of it; NULL without VRAM. */
		void __iomem *map;
		/** @vram.access: Read: by whoever uses @vram.map, or gives it to user space. */
		struct rw_semaphore access;
		/** @vram.closed: The BAR does not answer; under @vram.access. */
		bool closed;
		/** @vram.wait: For @vram.closed. */
		wait_queue_head_t wait;
		/** @vram.region: For accounts of cgroups; NULL: the kernel has none. Constant. */
		struct dmem_cgroup_region *region;
		/** @vram.moves: Of who moves buffers to or from VRAM, see figment_eviction.c. */
		struct mutex moves;
		/** @vram.bos_lock: Guards @vram.bos. */
		struct mutex bos_lock;
		/** @vram.bos: Buffers in VRAM, the one that came last at the end. */
		struct list_head bos;
		/** @vram.evictions: Buffers that had to go. */
		atomic64_t evictions;
		/** @vram.restorations: Those that came back. */
		atomic64_t restorations;
	} vram;

	/** @pagemap: Pages of processes in VRAM, see figment_pagemap.c. */
	struct {
		/** @pagemap.on: There are such pages; constant. */
		bool on;
		/** @pagemap.base: Pages that stand for VRAM, and for no address of a CPU. */
		struct dev_pagemap base;
		/** @pagemap.ops: Of @pagemap.base: those of drm_pagemap, but one. Constant. */
		struct dev_pagemap_ops ops;
		/** @pagemap.blocks: Allocations by their first page; its lock is a leaf. */
		struct xarray blocks;
		/** @pagemap.used: Those with pages in use, the last one used at the end. */
		struct list_head used;
		/** @pagemap.freed: Those without; to be given back by @pagemap.free. */
		struct list_head freed;
		struct work_struct free;
		/** @pagemap.passes: Rounds of eviction. */
		atomic64_t passes;
		/** @pagemap.to_vram: Pages that came to VRAM. */
		atomic64_t to_vram;
		/** @pagemap.to_system: Pages that went back. */
		atomic64_t to_system;
		/** @pagemap.evictions: Allocations that had to go. */
		atomic64_t evictions;
	} pagemap;

	/** @events: The event ring, see figment_event.c. */
	struct {
		/** @events.lock: Guards what follows; taken in hard irq. */
		spinlock_t lock;
		struct figment_event *ring;
		dma_addr_t bus;
		/** @events.read: Entries consumed, free-running. */
		u32 read;
		/** @events.broken: The device could not write to the ring. */
		bool broken;
	} events;

	/** @gate: What the device may be told, see figment_reset.c. */
	struct {
		/** @gate.lock: Guards writes of registers that a reset takes away. A leaf. */
		spinlock_t lock;
		/**
		 * @gate.level: Written under @gate.lock and @events.lock, so stable under
		 * either; others read it to know when to give up.
		 */
		enum figment_level level;
		/** @gate.quiet: With FIGMENT_DOWN: the device does not reach memory any more. */
		bool quiet;
		/** @gate.roots: ASID_ROOT of all address spaces; under @gate.lock. */
		u64 roots[FIGMENT_ASIDS_MAX];
	} gate;

	/** @tlb: Invalidations, see figment_tlb.c. */
	struct {
		/** @tlb.issued: Sequence number of the last one issued; under @gate.lock. */
		u64 issued;
		/**
		 * @tlb.base: The one before the first since the last reset, with which the
		 * device began to count. Written under @gate.lock and @events.lock.
		 */
		u64 base;
		/** @tlb.done: Last one acknowledged; written in hard irq, read anywhere. */
		atomic64_t done;
		/** @tlb.wait: For @tlb.done and @gate.quiet. */
		wait_queue_head_t wait;
	} tlb;

	/** @queues: The hardware queues and who has them. */
	struct {
		/** @queues.lock: Guards writes of @queues.slot; signalling-safe. */
		struct mutex lock;
		/** @queues.slot: Read under RCU, in hard irq for one. */
		struct figment_queue __rcu *slot[FIGMENT_QUEUES_MAX];
		/** @queues.users: User queues that live: work may come without a call. */
		atomic_t users;
	} queues;

	/** @user_fences: Processes that wait for one, see figment_user_fence.c. */
	wait_queue_head_t user_fences;

	/** @coredump: For a job that goes wrong, see figment_coredump.c. */
	struct figment_coredump *coredump;
	/** @inject: Misbehaviour on purpose, see figment_inject.c; NULL: not to be had. */
	struct figment_inject *inject;

	/** @asids: Address space numbers in use. */
	struct ida asids;

	/** @wedged: Set once, when the device leaves service; no job starts after it. */
	bool wedged;
	/** @wedge_work: Ends all jobs after figment_device_wedge(). */
	struct work_struct wedge_work;

	/** @reset: Resets of the whole device, see figment_reset.c. */
	struct {
		/** @reset.lock: Whoever brings the device back, or puts all of it aside. */
		struct mutex lock;
		/** @reset.paused: Until figment_device_unpause(); under @reset.lock. */
		bool paused;
		/** @reset.suspended: Paused, and what comes back later may need memory first. */
		bool suspended;
		/** @reset.epoch: How often the device came up; written under @gate.lock. */
		u32 epoch;
		/** @reset.work: Brings the device back, on the reset workqueue. */
		struct work_struct work;
		/** @reset.gone: Takes note that it does not answer any more. */
		struct work_struct gone;
		/** @reset.since: When the first of @reset.recent came, jiffies. */
		unsigned long since;
		/** @reset.recent: Resets for a failure in FIGMENT_RESETS_MS. */
		u32 recent;
		/** @reset.why: The failure; of whoever has halted it, then of @reset.work. */
		const char *why;
		/** @reset.guilty: Whose job it was; without a process (0): nobody knows. */
		struct {
			char comm[TASK_COMM_LEN];
			pid_t pid;
			u64 client;
			u32 queue;
		} guilty;
	} reset;

	/** @watchdog: Looks whether an interrupt got lost, see figment_watchdog.c. */
	struct {
		struct timer_list timer;
		/** @watchdog.armed: The timer will look. */
		bool armed;
		/** @watchdog.read: What @events.read was when it looked last. */
		u32 read;
	} watchdog;

	/** @counts: What went wrong so far, for debugfs. */
	struct {
		atomic64_t queue_resets;
		atomic64_t device_resets;
		/** @counts.pauses: Resets that were announced: FLR, suspend. */
		atomic64_t pauses;
		/** @counts.jobs_failed: That were to blame for a reset of their queue. */
		atomic64_t jobs_failed;
		/** @counts.jobs_canceled: That had begun when a reset for another one came. */
		atomic64_t jobs_canceled;
		/** @counts.interrupts_lost: Or so late that the watchdog was there before. */
		atomic64_t interrupts_lost;
		/** @counts.completions_corrupt: Jobs that ended with a wrong number. */
		atomic64_t completions_corrupt;
		/** @counts.rings_restarted: The device could not write to the event ring. */
		atomic64_t rings_restarted;
	} counts;

	/** @run_wq: Starts and frees jobs. */
	struct workqueue_struct *run_wq;
	/** @bind_wq: Runs asynchronous binds. */
	struct workqueue_struct *bind_wq;
	/** @reset_wq: Ordered: timeouts and errors of all queues, one at a time. */
	struct workqueue_struct *reset_wq;

	/** @preempt_wq: Takes queues off the device when a notifier asks for it. */
	struct workqueue_struct *preempt_wq;
	/**
	 * @fault_wq: Makes pages present: waits for memory, and for whoever provides it. Also
	 * rings for user queues.
	 */
	struct workqueue_struct *fault_wq;

	/** @vms: All VMs: they must let go of the device when it is unplugged. */
	struct {
		/** @vms.lock: Guards the list; taken before any lock of a VM. */
		struct mutex lock;
		struct list_head list;
	} vms;
	/** @bos: All buffers: they must let go of the device, too. */
	struct {
		/** @bos.lock: Guards the list; no lock is taken under it. */
		struct mutex lock;
		struct list_head list;
		/** @bos.invalidations: Of imported ones, by their exporter. */
		atomic64_t invalidations;
	} bos;
};

/** to_figment_device() - The Figment device of a DRM device. */
static inline struct figment_device *to_figment_device(struct drm_device *drm)
{
	return container_of(drm, struct figment_device, drm);
}

static inline u32 figment_read32(struct figment_device *fdev, u32 reg)
{
	return readl(fdev->regs + reg);
}

static inline void figment_write32(struct figment_device *fdev, u32 reg, u32 value)
{
	writel(value, fdev->regs + reg);
}

static inline u64 figment_read64(struct figment_device *fdev, u32 reg)
{
	return readq(fdev->regs + reg);
}

static inline void figment_write64(struct figment_device *fdev, u32 reg, u64 value)
{
	writeq(value, fdev->regs + reg);
}

/** figment_device_wedged() - True when the device is out of service for good. */
static inline bool figment_device_wedged(struct figment_device *fdev)
{
	return READ_ONCE(fdev->wedged);
}

/** figment_device_is_up() - True unless the device is in reset or on the way there or back. */
static inline bool figment_device_is_up(struct figment_device *fdev)
{
	return READ_ONCE(fdev->gate.level) == FIGMENT_UP;
}

/** figment_device_is_down() - True when the device has lost all state, or is about to. */
static inline bool figment_device_is_down(struct figment_device *fdev)
{
	return READ_ONCE(fdev->gate.level) == FIGMENT_DOWN;
}

int figment_device_init(struct figment_device *fdev, struct pci_dev *pdev);
int figment_device_reset(struct figment_device *fdev);
void figment_device_stop(struct figment_device *fdev);
void figment_device_wedge(struct figment_device *fdev, const char *why);

/* Module-wide, see figment_drv.c. */
extern struct workqueue_struct *figment_cleanup_wq;
extern bool figment_allow_unsafe;
unsigned int figment_job_timeout_ms(void);
unsigned int figment_preempt_timeout_ms(void);
unsigned int figment_watchdog_ms(void);
unsigned int figment_device_resets(void);
unsigned long figment_fault_around(void);
bool figment_one_pass(void);

#endif
