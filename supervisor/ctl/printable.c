// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/printable.h"

#include "common/utf8.h"
#include "supervisor/ctl/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* The character of a well-formed sequence of n bytes. */
static wchar_t decode(const char *text, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)text;
    static const unsigned char first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    wchar_t c = bytes[0] & first_bits[n];
    for (size_t i = 1; i < n; i++)
        c = (wchar_t)(c << 6 | (bytes[i] & 0x3F));
    return c;
}

/* What a terminal obeys instead of showing it, or what makes it show other text than there is. */
static bool steers(wchar_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

static size_t width_of(wchar_t c)
{
    int width = wcwidth(c);
    return width < 0 ? 1 : (size_t)width;
}

static void append_escape(struct buf *out, wchar_t c)
{
    static const char *const named[] = {['\n'] = "\\n", ['\t'] = "\\t", ['\r'] = "\\r"};
    if ((size_t)c < sizeof(named) / sizeof(named[0]) && named[c])
        buf_puts(out, named[c]);
    else
        buf_printf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
}

size_t printable_append(struct buf *out, const char *text, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        wchar_t c = n > 0 ? decode(text + i, n) : (unsigned char)text[i];
        if (n > 0 && !steers(c)) {
            buf_append(out, text + i, n);
            width += width_of(c);
        } else {
            size_t before = out->len;
            append_escape(out, c);
            width += out->len - before;
        }
        i += n > 0 ? n : 1;
    }
    return width;
}

size_t printable_fit(const char *text, size_t columns, size_t *used)
{
    size_t len = strlen(text), i = 0;
    *used = 0;
    while (i < len) {
        size_t n = utf8_sequence(text + i, len - i);
        size_t width = n > 0 ? width_of(decode(text + i, n)) : 1;
        if (*used + width > columns)
            break;
        *used += width;
        i += n > 0 ? n : 1;
    }
    return i;
}

void printable_put(FILE *out, const char *text, size_t len)
{
    struct buf printable = BUF_INIT;
    printable_append(&printable, text, len);
    fwrite(printable.data ? printable.data : "", 1, printable.len, out);
    buf_free(&printable);
}

void printable_put_lines(FILE *out, const char *text, size_t len, int indent)
{
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline ? (size_t)(newline - text) : len;
        printable_put(out, text, n);
        n += newline != NULL;
        text += n;
        len -= n;
        if (newline && len > 0)
            fprintf(out, "\n%*s", indent, "");
    }
}

void printable_put_value(FILE *out, const json_t *value)
{
    char *text = table_cell(value);
    printable_put(out, text, strlen(text));
    free(text);
}
