// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_private - what the two files of the supervisor's end share: scribe.c has the process and
 * its socket, scribe_ask.c what is asked of it.
 */
#ifndef SUPERVISOR_SCRIBE_SCRIBE_PRIVATE_H
#define SUPERVISOR_SCRIBE_SCRIBE_PRIVATE_H

#include "common/channel.h"
#include "supervisor/process/backoff.h"
#include "supervisor/scribe/scribe_jobs.h"

/*
 * The socket outlives no process, but may be older than it: jobs asked for while the next start is
 * held back gather in the new pair, whose other end waits in child_fd.
 */
struct scribe {
    struct loop *loop;
    char *data_dir;
    enum log_format log_format;
    struct channel channel; /* fd -1: no socket could be had */
    int child_fd;           /* the other end, until a process has it; else -1 */
    struct loop_source *source;
    pid_t pid;
    uint64_t started_ns;
    struct backoff backoff;
    struct loop_timer restart;
    struct loop_timer settle;
    struct loop_timer expiry;
    uint64_t timeout_ns; /* of a document */
    size_t documents_max;
    struct scribe_jobs jobs;
    scribe_log_removed_fn log_removed; /* NULL: nobody asks */
    void *log_removed_arg;
    bool (*is_hurried)(void); /* NULL: never */
    bool stopping;
};

/* Tells the process how to log. */
void scribe_log_setup(struct scribe *s, enum log_format format, enum log_level level);
/* Fails one job, or what there is of it; never from inside the call that asked for it. */
void scribe_fail_later(struct scribe *s, struct scribe_job *job, int err);
/* Sends what is in the channel: NULL, or why the process has to go. */
const char *scribe_send(struct scribe *s);

#endif
