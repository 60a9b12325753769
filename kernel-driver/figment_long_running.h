/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_LONG_RUNNING_H
#define FIGMENT_LONG_RUNNING_H

#include <linux/types.h>

struct figment_queue;

int figment_long_running_submit(struct figment_queue *queue, u64 address, u64 size);

#endif
