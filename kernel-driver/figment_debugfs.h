/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_DEBUGFS_H
#define FIGMENT_DEBUGFS_H

struct figment_device;

void figment_debugfs_init(struct figment_device *fdev);

#endif
