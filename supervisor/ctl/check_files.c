// SPDX-License-Identifier: Apache-2.0
/* The folders of objects' files: only what could be asked for, and nothing left in staging. */
#include "supervisor/ctl/check_report.h"

#include "common/file_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

struct folder {
    struct check_report *report;
    const char *name;
    int fd;
};

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_object_id(const char *name)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return name[0] != '.' && name[strspn(name, chars)] == '\0';
}

/* A stray of staging is removed at the next start, unless the journal still wants it. */
static void check_staged(struct folder *f, const char *name)
{
    struct check_report *r = f->report;
    if (!file_store_token_valid(span_of(name)))
        check_report_line(r, 0, "no name of a staged file");
    else if (!r->is_live)
        check_report_note(r, "%s: staged, and removed or made visible at the next start", r->path);
}

static void check_file(struct folder *f, const char *name)
{
    struct check_report *r = f->report;
    struct stat st;
    const char *problem = file_store_name_problem(span_of(name));
    if (problem)
        check_report_line(r, 0, "the name of no file: %s", problem);
    else if (file_store_stat(f->fd, name, &st) < 0 && !r->is_live)
        check_report_note(r, "%s: no regular file, and not served", r->path);
}

static void check_entry(struct folder *f, const char *name)
{
    struct check_report *r = f->report;
    check_report_file(r, "files/%s/%s", f->name, name);
    r->entries++;
    if (strcmp(f->name, FILE_STORE_STAGING) == 0)
        check_staged(f, name);
    else
        check_file(f, name);
    check_report_end(r);
}

static void check_folder(struct check_report *r, int store_fd, const char *name)
{
    struct folder f = {r, name, file_store_folder(store_fd, name, false)};
    bool is_staging = strcmp(name, FILE_STORE_STAGING) == 0;
    check_report_file(r, "files/%s", name);
    if (f.fd < 0)
        check_report_line(r, 0, f.fd == -ENOTDIR ? "no folder of an object" : "cannot be read");
    else if (!is_staging && !is_object_id(name))
        check_report_line(r, 0, "no folder of an object");
    check_report_end(r);
    r->files--; /* a folder counts as what is in it */
    DIR *dir = f.fd < 0 ? NULL : fdopendir(f.fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (!is_dots(entry->d_name))
            check_entry(&f, entry->d_name);
    if (dir)
        closedir(dir);
}

void check_files(struct check_report *r)
{
    int store_fd = file_store_open(r->data_dir, false);
    if (store_fd < 0 && store_fd != -ENOENT) {
        check_report_file(r, "files");
        check_report_line(r, 0, "cannot be read: %s", strerror(-store_fd));
        check_report_end(r);
    }
    DIR *dir = store_fd < 0 ? NULL : fdopendir(store_fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (!is_dots(entry->d_name))
            check_folder(r, store_fd, entry->d_name);
    if (dir)
        closedir(dir);
}
