// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/station_views.h"

#include "common/build.h"
#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/crashes/crashes.h"
#include "supervisor/http/front.h"
#include "supervisor/log/object_log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/slots.h"
#include "supervisor/process/limits.h"
#include "supervisor/process/memory.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/reload.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <stdio.h>
#include <unistd.h>

static double uptime_seconds(const struct station *station)
{
    return (double)(clock_mono_ns() - station->started_ns) / 1e9;
}

static void put_station(const struct station *station, struct buf *json)
{
    buf_puts(json, "{\"status\":\"ok\"");
    json_put_member(json, "station_id", station->config.station_id);
    json_put_member(json, "version", OBJECTD_VERSION);
}

void view_root(struct station *station, struct exchange *x)
{
    struct buf json = BUF_INIT;
    put_station(station, &json);
    json_put_member(&json, "objects", "/objects");
    json_put_member(&json, "health", "/health");
    buf_putc(&json, '}');
    json_reply(x, 200, &json);
}

void view_health(struct station *station, struct exchange *x)
{
    struct buf json = BUF_INIT;
    put_station(station, &json);
    json_put_key(&json, "uptime_seconds");
    buf_printf(&json, "%.3f}", uptime_seconds(station));
    json_reply(x, 200, &json);
}

void view_ready(struct station *station, struct exchange *x)
{
    if (station->stopping) {
        exchange_error(x, 503, NULL, "the station is stopping");
    } else if (!station->ready || !nursery_ready(station->nursery)) {
        exchange_error(x, 503, NULL,
                       station->ready ? "the station is starting"
                                      : "the objects folder is being scanned");
    } else {
        struct buf json = BUF_INIT;
        put_station(station, &json);
        buf_putc(&json, '}');
        json_reply(x, 200, &json);
    }
}

/* --- status --- */

static void put_process(struct buf *json, const char *name, pid_t pid)
{
    json_put_key(json, name);
    buf_puts(json, "{");
    json_put_number(json, "pid", (unsigned long long)pid);
    json_put_number(json, "rss_bytes", memory_rss_bytes(pid));
    buf_putc(json, '}');
}

static void put_worker(struct worker *w, void *arg)
{
    struct buf *json = arg;
    if (json->data[json->len - 1] != '[')
        buf_putc(json, ',');
    buf_putc(json, '{');
    json_put_member(json, "object_id", w->object->id);
    json_put_member(json, "role", w->is_test ? "test" : w->is_replica ? "replica" : "owner");
    json_put_member(json, "state", worker_state_name(w->state));
    json_put_number(json, "pid", (unsigned long long)w->pid);
    json_put_number(json, "generation", w->ref.generation);
    json_put_number(json, "turns", w->turns);
    json_put_number(json, "inflight", w->inflight.count);
    json_put_number(json, "restarts", w->object->restarts);
    json_put_number(json, "rss_bytes", memory_rss_bytes(w->pid));
    json_put_key(json, "throttled");
    throttle_put(w, json);
    buf_putc(json, '}');
}

static void put_failed(struct object *o, void *arg)
{
    struct buf *json = arg;
    if (o->phase != OBJECT_BACKOFF || !buf_ok(json))
        return;
    if (json->data[json->len - 1] != '[')
        buf_putc(json, ',');
    buf_putc(json, '{');
    json_put_member(json, "object_id", o->id);
    json_put_key(json, "next_attempt_seconds");
    buf_printf(json, "%.3f", (double)outage_left(o->outage) / 1e9);
    json_put_number(json, "failures", o->outage->backoff.failures);
    json_put_member(json, "reason", o->outage->reason);
    buf_putc(json, '}');
}

/* What failed and waits for its next start. */
static void put_backoff(struct station *station, struct buf *json)
{
    json_put_key(json, "backoff");
    buf_putc(json, '[');
    object_each(station->objects, put_failed, json);
    buf_putc(json, ']');
}

static void put_processes(struct station *station, struct buf *json)
{
    json_put_key(json, "processes");
    buf_putc(json, '{');
    put_process(json, "supervisor", getpid());
    put_process(json, "nursery", nursery_pid(station->nursery));
    put_process(json, "scribe", scribe_pid(station->scribe));
    put_process(json, "sweeper", sweeper_pid(families_sweeper(station->families)));
    json_put_key(json, "workers");
    buf_putc(json, '[');
    if (buf_ok(json))
        worker_each(station->workers, put_worker, json);
    buf_puts(json, "]}");
}

static void put_logs(struct station *station, struct buf *json)
{
    const struct object_logs_stats *stats = object_logs_stats(station->logs);
    json_put_key(json, "logs");
    buf_putc(json, '{');
    json_put_number(json, "lines", stats->lines);
    json_put_number(json, "turns_summarised", stats->turns_summarised);
    json_put_number(json, "dropped", stats->dropped);
    json_put_number(json, "lost", stats->lost);
    json_put_number(json, "skipped", stats->skipped);
    json_put_number(json, "followers", stats->watchers);
    json_put_number(json, "searches", scribe_searches(station->scribe));
    buf_putc(json, '}');
}

void view_status(struct station *station, struct exchange *x)
{
    struct buf json = BUF_INIT;
    put_station(station, &json);
    json_put_number(&json, "boot", station->boot);
    json_put_key(&json, "uptime_seconds");
    buf_printf(&json, "%.3f", uptime_seconds(station));
    json_put_number(&json, "objects", object_count(station->objects));
    put_processes(station, &json);
    limits_status(station, &json);
    json_put_number(&json, "rollbacks", probation_rollbacks());
    put_backoff(station, &json);
    slots_status(station->slots, &json);
    crashes_status(station->crashes, &json);
    turn_status(station->turns, &json);
    schedules_status(station->schedules, &json);
    store_status(station->store, &json);
    put_logs(station, &json);
    json_put_key(&json, "reload");
    reload_status(station->reload, &json);
    json_put_key(&json, "http");
    front_status(station->front, &json);
    buf_putc(&json, '}');
    json_reply(x, 200, &json);
}

/* --- metrics --- */

static void log_metrics(struct object_logs *logs, struct buf *text)
{
    const struct object_logs_stats *stats = object_logs_stats(logs);
    metric_counter(text, "log_lines_total", "Lines written to the logs of objects.", stats->lines);
    metric_counter(text, "log_turns_summarised_total", "Turns that stand in a summary line only.",
                   stats->turns_summarised);
    metric_counter(text, "log_lines_dropped_total", "Lines dropped by a rate limit.",
                   stats->dropped);
    metric_counter(text, "log_lines_lost_total", "Lines that could not be written.", stats->lost);
    metric_counter(text, "log_lines_skipped_total", "Lines that followers missed.", stats->skipped);
    metric_counter(text, "log_files_removed_total", "Log files removed by retention.",
                   stats->files_removed);
    metric_gauge(text, "log_followers", "Requests that follow a log.", (double)stats->watchers);
}

void view_metrics(struct station *station, struct exchange *x)
{
    struct buf text = BUF_INIT;
    metric_gauge(&text, "uptime_seconds", "Seconds since the start.", uptime_seconds(station));
    metric_gauge(&text, "objects", "Objects of the station.",
                 (double)object_count(station->objects));
    metric_gauge(&text, "workers", "Processes of objects.", (double)worker_count(station->workers));
    metric_gauge(&text, "supervisor_rss_bytes", "Resident memory of the supervisor.",
                 (double)memory_rss_bytes(getpid()));
    metric_counter(&text, "worker_restarts_total", "Workers that died and were started again.",
                   object_restarts(station->objects));
    metric_counter(&text, "rollbacks_total", "Versions that failed and were rolled back.",
                   probation_rollbacks());
    crashes_metrics(station->crashes, &text);
    throttle_metrics(&text);
    memory_kills_metrics(&text);
    log_metrics(station->logs, &text);
    slots_metrics(station->slots, &text);
    turn_metrics(station->turns, &text);
    schedules_metrics(station->schedules, &text);
    store_metrics(station->store, &text);
    front_metrics(station->front, &text);
    struct exchange_reply reply = {.status = 200, .content_type = "text/plain; version=0.0.4"};
    reply.body = buf_take(&text, &reply.body_size);
    if (reply.body)
        exchange_reply(x, &reply);
    else
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for the metrics");
}
