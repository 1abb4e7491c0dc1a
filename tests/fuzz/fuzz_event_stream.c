// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/ctl/event_stream.c common/buf.c */
/* Server-sent events of a station, in pieces of any size: as many events as in one piece. */
#include "supervisor/ctl/event_stream.h"

#include <stdlib.h>

static void count(void *arg, const char *event, const char *data, size_t len)
{
    (void)event;
    if (len > 0 && data[len - 1] == 0)
        (*(size_t *)arg)++;
    (*(size_t *)arg)++;
}

static size_t events_of(const char *bytes, size_t len, size_t piece)
{
    struct event_stream s;
    size_t events = 0;
    event_stream_init(&s, count, &events);
    for (size_t at = 0; at < len; at += piece)
        event_stream_feed(&s, bytes + at, piece < len - at ? piece : len - at);
    event_stream_free(&s);
    return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    if (events_of(bytes, size - 1, size) != events_of(bytes, size - 1, data[0] % 16 + 1u))
        abort();
    return 0;
}
