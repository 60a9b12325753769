/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_EXPORT_H
#define FIGMENT_EXPORT_H

struct dma_buf;
struct drm_device;
struct drm_gem_object;
struct figment_bo;

struct dma_buf *figment_export(struct drm_gem_object *obj, int flags);
struct drm_gem_object *figment_export_find(struct drm_device *drm, struct dma_buf *dma_buf);
int figment_export_revoke(struct figment_bo *bo);

#endif
