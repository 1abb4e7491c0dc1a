// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/record.h"

#include "common/clock.h"
#include "common/tsv.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHECKSUM_LEN = 16,
    DIGITS_MAX = 20,
    PREFIX_MAX = 2 * DIGITS_MAX + 3, /* seq, tab, hlc with its point, tab */
    BOOT_SHIFT = 40,                 /* keeps boot and first_seq apart in a seed */
};

static const struct span kind_names[RECORD_KINDS] = {
    [RECORD_HEADER] = {"header", 6}, [RECORD_BATCH] = {"batch", 5},
    [RECORD_BEGIN] = {"begin", 5},   [RECORD_SET] = {"set", 3},
    [RECORD_DEL] = {"del", 3},       [RECORD_FILE] = {"file", 4},
    [RECORD_EMIT] = {"emit", 4},     [RECORD_TIMER] = {"timer", 5},
    [RECORD_CURSOR] = {"cursor", 6}, [RECORD_ACK] = {"ack", 3},
    [RECORD_COMMIT] = {"commit", 6},
};

int record_position_compare(struct record_position a, struct record_position b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return (a.offset > b.offset) - (a.offset < b.offset);
}

struct record_seeds record_seeds_of(uint64_t first_seq, uint64_t boot)
{
    uint64_t rotated = boot << BOOT_SHIFT | boot >> (64 - BOOT_SHIFT);
    return (struct record_seeds){.control = first_seq, .turn = first_seq ^ rotated};
}

/* --- writing --- */

static size_t put_digits(char *at, uint64_t value)
{
    char reversed[DIGITS_MAX];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        at[i] = reversed[n - 1 - i];
    return n;
}

static void put_number(struct buf *out, uint64_t value)
{
    char digits[DIGITS_MAX];
    buf_append(out, digits, put_digits(digits, value));
}

/* "seq \t hlc \t": the same for all lines of a turn. */
struct prefix {
    char text[PREFIX_MAX];
    size_t len;
};

static struct prefix prefix_of(struct record_stamp stamp)
{
    struct prefix p;
    char *at = p.text + put_digits(p.text, stamp.seq);
    *at++ = '\t';
    at += put_digits(at, stamp.hlc / US_PER_S);
    *at++ = '.';
    uint64_t fraction = stamp.hlc % US_PER_S;
    for (int i = 5; i >= 0; i--) {
        at[i] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
    at += 6;
    *at++ = '\t';
    p.len = (size_t)(at - p.text);
    return p;
}

/* Returns where the line starts. */
static size_t line_begin(struct buf *out, const struct prefix *prefix, enum record_kind kind)
{
    size_t start = out->len;
    buf_append(out, prefix->text, prefix->len);
    buf_append(out, kind_names[kind].data, kind_names[kind].len);
    return start;
}

static void put_field(struct buf *out, struct span field)
{
    buf_putc(out, '\t');
    tsv_put(out, field.data, field.len);
}

static void put_number_field(struct buf *out, uint64_t value)
{
    buf_putc(out, '\t');
    put_number(out, value);
}

static void checksum_text(char out[CHECKSUM_LEN], const char *bytes, size_t len, uint64_t seed)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t sum = XXH3_64bits_withSeed(bytes, len, seed);
    for (int i = CHECKSUM_LEN - 1; i >= 0; i--) {
        out[i] = hex[sum & 15];
        sum >>= 4;
    }
}

static void line_end(struct buf *out, size_t start, uint64_t seed)
{
    if (!buf_reserve(out, 1 + CHECKSUM_LEN + 1))
        return;
    out->data[out->len++] = '\t';
    checksum_text(out->data + out->len, out->data + start, out->len - start, seed);
    out->len += CHECKSUM_LEN;
    out->data[out->len++] = '\n';
}

static void put_position(struct buf *out, struct record_position position)
{
    put_number_field(out, position.segment);
    buf_putc(out, ':');
    put_number(out, position.offset);
}

void record_put_header(struct buf *out, struct record_stamp stamp,
                       const struct record_control *header)
{
    struct prefix prefix = prefix_of(stamp);
    struct span station = header->station;
    if (station.len > RECORD_STATION_MAX)
        station.len = RECORD_STATION_MAX;
    size_t start = line_begin(out, &prefix, RECORD_HEADER);
    put_number_field(out, RECORD_FORMAT);
    put_field(out, station);
    put_number_field(out, header->boot);
    put_number_field(out, header->previous_seq);
    put_position(out, header->durable);
    put_number_field(out, header->durable_seq);
    line_end(out, start, record_seeds_of(stamp.seq, header->boot).control);
}

void record_put_batch(struct buf *out, uint64_t first_seq, struct record_stamp stamp,
                      const struct record_control *batch)
{
    struct prefix prefix = prefix_of(stamp);
    size_t start = line_begin(out, &prefix, RECORD_BATCH);
    put_number_field(out, batch->boot);
    put_position(out, batch->durable);
    put_number_field(out, batch->durable_seq);
    line_end(out, start, record_seeds_of(first_seq, batch->boot).control);
}

static void put_write(struct buf *out, const struct prefix *prefix, uint64_t seed,
                      const struct rpc_write *write)
{
    bool set = write->op == RPC_WRITE_SET;
    size_t start = line_begin(out, prefix, set ? RECORD_SET : RECORD_DEL);
    put_field(out, write->key);
    if (set)
        put_field(out, write->value);
    line_end(out, start, seed);
}

static void put_file(struct buf *out, const struct prefix *prefix, uint64_t seed,
                     const struct rpc_file *file)
{
    size_t start = line_begin(out, prefix, RECORD_FILE);
    bool put = file->op == RPC_FILE_PUT;
    put_field(out, span_of(put ? "put" : "del"));
    put_field(out, file->name);
    put_field(out, file->token);
    if (put)
        put_number_field(out, file->size);
    line_end(out, start, seed);
}

static void put_files_done(struct buf *out, const struct prefix *prefix, uint64_t seed,
                           uint64_t seq)
{
    size_t start = line_begin(out, prefix, RECORD_FILE);
    put_field(out, span_of("done"));
    put_number_field(out, seq);
    line_end(out, start, seed);
}

static void put_files(struct buf *out, const struct prefix *prefix, uint64_t seed,
                      const struct record_turn *turn)
{
    struct codec_reader r = codec_reader_of(turn->files.files.data, turn->files.files.len);
    struct rpc_file file;
    while (rpc_file_next(&r, &file))
        put_file(out, prefix, seed, &file);
    if (turn->files_done)
        put_files_done(out, prefix, seed, turn->files_done);
}

static void put_timers(struct buf *out, const struct prefix *prefix, uint64_t seed,
                       struct span timers)
{
    while (timers.len) {
        const char *newline = memchr(timers.data, '\n', timers.len);
        size_t len = newline ? (size_t)(newline - timers.data) : timers.len;
        size_t start = line_begin(out, prefix, RECORD_TIMER);
        buf_putc(out, '\t');
        buf_append(out, timers.data, len);
        line_end(out, start, seed);
        size_t used = len + (newline != NULL);
        timers = (struct span){timers.data + used, timers.len - used};
    }
}

void record_put_turn(struct buf *out, uint64_t seed, struct record_stamp stamp,
                     const struct record_turn *turn)
{
    struct prefix prefix = prefix_of(stamp);
    size_t start = line_begin(out, &prefix, RECORD_BEGIN);
    put_field(out, turn->object_id);
    put_field(out, turn->request_id);
    put_number_field(out, turn->write_count + turn->files.count + (turn->files_done > 0) +
                              turn->timer_count);
    line_end(out, start, seed);

    struct codec_reader r = codec_reader_of(turn->writes.data, turn->writes.len);
    struct rpc_write write;
    while (rpc_write_next(&r, &write))
        put_write(out, &prefix, seed, &write);
    if (turn->files.count || turn->files_done)
        put_files(out, &prefix, seed, turn);
    put_timers(out, &prefix, seed, turn->timers);

    start = line_begin(out, &prefix, RECORD_COMMIT);
    line_end(out, start, seed);
}

/* --- reading --- */

bool record_number(struct span text, uint64_t *value)
{
    if (text.len == 0 || text.len > DIGITS_MAX)
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.data[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

static bool decode_stamp(struct span text, uint64_t *hlc)
{
    if (text.len < 8 || text.data[text.len - 7] != '.')
        return false;
    uint64_t seconds, micros;
    struct span whole = {text.data, text.len - 7}, fraction = {text.data + text.len - 6, 6};
    if (!record_number(whole, &seconds) || !record_number(fraction, &micros))
        return false;
    if (seconds > UINT64_MAX / US_PER_S - 1)
        return false;
    *hlc = seconds * US_PER_S + micros;
    return true;
}

static bool decode_kind(struct span text, enum record_kind *kind)
{
    for (unsigned i = 0; i < RECORD_KINDS; i++) {
        if (text.len == kind_names[i].len && memcmp(text.data, kind_names[i].data, text.len) == 0) {
            *kind = i;
            return true;
        }
    }
    return false;
}

/* Cuts the next column off `rest`; the last tab (before the checksum) is still in it. */
static bool next_column(struct span *rest, struct span *column)
{
    const char *tab = rest->len ? memchr(rest->data, '\t', rest->len) : NULL;
    if (!tab)
        return false;
    *column = (struct span){rest->data, (size_t)(tab - rest->data)};
    *rest = (struct span){tab + 1, rest->len - column->len - 1};
    return true;
}

bool record_decode(struct span line, const struct record_seeds *seeds, struct record_line *out)
{
    if (line.len <= CHECKSUM_LEN || line.data[line.len - CHECKSUM_LEN - 1] != '\t')
        return false;
    struct span rest = {line.data, line.len - CHECKSUM_LEN}, column;
    if (!next_column(&rest, &column) || !record_number(column, &out->seq))
        return false;
    if (!next_column(&rest, &column) || !decode_stamp(column, &out->hlc))
        return false;
    if (!next_column(&rest, &column) || !decode_kind(column, &out->kind))
        return false;
    bool control = out->kind == RECORD_HEADER || out->kind == RECORD_BATCH;
    char expected[CHECKSUM_LEN];
    checksum_text(expected, line.data, line.len - CHECKSUM_LEN,
                  control ? seeds->control : seeds->turn);
    if (memcmp(expected, line.data + line.len - CHECKSUM_LEN, CHECKSUM_LEN) != 0)
        return false;
    out->field_count = 0;
    out->all = (struct span){rest.data, rest.len ? rest.len - 1 : 0};
    while (out->field_count < RECORD_FIELDS_MAX && next_column(&rest, &column))
        out->fields[out->field_count++] = column;
    return true;
}

static bool decode_position(struct span text, struct record_position *position)
{
    const char *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
    if (!colon)
        return false;
    size_t before = (size_t)(colon - text.data);
    struct span segment = {text.data, before}, offset = {colon + 1, text.len - before - 1};
    return record_number(segment, &position->segment) && record_number(offset, &position->offset);
}

bool record_control_decode(const struct record_line *line, struct record_control *out)
{
    *out = (struct record_control){0};
    const struct span *f = line->fields;
    if (line->kind == RECORD_BATCH)
        return line->field_count >= 3 && record_number(f[0], &out->boot) &&
               decode_position(f[1], &out->durable) && record_number(f[2], &out->durable_seq);
    if (line->kind != RECORD_HEADER || line->field_count < 6)
        return false;
    out->station = f[1];
    return record_number(f[2], &out->boot) && record_number(f[3], &out->previous_seq) &&
           decode_position(f[4], &out->durable) && record_number(f[5], &out->durable_seq);
}

uint64_t record_header_format(const struct record_line *line)
{
    uint64_t format = 0;
    if (line->kind != RECORD_HEADER || line->field_count == 0 ||
        !record_number(line->fields[0], &format))
        return 0;
    return format;
}
