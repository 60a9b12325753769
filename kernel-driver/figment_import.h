/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_IMPORT_H
#define FIGMENT_IMPORT_H

struct dma_buf;
struct drm_device;
struct drm_gem_object;
struct figment_bo;

struct drm_gem_object *figment_import(struct drm_device *drm, struct dma_buf *dma_buf);
int figment_import_map(struct figment_bo *bo);
void figment_import_unplug(struct figment_bo *bo);

#endif
