// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers of others. One is mapped for DMA from the first bind or job that needs it until
 * its exporter moves it (invalidate_mappings). To the VMs that have it that is what an eviction
 * is to those of a buffer in VRAM, and done by the same hands: no job begins, those under way
 * end or are put aside, then entries and TLB, and then the mapping for DMA. The next job maps it
 * where it is by then.
 *
 * All of it happens under the reservation of the buffer, which is the exporter's: while
 * we have it the buffer does not move.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/error-injection.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_prime.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_eviction.h"
#include "figment_export.h"
#include "figment_import.h"

static struct figment_device *figment_import_device(struct figment_bo *bo)
{
	return to_figment_device(bo->shmem.base.dev);
}

/* No VM has it any more. */
static void figment_import_unmap(struct figment_bo *bo)
{
	dma_resv_assert_held(bo->shmem.base.resv);

	if (bo->sgt)
		dma_buf_unmap_attachment(bo->attach, bo->sgt, DMA_BIDIRECTIONAL);
	WRITE_ONCE(bo->sgt, NULL);
}

static void figment_import_invalidate(struct dma_buf_attachment *attach)
{
	struct figment_bo *bo = attach->importer_priv;

	dma_resv_assert_held(bo->shmem.base.resv);
	if (!bo->sgt)
		return;

	/* From here on no VM writes entries for it: that takes the reservation. */
	figment_bo_take_from_all(bo);
	figment_import_unmap(bo);
	atomic64_inc(&figment_import_device(bo)->bos.invalidations);
}

static const struct dma_buf_attach_ops figment_import_attach_ops = {
	/* What is no memory of the system may be out of reach: see figment_export.c. */
	.allow_peer2peer = false,
	.invalidate_mappings = figment_import_invalidate,
};

/* Whole pages, as many as the object has? Page tables rely on that. */
static bool figment_import_is_whole(struct drm_gem_object *obj, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;
	u64 bytes = 0;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!PAGE_ALIGNED(sg_dma_address(sg)) || !PAGE_ALIGNED(sg_dma_len(sg)))
			return false;
		bytes += sg_dma_len(sg);
	}
	return bytes >= obj->size;
}

/**
 * figment_import_map() - Have a buffer mapped for DMA where it is now.
 * @bo: the buffer, imported, with its reservation
 *
 * It stays so until the reservation is given up, at least. The exporter may have to move
 * it first, and wait for fences.
 *
 * Return: 0; -ENODEV: the device is unplugged; -EIO: that of the exporter is; -EINVAL: it is
 * not what the exporter has promised; else what the exporter says.
 */
int figment_import_map(struct figment_bo *bo)
{
	struct drm_gem_object *obj = &bo->shmem.base;
	struct sg_table *sgt;
	long ret;

	dma_resv_assert_held(obj->resv);
	if (bo->sgt)
		return 0;
	/* Either an unplug finds it mapped, or we find the device unplugged. */
	if (drm_dev_is_unplugged(obj->dev))
		return -ENODEV;

	sgt = dma_buf_map_attachment(bo->attach, DMA_BIDIRECTIONAL);
	/* Not ours, which is there. */
	if (IS_ERR(sgt))
		return PTR_ERR(sgt) == -ENODEV ? -EIO : PTR_ERR(sgt);
	ret = figment_import_is_whole(obj, sgt) ? 0 : -EINVAL;
	/* An exporter may still be copying. */
	if (!ret)
		ret = dma_resv_wait_timeout(obj->resv, DMA_RESV_USAGE_KERNEL, true,
					    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0) {
		dma_buf_unmap_attachment(bo->attach, sgt, DMA_BIDIRECTIONAL);
		return ret;
	}
	bo->lost = false;
	WRITE_ONCE(bo->sgt, sgt);
	return 0;
}
ALLOW_ERROR_INJECTION(figment_import_map, ERRNO);

/** figment_import_unplug() - Unmap a buffer from a device that is unplugged and quiet. */
void figment_import_unplug(struct figment_bo *bo)
{
	dma_resv_lock(bo->shmem.base.resv, NULL);
	figment_import_unmap(bo);
	dma_resv_unlock(bo->shmem.base.resv);
}

static void figment_import_free(struct drm_gem_object *obj)
{
	struct figment_bo *bo = to_figment_bo(obj);

	dma_resv_lock(obj->resv, NULL);
	figment_import_unmap(bo);
	dma_resv_unlock(obj->resv);
	/* An unplug waits until here. */
	figment_bo_untrack(bo);
	drm_prime_gem_destroy(obj, NULL);
	drm_gem_object_release(obj);
	kfree(bo);
}

static const struct drm_gem_object_funcs figment_import_funcs = {
	.free = figment_import_free,
	.status = figment_bo_status,
};

static struct drm_gem_object *figment_import_attach(struct drm_device *drm,
						    struct dma_buf *dma_buf)
{
	struct dma_buf_attachment *attach;
	u64 size = PAGE_ALIGN(dma_buf->size);
	struct drm_gem_object *obj;
	struct figment_bo *bo;

	obj = figment_bo_alloc(drm, size);
	if (IS_ERR(obj))
		return obj;
	bo = to_figment_bo(obj);
	obj->funcs = &figment_import_funcs;
	obj->resv = dma_buf->resv;
	drm_gem_private_object_init(drm, obj, size);

	attach = dma_buf_dynamic_attach(dma_buf, drm->dev, &figment_import_attach_ops, bo);
	if (IS_ERR(attach)) {
		drm_gem_private_object_fini(obj);
		kfree(bo);
		return ERR_CAST(attach);
	}
	/* Dropped by drm_prime_gem_destroy(). */
	get_dma_buf(dma_buf);
	bo->attach = attach;
	obj->import_attach = attach;
	figment_bo_track(bo);
	return obj;
}

/**
 * figment_import() - &drm_driver.gem_prime_import: the object for a dma-buf.
 * @drm: the device
 * @dma_buf: maybe one of ours
 *
 * Return: the object with a reference, or an ERR_PTR.
 */
struct drm_gem_object *figment_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drm_gem_object *obj;
	int idx;

	if (drm_gem_is_prime_exported_dma_buf(drm, dma_buf))
		obj = dma_buf->priv;
	else
		obj = figment_export_find(drm, dma_buf);
	if (obj) {
		drm_gem_object_get(obj);
		return obj;
	}

	/* Either an unplug finds it, or it finds the device unplugged. */
	if (!drm_dev_enter(drm, &idx))
		return ERR_PTR(-ENODEV);
	obj = figment_import_attach(drm, dma_buf);
	drm_dev_exit(idx);
	return obj;
}
