// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/crash_view.h"

#include "supervisor/crashes/crash_id.h"
#include "supervisor/objects/object.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT_DEFAULT = 20, LIMIT_MAX = 100000 };

/* A question on its way to the scribe. */
struct question {
    struct object *object;
    struct exchange *exchange;
    char crash_id[CRASH_ID_SIZE]; /* empty: the list */
};

static void on_document(void *arg, int err, int fd, uint64_t size)
{
    struct question *q = arg;
    struct exchange_reply reply = {
        .status = 200, .content_type = JSON_CONTENT_TYPE, .body_fd = fd, .body_size = size};
    if (!err)
        exchange_reply(q->exchange, &reply);
    else if (err == -ENOENT)
        exchange_error(q->exchange, 404, NULL, "%s has no crash report %s", q->object->id,
                       q->crash_id);
    else if (err == -EBADMSG)
        exchange_error(q->exchange, 500, NULL, "crash report %s of %s is damaged on the disk",
                       q->crash_id, q->object->id);
    else
        document_error(q->exchange, q->object, "the crash reports of", err);
    free(q);
}

static void ask(struct object *o, struct exchange *x, const char *crash_id, uint64_t limit)
{
    struct question *q = malloc(sizeof(*q));
    if (!q) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
        return;
    }
    *q = (struct question){.object = o, .exchange = x};
    snprintf(q->crash_id, sizeof(q->crash_id), "%s", crash_id);
    struct scribe_rpc_crash_read m = {span_of(o->id), span_of(q->crash_id), limit};
    scribe_crash_read(o->station->scribe, &m, on_document, q);
}

void view_crashes(struct object *o, struct exchange *x)
{
    char text[QUERY_PROBLEM_SIZE];
    uint64_t limit = LIMIT_DEFAULT;
    const char *problem =
        query_number_once(exchange_request(x)->query, "limit", 1, LIMIT_MAX, &limit, text);
    if (problem)
        exchange_error(x, 400, NULL, "%s", problem);
    else
        ask(o, x, "", limit);
}

void view_crash(struct object *o, struct exchange *x)
{
    struct buf id = BUF_INIT;
    if (query_once(exchange_request(x)->query, "crash", &id) < 0)
        exchange_error(x, 400, NULL, "crash is given twice");
    else if (!crash_id_valid(buf_str(&id), id.len))
        exchange_error(x, 404, NULL, "%s has no crash report %.60s", o->id, buf_str(&id));
    else
        ask(o, x, buf_str(&id), 0);
    buf_free(&id);
}
