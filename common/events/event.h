// SPDX-License-Identifier: Apache-2.0
/*
 * event - one event: a UUID v4, a time, a type, a payload that is a JSON object.
 *
 * An event never changes after it was made. It is shared by reference: whoever keeps a pointer
 * holds a reference. Where type and payload lie is the maker's business (struct event_ops), so that
 * a language binding can hand its own objects to a backend without copying them: they embed struct
 * event. event_new() makes one that lies in one block of memory. One thread at a time.
 */
#ifndef COMMON_EVENTS_EVENT_H
#define COMMON_EVENTS_EVENT_H

#include <stdint.h>

#include "common/codec.h"

enum {
    EVENT_PAYLOAD_MAX = 1000000, /* bytes of JSON, compact UTF-8 */
    EVENT_DEPTH_MAX = 255,       /* containers in one another in a payload, itself counted */
    EVENT_ID_SIZE = 16,          /* bytes of a UUID */
    EVENT_ID_TEXT_SIZE = 37      /* 8-4-4-4-12 hexadecimal digits in lower case, and a NUL */
};

struct event;

struct event_ops {
    void (*retain)(struct event *event);
    void (*release)(struct event *event);
    /* UTF-8, stripped, not empty; borrowed as long as the event is held. */
    struct span (*type)(const struct event *event);
    /* The JSON object, compact UTF-8; made on first use, borrowed as long as the event is held.
     * 0, -ENOMEM, or what else keeps a binding from making it. */
    int (*payload)(struct event *event, struct span *json);
};

struct event {
    const struct event_ops *ops;
    uint8_t id[EVENT_ID_SIZE];
    int64_t time_us; /* UTC, microseconds since 1970; may be negative */
};

/* A fresh UUID v4 (RFC 9562), from random bytes fetched in blocks; forks do not repeat them. */
void event_id_make(uint8_t id[EVENT_ID_SIZE]);
void event_id_text(const uint8_t id[EVENT_ID_SIZE], char text[EVENT_ID_TEXT_SIZE]);
/* A UUID v4 in either case. False for anything else. */
bool event_id_parse(struct span text, uint8_t id[EVENT_ID_SIZE]);

/* Without the white space of Unicode (that of Python's str.strip) at both ends; text is UTF-8. */
struct span event_type_strip(struct span text);

/* A copy of type and payload, which the caller has checked; one reference. NULL: memory is short.
 */
struct event *event_new(const uint8_t id[EVENT_ID_SIZE], int64_t time_us, struct span type,
                        struct span payload);

static inline struct event *event_retain(struct event *event)
{
    event->ops->retain(event);
    return event;
}

/* NULL is allowed. */
static inline void event_release(struct event *event)
{
    if (event)
        event->ops->release(event);
}

static inline struct span event_type(const struct event *event)
{
    return event->ops->type(event);
}

static inline int event_payload(struct event *event, struct span *json)
{
    return event->ops->payload(event, json);
}

#endif
