// SPDX-License-Identifier: Apache-2.0
/*
 * What the death of a worker means for its calls: exactly those that had begun are answered, 502 or
 * 504, with the id of the crash report; the others go back to the front of the queue.
 */
#include "common/clock.h"
#include "common/json_text.h"
#include "common/shared_page.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/probation.h"
#include "supervisor/process/worker_death.h"
#include "supervisor/station.h"
#include "supervisor/turn/trial.h"
#include "supervisor/turn/turns.h"

/* --- which had begun --- */

uint64_t turn_newest_begun(const struct worker *w)
{
    uint64_t running = w->page->running_id;
    uint64_t oldest = w->inflight.head ? w->inflight.head->id : 0;
    if (w->blame == WORKER_BLAME_PROTOCOL)
        return w->last_sent_id;
    if (w->concurrent > 1)
        return w->page->begun_id;
    bool says_nothing = w->blame == WORKER_BLAME_DEADLINE && running == 0;
    return says_nothing || running > w->last_sent_id ? oldest : running;
}

uint64_t turn_began_ns(const struct worker *w, const struct call *call)
{
    uint64_t started_ns = w->page->started_ns;
    bool is_running = w->page->running_id == call->id && started_ns <= clock_mono_ns();
    return call->began_ns ? call->began_ns : is_running ? started_ns : call->sent_ns;
}

/* --- their answers --- */

/* Of several that ran at once, those are innocent that had time left. */
static bool is_overdue(const struct worker *w, const struct call *call)
{
    uint64_t end = call->sent_ns + w->object->endpoint.timeout_ns;
    return w->concurrent == 1 || loop_now(w->station->loop) > end;
}

/*
 * May its client ask again without harm? The turn has committed nothing of its own, but what it did
 * outside, and to other objects, is done. So: where the method promises to change nothing, by HTTP
 * or by what the object declares; that it is stateless says nothing of the world outside.
 */
static bool is_retryable(const struct call *call)
{
    struct span method = exchange_request(call->exchange)->method;
    bool is_declared = call->readonly && !call->object->endpoint.stateless;
    return is_declared || span_equal(method, "GET") || span_equal(method, "HEAD") ||
           span_equal(method, "OPTIONS");
}

/* What the error says besides its text; limit may be NULL. */
static void put_extra(struct buf *extra, const struct worker *w, const struct call *call,
                      const char *limit)
{
    buf_printf(extra, "\"retryable\":%s", is_retryable(call) ? "true" : "false");
    if (w->crash_id[0])
        buf_printf(extra, ",\"crash_id\":\"%s\"", w->crash_id);
    if (limit)
        buf_printf(extra, ",\"limit\":\"%s\"", limit);
}

/* It ran past its own time: 504. */
static void answer_late(struct worker *w, struct call *call)
{
    bool is_cpu = w->blame == WORKER_BLAME_CPU;
    struct buf extra = BUF_INIT;
    put_extra(&extra, w, call, is_cpu ? "cpu_seconds" : "timeout");
    w->station->turns->timed_out++;
    probation_count(w->object, true);
    if (is_cpu)
        answer_error(w->station->turns, call, 504, buf_str(&extra),
                     "the call used more than %u s of processor time (limits.cpu_seconds); its "
                     "worker was killed",
                     w->family.limits.cpu_seconds);
    else
        answer_error(w->station->turns, call, 504, buf_str(&extra),
                     "the call ran longer than %.3g s and did not stop; its worker was killed",
                     (double)w->object->endpoint.timeout_ns / 1e9);
    buf_free(&extra);
}

static void answer_dead(struct worker *w, struct call *call, int wait_status)
{
    struct buf extra = BUF_INIT;
    char reason[WORKER_DEATH_SIZE];
    bool is_others = w->blame == WORKER_BLAME_DEADLINE || w->blame == WORKER_BLAME_CPU;
    put_extra(&extra, w, call, w->blame == WORKER_BLAME_MEMORY ? "memory_mb" : NULL);
    worker_death_reason(w, wait_status, reason);
    w->station->turns->crashed++;
    probation_count(w->object, true);
    if (is_others)
        answer_error(w->station->turns, call, 502, buf_str(&extra),
                     "another call that the worker ran at the same time "
                     "did not stop at its deadline");
    else
        answer_error(w->station->turns, call, 502, buf_str(&extra),
                     "the worker died while running this call: %s", reason);
    buf_free(&extra);
}

static void answer(struct worker *w, struct call *call, int wait_status)
{
    bool is_late = (w->blame == WORKER_BLAME_DEADLINE && is_overdue(w, call)) ||
                   (w->blame == WORKER_BLAME_CPU && call->id == w->family.cpu.turn);
    if (!call->exchange)
        answer_forget(w->station->turns, call);
    else if (is_late)
        answer_late(w, call);
    else
        answer_dead(w, call, wait_status);
}

static void requeue(struct turns *turns, struct call *call)
{
    call->id = 0;
    call->worker = (struct worker_ref){0};
    call_queue_prepend(&call->object->queue, call);
    turns->queued++;
    object_mark_queued(turns->station->objects, call->object, true);
}

void turn_worker_dead(struct worker *w, int wait_status)
{
    struct turns *turns = w->station->turns;
    trial_dead(w);
    uint64_t begun = w->is_test ? w->last_sent_id : turn_newest_begun(w);
    while (w->inflight.head && w->inflight.head->id <= begun) {
        struct call *call = w->inflight.head;
        turn_take_back(turns, w, call);
        answer(w, call, wait_status);
    }
    while (w->inflight.tail) {
        struct call *call = w->inflight.tail;
        turn_take_back(turns, w, call);
        if (call->exchange)
            requeue(turns, call);
        else
            answer_forget(turns, call);
    }
    while (w->streams.head) {
        struct call *call = call_list_pop(&w->streams);
        call->worker = (struct worker_ref){0};
        stream_cut(call);
    }
}
