// SPDX-License-Identifier: Apache-2.0
#include "supervisor/files/files.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/file_store.h"
#include "common/log.h"
#include "supervisor/files/file_changes.h"
#include "supervisor/objects/object.h"
#include "supervisor/scribe/file_work.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/file_redo.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

/* Staged files on their way; those of one object one after the other. */
struct put_job {
    struct put_job *prev, *next;
    struct object *object;
    struct buf files;
    uint32_t count;
    uint64_t seq;
    bool is_running;
    files_done_fn done;
    void *arg;
};

struct files {
    struct station *station;
    int store_fd, staging_fd;
    uint64_t last_token;
    struct files_held *held; /* by record, oldest first */
    struct put_job *jobs;
};

int files_store_fd(const struct files *files)
{
    return files->store_fd;
}

int files_staging_fd(const struct files *files)
{
    return files->staging_fd;
}

void files_token(struct files *files, char token[FILES_TOKEN_SIZE])
{
    snprintf(token, FILES_TOKEN_SIZE, "u%llx-%llx", (unsigned long long)files->station->boot,
             (unsigned long long)++files->last_token);
}

/* --- records that must stay --- */

void files_hold(struct files *files, struct files_held *held, uint64_t seq)
{
    held->seq = seq; /* records are accepted in order */
    DL_APPEND(files->held, held);
    store_keep_from(files->station->store, STORE_KEEP_FILES, files->held->seq);
}

void files_release(struct files *files, struct files_held *held)
{
    DL_DELETE(files->held, held);
    store_keep_from(files->station->store, STORE_KEEP_FILES, files->held ? files->held->seq : 0);
}

/* --- what workers stage --- */

void files_worker_owner(const struct worker *w, char owner[FILES_TOKEN_SIZE])
{
    snprintf(owner, FILES_TOKEN_SIZE, "w%llx-%llx-", (unsigned long long)w->station->boot,
             (unsigned long long)w->ref.generation);
}

static bool is_staged(const struct files *files, const struct rpc_file *f)
{
    char token[FILE_STORE_TOKEN_MAX + 1];
    struct stat st;
    memcpy(token, f->token.data, f->token.len);
    token[f->token.len] = '\0';
    return file_store_stat(files->staging_fd, token, &st) == 0 && (uint64_t)st.st_size == f->size;
}

bool files_are_of_worker(const struct worker *w, const struct rpc_files *files)
{
    char owner[FILES_TOKEN_SIZE];
    struct codec_reader r = codec_reader_of(files->files.data, files->files.len);
    struct rpc_file f;
    if (files->count == 0)
        return true;
    files_worker_owner(w, owner);
    size_t len = strlen(owner);
    while (rpc_file_next(&r, &f)) {
        if (f.token.len <= len || memcmp(f.token.data, owner, len) != 0)
            return false;
        if (f.op == RPC_FILE_PUT && !is_staged(w->station->files, &f))
            return false;
    }
    return true;
}

static void on_cleaned(void *arg, int err, unsigned limit)
{
    (void)arg, (void)limit;
    if (err && err != -EPIPE)
        log_warn("staged files could not be removed: %s", strerror(-err));
}

void files_worker_dead(struct worker *w)
{
    char owner[FILES_TOKEN_SIZE];
    struct buf text = BUF_INIT;
    struct scribe_rpc_files m = {.action = SCRIBE_FILES_SWEEP, .object_id = span_of(w->object->id)};
    files_worker_owner(w, owner);
    m.owner = span_of(owner);
    if (file_changes_pending(w->object, &text, &m.files) == 0)
        scribe_files(w->station->scribe, &m, on_cleaned, NULL);
    buf_free(&text);
}

void files_drop(struct station *station, const char *object_id, const struct rpc_files *staged)
{
    struct scribe_rpc_files m = {.action = SCRIBE_FILES_DROP,
                                 .object_id = span_of(object_id),
                                 .owner = {"", 0},
                                 .files = *staged};
    if (staged->count)
        scribe_files(station->scribe, &m, on_cleaned, NULL);
}

/* --- committing without a turn --- */

static int commit(struct object *o, const struct rpc_files *files, uint64_t *seq)
{
    struct store_turn turn = {.request_id = {"", 0}, .writes = {"", 0}, .files = *files};
    struct file_change *change = file_change_new(o, files);
    if (!change)
        return -ENOMEM;
    int err = store_commit_turn(o->station->store, o->state, &turn, seq);
    if (err)
        file_change_free(change);
    else
        file_change_accept(change, *seq);
    return err;
}

static struct rpc_files files_of_job(const struct put_job *job)
{
    return (struct rpc_files){job->count, {job->files.data, job->files.len}};
}

static void start_next(struct files *files, struct object *o);

static void free_job(struct files *files, struct put_job *job)
{
    DL_DELETE(files->jobs, job);
    buf_free(&job->files);
    free(job);
}

static void end_job(struct put_job *job, int err, unsigned limit)
{
    struct object *o = job->object;
    struct files *files = o->station->files;
    struct rpc_files staged = files_of_job(job);
    if (err)
        files_drop(o->station, o->id, &staged);
    job->done(job->arg, err, limit, job->seq);
    free_job(files, job);
    start_next(files, o);
}

static void on_visible(void *arg)
{
    end_job(arg, 0, 0);
}

static void on_synced(void *arg, int err, unsigned limit)
{
    struct put_job *job = arg;
    struct rpc_files puts = files_of_job(job);
    if (!err)
        err = commit(job->object, &puts, &job->seq);
    if (err) {
        end_job(job, err, limit);
        return;
    }
    /* accepted: from here on there is no way back, only a late answer */
    if (file_changes_when_visible(job->object, on_visible, job) < 0)
        end_job(job, 0, 0);
}

static void start_next(struct files *files, struct object *o)
{
    const struct config *c = &files->station->config;
    struct put_job *job;
    DL_FOREACH (files->jobs, job)
        if (job->object == o)
            break;
    if (!job || job->is_running)
        return;
    struct scribe_rpc_files m = {.action = SCRIBE_FILES_SYNC,
                                 .object_id = span_of(o->id),
                                 .owner = {"", 0},
                                 .bytes_max = c->files_bytes_max,
                                 .count_max = c->files_count_max,
                                 .files = files_of_job(job)};
    job->is_running = true;
    scribe_files(files->station->scribe, &m, on_synced, job);
}

void files_put(struct object *o, const struct rpc_files *puts, files_done_fn done, void *arg)
{
    struct files *files = o->station->files;
    struct put_job *job = calloc(1, sizeof(*job));
    if (job)
        buf_append(&job->files, puts->files.data, puts->files.len);
    if (!job || !buf_ok(&job->files)) {
        free(job);
        files_drop(o->station, o->id, puts);
        done(arg, -ENOMEM, 0, 0);
        return;
    }
    job->object = o;
    job->count = puts->count;
    job->done = done;
    job->arg = arg;
    DL_APPEND(files->jobs, job);
    start_next(files, o);
}

struct deletion {
    files_done_fn done;
    void *arg;
    uint64_t seq;
};

static void on_deleted(void *arg)
{
    struct deletion *d = arg;
    d->done(d->arg, 0, 0, d->seq);
    free(d);
}

void files_delete(struct object *o, struct span name, files_done_fn done, void *arg)
{
    char token[FILES_TOKEN_SIZE];
    struct buf text = BUF_INIT;
    files_token(o->station->files, token);
    rpc_file_encode(&text, &(struct rpc_file){RPC_FILE_DELETE, name, span_of(token), 0});
    struct deletion *d = malloc(sizeof(*d));
    if (d)
        *d = (struct deletion){done, arg, 0};
    struct rpc_files files = {1, {text.data, text.len}};
    int err = d && buf_ok(&text) ? commit(o, &files, &d->seq) : -ENOMEM;
    buf_free(&text);
    if (!err && file_changes_when_visible(o, on_deleted, d) < 0)
        on_deleted(d);
    if (!err)
        return;
    free(d);
    done(arg, err, 0, 0);
}

/* --- start and stop --- */

static int redo_change(struct files *files, const struct file_redo_change *change)
{
    struct buf text = BUF_INIT;
    enum scribe_files_limit limit;
    struct rpc_file f = {change->is_delete ? RPC_FILE_DELETE : RPC_FILE_PUT, span_of(change->name),
                         span_of(change->token), change->is_delete ? 0 : change->size};
    rpc_file_encode(&text, &f);
    struct scribe_rpc_files m = {.action = SCRIBE_FILES_APPLY,
                                 .object_id = span_of(change->object_id),
                                 .owner = {"", 0},
                                 .files = {1, {text.data, text.len}}};
    int err = FAILPOINT("files-redo");
    if (!err)
        err = buf_ok(&text) ? file_work_run(files->station->config.data_dir, &m, &limit) : -ENOMEM;
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "file %s of %s: %s", change->name, change->object_id,
            strerror(-err));
    buf_free(&text);
    return err;
}

/* What a delete would undo twice is marked as done: somebody may put a file there by hand. */
static void mark_redone(struct files *files, const struct file_redo_change *change)
{
    struct object_state *state = store_object(files->station->store, change->object_id);
    struct store_turn turn = {
        .request_id = {"", 0}, .writes = {"", 0}, .files = {0, {"", 0}}, .files_done = change->seq};
    uint64_t seq;
    int err = state ? store_commit_turn(files->station->store, state, &turn, &seq) : -ENOMEM;
    if (err)
        log_warn("files of %s: not marked as visible: %s", change->object_id, strerror(-err));
}

static void redo(struct files *files)
{
    struct file_redo *redo = store_take_file_redo(files->station->store);
    const struct file_redo_change *change;
    size_t count = 0;
    if (!redo)
        return;
    DL_FOREACH (redo->changes, change) {
        redo_change(files, change);
        count++;
    }
    DL_FOREACH (redo->changes, change)
        mark_redone(files, change);
    if (count)
        log_info("%zu changes of files that the journal holds were made sure of", count);
    file_redo_free(redo);
}

static int remove_stray(void *arg, const char *token, const struct stat *st)
{
    const struct files *files = arg;
    (void)st;
    return unlinkat(files->staging_fd, token, 0) < 0 ? -errno : 0;
}

struct files *files_new(struct station *station)
{
    struct files *files = calloc(1, sizeof(*files));
    if (!files)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the files");
    files->station = station;
    files->store_fd = file_store_open(station->config.data_dir, true);
    files->staging_fd = files->store_fd < 0
                            ? files->store_fd
                            : file_store_folder(files->store_fd, FILE_STORE_STAGING, true);
    if (files->staging_fd < 0)
        die(EXIT_CODE_ENVIRONMENT, "%s/files: %s", station->config.data_dir,
            strerror(-files->staging_fd));
    redo(files);
    int err = file_store_each(files->staging_fd, remove_stray, files);
    if (err)
        log_warn("%s/files/%s cannot be emptied: %s", station->config.data_dir, FILE_STORE_STAGING,
                 strerror(-err));
    return files;
}

static void push(struct object *o, void *arg)
{
    (void)arg;
    file_changes_push(o);
}

static void cancel(struct object *o, void *arg)
{
    (void)arg;
    scribe_cancel(o->station->scribe, o);
}

void files_settle(struct files *files, uint64_t timeout_ns)
{
    store_flush(files->station->store);
    object_each(files->station->objects, push, NULL);
    if (scribe_wait(files->station->scribe, timeout_ns))
        return;
    /* What is not done now is done at the next start; nobody is there any more to be told. */
    if (timeout_ns)
        log_warn("files: the scribe takes too long; the rest is done at the next start");
    struct put_job *job;
    DL_FOREACH (files->jobs, job)
        scribe_cancel(files->station->scribe, job);
    object_each(files->station->objects, cancel, NULL);
}

static void free_changes(struct object *o, void *arg)
{
    (void)arg;
    file_changes_free(o);
}

void files_free(struct files *files)
{
    object_each(files->station->objects, free_changes, NULL);
    while (files->jobs)
        free_job(files, files->jobs);
    close(files->staging_fd);
    close(files->store_fd);
    free(files);
}
