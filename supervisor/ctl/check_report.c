// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { PRINTED_PER_FILE = 20 };

void check_report_file(struct check_report *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->path, sizeof(r->path), format, ap);
    va_end(ap);
    r->findings_of_file = 0;
    r->files++;
}

void check_report_end(struct check_report *r)
{
    if (r->findings_of_file > PRINTED_PER_FILE)
        fprintf(r->out, "%s/%s: and %d more\n", r->data_dir, r->path,
                r->findings_of_file - PRINTED_PER_FILE);
}

void check_report_line(struct check_report *r, uint64_t line, const char *format, ...)
{
    r->findings++;
    if (++r->findings_of_file > PRINTED_PER_FILE)
        return;
    fprintf(r->out, "%s/%s:", r->data_dir, r->path);
    if (line > 0)
        fprintf(r->out, "%llu:", (unsigned long long)line);
    fputc(' ', r->out);
    va_list ap;
    va_start(ap, format);
    vfprintf(r->out, format, ap);
    va_end(ap);
    fputc('\n', r->out);
}

void check_report_note(struct check_report *r, const char *format, ...)
{
    fputs("note: ", r->out);
    va_list ap;
    va_start(ap, format);
    vfprintf(r->out, format, ap);
    va_end(ap);
    fputc('\n', r->out);
}

static bool has_unknown_escape(const char *line, size_t len)
{
    const char *at = line, *end = line + len;
    while (at < end && (at = memchr(at, '\\', (size_t)(end - at)))) {
        if (at + 1 == end || !memchr("\\tnr0", at[1], 5))
            return true;
        at += 2;
    }
    return false;
}

void check_bytes(struct check_report *r, const char *line, size_t len, uint64_t number)
{
    if (!utf8_valid(line, len))
        check_report_line(r, number, "not UTF-8");
    if (memchr(line, '\0', len))
        check_report_line(r, number, "an unescaped NUL");
    if (memchr(line, '\r', len))
        check_report_line(r, number, "an unescaped carriage return");
}

void check_escapes(struct check_report *r, const char *line, size_t len, uint64_t number)
{
    if (has_unknown_escape(line, len))
        check_report_line(r, number, "an unknown escape");
}

static FILE *open_current(struct check_report *r)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", r->data_dir, r->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no FIFO holds the check up */
    if (fd < 0)
        return NULL;
    FILE *file = fdopen(fd, "r");
    if (!file)
        close(fd);
    return file;
}

int check_lines(struct check_report *r,
                void (*check)(void *arg, char *line, size_t len, uint64_t number), void *arg,
                bool *is_cut)
{
    FILE *file = open_current(r);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int err = file ? 0 : -errno;
    *is_cut = false;
    for (uint64_t number = 1; file && (n = getline(&line, &cap, file)) > 0; number++) {
        if (line[n - 1] != '\n') {
            *is_cut = true;
            break;
        }
        check(arg, line, (size_t)n - 1, number);
    }
    if (file && ferror(file))
        err = -EIO;
    free(line);
    if (file)
        fclose(file);
    if (err && err != -ENOENT)
        check_report_line(r, 0, "cannot be read: %s", strerror(-err));
    return err;
}
