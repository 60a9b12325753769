/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_BO_H
#define FIGMENT_BO_H

#include <linux/rwsem.h>

#include <drm/drm_gem_shmem_helper.h>

struct dma_buf;
struct dma_buf_attachment;
struct dmem_cgroup_pool_state;
struct drm_file;
struct drm_printer;
struct figment_device;
struct sg_table;

/** struct figment_bo - A buffer: in system memory, in VRAM, or imported. */
struct figment_bo {
	/** @shmem: Base; its GEM object is all that a VRAM buffer uses of it. */
	struct drm_gem_shmem_object shmem;
	/** @vram: True for VRAM; constant. */
	bool vram;
	/** @attach: Of an imported buffer, to its exporter; constant. Or NULL. */
	struct dma_buf_attachment *attach;
	/**
	 * @sgt: DMA addresses in system memory: from figment_bo_pin() on, constant then. Of an
	 * imported buffer: while it is mapped; under its reservation, or as long as entries of
	 * a VM point there, under its &figment_pt_space.lock.
	 */
	struct sg_table *sgt;
	/**
	 * @lost: Of an imported buffer: binds that are under way must not look at @sgt. Set under
	 * &figment_pt_space.lock of a VM, cleared under its reservation.
	 */
	bool lost;
	/**
	 * @exports: How often others have mapped it, for VRAM: not zero, and it is not there.
	 * Under its reservation, as what follows.
	 */
	u32 exports;
	/** @export_pages: Pages of the shmem file, while others have it mapped. */
	struct page **export_pages;
	/** @export_buf: Through this. */
	struct dma_buf *export_buf;
	/**
	 * @blocks: VRAM, in the order of offsets; empty: evicted, and the contents are in the
	 * shmem file of the object. Written under &figment_device.vram.moves and @move
	 * (write), filled again also under the reservation of the buffer; read under either of
	 * the two, or as long as entries of a VM point there, under its &figment_pt_space.lock.
	 */
	struct list_head blocks;
	/** @move: Read: by CPUs that are given @blocks. */
	struct rw_semaphore move;
	/** @pool: Whose account @blocks are on, or NULL; as @blocks. */
	struct dmem_cgroup_pool_state *pool;
	/** @held: Not to be evicted for the next one; under &figment_device.vram.moves. */
	u32 held;
	/** @vram_link: In &figment_device.vram.bos while it is in VRAM. */
	struct list_head vram_link;
	/** @device_link: In &figment_device.bos. */
	struct list_head device_link;
};

/** to_figment_bo() - The buffer of a GEM object. */
static inline struct figment_bo *to_figment_bo(struct drm_gem_object *obj)
{
	return container_of(to_drm_gem_shmem_obj(obj), struct figment_bo, shmem);
}

/** figment_bo_moves() - May it be taken from the VMs that have it, and come back? */
static inline bool figment_bo_moves(struct figment_bo *bo)
{
	return bo->vram || bo->attach;
}

/** struct figment_extent - A contiguous piece of a buffer. */
struct figment_extent {
	/** @address: Bus address, or offset in VRAM. */
	u64 address;
	/** @bytes: Size, whole pages. */
	u64 bytes;
};

typedef int (*figment_extent_fn)(void *data, const struct figment_extent *extent);

int figment_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int figment_bo_mmap_offset_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
struct drm_gem_object *figment_bo_alloc(struct drm_device *drm, size_t size);
void figment_bo_track(struct figment_bo *bo);
void figment_bo_untrack(struct figment_bo *bo);
enum drm_gem_object_status figment_bo_status(struct drm_gem_object *obj);
int figment_bo_pin(struct figment_bo *bo);
void figment_bo_unplug_all(struct figment_device *fdev);
int figment_bo_visit(struct figment_bo *bo, u64 offset, u64 size,
		     figment_extent_fn fn, void *data);
size_t figment_bo_read(struct figment_bo *bo, u64 offset, void *to, size_t size);
void figment_vram_enter(struct figment_device *fdev);
void figment_vram_exit(struct figment_device *fdev);
void figment_vram_close(struct figment_device *fdev);
void figment_vram_open(struct figment_device *fdev);
void figment_bo_show_memory(struct drm_printer *p, struct drm_file *file);

#endif
