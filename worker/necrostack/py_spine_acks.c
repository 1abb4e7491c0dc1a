// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine_acks.h"

#include "worker/necrostack/py_logging.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_spine_run.h"

#include <errno.h>
#include <utlist.h>

enum { UNDER_WAY_MAX = 512 };

struct spine_ack {
    struct backend_call call; /* first */
    struct spine_run *run;
    struct delivery delivery;
    PyObject *event;
    int result;
    struct spine_ack *next, *previous;
};

/* It stays among the spares as long as no call is under way with it. */
static struct spine_ack *find_spare(struct spine_acks *acks)
{
    struct spine_ack *ack = acks->spare;
    if (!ack && (ack = PyMem_New(struct spine_ack, 1)))
        LL_PREPEND(acks->spare, ack);
    return ack;
}

static void put_away(struct spine_acks *acks, struct spine_ack *ack)
{
    PyObject *event = ack->event;
    ack->event = NULL;
    LL_PREPEND(acks->spare, ack);
    Py_DECREF(event);
}

/* Called by the backend, maybe in the middle of the run's own work: what is to be told is told
 * later. */
static void ack_done(struct backend_call *call, int result)
{
    struct spine_ack *ack = (struct spine_ack *)call;
    struct spine_run *run = ack->run;
    struct spine_acks *acks = &run->acks_under_way;
    DL_DELETE2(acks->under_way, ack, previous, next);
    acks->count--;
    ack->result = result;
    bool wanted = result || (acks->waited && acks->count <= acks->bound);
    if (result)
        LL_PREPEND(acks->failed, ack);
    else
        put_away(acks, ack);
    if (acks->count <= acks->bound)
        acks->waited = false;
    if (wanted && run->waiter)
        py_backend_wake(run->waiter);
}

int spine_acks_failed(struct spine_run *run, PyObject *event)
{
    PyObject *error = spine_run_take_failure();
    int failed;
    if (!error)
        return -1;
    run->spine->stats.ack_errors++;
    failed = py_logging_failed(event, error, "Failed to acknowledge %U: %S",
                               ((struct py_event *)event)->type, error);
    Py_DECREF(error);
    return failed ? -1 : 0;
}

int spine_acks_send(struct spine_run *run)
{
    struct spine_acks *acks = &run->acks_under_way;
    struct spine_ack *ack = run->bridge->backend ? find_spare(acks) : NULL;
    int result;
    if (!ack) {
        spine_run_raise_errno(run, run->bridge->backend ? ENOMEM : ESHUTDOWN);
        return spine_acks_failed(run, run->event);
    }
    ack->call = (struct backend_call){.done = ack_done};
    ack->run = run;
    ack->delivery = run->delivery;
    result = backend_ack(run->bridge->backend, &ack->delivery, 1, NULL, 0, &ack->call);
    if (result == -EINPROGRESS) {
        LL_DELETE(acks->spare, ack);
        ack->event = Py_NewRef(run->event);
        DL_APPEND2(acks->under_way, ack, previous, next);
        acks->count++;
        return 0;
    }
    if (result == 0)
        return 0;
    spine_run_raise_errno(run, -result);
    return spine_acks_failed(run, run->event);
}

bool spine_acks_are_too_many(struct spine_acks *acks)
{
    acks->bound = UNDER_WAY_MAX / 2;
    acks->waited |= acks->count >= UNDER_WAY_MAX;
    return acks->waited;
}

bool spine_acks_are_left(struct spine_acks *acks)
{
    acks->bound = 0;
    acks->waited = acks->count > 0;
    return acks->waited;
}

int spine_acks_report(struct spine_run *run)
{
    struct spine_acks *acks = &run->acks_under_way;
    int result = 0;
    while (acks->failed && result == 0) {
        struct spine_ack *ack = acks->failed;
        LL_DELETE(acks->failed, ack);
        spine_run_raise_errno(run, -ack->result);
        result = spine_acks_failed(run, ack->event);
        put_away(acks, ack);
    }
    return result;
}

void spine_acks_leave(struct spine_run *run)
{
    struct spine_acks *acks = &run->acks_under_way;
    struct spine_ack *ack;
    if (acks->under_way && run->bridge->backend)
        backend_progress(run->bridge->backend); /* so that they are sent, whatever the loop does */
    while ((ack = acks->under_way)) {
        if (run->bridge->backend)
            backend_forget(run->bridge->backend, &ack->call);
        DL_DELETE2(acks->under_way, ack, previous, next);
        put_away(acks, ack);
    }
    while ((ack = acks->failed)) {
        LL_DELETE(acks->failed, ack);
        put_away(acks, ack);
    }
    while ((ack = acks->spare)) {
        LL_DELETE(acks->spare, ack);
        PyMem_Free(ack);
    }
    acks->count = 0;
    acks->waited = false;
}

int spine_acks_traverse(struct spine_acks *acks, visitproc visit, void *arg)
{
    struct spine_ack *ack;
    DL_FOREACH2(acks->under_way, ack, next)
    {
        Py_VISIT(ack->event);
    }
    LL_FOREACH(acks->failed, ack)
    {
        Py_VISIT(ack->event);
    }
    return 0;
}
