// SPDX-License-Identifier: Apache-2.0
/* links: common/multipart.c common/head.c common/urlencoded.c common/codec.c common/buf.c */
/*
 * A multipart body. The input is the Content-Type, a newline, a byte that says how large the pieces
 * are in which the body arrives, and the body. In memory every part must lie inside the body,
 * behind the one before it; in pieces the parts must be the same.
 */
#include "common/multipart.h"

#include "common/head.h"

#include <stdint.h>
#include <stdlib.h>

static void must_lie_in(struct span part, struct span whole)
{
    if (part.len == 0)
        return;
    if (part.data < whole.data || part.data + part.len > whole.data + whole.len)
        abort();
}

static void put_number(struct buf *out, size_t n)
{
    buf_append(out, &n, sizeof(n));
}

static void put_part(struct buf *out, const struct multipart_part *part)
{
    put_number(out, part->name.len);
    put_number(out, part->filename.len);
    multipart_put_filename(out, part);
    buf_append(out, part->content_type.data, part->content_type.len);
}

static void read_whole(struct multipart m, struct span body, struct buf *out)
{
    struct multipart_part part;
    struct span rest = body;
    int got;
    while ((got = multipart_next(&m, &rest, &part)) == 1) {
        must_lie_in(part.name, body);
        must_lie_in(part.filename, body);
        must_lie_in(part.content_type, body);
        must_lie_in(part.content, body);
        must_lie_in(rest, body);
        if (part.name.len == 0)
            abort();
        put_part(out, &part);
        buf_append(out, part.content.data, part.content.len);
        put_number(out, part.content.len);
    }
    buf_puts(out, got < 0 ? m.error : "end");
}

static void read_pieces(struct multipart m, struct span body, size_t piece, struct buf *out)
{
    struct multipart_part part;
    size_t at = 0, shown = 0, content = 0, used;
    struct buf head = BUF_INIT;
    enum multipart_event event = MULTIPART_MORE;
    while (event != MULTIPART_END && event != MULTIPART_BAD) {
        if (event == MULTIPART_MORE) {
            if (shown == body.len && shown > 0 && at > shown)
                abort();
            shown = body.len - shown < piece ? body.len : shown + piece;
        }
        struct span window = {body.data + at, shown - at};
        event = multipart_step(&m, window, shown == body.len, &used, &part);
        if (used > window.len || (event == MULTIPART_MORE && shown == body.len))
            abort();
        at += used;
        if (event == MULTIPART_MORE && shown - at > MULTIPART_WINDOW_MAX)
            abort();
        if (event == MULTIPART_PART) {
            buf_reset(&head, SIZE_MAX);
            put_part(&head, &part);
            content = 0;
        }
        if (event == MULTIPART_DATA) {
            if (part.content.len == 0)
                abort();
            buf_append(&head, part.content.data, part.content.len);
            content += part.content.len;
        }
        if (event == MULTIPART_PART_END) {
            buf_append(out, head.data, head.len);
            put_number(out, content);
        }
    }
    buf_puts(out, event == MULTIPART_BAD ? m.error : "end");
    buf_free(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size ? memchr(text, '\n', size) : NULL;
    struct multipart m;
    if (!newline || newline + 1 == text + size)
        return 0;
    struct span type = {text, (size_t)(newline - text)};
    struct span body = {newline + 2, size - type.len - 2};
    if (multipart_open(&m, type) < 0)
        return 0;
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    read_whole(m, body, &whole);
    read_pieces(m, body, (size_t)(uint8_t)newline[1] + 1, &pieces);
    if (whole.len != pieces.len || memcmp(whole.data, pieces.data, whole.len) != 0)
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
