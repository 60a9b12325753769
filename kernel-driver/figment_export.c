// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers for VRAM that other devices have, too. VRAM itself is out of their reach: whether
 * one device gets to the BAR of another depends on all that is between them. So the buffer
 * moves to system memory when somebody else maps it, and home to VRAM when a VM of ours
 * or a CPU wants it; then those who have it mapped are told (invalidate_mappings), and map
 * it anew when they need it again. Each has it in turns, and neither pins it.
 *
 * An importer that cannot be told would keep the buffer from its own device for ever: it is
 * refused. Buffers in system memory never move, and go the way of the helpers of DRM.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include <drm/drm_gem.h>
#include <drm/drm_prime.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_eviction.h"
#include "figment_export.h"

static struct figment_bo *figment_export_bo(struct dma_buf_attachment *attach)
{
	return to_figment_bo(attach->dmabuf->priv);
}

static int figment_export_attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	return attach->importer_ops && attach->importer_ops->invalidate_mappings ? 0 :
	       -EOPNOTSUPP;
}

/* For importers that do not hear of moves, and for those that do not want any. */
static int figment_export_pin(struct dma_buf_attachment *attach)
{
	return -EOPNOTSUPP;
}

static void figment_export_unpin(struct dma_buf_attachment *attach)
{
}

/* With the reservation of the buffer, as all that follows. */
static struct sg_table *figment_export_map(struct dma_buf_attachment *attach,
					   enum dma_data_direction dir)
{
	struct figment_bo *bo = figment_export_bo(attach);
	struct drm_gem_object *obj = &bo->shmem.base;
	struct page **pages;
	struct sg_table *sgt;
	int ret;

	ret = figment_bo_leave(bo);
	if (ret)
		return ERR_PTR(ret);
	if (!bo->exports) {
		pages = drm_gem_get_pages(obj);
		if (IS_ERR(pages))
			return ERR_CAST(pages);
		bo->export_pages = pages;
		/* Alive as long as it is mapped; without a handle the object forgets it. */
		bo->export_buf = attach->dmabuf;
	}
	bo->exports++;

	sgt = drm_prime_pages_to_sg(obj->dev, bo->export_pages, obj->size >> PAGE_SHIFT);
	if (!IS_ERR(sgt)) {
		ret = dma_map_sgtable(attach->dev, sgt, dir, 0);
		if (!ret)
			return sgt;
		sg_free_table(sgt);
		kfree(sgt);
		sgt = ERR_PTR(ret);
	}
	if (!--bo->exports)
		drm_gem_put_pages(obj, bo->export_pages, false, false);
	return sgt;
}

static void figment_export_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
				 enum dma_data_direction dir)
{
	struct figment_bo *bo = figment_export_bo(attach);

	dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
	if (!--bo->exports)
		drm_gem_put_pages(&bo->shmem.base, bo->export_pages, true, false);
}

static const struct dma_buf_ops figment_export_ops = {
	.attach = figment_export_attach,
	.pin = figment_export_pin,
	.unpin = figment_export_unpin,
	.map_dma_buf = figment_export_map,
	.unmap_dma_buf = figment_export_unmap,
	.release = drm_gem_dmabuf_release,
	.mmap = drm_gem_dmabuf_mmap,
};

/** figment_export() - &drm_gem_object_funcs.export of a buffer for VRAM. */
struct dma_buf *figment_export(struct drm_gem_object *obj, int flags)
{
	struct dma_buf *dma_buf = drm_gem_prime_export(obj, flags);

	if (!IS_ERR(dma_buf))
		dma_buf->ops = &figment_export_ops;
	return dma_buf;
}

/** figment_export_find() - The buffer for VRAM of @drm that a dma-buf is of; NULL: of none. */
struct drm_gem_object *figment_export_find(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drm_gem_object *obj = dma_buf->priv;

	return dma_buf->ops == &figment_export_ops && obj->dev == drm ? obj : NULL;
}

/**
 * figment_export_revoke() - Take a buffer from the other devices that have it mapped.
 * @bo: the buffer, for VRAM and not in it, with its reservation
 *
 * Waits for what they do with it, as long as fences take.
 *
 * Return: 0; -EBUSY: somebody keeps it all the same.
 */
int figment_export_revoke(struct figment_bo *bo)
{
	dma_resv_assert_held(bo->shmem.base.resv);
	if (!bo->exports)
		return 0;

	dma_buf_invalidate_mappings(bo->export_buf);
	dma_resv_wait_timeout(bo->shmem.base.resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	return bo->exports ? -EBUSY : 0;
}
