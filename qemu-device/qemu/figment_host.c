/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the Figment model sees of the machine: guest memory, time, randomness,
 * traces. Called with the model lock held, from the device thread (without
 * the BQL, unless there is an IOMMU) or from a vCPU or timer (with it), always
 * inside an RCU read-side section that figment_executor.c opens.
 *
 * The device reaches guest RAM only. An access to another device's registers
 * would need the BQL, and the holder of the BQL may be waiting for the model
 * lock; so peer-to-peer to MMIO answers as memory that is not there.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "figment_internal.h"
#include "trace.h"

/* Host address of guest RAM at @bus, or NULL; *@bytes shrinks to what is there. */
static void *figment_ram(FigmentState *s, uint64_t bus, size_t *bytes,
                         bool is_write)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;
    hwaddr length = *bytes;
    hwaddr offset;
    MemoryRegion *mr;

    mr = address_space_translate(as, bus, &offset, &length, is_write, attrs);
    if (!length || !memory_access_is_direct(mr, is_write, attrs)) {
        return NULL;
    }
    *bytes = length;
    /* Given back by address_space_unmap(). */
    memory_region_ref(mr);
    return qemu_map_ram_ptr(mr->ram_block, offset);
}

static void *figment_host_map(void *opaque, uint64_t bus, size_t *bytes,
                              bool for_write)
{
    return figment_ram(opaque, bus, bytes, for_write);
}

static void figment_host_unmap(void *opaque, void *pointer, size_t bytes,
                               bool for_write, size_t touched)
{
    FigmentState *s = opaque;

    /* Marks pages dirty and drops translated code on them. */
    address_space_unmap(pci_get_address_space(PCI_DEVICE(s)), pointer, bytes,
                        for_write, touched);
}

static bool figment_transfer(FigmentState *s, uint64_t bus, void *buffer,
                             size_t bytes, bool is_write)
{
    while (bytes) {
        size_t part = bytes;
        void *ram = figment_ram(s, bus, &part, is_write);

        if (!ram) {
            return false;
        }
        if (is_write) {
            memcpy(ram, buffer, part);
        } else {
            memcpy(buffer, ram, part);
        }
        figment_host_unmap(s, ram, part, is_write, is_write ? part : 0);
        buffer = (char *)buffer + part;
        bus += part;
        bytes -= part;
    }
    return true;
}

static bool figment_host_read(void *opaque, uint64_t bus, void *to,
                              size_t bytes)
{
    return figment_transfer(opaque, bus, to, bytes, false);
}

static bool figment_host_write(void *opaque, uint64_t bus, const void *from,
                               size_t bytes)
{
    return figment_transfer(opaque, bus, (void *)from, bytes, true);
}

static void figment_host_vram_touched(void *opaque, uint64_t offset,
                                      size_t bytes)
{
    FigmentState *s = opaque;

    memory_region_set_dirty(&s->vram, offset, bytes);
}

static void figment_host_interrupt(void *opaque, unsigned int vector)
{
    FigmentState *s = opaque;

    if (vector < FIGMENT_VECTORS) {
        s->executor.interrupts |= 1u << vector;
    }
}

static uint64_t figment_host_now(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* SplitMix64: the stream is a function of the property `seed` alone. */
uint64_t figment_random(FigmentState *s)
{
    uint64_t z = s->random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t figment_host_random(void *opaque)
{
    return figment_random(opaque);
}

static void figment_host_trace(void *opaque, unsigned int event, uint64_t a,
                               uint64_t b, uint64_t c, uint64_t d)
{
    figment_trace_write(opaque, event, a, b, c, d);
    switch ((enum figment_trace)event) {
    case FIGMENT_TRACE_DOORBELL:
        trace_figment_doorbell(opaque, a, b);
        break;
    case FIGMENT_TRACE_QUEUE_STATE:
        trace_figment_queue_state(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_SCHEDULE:
        trace_figment_schedule(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_DESCHEDULE:
        trace_figment_deschedule(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_PACKET:
        trace_figment_packet(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_RETIRE:
        trace_figment_retire(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_WALK:
        trace_figment_walk(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_TLB_HIT:
        trace_figment_tlb_hit(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_PREFETCH:
        trace_figment_prefetch(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_INVALIDATE:
        trace_figment_invalidate(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_INVALIDATED:
        trace_figment_invalidated(opaque, a);
        break;
    case FIGMENT_TRACE_EVENT:
        trace_figment_event(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_INTERRUPT:
        trace_figment_interrupt(opaque, a);
        break;
    case FIGMENT_TRACE_RESET:
        trace_figment_reset(opaque);
        break;
    case FIGMENT_TRACE_FAULT:
        trace_figment_fault(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_QUEUE_ERROR:
        trace_figment_queue_error(opaque, a, b, c);
        break;
    case FIGMENT_TRACE_EVENT_STALL:
        trace_figment_event_stall(opaque, a, b);
        break;
    case FIGMENT_TRACE_INJECTED:
        trace_figment_injected(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_GUEST_ERROR:
        trace_figment_guest_error(opaque, a, b, c, d);
        break;
    case FIGMENT_TRACE_COUNT:
        break;
    }
}

struct figment_model_host figment_host(FigmentState *s)
{
    return (struct figment_model_host) {
        .opaque = s,
        .read = figment_host_read,
        .write = figment_host_write,
        .map = figment_host_map,
        .unmap = figment_host_unmap,
        .vram = memory_region_get_ram_ptr(&s->vram),
        .vram_bytes = s->vram_bytes,
        .vram_touched = figment_host_vram_touched,
        .interrupt = figment_host_interrupt,
        .now = figment_host_now,
        .random = figment_host_random,
        .trace = figment_host_trace,
    };
}
