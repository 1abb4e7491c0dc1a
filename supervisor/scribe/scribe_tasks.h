// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_tasks - jobs that may take long, done in slices so that the others need not wait for them.
 *
 * Every round gives one slice to one task, in turn. In the scribe.
 */
#ifndef SUPERVISOR_SCRIBE_SCRIBE_TASKS_H
#define SUPERVISOR_SCRIBE_SCRIBE_TASKS_H

#include <stdbool.h>
#include <stdint.h>

/* What a task is; all of it gets the `work` that the task was made with. */
struct scribe_task_kind {
    int (*step)(void *work, uint64_t until_ns);                   /* 1: more to do; 0; -errno */
    void (*answer)(void *arg, uint64_t job, void *work, int err); /* err of the last step */
    void (*free)(void *work);
};

struct scribe_task;

struct scribe_tasks {
    struct scribe_task *list;
    void *arg; /* of the answers */
};

/* Takes `work` over; NULL (no memory for it), or no memory here, is answered with -ENOMEM. */
void scribe_tasks_add(struct scribe_tasks *tasks, uint64_t job, const struct scribe_task_kind *kind,
                      void *work);
/* Answers that task with -ECANCELED; one that is already done is none any more. */
void scribe_tasks_cancel(struct scribe_tasks *tasks, uint64_t job);
/* One slice; false when there is nothing to do. */
bool scribe_tasks_run(struct scribe_tasks *tasks);
void scribe_tasks_free(struct scribe_tasks *tasks);

#endif
