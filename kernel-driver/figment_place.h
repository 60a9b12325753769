/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_PLACE_H
#define FIGMENT_PLACE_H

#include <linux/types.h>

struct drm_device;
struct drm_file;
struct figment_vm;

void figment_place_init(struct figment_vm *vm);
void figment_place_fini(struct figment_vm *vm);
u32 figment_place_find(struct figment_vm *vm, u64 address, u64 *start, u64 *end);
int figment_vm_place_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

#endif
