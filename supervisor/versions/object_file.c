// SPDX-License-Identifier: Apache-2.0
#include "supervisor/versions/object_file.h"

#include "common/failpoint.h"
#include "common/fd_io.h"
#include "supervisor/objects/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC, FILE_MODE = 0644 };
#define TEMP_SUFFIX ".objectd" /* hidden, and no *.py: never taken for an object */

/* The folder of a file, and the last part of its path. */
struct place {
    int folder;
    char name[NAME_MAX + 1];
    char temp[NAME_MAX + 1];
};

static int enter(int folder, const char *part)
{
    int next = openat(folder, part, FOLDER_FLAGS | O_NOFOLLOW);
    int err = next < 0 ? errno : 0;
    close(folder);
    if (err == ELOOP || err == ENOTDIR)
        return -EXDEV;
    return err ? -err : next;
}

static bool part_is_valid(const char *part, size_t len)
{
    bool is_dots = (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.');
    return len > 0 && len <= NAME_MAX && !is_dots;
}

/* Walks down folder by folder, so that no link is followed whatever the kernel offers. */
static int place_open(struct place *p, const char *objects_dir, const char *file)
{
    p->folder = open(objects_dir, FOLDER_FLAGS);
    if (p->folder < 0)
        return -errno;
    for (;;) {
        size_t len = strcspn(file, "/");
        if (!part_is_valid(file, len)) {
            close(p->folder);
            return -EXDEV;
        }
        memcpy(p->name, file, len);
        p->name[len] = '\0';
        if (!file[len])
            break;
        file += len + 1;
        p->folder = enter(p->folder, p->name);
        if (p->folder < 0)
            return p->folder;
    }
    int n = snprintf(p->temp, sizeof(p->temp), ".%s" TEMP_SUFFIX, p->name);
    if (n < (int)sizeof(p->temp))
        return 0;
    close(p->folder);
    return -ENAMETOOLONG;
}

static mode_t mode_of(const struct place *p)
{
    struct stat st;
    bool is_there = fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return is_there && S_ISREG(st.st_mode) ? st.st_mode & 0777 : FILE_MODE;
}

static int write_temp(const struct place *p, struct span content)
{
    unlinkat(p->folder, p->temp, 0); /* of a life that ended in between */
    int fd =
        openat(p->folder, p->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0) /* -EEXIST is an answer of its own: about the file itself */
        return errno == EEXIST ? -EISDIR : -errno;
    int err = FAILPOINT("deploy-file-write");
    if (!err)
        err = fd_io_write(fd, content.data, content.len);
    if (!err && fchmod(fd, mode_of(p)) < 0)
        err = -errno;
    if (!err && fsync(fd) < 0)
        err = -errno;
    if (close(fd) < 0 && !err)
        err = -errno;
    return err ? err : FAILPOINT("deploy-file-written");
}

/* The new content itself is there when an attempt before this one was cut off. */
static int check_expected(const char *objects_dir, const char *file, struct span content,
                          enum object_file_expect expect, struct sha256 expected)
{
    int err = 0;
    if (expect != OBJECT_FILE_HASH)
        return 0;
    struct source *now = source_read(objects_dir, file, SOURCE_SIZE_MAX, &err);
    bool is_fine = now && (sha256_equal(now->hash, expected) ||
                           sha256_equal(now->hash, sha256_of(content.data, content.len)));
    source_unref(now);
    return is_fine ? 0 : -ESTALE;
}

static int put_in_place(const struct place *p, enum object_file_expect expect)
{
    unsigned flags = expect == OBJECT_FILE_NONE ? RENAME_NOREPLACE : 0;
    if (renameat2(p->folder, p->temp, p->folder, p->name, flags) < 0)
        return -errno;
    int err = fsync(p->folder) < 0 ? -errno : 0;
    return err ? err : FAILPOINT("deploy-file-renamed");
}

int object_file_write(const char *objects_dir, const char *file, struct span content,
                      enum object_file_expect expect, struct sha256 expected)
{
    struct place p;
    int err = place_open(&p, objects_dir, file);
    if (err)
        return err;
    err = write_temp(&p, content);
    if (!err)
        err = check_expected(objects_dir, file, content, expect, expected);
    if (!err)
        err = put_in_place(&p, expect);
    if (err)
        unlinkat(p.folder, p.temp, 0);
    close(p.folder);
    return err;
}

int object_file_remove(const char *objects_dir, const char *file)
{
    struct place p;
    int err = place_open(&p, objects_dir, file);
    if (err)
        return err;
    err = unlinkat(p.folder, p.name, 0) < 0 ? -errno : 0;
    close(p.folder);
    return err;
}
