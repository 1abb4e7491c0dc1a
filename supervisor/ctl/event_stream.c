// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/event_stream.h"

#include <stdio.h>
#include <string.h>

void event_stream_init(struct event_stream *s,
                       void (*take)(void *arg, const char *event, const char *data, size_t len),
                       void *arg)
{
    *s = (struct event_stream){.line = BUF_INIT, .data = BUF_INIT, .take = take, .arg = arg};
}

/* Clears the text but keeps its memory: the next event has about the same size. */
static void clear(struct buf *text)
{
    buf_reset(text, EVENT_STREAM_MAX);
}

static void next_event(struct event_stream *s)
{
    clear(&s->data);
    s->event[0] = 0;
    s->too_large = false;
}

static void end_event(struct event_stream *s)
{
    if (s->too_large)
        s->dropped++;
    else if (s->data.len > 0) /* each line of it has brought a newline; the last goes */
        s->take(s->arg, s->event, s->data.data, s->data.len - 1);
    next_event(s);
}

/* "name: value"; one blank behind the colon belongs to neither. */
static void end_line(struct event_stream *s)
{
    const char *line = s->line.data ? s->line.data : "";
    size_t len = s->line.len;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    const char *colon = memchr(line, ':', len);
    size_t name = colon ? (size_t)(colon - line) : len;
    size_t value = colon ? name + 1 : len;
    if (value < len && line[value] == ' ')
        value++;
    if (len == 0) {
        end_event(s);
    } else if (name == 4 && memcmp(line, "data", 4) == 0) {
        buf_append(&s->data, line + value, len - value);
        buf_putc(&s->data, '\n');
    } else if (name == 5 && memcmp(line, "event", 5) == 0) {
        snprintf(s->event, sizeof(s->event), "%.*s", (int)(len - value), line + value);
    }
    clear(&s->line);
}

void event_stream_feed(struct event_stream *s, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t n = newline ? (size_t)(newline - bytes) : len;
        if (s->line.len + s->data.len + n > EVENT_STREAM_MAX || !buf_ok(&s->line) ||
            !buf_ok(&s->data)) {
            s->too_large = true;
            clear(&s->line);
            clear(&s->data);
        } else {
            buf_append(&s->line, bytes, n);
        }
        if (newline)
            end_line(s);
        n += newline != NULL;
        bytes += n;
        len -= n;
    }
}

void event_stream_reset(struct event_stream *s)
{
    clear(&s->line);
    next_event(s);
}

void event_stream_free(struct event_stream *s)
{
    buf_free(&s->line);
    buf_free(&s->data);
}
