// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/merged_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Fetches the next live entry of the file into `ahead`. */
static void advance(struct merged_state *m)
{
    do
        m->got = sorted_state_next(&m->file, &m->ahead);
    while (m->got == 1 && m->ahead.is_tombstone);
    m->is_fetched = true;
}

int merged_state_open(struct merged_state *m, int fd, const struct overlay *overlay, bool sort)
{
    *m = (struct merged_state){.overlay = overlay};
    return sorted_state_open(&m->file, fd, sort);
}

static void give_overlay(struct merged_state *m, struct state_file_entry *e)
{
    size_t len = state_file_timestamp(overlay_stamp(m->overlay, m->next), m->timestamp);
    *e = (struct state_file_entry){
        .key = overlay_key(m->overlay, m->next),
        .value = overlay_value(m->overlay, m->next),
        .timestamp = {m->timestamp, len},
    };
    e->is_tombstone = e->value.len == 0;
    m->next++;
}

/* The next of both, deleted ones included. */
static int next_entry(struct merged_state *m, struct state_file_entry *e)
{
    if (!m->is_fetched)
        advance(m);
    if (m->got < 0)
        return m->got;
    bool overlay_left = m->next < m->overlay->count;
    if (m->got == 0 && !overlay_left)
        return 0;
    int order = m->got == 0 ? 1
                : !overlay_left
                    ? -1
                    : sorted_state_compare(m->ahead.key, overlay_key(m->overlay, m->next));
    if (order < 0)
        *e = m->ahead;
    else
        give_overlay(m, e);
    if (order <= 0)
        m->is_fetched = false; /* the next is read when it is asked for: *e borrows from the file */
    return 1;
}

int merged_state_next(struct merged_state *m, struct state_file_entry *e)
{
    int got;
    do
        got = next_entry(m, e);
    while (got == 1 && e->is_tombstone);
    return got;
}

void merged_state_close(struct merged_state *m)
{
    sorted_state_close(&m->file);
}

int merged_state_open_file(const char *data_dir, const char *object_id)
{
    char path[PATH_MAX];
    if (!*object_id || strchr(object_id, '/') || object_id[0] == '.')
        return -EINVAL;
    int n = snprintf(path, sizeof(path), "%s/state/%s/state.tsv", data_dir, object_id);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int merged_state_run(const char *data_dir, const char *object_id,
                     int (*pass)(void *arg, int fd, bool sort), void *arg)
{
    int fd = merged_state_open_file(data_dir, object_id);
    if (fd < 0 && fd != -ENOENT)
        return fd;
    int err = pass(arg, fd < 0 ? -1 : fd, false);
    if (err == -EILSEQ)
        err = pass(arg, fd, true);
    if (fd >= 0)
        close(fd);
    return err;
}
