// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/schedules/schedule_row.c supervisor/state/timer_image.c common/rpc.c
 * common/when.c common/cron.c */
/*
 * Any bytes as data/schedules.tsv: reading ends, a line that is wrong is named, and what is read is
 * written so that it reads back the same; the columns of each schedule likewise.
 */
#include "supervisor/schedules/schedule_row.h"
#include "supervisor/state/timer_image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/fuzz_schedules.XXXXXX";
static char file[sizeof(folder) + sizeof(TIMER_IMAGE_FILE)];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void clean_up(void)
{
    unlink(file);
    rmdir(folder);
}

static void store(const uint8_t *data, size_t size)
{
    if (!*file) {
        require(mkdtemp(folder) != NULL);
        snprintf(file, sizeof(file), "%s/" TIMER_IMAGE_FILE, folder);
        atexit(clean_up);
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void check_row(struct span columns)
{
    struct schedule_row row = {0}, again = {0};
    struct buf once = BUF_INIT, twice = BUF_INIT;
    char problem[SCHEDULE_PROBLEM_SIZE] = "";
    if (!schedule_row_read(&row, columns, problem, sizeof(problem))) {
        require(*problem);
        return;
    }
    require(schedule_function_valid(row.function));
    schedule_row_put(&once, &row);
    require(
        schedule_row_read(&again, (struct span){once.data, once.len}, problem, sizeof(problem)));
    schedule_row_put(&twice, &again);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    schedule_row_free(&row);
    schedule_row_free(&again);
    buf_free(&once);
    buf_free(&twice);
}

static void check_same(const struct timer_image *image, const struct timer_image *again)
{
    require(HASH_COUNT(image->rows) == HASH_COUNT(again->rows) && image->seq == again->seq);
    for (const struct timer_row *row = image->rows; row; row = row->hh.next) {
        const struct timer_row *other;
        HASH_FIND(hh, again->rows, &row->id, sizeof(row->id), other);
        require(other && other->columns_len == row->columns_len);
        require(memcmp(other->columns, row->columns, row->columns_len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct timer_image *image, *again;
    char error[256] = "";
    check_row((struct span){(const char *)data, size});
    store(data, size);
    if (timer_image_load(&image, folder, error, sizeof(error)) < 0) {
        require(*error && !image);
        return 0;
    }
    for (const struct timer_row *row = image->rows; row; row = row->hh.next)
        check_row((struct span){row->columns, row->columns_len});
    require(timer_image_write(image, folder, image->seq) == 0);
    require(timer_image_load(&again, folder, error, sizeof(error)) == 0);
    check_same(image, again);
    timer_image_free(image);
    timer_image_free(again);
    return 0;
}
