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
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_pagemap.h>

#include "figment_device.h"
#include "figment_userptr.h"
#include "figment_vm.h"

static unsigned long figment_unsafe_pages(struct figment_userptr *userptr)
{
	return userptr->size >> PAGE_SHIFT;
}

static enum dma_data_direction figment_unsafe_direction(struct figment_userptr *userptr)
{
	return userptr->read_only ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
}

static void figment_unsafe_unmap(struct figment_userptr *userptr, unsigned long count)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	unsigned long i;

	if (!userptr->pages.flags.has_dma_mapping)
		return;

	for (i = 0; i < count; i++)
		dma_unmap_page(dev, userptr->pages.dma_addr[i].addr, PAGE_SIZE,
			       figment_unsafe_direction(userptr));
	userptr->pages.flags.has_dma_mapping = false;
}

static void figment_unsafe_put_pages(struct figment_userptr *userptr, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (!userptr->read_only)
			set_page_dirty_lock(userptr->unsafe.held[i]);
		put_page(userptr->unsafe.held[i]);
	}
}

static int figment_unsafe_map(struct figment_userptr *userptr)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	unsigned long i, count = figment_unsafe_pages(userptr);

	userptr->pages.flags.has_dma_mapping = true;
	for (i = 0; i < count; i++) {
		dma_addr_t addr = dma_map_page(dev, userptr->unsafe.held[i], 0, PAGE_SIZE,
					       figment_unsafe_direction(userptr));

		if (dma_mapping_error(dev, addr)) {
			figment_unsafe_unmap(userptr, i);
			return -ENOMEM;
		}
		userptr->pages.dma_addr[i] =
			drm_pagemap_addr_encode(addr, DRM_INTERCONNECT_SYSTEM, 0,
						figment_unsafe_direction(userptr));
	}
	return 0;
}

static int figment_unsafe_init(struct figment_userptr *userptr)
{
	unsigned long count = figment_unsafe_pages(userptr), got = 0;
	int ret;

	ret = figment_userptr_check_memory(userptr, current->mm);
	if (ret)
		return ret;

	userptr->unsafe.held = kvcalloc(count, sizeof(*userptr->unsafe.held), GFP_KERNEL_ACCOUNT);
	userptr->pages.dma_addr = kvcalloc(count, sizeof(*userptr->pages.dma_addr),
					   GFP_KERNEL_ACCOUNT);
	if (!userptr->unsafe.held || !userptr->pages.dma_addr) {
		ret = -ENOMEM;
		goto free_arrays;
	}

	while (got < count) {
		long n = get_user_pages_fast(userptr->start + got * PAGE_SIZE,
					     min(count - got, SZ_64K),
					     userptr->read_only ? 0 : FOLL_WRITE,
					     userptr->unsafe.held + got);

		if (n <= 0) {
			ret = n ?: -EFAULT;
			goto put_pages;
		}
		got += n;
	}

	ret = figment_unsafe_map(userptr);
	if (ret)
		goto put_pages;
	return 0;

put_pages:
	figment_unsafe_put_pages(userptr, got);
free_arrays:
	kvfree(userptr->pages.dma_addr);
	kvfree(userptr->unsafe.held);
	return ret;
}

static int figment_unsafe_pin(struct figment_userptr *userptr)
{
	return 0;
}

static bool figment_unsafe_valid(struct figment_userptr *userptr)
{
	/* This is the point of it. */
	return true;
}

static void figment_unsafe_unmap_dma(struct figment_userptr *userptr)
{
	figment_unsafe_unmap(userptr, figment_unsafe_pages(userptr));
}

static void figment_unsafe_fini(struct figment_userptr *userptr)
{
	figment_unsafe_unmap_dma(userptr);
	figment_unsafe_put_pages(userptr, figment_unsafe_pages(userptr));
	kvfree(userptr->pages.dma_addr);
	kvfree(userptr->unsafe.held);
}

const struct figment_strategy figment_strategy_unsafe = {
	.name = "unsafe",
	.init = figment_unsafe_init,
	.pin = figment_unsafe_pin,
	.valid = figment_unsafe_valid,
	.unmap_dma = figment_unsafe_unmap_dma,
	.fini = figment_unsafe_fini,
};
