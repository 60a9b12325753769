/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Save and restore of the Figment GPU: migration, snapshots, `migrate file:`.
 *
 * The model gives its state as one stream, which describes itself and is
 * checked completely when it comes back (figment_model.h). Around it is what
 * this side holds: the PCI function, interrupts on their way, and the random
 * source. VRAM is RAM, and migrates as such.
 *
 * The VM is stopped while this runs, so the model is quiet: the device thread
 * does no step and delivers no interrupt then, and the virtual clock stands.
 * A stream from one kind of executor can be restored with the other.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "hw/pci/msix.h"
#include "figment_internal.h"

/* More than the largest configuration needs. */
#define FIGMENT_STREAM_MOST (64 * MiB)

static int figment_pre_save(void *opaque)
{
    FigmentState *s = opaque;
    FigmentExecutor *x = &s->executor;

    g_mutex_lock(&x->lock);
    s->stream_bytes = s->api->save(s->model, NULL, 0);
    s->stream = g_malloc(s->stream_bytes);
    s->api->save(s->model, s->stream, s->stream_bytes);
    g_mutex_unlock(&x->lock);
    s->tick_at_ns = x->timer ? (int64_t)timer_expire_time_ns(x->timer) : -1;
    if (!s->stream_bytes) {
        error_report("figment: the model has failed and cannot be saved");
        return -EIO;
    }
    return 0;
}

static void figment_free_stream(FigmentState *s)
{
    g_free(s->stream);
    s->stream = NULL;
    s->stream_bytes = 0;
}

static int figment_post_save(void *opaque)
{
    figment_free_stream(opaque);
    return 0;
}

static int figment_pre_load(void *opaque)
{
    /* A load that failed may have left one. */
    figment_free_stream(opaque);
    return 0;
}

static bool figment_stream_fits(void *opaque, int version_id)
{
    FigmentState *s = opaque;

    return s->stream_bytes <= FIGMENT_STREAM_MOST;
}

static int figment_post_load(void *opaque, int version_id)
{
    FigmentState *s = opaque;
    FigmentExecutor *x = &s->executor;
    char error[256] = "";
    bool loaded;

    g_mutex_lock(&x->lock);
    loaded = s->api->load(s->model, s->stream, s->stream_bytes, error,
                          sizeof(error));
    g_mutex_unlock(&x->lock);
    figment_free_stream(s);
    if (!loaded) {
        error_report("figment: the state cannot be restored: %s", error);
        return -EINVAL;
    }
    if (x->interrupts >> FIGMENT_VECTORS) {
        error_report("figment: the state cannot be restored: vectors 0x%" PRIx32
                     " are raised, of %u", x->interrupts, FIGMENT_VECTORS);
        return -EINVAL;
    }
    /* Another seed than the saved one is a wish: other luck from here on. */
    if (s->seed && s->seed != s->random_seed) {
        s->random_state = s->random_seed = s->seed;
    }
    figment_executor_restore(s);
    return 0;
}

const VMStateDescription figment_vmstate = {
    .name = TYPE_FIGMENT,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = figment_pre_save,
    .post_save = figment_post_save,
    .pre_load = figment_pre_load,
    .post_load = figment_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, FigmentState),
        VMSTATE_MSIX(parent_obj, FigmentState),
        VMSTATE_UINT32(stream_bytes, FigmentState),
        VMSTATE_VALIDATE("size of the model's state", figment_stream_fits),
        VMSTATE_VBUFFER_ALLOC_UINT32(stream, FigmentState, 1, NULL,
                                     stream_bytes),
        VMSTATE_UINT32(executor.interrupts, FigmentState),
        VMSTATE_UINT64(executor.next_ns, FigmentState),
        VMSTATE_INT64(tick_at_ns, FigmentState),
        VMSTATE_UINT64(random_state, FigmentState),
        VMSTATE_UINT64(random_seed, FigmentState),
        VMSTATE_END_OF_LIST()
    },
};
