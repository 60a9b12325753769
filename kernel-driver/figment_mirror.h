/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_MIRROR_H
#define FIGMENT_MIRROR_H

#include <linux/types.h>

struct figment_pt_flush;
struct figment_vm;

int figment_mirror_init(struct figment_vm *vm, bool on);
void figment_mirror_fini(struct figment_vm *vm);
void figment_mirror_unplug(struct figment_vm *vm);
int figment_mirror_fault(struct figment_vm *vm, u64 address, bool write,
			 unsigned long ahead, u64 *answered);
void figment_mirror_yield(struct figment_vm *vm, u64 address, u64 size,
			  struct figment_pt_flush *flush);
void figment_mirror_forget(struct figment_vm *vm, u64 start, u64 end);
void figment_mirror_for_each(struct figment_vm *vm, bool (*fn)(void *data, u64 first, u64 last),
			     void *data);
int figment_mirror_use_vram(struct figment_vm *vm);
u64 figment_mirror_vram_bytes(struct figment_vm *vm);
int figment_mirror_move(struct figment_vm *vm, u64 start, u64 end, bool vram, u64 *moved);

#endif
