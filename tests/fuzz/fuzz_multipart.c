// SPDX-License-Identifier: Apache-2.0
/* links: worker/multipart.c worker/head.c worker/urlencoded.c common/codec.c common/buf.c */
/*
 * A multipart body. The input is the Content-Type, a newline, and the body; every part must lie
 * inside the body, behind the one before it, and end.
 */
#include "worker/multipart.h"

#include "worker/head.h"

#include <stdint.h>
#include <stdlib.h>

static void must_lie_in(struct span part, struct span whole)
{
    if (part.len == 0)
        return;
    if (part.data < whole.data || part.data + part.len > whole.data + whole.len)
        abort();
}

static void check_part(const struct multipart *m, const struct multipart_part *part)
{
    char *room = malloc(part->filename.len + 1);
    must_lie_in(part->name, m->body);
    must_lie_in(part->filename, m->body);
    must_lie_in(part->content_type, m->body);
    must_lie_in(part->content, m->body);
    if (part->name.len == 0 || head_unquote(part->filename, room) > part->filename.len)
        abort();
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size ? memchr(text, '\n', size) : NULL;
    struct multipart m;
    struct multipart_part part;
    if (!newline)
        return 0;
    struct span type = {text, (size_t)(newline - text)};
    struct span body = {newline + 1, size - type.len - 1};
    if (multipart_open(&m, type, body) < 0)
        return 0;
    size_t pos = m.pos;
    while (multipart_next(&m, &part) == 1) {
        check_part(&m, &part);
        if (m.pos <= pos || m.pos > body.len)
            abort();
        pos = m.pos;
    }
    return 0;
}
