/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_BIND_H
#define FIGMENT_BIND_H

struct drm_device;
struct drm_file;
struct drm_gpuva_op;
struct drm_sched_backend_ops;

extern const struct drm_sched_backend_ops figment_bind_sched_ops;

int figment_bind_step_map(struct drm_gpuva_op *op, void *priv);
int figment_bind_step_remap(struct drm_gpuva_op *op, void *priv);
int figment_bind_step_unmap(struct drm_gpuva_op *op, void *priv);

int figment_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif
