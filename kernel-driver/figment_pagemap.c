// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory of processes in VRAM: pages that only the device can reach, "device private"
 * to the kernel. VRAM has struct pages for that, which stand for no address that a CPU
 * could use; in the page tables of the process they are like pages that are swapped
 * out, and a CPU that wants one gets a copy in system memory instead (drm_pagemap.c).
 *
 * An allocation is one block of VRAM for one chunk of a process: 4 KiB, 64 KiB or
 * 2 MiB, from the allocator that buffers come from, too. It belongs to the pages in
 * it, and goes with the last of them; that may be in an interrupt, so a work gives
 * the block back. All allocations are in a list, the one that the device has mapped
 * last at its end. What is at its front has to go when VRAM is full.
 *
 * The CPU copies, through the BAR. A processor that touches a page waits for the copy
 * without an end that user space could set: a copy engine is busy with jobs of user
 * space, for ever if they want to, and it is gone when the device is wedged. So pages
 * come home from a device that does nothing any more, as long as its BAR answers.
 *
 * A page is filled before anybody can reach it: with what was in system memory, or
 * with zeros.
 */
#include <linux/dma-direct.h>
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/delay.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_bo.h"
#include "figment_device.h"
#include "figment_pagemap.h"

/* Something that has just come is not evicted at once: jobs have to get somewhere. */
#define FIGMENT_STAY_MS		50
/* Evictions for one chunk at most: after that it stays in system memory. */
#define FIGMENT_EVICTIONS_MAX	64
/* Between two rounds at unplug, when a page was in use by somebody: at first, and at most. */
#define FIGMENT_UNPLUG_RETRY_MS		1
#define FIGMENT_UNPLUG_RETRY_MAX_MS	128

/** struct figment_pagemap - Of a VM: what it has in VRAM. */
struct figment_pagemap {
	struct drm_pagemap base;
	/** @bytes: Of all its allocations. */
	atomic64_t bytes;
};

/** struct figment_devmem - An allocation. */
struct figment_devmem {
	struct drm_pagemap_devmem base;
	/** @refs: Of its pages, all together, and of whoever evicts it. */
	struct kref refs;
	struct figment_device *fdev;
	/** @blocks: One block of VRAM. */
	struct list_head blocks;
	/** @offset: Where it is. */
	u64 offset;
	/** @start: Address in the process that it came from; it may have been moved since. */
	unsigned long start;
	/** @link: In &figment_device.pagemap.used or .freed; under the lock of .blocks. */
	struct list_head link;
	/** @gone: No page of it is in use; same lock. */
	bool gone;
	/** @stays: Not evicted before, in jiffies. */
	u64 stays;
	/** @pass: Newest round of evictions that has looked at it; same lock. */
	u64 pass;
};

static struct figment_pagemap *to_figment_pagemap(struct drm_pagemap *dpagemap)
{
	return container_of(dpagemap, struct figment_pagemap, base);
}

static struct figment_devmem *to_figment_devmem(struct drm_pagemap_devmem *devmem)
{
	return container_of(devmem, struct figment_devmem, base);
}

static struct figment_device *figment_pagemap_device(struct page *page)
{
	return container_of(page_pgmap(page), struct figment_device, pagemap.base);
}

static u64 figment_pagemap_offset(struct figment_device *fdev, struct page *page)
{
	return (u64)(page_to_pfn(page) - PHYS_PFN(fdev->pagemap.base.range.start)) << PAGE_SHIFT;
}

/* --- allocations ---------------------------------------------------------- */

static void figment_devmem_release(struct kref *refs)
{
	struct figment_devmem *mem = container_of(refs, struct figment_devmem, refs);
	struct figment_device *fdev = mem->fdev;

	scoped_guard(spinlock_irqsave, &fdev->pagemap.blocks.xa_lock)
		list_add_tail(&mem->link, &fdev->pagemap.freed);
	queue_work(figment_cleanup_wq, &fdev->pagemap.free);
}

static void figment_devmem_put(struct figment_devmem *mem)
{
	kref_put(&mem->refs, figment_devmem_release);
}

static void figment_pagemap_free_work(struct work_struct *work)
{
	struct figment_device *fdev = container_of(work, struct figment_device, pagemap.free);
	struct figment_devmem *mem, *next;
	LIST_HEAD(freed);

	scoped_guard(spinlock_irqsave, &fdev->pagemap.blocks.xa_lock)
		list_splice_init(&fdev->pagemap.freed, &freed);

	list_for_each_entry_safe(mem, next, &freed, link) {
		struct drm_pagemap *dpagemap = mem->base.dpagemap;

		xa_erase_irq(&fdev->pagemap.blocks, mem->offset >> PAGE_SHIFT);
		scoped_guard(mutex, &fdev->vram.lock)
			gpu_buddy_free_list(&fdev->vram.mm, &mem->blocks, 0);
		atomic64_sub(mem->base.size, &to_figment_pagemap(dpagemap)->bytes);
		mmdrop(mem->base.mm);
		kfree(mem);
		drm_pagemap_put(dpagemap);
	}
}

static int figment_devmem_alloc_block(struct figment_devmem *mem, u64 size)
{
	struct figment_device *fdev = mem->fdev;
	unsigned int evictions = 0;
	int ret;

	for (;;) {
		/* A power of two: so it is one block, and aligned to its size. */
		scoped_guard(mutex, &fdev->vram.lock)
			ret = gpu_buddy_alloc_blocks(&fdev->vram.mm, 0, fdev->info.vram_bytes,
						     size, size, &mem->blocks,
						     GPU_BUDDY_CONTIGUOUS_ALLOCATION);
		if (ret != -ENOSPC || evictions++ == FIGMENT_EVICTIONS_MAX ||
		    !figment_pagemap_make_room(fdev, false))
			return ret;
	}
}

/* --- copies --------------------------------------------------------------- */

/* The page of system memory that is mapped for DMA at an address. */
static struct page *figment_pagemap_system_page(struct figment_device *fdev, dma_addr_t address)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(fdev->drm.dev);
	phys_addr_t phys = domain ? iommu_iova_to_phys(domain, address) :
				    dma_to_phys(fdev->drm.dev, address);

	return pfn_to_page(PHYS_PFN(phys));
}

static void figment_pagemap_copy_page(struct figment_device *fdev, u64 offset,
				      struct page *system, bool to_vram)
{
	void *data = kmap_local_page(system);

	if (to_vram)
		memcpy_toio(fdev->vram.map + offset, data, PAGE_SIZE);
	else
		memcpy_fromio(data, fdev->vram.map + offset, PAGE_SIZE);
	kunmap_local(data);
}

static void figment_pagemap_copy(struct page *page, const struct drm_pagemap_addr *addr,
				 bool to_vram)
{
	struct figment_device *fdev = figment_pagemap_device(page);
	u64 offset = figment_pagemap_offset(fdev, page);
	u64 at, size = PAGE_SIZE << addr->order;

	figment_vram_enter(fdev);
	for (at = 0; at < size; at += PAGE_SIZE)
		figment_pagemap_copy_page(fdev, offset + at,
					  figment_pagemap_system_page(fdev, addr->addr + at),
					  to_vram);
	figment_vram_exit(fdev);
	atomic64_add(size >> PAGE_SHIFT,
		     to_vram ? &fdev->pagemap.to_vram : &fdev->pagemap.to_system);
}

/* What the process has never touched: zeros, whatever was there before. */
static void figment_pagemap_clear(struct page *page)
{
	struct figment_device *fdev = figment_pagemap_device(page);
	unsigned long pages = folio_nr_pages(page_folio(page));

	figment_vram_enter(fdev);
	memset_io(fdev->vram.map + figment_pagemap_offset(fdev, page), 0, pages * PAGE_SIZE);
	figment_vram_exit(fdev);
	atomic64_add(pages, &fdev->pagemap.to_vram);
}

static int figment_pagemap_copy_to_devmem(struct page **pages, struct drm_pagemap_addr *addr,
					  unsigned long count, struct dma_fence *fence)
{
	unsigned long i, n;

	for (i = 0; i < count; i += n) {
		n = 1;
		if (!pages[i])
			continue;
		if (addr[i].addr) {
			n = NR_PAGES(addr[i].order);
			figment_pagemap_copy(pages[i], &addr[i], true);
		} else {
			n = folio_nr_pages(page_folio(pages[i]));
			figment_pagemap_clear(pages[i]);
		}
		cond_resched();
	}
	return 0;
}

static int figment_pagemap_copy_to_ram(struct page **pages, struct drm_pagemap_addr *addr,
				       unsigned long count, struct dma_fence *fence)
{
	unsigned long i, n;

	for (i = 0; i < count; i += n) {
		n = 1;
		if (!pages[i] || !addr[i].addr)
			continue;
		n = NR_PAGES(addr[i].order);
		figment_pagemap_copy(pages[i], &addr[i], false);
		cond_resched();
	}
	return 0;
}

/* --- what drm_pagemap asks for -------------------------------------------- */

static void figment_pagemap_devmem_release(struct drm_pagemap_devmem *devmem)
{
	struct figment_devmem *mem = to_figment_devmem(devmem);

	scoped_guard(spinlock_irqsave, &mem->fdev->pagemap.blocks.xa_lock) {
		mem->gone = true;
		list_del_init(&mem->link);
	}
	figment_devmem_put(mem);
}

static int figment_pagemap_populate_pfn(struct drm_pagemap_devmem *devmem, unsigned long count,
					unsigned long *pfn)
{
	struct figment_devmem *mem = to_figment_devmem(devmem);
	unsigned long first = PHYS_PFN(mem->fdev->pagemap.base.range.start + mem->offset);
	unsigned long i;

	for (i = 0; i < count; i++)
		pfn[i] = first + i;
	return 0;
}

static const struct drm_pagemap_devmem_ops figment_devmem_ops = {
	.devmem_release = figment_pagemap_devmem_release,
	.populate_devmem_pfn = figment_pagemap_populate_pfn,
	.copy_to_devmem = figment_pagemap_copy_to_devmem,
	.copy_to_ram = figment_pagemap_copy_to_ram,
};

static struct figment_devmem *figment_devmem_alloc(struct figment_device *fdev,
						   struct drm_pagemap *dpagemap,
						   struct mm_struct *mm, u64 size)
{
	struct figment_devmem *mem = kzalloc_obj(*mem);
	struct gpu_buddy_block *block;
	int ret;

	if (!mem)
		return ERR_PTR(-ENOMEM);
	kref_init(&mem->refs);
	mem->fdev = fdev;
	INIT_LIST_HEAD(&mem->blocks);
	INIT_LIST_HEAD(&mem->link);

	ret = figment_devmem_alloc_block(mem, size);
	if (ret) {
		kfree(mem);
		return ERR_PTR(ret);
	}
	block = list_first_entry(&mem->blocks, struct gpu_buddy_block, link);
	mem->offset = gpu_buddy_block_offset(block);
	mem->base.size = size;
	ret = xa_err(xa_store_irq(&fdev->pagemap.blocks, mem->offset >> PAGE_SHIFT, mem,
				  GFP_KERNEL));
	if (ret) {
		scoped_guard(mutex, &fdev->vram.lock)
			gpu_buddy_free_list(&fdev->vram.mm, &mem->blocks, 0);
		kfree(mem);
		return ERR_PTR(ret);
	}

	/* Both until figment_pagemap_free_work(). */
	mmgrab(mm);
	drm_pagemap_get(dpagemap);
	drm_pagemap_devmem_init(&mem->base, fdev->drm.dev, mm, &figment_devmem_ops, dpagemap,
				size, NULL);
	atomic64_add(size, &to_figment_pagemap(dpagemap)->bytes);
	return mem;
}

/* &drm_pagemap_ops.populate_mm: from drm_pagemap_populate_mm(), with mmap_lock. */
static int figment_pagemap_populate_mm(struct drm_pagemap *dpagemap, unsigned long start,
				       unsigned long end, struct mm_struct *mm,
				       unsigned long timeslice_ms)
{
	struct drm_pagemap_migrate_details details = { .timeslice_ms = timeslice_ms };
	struct figment_device *fdev = to_figment_device(dpagemap->drm);
	struct figment_devmem *mem;
	int idx, ret;

	/* Whoever unplugs the device waits for us, and then finds all that there is. */
	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	if (figment_device_wedged(fdev)) {
		ret = -ENODEV;
		goto exit;
	}
	mem = figment_devmem_alloc(fdev, dpagemap, mm, end - start);
	ret = PTR_ERR_OR_ZERO(mem);
	if (ret)
		goto exit;

	mem->start = start;
	/* Dropped by figment_pagemap_devmem_release(), also after an error. */
	kref_get(&mem->refs);
	ret = drm_pagemap_migrate_to_devmem(&mem->base, mm, start, end, &details);
	mem->stays = get_jiffies_64() + msecs_to_jiffies(timeslice_ms ? FIGMENT_STAY_MS : 0);
	scoped_guard(spinlock_irqsave, &fdev->pagemap.blocks.xa_lock)
		if (!mem->gone)
			list_add_tail(&mem->link, &fdev->pagemap.used);
	figment_devmem_put(mem);
exit:
	drm_dev_exit(idx);
	return ret;
}

/* The allocation that a page of VRAM, which somebody uses, is in. */
static struct figment_devmem *figment_pagemap_find(struct figment_device *fdev, u64 offset)
{
	static const u64 sizes[] = { SZ_2M, SZ_64K, SZ_4K };
	struct figment_devmem *mem;
	unsigned int i;

	lockdep_assert_held(&fdev->pagemap.blocks.xa_lock);

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 start = ALIGN_DOWN(offset, sizes[i]);

		mem = xa_load(&fdev->pagemap.blocks, start >> PAGE_SHIFT);
		if (mem && offset < start + mem->base.size)
			return mem;
	}
	return NULL;
}

/* &drm_pagemap_ops.device_map: where the device finds a page; notifiers are locked out. */
static struct drm_pagemap_addr figment_pagemap_device_map(struct drm_pagemap *dpagemap,
							  struct device *dev, struct page *page,
							  unsigned int order,
							  enum dma_data_direction dir)
{
	struct figment_device *fdev = figment_pagemap_device(page);
	u64 offset = figment_pagemap_offset(fdev, page);
	struct figment_devmem *mem;

	/* Another device is no owner of the page: the kernel brings it home first. */
	if (drm_WARN_ON_ONCE(&fdev->drm, dev != fdev->drm.dev))
		return drm_pagemap_addr_encode(DMA_MAPPING_ERROR, FIGMENT_INTERCONNECT_VRAM,
					       order, dir);

	scoped_guard(spinlock_irqsave, &fdev->pagemap.blocks.xa_lock) {
		mem = figment_pagemap_find(fdev, offset);
		if (mem && !mem->gone && !list_empty(&mem->link))
			list_move_tail(&mem->link, &fdev->pagemap.used);
	}
	return drm_pagemap_addr_encode(offset, FIGMENT_INTERCONNECT_VRAM, order, dir);
}

static void figment_pagemap_free(struct drm_pagemap *dpagemap, bool is_atomic_or_reclaim)
{
	kfree(to_figment_pagemap(dpagemap));
}

static const struct drm_pagemap_ops figment_pagemap_ops = {
	.device_map = figment_pagemap_device_map,
	.populate_mm = figment_pagemap_populate_mm,
	.destroy = figment_pagemap_free,
};

/* --- a CPU wants a page ----------------------------------------------------- */

/*
 * &dev_pagemap_ops.migrate_to_ram. The lock and the reference that the kernel has taken are
 * those of the folio, whichever page of it the CPU wants; so say that they are of its first page.
 *
 * The folio may have to be split for the migration (a CPU has entries of 4 KiB for it). Lock
 * and reference go to the part that has the page then, but migrate_vma_collect_pmd() of Linux 7.3
 * does not notice when that is another than before: it takes the first part for locked, which
 * it is not, and the unlocking of what is not locked leaves it locked for ever.
 */
static vm_fault_t figment_pagemap_migrate_to_ram(struct vm_fault *vmf)
{
	vmf->page = folio_page(page_folio(vmf->page), 0);
	return drm_pagemap_pagemap_ops_get()->migrate_to_ram(vmf);
}

/* --- eviction ------------------------------------------------------------- */

/*
 * A page in system memory for each one that is on its way out of VRAM, with its data. As
 * large as that: without its process nobody can split a huge page that is unmapped.
 */
static int figment_devmem_fill_orphans(struct figment_devmem *mem, const unsigned long *src,
				       unsigned long *dst, unsigned long count)
{
	struct figment_device *fdev = mem->fdev;
	struct folio *from, *to;
	unsigned long i, j, n;

	for (i = 0; i < count; i += n) {
		unsigned int order;

		n = 1;
		if (!(src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		from = page_folio(migrate_pfn_to_page(src[i]));
		order = folio_order(from);
		n = NR_PAGES(order);
		/* It has been copied before, and only waits to be freed. */
		if ((unsigned long)folio_zone_device_data(from) & DRM_PAGEMAP_ZDD_FLAG_MIGRATED)
			continue;

		to = folio_alloc(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | __GFP_RETRY_MAYFAIL, order);
		if (!to)
			return -ENOMEM;
		folio_lock(to);
		dst[i] = migrate_pfn(folio_pfn(to)) | (order ? MIGRATE_PFN_COMPOUND : 0);
		figment_vram_enter(fdev);
		for (j = 0; j < n; j++)
			figment_pagemap_copy_page(fdev, figment_pagemap_offset(fdev, &from->page) +
						  j * PAGE_SIZE, folio_page(to, j), false);
		figment_vram_exit(fdev);
		atomic64_add(n, &fdev->pagemap.to_system);
	}
	return 0;
}

/* What has a copy in system memory is not to be moved again by whoever comes next. */
static void figment_devmem_retire(const unsigned long *src, unsigned long count)
{
	unsigned long i, n, data;

	for (i = 0; i < count; i += n) {
		struct page *page = migrate_pfn_to_page(src[i]);
		struct folio *folio;

		n = 1;
		if (!page)
			continue;
		folio = page_folio(page);
		n = folio_nr_pages(folio);
		if (!(src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		data = (unsigned long)folio_zone_device_data(folio);
		folio_set_zone_device_data(folio, (void *)(data | DRM_PAGEMAP_ZDD_FLAG_MIGRATED));
	}
}

/*
 * The process that the memory was of has gone, but a child has inherited pages of it; or
 * there was no huge page for one, for which drm_pagemap does not try hard. As
 * drm_pagemap_evict_to_ram(), which needs the process.
 */
static int figment_devmem_evict_orphans(struct figment_devmem *mem)
{
	unsigned long i, count = mem->base.size >> PAGE_SHIFT;
	unsigned long *src, *dst;
	int ret;

	src = kvcalloc(count, 2 * sizeof(*src), GFP_KERNEL);
	if (!src)
		return -ENOMEM;
	dst = src + count;

	figment_pagemap_populate_pfn(&mem->base, count, src);
	migrate_device_pfns(src, count);
	ret = figment_devmem_fill_orphans(mem, src, dst, count);
	for (i = 0; ret && i < count; i++) {
		struct page *page = migrate_pfn_to_page(dst[i]);

		if (!page)
			continue;
		folio_unlock(page_folio(page));
		folio_put(page_folio(page));
		dst[i] = 0;
	}
	migrate_device_pages(src, dst, count);
	figment_devmem_retire(src, count);
	migrate_device_finalize(src, dst, count);
	kvfree(src);

	if (!ret && !completion_done(&mem->base.detached))
		ret = -EBUSY;
	return ret;
}

/*
 * As if the process had touched the memory: where system memory is in pieces, the kernel
 * can split a huge page for a process alone.
 */
static int figment_devmem_fault_home(struct figment_devmem *mem)
{
	struct mm_struct *mm = mem->base.mm;
	bool unlocked = false;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	if (!mmap_read_lock_killable(mm)) {
		fixup_user_fault(mm, mem->start, 0, &unlocked);
		mmap_read_unlock(mm);
	}
	mmput_async(mm);
	return completion_done(&mem->base.detached) ? 0 : -EBUSY;
}

/*
 * Bring all pages of an allocation home; with @force, which takes mmap_lock, by all means.
 * Returns 0, or an errno: some are in use.
 */
static int figment_devmem_evict(struct figment_devmem *mem, bool force)
{
	int ret = drm_pagemap_evict_to_ram(&mem->base);

	if (ret == -EFAULT || ret == -EBUSY || ret == -ENOMEM)
		ret = figment_devmem_evict_orphans(mem);
	if (ret && force)
		ret = figment_devmem_fault_home(mem);
	if (!ret)
		atomic64_inc(&mem->fdev->pagemap.evictions);
	return ret;
}

/*
 * The allocation that was not used for longest and that this round has not seen, with a
 * reference. Of one VM only, if @dpagemap says so; with @force also what has just come.
 */
static struct figment_devmem *figment_pagemap_pick(struct figment_device *fdev,
						   const struct drm_pagemap *dpagemap,
						   bool force, u64 pass)
{
	u64 now = get_jiffies_64();
	struct figment_devmem *mem;

	guard(spinlock_irqsave)(&fdev->pagemap.blocks.xa_lock);
	list_for_each_entry(mem, &fdev->pagemap.used, link) {
		if (mem->pass >= pass || (dpagemap && mem->base.dpagemap != dpagemap) ||
		    (!force && time_before64(now, mem->stays)))
			continue;
		mem->pass = pass;
		/* It is in the list, so its pages hold one. */
		kref_get(&mem->refs);
		return mem;
	}
	return NULL;
}

static bool figment_pagemap_is_empty(struct figment_device *fdev)
{
	guard(spinlock_irqsave)(&fdev->pagemap.blocks.xa_lock);
	return list_empty(&fdev->pagemap.used);
}

/* Evict what there is, or what there is of a VM. */
static void figment_pagemap_evict_all(struct figment_device *fdev,
				      const struct drm_pagemap *dpagemap)
{
	u64 pass = atomic64_inc_return(&fdev->pagemap.passes);
	struct figment_devmem *mem;

	while ((mem = figment_pagemap_pick(fdev, dpagemap, true, pass))) {
		figment_devmem_evict(mem, true);
		figment_devmem_put(mem);
		cond_resched();
	}
}

/**
 * figment_pagemap_make_room() - Have VRAM back that processes use.
 * @fdev: the device
 * @force: also what has come just now
 *
 * Evicts one allocation, the one that the device has not mapped for longest. Sleeps
 * and allocates; the mmap_lock of a process may be held, for reading, so no other is taken.
 *
 * Return: whether there is more room than before.
 */
bool figment_pagemap_make_room(struct figment_device *fdev, bool force)
{
	u64 pass = atomic64_inc_return(&fdev->pagemap.passes);
	struct figment_devmem *mem;
	int ret;

	if (!fdev->pagemap.on)
		return false;
	/* Something may be on its way back already. */
	if (flush_work(&fdev->pagemap.free))
		return true;
	while ((mem = figment_pagemap_pick(fdev, NULL, force, pass))) {
		ret = figment_devmem_evict(mem, false);
		figment_devmem_put(mem);
		flush_work(&fdev->pagemap.free);
		if (!ret)
			return true;
	}
	return false;
}

/* --- life ----------------------------------------------------------------- */

/**
 * figment_pagemap_create() - Let a VM use VRAM.
 * @fdev: the device
 *
 * Each VM that does has one, which lives as long as pages that came through it. Only then
 * is the module in use: a device that is open and nothing else holds it anyway.
 *
 * Return: the pagemap, for figment_pagemap_destroy(), or an ERR_PTR; -EOPNOTSUPP: the
 * device has no VRAM, or the kernel no pages for it.
 */
struct drm_pagemap *figment_pagemap_create(struct figment_device *fdev)
{
	struct figment_pagemap *pagemap;
	int ret;

	if (!fdev->pagemap.on)
		return ERR_PTR(-EOPNOTSUPP);
	pagemap = kzalloc_obj(*pagemap);
	if (!pagemap)
		return ERR_PTR(-ENOMEM);
	ret = drm_pagemap_init(&pagemap->base, &fdev->pagemap.base, &fdev->drm,
			       &figment_pagemap_ops);
	if (ret) {
		kfree(pagemap);
		return ERR_PTR(ret);
	}
	return &pagemap->base;
}

/**
 * figment_pagemap_destroy() - Bring home what a VM has in VRAM.
 * @dpagemap: from figment_pagemap_create(), or NULL
 *
 * What cannot come now, because its process has just gone, goes with it.
 */
void figment_pagemap_destroy(struct drm_pagemap *dpagemap)
{
	if (!dpagemap)
		return;
	figment_pagemap_evict_all(to_figment_device(dpagemap->drm), dpagemap);
	drm_pagemap_put(dpagemap);
}

/** figment_pagemap_bytes() - VRAM that is allocated for a VM. */
u64 figment_pagemap_bytes(struct drm_pagemap *dpagemap)
{
	return dpagemap ? atomic64_read(&to_figment_pagemap(dpagemap)->bytes) : 0;
}

/**
 * figment_pagemap_unplug() - Bring all pages home, for good.
 * @fdev: the device, unplugged: nobody migrates anything into VRAM any more
 *
 * What is left after a round is held by a migration or a fault that is under way, or
 * waits for a huge page of system memory. It must not be left: pages of VRAM go away with
 * the driver.
 */
void figment_pagemap_unplug(struct figment_device *fdev)
{
	unsigned int ms = FIGMENT_UNPLUG_RETRY_MS;

	if (!fdev->pagemap.on)
		return;
	for (;;) {
		figment_pagemap_evict_all(fdev, NULL);
		if (figment_pagemap_is_empty(fdev))
			return;
		msleep(ms);
		ms = min(2 * ms, FIGMENT_UNPLUG_RETRY_MAX_MS);
		if (ms == FIGMENT_UNPLUG_RETRY_MAX_MS)
			dev_info_ratelimited(fdev->drm.dev,
					     "waits for memory of processes to leave VRAM\n");
	}
}

static void figment_pagemap_flush(void *data)
{
	struct figment_device *fdev = data;

	flush_work(&fdev->pagemap.free);
}

/**
 * figment_pagemap_init() - Give VRAM pages.
 * @fdev: the device; its VRAM is there
 * @pdev: its PCI function
 *
 * They go away with the binding of the driver, after figment_pagemap_unplug(). Where
 * there is no room for them, in the physical addresses of a guest or in its memory, the
 * device does without.
 *
 * Return: 0, also without such pages, or a negative errno.
 */
int figment_pagemap_init(struct figment_device *fdev, struct pci_dev *pdev)
{
	struct dev_pagemap *base = &fdev->pagemap.base;
	struct resource *res;
	void *pages;
	int ret;

	INIT_LIST_HEAD(&fdev->pagemap.used);
	INIT_LIST_HEAD(&fdev->pagemap.freed);
	INIT_WORK(&fdev->pagemap.free, figment_pagemap_free_work);
	xa_init_flags(&fdev->pagemap.blocks, XA_FLAGS_LOCK_IRQ);
	if (!fdev->info.vram_bytes)
		return 0;

	/* Runs after the last page has gone. */
	ret = devm_add_action_or_reset(&pdev->dev, figment_pagemap_flush, fdev);
	if (ret)
		return ret;
	res = devm_request_free_mem_region(&pdev->dev, &iomem_resource, fdev->info.vram_bytes);
	if (IS_ERR(res)) {
		drm_info(&fdev->drm, "no addresses for pages in VRAM: %pe\n", res);
		return 0;
	}
	base->type = MEMORY_DEVICE_PRIVATE;
	base->range.start = res->start;
	base->range.end = res->end;
	base->nr_range = 1;
	fdev->pagemap.ops = *drm_pagemap_pagemap_ops_get();
	fdev->pagemap.ops.migrate_to_ram = figment_pagemap_migrate_to_ram;
	base->ops = &fdev->pagemap.ops;
	/* Each device by itself: none reaches the VRAM of another. */
	base->owner = fdev;
	pages = devm_memremap_pages(&pdev->dev, base);
	if (IS_ERR(pages)) {
		drm_info(&fdev->drm, "no memory for pages in VRAM: %pe\n", pages);
		base->owner = NULL;
		return 0;
	}
	fdev->pagemap.on = true;
	return 0;
}

/** figment_pagemap_show() - For debugfs: pages, since the driver has been bound. */
void figment_pagemap_show(struct figment_device *fdev, struct seq_file *m)
{
	struct figment_devmem *mem;
	u64 bytes = 0;

	scoped_guard(spinlock_irqsave, &fdev->pagemap.blocks.xa_lock)
		list_for_each_entry(mem, &fdev->pagemap.used, link)
			bytes += mem->base.size;
	seq_printf(m, "on %u\n", fdev->pagemap.on);
	seq_printf(m, "bytes %llu\n", bytes);
	seq_printf(m, "pages_to_vram %llu\n", (u64)atomic64_read(&fdev->pagemap.to_vram));
	seq_printf(m, "pages_to_system %llu\n", (u64)atomic64_read(&fdev->pagemap.to_system));
	seq_printf(m, "evictions %llu\n", (u64)atomic64_read(&fdev->pagemap.evictions));
}
