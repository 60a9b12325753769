// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Strategy "pin": no notifier, and no need for one. The pages are pinned for a
 * long term (FOLL_LONGTERM, Documentation/core-api/pin_user_pages.rst) when they
 * are bound: nobody moves, swaps or merges them, and fork() does not share them
 * but copies them for the child at once. The device goes on with the page that
 * the process has.
 *
 * What it costs: memory that cannot be reclaimed, accounted as VmPin of the
 * process that has bound it and limited by RLIMIT_MEMLOCK; and a fork() that
 * copies. What the process does with the mapping is not seen: after munmap(),
 * MADV_DONTNEED or mremap() the device still has the pages that were there.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "figment_held.h"
#include "figment_userptr.h"

static void figment_pin_give_back(struct page **pages, unsigned long count, bool dirty)
{
	unpin_user_pages_dirty_lock(pages, count, dirty);
}

static const struct figment_hold figment_pin_hold = {
	.take = pin_user_pages_fast,
	.gup_flags = FOLL_LONGTERM,
	.give_back = figment_pin_give_back,
};

/*
 * The account is that of the mm. A fork or an exec begins another one, with
 * nothing pinned; ours keeps what it has pinned until that is unbound.
 */
static int figment_pin_account(struct figment_userptr *userptr)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 count = userptr->size >> PAGE_SHIFT;
	struct mm_struct *mm = current->mm;

	if (atomic64_add_return(count, &mm->pinned_vm) > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(count, &mm->pinned_vm);
		return -ENOMEM;
	}
	mmgrab(mm);	/* dropped in figment_pin_unaccount() */
	userptr->pin.mm = mm;
	return 0;
}

static void figment_pin_unaccount(struct figment_userptr *userptr)
{
	atomic64_sub(userptr->size >> PAGE_SHIFT, &userptr->pin.mm->pinned_vm);
	mmdrop(userptr->pin.mm);
}

static int figment_pin_init(struct figment_userptr *userptr)
{
	int ret;

	ret = figment_pin_account(userptr);
	if (ret)
		return ret;
	ret = figment_held_init(userptr, &figment_pin_hold);
	if (ret)
		figment_pin_unaccount(userptr);
	return ret;
}

static void figment_pin_fini(struct figment_userptr *userptr)
{
	figment_held_fini(userptr, &figment_pin_hold);
	figment_pin_unaccount(userptr);
}

const struct figment_strategy figment_strategy_pin = {
	.name = "pin",
	.holds_pages = true,
	.init = figment_pin_init,
	.pin = figment_held_pin,
	.valid = figment_held_valid,
	.unmap_dma = figment_held_unmap_dma,
	.fini = figment_pin_fini,
};
