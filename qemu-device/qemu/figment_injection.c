/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Misbehaviour of the Figment GPU on purpose, armed from outside while the
 * machine runs: the QOM property `injection`.
 *
 *   qom-set PATH injection "hang,queue=3,after=2"   arms one more rule
 *   qom-set PATH injection "clear"                  disarms all
 *   qom-get PATH injection                          each rule, how often it struck
 *
 * The model knows what the text means (figment_model.h). Handlers of the monitor
 * have the BQL, as vCPUs have it in their accesses.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "figment_internal.h"

/* With the model lock; false, and `error` says why. */
static bool figment_inject(FigmentState *s, const char *text, char *error,
                           size_t error_bytes)
{
    struct figment_injection rule;

    return s->api->inject_parse(text, &rule, error, error_bytes) &&
           s->api->inject(s->model, &rule, error, error_bytes) >= 0;
}

static void figment_set_injection(Object *obj, const char *text, Error **errp)
{
    FigmentState *s = FIGMENT(obj);
    char error[512] = "";
    bool done = true;

    if (!s->model) {
        error_setg(errp, "injection: only for a device that is there");
        return;
    }
    figment_executor_enter(s);
    if (g_str_equal(text, "clear")) {
        s->api->inject_clear(s->model);
    } else {
        done = figment_inject(s, text, error, sizeof(error));
    }
    figment_executor_leave(s, true);
    if (!done) {
        error_setg(errp, "injection=%s: %s", text, error);
    }
}

static char *figment_get_injection(Object *obj, Error **errp)
{
    FigmentState *s = FIGMENT(obj);
    size_t bytes;
    char *report;

    if (!s->model) {
        return g_strdup("");
    }
    figment_executor_enter(s);
    bytes = s->api->inject_report(s->model, NULL, 0) + 1;
    report = g_malloc0(bytes);
    s->api->inject_report(s->model, report, bytes);
    figment_executor_leave(s, false);
    return report;
}

void figment_injection_class_init(ObjectClass *class)
{
    object_class_property_add_str(class, "injection", figment_get_injection,
                                  figment_set_injection);
    object_class_property_set_description(class, "injection",
        "how the device misbehaves: a rule to arm, or clear");
}

bool figment_removed(FigmentState *s)
{
    bool removed;

    if (!s->model) {
        return false;
    }
    figment_executor_enter(s);
    removed = s->api->removed(s->model);
    figment_executor_leave(s, false);
    return removed;
}
