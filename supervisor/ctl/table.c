// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/table.h"

#include "common/buf.h"
#include "supervisor/ctl/command.h"
#include "supervisor/ctl/printable.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GAP = 2, NARROWEST = 8 };

struct row {
    char *cells[TABLE_COLUMNS_MAX];
    size_t widths[TABLE_COLUMNS_MAX];
};

struct table {
    size_t columns;
    bool kept[TABLE_COLUMNS_MAX];
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
        row->widths[i] = printable_append(&cell, text, strlen(text));
        row->cells[i] = need(strdup(buf_str(&cell)));
        buf_free(&cell);
    }
}

void table_keep(struct table *table, size_t column)
{
    if (column < table->columns)
        table->kept[column] = true;
}

/* --- printing ------------------------------------------------------------------------------- */

static void measure(const struct table *table, size_t *widths)
{
    for (size_t r = 0; r < table->count; r++) {
        for (size_t i = 0; i < table->columns; i++) {
            if (table->rows[r].widths[i] > widths[i])
                widths[i] = table->rows[r].widths[i];
        }
    }
}

/* Takes from the widest column that is not kept, else from the widest, while one can give. */
static void narrow(const struct table *table, size_t *widths, size_t indent, size_t room)
{
    for (;;) {
        size_t total = indent + GAP * (table->columns - 1), widest = 0, given = 0;
        for (size_t i = 0; i < table->columns; i++) {
            total += widths[i];
            if (widths[i] > widths[widest])
                widest = i;
            if (!table->kept[i] && (table->kept[given] || widths[i] > widths[given]))
                given = i;
        }
        if (table->kept[given] || widths[given] <= NARROWEST)
            given = widest;
        if (total <= room || widths[given] <= NARROWEST)
            return;
        widths[given]--;
    }
}

static void print_cell(FILE *out, const char *cell, size_t width, size_t room, bool last)
{
    size_t len = strlen(cell);
    bool cut = width > room;
    if (cut)
        len = printable_fit(cell, room - 1, &width);
    fwrite(cell, 1, len, out);
    if (cut) {
        fputs("…", out);
        width++;
    }
    if (!last)
        fprintf(out, "%*s", (int)(room - width) + GAP, "");
}

void table_print(const struct table *table, FILE *out, int indent, size_t width)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    measure(table, widths);
    if (width > 0 && table->columns > 0)
        narrow(table, widths, (size_t)indent, width);
    for (size_t r = 0; r < table->count; r++) {
        const struct row *row = &table->rows[r];
        fprintf(out, "%*s", indent, "");
        for (size_t i = 0; i < table->columns; i++)
            print_cell(out, row->cells[i], row->widths[i], widths[i], i + 1 == table->columns);
        fputc('\n', out);
    }
}

void table_print_tsv(const struct table *table, FILE *out)
{
    for (size_t r = 0; r < table->count; r++) {
        for (size_t i = 0; i < table->columns; i++)
            fprintf(out, "%s%s", i ? "\t" : "", table->rows[r].cells[i]);
        fputc('\n', out);
    }
}

size_t table_terminal_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void table_show(const struct table *table)
{
    size_t width = table_terminal_width();
    if (width > 0)
        table_print(table, stdout, 0, width);
    else
        table_print_tsv(table, stdout);
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
