/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The device: what is known of the hardware after probe, the way to its
 * registers, and the one-way street out of service (wedge, unplug).
 */
#ifndef FIGMENT_DEVICE_H
#define FIGMENT_DEVICE_H

#include <linux/gpu_buddy.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>

#include "figment_hw.h"

struct figment_queue;
struct pci_dev;

/** struct figment_device - One Figment function. */
struct figment_device {
	/** @drm: Base object; its reference count is ours. */
	struct drm_device drm;
	/** @regs: BAR 0. Access only through figment_read32() and friends. */
	void __iomem *regs;
	/** @doorbells: BAR 4, one page per queue. */
	void __iomem *doorbells;

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
	} vram;

	/** @pagemap: Pages of processes in VRAM, see figment_pagemap.c. */
	struct {
		/** @pagemap.on: There are such pages; constant. */
		bool on;
		/** @pagemap.base: Pages that stand for VRAM, and for no address of a CPU. */
		struct dev_pagemap base;
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
		/** @events.lock: Guards @events.read; taken in hard irq. */
		spinlock_t lock;
		struct figment_event *ring;
		dma_addr_t bus;
		/** @events.read: Entries consumed, free-running. */
		u32 read;
	} events;

	/** @tlb: Invalidations, see figment_tlb.c. */
	struct {
		/** @tlb.lock: Guards @tlb.issued and the INVAL registers. */
		spinlock_t lock;
		/** @tlb.issued: Sequence number of the last one issued. */
		u64 issued;
		/** @tlb.done: Last one acknowledged; written in hard irq, read anywhere. */
		atomic64_t done;
		wait_queue_head_t wait;
	} tlb;

	/** @queues: The hardware queues and who has them. */
	struct {
		/** @queues.lock: Guards writes of @queues.slot; signalling-safe. */
		struct mutex lock;
		/** @queues.slot: Read under RCU, in hard irq for one. */
		struct figment_queue __rcu *slot[FIGMENT_QUEUES_MAX];
	} queues;

	/** @user_fences: Processes that wait for one, see figment_user_fence.c. */
	wait_queue_head_t user_fences;

	/** @asids: Address space numbers in use. */
	struct ida asids;

	/** @wedged: Set once, when the device leaves service; no job starts after it. */
	bool wedged;
	/** @quiet: Set after @wedged, when the device can no longer reach memory. */
	bool quiet;
	/** @wedge_work: Ends all jobs after figment_device_wedge(). */
	struct work_struct wedge_work;

	/** @run_wq: Starts and frees jobs. */
	struct workqueue_struct *run_wq;
	/** @bind_wq: Runs asynchronous binds. */
	struct workqueue_struct *bind_wq;
	/** @reset_wq: Ordered: timeouts and errors of all queues, one at a time. */
	struct workqueue_struct *reset_wq;

	/** @preempt_wq: Takes queues off the device when a notifier asks for it. */
	struct workqueue_struct *preempt_wq;
	/** @fault_wq: Makes pages present: waits for memory, and for whoever provides it. */
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

int figment_device_init(struct figment_device *fdev, struct pci_dev *pdev);
void figment_device_stop(struct figment_device *fdev);
void figment_device_wedge(struct figment_device *fdev, const char *why);

/* Module-wide, see figment_drv.c. */
extern struct workqueue_struct *figment_cleanup_wq;
extern bool figment_allow_unsafe;
unsigned int figment_job_timeout_ms(void);
unsigned int figment_preempt_timeout_ms(void);
unsigned long figment_fault_around(void);

#endif
