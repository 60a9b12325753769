/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_COREDUMP_H
#define FIGMENT_COREDUMP_H

#include <linux/cleanup.h>
#include <linux/types.h>

struct figment_coredump;
struct figment_device;
struct figment_fence;
struct figment_queue;

int figment_coredump_init(struct figment_device *fdev);
struct figment_coredump *figment_coredump_begin(struct figment_queue *queue);
void figment_coredump_blame(struct figment_coredump *dump, struct figment_queue *queue,
			    struct figment_fence *guilty, int error, u32 code, u64 address);
void figment_coredump_end(struct figment_coredump *dump);

DEFINE_FREE(figment_coredump, struct figment_coredump *, if (_T) figment_coredump_end(_T))

#endif
