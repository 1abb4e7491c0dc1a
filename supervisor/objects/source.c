// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/source.h"

#include "common/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK: a FIFO must not hold the loop. */
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK };

/*
 * Where openat2 is missing (an old kernel, a container's filter): resolve first, then open what was
 * found. Somebody who may change the objects folder in between may run any code here anyway.
 */
static int open_resolved(const char *dir, const char *file)
{
    char path[PATH_MAX], real_dir[PATH_MAX], real[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    if (!realpath(dir, real_dir) || !realpath(path, real))
        return -errno;
    size_t len = strlen(real_dir);
    if (strncmp(real, real_dir, len) != 0 || real[len] != '/')
        return -EXDEV;
    int fd = open(real, OPEN_FLAGS | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int open_beneath(const char *dir, const char *file)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH};
    int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    int fd = (int)syscall(SYS_openat2, dir_fd, file, &how, sizeof(how));
    int err = fd < 0 ? -errno : 0;
    close(dir_fd);
    if (err == -ENOSYS || err == -EPERM)
        return open_resolved(dir, file);
    return err ? err : fd;
}

static struct source *read_source(int fd, size_t max, int *err)
{
    struct stat st;
    *err = -errno;
    if (fstat(fd, &st) < 0)
        return NULL;
    *err = -EINVAL;
    if (!S_ISREG(st.st_mode))
        return NULL;
    *err = -EFBIG;
    if ((uint64_t)st.st_size > max)
        return NULL;
    struct source *s = malloc(sizeof(*s) + (size_t)st.st_size + 1);
    *err = -ENOMEM;
    if (!s)
        return NULL;
    ssize_t n = fd_io_read(fd, s->text, (size_t)st.st_size);
    if (n < 0) {
        *err = (int)n;
        free(s);
        return NULL;
    }
    s->len = (size_t)n;
    s->text[n] = '\0';
    s->references = 1;
    s->hash = sha256_of(s->text, s->len);
    *err = 0;
    return s;
}

struct source *source_read(const char *dir, const char *file, size_t max, int *err)
{
    int fd = open_beneath(dir, file);
    if (fd < 0) {
        *err = fd;
        return NULL;
    }
    struct source *s = read_source(fd, max, err);
    close(fd);
    return s;
}

struct source *source_of(const char *text, size_t len)
{
    struct source *s = malloc(sizeof(*s) + len + 1);
    if (!s)
        return NULL;
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    s->len = len;
    s->references = 1;
    s->hash = sha256_of(text, len);
    return s;
}

struct source *source_ref(struct source *s)
{
    s->references++;
    return s;
}

void source_unref(struct source *s)
{
    if (s && --s->references == 0)
        free(s);
}
