// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/held_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What nearly every reply has needs no copy. */
static const char *known_content_type(struct span s)
{
    static const char *const known[] = {"application/json; charset=utf-8",
                                        "text/html; charset=utf-8"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (span_equal(s, known[i]))
            return known[i];
    return NULL;
}

/* Copies s with a NUL to *at and moves it on. */
static const char *store(char **at, struct span s)
{
    char *copy = *at;
    memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

static int take_fields(struct held_reply *reply, const struct rpc_turn_done *m, char **text)
{
    struct codec_reader r = codec_reader_of(m->fields.data, m->fields.len);
    struct rpc_field f;
    if (m->field_count > CALL_FIELDS_MAX)
        return -E2BIG;
    reply->fields = calloc(m->field_count, sizeof(*reply->fields));
    if (!reply->fields)
        return -ENOMEM;
    while (rpc_field_next(&r, &f)) {
        reply->fields[reply->field_count].name = store(text, f.name);
        reply->fields[reply->field_count++].value = store(text, f.value);
    }
    return 0;
}

static int take_text(struct held_reply *reply, const struct rpc_turn_done *m)
{
    reply->content_type = known_content_type(m->content_type);
    bool own_type = m->content_type.len && !reply->content_type;
    if (!own_type && m->field_count == 0)
        return 0;
    /* The encoded fields are longer than their text with NULs. */
    char *text = malloc(m->fields.len + m->content_type.len + 1);
    if (!text)
        return -ENOMEM;
    reply->text = text;
    if (own_type)
        reply->content_type = store(&text, m->content_type);
    return m->field_count ? take_fields(reply, m, &text) : 0;
}

int held_reply_take(struct held_reply *reply, const struct rpc_turn_done *m, int body_fd)
{
    reply->status = m->status;
    reply->is_stream = m->stream;
    reply->body_fd = body_fd;
    reply->body_size = body_fd >= 0 ? m->body_size : m->body.len;
    if (m->body.len) {
        reply->body = malloc(m->body.len);
        if (!reply->body)
            return -ENOMEM;
        memcpy(reply->body, m->body.data, m->body.len);
    }
    return take_text(reply, m);
}
