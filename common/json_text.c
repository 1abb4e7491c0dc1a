// SPDX-License-Identifier: Apache-2.0
#include "common/json_text.h"

#include "common/utf8.h"

static void put_escaped(struct buf *out, unsigned char c)
{
    static const char short_forms[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                       ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (c < sizeof(short_forms) && short_forms[c]) {
        buf_putc(out, '\\');
        buf_putc(out, short_forms[c]);
    } else {
        buf_printf(out, "\\u%04x", c);
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void json_put_string(struct buf *out, const char *text, size_t len)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < len;) {
        size_t run = i;
        while (run < len && is_plain((unsigned char)text[run]))
            run++;
        buf_append(out, text + i, run - i);
        i = run;
        if (i == len)
            break;
        unsigned char c = (unsigned char)text[i];
        size_t n = c < 0x80 ? 1 : utf8_sequence(text + i, len - i);
        if (c < 0x80)
            put_escaped(out, c);
        else if (n)
            buf_append(out, text + i, n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    buf_putc(out, '"');
}

void json_put_key(struct buf *out, const char *key)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_putc(out, ',');
    json_put_string(out, key, strlen(key));
    buf_putc(out, ':');
}

void json_put_member(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_string(out, text, strlen(text));
}

void json_put_number(struct buf *out, const char *key, unsigned long long value)
{
    json_put_key(out, key);
    buf_printf(out, "%llu", value);
}
