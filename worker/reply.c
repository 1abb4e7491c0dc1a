// SPDX-License-Identifier: Apache-2.0
#include "worker/reply.h"

#include "common/json_text.h"

enum { REPLY_KEEP_CAP = 16 * 1024 };

void reply_clear(struct reply *r)
{
    r->status = 200;
    r->outcome = RPC_OUTCOME_OK;
    r->is_stream = false;
    r->content_type = (struct span){"", 0};
    r->body = (struct span){"", 0};
    r->field_count = 0;
    r->write_count = 0;
    r->file_count = 0;
    r->schedule_count = 0;
    buf_reset(&r->fields, REPLY_KEEP_CAP);
    buf_reset(&r->writes, REPLY_KEEP_CAP);
    buf_reset(&r->files, REPLY_KEEP_CAP);
    buf_reset(&r->schedules, REPLY_KEEP_CAP);
    buf_reset(&r->text, REPLY_KEEP_CAP);
    buf_reset(&r->owned_type, REPLY_KEEP_CAP);
}

void reply_add_field(struct reply *r, struct span name, struct span value)
{
    rpc_field_encode(&r->fields, &(struct rpc_field){name, value});
    r->field_count++;
}

void reply_use_text(struct reply *r, const char *content_type)
{
    r->content_type = span_of(content_type);
    r->body = (struct span){r->text.data ? r->text.data : "", r->text.len};
}

void reply_error(struct reply *r, uint32_t status, enum rpc_outcome outcome, const char *format,
                 ...)
{
    struct buf message = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&message, format, ap);
    va_end(ap);
    reply_clear(r);
    r->status = status;
    r->outcome = outcome;
    buf_puts(&r->text, "{\"status\":\"error\",\"error\":");
    json_put_string(&r->text, message.data ? message.data : "", message.len);
    buf_putc(&r->text, '}');
    buf_free(&message);
    reply_use_text(r, "application/json; charset=utf-8");
}

void reply_name_limit(struct reply *r, const char *limit)
{
    if (r->text.len == 0)
        return;    /* no memory: sending it fails */
    r->text.len--; /* the closing brace */
    json_put_member(&r->text, "limit", limit);
    buf_putc(&r->text, '}');
    reply_use_text(r, "application/json; charset=utf-8");
}
