// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The event ring and the two interrupt vectors.
 *
 * Events are read in the hard interrupt handler: a fence is signalled, and its
 * waiter woken, with no thread in between. One register is written per
 * interrupt, EVENT_READ; the device then raises the vector again when there is
 * more. Whoever suspects that an interrupt got lost calls figment_event_poll();
 * figment_watchdog.c does while jobs are in flight.
 *
 * User space can make the device send fence events, with RELEASE in a command
 * buffer. They lack the privileged bit: no job has ended, but somebody may wait
 * for what the RELEASE wrote. The ring exerts back-pressure, so they cost their
 * own queue most.
 */
#include <linux/bitfield.h>
#include <linux/dma-mapping.h>
#include <linux/error-injection.h>
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_event.h"
#include "figment_fault.h"
#include "figment_queue.h"
#include "figment_tlb.h"
#include "figment_trace.h"
#include "figment_user_fence.h"
#include "figment_watchdog.h"

#define FIGMENT_EVENTS_LG2	9
#define FIGMENT_EVENTS		BIT(FIGMENT_EVENTS_LG2)
/* An interrupt that has not come this long after its event is taken for lost. */
#define FIGMENT_EVENT_LATE_NS	(20 * NSEC_PER_MSEC)

static_assert(const_ilog2(FIGMENT_EVENTS) >= FIGMENT_EVENT_SIZE_LG2_MIN);
static_assert(const_ilog2(FIGMENT_EVENTS) <= FIGMENT_EVENT_SIZE_LG2_MAX);

static void figment_event_dispatch(struct figment_device *fdev, const struct figment_event *event)
{
	u16 type = le16_to_cpu(event->type);
	u16 hw_id = le16_to_cpu(event->queue);
	u32 detail = le32_to_cpu(event->detail);
	struct figment_queue *queue = NULL;

	switch (type) {
	case FIGMENT_EVENT_INVALIDATED:
		figment_tlb_acknowledge(fdev, le64_to_cpu(event->value));
		return;
	case FIGMENT_EVENT_FENCE:
		figment_user_fence_wake(fdev);
		if (!(detail & FIGMENT_EVENT_FENCE_PRIVILEGED))
			return;
		break;
	case FIGMENT_EVENT_FAULT:
	case FIGMENT_EVENT_QUEUE_ERROR:
		break;
	case FIGMENT_EVENT_PREEMPTED:
	case FIGMENT_EVENT_QUEUE_RESET:
		/* Who has asked for it watches QUEUE_STATE. */
		return;
	default:
		drm_err_ratelimited(&fdev->drm, "unexpected event %u of queue %u\n", type, hw_id);
		return;
	}

	guard(rcu)();
	if (hw_id < fdev->info.queues)
		queue = rcu_dereference(fdev->queues.slot[hw_id]);
	if (!queue)
		/* Torn down while the event was under way. */
		return;

	if (type == FIGMENT_EVENT_FENCE)
		figment_queue_retire(queue);
	else if (type == FIGMENT_EVENT_FAULT)
		figment_fault_report(queue, le64_to_cpu(event->value), detail);
	else
		figment_queue_stopped(queue);
}

/* The next entry, or NULL: the device has not written it yet. */
static struct figment_event *figment_event_next(struct figment_device *fdev)
{
	struct figment_event *entry = &fdev->events.ring[fdev->events.read % FIGMENT_EVENTS];

	lockdep_assert_held(&fdev->events.lock);

	if (le32_to_cpu(READ_ONCE(entry->seq)) != fdev->events.read + 1)
		return NULL;
	/* SEQ is written last by the device: read the rest after it. */
	dma_rmb();
	return entry;
}

static void figment_event_drain_locked(struct figment_device *fdev)
{
	u32 budget = FIGMENT_EVENTS;

	while (budget--) {
		struct figment_event *entry = figment_event_next(fdev);
		struct figment_event event;

		if (!entry)
			break;
		event = *entry;
		fdev->events.read++;
		trace_figment_event(fdev, fdev->events.read - 1, &event);
		figment_event_dispatch(fdev, &event);
	}
}

/* @kick: tell the device also if there was nothing, in case it believes the ring full. */
static void figment_event_drain(struct figment_device *fdev, bool kick)
{
	u32 start;

	guard(spinlock_irqsave)(&fdev->events.lock);
	start = fdev->events.read;
	figment_event_drain_locked(fdev);
	/* In reset the device has no ring. */
	if ((kick || fdev->events.read != start) && fdev->gate.level != FIGMENT_DOWN)
		figment_write32(fdev, FIGMENT_REG_EVENT_READ, fdev->events.read);
}

/**
 * figment_event_poll() - Read the event ring, in case an interrupt was lost.
 * @fdev: the device; the caller is inside drm_dev_enter()
 */
void figment_event_poll(struct figment_device *fdev)
{
	figment_event_drain(fdev, false);
}

/**
 * figment_event_age() - For how long the next event has waited to be read.
 * @fdev: the device; the caller is inside drm_dev_enter()
 *
 * Any context.
 *
 * Return: FIGMENT_EVENT_NONE, FIGMENT_EVENT_FRESH: its interrupt may be on its way, or
 * FIGMENT_EVENT_LATE.
 */
enum figment_event_age figment_event_age(struct figment_device *fdev)
{
	struct figment_event *entry;
	u64 age;

	guard(spinlock_irqsave)(&fdev->events.lock);
	entry = figment_event_next(fdev);
	if (!entry || fdev->gate.level == FIGMENT_DOWN)
		return FIGMENT_EVENT_NONE;
	age = figment_read64(fdev, FIGMENT_REG_TIME) - le64_to_cpu(entry->time_ns);
	return age < FIGMENT_EVENT_LATE_NS ? FIGMENT_EVENT_FRESH : FIGMENT_EVENT_LATE;
}

/**
 * figment_event_start_ring() - Give the device an empty event ring.
 * @fdev: the device, whose ring is off; event ring locked
 */
void figment_event_start_ring(struct figment_device *fdev)
{
	lockdep_assert_held(&fdev->events.lock);

	/* An old SEQ could look valid. */
	memset(fdev->events.ring, 0, FIGMENT_EVENTS * FIGMENT_EVENT_BYTES);
	fdev->events.read = 0;
	WRITE_ONCE(fdev->events.broken, false);
	figment_write64(fdev, FIGMENT_REG_EVENT_BASE, fdev->events.bus);
	/* writel() orders this after the zeros for the device. */
	figment_write32(fdev, FIGMENT_REG_EVENT_SIZE_LG2, FIGMENT_EVENTS_LG2);
}

/**
 * figment_event_mend_ring() - The device could not write to the ring: have it try again.
 * @fdev: the device; the caller is inside drm_dev_enter()
 *
 * Events that it could not write are still there. Any context.
 */
void figment_event_mend_ring(struct figment_device *fdev)
{
	if (!READ_ONCE(fdev->events.broken))
		return;

	guard(spinlock_irqsave)(&fdev->events.lock);
	if (fdev->gate.level == FIGMENT_DOWN)
		return;
	/* First off, then read: nothing may come in between. */
	figment_write32(fdev, FIGMENT_REG_EVENT_SIZE_LG2, 0);
	figment_event_drain_locked(fdev);
	figment_event_start_ring(fdev);
	atomic64_inc(&fdev->counts.rings_restarted);
}

static irqreturn_t figment_event_irq(int irq, void *data)
{
	struct figment_device *fdev = data;

	/* An event that figment_event_poll() has taken still raised its interrupt. */
	figment_event_drain(fdev, false);
	return IRQ_HANDLED;
}

/**
 * figment_event_check_error() - Look at the bits of ERROR, and do something about them.
 * @fdev: the device; the caller is inside drm_dev_enter()
 *
 * Any context, hard irq included.
 *
 * Return: false when the device does not answer.
 */
bool figment_event_check_error(struct figment_device *fdev)
{
	u32 error = figment_read32(fdev, FIGMENT_REG_ERROR);

	if (error == U32_MAX)
		return figment_device_is_down(fdev);
	if (!error)
		return true;

	figment_write32(fdev, FIGMENT_REG_ERROR, error);
	if (error & FIGMENT_ERROR_EVENT_FULL) {
		/* Not a fault: back-pressure at work. */
		drm_dbg_driver(&fdev->drm, "the event ring was full\n");
		error &= ~FIGMENT_ERROR_EVENT_FULL;
		figment_event_drain(fdev, true);
	}
	if (error & FIGMENT_ERROR_EVENT_BUS) {
		/* Not at once: whatever the reason is, it may take its time. */
		WRITE_ONCE(fdev->events.broken, true);
		figment_watchdog_arm(fdev);
	}
	if (error)
		drm_err_ratelimited(&fdev->drm, "device error:%s%s%s (0x%x)\n",
				    error & FIGMENT_ERROR_EVENT_BUS ? " event ring" : "",
				    error & FIGMENT_ERROR_INVAL_FULL ? " invalidation refused" : "",
				    error & FIGMENT_ERROR_DESC_BUS ? " descriptor" : "", error);
	return true;
}

static irqreturn_t figment_error_irq(int irq, void *data)
{
	figment_event_check_error(data);
	/* Also without a cause: nobody else has this vector, who could be meant. */
	return IRQ_HANDLED;
}

/**
 * figment_event_init() - Allocate the event ring.
 * @fdev: the device
 * @pdev: its PCI function
 *
 * Return: 0, or a negative errno.
 */
int figment_event_init(struct figment_device *fdev, struct pci_dev *pdev)
{
	spin_lock_init(&fdev->events.lock);
	fdev->events.ring = dmam_alloc_coherent(&pdev->dev, FIGMENT_EVENTS * FIGMENT_EVENT_BYTES,
						&fdev->events.bus, GFP_KERNEL);
	return fdev->events.ring ? 0 : -ENOMEM;
}
ALLOW_ERROR_INJECTION(figment_event_init, ERRNO);

/**
 * figment_event_request_irqs() - Let the interrupts in.
 * @fdev: the device, ready to handle events
 * @pdev: its PCI function
 *
 * Return: 0, or a negative errno.
 */
int figment_event_request_irqs(struct figment_device *fdev, struct pci_dev *pdev)
{
	int ret;

	ret = pci_alloc_irq_vectors(pdev, FIGMENT_VECTORS, FIGMENT_VECTORS, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;

	ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, FIGMENT_VECTOR_EVENTS),
			       figment_event_irq, 0, "figment-events", fdev);
	if (ret)
		return ret;

	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, FIGMENT_VECTOR_ERROR),
				figment_error_irq, 0, "figment-error", fdev);
}
ALLOW_ERROR_INJECTION(figment_event_request_irqs, ERRNO);
