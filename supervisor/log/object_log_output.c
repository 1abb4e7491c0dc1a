// SPDX-License-Identifier: Apache-2.0
/* What an object prints, as lines of its log. */
#include "supervisor/log/object_log.h"

#include "common/clock.h"
#include "supervisor/log/object_log_private.h"

static void output_line(struct object_log *log, enum object_log_stream stream, struct span line,
                        uint64_t beyond)
{
    static const char *const levels[OBJECT_LOG_STREAMS] = {"STDOUT", "STDERR", "STDOUT", "STDERR"};
    static const struct span nothing = {"", 0};
    struct span fields = stream >= OBJECT_LOG_TEST_STDOUT ? span_of("{\"test\":true}") : nothing;
    if (!beyond && line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    object_log_put_own(log, span_of(levels[stream]), clock_wall_us(), line, nothing, 0, fields,
                       beyond);
}

/* Adds to the unfinished line; what is too much for one is only counted. */
static void keep_partial(struct object_log *log, enum object_log_stream stream, const char *bytes,
                         size_t len)
{
    struct log_partial *p = &log->partial[stream];
    size_t max = (size_t)log->logs->line_max; /* a reload may have made it smaller */
    size_t room = max > p->text.len ? max - p->text.len : 0, n = len < room ? len : room;
    buf_append(&p->text, bytes, n);
    p->beyond += len - n;
}

void object_log_output_end(struct object_log *log, enum object_log_stream stream)
{
    struct log_partial *p = &log->partial[stream];
    if (p->text.len > 0 || p->beyond > 0)
        output_line(log, stream, (struct span){p->text.data ? p->text.data : "", p->text.len},
                    p->beyond);
    buf_free(&p->text);
    *p = (struct log_partial){0};
}

void object_log_output(struct object_log *log, enum object_log_stream stream, const char *bytes,
                       size_t len)
{
    const char *newline;
    while (len > 0 && (newline = memchr(bytes, '\n', len))) {
        size_t n = (size_t)(newline - bytes);
        if (log->partial[stream].text.len > 0) {
            keep_partial(log, stream, bytes, n);
            object_log_output_end(log, stream);
        } else {
            output_line(log, stream, (struct span){bytes, n}, 0);
        }
        bytes = newline + 1;
        len -= n + 1;
    }
    if (len > 0)
        keep_partial(log, stream, bytes, len);
}
