// SPDX-License-Identifier: Apache-2.0
#include "supervisor/versions/version_line.h"

#include "common/tsv.h"

static const char *const names[VERSION_FIELDS] = {"version_id", "timestamp", "author", "message",
                                                  "hash",       "status",    "reason"};

static int field_named(struct span name)
{
    for (int i = 0; i < VERSION_FIELDS; i++)
        if (span_equal(name, names[i]))
            return i;
    return -1;
}

static bool is_header(const struct version_columns *c)
{
    unsigned seen = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->field[i] >= 0)
            seen |= 1u << c->field[i];
    return (seen & 1u << VERSION_ID) && (seen & 1u << VERSION_HASH);
}

static void set_default(struct version_columns *c)
{
    c->count = VERSION_FIELDS;
    for (int i = 0; i < VERSION_FIELDS; i++)
        c->field[i] = i;
    c->has_status = true;
}

bool version_columns_parse(struct version_columns *c, struct span line)
{
    struct span parts[VERSION_COLUMNS_MAX];
    *c = (struct version_columns){0};
    size_t count = tsv_split(line, parts, VERSION_COLUMNS_MAX);
    for (size_t i = 0; i < count && i < VERSION_COLUMNS_MAX; i++) {
        c->field[c->count++] = field_named(parts[i]);
        c->has_status |= c->field[i] == VERSION_STATUS;
    }
    if (count <= VERSION_COLUMNS_MAX && is_header(c))
        return true;
    set_default(c);
    return false;
}

/* A number above 0 in canonical decimal. */
static bool parse_id(struct span text, uint64_t *id)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 18 || text.data[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *id = value;
    return true;
}

/* Columns behind those of a header without a status hold status and reason. */
static int field_at(const struct version_columns *c, size_t i)
{
    if (i < c->count)
        return c->field[i];
    if (c->has_status || i > c->count + 1)
        return -1;
    return i == c->count ? VERSION_STATUS : VERSION_REASON;
}

bool version_line_parse(const struct version_columns *c, struct span line, struct version_line *v)
{
    struct span parts[VERSION_COLUMNS_MAX + 2];
    size_t max = sizeof(parts) / sizeof(parts[0]);
    size_t count = tsv_split(line, parts, max);
    *v = (struct version_line){0};
    for (int i = 0; i < VERSION_FIELDS; i++)
        v->field[i] = (struct span){"", 0};
    for (size_t i = 0; i < count && i < max; i++) {
        int field = field_at(c, i);
        if (field >= 0)
            v->field[field] = parts[i];
    }
    struct span status = v->field[VERSION_STATUS];
    v->has_hash = sha256_parse(v->field[VERSION_HASH], &v->hash);
    v->is_accepted = status.len == 0 || span_equal(status, "accepted");
    return parse_id(v->field[VERSION_ID], &v->id) && v->field[VERSION_HASH].len > 0;
}

static void put_field(struct buf *out, int field, const struct version_facts *f)
{
    char hash[SHA256_TEXT_SIZE];
    switch (field) {
    case VERSION_ID:
        buf_printf(out, "%llu", (unsigned long long)f->id);
        break;
    case VERSION_TIMESTAMP:
        buf_printf(out, "%llu.%06llu", (unsigned long long)(f->wall_us / 1000000),
                   (unsigned long long)(f->wall_us % 1000000));
        break;
    case VERSION_AUTHOR:
        tsv_put(out, f->author.data, f->author.len);
        break;
    case VERSION_MESSAGE:
        tsv_put(out, f->message.data, f->message.len);
        break;
    case VERSION_HASH:
        sha256_text(f->hash, hash);
        buf_puts(out, hash);
        break;
    case VERSION_STATUS:
        buf_puts(out, f->is_rejected ? "rejected" : "accepted");
        break;
    case VERSION_REASON:
        tsv_put(out, f->reason.data, f->reason.len);
        break;
    }
}

void version_line_put(struct buf *out, const struct version_columns *c,
                      const struct version_facts *f)
{
    size_t count = c->count + (c->has_status ? 0 : 2);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_putc(out, '\t');
        put_field(out, field_at(c, i), f);
    }
    buf_putc(out, '\n');
}
