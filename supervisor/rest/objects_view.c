// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/objects_view.h"

#include "common/json_text.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/object_index.h"
#include "supervisor/objects/probation.h"
#include "supervisor/objects/slots.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/station.h"

#include <stdlib.h>

enum { PIECE = 1000 /* objects that are listed without a pause */ };

/* --- which page --- */

struct page {
    char after[OBJECT_ID_MAX + 1]; /* empty: from the start */
    uint64_t limit;
    bool has_after, has_limit;
};

/* NULL, or what is wrong with the parameter. Others than these two are nobody's. */
static const char *read_parameter(struct page *p, struct query *q)
{
    if (strcmp(buf_str(&q->name), "limit") == 0) {
        if (p->has_limit)
            return "limit is given twice";
        p->has_limit = true;
        bool is_text = !q->value.len || !memchr(q->value.data, '\0', q->value.len);
        if (!is_text || !query_number(buf_str(&q->value), 1, OBJECTS_PAGE_MAX, &p->limit))
            return "limit must be a whole number from 1 to 100000";
    } else if (strcmp(buf_str(&q->name), "after") == 0) {
        if (p->has_after)
            return "after is given twice";
        p->has_after = true;
        if (q->value.len && !object_id_valid(q->value.data, q->value.len))
            return "after must be an object id";
        memcpy(p->after, buf_str(&q->value), q->value.len + 1);
    }
    return NULL;
}

static const char *read_page(struct page *p, struct span raw)
{
    struct query q = query_of(raw);
    const char *problem = NULL;
    while (!problem && query_next(&q))
        problem = read_parameter(p, &q);
    query_free(&q);
    return problem;
}

/* --- the page --- */

static void put_object(struct buf *json, const struct object *o)
{
    buf_putc(json, '{');
    json_put_member(json, "object_id", o->id);
    json_put_key(json, "path");
    buf_printf(json, "\"/objects/%s\"", o->id);
    json_put_member(json, "file", o->file);
    json_put_member(json, "phase", object_phase_name(o->phase));
    json_put_number(json, "turns", o->turns);
    if (o->load_error)
        json_put_member(json, "load_error", o->load_error);
    slots_put(o, json);
    probation_put_remark(o, json);
    if (o->phase == OBJECT_BACKOFF) {
        json_put_member(json, "reason", o->outage->reason);
        json_put_key(json, "next_attempt_seconds");
        buf_printf(json, "%.3f", (double)outage_left(o->outage) / 1e9);
    }
    if (o->conflict)
        json_put_member(json, "conflict", o->conflict);
    buf_putc(json, '}');
}

/*
 * The list, in pieces: the loop waits for no more than one of them, however many objects there are.
 * Where it goes on is kept as an id, for objects come and go in between.
 */
struct listing {
    struct station *station;
    struct exchange *exchange;
    struct page page; /* `after` moves on */
    uint64_t count;   /* put so far */
    struct buf ready; /* the next piece, when it was made already */
    bool is_over;
};

/* Adds the next objects; the end of the document too when there are no more. */
static void put_piece(struct buf *json, struct listing *l)
{
    struct object_index *index = object_order(l->station->objects);
    struct page *p = &l->page;
    struct object *o = NULL;
    uint64_t stop = l->count + PIECE < p->limit ? l->count + PIECE : p->limit;
    size_t place = p->after[0] ? object_index_find(index, p->after) : 0;
    if (l->count == 0)
        buf_puts(json, "{\"status\":\"ok\",\"objects\":[");
    for (; l->count < stop && (o = object_index_at(index, place)); place++) {
        if (o->phase == OBJECT_GONE || strcmp(o->id, p->after) == 0)
            continue;
        if (l->count++)
            buf_putc(json, ',');
        put_object(json, o);
        memcpy(p->after, o->id, strlen(o->id) + 1);
    }
    l->is_over = !o || l->count == p->limit;
    if (l->is_over)
        buf_printf(json, "],\"count\":%llu}", (unsigned long long)l->count);
}

static void on_pull(void *arg)
{
    struct listing *l = arg;
    struct buf json = l->ready;
    l->ready = BUF_INIT;
    if (!json.len && l->is_over) {
        exchange_stream_end(l->exchange, false);
        return;
    }
    if (!json.len)
        put_piece(&json, l);
    size_t size;
    char *bytes = buf_take(&json, &size);
    if (bytes)
        exchange_stream_chunk(l->exchange, bytes, size);
    else
        exchange_stream_end(l->exchange, true); /* no memory: the client sees it cut */
}

static void on_gone(void *arg)
{
    struct listing *l = arg;
    buf_free(&l->ready);
    free(l);
}

static void stream_rest(const struct listing *begun)
{
    static const struct exchange_reply head = {.status = 200, .content_type = JSON_CONTENT_TYPE};
    struct exchange *x = begun->exchange;
    struct listing *l = malloc(sizeof(*l));
    if (!l || !buf_ok(&begun->ready)) {
        free(l);
        struct buf ready = begun->ready;
        buf_free(&ready);
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for the list");
        return;
    }
    *l = *begun;
    struct exchange_stream stream = {.on_pull = on_pull, .on_gone = on_gone, .context = l};
    exchange_stream_begin(x, &head, &stream);
}

void view_objects(struct station *station, struct exchange *x)
{
    struct listing l = {.station = station, .exchange = x, .page = {.limit = UINT64_MAX}};
    const char *problem = read_page(&l.page, exchange_request(x)->query);
    if (problem) {
        exchange_error(x, 400, NULL, "%s", problem);
        return;
    }
    put_piece(&l.ready, &l);
    if (l.is_over)
        json_reply(x, 200, &l.ready);
    else
        stream_rest(&l);
}
