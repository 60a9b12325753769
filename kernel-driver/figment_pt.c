// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Page tables, four levels in system memory.
 *
 * A slot of a table is either free, or it belongs to a mapping. A slot of a
 * mapping may be without a valid entry for a while, when an mmu notifier has
 * cleared it, or nobody has asked for the page; the table stays, so that putting
 * an entry there allocates nothing. "used" counts the slots that belong to
 * mappings (or to tables below), and a table of which none is used any more is
 * unlinked, retired, and freed after the walk cache has been flushed.
 *
 *	map	free slots become entries		takes tables from a stock
 *	unmap	slots become free			retires tables
 *	zap	valid entries become invalid		userptr only
 *	rewrite	entries become valid, or others		userptr only
 *
 * The device does not cache invalid entries, so making them valid flushes nothing.
 *
 * A leaf of 2 MiB has no table below. Of a userptr it has: the "shadow", a table
 * of level 0 that says the same in 4 KiB, and that takes its place when a part of
 * the pages is lost. Both say the same at any time, so changing from one to the
 * other flushes nothing, and the device may still be using the shadow from its
 * walk cache.
 */
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_pt.h"
#include "figment_reset.h"
#include "figment_tlb.h"

#define FIGMENT_PT_ENTRIES	((unsigned int)BIT(FIGMENT_PT_ENTRIES_LG2))
#define FIGMENT_PT_BYTES	(FIGMENT_PT_ENTRIES * sizeof(u64))
#define FIGMENT_HUGE_BYTES	BIT_ULL(FIGMENT_HUGE_PAGE_LG2)
#define FIGMENT_PAGE_BYTES	BIT_ULL(FIGMENT_PAGE_LG2)
/* Tables of a kind that are kept: what one fault of the device can need. */
#define FIGMENT_PT_SPARE	4

static_assert(FIGMENT_PAGE_LG2 + FIGMENT_PT_LEVELS * FIGMENT_PT_ENTRIES_LG2 == FIGMENT_VA_BITS);
static_assert(FIGMENT_PAGE_LG2 + FIGMENT_PT_ENTRIES_LG2 == FIGMENT_HUGE_PAGE_LG2);
static_assert(FIGMENT_PAGE_LG2 == PAGE_SHIFT);

/** struct figment_pt - One table. */
struct figment_pt {
	/** @link: In a stock, or in a list of retired tables. */
	struct list_head link;
	/** @entries: What the device reads. */
	__le64 *entries;
	/** @bus: Where it reads it. */
	dma_addr_t bus;
	/** @used: Slots that belong to a mapping or to a table below. */
	u32 used;
	/** @child: Tables below; none in a table of level 0. */
	struct figment_pt *child[];
};

static unsigned int figment_pt_index(u64 address, unsigned int level)
{
	return (address >> (FIGMENT_PAGE_LG2 + level * FIGMENT_PT_ENTRIES_LG2)) &
	       (FIGMENT_PT_ENTRIES - 1);
}

static void figment_pt_set(struct figment_pt *pt, unsigned int index, u64 entry)
{
	/* One store: the device may be reading it. */
	WRITE_ONCE(pt->entries[index], cpu_to_le64(entry));
}

/* --- allocation ----------------------------------------------------------- */

static struct figment_pt *figment_pt_alloc(struct figment_device *fdev, bool leaf)
{
	struct figment_pt *pt;

	pt = kvzalloc_flex(*pt, child, leaf ? 0 : FIGMENT_PT_ENTRIES, GFP_KERNEL_ACCOUNT);
	if (!pt)
		return NULL;

	/* Zeroed, as all coherent memory. */
	pt->entries = dma_alloc_coherent(fdev->drm.dev, FIGMENT_PT_BYTES, &pt->bus,
					 GFP_KERNEL_ACCOUNT);
	if (!pt->entries) {
		kvfree(pt);
		return NULL;
	}
	return pt;
}

static void figment_pt_free(struct figment_device *fdev, struct figment_pt *pt)
{
	dma_free_coherent(fdev->drm.dev, FIGMENT_PT_BYTES, pt->entries, pt->bus);
	kvfree(pt);
}

static void figment_pt_free_tree(struct figment_device *fdev, struct figment_pt *pt,
				 unsigned int level)
{
	unsigned int i;

	if (level)
		for (i = 0; i < FIGMENT_PT_ENTRIES; i++)
			if (pt->child[i])
				figment_pt_free_tree(fdev, pt->child[i], level - 1);
	figment_pt_free(fdev, pt);
}

/** figment_pt_stock_init() - Make a stock empty. */
void figment_pt_stock_init(struct figment_pt_stock *stock)
{
	INIT_LIST_HEAD(&stock->leaf);
	INIT_LIST_HEAD(&stock->inner);
}

static int figment_pt_stock_add(struct figment_pt_space *space, struct list_head *list, bool leaf,
				u64 count)
{
	struct list_head *spare = leaf ? &space->spare.leaf : &space->spare.inner;

	scoped_guard(mutex, &space->lock)
		for (; count && !list_empty(spare); count--)
			list_move(spare->next, list);
	while (count--) {
		struct figment_pt *pt = figment_pt_alloc(space->fdev, leaf);

		if (!pt)
			return -ENOMEM;
		list_add(&pt->link, list);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Nothing of the device has seen them: they are still zero. */
static void figment_pt_stock_keep(struct list_head *list, struct list_head *spare)
{
	size_t count = list_count_nodes(spare);

	for (; count < FIGMENT_PT_SPARE && !list_empty(list); count++)
		list_move(list->next, spare);
}

/* How many tables of @level a range touches. */
static u64 figment_pt_count(u64 address, u64 size, unsigned int level)
{
	unsigned int shift = FIGMENT_PAGE_LG2 + (level + 1) * FIGMENT_PT_ENTRIES_LG2;

	return ((address + size - 1) >> shift) - (address >> shift) + 1;
}

/**
 * figment_pt_stock_fill() - Allocate what mapping a range can need at most.
 * @space: the address space
 * @stock: where to put it; the caller frees it also after an error
 * @address: first address
 * @size: bytes, not zero
 *
 * That includes splitting leaves that the ends of the range cut through: then
 * the table of the split is one of those that the range touches.
 *
 * Return: 0, -ENOMEM, or -EINTR.
 */
int figment_pt_stock_fill(struct figment_pt_space *space, struct figment_pt_stock *stock,
			  u64 address, u64 size)
{
	int ret;

	ret = figment_pt_stock_add(space, &stock->leaf, true,
				   figment_pt_count(address, size, 0));
	if (ret)
		return ret;
	return figment_pt_stock_add(space, &stock->inner, false,
				    figment_pt_count(address, size, 1) +
				    figment_pt_count(address, size, 2));
}
ALLOW_ERROR_INJECTION(figment_pt_stock_fill, ERRNO);

/**
 * figment_pt_stock_fill_split() - Allocate what unmapping a range can need at most.
 * @space: the address space
 * @stock: where to put it; the caller frees it also after an error
 *
 * Return: 0, -ENOMEM, or -EINTR.
 */
int figment_pt_stock_fill_split(struct figment_pt_space *space, struct figment_pt_stock *stock)
{
	/* Each end of the range may cut through a leaf. */
	return figment_pt_stock_add(space, &stock->leaf, true, 2);
}

/**
 * figment_pt_free_tables() - Free tables that the device can not reach.
 * @space: the address space
 * @tables: list of them, left empty
 */
void figment_pt_free_tables(struct figment_pt_space *space, struct list_head *tables)
{
	struct figment_pt *pt, *next;

	list_for_each_entry_safe(pt, next, tables, link) {
		list_del(&pt->link);
		figment_pt_free(space->fdev, pt);
	}
}

/** figment_pt_stock_free() - Free what is left of a stock, or keep it for the next one. */
void figment_pt_stock_free(struct figment_pt_space *space, struct figment_pt_stock *stock)
{
	scoped_guard(mutex, &space->lock) {
		/* A fault of a device needs a stock, and mostly nothing of it. */
		if (space->root) {
			figment_pt_stock_keep(&stock->leaf, &space->spare.leaf);
			figment_pt_stock_keep(&stock->inner, &space->spare.inner);
		}
	}
	figment_pt_free_tables(space, &stock->leaf);
	figment_pt_free_tables(space, &stock->inner);
}

static struct figment_pt *figment_pt_stock_take(struct figment_pt_space *space,
						struct list_head *list)
{
	struct figment_pt *pt = list_first_entry_or_null(list, struct figment_pt, link);

	/* The plan was too small: our bug. */
	if (drm_WARN_ON_ONCE(&space->fdev->drm, !pt))
		return NULL;
	list_del(&pt->link);
	return pt;
}

/* --- flushing ------------------------------------------------------------- */

/** figment_pt_flush_init() - Nothing to flush so far. */
void figment_pt_flush_init(struct figment_pt_flush *flush)
{
	flush->first = U64_MAX;
	flush->last = 0;
	INIT_LIST_HEAD(&flush->retired);
}

static void figment_pt_flush_add(struct figment_pt_flush *flush, u64 first, u64 last)
{
	flush->first = min(flush->first, first);
	flush->last = max(flush->last, last);
}

/**
 * figment_pt_flush_begin() - Invalidate, and do not wait.
 * @space: the address space
 * @flush: what
 *
 * Return: sequence number for figment_pt_flush_end() or figment_tlb_wait(); 0: there is
 * nothing to wait for.
 */
u64 figment_pt_flush_begin(struct figment_pt_space *space, struct figment_pt_flush *flush)
{
	u64 first = flush->first, last = flush->last;

	if (first > last)
		return 0;
	flush->first = U64_MAX;
	flush->last = 0;

	if (list_empty(&flush->retired))
		return figment_tlb_issue_range(space->fdev, space->asid, first, last);
	/* Forget every cached step of a walk, not only last ones. */
	return figment_tlb_issue_asid(space->fdev, space->asid);
}

/**
 * figment_pt_flush_end() - Wait for the acknowledgment.
 * @space: the address space
 * @seq: of figment_pt_flush_begin(); its retired tables may be freed on return
 *
 * Does not allocate; waits uninterruptibly for the device.
 */
void figment_pt_flush_end(struct figment_pt_space *space, u64 seq)
{
	if (seq)
		figment_tlb_wait(space->fdev, seq);
}

/**
 * figment_pt_flush() - Invalidate, and wait for the acknowledgment.
 * @space: the address space
 * @flush: what; its retired tables may be freed on return
 *
 * Does not allocate; waits uninterruptibly for the device.
 */
void figment_pt_flush(struct figment_pt_space *space, struct figment_pt_flush *flush)
{
	figment_pt_flush_end(space, figment_pt_flush_begin(space, flush));
}

/* --- walking -------------------------------------------------------------- */

/**
 * figment_pt_look() - What a walk of the device meets now.
 * @space: the address space
 * @address: GPU address
 * @entries: gets the entries, by level
 *
 * Return: the lowest level that it gets to; FIGMENT_PT_LEVELS: there are no tables.
 */
int figment_pt_look(struct figment_pt_space *space, u64 address, u64 entries[FIGMENT_PT_LEVELS])
{
	struct figment_pt *pt = space->root;
	int level;

	lockdep_assert_held(&space->lock);

	for (level = FIGMENT_PT_LEVELS; level && pt; level--) {
		unsigned int i = figment_pt_index(address, level - 1);
		u64 entry = le64_to_cpu(READ_ONCE(pt->entries[i]));

		entries[level - 1] = entry;
		if (level == 1 || !(entry & FIGMENT_PTE_VALID) || (entry & FIGMENT_PTE_LEAF))
			return level - 1;
		pt = pt->child[i];
	}
	return level;
}

/* The table of level 1 for an address, made if need be. */
static struct figment_pt *figment_pt_make_inner(struct figment_pt_space *space,
						struct figment_pt_stock *stock, u64 address)
{
	struct figment_pt *pt = space->root;
	unsigned int level;

	for (level = FIGMENT_PT_LEVELS - 1; level > 1; level--) {
		unsigned int i = figment_pt_index(address, level);

		if (!pt->child[i]) {
			struct figment_pt *child = figment_pt_stock_take(space, &stock->inner);

			if (!child)
				return NULL;
			pt->child[i] = child;
			pt->used++;
			/* The device must not see the table before its zeros. */
			dma_wmb();
			figment_pt_set(pt, i, child->bus | FIGMENT_PTE_VALID);
		}
		pt = pt->child[i];
	}
	return pt;
}

static void figment_pt_link_leaf(struct figment_pt *pt, unsigned int index,
				 struct figment_pt *child)
{
	pt->child[index] = child;
	/* The device must not see the table before its content. */
	dma_wmb();
	figment_pt_set(pt, index, child->bus | FIGMENT_PTE_VALID);
}

/* Entries from @address to the end of the table of level 0, or of the range. */
static unsigned int figment_pt_run(u64 address, u64 end)
{
	u64 table_end = ALIGN_DOWN(address, FIGMENT_HUGE_BYTES) + FIGMENT_HUGE_BYTES;

	return (min(end, table_end) - address) >> FIGMENT_PAGE_LG2;
}

static bool figment_pt_is_huge(u64 address, u64 end)
{
	return IS_ALIGNED(address, FIGMENT_HUGE_BYTES) && end - address >= FIGMENT_HUGE_BYTES;
}

/* True when the table that belongs into a slot is the shadow of a leaf. */
static bool figment_pt_is_shadow(struct figment_pt *inner, unsigned int index)
{
	return inner->child[index] && (le64_to_cpu(inner->entries[index]) & FIGMENT_PTE_LEAF);
}

/* Entries from @i0 on: @n of them, or a leaf of 2 MiB with them as its shadow. */
static void figment_pt_write(struct figment_pt *inner, unsigned int i1, unsigned int i0,
			     unsigned int n, u64 pte)
{
	struct figment_pt *leaf = inner->child[i1];
	u64 address = pte & FIGMENT_PTE_ADDRESS;
	bool huge = pte && n == FIGMENT_PT_ENTRIES && IS_ALIGNED(address, FIGMENT_HUGE_BYTES);
	u64 first = pte;

	if (!huge && figment_pt_is_shadow(inner, i1))
		figment_pt_set(inner, i1, leaf->bus | FIGMENT_PTE_VALID);
	for (; n; n--, i0++) {
		figment_pt_set(leaf, i0, pte);
		if (pte)
			pte += FIGMENT_PAGE_BYTES;
	}
	if (huge) {
		/* The device must not see the leaf before its shadow. */
		dma_wmb();
		figment_pt_set(inner, i1, first);
	}
}

/**
 * figment_pt_map() - Map free slots.
 * @space: the address space
 * @stock: tables to take from, filled for the range
 * @address: first address
 * @size: bytes, whole pages
 * @pte: entry of the first page, with FIGMENT_PTE_LEAF; the following ones
 *	continue its address. 0: the slots stay without an entry
 * @huge: use 2 MiB leaves without a shadow, where address and memory are aligned
 */
void figment_pt_map(struct figment_pt_space *space, struct figment_pt_stock *stock,
		    u64 address, u64 size, u64 pte, bool huge)
{
	u64 end = address + size;

	lockdep_assert_held(&space->lock);
	if (!space->root)
		return;

	while (address < end) {
		struct figment_pt *inner = figment_pt_make_inner(space, stock, address);
		unsigned int i1 = figment_pt_index(address, 1);
		unsigned int i0 = figment_pt_index(address, 0);
		unsigned int n = figment_pt_run(address, end);
		struct figment_pt *leaf;

		if (!inner)
			return;

		leaf = inner->child[i1];
		if (!leaf && huge && figment_pt_is_huge(address, end) &&
		    IS_ALIGNED(pte & FIGMENT_PTE_ADDRESS, FIGMENT_HUGE_BYTES)) {
			inner->used++;
			figment_pt_set(inner, i1, pte);
			pte += FIGMENT_HUGE_BYTES;
			address += FIGMENT_HUGE_BYTES;
			continue;
		}

		if (!leaf) {
			leaf = figment_pt_stock_take(space, &stock->leaf);
			if (!leaf)
				return;
			inner->used++;
			figment_pt_link_leaf(inner, i1, leaf);
		}

		leaf->used += n;
		figment_pt_write(inner, i1, i0, n, pte);
		address += n * FIGMENT_PAGE_BYTES;
		if (pte)
			pte += n * FIGMENT_PAGE_BYTES;
	}
}

/* Turn a leaf of 2 MiB into a table of the same 512 pages. */
static bool figment_pt_split(struct figment_pt_space *space, struct figment_pt_stock *stock,
			     struct figment_pt *inner, unsigned int i1)
{
	struct figment_pt *leaf = figment_pt_stock_take(space, &stock->leaf);
	u64 pte = le64_to_cpu(inner->entries[i1]);
	unsigned int i;

	if (!leaf)
		return false;
	for (i = 0; i < FIGMENT_PT_ENTRIES; i++, pte += FIGMENT_PAGE_BYTES)
		figment_pt_set(leaf, i, pte);
	leaf->used = FIGMENT_PT_ENTRIES;
	/* Old and new translate alike: no flush in between. */
	figment_pt_link_leaf(inner, i1, leaf);
	return true;
}

/* Unlink the tables on the way to @address that nobody uses any more. */
static void figment_pt_prune(struct figment_pt_space *space, struct figment_pt_flush *flush,
			     u64 address)
{
	struct figment_pt *path[FIGMENT_PT_LEVELS] = {};
	unsigned int level;

	path[FIGMENT_PT_LEVELS - 1] = space->root;
	for (level = FIGMENT_PT_LEVELS - 1; level && path[level]; level--)
		path[level - 1] = path[level]->child[figment_pt_index(address, level)];

	for (level = 0; level < FIGMENT_PT_LEVELS - 1; level++) {
		unsigned int i = figment_pt_index(address, level + 1);

		if (!path[level])
			continue;
		if (path[level]->used)
			return;
		figment_pt_set(path[level + 1], i, 0);
		path[level + 1]->child[i] = NULL;
		path[level + 1]->used--;
		list_add(&path[level]->link, &flush->retired);
	}
}

static struct figment_pt *figment_pt_find_inner(struct figment_pt_space *space, u64 address)
{
	struct figment_pt *pt = space->root;
	unsigned int level;

	for (level = FIGMENT_PT_LEVELS - 1; level > 1 && pt; level--)
		pt = pt->child[figment_pt_index(address, level)];
	return pt;
}

/**
 * figment_pt_unmap() - Free slots that belong to mappings.
 * @space: the address space
 * @stock: for tables of leaves that the range cuts through
 * @flush: collects what to invalidate, and the tables that are left empty
 * @address: first address
 * @size: bytes, whole pages, each with a slot in use
 */
void figment_pt_unmap(struct figment_pt_space *space, struct figment_pt_stock *stock,
		      struct figment_pt_flush *flush, u64 address, u64 size)
{
	u64 end = address + size;

	lockdep_assert_held(&space->lock);
	if (!space->root)
		return;

	figment_pt_flush_add(flush, address, end - 1);
	while (address < end) {
		struct figment_pt *inner = figment_pt_find_inner(space, address);
		unsigned int i1 = figment_pt_index(address, 1);
		unsigned int i0 = figment_pt_index(address, 0);
		unsigned int n = figment_pt_run(address, end);
		u64 here = address;

		address += n * FIGMENT_PAGE_BYTES;
		if (drm_WARN_ON_ONCE(&space->fdev->drm, !inner))
			return;

		if (!inner->child[i1] && n == FIGMENT_PT_ENTRIES) {
			figment_pt_set(inner, i1, 0);
			inner->used--;
		} else {
			struct figment_pt *leaf;

			if (!inner->child[i1] && !figment_pt_split(space, stock, inner, i1))
				return;
			leaf = inner->child[i1];
			leaf->used -= n;
			figment_pt_write(inner, i1, i0, n, 0);
		}
		figment_pt_prune(space, flush, here);
	}
}

/* Note those of @n entries that the device may know; returns whether there are any. */
static bool figment_pt_flush_valid(struct figment_pt *leaf, struct figment_pt_flush *flush,
				   u64 address, unsigned int n)
{
	unsigned int i0 = figment_pt_index(address, 0);
	bool any = false;

	for (; n; n--, i0++, address += FIGMENT_PAGE_BYTES) {
		if (!leaf->entries[i0])
			continue;
		figment_pt_flush_add(flush, address, address + FIGMENT_PAGE_BYTES - 1);
		any = true;
	}
	return any;
}

/**
 * figment_pt_rewrite() - Write entries into slots of a userptr mapping.
 * @space: the address space
 * @flush: collects what to invalidate: where there was another entry
 * @address: first address
 * @size: bytes, whole pages
 * @pte: entry of the first page; the following ones continue its address
 */
void figment_pt_rewrite(struct figment_pt_space *space, struct figment_pt_flush *flush,
			u64 address, u64 size, u64 pte)
{
	u64 end = address + size;

	lockdep_assert_held(&space->lock);
	if (!space->root)
		return;

	while (address < end) {
		struct figment_pt *inner = figment_pt_find_inner(space, address);
		unsigned int i1 = figment_pt_index(address, 1);
		unsigned int i0 = figment_pt_index(address, 0);
		unsigned int n = figment_pt_run(address, end);

		if (drm_WARN_ON_ONCE(&space->fdev->drm, !inner || !inner->child[i1]))
			return;
		figment_pt_flush_valid(inner->child[i1], flush, address, n);
		figment_pt_write(inner, i1, i0, n, pte);
		pte += n * FIGMENT_PAGE_BYTES;
		address += n * FIGMENT_PAGE_BYTES;
	}
}

/**
 * figment_pt_zap() - Make slots of a userptr mapping invalid.
 * @space: the address space
 * @flush: collects what to invalidate: where there were entries
 * @address: first address
 * @size: bytes, whole pages
 */
void figment_pt_zap(struct figment_pt_space *space, struct figment_pt_flush *flush,
		    u64 address, u64 size)
{
	u64 end = address + size;

	lockdep_assert_held(&space->lock);
	if (!space->root)
		return;

	while (address < end) {
		struct figment_pt *inner = figment_pt_find_inner(space, address);
		unsigned int i1 = figment_pt_index(address, 1);
		unsigned int i0 = figment_pt_index(address, 0);
		unsigned int n = figment_pt_run(address, end);

		if (drm_WARN_ON_ONCE(&space->fdev->drm, !inner || !inner->child[i1]))
			return;
		if (figment_pt_flush_valid(inner->child[i1], flush, address, n))
			figment_pt_write(inner, i1, i0, n, 0);
		address += n * FIGMENT_PAGE_BYTES;
	}
}

/* --- the address space ---------------------------------------------------- */

/** figment_pt_init_lock() - Initialise the lock: for all in one place, as one class. */
void figment_pt_init_lock(struct figment_pt_space *space)
{
	mutex_init(&space->lock);
}

/**
 * figment_pt_init() - Give a hardware address space a root table.
 * @space: zeroed
 * @fdev: the device; the caller is inside drm_dev_enter()
 * @asid: address space number, not in use
 * @root_flags: FIGMENT_ROOT_FAULTS or 0
 *
 * Return: 0 or -ENOMEM.
 */
int figment_pt_init(struct figment_pt_space *space, struct figment_device *fdev, u32 asid,
		    u64 root_flags)
{
	space->fdev = fdev;
	space->asid = asid;
	space->root = figment_pt_alloc(fdev, false);
	if (!space->root)
		return -ENOMEM;

	figment_pt_init_lock(space);
	figment_pt_stock_init(&space->spare);
	figment_device_set_root(fdev, asid, space->root->bus | FIGMENT_ROOT_VALID | root_flags);
	return 0;
}
ALLOW_ERROR_INJECTION(figment_pt_init, ERRNO);

/**
 * figment_pt_fini() - Take an address space from the hardware and free its tables.
 * @space: the address space; the second time nothing is done
 *
 * The other functions do nothing after it.
 *
 * On return the device has no translation of it left, and its number may be
 * used again. Sleeps.
 */
void figment_pt_fini(struct figment_pt_space *space)
{
	struct figment_pt_stock spare;
	struct figment_pt *root;
	int idx;

	figment_pt_stock_init(&spare);
	/*
	 * A notifier that finds no root must be able to rely on there being no
	 * translation either: flush before the lock is dropped.
	 */
	mutex_lock(&space->lock);
	root = space->root;
	if (root && drm_dev_enter(&space->fdev->drm, &idx)) {
		figment_device_set_root(space->fdev, space->asid, 0);
		figment_tlb_wait(space->fdev, figment_tlb_issue_asid(space->fdev, space->asid));
		drm_dev_exit(idx);
	}
	space->root = NULL;
	/* Without a root nobody adds to it any more. */
	list_splice_init(&space->spare.leaf, &spare.leaf);
	list_splice_init(&space->spare.inner, &spare.inner);
	mutex_unlock(&space->lock);

	if (root)
		figment_pt_free_tree(space->fdev, root, FIGMENT_PT_LEVELS - 1);
	figment_pt_stock_free(space, &spare);
}
