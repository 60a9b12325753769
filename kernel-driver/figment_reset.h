/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_RESET_H
#define FIGMENT_RESET_H

#include <linux/types.h>

struct figment_device;
struct figment_queue;

int figment_reset_init(struct figment_device *fdev);
void figment_reset_fini(struct figment_device *fdev);

void figment_device_set_root(struct figment_device *fdev, u32 asid, u64 root);
bool figment_device_open(struct figment_device *fdev);
bool figment_device_halt(struct figment_device *fdev);
void figment_device_wait_quiet(struct figment_device *fdev);

void figment_device_fail(struct figment_device *fdev, const char *why,
			 struct figment_queue *guilty);
void figment_device_gone(struct figment_device *fdev);
void figment_device_pause(struct figment_device *fdev);
void figment_device_unpause(struct figment_device *fdev);

#endif
