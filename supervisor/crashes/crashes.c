// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crashes.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/crashes/crash_report.h"
#include "supervisor/log/object_log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/object.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>

enum { LOG_LINES = 50 };
#define COMPLAINT_NS (60 * NS_PER_S)

struct crashes {
    struct station *station;
    size_t pending;
    uint64_t reported, lost;
    uint64_t newest_us;     /* time in the newest id: ids stand in the order of the deaths */
    uint64_t complained_ns; /* when the operator was last told; 0: never, or it went well since */
};

struct crashes *crashes_new(struct station *station)
{
    struct crashes *c = calloc(1, sizeof(*c));
    if (c)
        c->station = station;
    return c;
}

void crashes_free(struct crashes *c)
{
    free(c);
}

static void lose(struct crashes *c, const char *object_id, const char *why)
{
    uint64_t now_ns = clock_mono_ns();
    c->lost++;
    if (c->complained_ns && now_ns - c->complained_ns < COMPLAINT_NS)
        return;
    c->complained_ns = now_ns;
    log_warn("crash report of %s is lost: %s", object_id, why);
}

static void on_written(void *arg, int err, uint64_t removed)
{
    struct crashes *c = arg;
    (void)removed;
    c->pending--;
    if (err)
        lose(c, "a worker", strerror(-err));
    else
        c->complained_ns = 0;
}

/* It was asked to go, or said itself that it does not load, and had nothing left to answer. */
static bool is_peaceful(const struct worker *w, int wait_status)
{
    bool is_unwanted = w->blame == WORKER_BLAME_UNWANTED || w->blame == WORKER_BLAME_NURSERY;
    bool has_left = w->last_state == WORKER_DRAINING && wait_status == 0 && w->inflight.count == 0;
    return w->pid == 0 || is_unwanted || has_left;
}

static void put_position(const struct worker *w, struct scribe_rpc_position *upto)
{
    struct log_position position = {0};
    if (object_log_position(w->object->log, &position) < 0)
        position.is_set = true; /* nothing */
    *upto = (struct scribe_rpc_position){position.is_set, position.inode, position.size};
}

static void send(struct crashes *c, struct worker *w, const struct buf *report)
{
    const struct config *config = &c->station->config;
    struct scribe_rpc_crash_write m = {.object_id = span_of(w->object->id),
                                       .crash_id = span_of(w->crash_id),
                                       .object_max = config->crashes_object_max,
                                       .station_max = config->crashes_station_max,
                                       .log_lines = LOG_LINES,
                                       .report = {report->data, report->len}};
    put_position(w, &m.log_upto);
    c->pending++;
    c->reported++;
    scribe_crash_write(c->station->scribe, &m, on_written, c);
}

void crashes_report(struct crashes *c, struct worker *w, int wait_status)
{
    uint64_t wall_us = clock_wall_us();
    struct buf report = BUF_INIT;
    if (is_peaceful(w, wait_status))
        return;
    if (wall_us > c->newest_us)
        c->newest_us = wall_us;
    crash_id_make(w->crash_id, c->newest_us, c->station->boot, w->ref.generation);
    if (c->pending >= CRASHES_PENDING_MAX) {
        lose(c, w->object->id, "too many are being written");
        return;
    }
    crash_report_put(&report, w, wait_status, wall_us);
    if (buf_ok(&report))
        send(c, w, &report);
    else
        lose(c, w->object->id, strerror(ENOMEM));
    buf_free(&report);
}

void crashes_status(const struct crashes *c, struct buf *json)
{
    json_put_key(json, "crashes");
    buf_putc(json, '{');
    json_put_number(json, "reported", c->reported);
    json_put_number(json, "lost", c->lost);
    buf_putc(json, '}');
}

void crashes_metrics(const struct crashes *c, struct buf *text)
{
    metric_counter(text, "crash_reports_total", "Crash reports made.", c->reported);
    metric_counter(text, "crash_reports_lost_total", "Crash reports that were not written.",
                   c->lost);
}
