// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/scribe_tasks.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#define SLICE_NS (5 * NS_PER_MS)

struct scribe_task {
    uint64_t job;
    const struct scribe_task_kind *kind;
    void *work;
    struct scribe_task *prev, *next;
};

void scribe_tasks_add(struct scribe_tasks *tasks, uint64_t job, const struct scribe_task_kind *kind,
                      void *work)
{
    struct scribe_task *task = work ? malloc(sizeof(*task)) : NULL;
    if (!task) {
        kind->answer(tasks->arg, job, work, -ENOMEM);
        kind->free(work);
        return;
    }
    *task = (struct scribe_task){.job = job, .kind = kind, .work = work};
    DL_APPEND(tasks->list, task);
}

static void end(struct scribe_tasks *tasks, struct scribe_task *task, int err)
{
    DL_DELETE(tasks->list, task);
    task->kind->answer(tasks->arg, task->job, task->work, err);
    task->kind->free(task->work);
    free(task);
}

void scribe_tasks_cancel(struct scribe_tasks *tasks, uint64_t job)
{
    struct scribe_task *task, *next;
    DL_FOREACH_SAFE (tasks->list, task, next)
        if (task->job == job)
            end(tasks, task, -ECANCELED);
}

bool scribe_tasks_run(struct scribe_tasks *tasks)
{
    struct scribe_task *task = tasks->list;
    if (!task)
        return false;
    int got = task->kind->step(task->work, clock_mono_ns() + SLICE_NS);
    if (got != 1) {
        end(tasks, task, got);
        return true;
    }
    DL_DELETE(tasks->list, task);
    DL_APPEND(tasks->list, task);
    return true;
}

void scribe_tasks_free(struct scribe_tasks *tasks)
{
    struct scribe_task *task, *next;
    DL_FOREACH_SAFE (tasks->list, task, next) {
        DL_DELETE(tasks->list, task);
        task->kind->free(task->work);
        free(task);
    }
}
