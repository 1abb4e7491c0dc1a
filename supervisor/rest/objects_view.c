// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/objects_view.h"

#include "common/json_text.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/object_index.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/query.h"
#include "supervisor/station.h"

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
    if (o->conflict)
        json_put_member(json, "conflict", o->conflict);
    buf_putc(json, '}');
}

static void put_page(struct buf *json, struct object_index *index, const struct page *p)
{
    struct object *o;
    uint64_t count = 0;
    size_t place = p->after[0] ? object_index_find(index, p->after) : 0;
    buf_puts(json, "{\"status\":\"ok\",\"objects\":[");
    for (; count < p->limit && (o = object_index_at(index, place)); place++) {
        if (o->phase == OBJECT_GONE || strcmp(o->id, p->after) == 0)
            continue;
        if (count++)
            buf_putc(json, ',');
        put_object(json, o);
    }
    buf_printf(json, "],\"count\":%llu}", (unsigned long long)count);
}

void view_objects(struct station *station, struct exchange *x)
{
    struct page page = {.limit = UINT64_MAX};
    const char *problem = read_page(&page, exchange_request(x)->query);
    if (problem) {
        exchange_error(x, 400, NULL, "%s", problem);
        return;
    }
    struct buf json = BUF_INIT;
    put_page(&json, object_order(station->objects), &page);
    json_reply(x, 200, &json);
}
