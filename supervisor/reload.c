// SPDX-License-Identifier: Apache-2.0
#include "supervisor/reload.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/config_change.h"
#include "supervisor/notify.h"
#include "supervisor/objects/renew_all.h"
#include "supervisor/process/nursery.h"
#include "supervisor/reload_parts.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE = 512 };

enum phase { IDLE, WARMING, RENEWING };
static const char *const phase_names[] = {
    [IDLE] = "idle", [WARMING] = "preparing", [RENEWING] = "renewing"};

struct waiting {
    struct waiting *next;
    reload_fn *fn;
    void *arg;
};

struct reload {
    struct station *station;
    const struct options *options;
    enum phase phase;
    bool again; /* asked for while one is under way */
    bool is_stopped;
    struct loop_timer next; /* begins the one that was asked for */
    struct config fresh;    /* while WARMING */
    struct config_changes changes;
    struct renew_all *renewals;
    struct waiting *now, *later; /* for the one under way, for the next */
    uint64_t began_ns;
    uint64_t count, refused;
    struct buf report; /* of the last one; empty: none yet */
};

static void begin(void *arg);

struct reload *reload_new(struct station *station, const struct options *options)
{
    struct reload *r = calloc(1, sizeof(*r));
    if (r)
        r->renewals = renew_all_new(station);
    if (!r || !r->renewals)
        die(EXIT_CODE_ENVIRONMENT, "no memory for reloads");
    r->station = station;
    r->options = options;
    return r;
}

static void tell(struct waiting **list, bool refused, const char *report)
{
    struct waiting *all = *list;
    *list = NULL;
    while (all) {
        struct waiting *w = all;
        all = w->next;
        w->fn(w->arg, refused, report);
        free(w);
    }
}

static void free_waiting(struct waiting *list)
{
    while (list) {
        struct waiting *w = list;
        list = w->next;
        free(w);
    }
}

void reload_free(struct reload *r)
{
    if (!r)
        return;
    loop_timer_cancel(&r->next);
    config_free(&r->fresh);
    config_change_free(&r->changes);
    renew_all_free(r->renewals);
    free_waiting(r->now);
    free_waiting(r->later);
    buf_free(&r->report);
    free(r);
}

/* --- the end of one --- */

static void make_report(struct reload *r, const char *error)
{
    struct buf *json = &r->report;
    buf_free(json);
    buf_putc(json, '{');
    json_put_member(json, "status", error ? "error" : "ok");
    if (error)
        json_put_member(json, "error", error);
    json_put_key(json, "at");
    buf_printf(json, "%.3f", (double)clock_wall_us() / 1e6);
    json_put_key(json, "seconds");
    buf_printf(json, "%.3f", (double)(clock_mono_ns() - r->began_ns) / 1e9);
    json_put_key(json, "changed");
    config_change_put(&r->changes, false, json);
    json_put_key(json, "needs_restart");
    config_change_put(&r->changes, true, json);
    json_put_number(json, "renewed", error ? 0 : renew_all_renewed(r->renewals));
    json_put_key(json, "not_renewed");
    if (error)
        buf_puts(json, "[]");
    else
        renew_all_put_failed(r->renewals, json);
    buf_putc(json, '}');
    if (!buf_ok(json)) {
        buf_free(json);
        buf_puts(json, "{\"status\":\"ok\"}");
    }
}

static void finish(struct reload *r, const char *error)
{
    double ms = (double)(clock_mono_ns() - r->began_ns) / 1e6;
    r->phase = IDLE;
    r->count++;
    r->refused += error != NULL;
    make_report(r, error);
    if (error)
        log_error("reload refused, the configuration in force stays: %s", error);
    else
        log_info("reloaded in %.0f ms: %zu keys changed, %zu need a restart, %zu objects renewed, "
                 "%zu not",
                 ms, r->changes.count - r->changes.fixed, r->changes.fixed,
                 renew_all_renewed(r->renewals), renew_all_failed(r->renewals));
    config_change_free(&r->changes);
    if (r->station->ready) /* else it is told when the objects are known */
        notify_ready(error ? "the last reload was refused" : "reloaded");
    tell(&r->now, error != NULL, buf_str(&r->report));
    if (r->again)
        loop_timer_set(r->station->loop, &r->next, 0, begin, r);
    r->again = false;
}

/* Everything that was prepared goes; nothing has changed. */
static void refuse(struct reload *r, const char *error)
{
    config_free(&r->fresh);
    finish(r, error);
}

/* --- the second half: it takes effect --- */

static void on_renewed(void *arg)
{
    finish(arg, NULL);
}

static void on_warm(void *arg, const char *why)
{
    struct reload *r = arg;
    struct station *station = r->station;
    if (why) {
        reload_parts_abandon(station);
        config_change_free(&r->changes); /* none took effect */
        refuse(r, why);
        return;
    }
    config_change_log(&r->changes);
    reload_parts_commit(station, &r->fresh);
    nursery_switch(station->nursery);
    r->phase = RENEWING;
    if (renew_all_begin(r->renewals, on_renewed, r) < 0) {
        log_warn("no memory to renew the workers: they keep the old settings");
        finish(r, NULL);
    }
}

/* --- the first half: it may fail --- */

static int prepare(struct reload *r, char *error, size_t size)
{
    struct station *station = r->station;
    int err = config_load(&r->fresh, r->options, error, size);
    if (err)
        return err;
    const char *lost = config_change_lost_file(&r->fresh, &station->config);
    if (lost) {
        snprintf(error, size, "%s is gone (an empty one asks for the defaults)", lost);
        return -ENOENT;
    }
    err = config_change_find(&r->fresh, &station->config, &r->changes);
    if (err) {
        snprintf(error, size, "no memory to compare the configurations");
        return err;
    }
    err = reload_parts_prepare(station, &r->fresh, error, size);
    if (err)
        return err;
    err = nursery_warm(station->nursery, &r->fresh, on_warm, r);
    if (err) {
        reload_parts_abandon(station);
        snprintf(error, size, "cannot start %s: %s", r->fresh.worker_program, strerror(-err));
    }
    return err;
}

static void begin(void *arg)
{
    struct reload *r = arg;
    char error[ERROR_SIZE];
    log_info("reload");
    if (r->station->ready)
        notify_reloading();
    r->phase = WARMING;
    r->began_ns = clock_mono_ns();
    r->now = r->later;
    r->later = NULL;
    if (prepare(r, error, sizeof(error)) < 0) {
        config_change_free(&r->changes);
        refuse(r, error);
    }
}

void reload_ask(struct reload *r)
{
    if (r->is_stopped)
        log_info("no reload: the station is stopping");
    else if (r->phase != IDLE)
        r->again = true;
    else if (!loop_timer_armed(&r->next))
        begin(r);
}

int reload_ask_and_wait(struct reload *r, reload_fn *fn, void *arg)
{
    struct waiting *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct waiting){r->later, fn, arg};
    r->later = w;
    if (r->is_stopped)
        tell(&r->later, true, NULL);
    else
        reload_ask(r);
    return 0;
}

void reload_stop(struct reload *r)
{
    struct station *station = r->station;
    r->is_stopped = true;
    loop_timer_cancel(&r->next);
    if (r->phase == WARMING) {
        nursery_cool(station->nursery);
        reload_parts_abandon(station);
        config_free(&r->fresh);
    }
    renew_all_stop(r->renewals);
    r->phase = IDLE;
    tell(&r->now, true, NULL);
    tell(&r->later, true, NULL);
}

void reload_status(const struct reload *r, struct buf *json)
{
    buf_putc(json, '{');
    json_put_member(json, "state", phase_names[r->phase]);
    json_put_number(json, "count", r->count);
    json_put_number(json, "refused", r->refused);
    json_put_key(json, "last");
    if (r->report.len)
        buf_append(json, r->report.data, r->report.len);
    else
        buf_puts(json, "null");
    buf_putc(json, '}');
}
