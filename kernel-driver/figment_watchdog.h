/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_WATCHDOG_H
#define FIGMENT_WATCHDOG_H

struct figment_device;

void figment_watchdog_init(struct figment_device *fdev);
void figment_watchdog_fini(struct figment_device *fdev);
void figment_watchdog_arm(struct figment_device *fdev);

#endif
