/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_SYNC_H
#define FIGMENT_SYNC_H

#include <linux/types.h>

struct dma_fence;
struct dma_fence_chain;
struct drm_figment_array;
struct drm_file;
struct drm_sched_job;
struct drm_syncobj;

/** struct figment_sync - A syncobj that a job will signal, with all that takes. */
struct figment_sync {
	struct drm_syncobj *syncobj;
	/** @chain: Preallocated link, for a timeline; else NULL. */
	struct dma_fence_chain *chain;
	u64 point;
};

/** struct figment_syncs - The syncobjs that a job will signal. */
struct figment_syncs {
	struct figment_sync *signal;
	u32 count;
};

int figment_array_copy(const struct drm_figment_array *array, u32 max, size_t size, void **out);
int figment_syncs_collect(struct figment_syncs *syncs, struct drm_file *file,
			  const struct drm_figment_array *array, struct drm_sched_job *job);
void figment_syncs_signal(struct figment_syncs *syncs, struct dma_fence *fence);
void figment_syncs_release(struct figment_syncs *syncs);

#endif
