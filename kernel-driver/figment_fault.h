/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_FAULT_H
#define FIGMENT_FAULT_H

#include <linux/types.h>

struct figment_queue;
struct work_struct;

void figment_fault_report(struct figment_queue *queue, u64 address, u32 access);
void figment_fault_work(struct work_struct *work);

#endif
