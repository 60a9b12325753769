/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Figment: a virtual GPU. This is the PCI function around the model library:
 * properties, BARs, MSI-X, reset. docs/hardware.md describes the device.
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "qemu/guest-random.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "figment_internal.h"

#define FIGMENT_BAR_MSIX 1
#define FIGMENT_PCIE_CAP_OFFSET 0x80
/* executor=clock: so that a busy GPU leaves time for the vCPUs. */
#define FIGMENT_TICK_NS 1000
#define FIGMENT_VRAM_MIN (1 * MiB)
#define FIGMENT_VRAM_MAX (64 * GiB)

static uint64_t figment_registers_read(void *opaque, hwaddr offset,
                                       unsigned int size)
{
    FigmentState *s = opaque;
    uint64_t value;

    figment_executor_enter(s);
    value = s->api->register_read(s->model, offset, size);
    figment_executor_leave(s, false);
    return value;
}

static void figment_registers_write(void *opaque, hwaddr offset,
                                    uint64_t value, unsigned int size)
{
    FigmentState *s = opaque;

    figment_executor_enter(s);
    s->api->register_write(s->model, offset, value, size);
    figment_executor_leave(s, true);
}

static uint64_t figment_doorbells_read(void *opaque, hwaddr offset,
                                       unsigned int size)
{
    FigmentState *s = opaque;
    uint64_t value;

    figment_executor_enter(s);
    value = s->api->doorbell_read(s->model, offset, size);
    figment_executor_leave(s, false);
    return value;
}

static void figment_doorbells_write(void *opaque, hwaddr offset,
                                    uint64_t value, unsigned int size)
{
    FigmentState *s = opaque;

    figment_executor_enter(s);
    s->api->doorbell_write(s->model, offset, value, size);
    figment_executor_leave(s, true);
}

/* The model judges width and alignment: it counts what the guest gets wrong. */
static const MemoryRegionOps figment_registers_ops = {
    .read = figment_registers_read,
    .write = figment_registers_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static const MemoryRegionOps figment_doorbells_ops = {
    .read = figment_doorbells_read,
    .write = figment_doorbells_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/* Properties of the form N or MIN-MAX, and where they go. */
static const struct {
    const char *property;
    size_t offset;
    uint64_t min;
    uint64_t max;
} figment_ranges[] = {
    { "doorbell-ns", offsetof(FigmentState, config.doorbell), 0, UINT64_MAX },
    { "invalidate-ns", offsetof(FigmentState, config.invalidate), 0, UINT64_MAX },
    { "access-ns", offsetof(FigmentState, config.access), 0, UINT64_MAX },
    { "event-ns", offsetof(FigmentState, config.event), 0, UINT64_MAX },
    { "interrupt-ns", offsetof(FigmentState, config.interrupt), 0, UINT64_MAX },
    /* A tick that costs nothing would stop the virtual clock. */
    { "tick-ns", offsetof(FigmentState, executor.tick), 1, NANOSECONDS_PER_SECOND },
    { "step-bytes", offsetof(FigmentState, step), 64, 1 * MiB },
    { "preempt-ns", offsetof(FigmentState, config.preemption), 0, UINT64_MAX },
};
QEMU_BUILD_BUG_ON(ARRAY_SIZE(figment_ranges) !=
                  ARRAY_SIZE(((FigmentState *)0)->range));

static bool figment_parse_range(const char *text, struct figment_latency *range)
{
    const char *end;

    if (qemu_strtou64(text, &end, 10, &range->min_ns)) {
        return false;
    }
    if (*end == '\0') {
        range->max_ns = range->min_ns;
        return true;
    }
    return *end == '-' &&
           !qemu_strtou64(end + 1, NULL, 10, &range->max_ns) &&
           range->min_ns <= range->max_ns;
}

static bool figment_parse_config(FigmentState *s, Error **errp)
{
    static const char *const preempt[] = {
        [FIGMENT_PREEMPT_NONE] = "none",
        [FIGMENT_PREEMPT_COMMAND] = "command",
        [FIGMENT_PREEMPT_INSTRUCTION] = "instruction",
    };

    for (size_t i = 0; i < ARRAY_SIZE(figment_ranges); i++) {
        struct figment_latency *range = (void *)s + figment_ranges[i].offset;

        if (s->range[i] && (!figment_parse_range(s->range[i], range) ||
                            range->min_ns < figment_ranges[i].min ||
                            range->max_ns > figment_ranges[i].max)) {
            error_setg(errp, "%s=%s: must be N or MIN-MAX, from %" PRIu64
                       " to %" PRIu64, figment_ranges[i].property, s->range[i],
                       figment_ranges[i].min, figment_ranges[i].max);
            return false;
        }
    }
    s->config.step_bytes_min = s->step.min_ns;
    s->config.step_bytes = s->step.max_ns;
    if (s->preempt_name) {
        size_t i = 0;

        while (i < ARRAY_SIZE(preempt) &&
               !g_str_equal(preempt[i], s->preempt_name)) {
            i++;
        }
        if (i == ARRAY_SIZE(preempt)) {
            error_setg(errp, "preempt=%s: must be none, command or instruction",
                       s->preempt_name);
            return false;
        }
        s->config.preempt = i;
    }
    if (!is_power_of_2(s->vram_bytes) || s->vram_bytes < FIGMENT_VRAM_MIN ||
        s->vram_bytes > FIGMENT_VRAM_MAX) {
        error_setg(errp, "vram=%" PRIu64 ": must be a power of two from 1M to"
                   " 64G", s->vram_bytes);
        return false;
    }
    return true;
}

static bool figment_load_model(FigmentState *s, Error **errp)
{
    const struct figment_model_api *(*get_api)(uint32_t abi);

    s->library = dlopen(s->model_path, RTLD_NOW | RTLD_LOCAL);
    if (!s->library) {
        error_setg(errp, "model=%s: %s", s->model_path, dlerror());
        return false;
    }
    get_api = dlsym(s->library, "figment_model_api");
    s->api = get_api ? get_api(FIGMENT_MODEL_ABI) : NULL;
    if (!s->api) {
        error_setg(errp, "model=%s: not a Figment model of ABI %u",
                   s->model_path, FIGMENT_MODEL_ABI);
        return false;
    }
    return true;
}

static bool figment_create_model(FigmentState *s, Error **errp)
{
    struct figment_model_host host = figment_host(s);
    char error[256] = "";

    s->random_state = s->random_seed = s->seed;
    if (!s->seed) {
        /* Follows -seed, when that is given. */
        qemu_guest_getrandom_nofail(&s->random_state, sizeof(s->random_state));
    }
    s->model = s->api->create(&s->config, &host, error, sizeof(error));
    if (!s->model) {
        error_setg(errp, "%s", error);
        return false;
    }
    return true;
}

static void figment_exit(PCIDevice *pci)
{
    FigmentState *s = FIGMENT(pci);

    figment_executor_stop(s);
    s->api->destroy(s->model);
    s->model = NULL;
    msix_uninit_exclusive_bar(pci);
    pcie_cap_exit(pci);
    figment_trace_close(s);
    dlclose(s->library);
}

static void figment_realize(PCIDevice *pci, Error **errp)
{
    FigmentState *s = FIGMENT(pci);
    uint64_t doorbell_bytes;

    if (!figment_parse_config(s, errp) || !figment_load_model(s, errp)) {
        return;
    }
    if (!figment_trace_open(s, errp)) {
        goto unload;
    }
    if (!memory_region_init_ram(&s->vram, OBJECT(s), "figment-vram",
                                s->vram_bytes, errp) ||
        !figment_create_model(s, errp)) {
        goto unload;
    }
    /* The model has accepted the number of queues. */
    doorbell_bytes = pow2ceil(s->config.queues) * FIGMENT_DOORBELL_BYTES;
    memory_region_init_io(&s->registers, OBJECT(s), &figment_registers_ops, s,
                          "figment-registers", FIGMENT_REGISTERS_BYTES);
    memory_region_init_io(&s->doorbells, OBJECT(s), &figment_doorbells_ops, s,
                          "figment-doorbells", doorbell_bytes);
    if (msix_init_exclusive_bar(pci, FIGMENT_VECTORS, FIGMENT_BAR_MSIX, errp)) {
        goto destroy;
    }
    for (unsigned int v = 0; v < FIGMENT_VECTORS; v++) {
        msix_vector_use(pci, v);
    }
    if (pcie_endpoint_cap_init(pci, FIGMENT_PCIE_CAP_OFFSET) < 0) {
        error_setg(errp, "cannot add the PCI Express capability");
        goto uninit_msix;
    }
    pcie_cap_flr_init(pci);
    if (!figment_executor_start(s, errp)) {
        goto exit_pcie;
    }
    pci_register_bar(pci, FIGMENT_BAR_REGISTERS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->registers);
    pci_register_bar(pci, FIGMENT_BAR_VRAM,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->vram);
    pci_register_bar(pci, FIGMENT_BAR_DOORBELLS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->doorbells);
    return;

exit_pcie:
    pcie_cap_exit(pci);
uninit_msix:
    msix_uninit_exclusive_bar(pci);
destroy:
    s->api->destroy(s->model);
    s->model = NULL;
unload:
    figment_trace_close(s);
    dlclose(s->library);
    s->library = NULL;
}

static uint32_t figment_config_read(PCIDevice *pci, uint32_t address, int bytes)
{
    if (figment_removed(FIGMENT(pci))) {
        return MAKE_64BIT_MASK(0, bytes * 8);
    }
    return pci_default_read_config(pci, address, bytes);
}

static void figment_config_write(PCIDevice *pci, uint32_t address,
                                 uint32_t value, int bytes)
{
    if (figment_removed(FIGMENT(pci))) {
        return;
    }
    pci_default_write_config(pci, address, value, bytes);
    pcie_cap_flr_write_config(pci, address, value, bytes);
}

static void figment_reset_hold(Object *obj, ResetType type)
{
    figment_executor_reset(FIGMENT(obj));
}

static void figment_instance_init(Object *obj)
{
    FigmentState *s = FIGMENT(obj);

    /* Found by the dynamic linker's rules, beside QEMU or in its path. */
    s->model_path = g_strdup("libfigment-model.so");
    s->executor.tick.min_ns = s->executor.tick.max_ns = FIGMENT_TICK_NS;
    s->step.min_ns = s->step.max_ns = FIGMENT_MODEL_DEFAULT_STEP_BYTES;
}

#define CONFIG(field) config.field
static const Property figment_properties[] = {
    DEFINE_PROP_STRING("model", FigmentState, model_path),
    DEFINE_PROP_STRING("executor", FigmentState, executor_name),
    DEFINE_PROP_STRING("trace", FigmentState, trace_path),
    DEFINE_PROP_SIZE("vram", FigmentState, vram_bytes, 256 * MiB),
    DEFINE_PROP_UINT32("engines", FigmentState, CONFIG(engines),
                       FIGMENT_MODEL_DEFAULT_ENGINES),
    DEFINE_PROP_UINT32("queues", FigmentState, CONFIG(queues),
                       FIGMENT_MODEL_DEFAULT_QUEUES),
    DEFINE_PROP_UINT32("asids", FigmentState, CONFIG(asids),
                       FIGMENT_MODEL_DEFAULT_ASIDS),
    DEFINE_PROP_UINT32("va-bits", FigmentState, CONFIG(va_bits),
                       FIGMENT_MODEL_DEFAULT_VA_BITS),
    DEFINE_PROP_STRING("preempt", FigmentState, preempt_name),
    DEFINE_PROP_BOOL("faults", FigmentState, CONFIG(faults), false),
    DEFINE_PROP_BOOL("inject", FigmentState, CONFIG(inject), false),
    DEFINE_PROP_UINT32("tlb-entries", FigmentState, CONFIG(tlb_entries),
                       FIGMENT_MODEL_DEFAULT_TLB_ENTRIES),
    DEFINE_PROP_UINT32("walk-cache-entries", FigmentState,
                       CONFIG(walk_cache_entries),
                       FIGMENT_MODEL_DEFAULT_WALK_CACHE_ENTRIES),
    DEFINE_PROP_UINT32("prefetch-pages", FigmentState, CONFIG(prefetch_pages),
                       FIGMENT_MODEL_DEFAULT_PREFETCH_PAGES),
    DEFINE_PROP_UINT64("retention-ns", FigmentState, CONFIG(retention_ns),
                       FIGMENT_MODEL_DEFAULT_RETENTION_NS),
    DEFINE_PROP_UINT64("bytes-per-us", FigmentState, CONFIG(bytes_per_us),
                       FIGMENT_MODEL_DEFAULT_BYTES_PER_US),
    DEFINE_PROP_UINT64("timeslice-ns", FigmentState, CONFIG(timeslice_ns),
                       FIGMENT_MODEL_DEFAULT_TIMESLICE_NS),
    DEFINE_PROP_UINT64("poll-ns", FigmentState, CONFIG(poll_ns),
                       FIGMENT_MODEL_DEFAULT_POLL_NS),
    DEFINE_PROP_STRING("doorbell-ns", FigmentState, range[0]),
    DEFINE_PROP_STRING("invalidate-ns", FigmentState, range[1]),
    DEFINE_PROP_STRING("access-ns", FigmentState, range[2]),
    DEFINE_PROP_STRING("event-ns", FigmentState, range[3]),
    DEFINE_PROP_STRING("interrupt-ns", FigmentState, range[4]),
    DEFINE_PROP_STRING("tick-ns", FigmentState, range[5]),
    DEFINE_PROP_STRING("step-bytes", FigmentState, range[6]),
    DEFINE_PROP_STRING("preempt-ns", FigmentState, range[7]),
    DEFINE_PROP_UINT64("seed", FigmentState, seed, 0),
};

static void figment_class_init(ObjectClass *class, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(class);
    ResettableClass *rc = RESETTABLE_CLASS(class);

    k->realize = figment_realize;
    k->exit = figment_exit;
    k->config_read = figment_config_read;
    k->config_write = figment_config_write;
    k->vendor_id = FIGMENT_PCI_VENDOR_ID;
    k->device_id = FIGMENT_PCI_DEVICE_ID;
    k->class_id = FIGMENT_PCI_CLASS >> 8;
    k->revision = 1;
    rc->phases.hold = figment_reset_hold;
    dc->vmsd = &figment_vmstate;
    dc->desc = "Figment virtual GPU";
    device_class_set_props(dc, figment_properties);
    figment_injection_class_init(class);
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
}

static const TypeInfo figment_types[] = {
    {
        .name = TYPE_FIGMENT,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(FigmentState),
        .instance_init = figment_instance_init,
        .class_init = figment_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(figment_types)
