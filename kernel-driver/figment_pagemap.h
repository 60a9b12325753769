/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_PAGEMAP_H
#define FIGMENT_PAGEMAP_H

#include <drm/drm_pagemap.h>

struct drm_printer;
struct figment_device;
struct pci_dev;
struct seq_file;

/* &drm_pagemap_addr.proto: the address is an offset in VRAM. */
#define FIGMENT_INTERCONNECT_VRAM	DRM_INTERCONNECT_DRIVER

#if IS_ENABLED(CONFIG_DEVICE_PRIVATE)

int figment_pagemap_init(struct figment_device *fdev, struct pci_dev *pdev);
void figment_pagemap_unplug(struct figment_device *fdev);
struct drm_pagemap *figment_pagemap_create(struct figment_device *fdev);
void figment_pagemap_destroy(struct drm_pagemap *dpagemap);
u64 figment_pagemap_bytes(struct drm_pagemap *dpagemap);
bool figment_pagemap_make_room(struct figment_device *fdev, bool force);
void figment_pagemap_show(struct figment_device *fdev, struct seq_file *m);

#else

static inline int figment_pagemap_init(struct figment_device *fdev, struct pci_dev *pdev)
{
	return 0;
}

static inline void figment_pagemap_unplug(struct figment_device *fdev)
{
}

static inline struct drm_pagemap *figment_pagemap_create(struct figment_device *fdev)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void figment_pagemap_destroy(struct drm_pagemap *dpagemap)
{
}

static inline u64 figment_pagemap_bytes(struct drm_pagemap *dpagemap)
{
	return 0;
}

static inline bool figment_pagemap_make_room(struct figment_device *fdev, bool force)
{
	return false;
}

static inline void figment_pagemap_show(struct figment_device *fdev, struct seq_file *m)
{
}

#endif

#endif
