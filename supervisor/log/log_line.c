// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_line.h"

#include "common/json_scan.h"
#include "common/json_text.h"
#include "common/state_file.h"
#include "common/tsv.h"
#include "common/utf8.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void span_text(struct span s, char *out)
{
    memcpy(out, s.data, s.len);
    out[s.len] = '\0';
}

static bool has_column(const struct log_columns *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (span_equal(c->name[i], name))
            return true;
    return false;
}

static int set_columns(struct log_columns *c, struct span header)
{
    *c = (struct log_columns){.names = span_dup(header)};
    if (!c->names)
        return -ENOMEM;
    c->count = tsv_split((struct span){c->names, header.len}, c->name, LOG_LINE_COLUMNS_MAX);
    if (c->count > LOG_LINE_COLUMNS_MAX)
        c->count = LOG_LINE_COLUMNS_MAX;
    c->is_ours = span_equal(header, LOG_LINE_HEADER);
    return 0;
}

int log_columns_parse(struct log_columns *c, struct span line)
{
    int err = set_columns(c, line);
    if (err)
        return err;
    if (has_column(c, "timestamp") && (has_column(c, "message") || has_column(c, "level")))
        return 1;
    log_columns_free(c);
    return set_columns(c, span_of(LOG_LINE_HEADER));
}

void log_columns_free(struct log_columns *c)
{
    free(c->names);
    *c = (struct log_columns){0};
}

void log_line_parse(struct log_line *l, const struct log_columns *columns, char *line, size_t len)
{
    l->columns = columns;
    l->count = tsv_split((struct span){line, len}, l->field, LOG_LINE_COLUMNS_MAX);
    size_t stored = l->count < LOG_LINE_COLUMNS_MAX ? l->count : LOG_LINE_COLUMNS_MAX;
    if (len > 0 && memchr(line, '\\', len))
        for (size_t i = 0; i < stored; i++)
            l->field[i].len =
                tsv_unescape_in_place(line + (l->field[i].data - line), l->field[i].len);
    for (size_t i = stored; i < columns->count; i++)
        l->field[i] = (struct span){"", 0};
}

struct span log_line_column(const struct log_line *l, const char *name)
{
    for (size_t i = 0; i < l->columns->count; i++)
        if (span_equal(l->columns->name[i], name))
            return l->field[i];
    return (struct span){"", 0};
}

/* The JSON object of `fields`, or no members where the column holds something else. */
static struct json_scan members_of(const struct log_line *l)
{
    struct span fields = l->columns->is_ours ? log_line_column(l, "fields") : (struct span){"", 0};
    bool usable = fields.len > 0 && utf8_valid(fields.data, fields.len);
    return json_scan_object(usable ? fields : (struct span){"", 0});
}

/* A JSON string, quotes included, against the text that it stands for. */
static bool string_equals(struct span json, struct span text)
{
    if (!memchr(json.data, '\\', json.len))
        return same((struct span){json.data + 1, json.len - 2}, text);
    json_t *string = json_loadb(json.data, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool equal =
        string && same((struct span){json_string_value(string), json_string_length(string)}, text);
    json_decref(string);
    return equal;
}

static bool is_whole(const char *number)
{
    return !strpbrk(number, ".eE");
}

/* Of JSON numbers: 1 and 1.0 are equal, large whole numbers are not rounded. */
static bool numbers_equal(struct span json, struct span text)
{
    char a[64], b[64];
    if (json.len >= sizeof(a) || text.len >= sizeof(b) || !json_scan_valid(text))
        return false;
    span_text(json, a);
    span_text(text, b);
    if ((*b != '-' && (*b < '0' || *b > '9')) || (*a != '-' && (*a < '0' || *a > '9')))
        return false;
    return !(is_whole(a) && is_whole(b)) && strtod(a, NULL) == strtod(b, NULL);
}

/* Of arrays and objects, however they are spaced. */
static bool values_equal(struct span json, struct span text)
{
    enum { FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL };
    if (text.len == 0 || (*text.data != '[' && *text.data != '{'))
        return false;
    json_t *a = json_loadb(json.data, json.len, FLAGS, NULL);
    json_t *b = a ? json_loadb(text.data, text.len, FLAGS, NULL) : NULL;
    bool equal = b && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return equal;
}

static bool value_equals(struct span json, struct span text)
{
    if (*json.data == '"')
        return string_equals(json, text);
    if (same(json, text))
        return true;
    return *json.data == '[' || *json.data == '{' ? values_equal(json, text)
                                                  : numbers_equal(json, text);
}

static bool contains(struct span text, struct span part)
{
    return part.len == 0 || memmem(text.data, text.len, part.data, part.len);
}

/*
 * False where a look at the bytes shows that no member can match, which saves most lines of a long
 * search the parsing. Without escapes strings stand there as they are; numbers, arrays and objects
 * may be written in several ways.
 */
static bool may_match(struct span fields, struct span name, struct span value)
{
    if (fields.len == 0 || memchr(fields.data, '\\', fields.len))
        return fields.len > 0;
    bool is_one_way = value.len > 0 && !strchr("-0123456789[{", *value.data);
    return contains(fields, name) && (!is_one_way || contains(fields, value));
}

static bool member_matches(const struct log_line *l, struct span name, struct span value)
{
    if (!may_match(log_line_column(l, "fields"), name, value))
        return false;
    struct json_scan scan = members_of(l);
    struct span member_name, member;
    while (json_scan_member(&scan, &member_name, &member)) {
        if (!string_equals(member_name, name))
            continue;
        if (value_equals(member, value))
            return true;
    }
    return false;
}

bool log_line_matches(const struct log_line *l, struct span name, struct span value)
{
    for (size_t i = 0; i < l->columns->count; i++)
        if (same(l->columns->name[i], name) && same(l->field[i], value))
            return true;
    return member_matches(l, name, value);
}

static void put_separator(struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_putc(out, ',');
}

static void put_column(struct buf *out, const struct log_line *l, size_t i)
{
    struct span name = l->columns->name[i], field = l->field[i];
    put_separator(out);
    json_put_string(out, name.data, name.len);
    buf_putc(out, ':');
    if (span_equal(name, "version") && state_file_is_number(field.data, field.len))
        buf_append(out, field.data, field.len);
    else
        json_put_string(out, field.data, field.len);
}

static bool is_shadowed(const struct log_line *l, struct span json_name)
{
    for (size_t i = 0; i < l->columns->count; i++)
        if (l->field[i].len > 0 && string_equals(json_name, l->columns->name[i]))
            return true;
    return false;
}

/* The members that are shadowed by a column, or those that are not. */
static bool put_members(struct buf *out, const struct log_line *l, bool shadowed)
{
    struct json_scan scan = members_of(l);
    struct span name, value;
    bool any = false;
    while (json_scan_member(&scan, &name, &value)) {
        if (is_shadowed(l, name) != shadowed)
            continue;
        if (!any && shadowed) {
            put_separator(out);
            buf_puts(out, "\"fields\":{");
        }
        any = true;
        put_separator(out);
        buf_append(out, name.data, name.len);
        buf_putc(out, ':');
        buf_append(out, value.data, value.len);
    }
    return any;
}

void log_line_json(struct buf *out, const struct log_line *l)
{
    bool has_members = members_of(l).at != NULL;
    buf_putc(out, '{');
    for (size_t i = 0; i < l->columns->count; i++) {
        bool is_members = has_members && span_equal(l->columns->name[i], "fields");
        if (l->field[i].len > 0 && !is_members)
            put_column(out, l, i);
    }
    put_members(out, l, false);
    if (put_members(out, l, true))
        buf_putc(out, '}');
    buf_putc(out, '}');
}
