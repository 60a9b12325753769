/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Userptrs whose notifier waits for the fences of the VM: what some strategies have in common. */
#ifndef FIGMENT_WATCHED_H
#define FIGMENT_WATCHED_H

#include <linux/types.h>

struct figment_userptr;
struct figment_vm;
struct mmu_interval_notifier;

int figment_watched_mark_dirty(struct figment_vm *vm, struct mmu_interval_notifier *notifier,
			       unsigned long seq, unsigned long start, unsigned long size,
			       void *owner);

/* For struct figment_strategy. */
int figment_watched_init(struct figment_userptr *userptr);
int figment_watched_pin(struct figment_userptr *userptr);
bool figment_watched_valid(struct figment_userptr *userptr);
void figment_watched_unmap_dma(struct figment_userptr *userptr);
void figment_watched_fini(struct figment_userptr *userptr);

#endif
