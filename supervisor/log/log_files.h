// SPDX-License-Identifier: Apache-2.0
/*
 * log_files - the files of one object's log, newest first: log.tsv, then log-YYYYMMDD-HHMMSS.tsv.
 *
 * The list is taken when it is opened. A file that is rotated meanwhile is given once, one that is
 * removed meanwhile is left out. In the scribe.
 */
#ifndef SUPERVISOR_LOG_LOG_FILES_H
#define SUPERVISOR_LOG_LOG_FILES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define LOG_FILES_CURRENT "log.tsv"

/* A place in the log: `size` bytes into the file of that inode. What comes behind is newer. */
struct log_position {
    bool is_set;
    uint64_t inode; /* 0: what is in log.tsv is newer, all of it */
    uint64_t size;
};

struct log_files {
    int folder;
    struct dirent **names; /* rotated ones, newest first */
    int count, next;       /* next -1: log.tsv */
    dev_t device;          /* of log.tsv as it was opened */
    ino_t inode;
    struct log_position upto;
};

/* 0 (an object without a log has no files), -EINVAL for an id that names no folder, or -errno. */
int log_files_open(struct log_files *files, const char *data_dir, const char *object_id,
                   const struct log_position *upto);
/*
 * The next file, for the caller to close, and how far it is to be read: 1; 0: no more; -errno.
 */
int log_files_next(struct log_files *files, int *fd, off_t *end);
void log_files_close(struct log_files *files);

/* For scandir(): is that a rotated one? And their order, newest first. */
int log_files_is_rotated(const struct dirent *entry);
int log_files_newest_first(const struct dirent **a, const struct dirent **b);
/* When it was rotated, as its name says; (time_t)-1 when that is no time. */
time_t log_files_rotated_at(const char *name);

#endif
