/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_PT_H
#define FIGMENT_PT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "figment_hw.h"

struct figment_device;
struct figment_pt;

/** struct figment_pt_stock - Tables that were allocated before they are needed. */
struct figment_pt_stock {
	/** @leaf: Tables of level 0. */
	struct list_head leaf;
	/** @inner: Tables of the levels above. */
	struct list_head inner;
};

/** struct figment_pt_flush - What has to be invalidated in the TLB. */
struct figment_pt_flush {
	u64 first;
	/** @last: Inclusive; below @first: nothing. */
	u64 last;
	/** @retired: Tables to free once that is acknowledged. */
	struct list_head retired;
};

/** struct figment_pt_space - The page tables of one address space. */
struct figment_pt_space {
	struct figment_device *fdev;
	/** @asid: Address space number; constant. */
	u32 asid;
	/**
	 * @lock: Guards the tables. Taken in mmu notifiers and in jobs: nothing
	 * is allocated and no fence is waited for under it.
	 */
	struct mutex lock;
	/** @root: Root table; NULL after figment_pt_fini(). */
	struct figment_pt *root;
	/** @spare: Tables that were in a stock and not needed, for the next one; a few. */
	struct figment_pt_stock spare;
};

void figment_pt_init_lock(struct figment_pt_space *space);
int figment_pt_init(struct figment_pt_space *space, struct figment_device *fdev, u32 asid,
		    u64 root_flags);
void figment_pt_fini(struct figment_pt_space *space);

void figment_pt_stock_init(struct figment_pt_stock *stock);
int figment_pt_stock_fill(struct figment_pt_space *space, struct figment_pt_stock *stock,
			  u64 address, u64 size);
int figment_pt_stock_fill_split(struct figment_pt_space *space, struct figment_pt_stock *stock);
void figment_pt_free_tables(struct figment_pt_space *space, struct list_head *tables);
void figment_pt_stock_free(struct figment_pt_space *space, struct figment_pt_stock *stock);

void figment_pt_flush_init(struct figment_pt_flush *flush);
u64 figment_pt_flush_begin(struct figment_pt_space *space, struct figment_pt_flush *flush);
void figment_pt_flush_end(struct figment_pt_space *space, u64 seq);
void figment_pt_flush(struct figment_pt_space *space, struct figment_pt_flush *flush);

int figment_pt_look(struct figment_pt_space *space, u64 address,
		    u64 entries[FIGMENT_PT_LEVELS]);
void figment_pt_map(struct figment_pt_space *space, struct figment_pt_stock *stock,
		    u64 address, u64 size, u64 pte, bool huge);
void figment_pt_unmap(struct figment_pt_space *space, struct figment_pt_stock *stock,
		      struct figment_pt_flush *flush, u64 address, u64 size);
void figment_pt_rewrite(struct figment_pt_space *space, struct figment_pt_flush *flush,
			u64 address, u64 size, u64 pte);
void figment_pt_zap(struct figment_pt_space *space, struct figment_pt_flush *flush,
		    u64 address, u64 size);

#endif
