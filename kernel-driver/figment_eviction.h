/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_EVICTION_H
#define FIGMENT_EVICTION_H

#include <linux/types.h>

struct figment_bo;
struct figment_device;
struct figment_vm;
struct seq_file;

int figment_eviction_init(struct figment_device *fdev);
int figment_eviction_account(struct figment_device *fdev);
void figment_eviction_show(struct figment_device *fdev, struct seq_file *m);

int figment_bo_place(struct figment_bo *bo);
void figment_bo_offer(struct figment_bo *bo);
void figment_bo_displace(struct figment_bo *bo);
int figment_bo_hold(struct figment_bo *bo);
void figment_bo_release(struct figment_bo *bo);
int figment_bo_bring_home(struct figment_bo *bo);

int figment_eviction_restore(struct figment_vm *vm);
bool figment_eviction_pending(struct figment_vm *vm);
void figment_eviction_commit(struct figment_vm *vm);
void figment_eviction_end(struct figment_vm *vm);
int figment_eviction_fault(struct figment_vm *vm, u64 address);

#endif
