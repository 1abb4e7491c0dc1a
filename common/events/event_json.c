// SPDX-License-Identifier: Apache-2.0
#include "common/events/event_json.h"

#include "common/clock.h"
#include "common/events/event_time.h"
#include "common/json_compact.h"
#include "common/json_scan.h"
#include "common/json_text.h"
#include "common/utf8.h"

/* --- writing ------------------------------------------------------------------------------ */

int event_json_write(struct buf *out, struct event *event)
{
    char id[EVENT_ID_TEXT_SIZE], time[EVENT_TIME_SIZE];
    struct span payload, type = event_type(event);
    int error = event_payload(event, &payload);
    if (error)
        return error;
    event_id_text(event->id, id);
    event_time_text(event->time_us, time);
    buf_puts(out, "{\"id\":\"");
    buf_puts(out, id);
    buf_puts(out, "\",\"timestamp\":\"");
    buf_puts(out, time);
    buf_puts(out, "\",\"event_type\":");
    json_put_string(out, type.data, type.len);
    buf_puts(out, ",\"payload\":");
    buf_append(out, payload.data, payload.len);
    buf_putc(out, '}');
    return 0;
}

/* --- reading ------------------------------------------------------------------------------ */

struct reading {
    size_t text_len;
    struct buf *scratch;
    struct event_parts *parts;
};

/* What is taken out of the text is never longer than it was there, so that one reservation lasts
 * and nothing that parts refer to moves. */
static bool reserve_scratch(struct reading *r)
{
    return buf_reserve(r->scratch, r->text_len - r->scratch->len);
}

static enum event_json_fault read_text(struct reading *r, struct span quoted, struct span *text)
{
    if (!memchr(quoted.data, '\\', quoted.len)) {
        *text = (struct span){quoted.data + 1, quoted.len - 2};
        return EVENT_JSON_OK;
    }
    if (!reserve_scratch(r))
        return EVENT_JSON_MEMORY;
    size_t start = r->scratch->len;
    if (!json_string_text(quoted, r->scratch))
        return EVENT_JSON_SURROGATE;
    *text = (struct span){r->scratch->data + start, r->scratch->len - start};
    return EVENT_JSON_OK;
}

/* Of a member that has to be a string; `wrong` is the fault of one that is not. */
static enum event_json_fault read_string(struct reading *r, struct span value,
                                         enum event_json_fault wrong, struct span *text)
{
    return value.data[0] == '"' ? read_text(r, value, text) : wrong;
}

static enum event_json_fault read_id(struct reading *r, struct span value)
{
    struct span text;
    enum event_json_fault fault = read_string(r, value, EVENT_JSON_ID, &text);
    if (fault)
        return fault;
    return event_id_parse(text, r->parts->id) ? EVENT_JSON_OK : EVENT_JSON_ID;
}

static enum event_json_fault read_timestamp(struct reading *r, struct span value)
{
    struct span text;
    enum event_json_fault fault = read_string(r, value, EVENT_JSON_TIMESTAMP, &text);
    if (fault)
        return fault;
    return event_time_parse(text, &r->parts->time_us) ? EVENT_JSON_OK : EVENT_JSON_TIMESTAMP;
}

static enum event_json_fault read_type(struct reading *r, struct span value)
{
    struct span text;
    enum event_json_fault fault = read_string(r, value, EVENT_JSON_TYPE, &text);
    if (fault)
        return fault;
    r->parts->type = event_type_strip(text);
    return r->parts->type.len ? EVENT_JSON_OK : EVENT_JSON_TYPE;
}

static enum event_json_fault compact_payload(struct reading *r, struct span value)
{
    if (!reserve_scratch(r))
        return EVENT_JSON_MEMORY;
    size_t start = r->scratch->len;
    if (!json_compact(value, r->scratch))
        return EVENT_JSON_SURROGATE;
    r->parts->payload = (struct span){r->scratch->data + start, r->scratch->len - start};
    return EVENT_JSON_OK;
}

static enum event_json_fault read_payload(struct reading *r, struct span value)
{
    enum event_json_fault fault = EVENT_JSON_OK;
    if (value.data[0] != '{')
        return EVENT_JSON_PAYLOAD;
    struct json_form form = json_form_of(value);
    if (form.depth > EVENT_DEPTH_MAX)
        return EVENT_JSON_TOO_DEEP;
    r->parts->payload = value;
    if (!form.compact)
        fault = compact_payload(r, value);
    if (!fault && r->parts->payload.len > EVENT_PAYLOAD_MAX)
        fault = EVENT_JSON_TOO_LARGE;
    return fault;
}

enum member { ID, TIMESTAMP, TYPE, PAYLOAD, MEMBERS };

static const struct {
    const char *name;
    enum event_json_fault (*read)(struct reading *r, struct span value);
} members[MEMBERS] = {
    [ID] = {"id", read_id},
    [TIMESTAMP] = {"timestamp", read_timestamp},
    [TYPE] = {"event_type", read_type},
    [PAYLOAD] = {"payload", read_payload},
};

static enum event_json_fault read_member(struct reading *r, struct span quoted, struct span value,
                                         bool seen[MEMBERS])
{
    struct span name;
    enum event_json_fault fault = read_text(r, quoted, &name);
    if (fault)
        return fault;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (seen[i] || !span_equal(name, members[i].name))
            continue;
        seen[i] = true;
        return members[i].read(r, value);
    }
    return EVENT_JSON_UNKNOWN;
}

static void make_missing(struct event_parts *parts, const bool seen[MEMBERS])
{
    if (!seen[ID])
        event_id_make(parts->id);
    if (!seen[TIMESTAMP])
        parts->time_us = (int64_t)clock_wall_us();
    if (!seen[PAYLOAD])
        parts->payload = span_of("{}");
}

enum event_json_fault event_json_parts(struct span text, struct buf *scratch,
                                       struct event_parts *parts)
{
    struct reading r = {text.len, scratch, parts};
    bool seen[MEMBERS] = {0};
    struct span name, value;
    struct json_scan scan = json_scan_object(text);
    if (!scan.at || !utf8_valid(text.data, text.len))
        return EVENT_JSON_SYNTAX;
    while (json_scan_member(&scan, &name, &value)) {
        enum event_json_fault fault = read_member(&r, name, value, seen);
        if (fault)
            return fault;
    }
    if (!seen[TYPE])
        return EVENT_JSON_TYPE;
    make_missing(parts, seen);
    return EVENT_JSON_OK;
}

struct event *event_json_read(struct span text, enum event_json_fault *fault)
{
    struct buf scratch = BUF_INIT;
    struct event_parts parts;
    struct event *event = NULL;
    *fault = event_json_parts(text, &scratch, &parts);
    if (!*fault) {
        event = event_new(parts.id, parts.time_us, parts.type, parts.payload);
        if (!event)
            *fault = EVENT_JSON_MEMORY;
    }
    buf_free(&scratch);
    return event;
}

const char *event_json_fault_text(enum event_json_fault fault)
{
    static const char *const texts[] = {
        [EVENT_JSON_OK] = "",
        [EVENT_JSON_SYNTAX] = "not a JSON object in UTF-8",
        [EVENT_JSON_ID] = "id: not a UUID of version 4",
        [EVENT_JSON_TIMESTAMP] = "timestamp: not a time in ISO 8601 with its offset from UTC",
        [EVENT_JSON_TYPE] = "event_type: missing, or no text",
        [EVENT_JSON_PAYLOAD] = "payload: not a JSON object",
        [EVENT_JSON_TOO_LARGE] = "payload: more than 1000000 bytes",
        [EVENT_JSON_TOO_DEEP] = "payload: nested deeper than 255",
        [EVENT_JSON_SURROGATE] = "a lone surrogate, which is no character",
        [EVENT_JSON_UNKNOWN] = "a member that no event has, or one twice",
        [EVENT_JSON_MEMORY] = "memory is short",
    };
    return texts[fault];
}
