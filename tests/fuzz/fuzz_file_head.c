// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/rest/byte_range.c supervisor/rest/file_head.c common/file_store.c common/utf8.c
 * common/codec.c common/buf.c */
/*
 * What a client says about a file: the first byte is the file's size, then a line each: Range,
 * If-None-Match, its name. A range lies within the file; a disposition is a header field.
 */
#include "common/file_store.h"
#include "supervisor/rest/byte_range.h"
#include "supervisor/rest/file_head.h"

#include <stdint.h>
#include <stdlib.h>

static struct span cut_line(struct span *rest)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct span line = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
    size_t used = line.len + (end != NULL);
    *rest = (struct span){rest->data + used, rest->len - used};
    return line;
}

static void check_range(struct span field, uint64_t size)
{
    struct byte_range range = {0, 0};
    if (byte_range_parse(field, size, &range) == BYTE_RANGE_PART &&
        (range.length == 0 || range.first >= size || range.length > size - range.first))
        abort();
}

static void check_name(struct span name)
{
    struct buf out = BUF_INIT;
    char text[FILE_STORE_NAME_MAX + 1];
    if (file_store_name_problem(name))
        return;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    if (strlen(text) != name.len || memchr(text, '/', name.len))
        abort();
    file_head_disposition(&out, text);
    for (const char *c = buf_str(&out); *c; c++)
        if (*c < ' ' || *c > '~')
            abort();
    if (!*file_head_type(text))
        abort();
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    check_range(cut_line(&rest), data[0]);
    file_head_matches(cut_line(&rest), "\"1-2-3\"");
    check_name(rest);
    return 0;
}
