// SPDX-License-Identifier: Apache-2.0
#include "common/state_file.h"

#include "common/fd_io.h"
#include "common/json_text.h"
#include "common/tsv.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC "#objectd-state "

enum {
    BLOCK_SIZE = 256 * 1024,
    FIRST_LINE_MAX = 4096, /* bytes; ours are shorter, and nobody waits for more to see that */
    COLUMNS = 3,
    FLOAT_DIGITS_MAX = 17, /* enough for any double */
    NUMBER_MAX = 4300,     /* digits that Python still reads as an integer */
};

static int bad(struct state_file *f, const char *what)
{
    f->error = what;
    return -EBADMSG;
}

/* Makes room behind `end`: moves what is left to the front, grows when a line fills the block. */
static int make_room(struct state_file *f)
{
    if (f->start > 0 && f->block) {
        memmove(f->block, f->block + f->start, f->end - f->start);
        f->end -= f->start;
        f->start = 0;
    }
    if (f->end < f->cap)
        return 0;
    if (f->cap >= STATE_FILE_LINE_MAX)
        return -EFBIG;
    size_t cap = f->cap ? f->cap * 2 : BLOCK_SIZE;
    char *grown = realloc(f->block, cap);
    if (!grown)
        return -ENOMEM;
    f->block = grown;
    f->cap = cap;
    return 0;
}

static int read_more(struct state_file *f)
{
    int err = make_room(f);
    if (err)
        return err;
    ssize_t n;
    do
        n = pread(f->fd, f->block + f->end, f->cap - f->end, f->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    f->at_eof = n == 0;
    f->end += (size_t)n;
    f->offset += n;
    return 0;
}

/* Gives up a line that is too long, up to and with its newline. */
static int skip_line(struct state_file *f)
{
    for (;;) {
        f->start = f->end = 0;
        int err = read_more(f);
        if (err)
            return err;
        if (f->at_eof)
            return 0;
        char *newline = memchr(f->block, '\n', f->end);
        if (newline) {
            f->start = (size_t)(newline - f->block) + 1;
            return 0;
        }
    }
}

/* 1: *line is the next, without its newline; *whole says whether it had one. 0: end of file. */
static int next_line(struct state_file *f, struct span *line, bool *whole)
{
    size_t searched = 0;
    for (;;) {
        size_t left = f->end - f->start;
        char *at = left > 0 ? f->block + f->start : NULL;
        char *newline = left > searched ? memchr(at + searched, '\n', left - searched) : NULL;
        *whole = newline != NULL;
        if (newline || (f->at_eof && left > 0)) {
            *line = (struct span){at, newline ? (size_t)(newline - at) : left};
            f->start += line->len + (newline ? 1 : 0);
            f->line++;
            return 1;
        }
        if (f->at_eof)
            return 0;
        searched = left;
        int err = read_more(f);
        if (err == -EFBIG) {
            f->line++;
            err = skip_line(f);
            return err ? err : bad(f, "line too long");
        }
        if (err)
            return err;
    }
}

/* The words behind MAGIC: version and seq=N; further ones are left to later versions. */
static int parse_first_line(struct state_file *f, struct span line)
{
    const char *at = line.data + strlen(MAGIC), *end = line.data + line.len;
    static const char expected[] = "1 seq=";
    size_t n = strlen(expected);
    if ((size_t)(end - at) <= n || memcmp(at, expected, n) != 0)
        return bad(f, "not a version of this file that is known here");
    at += n;
    uint64_t seq = 0;
    const char *digits = at;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(seq, 10, &seq) ||
            __builtin_add_overflow(seq, (uint64_t)(*at - '0'), &seq))
            return bad(f, "sequence number out of range");
    if (at == digits || (at < end && *at != ' '))
        return bad(f, "malformed sequence number");
    f->watermark = seq;
    return 0;
}

static bool is_legacy_header(struct span line)
{
    struct span columns[2];
    return tsv_split(line, columns, 2) >= 2 && span_equal(columns[0], "key") &&
           span_equal(columns[1], "value");
}

/* The first line, or as much of it as may be ours. */
static int peek_first(struct state_file *f, struct span *line, bool *whole)
{
    const char *newline = NULL;
    while (!newline && !f->at_eof && f->end < FIRST_LINE_MAX) {
        int err = read_more(f);
        if (err)
            return err;
        newline = f->end ? memchr(f->block, '\n', f->end) : NULL;
    }
    *whole = newline != NULL;
    *line = (struct span){f->end ? f->block : "", newline ? (size_t)(newline - f->block) : f->end};
    return 0;
}

static void take_first(struct state_file *f, struct span line, bool whole)
{
    f->start = line.len + (whole ? 1 : 0);
    f->line = 1;
}

int state_file_open(struct state_file *f, int fd)
{
    *f = (struct state_file){.fd = fd, .error = ""};
    struct span line;
    bool whole;
    int err = peek_first(f, &line, &whole);
    if (err)
        return err;
    size_t magic = strlen(MAGIC);
    f->is_legacy = line.len < magic || memcmp(line.data, MAGIC, magic) != 0;
    if (!f->is_legacy) {
        take_first(f, line, whole);
        return whole ? parse_first_line(f, line) : bad(f, f->at_eof ? "cut off" : "line too long");
    }
    if ((whole || f->at_eof) && is_legacy_header(line))
        take_first(f, line, whole);
    return 0;
}

static bool is_plain_utf8(const char *text, size_t len)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, text + i, sizeof(word));
        if (word & 0x8080808080808080ull)
            break;
    }
    return utf8_valid(text + i, len - i);
}

/* Whatever a column of ours never holds unescaped shows damage, such as a block of zeroes. */
static const char *damage_of(const struct state_file *f, struct span line)
{
    if (!is_plain_utf8(line.data, line.len))
        return "not UTF-8";
    if (!f->is_legacy && line.len > 0 &&
        (memchr(line.data, '\0', line.len) || memchr(line.data, '\r', line.len)))
        return "unescaped NUL or carriage return";
    return NULL;
}

static void unescape(struct span *field)
{
    /* the block is ours to write: spans are const for its readers only */
    field->len = tsv_unescape_in_place((char *)field->data, field->len);
}

static int entry_of(struct state_file *f, struct span line, struct state_file_entry *e)
{
    struct span columns[COLUMNS] = {{"", 0}, {"", 0}, {"", 0}};
    const char *damage = damage_of(f, line);
    if (damage)
        return bad(f, damage);
    size_t count = tsv_split(line, columns, COLUMNS);
    if (count < COLUMNS && !(f->is_legacy && count == COLUMNS - 1))
        return bad(f, count < 2 ? "no value column" : "no timestamp column");
    if (line.len > 0 && memchr(line.data, '\\', line.len))
        for (size_t i = 0; i < COLUMNS; i++)
            unescape(&columns[i]);
    if (columns[0].len == 0)
        return bad(f, "empty key");
    *e = (struct state_file_entry){columns[0], columns[1], columns[2], columns[1].len == 0};
    return 1;
}

/* Bare text to JSON, into f->json. */
static int legacy_value(struct state_file *f, struct state_file_entry *e)
{
    e->is_tombstone = false;
    if (state_file_is_number(e->value.data, e->value.len))
        return 1;
    buf_reset(&f->json, BLOCK_SIZE);
    json_put_string(&f->json, e->value.data, e->value.len);
    if (!buf_ok(&f->json))
        return -ENOMEM;
    e->value = (struct span){f->json.data, f->json.len};
    return 1;
}

static int next_legacy(struct state_file *f, struct state_file_entry *e)
{
    struct span line;
    bool whole;
    int got;
    do {
        got = next_line(f, &line, &whole);
        if (got == 1 && line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--; /* an editor's line end; a carriage return in a value is escaped */
    } while (got == 1 && line.len == 0);
    if (got == 1)
        got = entry_of(f, line, e);
    return got == 1 ? legacy_value(f, e) : got;
}

int state_file_next(struct state_file *f, struct state_file_entry *e)
{
    if (f->is_legacy)
        return next_legacy(f, e);
    struct span line;
    bool whole;
    int got = next_line(f, &line, &whole);
    if (got == 1 && !whole)
        return bad(f, "cut off");
    return got == 1 ? entry_of(f, line, e) : got;
}

void state_file_close(struct state_file *f)
{
    free(f->block);
    buf_free(&f->json);
    f->block = NULL;
}

static size_t digits_at(const char *text, size_t len, size_t at)
{
    size_t n = 0;
    while (at + n < len && text[at + n] >= '0' && text[at + n] <= '9')
        n++;
    return n;
}

static bool is_integer(const char *text, size_t len)
{
    size_t sign = len > 0 && text[0] == '-';
    size_t digits = digits_at(text, len, sign);
    if (digits == 0 || digits > NUMBER_MAX || sign + digits != len)
        return false;
    return text[sign] != '0' || (digits == 1 && !sign);
}

/* Moves the point of d.ddde±xx so that it is written without an exponent. */
static void put_fixed(char *out, size_t size, const char *digits, int exponent)
{
    int count = (int)strlen(digits);
    if (exponent < 0)
        snprintf(out, size, "0.%.*s%s", -exponent - 1, "0000", digits);
    else if (exponent + 1 >= count)
        snprintf(out, size, "%s%.*s.0", digits, exponent + 1 - count, "0000000000000000");
    else
        snprintf(out, size, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
}

/* A finite double as Python writes it: shortest form, exponent from 1e16 on and below 1e-4. */
static void put_float(double value, char *out, size_t size)
{
    char e[40], digits[FLOAT_DIGITS_MAX + 2], body[48];
    int precision = 0;
    do
        snprintf(e, sizeof(e), "%.*e", precision, value);
    while (strtod(e, NULL) != value && ++precision < FLOAT_DIGITS_MAX);
    const char *sign = e[0] == '-' ? "-" : "", *mantissa = e + (e[0] == '-');
    const char *letter = strchr(mantissa, 'e');
    int exponent = atoi(letter + 1);
    size_t n = 0;
    for (const char *c = mantissa; c < letter; c++)
        if (*c != '.')
            digits[n++] = *c;
    digits[n] = '\0';
    if (exponent >= -4 && exponent < 16)
        put_fixed(body, sizeof(body), digits, exponent);
    else
        snprintf(body, sizeof(body), "%.*se%c%02d", (int)(letter - mantissa), mantissa,
                 exponent < 0 ? '-' : '+', abs(exponent));
    snprintf(out, size, "%s%s", sign, body);
}

bool state_file_is_number(const char *text, size_t len)
{
    char copy[40], written[56];
    if (is_integer(text, len))
        return true;
    if (len == 0 || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (strspn(copy, "-0123456789.e+") < len)
        return false;
    char *end;
    double value = strtod(copy, &end);
    if (*end || value > 1.7976931348623157e308 || value < -1.7976931348623157e308)
        return false;
    put_float(value, written, sizeof(written));
    return strcmp(copy, written) == 0;
}

size_t state_file_timestamp(uint64_t us, char out[STATE_FILE_TIMESTAMP_SIZE])
{
    int n = snprintf(out, STATE_FILE_TIMESTAMP_SIZE, "%llu.%06u",
                     (unsigned long long)(us / 1000000), (unsigned)(us % 1000000));
    return (size_t)n;
}

static void write_out(struct state_file_writer *w)
{
    if (!w->err)
        w->err = buf_ok(&w->out) ? fd_io_write(w->fd, w->out.data, w->out.len) : -ENOMEM;
    buf_reset(&w->out, 2 * BLOCK_SIZE);
}

void state_file_write_begin(struct state_file_writer *w, int fd, uint64_t watermark)
{
    *w = (struct state_file_writer){.fd = fd};
    buf_printf(&w->out, MAGIC "1 seq=%llu\n", (unsigned long long)watermark);
}

void state_file_write_entry(struct state_file_writer *w, struct span key, struct span value,
                            struct span timestamp)
{
    tsv_put(&w->out, key.data, key.len);
    buf_putc(&w->out, '\t');
    tsv_put(&w->out, value.data, value.len);
    buf_putc(&w->out, '\t');
    tsv_put(&w->out, timestamp.data, timestamp.len);
    buf_putc(&w->out, '\n');
    w->entries++;
    if (w->out.len >= BLOCK_SIZE || !buf_ok(&w->out))
        write_out(w);
}

int state_file_write_end(struct state_file_writer *w)
{
    write_out(w);
    buf_free(&w->out);
    return w->err;
}
