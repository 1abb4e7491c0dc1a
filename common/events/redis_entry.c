// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_entry.h"

#include "common/clock.h"
#include "common/events/event_json.h"
#include "common/events/redis_command.h"
#include "common/json_text.h"

#include <errno.h>

enum { SCRATCH_KEEP = 64 * 1024 };

int redis_entry_put_event(struct buf *out, const char *stream, struct event *event,
                          struct buf *scratch)
{
    buf_reset(scratch, SCRATCH_KEEP);
    int result = event_json_write(scratch, event);
    if (result < 0)
        return result;
    if (!buf_ok(scratch)) {
        buf_free(scratch);
        return -ENOMEM;
    }
    redis_command_start(out, 5);
    redis_command_text(out, "XADD");
    redis_command_text(out, stream);
    redis_command_text(out, "*");
    redis_command_text(out, "event");
    redis_command_bytes(out, (struct span){scratch->data, scratch->len});
    return buf_ok(out) ? 0 : -ENOMEM;
}

void redis_entry_put_dead(struct buf *out, const char *stream, struct delivery_id id,
                          struct span event, const char *reason)
{
    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_us(), now);
    redis_command_start(out, 11);
    redis_command_text(out, "XADD");
    redis_command_text(out, stream);
    redis_command_text(out, "*");
    redis_command_text(out, "original_id");
    redis_command_id(out, id);
    redis_command_text(out, "event");
    redis_command_bytes(out, event);
    redis_command_text(out, "reason");
    redis_command_text(out, reason);
    redis_command_text(out, "failed_at");
    redis_command_text(out, now);
}

static bool is_array(const redisReply *reply, size_t elements)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == elements;
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

static struct span text_of(const redisReply *reply)
{
    return is_text(reply) ? (struct span){reply->str, reply->len} : (struct span){"", 0};
}

const redisReply *redis_entry_list(const redisReply *reply)
{
    if (!is_array(reply, 1) || !is_array(reply->element[0], 2) ||
        reply->element[0]->element[1]->type != REDIS_REPLY_ARRAY)
        return NULL;
    return reply->element[0]->element[1];
}

bool redis_entry_of(const redisReply *element, struct redis_entry *entry)
{
    if (!is_array(element, 2) || !redis_command_parse_id(text_of(element->element[0]), &entry->id))
        return false;
    const redisReply *fields = element->element[1];
    entry->fields = fields->type == REDIS_REPLY_ARRAY && fields->elements % 2 == 0 ? fields : NULL;
    return true;
}

static const redisReply *find_field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; fields && i + 1 < fields->elements; i += 2)
        if (span_equal(text_of(fields->element[i]), name))
            return fields->element[i + 1];
    return NULL;
}

struct event *redis_entry_event(const struct redis_entry *entry, size_t *bytes, const char **reason,
                                int *error)
{
    const redisReply *value = find_field(entry->fields, "event");
    enum event_json_fault fault;
    *error = 0;
    if (!value) {
        *reason = entry->fields ? "the entry has no field event" : "the entry was deleted";
        return NULL;
    }
    *bytes = value->len;
    struct event *event = event_json_read(text_of(value), &fault);
    if (!event) {
        *reason = event_json_fault_text(fault);
        *error = fault == EVENT_JSON_MEMORY ? -ENOMEM : 0;
    }
    return event;
}

void redis_entry_text(const struct redis_entry *entry, struct buf *out)
{
    const redisReply *fields = entry->fields, *value = find_field(fields, "event");
    if (value) {
        buf_append(out, value->str, value->len);
        return;
    }
    buf_putc(out, '{');
    for (size_t i = 0; fields && i + 1 < fields->elements; i += 2) {
        struct span name = text_of(fields->element[i]), content = text_of(fields->element[i + 1]);
        if (i > 0)
            buf_putc(out, ',');
        json_put_string(out, name.data, name.len);
        buf_putc(out, ':');
        json_put_string(out, content.data, content.len);
    }
    buf_putc(out, '}');
}
