// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/boot_file.h"

#include "common/failpoint.h"
#include "common/fd_io.h"
#include "supervisor/state/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const char name[] = "boot", temporary[] = "boot.tmp";
enum { LINE_MAX_SIZE = 64 };

static int parse(struct span line, struct boot_file *out)
{
    if (line.len == 0 || line.data[line.len - 1] != '\n')
        return -EBADMSG;
    const char *tab = memchr(line.data, '\t', line.len);
    if (!tab)
        return -EBADMSG;
    struct span boot = {line.data, (size_t)(tab - line.data)};
    struct span seq = {tab + 1, line.len - boot.len - 2};
    return record_number(boot, &out->boot) && record_number(seq, &out->seq) ? 0 : -EBADMSG;
}

int boot_file_read(int data_fd, struct boot_file *out)
{
    *out = (struct boot_file){0};
    int fd = openat(data_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    char text[LINE_MAX_SIZE];
    ssize_t n = fd_io_read(fd, text, sizeof(text));
    int err = n < 0 ? (int)n : parse((struct span){text, (size_t)n}, out);
    close(fd);
    if (err)
        *out = (struct boot_file){0};
    return err;
}

static int write_whole(int fd, const char *text, size_t len)
{
    int err = fd_io_write(fd, text, len);
    if (!err && fsync(fd) < 0)
        err = -errno;
    return err;
}

int boot_file_write(int data_fd, const struct boot_file *values)
{
    char text[LINE_MAX_SIZE];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "\t%" PRIu64 "\n", values->boot, values->seq);
    int fd =
        openat(data_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int err = write_whole(fd, text, (size_t)len);
    close(fd);
    if (!err)
        err = FAILPOINT("boot-rename");
    if (!err && renameat(data_fd, temporary, data_fd, name) < 0)
        err = -errno;
    if (!err && fsync(data_fd) < 0)
        err = -errno;
    return err;
}
