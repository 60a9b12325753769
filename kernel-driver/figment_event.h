/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_EVENT_H
#define FIGMENT_EVENT_H

#include <linux/types.h>

struct figment_device;
struct pci_dev;

/** enum figment_event_age - See figment_event_age(). */
enum figment_event_age {
	FIGMENT_EVENT_NONE,
	FIGMENT_EVENT_FRESH,
	FIGMENT_EVENT_LATE,
};

int figment_event_init(struct figment_device *fdev, struct pci_dev *pdev);
int figment_event_request_irqs(struct figment_device *fdev, struct pci_dev *pdev);
void figment_event_poll(struct figment_device *fdev);
enum figment_event_age figment_event_age(struct figment_device *fdev);
bool figment_event_check_error(struct figment_device *fdev);
void figment_event_start_ring(struct figment_device *fdev);
void figment_event_mend_ring(struct figment_device *fdev);

#endif
