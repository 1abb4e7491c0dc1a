// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/scribe_jobs.h"

#include "supervisor/scribe/scribe_rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

struct scribe_job *scribe_jobs_add(struct scribe_jobs *jobs, size_t count, void *arg)
{
    struct scribe_job *job = calloc(1, sizeof(*job) + count * sizeof(job->answered[0]));
    if (!job)
        return NULL;
    job->id = ++jobs->last_id;
    job->arg = arg;
    job->count = count;
    DL_APPEND(jobs->list, job);
    return job;
}

struct scribe_job *scribe_jobs_find(struct scribe_jobs *jobs, uint64_t id)
{
    struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        if (job->id == id)
            return job;
    return NULL;
}

bool scribe_jobs_checkpointed(struct scribe_jobs *jobs, struct scribe_job *job, size_t index,
                              int err, uint64_t keys)
{
    if (!job->checkpoint || index >= job->count || job->answered[index])
        return false;
    job->answered[index] = true;
    bool is_last = ++job->answered_count == job->count;
    struct scribe_job *outer = jobs->settling;
    if (is_last) {
        DL_DELETE(jobs->list, job);
        jobs->settling = job;
    }
    if (!job->is_cancelled)
        job->checkpoint(job->arg, err, index, keys);
    if (is_last) {
        jobs->settling = outer;
        free(job);
    }
    return true;
}

bool scribe_jobs_document(struct scribe_jobs *jobs, struct scribe_job *job, int err, int fd,
                          uint64_t size)
{
    if (!job->document) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    DL_DELETE(jobs->list, job);
    jobs->documents--;
    if (!job->is_cancelled)
        job->document(job->arg, err, fd, size);
    else if (fd >= 0)
        close(fd);
    free(job);
    return true;
}

bool scribe_jobs_files(struct scribe_jobs *jobs, struct scribe_job *job, int err, unsigned limit)
{
    if (!job->files)
        return false;
    DL_DELETE(jobs->list, job);
    if (!job->is_cancelled)
        job->files(job->arg, err, limit);
    free(job);
    return true;
}

bool scribe_jobs_version(struct scribe_jobs *jobs, struct scribe_job *job, int err, bool in_objects,
                         uint64_t version)
{
    if (!job->version)
        return false;
    DL_DELETE(jobs->list, job);
    if (!job->is_cancelled)
        job->version(job->arg, err, in_objects, version);
    free(job);
    return true;
}

bool scribe_jobs_number(struct scribe_jobs *jobs, struct scribe_job *job, int err, uint64_t value)
{
    if (!job->number)
        return false;
    DL_DELETE(jobs->list, job);
    if (!job->is_cancelled)
        job->number(job->arg, err, value);
    free(job);
    return true;
}

bool scribe_jobs_measured(struct scribe_jobs *jobs, struct scribe_job *job, int err,
                          const uint64_t *bytes, size_t count)
{
    if (!job->measured || (!err && count != job->count))
        return false;
    DL_DELETE(jobs->list, job);
    if (!job->is_cancelled)
        job->measured(job->arg, err, bytes);
    free(job);
    return true;
}

bool scribe_jobs_tree(struct scribe_job *job, const struct scribe_rpc_tree_found *found)
{
    struct codec_reader r = codec_reader_of(found->entries.data, found->entries.len);
    struct scribe_rpc_tree_entry e;
    if (!job->tree)
        return false;
    while (scribe_rpc_tree_entry_next(&r, &e))
        if (!job->is_cancelled)
            job->tree(job->arg, &e);
    return true;
}

/* Jobs expire in the order in which they were asked for. */
static struct scribe_job *first_awaited(struct scribe_jobs *jobs)
{
    struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        if (job->expires_ns && !job->is_cancelled)
            return job;
    return NULL;
}

uint64_t scribe_jobs_expire(struct scribe_jobs *jobs, uint64_t now_ns)
{
    struct scribe_job *job;
    while ((job = first_awaited(jobs)) && job->expires_ns <= now_ns) {
        job->is_cancelled = true; /* first: the callback may come back here */
        if (job->document)
            job->document(job->arg, -ETIMEDOUT, -1, 0);
        else
            job->number(job->arg, -ETIMEDOUT, 0);
    }
    return job ? job->expires_ns : 0;
}

void scribe_jobs_cancel(struct scribe_jobs *jobs, void *arg)
{
    struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        if (job->arg == arg)
            job->is_cancelled = true;
    if (jobs->settling && jobs->settling->arg == arg)
        jobs->settling->is_cancelled = true;
}

bool scribe_jobs_awaited(const struct scribe_jobs *jobs)
{
    const struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        if (!job->is_cancelled && !job->measured)
            return true;
    return false;
}

void scribe_jobs_fail_all(struct scribe_jobs *jobs, int err)
{
    struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        job->err = err;
}

static struct scribe_job *first_failed(struct scribe_jobs *jobs)
{
    struct scribe_job *job;
    DL_FOREACH (jobs->list, job)
        if (job->err < 0)
            return job;
    return NULL;
}

void scribe_jobs_settle(struct scribe_jobs *jobs)
{
    struct scribe_job *job, *outer = jobs->settling;
    while ((job = first_failed(jobs))) {
        DL_DELETE(jobs->list, job);
        jobs->settling = job;
        jobs->documents -= job->document ? 1 : 0;
        if (job->document && !job->is_cancelled)
            job->document(job->arg, job->err, -1, 0);
        if (job->files && !job->is_cancelled)
            job->files(job->arg, job->err, 0);
        if (job->version && !job->is_cancelled)
            job->version(job->arg, job->err, false, 0);
        if (job->number && !job->is_cancelled)
            job->number(job->arg, job->err, 0);
        if (job->measured && !job->is_cancelled)
            job->measured(job->arg, job->err, NULL);
        for (size_t i = 0; job->checkpoint && i < job->count; i++)
            if (!job->answered[i] && !job->is_cancelled)
                job->checkpoint(job->arg, job->err, i, 0);
        jobs->settling = outer;
        free(job);
    }
}

void scribe_jobs_free(struct scribe_jobs *jobs)
{
    struct scribe_job *job, *next;
    DL_FOREACH_SAFE (jobs->list, job, next)
        free(job);
    jobs->list = NULL;
}
