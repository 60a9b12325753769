// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the driver believes, for whoever debugs it: the mappings of all address
 * spaces, the queues with their jobs, how much memory of processes has been to VRAM,
 * and what had to be recovered from. Nothing here touches a register, but "clock", and
 * what is in figment_inject.c.
 */
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_file.h>

#include "figment_clock.h"
#include "figment_debugfs.h"
#include "figment_device.h"
#include "figment_eviction.h"
#include "figment_inject.h"
#include "figment_pagemap.h"
#include "figment_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"

static int figment_debugfs_vms(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct figment_device *fdev = to_figment_device(entry->dev);
	struct figment_vm *vm;

	guard(mutex)(&fdev->vms.lock);
	list_for_each_entry(vm, &fdev->vms.list, device_link) {
		guard(mutex)(&vm->pt.lock);
		seq_printf(m, "asid %u, strategy %s, %s\n", vm->pt.asid, vm->strategy->name,
			   vm->pt.root ? "open" : "closed");
		drm_debugfs_gpuva_info(m, &vm->base);
	}
	return 0;
}

static int figment_debugfs_queues(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct figment_device *fdev = to_figment_device(entry->dev);
	u32 i;

	seq_puts(m, "queue asid priority running emitted ended errors last_error last_code faults user\n");
	guard(mutex)(&fdev->queues.lock);
	for (i = 0; i < fdev->info.queues; i++) {
		struct figment_queue *queue;

		queue = rcu_dereference_protected(fdev->queues.slot[i],
						  lockdep_is_held(&fdev->queues.lock));
		if (!queue)
			continue;
		guard(spinlock_irqsave)(&queue->lock);
		seq_printf(m, "%u %u %u %u %llu %llu %llu %d %u %llu %u\n", i, queue->vm->pt.asid,
			   queue->priority, queue->running, queue->seqno, queue->jobs,
			   queue->errors, queue->last_error, queue->last_code,
			   READ_ONCE(queue->fault.count), !!queue->user);
	}
	return 0;
}

static int figment_debugfs_pagemap(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;

	figment_pagemap_show(to_figment_device(entry->dev), m);
	return 0;
}

static int figment_debugfs_buffers(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;

	figment_eviction_show(to_figment_device(entry->dev), m);
	return 0;
}

static int figment_debugfs_recovery(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct figment_device *fdev = to_figment_device(entry->dev);

	seq_printf(m, "queue_resets %lld\n", atomic64_read(&fdev->counts.queue_resets));
	seq_printf(m, "device_resets %lld\n", atomic64_read(&fdev->counts.device_resets));
	seq_printf(m, "pauses %lld\n", atomic64_read(&fdev->counts.pauses));
	seq_printf(m, "jobs_failed %lld\n", atomic64_read(&fdev->counts.jobs_failed));
	seq_printf(m, "jobs_canceled %lld\n", atomic64_read(&fdev->counts.jobs_canceled));
	seq_printf(m, "interrupts_lost %lld\n", atomic64_read(&fdev->counts.interrupts_lost));
	seq_printf(m, "completions_corrupt %lld\n",
		   atomic64_read(&fdev->counts.completions_corrupt));
	seq_printf(m, "rings_restarted %lld\n", atomic64_read(&fdev->counts.rings_restarted));
	seq_printf(m, "wedged %u\n", figment_device_wedged(fdev));
	return 0;
}

static int figment_debugfs_clock(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct figment_clock clock;
	int ret;

	ret = figment_clock_read(to_figment_device(entry->dev), &clock);
	if (ret)
		return ret;
	seq_printf(m, "%llu %llu %llu\n", clock.before, clock.time, clock.after);
	return 0;
}

static const struct drm_debugfs_info figment_debugfs_files[] = {
	{ "vms", figment_debugfs_vms },
	{ "queues", figment_debugfs_queues },
	{ "pagemap", figment_debugfs_pagemap },
	{ "buffers", figment_debugfs_buffers },
	{ "recovery", figment_debugfs_recovery },
	{ "clock", figment_debugfs_clock },
};

/**
 * figment_debugfs_init() - Add the files; they go away with the DRM device.
 * @fdev: the device, not registered yet
 */
void figment_debugfs_init(struct figment_device *fdev)
{
	drm_debugfs_add_files(&fdev->drm, figment_debugfs_files,
			      ARRAY_SIZE(figment_debugfs_files));
	figment_inject_init(fdev);
}
