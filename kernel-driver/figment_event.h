/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FIGMENT_EVENT_H
#define FIGMENT_EVENT_H

struct figment_device;
struct pci_dev;

int figment_event_init(struct figment_device *fdev, struct pci_dev *pdev);
int figment_event_request_irqs(struct figment_device *fdev, struct pci_dev *pdev);
void figment_event_poll(struct figment_device *fdev);

#endif
