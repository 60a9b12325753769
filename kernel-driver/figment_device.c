// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Bringing the device into service, and taking it out.
 *
 * There are two ways out, wedging (no reset helps any more) and unplugging,
 * and both go through figment_device_stop(): no job may start, then the device
 * is reset and cut off from the bus, and only then may anybody skip a TLB
 * invalidation because it is pointless. A wedged device comes back by being
 * bound to the driver again.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/iopoll.h>
#include <linux/pci.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_event.h"
#include "figment_eviction.h"
#include "figment_pagemap.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_tlb.h"
#include "figment_user_fence.h"
#include "figment_watchdog.h"

#define FIGMENT_RESET_TIMEOUT_US	(2 * USEC_PER_SEC)

/**
 * figment_device_reset() - Have the device lose all its state.
 * @fdev: the device; the caller is inside drm_dev_enter()
 *
 * On success nothing that it was told before is used any more.
 *
 * Return: 0; -ENODEV: it is not there; -ETIMEDOUT: it does not come out of reset.
 */
int figment_device_reset(struct figment_device *fdev)
{
	u32 status;

	/* All ones would be a reset without end. */
	if (figment_read32(fdev, FIGMENT_REG_ID) != FIGMENT_ID)
		return -ENODEV;

	figment_write32(fdev, FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
	return read_poll_timeout(figment_read32, status, !(status & FIGMENT_STATUS_RESETTING),
				 20, FIGMENT_RESET_TIMEOUT_US, false, fdev, FIGMENT_REG_STATUS);
}

/**
 * figment_device_stop() - Take the device out of service.
 * @fdev: the device; the caller is inside drm_dev_enter() or before drm_dev_unplug()
 *
 * On return the device does not reach memory any more. Jobs in flight still
 * need figment_queues_kill_all(). Sleeps, but does not allocate.
 */
void figment_device_stop(struct figment_device *fdev)
{
	/* Under the lock: from here on nobody brings it back. */
	scoped_guard(spinlock_irqsave, &fdev->gate.lock)
		WRITE_ONCE(fdev->wedged, true);

	figment_device_halt(fdev);
	/* Whatever the reset did, this ends all DMA. */
	pci_clear_master(to_pci_dev(fdev->drm.dev));
	figment_user_fence_wake(fdev);
}

static void figment_device_wedge_work(struct work_struct *work)
{
	struct figment_device *fdev = container_of(work, struct figment_device, wedge_work);

	figment_queues_kill_all(fdev, -ENODEV);
	drm_dev_wedged_event(&fdev->drm, DRM_WEDGE_RECOVERY_REBIND, NULL);
}

/**
 * figment_device_wedge() - Give the device up.
 * @fdev: the device; the caller is inside drm_dev_enter()
 * @why: for the log
 *
 * May be called in mmu notifiers. On return the device does not reach memory
 * any more; its jobs end with -ENODEV a little later.
 */
void figment_device_wedge(struct figment_device *fdev, const char *why)
{
	if (!figment_device_wedged(fdev))
		drm_err(&fdev->drm, "giving the device up after %lld resets: %s\n",
			atomic64_read(&fdev->counts.device_resets), why);
	figment_device_stop(fdev);
	queue_work(fdev->reset_wq, &fdev->wedge_work);
}

static int figment_device_identify(struct figment_device *fdev)
{
	struct drm_device *drm = &fdev->drm;
	u64 config;
	u32 id;

	id = figment_read32(fdev, FIGMENT_REG_ID);
	if (id != FIGMENT_ID) {
		drm_err(drm, "not a Figment: identification 0x%08x\n", id);
		return -ENODEV;
	}

	fdev->info.version = figment_read32(fdev, FIGMENT_REG_VERSION);
	if (FIELD_GET(FIGMENT_VERSION_MAJOR, fdev->info.version) !=
	    FIELD_GET(FIGMENT_VERSION_MAJOR, FIGMENT_VERSION)) {
		drm_err(drm, "unknown hardware version 0x%08x\n", fdev->info.version);
		return -ENODEV;
	}

	fdev->info.features = figment_read64(fdev, FIGMENT_REG_FEATURES);
	config = figment_read64(fdev, FIGMENT_REG_CONFIG);
	fdev->info.engines = FIELD_GET(FIGMENT_CONFIG_ENGINES, config);
	fdev->info.queues = FIELD_GET(FIGMENT_CONFIG_QUEUES, config);
	fdev->info.asids = FIELD_GET(FIGMENT_CONFIG_ASIDS, config);
	fdev->info.vram_bytes = figment_read64(fdev, FIGMENT_REG_VRAM_BYTES);

	if (FIELD_GET(FIGMENT_CONFIG_VA_BITS, config) != FIGMENT_VA_BITS ||
	    !fdev->info.engines ||
	    !fdev->info.queues || fdev->info.queues > FIGMENT_QUEUES_MAX ||
	    !fdev->info.asids || fdev->info.asids > FIGMENT_ASIDS_MAX) {
		drm_err(drm, "configuration 0x%016llx is not supported\n", config);
		return -ENODEV;
	}
	return 0;
}

static void figment_device_vram_fini(struct drm_device *drm, void *data)
{
	gpu_buddy_fini(&to_figment_device(drm)->vram.mm);
}

static int figment_device_vram_init(struct figment_device *fdev, struct pci_dev *pdev)
{
	u64 bytes = fdev->info.vram_bytes;
	int ret;

	ret = drmm_mutex_init(&fdev->drm, &fdev->vram.lock);
	if (!ret)
		ret = figment_eviction_init(fdev);
	if (ret || !bytes)
		return ret;

	if (pci_resource_len(pdev, FIGMENT_BAR_VRAM) < bytes || !PAGE_ALIGNED(bytes)) {
		drm_err(&fdev->drm, "VRAM of %llu bytes in a BAR of %llu\n", bytes,
			(u64)pci_resource_len(pdev, FIGMENT_BAR_VRAM));
		return -ENODEV;
	}

	ret = pcim_request_region(pdev, FIGMENT_BAR_VRAM, "figment-vram");
	if (ret)
		return ret;

	fdev->vram.base = pci_resource_start(pdev, FIGMENT_BAR_VRAM);
	fdev->vram.map = devm_ioremap_wc(&pdev->dev, fdev->vram.base, bytes);
	if (!fdev->vram.map)
		return -ENOMEM;

	ret = gpu_buddy_init(&fdev->vram.mm, bytes, PAGE_SIZE);
	if (ret)
		return ret;
	gpu_buddy_driver_set_lock(&fdev->vram.mm, &fdev->vram.lock);
	ret = drmm_add_action_or_reset(&fdev->drm, figment_device_vram_fini, NULL);
	if (ret)
		return ret;
	return figment_eviction_account(fdev);
}

static void figment_device_fini(struct drm_device *drm, void *data)
{
	struct figment_device *fdev = to_figment_device(drm);

	WARN_ON(!list_empty(&fdev->vms.list) || !list_empty(&fdev->bos.list));
	ida_destroy(&fdev->asids);
}

static void figment_device_free_workqueue(struct drm_device *drm, void *data)
{
	destroy_workqueue(data);
}

static struct workqueue_struct *figment_device_workqueue(struct drm_device *drm, const char *name,
							 unsigned int flags)
{
	struct workqueue_struct *wq = alloc_workqueue("%s", flags, 0, name);
	int ret;

	if (!wq)
		return ERR_PTR(-ENOMEM);
	ret = drmm_add_action_or_reset(drm, figment_device_free_workqueue, wq);
	return ret ? ERR_PTR(ret) : wq;
}

static int figment_device_init_software(struct figment_device *fdev)
{
	struct drm_device *drm = &fdev->drm;
	int ret;

	INIT_WORK(&fdev->wedge_work, figment_device_wedge_work);
	init_rwsem(&fdev->vram.access);
	init_waitqueue_head(&fdev->vram.wait);
	INIT_LIST_HEAD(&fdev->vms.list);
	INIT_LIST_HEAD(&fdev->bos.list);
	ida_init(&fdev->asids);
	init_waitqueue_head(&fdev->user_fences);
	ret = drmm_add_action_or_reset(drm, figment_device_fini, NULL);
	if (ret)
		return ret;

	ret = drmm_mutex_init(drm, &fdev->vms.lock);
	if (ret)
		return ret;
	ret = drmm_mutex_init(drm, &fdev->bos.lock);
	if (ret)
		return ret;
	ret = drmm_mutex_init(drm, &fdev->queues.lock);
	if (ret)
		return ret;
	ret = figment_reset_init(fdev);
	if (ret)
		return ret;
	figment_watchdog_init(fdev);

	/*
	 * A job is started on the processor that submitted it: its submitter is
	 * about to sleep there, and no idle processor needs to be woken.
	 */
	fdev->run_wq = figment_device_workqueue(drm, "figment-run",
						WQ_PERCPU | WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (IS_ERR(fdev->run_wq))
		return PTR_ERR(fdev->run_wq);
	fdev->bind_wq = figment_device_workqueue(drm, "figment-bind",
						 WQ_UNBOUND | WQ_MEM_RECLAIM);
	if (IS_ERR(fdev->bind_wq))
		return PTR_ERR(fdev->bind_wq);
	fdev->reset_wq = drmm_alloc_ordered_workqueue(drm, "figment-reset", WQ_MEM_RECLAIM);
	if (IS_ERR(fdev->reset_wq))
		return PTR_ERR(fdev->reset_wq);

	fdev->preempt_wq = figment_device_workqueue(drm, "figment-preempt",
						    WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (IS_ERR(fdev->preempt_wq))
		return PTR_ERR(fdev->preempt_wq);
	fdev->fault_wq = figment_device_workqueue(drm, "figment-fault", WQ_UNBOUND);
	if (IS_ERR(fdev->fault_wq))
		return PTR_ERR(fdev->fault_wq);

	/* Buffers of huge pages need fewer entries and walks; small pages work, too. */
	ret = drm_gem_huge_mnt_create(drm, "within_size");
	if (ret)
		drm_info(drm, "buffers have small pages only: %pe\n", ERR_PTR(ret));
	return 0;
}

/**
 * figment_device_init() - Bring the device into service.
 * @fdev: the device, zeroed but for @drm
 * @pdev: its PCI function, enabled
 *
 * Everything that is set up here goes away by itself with the DRM device or with
 * the binding of the driver.
 *
 * Return: 0, or a negative errno.
 */
int figment_device_init(struct figment_device *fdev, struct pci_dev *pdev)
{
	int ret;

	ret = figment_device_init_software(fdev);
	if (ret)
		return ret;

	fdev->regs = pcim_iomap_region(pdev, FIGMENT_BAR_REGISTERS, "figment-registers");
	if (IS_ERR(fdev->regs))
		return PTR_ERR(fdev->regs);
	if (pci_resource_len(pdev, FIGMENT_BAR_REGISTERS) < FIGMENT_REGISTERS_BYTES)
		return -ENODEV;

	ret = figment_device_identify(fdev);
	if (ret)
		return ret;

	fdev->doorbells = pcim_iomap_region(pdev, FIGMENT_BAR_DOORBELLS, "figment-doorbells");
	if (IS_ERR(fdev->doorbells))
		return PTR_ERR(fdev->doorbells);
	if (pci_resource_len(pdev, FIGMENT_BAR_DOORBELLS) <
	    (u64)fdev->info.queues * FIGMENT_DOORBELL_BYTES)
		return -ENODEV;
	fdev->doorbells_base = pci_resource_start(pdev, FIGMENT_BAR_DOORBELLS);

	/* Page-table entries hold 52 bits of bus address. */
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(52));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);

	ret = figment_device_vram_init(fdev, pdev);
	if (ret)
		return ret;
	ret = figment_pagemap_init(fdev, pdev);
	if (ret)
		return ret;

	/* Before mastering: nothing that ran under an earlier driver may write on. */
	ret = figment_device_reset(fdev);
	if (ret) {
		drm_err(&fdev->drm, "the device does not come out of reset\n");
		return ret;
	}
	pci_set_master(pdev);

	figment_tlb_init(fdev);
	ret = figment_event_init(fdev, pdev);
	if (ret)
		return ret;
	ret = figment_event_request_irqs(fdev, pdev);
	if (ret)
		return ret;

	figment_device_open(fdev);
	return 0;
}
ALLOW_ERROR_INJECTION(figment_device_init, ERRNO);
