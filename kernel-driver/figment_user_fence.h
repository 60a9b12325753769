/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_USER_FENCE_H
#define FIGMENT_USER_FENCE_H

struct drm_device;
struct drm_file;
struct figment_device;

void figment_user_fence_wake(struct figment_device *fdev);
int figment_wait_user_fence_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif
