// SPDX-License-Identifier: Apache-2.0
/*
 * event_json - an event as JSON, as it stands in a stream.
 *
 * {"id":"…","timestamp":"2026-11-22T05:30:00.123456Z","event_type":"…","payload":{…}}
 *
 * Reading takes the members in any order, with any white space and escapes, but no others and none
 * twice. Without a payload it is {}; without an id or a timestamp they are made. Everything is
 * valid UTF-8 without a lone surrogate; event_type is stripped and not empty; a timestamp is one
 * that event_time.h reads, kept as UTC; the payload is an object within EVENT_PAYLOAD_MAX and
 * EVENT_DEPTH_MAX. Numbers pass as they are written, whatever their size. Pure but for the id and
 * time made.
 */
#ifndef COMMON_EVENTS_EVENT_JSON_H
#define COMMON_EVENTS_EVENT_JSON_H

#include "common/events/event.h"

/* Appends the event; fails the buf when memory is short. 0 or what event_payload() said. */
int event_json_write(struct buf *out, struct event *event);

/* The parts of a text, each borrowed from the text or from the buffer it was read with. */
struct event_parts {
    uint8_t id[EVENT_ID_SIZE];
    int64_t time_us;
    struct span type;    /* unescaped, stripped */
    struct span payload; /* compact: no space between tokens, no escape that JSON does not need */
};

enum event_json_fault {
    EVENT_JSON_OK,
    EVENT_JSON_SYNTAX, /* not a JSON object in UTF-8 */
    EVENT_JSON_ID,
    EVENT_JSON_TIMESTAMP,
    EVENT_JSON_TYPE,
    EVENT_JSON_PAYLOAD,
    EVENT_JSON_TOO_LARGE, /* the payload */
    EVENT_JSON_TOO_DEEP,  /* likewise */
    EVENT_JSON_SURROGATE, /* a lone one, anywhere */
    EVENT_JSON_UNKNOWN,   /* a member that no event has, or one twice */
    EVENT_JSON_MEMORY
};

/* `scratch` is empty, and may hold texts that parts refer to afterwards. */
enum event_json_fault event_json_parts(struct span text, struct buf *scratch,
                                       struct event_parts *parts);
/* The same as an event with one reference; NULL and the fault otherwise. */
struct event *event_json_read(struct span text, enum event_json_fault *fault);
/* What is wrong, for people: "payload: not a JSON object". */
const char *event_json_fault_text(enum event_json_fault fault);

#endif
