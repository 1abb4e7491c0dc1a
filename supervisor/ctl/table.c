// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/table.h"

#include "common/buf.h"
#include "common/utf8.h"
#include "supervisor/ctl/command.h"

#include <stdlib.h>
#include <string.h>

struct row {
    char *cells[TABLE_COLUMNS_MAX];
    size_t widths[TABLE_COLUMNS_MAX];
};

struct table {
    size_t columns;
    struct row *rows; /* the first holds the heads */
    size_t count, room;
};

static void *need(void *memory)
{
    if (!memory) {
        fputs("objectctl: no memory\n", stderr);
        exit(CTL_INTERNAL);
    }
    return memory;
}

/* Appends the text in printable form; returns how many characters that is. */
static size_t put_printable(struct buf *out, const char *text, size_t len)
{
    static const char *const named[] = {['\n'] = "\\n", ['\t'] = "\\t", ['\r'] = "\\r"};
    size_t width = 0;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_sequence(text + i, len - i);
        bool c1 = n == 2 && c == 0xC2 && (unsigned char)text[i + 1] < 0xA0;
        if (n > 0 && c >= 0x20 && c != 0x7F && !c1) {
            buf_append(out, text + i, n);
            i += n;
            width++;
            continue;
        }
        size_t before = out->len;
        if (c < sizeof(named) / sizeof(named[0]) && named[c])
            buf_puts(out, named[c]);
        else if (c1)
            buf_printf(out, "\\x%02x", (unsigned char)text[i + 1]);
        else
            buf_printf(out, "\\x%02x", c);
        width += out->len - before;
        i += c1 ? 2 : 1;
    }
    return width;
}

void table_put_text(FILE *out, const char *text, size_t len)
{
    struct buf printable = BUF_INIT;
    put_printable(&printable, text, len);
    fwrite(printable.data ? printable.data : "", 1, printable.len, out);
    buf_free(&printable);
}

char *table_cell(const json_t *value)
{
    if (json_is_string(value))
        return need(strdup(json_string_value(value)));
    if (!value || json_is_null(value))
        return need(strdup(""));
    return need(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12)));
}

struct table *table_new(const char *const *heads, size_t columns)
{
    struct table *table = need(calloc(1, sizeof(*table)));
    table->columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
    table_add(table, heads);
    return table;
}

void table_add(struct table *table, const char *const *cells)
{
    if (table->count == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->rows = need(realloc(table->rows, table->room * sizeof(*table->rows)));
    }
    struct row *row = &table->rows[table->count++];
    for (size_t i = 0; i < table->columns; i++) {
        struct buf cell = BUF_INIT;
        const char *text = cells[i] ? cells[i] : "";
        row->widths[i] = put_printable(&cell, text, strlen(text));
        row->cells[i] = need(strdup(buf_str(&cell)));
        buf_free(&cell);
    }
}

void table_print(const struct table *table, FILE *out, int indent)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t r = 0; r < table->count; r++) {
        for (size_t i = 0; i < table->columns; i++) {
            if (table->rows[r].widths[i] > widths[i])
                widths[i] = table->rows[r].widths[i];
        }
    }
    for (size_t r = 0; r < table->count; r++) {
        const struct row *row = &table->rows[r];
        fprintf(out, "%*s", indent, "");
        for (size_t i = 0; i < table->columns; i++) {
            int pad = i + 1 < table->columns ? (int)(widths[i] - row->widths[i]) + 2 : 0;
            fprintf(out, "%s%*s", row->cells[i], pad, "");
        }
        fputc('\n', out);
    }
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t r = 0; r < table->count; r++) {
        for (size_t i = 0; i < table->columns; i++)
            free(table->rows[r].cells[i]);
    }
    free(table->rows);
    free(table);
}
