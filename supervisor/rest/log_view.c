// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/log_view.h"

#include "common/json_text.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/log_follow.h"
#include "supervisor/rest/log_params.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

static void search(struct object *o, struct exchange *x, const struct log_params *p)
{
    const struct config *c = &o->station->config;
    struct log_view *v = malloc(sizeof(*v));
    if (!v) {
        document_error(x, o, "the log of", -ENOMEM);
        return;
    }
    *v = (struct log_view){x, o};
    object_log_flush(o->log);
    struct scribe_log_query query = {
        .object_id = o->id,
        .levels = p->levels,
        .limit = p->limit,
        .offset = p->offset,
        .since_us = p->since_us,
        .until_us = p->until_us,
        .read_max = c->log_search_max,
        .answer_max = c->log_answer_max,
        .filter_count = p->field_count,
        .filters = {p->fields.data ? p->fields.data : "", p->fields.len},
    };
    scribe_logs(o->station->scribe, &query, send_logs, v);
}

static void refuse(struct exchange *x, const struct log_params *p)
{
    char extra[64] = "";
    if (p->limit_name)
        snprintf(extra, sizeof(extra), "\"limit\":\"%s\"", p->limit_name);
    exchange_error(x, 400, extra, "%s", p->problem);
}

static bool may_search(const struct station *station, struct exchange *x)
{
    uint64_t max = station->config.log_searches_max;
    if (scribe_searches(station->scribe) < max)
        return true;
    exchange_error(x, 503, "\"limit\":\"log.searches_max\"",
                   "%llu logs are being searched already (log.searches_max)",
                   (unsigned long long)max);
    return false;
}

/* What workers have printed is in their pipes until the loop comes to it. */
static void read_output(struct object *o)
{
    for (size_t i = 0; i <= o->replicas.count; i++) {
        struct worker *w = replicas_worker(o, i);
        if (w)
            worker_read_output(w);
    }
}

void view_logs(struct object *o, struct exchange *x)
{
    struct log_params p;
    if (!log_params_parse(&p, exchange_request(x)->query, &o->station->config)) {
        refuse(x, &p);
    } else if (may_search(o->station, x)) {
        read_output(o);
        if (p.follow)
            log_follow(o, x, &p);
        else
            search(o, x, &p);
    }
    log_params_free(&p);
}
