// SPDX-License-Identifier: Apache-2.0
/* links: common/events/event_json.c common/events/event.c common/events/event_time.c
 * common/json_compact.c common/json_scan.c common/json_text.c common/clock.c common/utf8.c
 * common/buf.c common/codec.c -ljansson -lsodium */
/*
 * Any text as an event of a stream. What is accepted is written and read again as the same, and
 * says what jansson reads in it, where jansson can (it refuses numbers beyond a double and names
 * with a NUL); what is refused for its syntax jansson does not read either, but for bytes of zero,
 * some of which it skips.
 */
#include "common/events/event_json.h"
#include "common/events/event_time.h"
#include "common/json_scan.h"
#include "common/utf8.h"

#include <jansson.h>
#include <stdlib.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool same_span(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static json_t *load(struct span text)
{
    return json_loadb(text.data, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

static struct span payload_of(struct event *event)
{
    struct span payload;
    require(event_payload(event, &payload) == 0);
    return payload;
}

static void check_round(struct event *event)
{
    struct buf text = BUF_INIT, scratch = BUF_INIT;
    struct event_parts again;
    require(event_json_write(&text, event) == 0);
    require(event_json_parts((struct span){text.data, text.len}, &scratch, &again) ==
            EVENT_JSON_OK);
    require(memcmp(again.id, event->id, EVENT_ID_SIZE) == 0);
    require(again.time_us == event->time_us);
    require(same_span(again.type, event_type(event)));
    require(same_span(again.payload, payload_of(event)));
    buf_free(&scratch);
    buf_free(&text);
}

static void check_kind(struct event *event)
{
    struct span type = event_type(event), payload = payload_of(event);
    require(type.len > 0 && utf8_valid(type.data, type.len));
    require(same_span(event_type_strip(type), type));
    require(event->id[6] >> 4 == 4 && event->id[8] >> 6 == 2);
    require(event->time_us >= EVENT_TIME_MIN && event->time_us <= EVENT_TIME_MAX);
    require(payload.len <= EVENT_PAYLOAD_MAX && payload.data[0] == '{');
    require(json_scan_valid(payload) && utf8_valid(payload.data, payload.len));
}

static void check_jansson(struct event *event, json_t *read)
{
    json_t *type = json_object_get(read, "event_type"), *payload = load(payload_of(event));
    json_t *expected = json_object_get(read, "payload");
    struct span text = {json_string_value(type), json_string_length(type)};
    require(same_span(event_type_strip(text), event_type(event)));
    require(payload && json_is_object(payload));
    require(expected ? json_equal(payload, expected) : json_object_size(payload) == 0);
    json_decref(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    enum event_json_fault fault;
    struct event *event = event_json_read(text, &fault);
    json_t *read = load(text);
    require((event != NULL) == (fault == EVENT_JSON_OK));
    require((fault == EVENT_JSON_OK) == (*event_json_fault_text(fault) == 0));
    if (fault == EVENT_JSON_SYNTAX || fault == EVENT_JSON_SURROGATE)
        require(!json_is_object(read) || memchr(data, 0, size));
    if (event) {
        check_kind(event);
        check_round(event);
        if (read)
            check_jansson(event, read);
    }
    json_decref(read);
    event_release(event);
    return 0;
}
