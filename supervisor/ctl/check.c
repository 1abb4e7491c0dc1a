// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check.h"

#include "supervisor/ctl/check_report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_object(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Calls each for every entry of data_dir/folder, in order. A folder that is not there is empty. */
static void each_entry(struct check_report *r, const char *folder,
                       void (*each)(struct check_report *r, const char *name))
{
    char path[2 * PATH_MAX];
    struct dirent **names;
    snprintf(path, sizeof(path), "%s/%s", r->data_dir, folder);
    int count = scandir(path, &names, is_object, alphasort);
    if (count < 0) {
        if (errno != ENOENT) {
            check_report_file(r, "%s", folder);
            check_report_line(r, 0, "cannot be read: %s", strerror(errno));
        }
        return;
    }
    for (int i = 0; i < count; i++) {
        each(r, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static bool is_there(const struct check_report *r)
{
    char path[2 * PATH_MAX];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", r->data_dir, r->path);
    return lstat(path, &st) == 0;
}

static bool begin_file(struct check_report *r, const char *folder, const char *object_id,
                       const char *name)
{
    check_report_file(r, "%s/%s/%s", folder, object_id, name);
    if (is_there(r))
        return true;
    r->files--;
    return false;
}

static void check_state(struct check_report *r, const char *object_id)
{
    if (!begin_file(r, "state", object_id, "state.tsv"))
        return;
    check_state_file(r);
    check_report_end(r);
}

static int is_log(const struct dirent *entry)
{
    return strcmp(entry->d_name, "log.tsv") == 0 || fnmatch("log-*.tsv", entry->d_name, 0) == 0;
}

/* Those files of folder/object_id that are chosen, in order. */
static void each_file(struct check_report *r, const char *folder, const char *object_id,
                      int (*is_chosen)(const struct dirent *entry),
                      void (*check)(struct check_report *r))
{
    char path[2 * PATH_MAX];
    struct dirent **names;
    snprintf(path, sizeof(path), "%s/%s/%s", r->data_dir, folder, object_id);
    int count = scandir(path, &names, is_chosen, alphasort);
    for (int i = 0; i < count; i++) {
        if (begin_file(r, folder, object_id, names[i]->d_name)) {
            check(r);
            check_report_end(r);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

static void check_logs(struct check_report *r, const char *object_id)
{
    each_file(r, "logs", object_id, is_log, check_log_file);
}

static void check_crashes(struct check_report *r, const char *object_id)
{
    each_file(r, "crashes", object_id, is_object, check_crash_file);
}

static void check_versions(struct check_report *r, const char *object_id)
{
    if (!begin_file(r, "versions", object_id, "metadata.tsv"))
        return;
    check_versions_file(r, object_id);
    check_report_end(r);
}

static void check_schedules_file(struct check_report *r)
{
    check_report_file(r, "schedules.tsv");
    if (is_there(r)) {
        check_schedules(r);
        check_report_end(r);
    } else {
        r->files--;
    }
}

/* The lock is not kept: a station may start meanwhile. */
static bool station_runs(const char *data_dir)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof(path), "%s/objectd.lock", data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return is_held;
}

int check_data(const char *data_dir, FILE *out)
{
    struct check_report r = {.out = out, .data_dir = data_dir};
    int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(fd);
    r.is_live = station_runs(data_dir);
    if (r.is_live)
        check_report_note(&r, "a station is running on %s; what it is writing now is not judged",
                          data_dir);
    check_journal(&r);
    check_schedules_file(&r);
    each_entry(&r, "state", check_state);
    each_entry(&r, "logs", check_logs);
    each_entry(&r, "versions", check_versions);
    each_entry(&r, "crashes", check_crashes);
    check_files(&r);
    fprintf(out, "%s: %llu files, %llu entries, %d wrong\n", data_dir, (unsigned long long)r.files,
            (unsigned long long)r.entries, r.findings);
    return r.findings;
}
