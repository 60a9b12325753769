// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pages of a userptr that are taken when it is bound, and kept until it is
 * unbound, whatever the process does with the mapping in the meantime.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_pagemap.h>

#include "figment_device.h"
#include "figment_held.h"
#include "figment_userptr.h"
#include "figment_vm.h"

static unsigned long figment_held_count(struct figment_userptr *userptr)
{
	return userptr->size >> PAGE_SHIFT;
}

static enum dma_data_direction figment_held_direction(struct figment_userptr *userptr)
{
	return userptr->read_only ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
}

static void figment_held_unmap(struct figment_userptr *userptr, unsigned long count)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	unsigned long i;

	if (!userptr->pages.flags.has_dma_mapping)
		return;

	for (i = 0; i < count; i++)
		dma_unmap_page(dev, userptr->pages.dma_addr[i].addr, PAGE_SIZE,
			       figment_held_direction(userptr));
	userptr->pages.flags.has_dma_mapping = false;
}

static int figment_held_map(struct figment_userptr *userptr)
{
	struct device *dev = userptr->vm->fdev->drm.dev;
	unsigned long i, count = figment_held_count(userptr);

	userptr->pages.flags.has_dma_mapping = true;
	for (i = 0; i < count; i++) {
		dma_addr_t addr = dma_map_page(dev, userptr->held[i], 0, PAGE_SIZE,
					       figment_held_direction(userptr));

		if (dma_mapping_error(dev, addr)) {
			figment_held_unmap(userptr, i);
			return -ENOMEM;
		}
		userptr->pages.dma_addr[i] =
			drm_pagemap_addr_encode(addr, DRM_INTERCONNECT_SYSTEM, 0,
						figment_held_direction(userptr));
	}
	return 0;
}

/**
 * figment_held_init() - Take the pages of a range of current->mm, and map them for DMA.
 * @userptr: the range
 * @hold: how
 *
 * Return: 0, or a negative errno as &figment_strategy.init has it.
 */
int figment_held_init(struct figment_userptr *userptr, const struct figment_hold *hold)
{
	unsigned int flags = hold->gup_flags | (userptr->read_only ? 0 : FOLL_WRITE);
	unsigned long count = figment_held_count(userptr), taken = 0;
	int idx, ret;

	ret = figment_userptr_check_memory(userptr->vm, current->mm, userptr->start,
					   userptr->size, !userptr->read_only);
	if (ret)
		return ret;

	userptr->held = kvcalloc(count, sizeof(*userptr->held), GFP_KERNEL_ACCOUNT);
	userptr->pages.dma_addr = kvcalloc(count, sizeof(*userptr->pages.dma_addr),
					   GFP_KERNEL_ACCOUNT);
	if (!userptr->held || !userptr->pages.dma_addr) {
		ret = -ENOMEM;
		goto free_arrays;
	}

	while (taken < count) {
		int n = hold->take(userptr->start + taken * PAGE_SIZE,
				   min(count - taken, SZ_64K), flags, userptr->held + taken);

		if (n <= 0) {
			ret = n ?: -EFAULT;
			goto give_back;
		}
		taken += n;
	}

	/* Found by figment_vm_unplug(), or not begun. */
	ret = -ENODEV;
	if (!drm_dev_enter(&userptr->vm->fdev->drm, &idx))
		goto give_back;
	ret = figment_held_map(userptr);
	drm_dev_exit(idx);
	if (ret)
		goto give_back;
	return 0;

give_back:
	hold->give_back(userptr->held, taken, !userptr->read_only);
free_arrays:
	kvfree(userptr->pages.dma_addr);
	kvfree(userptr->held);
	return ret;
}

/** figment_held_fini() - Undo figment_held_init(), with the same @hold. */
void figment_held_fini(struct figment_userptr *userptr, const struct figment_hold *hold)
{
	figment_held_unmap_dma(userptr);
	hold->give_back(userptr->held, figment_held_count(userptr), !userptr->read_only);
	kvfree(userptr->pages.dma_addr);
	kvfree(userptr->held);
}

/** figment_held_pin() - &figment_strategy.pin: they are here. */
int figment_held_pin(struct figment_userptr *userptr)
{
	return 0;
}

/** figment_held_valid() - &figment_strategy.valid: nobody takes them away. */
bool figment_held_valid(struct figment_userptr *userptr)
{
	return true;
}

/** figment_held_unmap_dma() - &figment_strategy.unmap_dma. */
void figment_held_unmap_dma(struct figment_userptr *userptr)
{
	figment_held_unmap(userptr, figment_held_count(userptr));
}
