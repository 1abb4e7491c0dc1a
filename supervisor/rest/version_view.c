// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/version_view.h"

#include "supervisor/objects/lifecycle.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 10000 };

/* A question on its way to the scribe. */
struct question {
    struct object *object;
    struct exchange *exchange;
    uint64_t version; /* 0: a page */
    uint64_t limit, offset, after;
};

static void send(struct question *q, int err, int fd, uint64_t size)
{
    struct exchange_reply reply = {
        .status = 200, .content_type = JSON_CONTENT_TYPE, .body_fd = fd, .body_size = size};
    if (!err)
        exchange_reply(q->exchange, &reply);
    else if (err == -ENOENT)
        exchange_error(q->exchange, 404, NULL, "%s has no version %llu", q->object->id,
                       (unsigned long long)q->version);
    else if (err == -EBADMSG)
        exchange_error(q->exchange, 500, NULL, "version %llu of %s is damaged on the disk",
                       (unsigned long long)q->version, q->object->id);
    else
        document_error(q->exchange, q->object, "the versions of", err);
}

static void on_document(void *arg, int err, int fd, uint64_t size)
{
    struct question *q = arg;
    send(q, err, fd, size);
    free(q);
}

static void pass_on(void *arg)
{
    struct question *q = arg;
    struct scribe *scribe = q->object->station->scribe;
    struct span id = span_of(q->object->id);
    struct scribe_rpc_version_list page = {id, q->limit, q->offset, q->after};
    struct scribe_rpc_version_read one = {id, q->version, 0};
    if (q->version)
        scribe_version_read(scribe, &one, on_document, q);
    else
        scribe_version_list(scribe, &page, on_document, q);
}

static void ask(const struct question *question)
{
    struct question *q = malloc(sizeof(*q));
    if (q)
        *q = *question;
    if (!q || lifecycle_when_settled(q->object, pass_on, q) < 0) {
        free(q);
        exchange_error(question->exchange, 503, "\"limit\":\"memory\"",
                       "no memory for another request");
    }
}

void view_versions(struct object *o, struct exchange *x)
{
    struct question q = {.object = o, .exchange = x, .limit = LIMIT_DEFAULT};
    struct span raw = exchange_request(x)->query;
    char text[QUERY_PROBLEM_SIZE];
    const char *problem = query_number_once(raw, "limit", 1, LIMIT_MAX, &q.limit, text);
    if (!problem)
        problem = query_number_once(raw, "offset", 0, INT64_MAX, &q.offset, text);
    if (!problem)
        problem = query_number_once(raw, "after", 1, INT64_MAX, &q.after, text);
    if (problem)
        exchange_error(x, 400, NULL, "%s", problem);
    else
        ask(&q);
}

static bool is_digits(struct buf *text)
{
    size_t digits = strspn(buf_str(text), "0123456789");
    return digits > 0 && digits == text->len;
}

void view_version(struct object *o, struct exchange *x)
{
    struct question q = {.object = o, .exchange = x};
    struct buf value = BUF_INIT;
    if (query_once(exchange_request(x)->query, "version", &value) < 0)
        exchange_error(x, 400, NULL, "version is given twice");
    else if (!is_digits(&value))
        exchange_error(x, 400, NULL, "version must be a number");
    else if (!query_number(buf_str(&value), 1, INT64_MAX, &q.version))
        exchange_error(x, 404, NULL, "%s has no version %.40s", o->id, buf_str(&value));
    else
        ask(&q);
    buf_free(&value);
}
