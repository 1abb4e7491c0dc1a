// SPDX-License-Identifier: Apache-2.0
/*
 * event_stream - the reader of server-sent events: bytes in, one call an event out.
 *
 * Lines end in LF or CRLF. Fields: data (several lines are joined by LF), event; comments and other
 * fields are passed over. An event without data is none. One that is larger than the limit is
 * dropped and counted.
 */
#ifndef SUPERVISOR_CTL_EVENT_STREAM_H
#define SUPERVISOR_CTL_EVENT_STREAM_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVENT_STREAM_MAX = 16 << 20 }; /* bytes of one event */

struct event_stream {
    struct buf line, data;
    char event[64]; /* "" where the stream names none */
    bool too_large;
    uint64_t dropped;
    /* data is borrowed for the call. */
    void (*take)(void *arg, const char *event, const char *data, size_t len);
    void *arg;
};

void event_stream_init(struct event_stream *s,
                       void (*take)(void *arg, const char *event, const char *data, size_t len),
                       void *arg);
void event_stream_feed(struct event_stream *s, const char *bytes, size_t len);
/* Forgets what is half received: the connection is another one. */
void event_stream_reset(struct event_stream *s);
void event_stream_free(struct event_stream *s);

#endif
