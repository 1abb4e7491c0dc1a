// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/front.h"

#include "common/json_text.h"
#include "supervisor/http/front_private.h"
#include "supervisor/metric.h"

static const char *const rejection_names[FRONT_REJECTIONS] = {
    [FRONT_UNKNOWN_HOST] = "unknown_host",
    [FRONT_FOREIGN_PAGE] = "foreign_page",
};

static void put_list(const struct front *front, struct buf *json)
{
    json_put_key(json, "listen");
    buf_putc(json, '[');
    const struct listener *l;
    for (size_t i = 0; (l = listeners_at(&front->listeners, i)); i++) {
        if (i > 0)
            buf_putc(json, ',');
        json_put_string(json, l->name, strlen(l->name));
    }
    buf_putc(json, ']');
}

static uint64_t count_requests(const struct front *front)
{
    uint64_t total = 0;
    for (size_t i = 0; i < 6; i++)
        total += front->requests[i];
    return total;
}

void front_status(const struct front *front, struct buf *json)
{
    buf_putc(json, '{');
    put_list(front, json);
    json_put_number(json, "connections", front->connections);
    json_put_number(json, "connections_max", front->config->connections_max);
    json_put_number(json, "accepted", front->accepted);
    json_put_number(json, "open_requests", front->open);
    json_put_number(json, "requests", count_requests(front));
    json_put_number(json, "bodies_bytes", front->bodies_held);
    json_put_number(json, "bodies_max", front->config->bodies_max);
    json_put_key(json, "rejected");
    buf_putc(json, '{');
    for (size_t i = 1; i < GUARD_VIOLATIONS; i++) {
        if (front->guards.rejected[i])
            json_put_number(json, guard_violation_info((enum guard_violation)i)->name,
                            front->guards.rejected[i]);
    }
    for (size_t i = 0; i < FRONT_REJECTIONS; i++) {
        if (front->rejected[i])
            json_put_number(json, rejection_names[i], front->rejected[i]);
    }
    buf_puts(json, "}}");
}

static void put_rejections(const struct front *front, struct buf *text)
{
    metric_begin(text, "http_rejected_total", "Requests refused before any handler.", "counter");
    for (size_t i = 1; i < GUARD_VIOLATIONS; i++)
        buf_printf(text, "objectd_http_rejected_total{reason=\"%s\"} %llu\n",
                   guard_violation_info((enum guard_violation)i)->name,
                   (unsigned long long)front->guards.rejected[i]);
    for (size_t i = 0; i < FRONT_REJECTIONS; i++)
        buf_printf(text, "objectd_http_rejected_total{reason=\"%s\"} %llu\n", rejection_names[i],
                   (unsigned long long)front->rejected[i]);
}

void front_metrics(const struct front *front, struct buf *text)
{
    metric_gauge(text, "http_connections", "Open connections.", (double)front->connections);
    metric_gauge(text, "http_open_requests", "Requests being handled.", (double)front->open);
    metric_gauge(text, "http_bodies_bytes", "Bodies held, requests and replies.",
                 (double)front->bodies_held);
    metric_begin(text, "http_requests_total", "Requests answered, by class of status.", "counter");
    static const char *const classes[6] = {"none", NULL, "2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < 6; i++) {
        if (classes[i])
            buf_printf(text, "objectd_http_requests_total{class=\"%s\"} %llu\n", classes[i],
                       (unsigned long long)front->requests[i]);
    }
    put_rejections(front, text);
}
