// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_jobs - what was asked of the scribe and is not answered yet, oldest first.
 *
 * Owns its jobs. A callback runs only after its job has left the list, so it may add and cancel
 * jobs. Loop thread only.
 */
#ifndef SUPERVISOR_SCRIBE_SCRIBE_JOBS_H
#define SUPERVISOR_SCRIBE_SCRIBE_JOBS_H

#include "supervisor/scribe/scribe.h"

struct scribe_job {
    uint64_t id;
    void *arg;
    bool is_cancelled;
    int err;                         /* < 0: failed, to be settled */
    scribe_checkpoint_fn checkpoint; /* of a checkpoint job, else NULL */
    scribe_document_fn document;     /* of a job that makes a document, else NULL */
    scribe_files_fn files;           /* of work on files, else NULL */
    scribe_version_fn version;       /* of a version to be written, else NULL */
    uint64_t expires_ns;             /* of a document or number: nobody waits longer; 0 never */
    scribe_number_fn number;         /* of a job answered by a number, else NULL */
    scribe_tree_fn tree;             /* of a scan, else NULL */
    scribe_measured_fn measured;     /* of a measure, else NULL */
    bool is_sliced;                  /* a job on logs or a scan, which can be stopped */
    bool is_stopped;                 /* the scribe was told */
    size_t count, answered_count;    /* objects of a checkpoint job, processes of a measure */
    struct scribe_job *prev, *next;
    bool answered[]; /* which of them */
};

struct scribe_jobs {
    struct scribe_job *list;
    struct scribe_job *settling; /* its callbacks are running */
    uint64_t last_id;
    size_t documents; /* dumps and searches under way, cancelled ones too */
};

/* NULL when memory is short. */
struct scribe_job *scribe_jobs_add(struct scribe_jobs *jobs, size_t count, void *arg);
struct scribe_job *scribe_jobs_find(struct scribe_jobs *jobs, uint64_t id);
/* Object `index` of a checkpoint job is done. False when that cannot be: already answered, or not
 * of this job. */
bool scribe_jobs_checkpointed(struct scribe_jobs *jobs, struct scribe_job *job, size_t index,
                              int err, uint64_t keys);
/* The answer to a dump or a search; takes fd over. False when the job is neither. */
bool scribe_jobs_document(struct scribe_jobs *jobs, struct scribe_job *job, int err, int fd,
                          uint64_t size);
/* The answer to work on files. False when the job is none. */
bool scribe_jobs_files(struct scribe_jobs *jobs, struct scribe_job *job, int err, unsigned limit);
/* The answer to a version to be written. False when the job is none. */
bool scribe_jobs_version(struct scribe_jobs *jobs, struct scribe_job *job, int err, bool in_objects,
                         uint64_t version);
/* The answer of a job that is a number. False when the job is none. */
bool scribe_jobs_number(struct scribe_jobs *jobs, struct scribe_job *job, int err, uint64_t value);
/* The answer to a measure. False when the job is none, or of so many. */
bool scribe_jobs_measured(struct scribe_jobs *jobs, struct scribe_job *job, int err,
                          const uint64_t *bytes, size_t count);
/* What a scan has found. False when the job is none. */
bool scribe_jobs_tree(struct scribe_job *job, const struct scribe_rpc_tree_found *found);
/*
 * Tells the owners of jobs that expired (-ETIMEDOUT). The job stays, cancelled: its answer
 * may come yet. Returns when the next one expires, 0: never.
 */
uint64_t scribe_jobs_expire(struct scribe_jobs *jobs, uint64_t now_ns);
void scribe_jobs_cancel(struct scribe_jobs *jobs, void *arg);
/* Somebody waits for one of them. */
bool scribe_jobs_awaited(const struct scribe_jobs *jobs);
/* Marks all as failed; scribe_jobs_settle() then tells their owners. */
void scribe_jobs_fail_all(struct scribe_jobs *jobs, int err);
void scribe_jobs_settle(struct scribe_jobs *jobs);
/* Drops all without a call. */
void scribe_jobs_free(struct scribe_jobs *jobs);

#endif
