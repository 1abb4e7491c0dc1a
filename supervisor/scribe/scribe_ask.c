// SPDX-License-Identifier: Apache-2.0
/* What the scribe is asked: a frame and a job for each question. */
#include "supervisor/scribe/scribe.h"

#include "common/clock.h"
#include "supervisor/scribe/scribe_private.h"
#include "supervisor/scribe/scribe_rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <utlist.h>

/* Queues a frame begun by the caller; its job fails when that is impossible. */
static void submit(struct scribe *s, struct scribe_job *job, size_t frame)
{
    int err = channel_end(&s->channel, frame, NULL, 0);
    if (err) {
        scribe_fail_later(s, job, err);
        return;
    }
    /* a socket that is dead shows as end of file too; the job fails there */
    scribe_send(s);
}

static bool can_ask(struct scribe *s, struct scribe_job *job)
{
    if (s->channel.fd < 0 || s->stopping)
        scribe_fail_later(s, job, -EPIPE);
    return job->err == 0;
}

void scribe_checkpoint(struct scribe *s, const struct scribe_checkpoint *objects, size_t count,
                       scribe_checkpoint_fn done, void *arg)
{
    struct scribe_job *job = count ? scribe_jobs_add(&s->jobs, count, arg) : NULL;
    for (size_t i = 0; !job && i < count; i++)
        done(arg, -ENOMEM, i, 0);
    if (!job)
        return;
    job->checkpoint = done;
    if (!can_ask(s, job))
        return;
    struct buf list = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        struct scribe_rpc_object o = {span_of(objects[i].object_id), objects[i].after_seq,
                                      objects[i].upto_seq};
        scribe_rpc_object_encode(&list, &o);
    }
    if (!buf_ok(&list)) {
        buf_free(&list);
        scribe_fail_later(s, job, -ENOMEM);
        return;
    }
    size_t frame = channel_begin(&s->channel, RPC_CHECKPOINT, job->id);
    struct scribe_rpc_checkpoint m = {(uint32_t)count, {list.data, list.len}};
    scribe_rpc_checkpoint_encode(&s->channel.out, &m);
    buf_free(&list);
    submit(s, job, frame);
}

/* Work in slices that nobody waits for stops early; its answer still comes, and is dropped. */
static void stop_unawaited(struct scribe *s)
{
    struct scribe_job *job;
    DL_FOREACH (s->jobs.list, job) {
        if (!job->is_cancelled || !job->is_sliced || job->is_stopped || job->err ||
            s->channel.fd < 0)
            continue;
        job->is_stopped = true;
        channel_end(&s->channel, channel_begin(&s->channel, RPC_CANCEL, job->id), NULL, 0);
    }
    if (s->channel.fd >= 0)
        scribe_send(s);
}

static void on_expiry(void *arg)
{
    struct scribe *s = arg;
    uint64_t now_ns = clock_mono_ns(), next_ns = scribe_jobs_expire(&s->jobs, now_ns);
    stop_unawaited(s);
    if (next_ns)
        loop_timer_set(s->loop, &s->expiry, next_ns - now_ns, on_expiry, s);
}

static void limit_wait(struct scribe *s, struct scribe_job *job)
{
    job->expires_ns = clock_mono_ns() + s->timeout_ns;
    if (!loop_timer_armed(&s->expiry))
        loop_timer_set(s->loop, &s->expiry, s->timeout_ns, on_expiry, s);
}

static struct scribe_job *document_job(struct scribe *s, scribe_document_fn done, void *arg)
{
    bool is_full = s->jobs.documents >= s->documents_max;
    struct scribe_job *job = is_full ? NULL : scribe_jobs_add(&s->jobs, 0, arg);
    if (!job) {
        done(arg, is_full ? -EBUSY : -ENOMEM, -1, 0);
        return NULL;
    }
    job->document = done;
    s->jobs.documents++;
    limit_wait(s, job);
    return can_ask(s, job) ? job : NULL;
}

void scribe_version_write(struct scribe *s, const struct scribe_rpc_version_write *m,
                          scribe_version_fn done, void *arg)
{
    struct scribe_job *job = scribe_jobs_add(&s->jobs, 0, arg);
    if (!job) {
        done(arg, -ENOMEM, false, 0);
        return;
    }
    job->version = done;
    if (!can_ask(s, job))
        return;
    size_t frame = channel_begin(&s->channel, RPC_VERSION_WRITE, job->id);
    scribe_rpc_version_write_encode(&s->channel.out, m);
    submit(s, job, frame);
}

void scribe_version_list(struct scribe *s, const struct scribe_rpc_version_list *m,
                         scribe_document_fn done, void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    size_t frame = channel_begin(&s->channel, RPC_VERSION_LIST, job->id);
    scribe_rpc_version_list_encode(&s->channel.out, m);
    submit(s, job, frame);
}

void scribe_version_read(struct scribe *s, const struct scribe_rpc_version_read *m,
                         scribe_document_fn done, void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    size_t frame = channel_begin(&s->channel, RPC_VERSION_READ, job->id);
    scribe_rpc_version_read_encode(&s->channel.out, m);
    submit(s, job, frame);
}

static struct span span_or_empty(const char *text)
{
    return text ? span_of(text) : (struct span){"", 0};
}

void scribe_dump(struct scribe *s, const char *object_id, const struct span *key,
                 struct span writes, uint32_t write_count, const char *prefix, const char *suffix,
                 scribe_document_fn done, void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    if (key && key->len == 0) { /* would mean all keys; there is no empty one */
        scribe_fail_later(s, job, -ENOENT);
        return;
    }
    struct scribe_rpc_dump m = {
        .object_id = span_of(object_id),
        .key = key ? *key : (struct span){"", 0},
        .prefix = span_or_empty(prefix),
        .suffix = span_or_empty(suffix),
        .write_count = write_count,
        .writes = writes,
    };
    size_t frame = channel_begin(&s->channel, RPC_DUMP, job->id);
    scribe_rpc_dump_encode(&s->channel.out, &m);
    submit(s, job, frame);
}

static struct scribe_rpc_position wire_position(const struct log_position *p)
{
    return (struct scribe_rpc_position){p->is_set, p->inode, p->size};
}

void scribe_logs(struct scribe *s, const struct scribe_log_query *query, scribe_document_fn done,
                 void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    job->is_sliced = true;
    struct scribe_rpc_search m = {
        .object_id = span_of(query->object_id),
        .form = query->as_events ? SCRIBE_RPC_FORM_EVENTS : SCRIBE_RPC_FORM_JSON,
        .levels = query->levels,
        .limit = query->limit,
        .offset = query->offset,
        .since_us = query->since_us,
        .until_us = query->until_us,
        .upto = wire_position(&query->upto),
        .read_max = query->read_max,
        .answer_max = query->answer_max,
        .filter_count = query->filter_count,
        .filters = query->filters,
    };
    size_t frame = channel_begin(&s->channel, RPC_SEARCH, job->id);
    scribe_rpc_search_encode(&s->channel.out, &m);
    submit(s, job, frame);
}

size_t scribe_searches(const struct scribe *s)
{
    const struct scribe_job *job;
    size_t count = 0;
    DL_FOREACH (s->jobs.list, job)
        count += job->is_sliced && job->document;
    return count;
}

static struct scribe_job *number_job(struct scribe *s, scribe_number_fn done, void *arg)
{
    struct scribe_job *job = scribe_jobs_add(&s->jobs, 0, arg);
    if (!job) {
        done(arg, -ENOMEM, 0);
        return NULL;
    }
    job->number = done;
    job->is_sliced = true;
    return can_ask(s, job) ? job : NULL;
}

void scribe_log_count(struct scribe *s, const char *object_id, const struct log_position *upto,
                      scribe_number_fn done, void *arg)
{
    struct scribe_job *job = number_job(s, done, arg);
    if (!job)
        return;
    limit_wait(s, job);
    struct scribe_rpc_log_count m = {span_of(object_id), wire_position(upto)};
    size_t frame = channel_begin(&s->channel, RPC_LOG_COUNT, job->id);
    scribe_rpc_log_count_encode(&s->channel.out, &m);
    submit(s, job, frame);
}

void scribe_log_keep(struct scribe *s, const char *object_id, uint64_t files, uint64_t seconds,
                     scribe_number_fn done, void *arg)
{
    struct scribe_job *job = number_job(s, done, arg);
    if (!job)
        return;
    struct scribe_rpc_log_keep m = {span_or_empty(object_id), files, seconds};
    size_t frame = channel_begin(&s->channel, RPC_LOG_KEEP, job->id);
    scribe_rpc_log_keep_encode(&s->channel.out, &m);
    submit(s, job, frame);
}

/* No job: nobody waits, and a process that starts anew is given both with its arguments. */
void scribe_log_setup(struct scribe *s, enum log_format format, enum log_level level)
{
    if (s->channel.fd < 0)
        return;
    struct scribe_rpc_log_setup m = {format, level};
    size_t frame = channel_begin(&s->channel, RPC_LOG_SETUP, 0);
    scribe_rpc_log_setup_encode(&s->channel.out, &m);
    channel_end(&s->channel, frame, NULL, 0);
    scribe_send(s);
}

void scribe_schedules(struct scribe *s, uint64_t upto_seq, scribe_number_fn done, void *arg)
{
    struct scribe_job *job = scribe_jobs_add(&s->jobs, 0, arg);
    if (!job) {
        done(arg, -ENOMEM, 0);
        return;
    }
    job->number = done;
    if (!can_ask(s, job))
        return;
    size_t frame = channel_begin(&s->channel, RPC_SCHEDULES, job->id);
    scribe_rpc_schedules_encode(&s->channel.out, &(struct scribe_rpc_schedules){upto_seq});
    submit(s, job, frame);
}

void scribe_on_log_removed(struct scribe *s, scribe_log_removed_fn fn, void *arg)
{
    s->log_removed = fn;
    s->log_removed_arg = arg;
}

void scribe_crash_write(struct scribe *s, const struct scribe_rpc_crash_write *m,
                        scribe_number_fn done, void *arg)
{
    struct scribe_job *job = number_job(s, done, arg);
    if (!job)
        return;
    job->is_sliced = false;
    size_t frame = channel_begin(&s->channel, RPC_CRASH_WRITE, job->id);
    scribe_rpc_crash_write_encode(&s->channel.out, m);
    submit(s, job, frame);
}

void scribe_crash_read(struct scribe *s, const struct scribe_rpc_crash_read *m,
                       scribe_document_fn done, void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    size_t frame = channel_begin(&s->channel, RPC_CRASH_READ, job->id);
    scribe_rpc_crash_read_encode(&s->channel.out, m);
    submit(s, job, frame);
}

void scribe_files(struct scribe *s, const struct scribe_rpc_files *m, scribe_files_fn done,
                  void *arg)
{
    struct scribe_job *job = scribe_jobs_add(&s->jobs, 0, arg);
    if (!job) {
        done(arg, -ENOMEM, 0);
        return;
    }
    job->files = done;
    if (!can_ask(s, job))
        return;
    size_t frame = channel_begin(&s->channel, RPC_FILES, job->id);
    scribe_rpc_files_encode(&s->channel.out, m);
    submit(s, job, frame);
}

void scribe_files_list(struct scribe *s, const char *object_id, scribe_document_fn done, void *arg)
{
    struct scribe_job *job = document_job(s, done, arg);
    if (!job)
        return;
    size_t frame = channel_begin(&s->channel, RPC_LIST, job->id);
    scribe_rpc_list_encode(&s->channel.out, &(struct scribe_rpc_list){span_of(object_id)});
    submit(s, job, frame);
}

void scribe_tree_scan(struct scribe *s, const struct scribe_rpc_tree_scan *m, int inotify_fd,
                      scribe_tree_fn found, scribe_number_fn done, void *arg)
{
    struct scribe_job *job = number_job(s, done, arg);
    if (!job)
        return;
    job->tree = found;
    int fd = fcntl(inotify_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        scribe_fail_later(s, job, -errno);
        return;
    }
    size_t frame = channel_begin(&s->channel, RPC_TREE_SCAN, job->id);
    scribe_rpc_tree_scan_encode(&s->channel.out, m);
    int err = channel_end(&s->channel, frame, &fd, 1);
    if (err)
        scribe_fail_later(s, job, err);
    else
        scribe_send(s);
}

void scribe_measure(struct scribe *s, const pid_t *pids, size_t count, scribe_measured_fn done,
                    void *arg)
{
    struct scribe_job *job = scribe_jobs_add(&s->jobs, count, arg);
    if (!job) {
        done(arg, -ENOMEM, NULL);
        return;
    }
    job->measured = done;
    if (!can_ask(s, job))
        return;
    struct scribe_rpc_measure m = {.count = (uint32_t)count};
    for (size_t i = 0; i < count; i++)
        m.pids[i] = (uint32_t)pids[i];
    size_t frame = channel_begin(&s->channel, RPC_MEASURE, job->id);
    scribe_rpc_measure_encode(&s->channel.out, &m);
    submit(s, job, frame);
}

void scribe_cancel(struct scribe *s, void *arg)
{
    scribe_jobs_cancel(&s->jobs, arg);
    stop_unawaited(s);
}
