// SPDX-License-Identifier: Apache-2.0
/*
 * log_file - the file data/logs/<object>/log.tsv: opened, appended to, rotated.
 *
 * Whole lines are appended with one write where the disk allows it. A file that is large enough is
 * renamed to log-YYYYMMDD-HHMMSS.tsv, and so is one whose header is not ours. Folders are made when
 * missing (0700, the file 0600). Loop thread; only calls that do not wait for the disk.
 */
#ifndef SUPERVISOR_LOG_LOG_FILE_H
#define SUPERVISOR_LOG_LOG_FILE_H

#include "supervisor/log/log_files.h"

#include <stdbool.h>
#include <stddef.h>

struct log_file {
    char *folder;      /* data/logs/<object>; owned */
    int fd;            /* -1: closed */
    bool is_torn;      /* it ends inside a line */
    time_t rotated_at; /* in the newest name; 0: not known yet */
};

/* 0 or -ENOMEM. */
int log_file_init(struct log_file *f, const char *data_dir, const char *object_id);
void log_file_free(struct log_file *f);
static inline bool log_file_is_open(const struct log_file *f)
{
    return f->fd >= 0;
}
/* The next append opens it again. */
void log_file_close(struct log_file *f);
struct log_file_written {
    size_t bytes;    /* of the lines, even when it failed */
    bool is_rotated; /* a file was renamed */
    bool is_another; /* what it wrote to before was removed by hand */
};
/*
 * Appends whole lines, opening the file when it is closed; rotates it when it has file_max bytes
 * after that. 0 or -errno.
 */
int log_file_append(struct log_file *f, const char *lines, size_t len, uint64_t file_max,
                    struct log_file_written *written);
/* Where the next line will stand. -errno, the position then being before log.tsv. */
int log_file_position(struct log_file *f, struct log_position *position);

#endif
