/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device trace as a file of its own (property `trace`): a line for each
 * decision of the model, with its virtual time in nanoseconds.
 *
 * QEMU's own tracing has the same events. Its lines hold addresses of the host
 * and times of the host's clock, so that no two runs have the same ones; these
 * are a function of the run alone, and two traces can be compared.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/runstate.h"
#include "figment_internal.h"

/* Whoever looks at a machine that stands still finds all that it did. */
static void figment_trace_vm_state(void *opaque, bool running, RunState state)
{
    FigmentState *s = opaque;

    if (!running) {
        fflush(s->trace_file);
    }
}

bool figment_trace_open(FigmentState *s, Error **errp)
{
    if (!s->trace_path) {
        return true;
    }
    s->trace_file = fopen(s->trace_path, "w");
    if (!s->trace_file) {
        error_setg_errno(errp, errno, "trace=%s", s->trace_path);
        return false;
    }
    s->trace_vm_state = qemu_add_vm_change_state_handler(figment_trace_vm_state,
                                                         s);
    return true;
}

void figment_trace_close(FigmentState *s)
{
    if (!s->trace_file) {
        return;
    }
    qemu_del_vm_change_state_handler(s->trace_vm_state);
    fclose(s->trace_file);
    s->trace_file = NULL;
}

void figment_trace_write(FigmentState *s, unsigned int event, uint64_t a,
                         uint64_t b, uint64_t c, uint64_t d)
{
    FILE *file = s->trace_file;

    if (!file) {
        return;
    }
    fprintf(file, "%13" PRId64 " %-12s ", qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL),
            s->api->trace_name(event));
    /* The format takes at most the four, as unsigned long long. */
    fprintf(file, s->api->trace_format(event), (unsigned long long)a,
            (unsigned long long)b, (unsigned long long)c,
            (unsigned long long)d);
    fputc('\n', file);
}
