// SPDX-License-Identifier: Apache-2.0
/* links: common/urlencoded.c common/head.c common/codec.c common/buf.c */
/*
 * The first byte says what the rest is: '0' a query string, '1' header fields, '2' a field with
 * parameters, '3' cookies. All pieces must lie inside the input and the loops end.
 */
#include "common/urlencoded.h"

#include "common/head.h"

#include <stdint.h>
#include <stdlib.h>

static void must_lie_in(struct span part, struct span whole)
{
    if (part.len > 0 && (part.data < whole.data || part.data + part.len > whole.data + whole.len))
        abort();
}

static void try_decode(struct span text, bool plus)
{
    char *out = malloc(text.len + 1);
    size_t len = urlencoded_decode(text, plus, out);
    if (len > text.len)
        abort();
    if (urlencoded_is_plain(text, plus) && (len != text.len || memcmp(out, text.data, len) != 0))
        abort();
    free(out);
}

static bool next_pair(struct span *rest, struct span *name, struct span *value)
{
    struct urlencoded u = {*rest};
    bool found = urlencoded_next(&u, name, value);
    *rest = u.rest;
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const readers[])(struct span *, struct span *, struct span *) = {
        next_pair, head_next, head_next_parameter, head_next_cookie};
    if (size < 1 || data[0] < '0' || data[0] > '3')
        return 0;
    struct span whole = {(const char *)data + 1, size - 1}, rest = whole, name, value;
    must_lie_in(head_media_type(whole), whole);
    while (readers[data[0] - '0'](&rest, &name, &value)) {
        must_lie_in(name, whole);
        must_lie_in(value, whole);
        must_lie_in(rest, whole);
        try_decode(name, true);
        try_decode(value, false);
    }
    return 0;
}
