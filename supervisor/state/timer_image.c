// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/timer_image.h"

#include "common/failpoint.h"
#include "common/fd_io.h"
#include "common/log.h"
#include "common/tsv.h"
#include "supervisor/state/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char first_words[] = "#objectd-schedules 1 seq=";
static const char temporary[] = TIMER_IMAGE_FILE ".tmp";

/* --- rows --- */

static void drop(struct timer_image *image, uint64_t id)
{
    struct timer_row *row;
    HASH_FIND(hh, image->rows, &id, sizeof(id), row);
    if (!row)
        return;
    HASH_DEL(image->rows, row);
    free(row);
}

static int put(struct timer_image *image, uint64_t id, struct span object, struct span columns)
{
    struct timer_row *row = malloc(sizeof(*row) + object.len + columns.len + 2);
    if (!row)
        return -ENOMEM;
    row->id = id;
    row->object_len = object.len;
    row->columns_len = columns.len;
    row->columns = row->text + object.len + 1;
    memcpy(row->text, object.data, object.len);
    row->text[object.len] = '\0';
    memcpy(row->columns, columns.data, columns.len);
    row->columns[columns.len] = '\0';
    drop(image, id);
    HASH_ADD(hh, image->rows, id, sizeof(row->id), row);
    if (row->hh.tbl)
        return 0;
    free(row);
    return -ENOMEM;
}

static void note_id(struct timer_image *image, uint64_t id)
{
    if (id > image->last_id)
        image->last_id = id;
}

void timer_image_free(struct timer_image *image)
{
    struct timer_row *row, *next;
    if (!image)
        return;
    HASH_ITER (hh, image->rows, row, next) {
        HASH_DEL(image->rows, row);
        free(row);
    }
    free(image);
}

int timer_image_apply(struct timer_image *image, const struct segment_turn *turn,
                      const struct segment_timer *timers, size_t count)
{
    if (turn->seq <= image->seq)
        return 0;
    if (!image->oldest)
        image->oldest = turn->seq;
    for (size_t i = 0; i < count; i++) {
        int err = 0;
        note_id(image, timers[i].id);
        if (timers[i].is_put)
            err = put(image, timers[i].id, turn->object_id, timers[i].columns);
        else
            drop(image, timers[i].id);
        if (err)
            return err;
    }
    return 0;
}

/* --- reading the file --- */

static int read_whole(int fd, struct buf *text)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!buf_reserve(text, (size_t)st.st_size + 1))
        return -ENOMEM;
    ssize_t n = fd_io_read(fd, text->data, (size_t)st.st_size);
    text->len = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : 0;
}

static const char *take_first(struct timer_image *image, struct span line)
{
    size_t skip = sizeof(first_words) - 1;
    if (line.len < skip || memcmp(line.data, first_words, skip) != 0)
        return "it does not begin as " TIMER_IMAGE_FILE " of this version does";
    struct span number = {line.data + skip, line.len - skip};
    return record_number(number, &image->seq) ? NULL : "malformed number of a record";
}

static const char *take_row(struct timer_image *image, struct span line)
{
    struct span fields[2];
    uint64_t id;
    struct timer_row *known;
    if (tsv_split(line, fields, 2) < 3 || !record_number(fields[0], &id) || id == 0)
        return "no schedule";
    HASH_FIND(hh, image->rows, &id, sizeof(id), known);
    if (known)
        return "the same schedule again";
    const char *columns = fields[1].data + fields[1].len + 1;
    struct span rest = {columns, line.len - (size_t)(columns - line.data)};
    note_id(image, id);
    return put(image, id, fields[1], rest) < 0 ? "no memory" : NULL;
}

static int take_text(struct timer_image *image, struct span text, char *error, size_t size)
{
    const char *problem = text.len ? NULL : "it is empty";
    size_t line = 0;
    while (!problem && text.len) {
        const char *newline = memchr(text.data, '\n', text.len);
        struct span row = {text.data, newline ? (size_t)(newline - text.data) : 0};
        line++;
        problem = !newline    ? "a line without its end"
                  : line == 1 ? take_first(image, row)
                              : take_row(image, row);
        text = (struct span){text.data + row.len + 1, text.len - row.len - (newline != NULL)};
    }
    if (problem)
        snprintf(error, size, TIMER_IMAGE_FILE ":%zu: %s", line, problem);
    return problem ? -EBADMSG : 0;
}

static int load(struct timer_image *image, const char *data_dir, char *error, size_t size)
{
    char path[PATH_MAX];
    struct buf text = BUF_INIT;
    snprintf(path, sizeof(path), "%s/" TIMER_IMAGE_FILE, data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int err = fd < 0 ? -errno : read_whole(fd, &text);
    if (err)
        snprintf(error, size, "%s: %s", path, strerror(-err));
    else
        err = take_text(image, (struct span){text.data, text.len}, error, size);
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    return err;
}

int timer_image_load(struct timer_image **image, const char *data_dir, char *error,
                     size_t error_size)
{
    *image = calloc(1, sizeof(**image));
    if (!*image) {
        snprintf(error, error_size, "no memory for the schedules");
        return -ENOMEM;
    }
    int err = load(*image, data_dir, error, error_size);
    if (err) {
        timer_image_free(*image);
        *image = NULL;
    }
    return err;
}

static int by_id(const struct timer_row *a, const struct timer_row *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

void timer_image_sort(struct timer_image *image)
{
    HASH_SORT(image->rows, by_id);
}

/* --- writing it --- */

static int write_rows(struct timer_image *image, int fd, uint64_t seq)
{
    enum { PIECE = 64 * 1024 };
    struct buf text = BUF_INIT;
    int err = 0;
    timer_image_sort(image);
    buf_printf(&text, "%s%" PRIu64 "\n", first_words, seq);
    for (struct timer_row *row = image->rows; row && !err; row = row->hh.next) {
        buf_printf(&text, "%" PRIu64 "\t", row->id);
        buf_append(&text, row->text, row->object_len);
        buf_putc(&text, '\t');
        buf_append(&text, row->columns, row->columns_len);
        buf_putc(&text, '\n');
        if (text.len >= PIECE && buf_ok(&text)) {
            err = fd_io_write(fd, text.data, text.len);
            buf_reset(&text, SIZE_MAX);
        }
    }
    if (!err)
        err = buf_ok(&text) ? fd_io_write(fd, text.data, text.len) : -ENOMEM;
    buf_free(&text);
    if (!err)
        err = FAILPOINT("schedules-fsync");
    return err ? err : fsync(fd) < 0 ? -errno : 0;
}

static int replace(struct timer_image *image, int folder, uint64_t seq)
{
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = write_rows(image, fd, seq);
    close(fd);
    if (!err)
        err = FAILPOINT("schedules-rename");
    if (!err && renameat(folder, temporary, folder, TIMER_IMAGE_FILE) < 0)
        err = -errno;
    if (err)
        unlinkat(folder, temporary, 0);
    else
        err = fsync(folder) < 0 ? -errno : FAILPOINT("schedules-done");
    return err;
}

int timer_image_write(struct timer_image *image, const char *data_dir, uint64_t seq)
{
    int folder = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    int err = replace(image, folder, seq);
    close(folder);
    return err;
}

static int take_timers(void *arg, const struct segment_turn *turn,
                       const struct segment_timer *timers, size_t count)
{
    return timer_image_apply(arg, turn, timers, count);
}

int timer_image_update(const char *data_dir, uint64_t upto_seq)
{
    struct timer_image *image;
    char folder[PATH_MAX], error[PATH_MAX + 256] = "";
    int err = timer_image_load(&image, data_dir, error, sizeof(error));
    if (!err) {
        struct journal_reader_sink sink = {.timers = take_timers, .arg = image};
        snprintf(folder, sizeof(folder), "%s/journal", data_dir);
        err = journal_read(folder, image->seq, upto_seq, &sink, error, sizeof(error));
    }
    if (!err) {
        err = timer_image_write(image, data_dir, upto_seq);
        snprintf(error, sizeof(error), TIMER_IMAGE_FILE ": %s", strerror(-err));
    }
    if (err)
        log_error("the schedules stay in the journal: %s", error);
    timer_image_free(image);
    return err;
}
