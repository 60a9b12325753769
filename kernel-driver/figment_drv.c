// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The module, the PCI driver, the DRM driver, and what a file owns: address
 * spaces and queues, each under a number of its own.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>

#include <drm/drm_auth.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <drm/figment_drm.h>

#include "figment_bind.h"
#include "figment_bo.h"
#include "figment_coredump.h"
#include "figment_debugfs.h"
#include "figment_device.h"
#include "figment_drv.h"
#include "figment_import.h"
#include "figment_job.h"
#include "figment_mirror.h"
#include "figment_pagemap.h"
#include "figment_place.h"
#include "figment_queue.h"
#include "figment_reset.h"
#include "figment_user_fence.h"
#include "figment_user_queue.h"
#include "figment_userptr.h"
#include "figment_vm.h"
#include "figment_watchdog.h"

bool figment_allow_unsafe;
module_param_named(allow_unsafe, figment_allow_unsafe, bool, 0644);
MODULE_PARM_DESC(allow_unsafe, "Allow the strategy that corrupts user data on purpose; taints the kernel (default: false)");

static unsigned int figment_param_job_timeout_ms = 2000;
module_param_named(job_timeout_ms, figment_param_job_timeout_ms, uint, 0644);
MODULE_PARM_DESC(job_timeout_ms, "Time in ms after which a job is stopped, for queues made from now on (default: 2000, 10 to 60000)");

static unsigned int figment_param_preempt_timeout_ms = 500;
module_param_named(preempt_timeout_ms, figment_param_preempt_timeout_ms, uint, 0644);
MODULE_PARM_DESC(preempt_timeout_ms, "Time in ms that a queue has to leave the device when it is preempted, before it is reset (default: 500, 10 to 60000)");

static unsigned int figment_param_fault_around_kib = 64;
module_param_named(fault_around_kib, figment_param_fault_around_kib, uint, 0644);
MODULE_PARM_DESC(fault_around_kib, "With the strategy fault: KiB around a missing page that are mapped with it, a power of two (default: 64, 4 to 2048; 4: only the page)");

static unsigned int figment_param_watchdog_ms = 100;
module_param_named(watchdog_ms, figment_param_watchdog_ms, uint, 0644);
MODULE_PARM_DESC(watchdog_ms, "Time in ms after which a lost interrupt is noticed, while jobs are in flight (default: 100, 10 to 10000; 0: never)");

static unsigned int figment_param_device_resets = 8;
module_param_named(device_resets, figment_param_device_resets, uint, 0644);
MODULE_PARM_DESC(device_resets, "How often in a minute the whole device is reset because it has failed, before it is given up (default: 8; 0: at the first failure)");

static bool figment_param_one_pass;
module_param_named(one_pass, figment_param_one_pass, bool, 0644);
MODULE_PARM_DESC(one_pass, "Have the notifiers of fence and preempt wait in their first pass, one after the other, to measure what the second one is good for (default: false)");

/** figment_cleanup_wq - Takes apart what can not be taken apart where it ends. */
struct workqueue_struct *figment_cleanup_wq;

/* DRM devices that are not freed yet; the module waits for them when it goes. */
static atomic_t figment_live = ATOMIC_INIT(0);

/** figment_job_timeout_ms() - Time that a job has, in ms. */
unsigned int figment_job_timeout_ms(void)
{
	return clamp(READ_ONCE(figment_param_job_timeout_ms), 10U, 60000U);
}

/** figment_preempt_timeout_ms() - Time that a queue has to leave the device, in ms. */
unsigned int figment_preempt_timeout_ms(void)
{
	return clamp(READ_ONCE(figment_param_preempt_timeout_ms), 10U, 60000U);
}

/** figment_watchdog_ms() - Time from one look of the watchdog to the next, in ms; 0: none. */
unsigned int figment_watchdog_ms(void)
{
	unsigned int ms = READ_ONCE(figment_param_watchdog_ms);

	return ms ? clamp(ms, 10U, 10000U) : 0;
}

/** figment_device_resets() - Resets in a minute that may help. */
unsigned int figment_device_resets(void)
{
	return READ_ONCE(figment_param_device_resets);
}

/** figment_fault_around() - Bytes around a fault that are looked at: a power of two. */
unsigned long figment_fault_around(void)
{
	unsigned int kib = clamp(READ_ONCE(figment_param_fault_around_kib), 4U, 2048U);

	return rounddown_pow_of_two(kib) * SZ_1K;
}

/** figment_one_pass() - Shall a notifier wait before those of others have been called? */
bool figment_one_pass(void)
{
	return READ_ONCE(figment_param_one_pass);
}

/* --- what a file owns ----------------------------------------------------- */

/** struct figment_file - Private part of an open file. */
struct figment_file {
	/** @vms: VMs by number, a reference each; lookups under its lock. */
	struct xarray vms;
	/** @queues: Queues by number, a reference each; lookups under its lock. */
	struct xarray queues;
	/** @client: Holds a reference. */
	struct figment_client *client;
};

static void figment_client_free(struct kref *refs)
{
	kfree(container_of(refs, struct figment_client, refs));
}

/** figment_client_put() - Drop a reference. */
void figment_client_put(struct figment_client *client)
{
	kref_put(&client->refs, figment_client_free);
}

/**
 * figment_file_vm() - Look up a VM.
 * @file: the file
 * @id: number of the VM
 *
 * Return: the VM with a reference, or NULL.
 */
struct figment_vm *figment_file_vm(struct drm_file *file, u32 id)
{
	struct figment_file *ffile = file->driver_priv;
	struct figment_vm *vm;

	xa_lock(&ffile->vms);
	vm = xa_load(&ffile->vms, id);
	if (vm)
		figment_vm_get(vm);
	xa_unlock(&ffile->vms);
	return vm;
}

/**
 * figment_file_queue() - Look up a queue.
 * @file: the file
 * @id: number of the queue
 *
 * Return: the queue with a reference, or NULL.
 */
struct figment_queue *figment_file_queue(struct drm_file *file, u32 id)
{
	struct figment_file *ffile = file->driver_priv;
	struct figment_queue *queue;

	xa_lock(&ffile->queues);
	queue = xa_load(&ffile->queues, id);
	if (queue)
		figment_queue_get(queue);
	xa_unlock(&ffile->queues);
	return queue;
}

/** figment_file_client() - Whose file it is; lives as long as the file. */
struct figment_client *figment_file_client(struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;

	return ffile->client;
}

static int figment_open(struct drm_device *drm, struct drm_file *file)
{
	struct figment_file *ffile = kzalloc_obj(*ffile, GFP_KERNEL_ACCOUNT);

	if (!ffile)
		return -ENOMEM;
	ffile->client = kzalloc_obj(*ffile->client, GFP_KERNEL_ACCOUNT);
	if (!ffile->client) {
		kfree(ffile);
		return -ENOMEM;
	}

	kref_init(&ffile->client->refs);
	get_task_comm(ffile->client->comm, current);
	ffile->client->pid = task_tgid_nr(current);
	ffile->client->id = file->client_id;
	xa_init_flags(&ffile->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&ffile->queues, XA_FLAGS_ALLOC1);
	file->driver_priv = ffile;
	return 0;
}

static void figment_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;
	struct figment_queue *queue;
	struct figment_vm *vm;
	unsigned long id;

	xa_for_each(&ffile->queues, id, queue) {
		figment_queue_kill(queue, -ECANCELED);
		figment_queue_put(queue);
	}
	xa_for_each(&ffile->vms, id, vm) {
		figment_vm_close(vm);
		figment_vm_put(vm);
	}
	xa_destroy(&ffile->queues);
	xa_destroy(&ffile->vms);
	figment_client_put(ffile->client);
	kfree(ffile);
}

/* --- ioctls --------------------------------------------------------------- */

static int figment_dev_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_device *fdev = to_figment_device(drm);
	struct drm_figment_dev_query *args = data;
	struct drm_figment_device_info info = {
		.hw_version = fdev->info.version,
		.engines = fdev->info.engines,
		.queues = fdev->info.queues,
		.asids = fdev->info.asids,
		.hw_features = fdev->info.features,
		.strategies = figment_strategies(fdev),
		.vram_bytes = fdev->info.vram_bytes,
		.va_start = FIGMENT_VA_START,
		.va_end = FIGMENT_VA_END,
		.priorities = FIGMENT_PRIORITIES,
		.job_timeout_ms = figment_job_timeout_ms(),
	};

	if (args->type != DRM_FIGMENT_QUERY_DEVICE)
		return -EINVAL;

	if (!args->pointer) {
		args->size = sizeof(info);
		return 0;
	}
	args->size = min_t(u32, args->size, sizeof(info));
	if (copy_to_user(u64_to_user_ptr(args->pointer), &info, args->size))
		return -EFAULT;
	return 0;
}

static int figment_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;
	struct drm_figment_vm_create *args = data;
	struct figment_vm *vm;
	int idx, ret;

	if (args->flags & ~DRM_FIGMENT_VM_SVM || args->pad)
		return -EINVAL;

	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	vm = figment_vm_create(to_figment_device(drm), args->strategy, args->flags);
	drm_dev_exit(idx);
	if (IS_ERR(vm))
		return PTR_ERR(vm);

	/* From here on others may find it, and even destroy it. */
	ret = xa_alloc(&ffile->vms, &args->id, vm, FIGMENT_ID_LIMIT, GFP_KERNEL_ACCOUNT);
	if (ret) {
		figment_vm_close(vm);
		figment_vm_put(vm);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	return 0;
}

static int figment_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;
	struct drm_figment_vm_destroy *args = data;
	struct figment_queue *queue;
	struct figment_vm *vm;
	unsigned long id;

	if (args->pad)
		return -EINVAL;

	vm = xa_erase(&ffile->vms, args->id);
	if (!vm)
		return -ENOENT;

	/* A queue that is created right now finds the VM closed, or is found here. */
	figment_vm_shut(vm);
	xa_for_each(&ffile->queues, id, queue) {
		/* With a reference: another thread may be destroying it. */
		queue = figment_file_queue(file, id);
		if (!queue)
			continue;
		if (queue->vm == vm && xa_cmpxchg(&ffile->queues, id, queue, NULL, 0) == queue) {
			figment_queue_kill(queue, -ECANCELED);
			figment_queue_put(queue);
		}
		figment_queue_put(queue);
	}
	figment_vm_close(vm);
	figment_vm_put(vm);
	return 0;
}

static int figment_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;
	struct drm_figment_queue_create *args = data;
	struct figment_queue *queue;
	struct figment_vm *vm;
	int idx, ret;

	if (args->priority >= FIGMENT_PRIORITIES || !figment_user_queue_args_are_valid(args))
		return -EINVAL;
	if (args->priority == FIGMENT_PRIORITIES - 1 &&
	    !capable(CAP_SYS_NICE) && !drm_is_current_master(file))
		return -EACCES;

	vm = figment_file_vm(file, args->vm_id);
	if (!vm)
		return -ENOENT;

	ret = -ENODEV;
	if (!drm_dev_enter(drm, &idx))
		goto put_vm;
	queue = figment_queue_create(vm, ffile->client, args);
	drm_dev_exit(idx);
	ret = PTR_ERR_OR_ZERO(queue);
	if (ret)
		goto put_vm;
	if (queue->user)
		args->mmap_offset = figment_user_queue_offset(queue);

	/* From here on others may find it, and even destroy it. */
	ret = figment_vm_publish_queue(vm, &ffile->queues, &args->id, queue);
	if (ret) {
		figment_queue_kill(queue, -ECANCELED);
		figment_queue_put(queue);
	}
put_vm:
	figment_vm_put(vm);
	return ret;
}

static int figment_queue_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_file *ffile = file->driver_priv;
	struct drm_figment_queue_destroy *args = data;
	struct figment_queue *queue;

	if (args->pad)
		return -EINVAL;

	queue = xa_erase(&ffile->queues, args->id);
	if (!queue)
		return -ENOENT;
	figment_queue_kill(queue, -ECANCELED);
	figment_queue_put(queue);
	return 0;
}

static int figment_queue_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_figment_queue_query *args = data;
	struct figment_queue *queue;

	if (args->pad)
		return -EINVAL;

	queue = figment_file_queue(file, args->id);
	if (!queue)
		return -ENOENT;
	figment_queue_query(queue, args);
	figment_queue_put(queue);
	return 0;
}

static const struct drm_ioctl_desc figment_ioctls[] = {
	DRM_IOCTL_DEF_DRV(FIGMENT_DEV_QUERY, figment_dev_query_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_BO_CREATE, figment_bo_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_BO_MMAP_OFFSET, figment_bo_mmap_offset_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_VM_CREATE, figment_vm_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_VM_DESTROY, figment_vm_destroy_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_VM_BIND, figment_bind_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_QUEUE_CREATE, figment_queue_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_QUEUE_DESTROY, figment_queue_destroy_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_QUEUE_QUERY, figment_queue_query_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_SUBMIT, figment_submit_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_WAIT_USER_FENCE, figment_wait_user_fence_ioctl,
			  DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(FIGMENT_VM_PLACE, figment_vm_place_ioctl, DRM_RENDER_ALLOW),
};

/* --- drivers -------------------------------------------------------------- */

static void figment_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct figment_device *fdev = to_figment_device(file->minor->dev);
	struct figment_file *ffile = file->driver_priv;
	struct figment_vm *vm;
	unsigned long id;
	u64 bytes = 0;

	drm_printf(p, "drm-engine-figment:\t%llu ns\n",
		   (u64)atomic64_read(&ffile->client->engine_ns));
	drm_printf(p, "drm-engine-capacity-figment:\t%u\n", fdev->info.engines);
	figment_bo_show_memory(p, file);

	/* Memory of the process, which no buffer is: not among those regions. */
	xa_lock(&ffile->vms);
	xa_for_each(&ffile->vms, id, vm)
		bytes += figment_mirror_vram_bytes(vm);
	xa_unlock(&ffile->vms);
	drm_printf(p, "figment-svm-vram:\t%llu KiB\n", bytes >> 10);
}

static int figment_mmap(struct file *filp, struct vm_area_struct *vma)
{
	if (figment_user_queue_has_offset(vma->vm_pgoff))
		return figment_user_queue_mmap(filp->private_data, vma);
	return drm_gem_mmap(filp, vma);
}

/* DRM_GEM_FOPS, but for mmap(). */
static const struct file_operations figment_fops = {
	.owner = THIS_MODULE,
	.open = drm_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.get_unmapped_area = drm_gem_get_unmapped_area,
	.mmap = figment_mmap,
	.fop_flags = FOP_UNSIGNED_OFFSET,
	.show_fdinfo = drm_show_fdinfo,
};

static const struct drm_driver figment_driver = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE,
	.open = figment_open,
	.postclose = figment_postclose,
	.ioctls = figment_ioctls,
	.num_ioctls = ARRAY_SIZE(figment_ioctls),
	.fops = &figment_fops,
	.gem_create_object = figment_bo_alloc,
	.gem_prime_import = figment_import,
	.show_fdinfo = figment_show_fdinfo,
	.name = "figment",
	.desc = "Figment virtual GPU",
	.major = 1,
	.minor = 5,
};

static void figment_gone(struct drm_device *drm, void *data)
{
	if (atomic_dec_and_test(&figment_live))
		wake_up_var(&figment_live);
}

static int figment_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct figment_device *fdev;
	int ret;

	fdev = devm_drm_dev_alloc(&pdev->dev, &figment_driver, struct figment_device, drm);
	if (IS_ERR(fdev))
		return PTR_ERR(fdev);
	pci_set_drvdata(pdev, fdev);

	/* First in, last out. */
	atomic_inc(&figment_live);
	ret = drmm_add_action_or_reset(&fdev->drm, figment_gone, NULL);
	if (ret)
		return ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = figment_coredump_init(fdev);
	if (ret)
		return ret;
	ret = figment_device_init(fdev, pdev);
	if (ret)
		return ret;

	figment_debugfs_init(fdev);
	ret = drm_dev_register(&fdev->drm, 0);
	if (ret) {
		figment_device_stop(fdev);
		figment_watchdog_fini(fdev);
	}
	return ret;
}

static void figment_unplug_objects(struct figment_device *fdev)
{
	struct figment_vm *vm;

	/* What is on its way out lets go by itself, when nobody is kept waiting. */
	scoped_guard(mutex, &fdev->vms.lock)
		list_for_each_entry(vm, &fdev->vms.list, device_link)
			figment_vm_shut(vm);
	flush_workqueue(figment_cleanup_wq);

	scoped_guard(mutex, &fdev->vms.lock)
		list_for_each_entry(vm, &fdev->vms.list, device_link)
			figment_vm_unplug(vm);
	figment_bo_unplug_all(fdev);
}

static void figment_remove(struct pci_dev *pdev)
{
	struct figment_device *fdev = pci_get_drvdata(pdev);

	/*
	 * In this order: the device no longer reaches memory; its jobs have
	 * ended; nobody is inside drm_dev_enter() any more. Files that are still
	 * open keep what is left, and nothing of that is the device's. Processes
	 * get their memory in VRAM back.
	 */
	figment_device_stop(fdev);
	/* If it is paused, nobody else will: what the bus answers has to do. */
	figment_vram_open(fdev);
	figment_queues_kill_all(fdev, -ENODEV);
	drm_dev_unplug(&fdev->drm);
	figment_watchdog_fini(fdev);
	figment_reset_fini(fdev);
	cancel_work_sync(&fdev->wedge_work);
	figment_unplug_objects(fdev);
	figment_pagemap_unplug(fdev);
}

static void figment_shutdown(struct pci_dev *pdev)
{
	struct figment_device *fdev = pci_get_drvdata(pdev);

	figment_device_stop(fdev);
	figment_queues_kill_all(fdev, -ENODEV);
}

/* --- resets from outside -------------------------------------------------- */

/* FLR, or a reset of the bus: of sysfs, VFIO, or the kernel. */
static void figment_reset_prepare(struct pci_dev *pdev)
{
	figment_device_pause(pci_get_drvdata(pdev));
}

static void figment_reset_done(struct pci_dev *pdev)
{
	figment_device_unpause(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers figment_pci_errors = {
	.reset_prepare = figment_reset_prepare,
	.reset_done = figment_reset_done,
};

static int figment_suspend(struct device *dev)
{
	struct figment_device *fdev = dev_get_drvdata(dev);

	figment_device_pause(fdev);
	WRITE_ONCE(fdev->reset.suspended, true);
	return 0;
}

static int figment_resume(struct device *dev)
{
	struct figment_device *fdev = dev_get_drvdata(dev);

	WRITE_ONCE(fdev->reset.suspended, false);
	figment_device_unpause(fdev);
	return 0;
}

/* Suspend to RAM keeps VRAM, a power cut does not. */
static int figment_freeze(struct device *dev)
{
	struct figment_device *fdev = dev_get_drvdata(dev);

	drm_notice(&fdev->drm, "no hibernation: what is in VRAM would be lost\n");
	return -EOPNOTSUPP;
}

static const struct dev_pm_ops figment_pm_ops = {
	.suspend = pm_sleep_ptr(figment_suspend),
	.resume = pm_sleep_ptr(figment_resume),
	.freeze = pm_sleep_ptr(figment_freeze),
};

static const struct pci_device_id figment_pci_ids[] = {
	{ PCI_DEVICE(FIGMENT_PCI_VENDOR_ID, FIGMENT_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, figment_pci_ids);

static struct pci_driver figment_pci_driver = {
	.name = "figment",
	.id_table = figment_pci_ids,
	.probe = figment_probe,
	.remove = figment_remove,
	.shutdown = figment_shutdown,
	.err_handler = &figment_pci_errors,
	.driver.pm = pm_ptr(&figment_pm_ops),
};

static int __init figment_init(void)
{
	int ret;

	if (drm_firmware_drivers_only())
		return -ENODEV;

	figment_vm_prime_lockdep();

	figment_cleanup_wq = alloc_workqueue("figment-cleanup", WQ_UNBOUND, 0);
	if (!figment_cleanup_wq)
		return -ENOMEM;

	ret = pci_register_driver(&figment_pci_driver);
	if (ret)
		destroy_workqueue(figment_cleanup_wq);
	return ret;
}

static void __exit figment_exit(void)
{
	pci_unregister_driver(&figment_pci_driver);
	/* No file is open, but jobs may still wait for fences of others. */
	wait_var_event(&figment_live, !atomic_read(&figment_live));
	destroy_workqueue(figment_cleanup_wq);
}

module_init(figment_init);
module_exit(figment_exit);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_DESCRIPTION("DRM driver for Figment, a virtual GPU");
MODULE_AUTHOR("The Figment authors");
MODULE_LICENSE("Dual MIT/GPL");
