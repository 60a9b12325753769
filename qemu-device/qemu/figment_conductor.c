/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The conductor of a deterministic machine. With -icount the virtual CPUs run
 * in turns, and a turn ends no later than the next timer of the virtual clock.
 * The conductor has such timers, and so decides without being seen:
 *
 *   turn-min-ns, turn-max-ns, seed   when turns end: each seed interleaves the
 *                                    CPUs in another way
 *   pause-at-mark                    the machine stops, to be saved, where the
 *                                    guest writes to the I/O port `port`
 *   stop-ns                          the machine stops at that virtual time
 *   limit-ns                         and QEMU ends after so much of it
 *
 * Whatever stops the machine does so at an exact instruction: no CPU executes
 * another one. Read-only properties say which: instructions, virtual-ns.
 *
 * The guest sees no state of it, so none is in the migration stream, and a
 * restored machine has the turns of its own seed.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "hw/isa/isa.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object.h"
#include "system/cpu-timers.h"
#include "system/runstate.h"

#define TYPE_FIGMENT_CONDUCTOR "figment-conductor"
OBJECT_DECLARE_SIMPLE_TYPE(FigmentConductorState, FIGMENT_CONDUCTOR)

/* Beside the debug port 0xe9, which carries what the guest has to say. */
#define FIGMENT_CONDUCTOR_PORT 0xea

struct FigmentConductorState {
    ISADevice parent_obj;

    MemoryRegion io;
    QEMUTimer *turn;
    QEMUTimer *stop;
    QEMUTimer *limit;
    VMChangeStateEntry *vm_state;
    GRand *random;
    bool started;

    /* Properties. */
    uint32_t port;
    bool pause_at_mark;
    uint64_t seed;
    uint64_t turn_min_ns;
    uint64_t turn_max_ns; /* 0: turns end where they do anyway */
    uint64_t stop_ns;     /* 0: never */
    uint64_t limit_ns;    /* 0: none */
};

static int64_t figment_conductor_now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/*
 * With the BQL. Keeps every CPU from executing more, before the main loop gets
 * to know that the machine is to stop: that would be some time later.
 */
static void figment_conductor_freeze(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu->stop = true;
        qemu_cpu_kick(cpu);
    }
}

static void figment_conductor_pause(void)
{
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_PAUSED);
    figment_conductor_freeze();
}

static void figment_conductor_turn(void *opaque)
{
    FigmentConductorState *s = opaque;
    double span = s->turn_max_ns - s->turn_min_ns;
    uint64_t delay = s->turn_min_ns + (uint64_t)(g_rand_double(s->random) * span);

    timer_mod(s->turn, figment_conductor_now() + MAX(delay, 1));
}

static void figment_conductor_stop(void *opaque)
{
    figment_conductor_pause();
}

static void figment_conductor_limit(void *opaque)
{
    FigmentConductorState *s = opaque;

    error_report("the guest did not end within %" PRIu64 " ms of its time",
                 s->limit_ns / SCALE_MS);
    qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_ERROR);
    figment_conductor_freeze();
}

/* Timers begin with the machine: a restored one has its time by then. */
static void figment_conductor_vm_state(void *opaque, bool running,
                                       RunState state)
{
    FigmentConductorState *s = opaque;

    if (!running || s->started) {
        return;
    }
    s->started = true;
    if (s->turn_max_ns) {
        figment_conductor_turn(s);
    }
    if (s->stop_ns) {
        timer_mod(s->stop, s->stop_ns);
    }
    if (s->limit_ns) {
        timer_mod(s->limit, figment_conductor_now() + s->limit_ns);
    }
}

static uint64_t figment_conductor_read(void *opaque, hwaddr offset,
                                       unsigned int size)
{
    return 0;
}

static void figment_conductor_write(void *opaque, hwaddr offset,
                                    uint64_t value, unsigned int size)
{
    FigmentConductorState *s = opaque;

    if (s->pause_at_mark) {
        figment_conductor_pause();
    }
}

static const MemoryRegionOps figment_conductor_ops = {
    .read = figment_conductor_read,
    .write = figment_conductor_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 1 },
};

static void figment_conductor_realize(DeviceState *dev, Error **errp)
{
    FigmentConductorState *s = FIGMENT_CONDUCTOR(dev);

    if (!icount_enabled()) {
        error_setg(errp, "a conductor needs -icount");
        return;
    }
    if (s->turn_min_ns > s->turn_max_ns || s->port > UINT16_MAX) {
        error_setg(errp, "turn-min-ns must not exceed turn-max-ns, nor port"
                   " 0xffff");
        return;
    }
    s->random = g_rand_new_with_seed_array((const guint32 *)&s->seed, 2);
    /*
     * "External": it ends turns, and does not keep a machine awake whose CPUs
     * are all idle. That goes to its next other timer at once.
     */
    s->turn = timer_new_full(NULL, QEMU_CLOCK_VIRTUAL, SCALE_NS,
                             QEMU_TIMER_ATTR_EXTERNAL, figment_conductor_turn,
                             s);
    s->stop = timer_new_ns(QEMU_CLOCK_VIRTUAL, figment_conductor_stop, s);
    s->limit = timer_new_ns(QEMU_CLOCK_VIRTUAL, figment_conductor_limit, s);
    s->vm_state = qemu_add_vm_change_state_handler(figment_conductor_vm_state,
                                                   s);
    memory_region_init_io(&s->io, OBJECT(s), &figment_conductor_ops, s,
                          TYPE_FIGMENT_CONDUCTOR, 1);
    isa_register_ioport(ISA_DEVICE(dev), &s->io, s->port);
}

static void figment_conductor_get_instructions(Object *obj, Visitor *v,
                                               const char *name, void *opaque,
                                               Error **errp)
{
    int64_t instructions = icount_get_raw();

    visit_type_int64(v, name, &instructions, errp);
}

static void figment_conductor_get_virtual_ns(Object *obj, Visitor *v,
                                             const char *name, void *opaque,
                                             Error **errp)
{
    int64_t ns = figment_conductor_now();

    visit_type_int64(v, name, &ns, errp);
}

static const Property figment_conductor_properties[] = {
    DEFINE_PROP_UINT32("port", FigmentConductorState, port,
                       FIGMENT_CONDUCTOR_PORT),
    DEFINE_PROP_BOOL("pause-at-mark", FigmentConductorState, pause_at_mark,
                     false),
    DEFINE_PROP_UINT64("seed", FigmentConductorState, seed, 0),
    DEFINE_PROP_UINT64("turn-min-ns", FigmentConductorState, turn_min_ns, 0),
    DEFINE_PROP_UINT64("turn-max-ns", FigmentConductorState, turn_max_ns, 0),
    DEFINE_PROP_UINT64("stop-ns", FigmentConductorState, stop_ns, 0),
    DEFINE_PROP_UINT64("limit-ns", FigmentConductorState, limit_ns, 0),
};

static void figment_conductor_class_init(ObjectClass *class, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);

    dc->realize = figment_conductor_realize;
    dc->desc = "conducts a deterministic machine";
    /* Part of the machine's life: it never goes. */
    dc->hotpluggable = false;
    device_class_set_props(dc, figment_conductor_properties);
    object_class_property_add(class, "instructions", "int64",
                              figment_conductor_get_instructions, NULL, NULL,
                              NULL);
    object_class_property_add(class, "virtual-ns", "int64",
                              figment_conductor_get_virtual_ns, NULL, NULL,
                              NULL);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo figment_conductor_types[] = {
    {
        .name = TYPE_FIGMENT_CONDUCTOR,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(FigmentConductorState),
        .class_init = figment_conductor_class_init,
    },
};

DEFINE_TYPES(figment_conductor_types)
