/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_USER_QUEUE_H
#define FIGMENT_USER_QUEUE_H

#include <linux/types.h>

struct drm_figment_queue_create;
struct drm_file;
struct figment_queue;
struct figment_user_queue;
struct vm_area_struct;

bool figment_user_queue_args_are_valid(const struct drm_figment_queue_create *args);
int figment_user_queue_init(struct figment_queue *queue,
			    const struct drm_figment_queue_create *args);
void figment_user_queue_enter(struct figment_queue *queue);
void figment_user_queue_unmap_dma(struct figment_queue *queue);
void figment_user_queue_revoke(struct figment_queue *queue);
void figment_user_queue_put(struct figment_user_queue *user);

void figment_user_queue_continue(struct figment_queue *queue);
void figment_user_queue_fail(struct figment_queue *queue, int error, u32 code, u64 address);
void figment_user_queue_lose(struct figment_queue *queue);
bool figment_user_queue_is_busy(struct figment_queue *queue);
u64 figment_user_queue_announced(struct figment_queue *queue);
bool figment_user_queue_has_drained(struct figment_queue *queue, u64 position);
void figment_user_queue_pending(struct figment_queue *queue, u64 *address, u64 *size);

u64 figment_user_queue_offset(struct figment_queue *queue);
bool figment_user_queue_has_offset(unsigned long pgoff);
int figment_user_queue_mmap(struct drm_file *file, struct vm_area_struct *vma);

#endif
