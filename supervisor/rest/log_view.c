// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/log_view.h"

#include "common/time_text.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_LIMIT_DEFAULT = 100, LOG_LIMIT_MAX = 10000, LOG_FILTERS_MAX = 16 };

/* A query under construction; owns its strings. */
struct log_query {
    struct scribe_log_query ask;
    char *levels;
    char *names[LOG_FILTERS_MAX], *values[LOG_FILTERS_MAX];
    char problem[160];
};

static void free_query(struct log_query *q)
{
    free(q->levels);
    for (size_t i = 0; i < q->ask.filter_count; i++) {
        free(q->names[i]);
        free(q->values[i]);
    }
}

static bool refuse(struct log_query *q, const char *what)
{
    snprintf(q->problem, sizeof(q->problem), "%s", what);
    return false;
}

static bool add_filter(struct log_query *q, const char *name, const char *value)
{
    if (q->ask.filter_count == LOG_FILTERS_MAX)
        return refuse(q, "more than 16 field filters");
    char *name_copy = strdup(name), *value_copy = strdup(value);
    if (!name_copy || !value_copy) {
        free(name_copy);
        free(value_copy);
        return refuse(q, "no memory");
    }
    q->names[q->ask.filter_count] = name_copy;
    q->values[q->ask.filter_count++] = value_copy;
    return true;
}

static bool set_levels(struct log_query *q, const char *value)
{
    free(q->levels);
    q->levels = strdup(value);
    return q->levels || refuse(q, "no memory");
}

static bool set_parameter(struct log_query *q, const char *name, const char *value)
{
    if (strcmp(name, "logs") == 0)
        return true;
    if (strcmp(name, "level") == 0)
        return set_levels(q, value);
    if (strcmp(name, "limit") == 0)
        return query_number(value, 1, LOG_LIMIT_MAX, &q->ask.limit) ||
               refuse(q, "limit must be a number from 1 to 10000");
    if (strcmp(name, "offset") == 0)
        return query_number(value, 0, UINT32_MAX, &q->ask.offset) ||
               refuse(q, "offset must be a number, 0 or more");
    if (strcmp(name, "since") == 0)
        return time_text_parse(value, strlen(value), &q->ask.since_us) ||
               refuse(q, "since must be seconds since 1970 or an ISO 8601 time");
    if (strcmp(name, "until") == 0)
        return time_text_parse(value, strlen(value), &q->ask.until_us) ||
               refuse(q, "until must be seconds since 1970 or an ISO 8601 time");
    if (strcmp(name, "follow") == 0)
        return refuse(q, "follow is not served by this version: ask again with since");
    return add_filter(q, name, value);
}

static bool parse(struct log_query *q, struct span raw)
{
    struct query parameters = query_of(raw);
    bool ok = true;
    while (ok && query_next(&parameters))
        ok = set_parameter(q, buf_str(&parameters.name), buf_str(&parameters.value));
    query_free(&parameters);
    return ok;
}

struct log_view {
    struct exchange *exchange;
    struct object *object;
};

static void send_logs(void *arg, int err, int fd, uint64_t size)
{
    struct log_view *v = arg;
    struct exchange *x = v->exchange;
    struct object *o = v->object;
    free(v);
    if (err) {
        document_error(x, o, "the log of", err);
        return;
    }
    struct exchange_reply reply = {
        .status = 200, .content_type = JSON_CONTENT_TYPE, .body_fd = fd, .body_size = size};
    exchange_reply(x, &reply);
}

void view_logs(struct object *o, struct exchange *x)
{
    struct station *station = o->station;
    struct log_query q = {.ask = {.object_id = o->id, .limit = LOG_LIMIT_DEFAULT}};
    if (!parse(&q, exchange_request(x)->query)) {
        exchange_error(x, 400, NULL, "%s", q.problem);
        free_query(&q);
        return;
    }
    struct log_view *v = malloc(sizeof(*v));
    if (!v) {
        document_error(x, o, "the log of", -ENOMEM);
        free_query(&q);
        return;
    }
    *v = (struct log_view){x, o};
    struct worker *w = worker_get(station->workers, o->worker);
    if (w)
        worker_read_output(w);
    object_logs_flush(station->logs);
    q.ask.levels = q.levels;
    q.ask.filter_names = (const char *const *)q.names;
    q.ask.filter_values = (const char *const *)q.values;
    scribe_logs(station->scribe, &q.ask, send_logs, v);
    free_query(&q);
}
