// SPDX-License-Identifier: Apache-2.0
/*
 * file_store - the folder data/files: data/files/<object>/<name>, and what is not visible yet.
 *
 * A file is written as data/files/.staging/<token>, made durable, and then renamed into its
 * object's folder. No object id begins with a point, so the staging folder is nobody's. Everything
 * is opened beneath a folder's descriptor with openat2 (no link is followed, nothing leads out).
 * Names come from people; tokens are ours: letters, digits and '-'. All processes.
 */
#ifndef COMMON_FILE_STORE_H
#define COMMON_FILE_STORE_H

#include "common/codec.h"

#include <sys/stat.h>
#include <sys/types.h>

enum { FILE_STORE_NAME_MAX = 255, FILE_STORE_TOKEN_MAX = 80 };
#define FILE_STORE_STAGING ".staging"

/* NULL when a file may have that name; else why not, for people. */
const char *file_store_name_problem(struct span name);
bool file_store_token_valid(struct span token);

/* Opens data_dir/files; create: makes it and the staging folder. A descriptor or -errno. */
int file_store_open(const char *data_dir, bool create);
/*
 * The folder of an object, or FILE_STORE_STAGING. A descriptor; -ENOENT when there is none (create:
 * it is made, durably); -ENOTDIR or another -errno.
 */
int file_store_folder(int store_fd, const char *folder, bool create);
/* A regular file for reading, and what fstat says. A descriptor, -ENOENT (also for what is no
 * file), or another -errno. */
int file_store_read(int folder_fd, const char *name, struct stat *st);
/* A new file for writing; -EEXIST. */
int file_store_create(int folder_fd, const char *name);
/* lstat() of a regular file: 0, -ENOENT (also for what is no file), or another -errno. */
int file_store_stat(int folder_fd, const char *name, struct stat *st);

enum { FILE_STORE_TIME_SIZE = 32 };
/* When it was written: "2026-11-21T23:14:14.382844Z". */
void file_store_modified(const struct stat *st, char text[FILE_STORE_TIME_SIZE]);

/*
 * Calls fn for every regular file of the folder that could be asked for by its name, in no order;
 * what fn returns other than 0 ends it. 0, that, or -errno. fn may remove the file.
 */
int file_store_each(int folder_fd, int (*fn)(void *arg, const char *name, const struct stat *st),
                    void *arg);

#endif
