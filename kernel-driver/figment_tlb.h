/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_TLB_H
#define FIGMENT_TLB_H

#include <linux/types.h>

struct figment_device;

void figment_tlb_init(struct figment_device *fdev);
void figment_tlb_restart(struct figment_device *fdev);
u64 figment_tlb_issue_range(struct figment_device *fdev, u32 asid, u64 first, u64 last);
u64 figment_tlb_issue_asid(struct figment_device *fdev, u32 asid);
bool figment_tlb_is_done(struct figment_device *fdev, u64 seq);
void figment_tlb_wait(struct figment_device *fdev, u64 seq);
void figment_tlb_acknowledge(struct figment_device *fdev, u64 seq);

#endif
