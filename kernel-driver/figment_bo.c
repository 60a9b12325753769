// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers. In system memory they are shmem, from the first mapping on with all
 * pages present, and never move. In VRAM they are blocks of a buddy allocator, cleared
 * before user space gets to see them, which others may take away (figment_eviction.c,
 * figment_export.c). Those of others are where their exporter has them (figment_import.c).
 * No fence is of interest to a buffer but those of the VMs that have it: memory is given
 * back when the last mapping is gone from page tables and TLB.
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/highmem.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/scatterlist.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>
#include <drm/figment_drm.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_eviction.h"
#include "figment_export.h"
#include "figment_import.h"

/* Between two looks whether a buffer that is being freed is gone. */
#define FIGMENT_BO_FREE_US	1000

/* Bytes of VRAM that a fault maps at most. */
#define FIGMENT_FAULT_AROUND	SZ_256K

/** figment_bo_track() - Let an unplug find a buffer that is mapped for DMA. */
void figment_bo_track(struct figment_bo *bo)
{
	struct figment_device *fdev = to_figment_device(bo->shmem.base.dev);

	guard(mutex)(&fdev->bos.lock);
	list_add_tail(&bo->device_link, &fdev->bos.list);
}

/** figment_bo_untrack() - It is about to be freed. */
void figment_bo_untrack(struct figment_bo *bo)
{
	struct figment_device *fdev = to_figment_device(bo->shmem.base.dev);

	guard(mutex)(&fdev->bos.lock);
	list_del_init(&bo->device_link);
}

/** figment_bo_status() - &drm_gem_object_funcs.status. */
enum drm_gem_object_status figment_bo_status(struct drm_gem_object *obj)
{
	struct figment_bo *bo = to_figment_bo(obj);

	if (bo->vram)
		return list_empty(&bo->blocks) ? 0 : DRM_GEM_OBJECT_RESIDENT;
	if (bo->attach)
		return READ_ONCE(bo->sgt) ? DRM_GEM_OBJECT_RESIDENT : 0;
	return READ_ONCE(bo->shmem.pages) ? DRM_GEM_OBJECT_RESIDENT : 0;
}

/* --- system memory ------------------------------------------------------- */

static void figment_bo_free(struct drm_gem_object *obj)
{
	struct figment_bo *bo = to_figment_bo(obj);

	figment_bo_untrack(bo);
	drm_gem_shmem_object_free(obj);
}

static const struct drm_gem_object_funcs figment_bo_funcs = {
	.free = figment_bo_free,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = drm_gem_shmem_object_mmap,
	.status = figment_bo_status,
	.vm_ops = &drm_gem_shmem_vm_ops,
};

/**
 * figment_bo_alloc() - &drm_driver.gem_create_object: the shell of a buffer.
 * @drm: the device
 * @size: unused
 *
 * Return: the object, or an ERR_PTR.
 */
struct drm_gem_object *figment_bo_alloc(struct drm_device *drm, size_t size)
{
	struct figment_bo *bo = kzalloc_obj(*bo);

	if (!bo)
		return ERR_PTR(-ENOMEM);

	INIT_LIST_HEAD(&bo->blocks);
	init_rwsem(&bo->move);
	INIT_LIST_HEAD(&bo->vram_link);
	INIT_LIST_HEAD(&bo->device_link);
	/* Set early: the object may be freed before it is tracked. */
	bo->shmem.base.dev = drm;
	bo->shmem.base.funcs = &figment_bo_funcs;
	return &bo->shmem.base;
}

/* --- VRAM ---------------------------------------------------------------- */

/**
 * figment_vram_enter() - A CPU is about to use VRAM: wait until it answers.
 * @fdev: the device
 *
 * Before a lock that is needed to make a fence signal. figment_vram_exit() must follow.
 */
void figment_vram_enter(struct figment_device *fdev)
{
	down_read(&fdev->vram.access);
	while (fdev->vram.closed) {
		up_read(&fdev->vram.access);
		wait_event(fdev->vram.wait, !READ_ONCE(fdev->vram.closed));
		down_read(&fdev->vram.access);
	}
}

/** figment_vram_exit() - After figment_vram_enter(). */
void figment_vram_exit(struct figment_device *fdev)
{
	up_read(&fdev->vram.access);
}

/**
 * figment_vram_close() - The BAR is about not to answer: keep all CPUs from it.
 * @fdev: the device
 *
 * What user space writes then would be lost. Its next access waits for
 * figment_vram_open().
 */
void figment_vram_close(struct figment_device *fdev)
{
	scoped_guard(rwsem_write, &fdev->vram.access)
		WRITE_ONCE(fdev->vram.closed, true);
	unmap_mapping_range(fdev->drm.anon_inode->i_mapping, 0, 0, 1);
}

/** figment_vram_open() - It answers again. */
void figment_vram_open(struct figment_device *fdev)
{
	scoped_guard(rwsem_write, &fdev->vram.access)
		WRITE_ONCE(fdev->vram.closed, false);
	wake_up_all(&fdev->vram.wait);
}

/* With the buffer in VRAM, and the lock that keeps it there. */
static vm_fault_t figment_bo_vram_insert(struct vm_fault *vmf, struct figment_bo *bo)
{
	struct vm_area_struct *vma = vmf->vma;
	struct drm_gem_object *obj = &bo->shmem.base;
	struct figment_device *fdev = to_figment_device(obj->dev);
	u64 offset = (u64)(vmf->pgoff - drm_vma_node_start(&obj->vma_node)) << PAGE_SHIFT;
	struct gpu_buddy_block *block;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long address, end;

	figment_vram_enter(fdev);
	list_for_each_entry(block, &bo->blocks, link) {
		u64 bytes = gpu_buddy_block_size(&fdev->vram.mm, block);
		u64 pfn;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}

		/* The page, and what follows: it is as good as asked for. */
		pfn = PHYS_PFN(fdev->vram.base + gpu_buddy_block_offset(block) + offset);
		end = min3(vmf->address + min(bytes - offset, (u64)FIGMENT_FAULT_AROUND),
			   ALIGN(vmf->address + 1, FIGMENT_FAULT_AROUND), vma->vm_end);
		for (address = vmf->address; address < end; address += PAGE_SIZE) {
			vm_fault_t err = vmf_insert_pfn(vma, address, pfn++);

			if (address == vmf->address)
				ret = err;
			if (err & VM_FAULT_ERROR)
				break;
		}
		break;
	}
	figment_vram_exit(fdev);
	return ret;
}

static vm_fault_t figment_bo_vram_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *obj = vmf->vma->vm_private_data;
	struct figment_bo *bo = to_figment_bo(obj);
	vm_fault_t fault = VM_FAULT_SIGBUS;
	int idx, ret = 0;

	down_read(&bo->move);
	while (!ret && list_empty(&bo->blocks)) {
		up_read(&bo->move);
		ret = figment_bo_bring_home(bo);
		down_read(&bo->move);
	}
	/* After an unplug there is nothing that could be shown. */
	if (!ret && drm_dev_enter(obj->dev, &idx)) {
		fault = figment_bo_vram_insert(vmf, bo);
		drm_dev_exit(idx);
	} else if (ret == -ENOMEM) {
		fault = VM_FAULT_OOM;
	}
	up_read(&bo->move);
	return fault;
}

static const struct vm_operations_struct figment_bo_vram_vm_ops = {
	.fault = figment_bo_vram_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static int figment_bo_vram_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (vma_is_cow_mapping(vma))
		return -EINVAL;

	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_writecombine(vm_get_page_prot(vma->vm_flags));
	return 0;
}

static void figment_bo_vram_free(struct drm_gem_object *obj)
{
	struct figment_bo *bo = to_figment_bo(obj);

	figment_bo_displace(bo);
	drm_gem_object_release(obj);
	kfree(bo);
}

static const struct drm_gem_object_funcs figment_bo_vram_funcs = {
	.free = figment_bo_vram_free,
	.export = figment_export,
	.mmap = figment_bo_vram_mmap,
	.status = figment_bo_status,
	.vm_ops = &figment_bo_vram_vm_ops,
};

static int figment_bo_vram_clear(struct figment_device *fdev, struct figment_bo *bo)
{
	struct gpu_buddy_block *block;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;

	list_for_each_entry(block, &bo->blocks, link) {
		u64 bytes = gpu_buddy_block_size(&fdev->vram.mm, block);
		u64 at = gpu_buddy_block_offset(block);

		while (bytes) {
			u64 step = min_t(u64, bytes, SZ_2M);

			figment_vram_enter(fdev);
			memset_io(fdev->vram.map + at, 0, step);
			figment_vram_exit(fdev);
			at += step;
			bytes -= step;
			cond_resched();
		}
	}

	drm_dev_exit(idx);
	return 0;
}

static struct drm_gem_object *figment_bo_create_vram(struct figment_device *fdev, u64 size)
{
	struct drm_gem_object *obj;
	struct figment_bo *bo;
	int ret;

	if (size > fdev->info.vram_bytes)
		return ERR_PTR(-ENOSPC);

	obj = figment_bo_alloc(&fdev->drm, size);
	if (IS_ERR(obj))
		return obj;

	bo = to_figment_bo(obj);
	bo->vram = true;
	obj->funcs = &figment_bo_vram_funcs;
	/* The file is where it goes when it is evicted. */
	ret = drm_gem_object_init(&fdev->drm, obj, size);
	if (ret)
		goto put;
	/* Whoever has not enough of it gets an error, and nobody is killed for it. */
	mapping_set_gfp_mask(obj->filp->f_mapping,
			     GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	ret = figment_bo_place(bo);
	if (ret)
		goto put;

	ret = figment_bo_vram_clear(fdev, bo);
	if (ret)
		goto put;

	ret = drm_gem_create_mmap_offset(obj);
	if (ret)
		goto put;
	figment_bo_offer(bo);
	return obj;

put:
	drm_gem_object_put(obj);
	return ERR_PTR(ret);
}

/* --- all of them --------------------------------------------------------- */

static struct drm_gem_object *figment_bo_create_system(struct figment_device *fdev, u64 size)
{
	struct drm_gem_shmem_object *shmem;

	/* More than there is could never be made present; say so now. */
	if (size >> PAGE_SHIFT > totalram_pages())
		return ERR_PTR(-ENOMEM);

	shmem = drm_gem_shmem_create(&fdev->drm, size);
	if (IS_ERR(shmem))
		return ERR_CAST(shmem);

	figment_bo_track(to_figment_bo(&shmem->base));
	return &shmem->base;
}

/** figment_bo_create_ioctl() - DRM_IOCTL_FIGMENT_BO_CREATE. */
int figment_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct figment_device *fdev = to_figment_device(drm);
	struct drm_figment_bo_create *args = data;
	struct drm_gem_object *obj;
	u64 size;
	int ret;

	if (args->flags & ~DRM_FIGMENT_BO_VRAM || !args->size)
		return -EINVAL;
	if (check_add_overflow(args->size, (u64)PAGE_SIZE - 1, &size))
		return -EINVAL;
	size &= PAGE_MASK;
	if (figment_device_wedged(fdev))
		return -ENODEV;

	if (args->flags & DRM_FIGMENT_BO_VRAM)
		obj = figment_bo_create_vram(fdev, size);
	else
		obj = figment_bo_create_system(fdev, size);
	if (IS_ERR(obj))
		return PTR_ERR(obj);

	ret = drm_gem_handle_create(file, obj, &args->handle);
	/* The handle holds it from now on. */
	drm_gem_object_put(obj);
	if (!ret)
		args->size = size;
	return ret;
}

/** figment_bo_mmap_offset_ioctl() - DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET. */
int figment_bo_mmap_offset_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_figment_bo_mmap_offset *args = data;

	if (args->pad)
		return -EINVAL;

	return drm_gem_dumb_map_offset(file, drm, args->handle, &args->offset);
}

/**
 * figment_bo_pin() - Make the pages of a buffer present and mapped for DMA.
 * @bo: the buffer, of any kind
 *
 * If it never moves it stays so until it is freed. Sleeps and allocates.
 *
 * Return: 0, or a negative errno.
 */
int figment_bo_pin(struct figment_bo *bo)
{
	struct sg_table *sgt;

	if (figment_bo_moves(bo) || READ_ONCE(bo->sgt))
		return 0;

	sgt = drm_gem_shmem_get_pages_sgt(&bo->shmem);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	/* Whoever comes second finds the same table. */
	WRITE_ONCE(bo->sgt, sgt);
	return 0;
}
ALLOW_ERROR_INJECTION(figment_bo_pin, ERRNO);

static void figment_bo_unmap_dma(struct figment_bo *bo)
{
	struct drm_gem_shmem_object *shmem = &bo->shmem;

	if (bo->attach) {
		figment_import_unplug(bo);
		return;
	}

	dma_resv_lock(shmem->base.resv, NULL);
	if (shmem->sgt) {
		__drm_gem_shmem_free_sgt_locked(shmem);
		drm_gem_shmem_put_pages_locked(shmem);
	}
	WRITE_ONCE(bo->sgt, NULL);
	dma_resv_unlock(shmem->base.resv);
}

/**
 * figment_bo_unplug_all() - Drop the DMA mappings of all buffers at unplug.
 * @fdev: the device, which is quiet and gets no new buffers
 *
 * The lock of the list is not held meanwhile: buffers are freed under locks that
 * are taken before it, mmap_lock for one.
 */
void figment_bo_unplug_all(struct figment_device *fdev)
{
	struct figment_bo *bo;
	LIST_HEAD(done);

	mutex_lock(&fdev->bos.lock);
	while ((bo = list_first_entry_or_null(&fdev->bos.list, struct figment_bo, device_link))) {
		if (!kref_get_unless_zero(&bo->shmem.base.refcount)) {
			/* It lets go by itself, and leaves the list then. */
			mutex_unlock(&fdev->bos.lock);
			fsleep(FIGMENT_BO_FREE_US);
			mutex_lock(&fdev->bos.lock);
			continue;
		}
		list_move_tail(&bo->device_link, &done);
		mutex_unlock(&fdev->bos.lock);
		figment_bo_unmap_dma(bo);
		drm_gem_object_put(&bo->shmem.base);
		mutex_lock(&fdev->bos.lock);
	}
	list_splice(&done, &fdev->bos.list);
	mutex_unlock(&fdev->bos.lock);
}

static int figment_bo_clip(u64 *offset, u64 *size, u64 address, u64 bytes,
			   figment_extent_fn fn, void *data)
{
	struct figment_extent extent;
	u64 skip = min(*offset, bytes);

	*offset -= skip;
	if (skip == bytes)
		return 0;

	extent.address = address + skip;
	extent.bytes = min(*size, bytes - skip);
	*size -= extent.bytes;
	return fn(data, &extent);
}

/**
 * figment_bo_visit() - Call a function for each contiguous piece.
 * @bo: the buffer, pinned
 * @offset: where to begin, whole pages
 * @size: bytes, whole pages, inside of the buffer
 * @fn: called in the order of offsets; ends the walk by returning an error
 * @data: for @fn
 *
 * Return: 0, or what @fn returned.
 */
int figment_bo_visit(struct figment_bo *bo, u64 offset, u64 size,
		     figment_extent_fn fn, void *data)
{
	struct figment_device *fdev = to_figment_device(bo->shmem.base.dev);
	struct gpu_buddy_block *block;
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	if (bo->vram) {
		list_for_each_entry(block, &bo->blocks, link) {
			ret = figment_bo_clip(&offset, &size, gpu_buddy_block_offset(block),
					      gpu_buddy_block_size(&fdev->vram.mm, block),
					      fn, data);
			if (ret || !size)
				return ret;
		}
		return 0;
	}

	for_each_sgtable_dma_sg(bo->sgt, sg, i) {
		ret = figment_bo_clip(&offset, &size, sg_dma_address(sg), sg_dma_len(sg),
				      fn, data);
		if (ret || !size)
			return ret;
	}
	return 0;
}

static size_t figment_bo_read_system(struct figment_bo *bo, u64 offset, void *to, size_t size)
{
	struct page **pages = READ_ONCE(bo->shmem.pages);
	size_t done = 0;

	if (!READ_ONCE(bo->sgt) || !pages)
		return 0;
	while (done < size) {
		u64 at = offset + done;
		size_t step = min_t(size_t, size - done, PAGE_SIZE - offset_in_page(at));

		memcpy_from_page(to + done, pages[at >> PAGE_SHIFT], offset_in_page(at), step);
		done += step;
	}
	return done;
}

static size_t figment_bo_read_vram(struct figment_bo *bo, u64 offset, void *to, size_t size)
{
	struct figment_device *fdev = to_figment_device(bo->shmem.base.dev);
	struct gpu_buddy_block *block;
	size_t done = 0;

	/* In the signalling path, which is not to wait for the BAR. */
	if (!down_read_trylock(&fdev->vram.access))
		return 0;
	list_for_each_entry(block, &bo->blocks, link) {
		u64 bytes = gpu_buddy_block_size(&fdev->vram.mm, block);
		size_t step;

		if (fdev->vram.closed)
			break;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		step = min_t(u64, size - done, bytes - offset);
		memcpy_fromio(to + done,
			      fdev->vram.map + gpu_buddy_block_offset(block) + offset, step);
		done += step;
		offset = 0;
		if (done == size)
			break;
	}
	up_read(&fdev->vram.access);
	return done;
}

/**
 * figment_bo_read() - Copy from a buffer, without waiting for anybody.
 * @bo: the buffer, mapped somewhere; the caller is inside drm_dev_enter()
 * @offset: where to begin
 * @to: where to
 * @size: bytes, inside of the buffer
 *
 * Return: bytes that were copied: fewer when it is imported, or when VRAM does not
 * answer at the moment.
 */
size_t figment_bo_read(struct figment_bo *bo, u64 offset, void *to, size_t size)
{
	return bo->vram ? figment_bo_read_vram(bo, offset, to, size) :
			  figment_bo_read_system(bo, offset, to, size);
}

/**
 * figment_bo_show_memory() - The memory part of fdinfo.
 * @p: where to print
 * @file: whose buffers
 */
void figment_bo_show_memory(struct drm_printer *p, struct drm_file *file)
{
	struct drm_memory_stats stats[2] = {};
	struct drm_gem_object *obj;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, obj, id) {
		struct drm_memory_stats *s = &stats[to_figment_bo(obj)->vram];

		if (drm_gem_object_is_shared_for_memory_stats(obj))
			s->shared += obj->size;
		else
			s->private += obj->size;
		if (figment_bo_status(obj) & DRM_GEM_OBJECT_RESIDENT)
			s->resident += obj->size;
	}
	spin_unlock(&file->table_lock);

	drm_print_memory_stats(p, &stats[0], DRM_GEM_OBJECT_RESIDENT, "memory");
	drm_print_memory_stats(p, &stats[1], DRM_GEM_OBJECT_RESIDENT, "vram");
}
