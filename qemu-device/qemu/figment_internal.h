/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's side of the Figment GPU: what its files share.
 *
 *   figment.c           the PCI function: properties, BARs, reset
 *   figment_host.c      what the model sees of the machine
 *   figment_injection.c misbehaviour, armed while the machine runs
 *   figment_state.c     save and restore
 *   figment_executor.c  who runs the model, and the lock around it
 *   figment_trace.c     the device trace in a file
 *
 * The GPU itself is the model library behind figment/figment_model.h; there is
 * none of its behaviour here.
 */
#ifndef HW_FIGMENT_INTERNAL_H
#define HW_FIGMENT_INTERNAL_H

#include "hw/pci/pci_device.h"
#include "migration/vmstate.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qom/object.h"
#include "figment_hw.h"
#include "figment/figment_model.h"

#define TYPE_FIGMENT "figment"
OBJECT_DECLARE_SIMPLE_TYPE(FigmentState, FIGMENT)

typedef enum FigmentExecutorKind {
    /* A thread of the device, outside the big QEMU lock. */
    FIGMENT_EXECUTOR_THREAD,
    /* A timer on the virtual clock: deterministic with -icount. */
    FIGMENT_EXECUTOR_CLOCK,
} FigmentExecutorKind;

/*
 * The model lock is taken inside the big QEMU lock (BQL) and held for at most
 * one small step. Whoever holds it never waits for the BQL: interrupts are noted
 * in `interrupts` and delivered after the model lock is dropped, and guest
 * memory is reached as RAM only (figment_host.c).
 */
typedef struct FigmentExecutor {
    FigmentExecutorKind kind;
    GMutex lock;
    GCond wake;
    QemuThread thread;
    QEMUTimer *timer;
    VMChangeStateEntry *vm_state;
    /*
     * Vectors raised by the model and not delivered yet. Added under `lock`,
     * taken under the BQL and `lock`, and only while the VM runs: so none is
     * on its way, outside of here, when the state is saved.
     */
    uint32_t interrupts;
    /* When the model wants to run, in device time; under `lock`. */
    uint64_t next_ns;
    /* executor=clock: virtual time that a tick costs, drawn for each. */
    struct figment_latency tick;
    /* vCPUs that want `lock`: the thread lets them in between two steps. */
    int waiters;
    /* The thread takes the BQL for each step; constant. */
    bool behind_iommu;
    bool sleeping; /* under `lock` */
    bool running;  /* the VM runs; under `lock` */
    bool stopping; /* under `lock` */
} FigmentExecutor;

struct FigmentState {
    PCIDevice parent_obj;

    MemoryRegion registers;
    MemoryRegion vram;
    MemoryRegion doorbells;

    const struct figment_model_api *api;
    struct figment_model *model;
    void *library; /* dlopen() handle */
    FigmentExecutor executor;
    uint64_t random_state;
    uint64_t random_seed; /* where random_state comes from; 0: from -seed */

    /* Only while state is saved or loaded, figment_state.c. */
    uint8_t *stream; /* of the model */
    uint32_t stream_bytes;
    int64_t tick_at_ns; /* when the timer goes off, or -1 */
    FILE *trace_file; /* NULL: none */
    VMChangeStateEntry *trace_vm_state;

    /* Properties. */
    struct figment_model_config config;
    struct figment_latency step; /* bytes, not ns */
    uint64_t vram_bytes;
    uint64_t seed;
    char *model_path;
    char *executor_name;
    char *trace_path; /* NULL: no trace in a file */
    char *preempt_name;
    char *range[8]; /* in the order of figment_ranges[] */
};

/* figment_host.c */
struct figment_model_host figment_host(FigmentState *s);
/* 64 random bits; with the model lock. */
uint64_t figment_random(FigmentState *s);

/* figment_injection.c */
void figment_injection_class_init(ObjectClass *class);
/* A rule has removed the device; with the BQL. */
bool figment_removed(FigmentState *s);

/* figment_state.c */
extern const VMStateDescription figment_vmstate;

/* figment_executor.c: all with the BQL held. */
bool figment_executor_start(FigmentState *s, Error **errp);
void figment_executor_stop(FigmentState *s);
void figment_executor_reset(FigmentState *s);
/* `interrupts`, `next_ns` and `tick_at_ns` are what was saved: go on from there. */
void figment_executor_restore(FigmentState *s);
/*
 * Brackets around a call into the model that a guest access or a command of the
 * monitor makes: lock, and unlock with delivery of what it raised, if the VM
 * runs. `may_work`: the model may have something to run now.
 */
void figment_executor_enter(FigmentState *s);
void figment_executor_leave(FigmentState *s, bool may_work);

/* figment_trace.c */
bool figment_trace_open(FigmentState *s, Error **errp);
void figment_trace_close(FigmentState *s);
void figment_trace_write(FigmentState *s, unsigned int event, uint64_t a,
                         uint64_t b, uint64_t c, uint64_t d);

#endif
