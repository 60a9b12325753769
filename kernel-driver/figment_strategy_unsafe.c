// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Strategy "unsafe": the negative control, what drivers did before there were
 * notifiers. It takes a reference of each page, as FOLL_GET does and not
 * FOLL_PIN, and looks no more.
 *
 * The reference keeps a page from being freed, so the device never writes into
 * memory of the kernel or of a stranger. But it does not keep the page in the
 * process: after fork() the first who writes gets a copy, and when that is the
 * process itself, the device goes on with a page that is now the child's. A test
 * that does not notice this notices nothing.
 */
#include <linux/mm.h>

#include "figment_held.h"
#include "figment_userptr.h"

static void figment_unsafe_give_back(struct page **pages, unsigned long count, bool dirty)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (dirty)
			set_page_dirty_lock(pages[i]);
		put_page(pages[i]);
	}
}

static const struct figment_hold figment_unsafe_hold = {
	.take = get_user_pages_fast,
	.give_back = figment_unsafe_give_back,
};

static int figment_unsafe_init(struct figment_userptr *userptr)
{
	return figment_held_init(userptr, &figment_unsafe_hold);
}

static void figment_unsafe_fini(struct figment_userptr *userptr)
{
	figment_held_fini(userptr, &figment_unsafe_hold);
}

const struct figment_strategy figment_strategy_unsafe = {
	.name = "unsafe",
	.holds_pages = true,
	.init = figment_unsafe_init,
	.pin = figment_held_pin,
	.valid = figment_held_valid,
	.unmap_dma = figment_held_unmap_dma,
	.fini = figment_unsafe_fini,
};
