// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/shared_page.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/family.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/worker_output.h"
#include "supervisor/process/worker_private.h"
#include "supervisor/station.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define EXIT_GRACE_NS (5 * NS_PER_S) /* from EXIT to SIGKILL */

static bool has_work(const struct worker *w)
{
    return w->inflight.count || w->streams.count || w->gated_streams;
}

static void kill_process(struct worker *w)
{
    if (w->pid == 0) { /* FORKED will come, and brings us here again, unless nobody was asked yet */
        if (nursery_cancel(w->station->nursery, w->ref))
            worker_exited(w, 0, NULL);
        return;
    }
    family_kill(w);
}

static void on_exit_late(void *arg)
{
    struct worker *w = arg;
    log_warn("worker %d of %s did not exit in time", (int)w->pid, w->object->id);
    worker_kill(w, WORKER_BLAME_UNWANTED);
}

static void send_exit(struct worker *w)
{
    if (has_work(w) || w->exit_sent)
        return;
    w->exit_sent = true;
    throttle_end(w);
    channel_end(&w->channel, channel_begin(&w->channel, RPC_EXIT, 0), NULL, 0);
    worker_touch(w);
    loop_timer_set(w->station->loop, &w->timer, EXIT_GRACE_NS, on_exit_late, w);
}

void worker_settle(struct worker *w)
{
    worker_set_busy(w, has_work(w));
    if (w->state == WORKER_DRAINING)
        send_exit(w);
}

enum worker_action worker_event(struct worker *w, enum worker_event event)
{
    struct worker_step step = worker_fsm_step(w->state, event);
    if (w->state < WORKER_KILLED)
        w->last_state = w->state;
    w->state = step.next;
    worker_set_busy(w, has_work(w));
    switch (step.action) {
    case WORKER_DO_FINISH:
        send_exit(w);
        break;
    case WORKER_DO_KILL:
        kill_process(w);
        break;
    case WORKER_DO_BLAME:
        worker_blame_protocol(w, worker_event_name(event));
        break;
    case WORKER_DO_NOTHING:
    case WORKER_DO_ANNOUNCE:
    case WORKER_DO_REPORT:
    case WORKER_DO_BURY:
        break;
    }
    return step.action;
}

void worker_kill(struct worker *w, enum worker_blame blame)
{
    if (w->blame == WORKER_BLAME_NONE)
        w->blame = blame;
    worker_event(w, WORKER_EV_KILL);
}

/*
 * What the worker had said: what is in the socket, then what it had written into its outbox and not
 * sent. The page may say anything; only a part of the outbox that begins where the socket ended
 * counts.
 */
static void receive_rest(struct worker *w)
{
    int queued = 0; /* what it left behind may go on writing to its socket */
    ioctl(w->channel.fd, FIONREAD, &queued);
    for (ssize_t n; queued > 0 && (n = channel_receive(&w->channel)) > 0; queued -= (int)n)
        if (!worker_handle_frames(w))
            return;
    uint64_t base = w->page->outbox_base;
    uint32_t written = w->page->outbox_written;
    uint64_t arrived = w->channel.received - base;
    if (w->channel.received < base || arrived >= written || written > SHARED_OUTBOX_SIZE)
        return;
    buf_append(&w->channel.in, w->page->outbox + arrived, written - (uint32_t)arrived);
    if (buf_ok(&w->channel.in))
        worker_handle_frames(w);
}

void worker_exited(struct worker *w, int wait_status, const struct rusage *usage)
{
    struct worker_table *table = w->station->workers;
    loop_timer_cancel(&w->timer);
    if (usage)
        w->usage = *usage;
    worker_event(w, WORKER_EV_EXITED); /* first: nothing it still says can change its state */
    throttle_end(w);                   /* nor throttle it */
    if (w->blame != WORKER_BLAME_PROTOCOL)
        receive_rest(w);
    worker_read_output(w);
    worker_output_close(w); /* a line without an end is in its log before its death is */
    family_bury(w, wait_status);
    table->hooks.dead(w, wait_status);
    worker_slot_free(w);
}
