// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/segment.h"

#include "common/fd_io.h"
#include "common/tsv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".tsv";
enum { NAME_DIGITS = 12, SUFFIX_LEN = sizeof(suffix) - 1 };

/* --- files --- */

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t first_seq)
{
    snprintf(name, SEGMENT_NAME_SIZE, "%0*" PRIu64 "%s", NAME_DIGITS, first_seq, suffix);
}

static bool parse_name(const char *name, uint64_t *first_seq)
{
    size_t len = strlen(name);
    if (len < NAME_DIGITS + SUFFIX_LEN || len >= SEGMENT_NAME_SIZE)
        return false;
    if (!record_number((struct span){name, len - SUFFIX_LEN}, first_seq))
        return false;
    char canonical[SEGMENT_NAME_SIZE];
    segment_name(canonical, *first_seq);
    return strcmp(canonical, name) == 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static ssize_t collect(DIR *dir, uint64_t **first_seqs)
{
    struct buf found = BUF_INIT;
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir))) {
        uint64_t first_seq;
        if (parse_name(entry->d_name, &first_seq))
            buf_append(&found, &first_seq, sizeof(first_seq));
        errno = 0;
    }
    int err = errno ? errno : found.failed ? ENOMEM : 0;
    size_t count = found.len / sizeof(uint64_t);
    *first_seqs = (uint64_t *)(void *)buf_take(&found, NULL);
    if (err) {
        free(*first_seqs);
        *first_seqs = NULL;
        return -err;
    }
    if (count)
        qsort(*first_seqs, count, sizeof(uint64_t), by_number);
    return (ssize_t)count;
}

ssize_t segment_list(int folder_fd, uint64_t **first_seqs)
{
    *first_seqs = NULL;
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int err = errno;
        close(fd);
        return -err;
    }
    ssize_t count = collect(dir, first_seqs);
    closedir(dir);
    return count;
}

static int read_whole(int fd, struct buf *content)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (!buf_reserve(content, (size_t)st.st_size + 1))
        return -ENOMEM;
    ssize_t n = fd_io_read(fd, content->data + content->len, (size_t)st.st_size - content->len);
    if (n < 0)
        return (int)n;
    content->len += (size_t)n;
    return 0;
}

int segment_load(int folder_fd, uint64_t first_seq, struct buf *content)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    content->len = 0;
    content->failed = false;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int err = read_whole(fd, content);
    close(fd);
    return err;
}

/* --- scanning --- */

void segment_scan_init(struct segment_scan *scan, struct span content, uint64_t first_seq)
{
    *scan = (struct segment_scan){.content = content, .first_seq = first_seq};
    scan->seeds = record_seeds_of(first_seq, 0);
}

void segment_scan_free(struct segment_scan *scan)
{
    free(scan->raw);
    free(scan->writes);
    free(scan->files);
    free(scan->timers);
    buf_free(&scan->text);
    buf_free(&scan->file_text);
    buf_free(&scan->object_text);
}

static enum segment_item bad(struct segment_scan *scan, size_t at, const char *problem)
{
    scan->problem = problem;
    scan->problem_at = at;
    return SEGMENT_BAD;
}

/* The first byte from `at` on that is not a newline; the content's length when there is none. */
static size_t skip_blank(struct span content, size_t at)
{
    static const char blank[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
                                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    enum { STEP = sizeof(blank) - 1 };
    while (content.len - at >= STEP && memcmp(content.data + at, blank, STEP) == 0)
        at += STEP;
    while (at < content.len && content.data[at] == '\n')
        at++;
    return at;
}

size_t segment_scan_rest(const struct segment_scan *scan)
{
    size_t end = scan->content.len;
    while (end > scan->pos && scan->content.data[end - 1] == '\n')
        end--;
    return end - scan->pos;
}

/* The line at `at` without its newline. False: it does not end before the content does. */
static bool line_at(struct span content, size_t at, struct span *line)
{
    const char *start = content.data + at;
    const char *newline = memchr(start, '\n', content.len - at);
    if (!newline)
        return false;
    *line = (struct span){start, (size_t)(newline - start)};
    return true;
}

static enum segment_item take_header(struct segment_scan *scan, const struct record_line *line,
                                     size_t next)
{
    uint64_t format = record_header_format(line);
    if (format > RECORD_FORMAT) {
        bad(scan, 0, "written by a newer version");
        return SEGMENT_UNSUPPORTED;
    }
    if (!record_control_decode(line, &scan->control) || format != RECORD_FORMAT)
        return bad(scan, 0, "malformed header");
    if (line->seq != scan->first_seq || scan->control.previous_seq >= line->seq)
        return bad(scan, 0, "the header does not belong to a file of this name");
    scan->has_header = true;
    scan->boot = scan->control.boot;
    scan->seeds = record_seeds_of(scan->first_seq, scan->boot);
    scan->last_seq = scan->first_seq - 1;
    scan->max_hlc = line->hlc;
    scan->pos = next;
    return SEGMENT_CONTROL;
}

static enum segment_item take_batch(struct segment_scan *scan, const struct record_line *line,
                                    size_t next)
{
    if (!record_control_decode(line, &scan->control))
        return bad(scan, scan->pos, "malformed batch line");
    if (line->seq != scan->last_seq || scan->control.boot != scan->boot)
        return bad(scan, scan->pos, "batch line out of sequence");
    scan->pos = next;
    return SEGMENT_CONTROL;
}

static bool add_raw(struct segment_scan *scan, const struct record_line *line)
{
    if (scan->raw_count == scan->raw_cap) {
        size_t cap = scan->raw_cap ? scan->raw_cap * 2 : 16;
        void *grown = realloc(scan->raw, cap * sizeof(*scan->raw));
        if (!grown)
            return false;
        scan->raw = grown;
        scan->raw_cap = cap;
    }
    bool set = line->kind == RECORD_SET;
    scan->raw[scan->raw_count++] = (struct segment_raw_write){
        .op = set ? RPC_WRITE_SET : RPC_WRITE_DELETE,
        .key = line->fields[0],
        .value = set ? line->fields[1] : (struct span){"", 0},
    };
    return true;
}

static bool decode_file(const struct record_line *line, struct segment_file *file)
{
    const struct span *f = line->fields;
    *file = (struct segment_file){.name = {"", 0}, .token = {"", 0}};
    if (line->field_count == 0)
        return false;
    if (span_equal(f[0], "done")) {
        file->op = SEGMENT_FILE_DONE;
        return line->field_count >= 2 && record_number(f[1], &file->number);
    }
    bool put = span_equal(f[0], "put");
    file->op = put ? SEGMENT_FILE_PUT : SEGMENT_FILE_DELETE;
    if ((!put && !span_equal(f[0], "del")) || line->field_count < (put ? 4 : 3))
        return false;
    file->name = f[1];
    file->token = f[2];
    return !put || record_number(f[3], &file->number);
}

static enum segment_item add_file(struct segment_scan *scan, const struct record_line *line,
                                  size_t at)
{
    if (scan->file_count == scan->files_cap) {
        size_t cap = scan->files_cap ? scan->files_cap * 2 : 16;
        void *grown = realloc(scan->files, cap * sizeof(*scan->files));
        if (!grown)
            return SEGMENT_NO_MEMORY;
        scan->files = grown;
        scan->files_cap = cap;
    }
    if (!decode_file(line, &scan->files[scan->file_count]))
        return bad(scan, at, "malformed file line");
    scan->file_count++;
    return SEGMENT_TURN;
}

static bool decode_timer(const struct record_line *line, struct segment_timer *timer)
{
    const struct span *f = line->fields;
    if (line->field_count < 2 || !record_number(f[1], &timer->id) || timer->id == 0)
        return false;
    timer->is_put = span_equal(f[0], "put");
    size_t before = (size_t)(f[1].data + f[1].len - line->all.data) + 1;
    timer->columns = (struct span){"", 0};
    if (timer->is_put && line->all.len > before)
        timer->columns = (struct span){line->all.data + before, line->all.len - before};
    return timer->is_put ? timer->columns.len > 0 : span_equal(f[0], "del");
}

static enum segment_item add_timer(struct segment_scan *scan, const struct record_line *line,
                                   size_t at)
{
    if (scan->timer_count == scan->timers_cap) {
        size_t cap = scan->timers_cap ? scan->timers_cap * 2 : 16;
        void *grown = realloc(scan->timers, cap * sizeof(*scan->timers));
        if (!grown)
            return SEGMENT_NO_MEMORY;
        scan->timers = grown;
        scan->timers_cap = cap;
    }
    if (!decode_timer(line, &scan->timers[scan->timer_count]))
        return bad(scan, at, "malformed timer line");
    scan->timer_count++;
    return SEGMENT_TURN;
}

static enum segment_item take_part(struct segment_scan *scan, const struct record_line *line,
                                   size_t at)
{
    switch (line->kind) {
    case RECORD_SET:
        if (line->field_count < 2)
            return bad(scan, at, "malformed set line");
        return add_raw(scan, line) ? SEGMENT_TURN : SEGMENT_NO_MEMORY;
    case RECORD_DEL:
        if (line->field_count < 1)
            return bad(scan, at, "malformed del line");
        return add_raw(scan, line) ? SEGMENT_TURN : SEGMENT_NO_MEMORY;
    case RECORD_FILE:
        return add_file(scan, line, at);
    case RECORD_TIMER:
        return add_timer(scan, line, at);
    case RECORD_EMIT:
    case RECORD_CURSOR:
    case RECORD_ACK:
        return SEGMENT_TURN;
    default:
        return bad(scan, at, "unexpected line within a turn");
    }
}

/* Decodes the line of the open turn at *at and moves on; SEGMENT_TURN when that went well. */
static enum segment_item turn_line(struct segment_scan *scan, size_t *at, struct record_line *line)
{
    struct span text;
    if (*at == scan->content.len || scan->content.data[*at] == '\n')
        return bad(scan, *at, "a turn without its end");
    if (!line_at(scan->content, *at, &text))
        return bad(scan, *at, "a line without its end");
    if (!record_decode(text, &scan->seeds, line))
        return bad(scan, *at, "invalid line");
    if (line->seq != scan->turn.seq)
        return bad(scan, *at, "a line of another turn");
    *at += text.len + 1;
    return SEGMENT_TURN;
}

static enum segment_item take_object_id(struct segment_scan *scan, struct span field)
{
    scan->turn.object_id = field;
    if (!memchr(field.data, '\\', field.len))
        return SEGMENT_TURN;
    buf_reset(&scan->object_text, 4096);
    tsv_unescape(&scan->object_text, field);
    if (!buf_ok(&scan->object_text))
        return SEGMENT_NO_MEMORY;
    scan->turn.object_id = (struct span){scan->object_text.data, scan->object_text.len};
    return SEGMENT_TURN;
}

static enum segment_item take_turn(struct segment_scan *scan, const struct record_line *begin,
                                   size_t at)
{
    uint64_t parts;
    if (begin->seq != scan->last_seq + 1)
        return bad(scan, scan->pos, "sequence number out of order");
    if (begin->field_count < 3 || !record_number(begin->fields[2], &parts))
        return bad(scan, scan->pos, "malformed begin line");
    scan->turn = (struct segment_turn){.seq = begin->seq, .hlc = begin->hlc};
    scan->raw_count = scan->file_count = scan->timer_count = 0;
    struct record_line line;
    enum segment_item item;
    for (uint64_t i = 0; i < parts; i++) {
        size_t start = at;
        if ((item = turn_line(scan, &at, &line)) != SEGMENT_TURN ||
            (item = take_part(scan, &line, start)) != SEGMENT_TURN)
            return item;
    }
    size_t start = at;
    if ((item = turn_line(scan, &at, &line)) != SEGMENT_TURN)
        return item;
    if (line.kind != RECORD_COMMIT)
        return bad(scan, start, "more parts than announced");
    if ((item = take_object_id(scan, begin->fields[0])) != SEGMENT_TURN)
        return item;
    scan->last_seq = begin->seq;
    if (begin->hlc > scan->max_hlc)
        scan->max_hlc = begin->hlc;
    scan->pos = at;
    return SEGMENT_TURN;
}

enum segment_item segment_scan_next(struct segment_scan *scan)
{
    size_t at = scan->pos;
    struct span text;
    if (at == scan->content.len || scan->content.data[at] == '\n') {
        size_t used = skip_blank(scan->content, at);
        if (used < scan->content.len)
            return bad(scan, used, "bytes in unused space");
        return scan->has_header ? SEGMENT_END : bad(scan, 0, "no header");
    }
    struct record_line line;
    if (!line_at(scan->content, at, &text))
        return bad(scan, at, "a line without its end");
    if (!record_decode(text, &scan->seeds, &line))
        return bad(scan, at, "invalid line");
    size_t next = at + text.len + 1;
    if (!scan->has_header)
        return line.kind == RECORD_HEADER ? take_header(scan, &line, next)
                                          : bad(scan, at, "no header");
    if (line.kind == RECORD_BATCH)
        return take_batch(scan, &line, next);
    if (line.kind == RECORD_BEGIN)
        return take_turn(scan, &line, next);
    return bad(scan, at, "unexpected line between turns");
}

static bool grow_writes(struct segment_scan *scan)
{
    if (scan->writes_cap >= scan->raw_count)
        return true;
    void *grown = realloc(scan->writes, scan->raw_cap * sizeof(*scan->writes));
    if (!grown)
        return false;
    scan->writes = grown;
    scan->writes_cap = scan->raw_cap;
    return true;
}

static bool escaped(struct span field)
{
    return field.len && memchr(field.data, '\\', field.len);
}

static struct span unescape(struct buf *text, struct span field)
{
    if (!escaped(field))
        return field;
    size_t start = text->len;
    tsv_unescape(text, field);
    return (struct span){text->data + start, text->len - start};
}

int segment_scan_writes(struct segment_scan *scan, const struct segment_write **writes,
                        size_t *count)
{
    size_t need = 0;
    for (size_t i = 0; i < scan->raw_count; i++)
        need += scan->raw[i].key.len + scan->raw[i].value.len;
    buf_reset(&scan->text, SIZE_MAX);
    /* Reserved at once: spans into the text must not move. */
    if (!buf_reserve(&scan->text, need) || !grow_writes(scan))
        return -ENOMEM;
    for (size_t i = 0; i < scan->raw_count; i++) {
        const struct segment_raw_write *raw = &scan->raw[i];
        scan->writes[i].op = raw->op;
        scan->writes[i].key = unescape(&scan->text, raw->key);
        scan->writes[i].value = unescape(&scan->text, raw->value);
    }
    *writes = scan->writes;
    *count = scan->raw_count;
    return 0;
}

int segment_scan_files(struct segment_scan *scan, const struct segment_file **files, size_t *count)
{
    size_t need = 0;
    for (size_t i = 0; i < scan->file_count; i++)
        need += scan->files[i].name.len + scan->files[i].token.len;
    buf_reset(&scan->file_text, SIZE_MAX);
    if (!buf_reserve(&scan->file_text, need))
        return -ENOMEM;
    for (size_t i = 0; i < scan->file_count; i++) {
        struct segment_file *file = &scan->files[i];
        file->name = unescape(&scan->file_text, file->name);
        file->token = unescape(&scan->file_text, file->token);
    }
    *files = scan->files;
    *count = scan->file_count;
    return 0;
}

/* --- claims --- */

static void consider(struct span line, const struct record_seeds *seeds,
                     struct record_position *claim, bool *found)
{
    struct record_line decoded;
    struct record_control control;
    if (!record_decode(line, seeds, &decoded) || !record_control_decode(&decoded, &control))
        return;
    if (!*found || record_position_compare(control.durable, *claim) > 0)
        *claim = control.durable;
    *found = true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where a batch line that ends this damaged line might start: "digits \t digits.digits \tbatch\t".
 */
static bool glued_batch(struct span line, struct span *batch)
{
    static const char mark[] = "\tbatch\t";
    const char *at = memmem(line.data, line.len, mark, sizeof(mark) - 1), *next = at;
    while (next) {
        at = next;
        next = memmem(at + 1, line.len - (size_t)(at + 1 - line.data), mark, sizeof(mark) - 1);
    }
    if (!at)
        return false;
    while (at > line.data && (is_digit(at[-1]) || at[-1] == '.'))
        at--;
    if (at == line.data || at[-1] != '\t')
        return false;
    at--;
    while (at > line.data && is_digit(at[-1]))
        at--;
    *batch = (struct span){at, line.len - (size_t)(at - line.data)};
    return true;
}

bool segment_find_claim(struct span content, uint64_t first_seq, size_t from,
                        struct record_position *claim)
{
    struct record_seeds seeds = record_seeds_of(first_seq, 0);
    bool found = false;
    for (size_t at = from; at < content.len;) {
        at = skip_blank(content, at);
        struct span line, batch;
        if (at == content.len || !line_at(content, at, &line))
            break;
        consider(line, &seeds, claim, &found);
        if (glued_batch(line, &batch))
            consider(batch, &seeds, claim, &found);
        at += line.len + 1;
    }
    return found;
}
