/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_EVICTION_H
#define FIGMENT_EVICTION_H

#include <linux/types.h>

#include <drm/drm_exec.h>

struct drm_gem_object;
struct figment_bo;
struct figment_device;
struct figment_vm;
struct seq_file;

/** struct figment_claim - Buffers that move, for a job or a bind: they are where they must be. */
struct figment_claim {
	/** @exec: Reservations of the VM and of @objects. */
	struct drm_exec exec;
	struct drm_gem_object **objects;
	u32 count;
	/** @own: @objects of a job, with references; or NULL. */
	struct drm_gem_object **own;
};

int figment_eviction_init(struct figment_device *fdev);
int figment_eviction_account(struct figment_device *fdev);
void figment_eviction_show(struct figment_device *fdev, struct seq_file *m);

int figment_bo_place(struct figment_bo *bo);
void figment_bo_offer(struct figment_bo *bo);
void figment_bo_displace(struct figment_bo *bo);
int figment_bo_leave(struct figment_bo *bo);
int figment_bo_bring_home(struct figment_bo *bo);
bool figment_bo_take_from_all(struct figment_bo *bo);

int figment_claim_begin(struct figment_claim *claim, struct figment_vm *vm,
			struct drm_gem_object **objects, u32 count, bool tolerant);
void figment_claim_settle(struct figment_vm *vm);
void figment_claim_end(struct figment_claim *claim);

bool figment_eviction_pending(struct figment_vm *vm);
bool figment_eviction_commit(struct figment_vm *vm, struct figment_claim *claim);
int figment_eviction_fault(struct figment_vm *vm, u64 address);

#endif
