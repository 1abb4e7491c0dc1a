// SPDX-License-Identifier: Apache-2.0
/*
 * data_folder - a data folder of its own for each test, and files in it.
 *
 * For unit tests only: every function ends the test when something fails.
 */
#ifndef TESTS_UNIT_DATA_FOLDER_H
#define TESTS_UNIT_DATA_FOLDER_H

#include "common/buf.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char data_dir[64];

static int data_folder_remove_one(const char *path, const struct stat *st, int flag,
                                  struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void data_folder_make(void)
{
    strcpy(data_dir, "/tmp/objectd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(data_dir));
}

static inline void data_folder_remove(void)
{
    nftw(data_dir, data_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* data_dir/path, valid until the next call but three. */
static inline const char *data_path(const char *path)
{
    static char paths[4][512];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof(paths[0]), "%s/%s", data_dir, path);
    return out;
}

/* Writes data_dir/path, making its folders. */
static inline void data_write(const char *path, const void *bytes, size_t len)
{
    char full[512];
    snprintf(full, sizeof(full), "%s", data_path(path));
    for (char *c = full + strlen(data_dir) + 1; (c = strchr(c, '/')); c++) {
        *c = '\0';
        mkdir(full, 0700);
        *c = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void data_write_text(const char *path, const char *text)
{
    data_write(path, text, strlen(text));
}

/* The whole file, NUL-terminated; free(). NULL when there is none. */
static inline char *data_read(const char *path)
{
    struct buf text = BUF_INIT;
    char chunk[65536];
    size_t n;
    FILE *file = fopen(data_path(path), "r");
    if (!file)
        return NULL;
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_append(&text, chunk, n);
    fclose(file);
    buf_putc(&text, '\0');
    return buf_take(&text, NULL);
}

static inline void data_expect(const char *path, const char *text)
{
    char *content = data_read(path);
    ck_assert_msg(content != NULL, "%s is missing", path);
    ck_assert_str_eq(content, text);
    free(content);
}

static inline int data_open(const char *path)
{
    int fd = open(data_path(path), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

#endif
