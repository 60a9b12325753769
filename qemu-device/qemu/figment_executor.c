/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who runs the Figment model, and the lock around it.
 *
 * executor=thread: a thread of the device runs the model without the BQL, one
 * small step at a time, and lets a vCPU that wants a register in between. Behind
 * an IOMMU it takes the BQL for each step: a translation that fails raises an
 * interrupt of the IOMMU, from wherever it was asked for.
 * executor=clock: a timer on the virtual clock runs it; with -icount the whole
 * machine is then deterministic.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/processor.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "hw/pci/msix.h"
#include "qapi/error.h"
#include "system/runstate.h"
#include "figment_internal.h"

/* Below this, waiting is cheaper by looking again than by sleeping. */
#define FIGMENT_SHORT_WAIT_NS 30000

/* With executor=clock: how much work a timer tick does. */
#define FIGMENT_TICK_STEPS 16

static uint64_t figment_now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static uint32_t figment_take_interrupts(FigmentExecutor *x)
{
    uint32_t interrupts = x->interrupts;

    x->interrupts = 0;
    return interrupts;
}

/* With the BQL, without the model lock. */
static void figment_deliver(FigmentState *s, uint32_t interrupts)
{
    for (unsigned int v = 0; interrupts; v++, interrupts >>= 1) {
        if (interrupts & 1) {
            msix_notify(PCI_DEVICE(s), v);
        }
    }
}

/* With the model lock. */
static void figment_run(FigmentState *s, uint64_t steps)
{
    RCU_READ_LOCK_GUARD();

    s->executor.next_ns = s->api->run(s->model, steps).next_ns;
}

/* With the BQL: what was raised is delivered, if the VM runs. */
static void figment_deliver_pending(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;
    uint32_t interrupts;

    g_mutex_lock(&x->lock);
    interrupts = x->running ? figment_take_interrupts(x) : 0;
    g_mutex_unlock(&x->lock);
    figment_deliver(s, interrupts);
}

/* With the model lock: the end of a tick that begins now. */
static uint64_t figment_tick_end(FigmentState *s)
{
    const struct figment_latency *tick = &s->executor.tick;
    uint64_t ns = tick->min_ns;

    if (tick->max_ns != tick->min_ns) {
        ns += figment_random(s) % (tick->max_ns - tick->min_ns + 1);
    }
    return figment_now() + ns;
}

/* With the lock, which is dropped while waiting. */
static void figment_thread_wait(FigmentExecutor *x)
{
    uint64_t now;
    uint64_t delay;

    if (!x->running || x->next_ns == FIGMENT_MODEL_NEVER) {
        x->sleeping = true;
        g_cond_wait(&x->wake, &x->lock);
        x->sleeping = false;
        return;
    }
    now = figment_now();
    delay = x->next_ns > now ? x->next_ns - now : 0;
    if (delay < FIGMENT_SHORT_WAIT_NS) {
        g_mutex_unlock(&x->lock);
        cpu_relax();
        g_thread_yield();
        g_mutex_lock(&x->lock);
        return;
    }
    x->sleeping = true;
    g_cond_wait_until(&x->wake, &x->lock,
                      g_get_monotonic_time() + delay / 1000);
    x->sleeping = false;
}

/* With the lock, which is dropped in between: the BQL comes before it. */
static void figment_step_with_bql(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;

    g_mutex_unlock(&x->lock);
    bql_lock();
    g_mutex_lock(&x->lock);
    if (x->running && !x->stopping) {
        figment_run(s, 1);
    }
    g_mutex_unlock(&x->lock);
    figment_deliver_pending(s);
    bql_unlock();
    while (qatomic_read(&x->waiters)) {
        g_thread_yield();
    }
    g_mutex_lock(&x->lock);
}

static void *figment_thread(void *opaque)
{
    FigmentState *s = opaque;
    FigmentExecutor *x = &s->executor;

    rcu_register_thread();
    g_mutex_lock(&x->lock);
    while (!x->stopping) {
        uint32_t interrupts;

        if (!x->running || x->next_ns > figment_now()) {
            figment_thread_wait(x);
            continue;
        }
        if (x->behind_iommu) {
            figment_step_with_bql(s);
            continue;
        }
        figment_run(s, 1);
        interrupts = x->interrupts;
        if (!interrupts && !qatomic_read(&x->waiters)) {
            continue;
        }
        g_mutex_unlock(&x->lock);
        if (interrupts) {
            bql_lock();
            figment_deliver_pending(s);
            bql_unlock();
        }
        while (qatomic_read(&x->waiters)) {
            g_thread_yield();
        }
        g_mutex_lock(&x->lock);
    }
    g_mutex_unlock(&x->lock);
    rcu_unregister_thread();
    return NULL;
}

/* With the BQL. */
static void figment_tick(void *opaque)
{
    FigmentState *s = opaque;
    FigmentExecutor *x = &s->executor;
    uint32_t interrupts;

    g_mutex_lock(&x->lock);
    figment_run(s, FIGMENT_TICK_STEPS);
    interrupts = figment_take_interrupts(x);
    if (x->next_ns != FIGMENT_MODEL_NEVER) {
        timer_mod(x->timer, MAX(x->next_ns, figment_tick_end(s)));
    }
    g_mutex_unlock(&x->lock);
    figment_deliver(s, interrupts);
}

static void figment_vm_state(void *opaque, bool running, RunState state)
{
    FigmentState *s = opaque;
    FigmentExecutor *x = &s->executor;

    /* The virtual clock stands still while the VM does; so must the GPU. */
    g_mutex_lock(&x->lock);
    x->running = running;
    g_cond_signal(&x->wake);
    g_mutex_unlock(&x->lock);
    figment_deliver_pending(s);
}

void figment_executor_enter(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;

    qatomic_inc(&x->waiters);
    g_mutex_lock(&x->lock);
    qatomic_dec(&x->waiters);
}

void figment_executor_leave(FigmentState *s, bool may_work)
{
    FigmentExecutor *x = &s->executor;
    uint32_t interrupts = x->running ? figment_take_interrupts(x) : 0;
    bool wake = false;

    if (may_work) {
        x->next_ns = 0;
        if (x->kind == FIGMENT_EXECUTOR_CLOCK) {
            /* Whoever writes all the time does not put the tick off. */
            timer_mod_anticipate(x->timer, figment_tick_end(s));
        } else {
            wake = x->sleeping;
        }
    }
    g_mutex_unlock(&x->lock);
    if (wake) {
        /* Not under the lock, or the thread would wake up only to wait for it. */
        g_cond_signal(&x->wake);
    }
    figment_deliver(s, interrupts);
}

void figment_executor_reset(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;

    bool wake;

    figment_executor_enter(s);
    s->api->reset(s->model);
    /* No work; but rules of injection outlive this, and one may have a time. */
    figment_run(s, 0);
    x->interrupts = 0;
    if (x->timer && x->next_ns != FIGMENT_MODEL_NEVER) {
        timer_mod(x->timer, MIN(x->next_ns, INT64_MAX));
    } else if (x->timer) {
        timer_del(x->timer);
    }
    wake = x->sleeping && x->next_ns != FIGMENT_MODEL_NEVER;
    g_mutex_unlock(&x->lock);
    if (wake) {
        g_cond_signal(&x->wake);
    }
}

void figment_executor_restore(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;

    /* Interrupts are delivered, and the thread goes on, when the VM does. */
    if (!x->timer) {
        return;
    }
    if (s->tick_at_ns >= 0) {
        timer_mod(x->timer, s->tick_at_ns);
    } else if (x->next_ns != FIGMENT_MODEL_NEVER) {
        /* Saved with executor=thread. */
        timer_mod(x->timer, MIN(x->next_ns, INT64_MAX));
    } else {
        timer_del(x->timer);
    }
}

bool figment_executor_start(FigmentState *s, Error **errp)
{
    FigmentExecutor *x = &s->executor;

    if (!s->executor_name || g_str_equal(s->executor_name, "thread")) {
        x->kind = FIGMENT_EXECUTOR_THREAD;
    } else if (g_str_equal(s->executor_name, "clock")) {
        x->kind = FIGMENT_EXECUTOR_CLOCK;
    } else {
        error_setg(errp, "executor=%s: must be thread or clock",
                   s->executor_name);
        return false;
    }
    g_mutex_init(&x->lock);
    g_cond_init(&x->wake);
    x->next_ns = FIGMENT_MODEL_NEVER;
    x->behind_iommu = pci_device_iommu_address_space(PCI_DEVICE(s)) !=
                      &address_space_memory;
    x->running = runstate_is_running();
    x->vm_state = qemu_add_vm_change_state_handler(figment_vm_state, s);
    if (x->kind == FIGMENT_EXECUTOR_THREAD) {
        qemu_thread_create(&x->thread, "figment", figment_thread, s,
                           QEMU_THREAD_JOINABLE);
    } else {
        x->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, figment_tick, s);
    }
    return true;
}

void figment_executor_stop(FigmentState *s)
{
    FigmentExecutor *x = &s->executor;

    qemu_del_vm_change_state_handler(x->vm_state);
    if (x->kind == FIGMENT_EXECUTOR_THREAD) {
        g_mutex_lock(&x->lock);
        x->stopping = true;
        g_cond_signal(&x->wake);
        g_mutex_unlock(&x->lock);
        /* It may be waiting for the BQL, to deliver an interrupt. */
        bql_unlock();
        qemu_thread_join(&x->thread);
        bql_lock();
    } else {
        timer_free(x->timer);
    }
    g_cond_clear(&x->wake);
    g_mutex_clear(&x->lock);
}
