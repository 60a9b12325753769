/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Userptrs that take their pages once and keep them: what the strategies
 * without a notifier have in common.
 */
#ifndef FIGMENT_HELD_H
#define FIGMENT_HELD_H

#include <linux/types.h>

struct figment_userptr;
struct page;

/** struct figment_hold - How pages are taken and given back. */
struct figment_hold {
	/** @take: As get_user_pages_fast() does. */
	int (*take)(unsigned long start, int count, unsigned int gup_flags, struct page **pages);
	/** @gup_flags: For @take, besides FOLL_WRITE. */
	unsigned int gup_flags;
	/** @give_back: Drop what @take took; the device may have written if @dirty. Sleeps. */
	void (*give_back)(struct page **pages, unsigned long count, bool dirty);
};

int figment_held_init(struct figment_userptr *userptr, const struct figment_hold *hold);
void figment_held_fini(struct figment_userptr *userptr, const struct figment_hold *hold);

/* For struct figment_strategy. */
int figment_held_pin(struct figment_userptr *userptr);
bool figment_held_valid(struct figment_userptr *userptr);
void figment_held_unmap_dma(struct figment_userptr *userptr);

#endif
