// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/fd_io.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/crashes/crash_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPORT_MAX = 16 * 1024 * 1024 };

static int open_regular(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size <= REPORT_MAX)
        return fd;
    close(fd);
    return -EINVAL;
}

/* 0, or -errno. */
static int read_file(const char *path, struct buf *text)
{
    struct stat st;
    int fd = open_regular(path, &st);
    if (fd < 0)
        return fd;
    ssize_t n = buf_reserve(text, (size_t)st.st_size + 1)
                    ? fd_io_read(fd, text->data, (size_t)st.st_size)
                    : -ENOMEM;
    close(fd);
    text->len = n < 0 ? 0 : (size_t)n;
    return n < 0 ? (int)n : 0;
}

void check_crash_file(struct check_report *r)
{
    char path[2 * PATH_MAX], id[CRASH_ID_SIZE];
    struct buf text = BUF_INIT;
    if (!crash_id_of_file(strrchr(r->path, '/') + 1, id)) {
        check_report_line(r, 0, "not the name of a crash report");
        return;
    }
    snprintf(path, sizeof(path), "%s/%s", r->data_dir, r->path);
    int err = read_file(path, &text);
    r->entries++;
    if (err)
        check_report_line(r, 0, "cannot be read: %s", strerror(-err));
    else if (!crash_text_is_sound((struct span){text.data, text.len}, id))
        check_report_line(r, 0, "not a crash report of that id");
    buf_free(&text);
}
