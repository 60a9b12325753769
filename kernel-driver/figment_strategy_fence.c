// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Strategy "fence": for hardware that can do nothing but finish its jobs. The
 * notifier waits for all jobs of the VM, and then takes the pages away.
 */
#include "figment_userptr.h"
#include "figment_watched.h"

const struct figment_strategy figment_strategy_fence = {
	.name = "fence",
	.init = figment_watched_init,
	.pin = figment_watched_pin,
	.valid = figment_watched_valid,
	.unmap_dma = figment_watched_unmap_dma,
	.fini = figment_watched_fini,
};
