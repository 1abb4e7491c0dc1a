// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_event.h"

/* A line break is only white space in JSON, but would end the data. */
static void put_data(struct buf *out, struct span json)
{
    size_t start = out->len;
    buf_append(out, json.data, json.len);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void log_event_put(struct buf *out, uint64_t us, struct span json)
{
    if (us)
        buf_printf(out, "id: %llu\n", (unsigned long long)us);
    buf_puts(out, "data: ");
    put_data(out, json);
    buf_puts(out, "\n\n");
}

void log_event_notice(struct buf *out, const char *name, const char *json_format, ...)
{
    va_list ap;
    va_start(ap, json_format);
    buf_printf(out, "event: %s\ndata: ", name);
    buf_vprintf(out, json_format, ap);
    buf_puts(out, "\n\n");
    va_end(ap);
}
