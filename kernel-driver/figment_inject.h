/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_INJECT_H
#define FIGMENT_INJECT_H

struct figment_device;

void figment_inject_init(struct figment_device *fdev);

#endif
