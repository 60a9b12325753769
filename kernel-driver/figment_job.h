/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_JOB_H
#define FIGMENT_JOB_H

struct drm_device;
struct drm_file;
struct drm_sched_backend_ops;

extern const struct drm_sched_backend_ops figment_job_sched_ops;

int figment_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif
