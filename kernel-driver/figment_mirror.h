/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_MIRROR_H
#define FIGMENT_MIRROR_H

#include <linux/types.h>

struct figment_pt_flush;
struct figment_vm;

int figment_mirror_init(struct figment_vm *vm, bool on);
void figment_mirror_fini(struct figment_vm *vm);
void figment_mirror_unplug(struct figment_vm *vm);
int figment_mirror_fault(struct figment_vm *vm, u64 address, bool write);
void figment_mirror_yield(struct figment_vm *vm, u64 address, u64 size,
			  struct figment_pt_flush *flush);

#endif
