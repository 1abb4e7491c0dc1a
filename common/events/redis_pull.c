// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include "common/clock.h"

#include <errno.h>
#include <utlist.h>

#define OWNED_LEAST_NS   (20 * NS_PER_MS)
#define RELEASE_LEAST_NS NS_PER_S

static struct pull_call *pull_of(struct backend_call *call)
{
    return (struct pull_call *)call;
}

static uint64_t start_of(const struct backend_call *call)
{
    return (uint64_t)(uintptr_t)call->backend_data;
}

/* --- handing out ---------------------------------------------------------------------------- */

static bool is_ours_still(const struct redis_backend *b, const struct redis_fetched *fetched,
                          uint64_t now)
{
    uint64_t sure = b->claim_min_idle_ns - b->claim_min_idle_ns / 4;
    return now < fetched->owned_ns + (sure > OWNED_LEAST_NS ? sure : OWNED_LEAST_NS);
}

/* What may be somebody else's by now is left to whoever claims it, perhaps us. */
static void drop_stale(struct redis_backend *b, uint64_t now)
{
    while (b->ahead.count > 0 && !is_ours_still(b, redis_ahead_at(&b->ahead, 0), now))
        event_release(redis_ahead_take(&b->ahead).event);
}

static void hand_out(struct redis_backend *b, struct pull_call *pull,
                     const struct redis_fetched *fetched)
{
    pull->into[pull->count++] = (struct delivery){
        .event = fetched->event, .id = fetched->id, .attempt = fetched->attempts + 1};
    b->backend.counters.pulled++;
    b->reading.handed++;
}

/* On the connection for work, where the server answers it. */
static bool announce_at_work(struct redis_backend *b, size_t count, uint64_t now)
{
    uint64_t losses = b->work.lost;
    redis_settle_flush(b);
    redis_connection_flush(&b->work, now);
    if (!redis_connection_is_clear(&b->work))
        return false;
    struct redis_task *task = redis_owner_hand_over(b, count);
    if (!task)
        return false;
    redis_read_plan(b, now);
    redis_connection_flush(&b->work, now);
    if (b->work.lost == losses)
        return true;
    redis_task_abandon(b, task);
    return false;
}

/* Tells Redis what is about to be handed out, before it is, and in the same write what is handled;
 * whether that is done is asked later, for many at a time. False: it cannot be told now. */
static bool announce(struct redis_backend *b, size_t count, uint64_t now)
{
    if (!redis_tell_may(b))
        return announce_at_work(b, count, now);
    redis_settle_tell(b);
    if (!redis_tell_hand_over(b, count, now))
        return false;
    redis_read_plan(b, now);
    redis_connection_flush(&b->work, now);
    return true;
}

/* What is being made sure of as fetched ahead would be so again when it was told to be handed out.
 */
static bool may_serve(const struct redis_backend *b)
{
    return !b->lost.any && !b->refreshing && redis_connection_is_ready(&b->work) &&
           !redis_tell_is_coming(b);
}

/* True: the pull has got something. */
static bool serve(struct redis_backend *b, struct pull_call *pull, uint64_t now)
{
    drop_stale(b, now);
    size_t most = redis_read_most(pull);
    size_t count = most < b->ahead.count ? most : b->ahead.count;
    if (count == 0 || !may_serve(b) || !announce(b, count, now))
        return false;
    while (pull->count < count) {
        struct redis_fetched fetched = redis_ahead_take(&b->ahead);
        hand_out(b, pull, &fetched);
    }
    return true;
}

int redis_pull(struct redis_backend *b, struct pull_call *pull)
{
    uint64_t now = clock_mono_ns(), wait = pull->wait_ns ? pull->wait_ns : b->timeout_ns;
    pull->count = 0;
    if (pull->room == 0)
        return 0;
    b->reading.pulled_ns = now;
    if (!b->reading.pulls && serve(b, pull, now))
        return 0;
    pull->until_ns = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
    pull->call.backend_data = (void *)(uintptr_t)now;
    DL_APPEND2(b->reading.pulls, &pull->call, previous, next);
    b->reading.ask = true;
    return -EINPROGRESS;
}

void redis_pull_give_back(struct redis_backend *b, const struct delivery *unhandled)
{
    struct redis_fetched fetched = {.event = event_retain(unhandled->event),
                                    .id = unhandled->id,
                                    .attempts = unhandled->attempt ? unhandled->attempt - 1 : 0,
                                    .owned_ns = clock_mono_ns()};
    struct redis_task *task = redis_owner_begin_return(b);
    bool was_told = redis_tell_take_back(b, fetched.id);
    if (task && redis_ahead_put_first(&b->ahead, &fetched) == 0) {
        redis_task_add_id(task, fetched.id);
        redis_owner_return(b, task, was_told);
        redis_connection_flush(&b->tell.connection, fetched.owned_ns);
        return;
    }
    event_release(fetched.event); /* pending, until somebody claims it */
    if (task)
        redis_task_end(b, task, 0);
}

/* --- the end of a pull ---------------------------------------------------------------------- */

void redis_pull_end(struct redis_backend *b, struct pull_call *pull, int result)
{
    DL_DELETE2(b->reading.pulls, &pull->call, previous, next);
    pull->call.done(&pull->call, result);
}

static size_t count_pulls(const struct redis_backend *b)
{
    size_t count = 0;
    for (const struct backend_call *call = b->reading.pulls; call; call = call->next)
        count++;
    return count;
}

void redis_pull_fail(struct redis_backend *b, int result)
{
    for (size_t left = count_pulls(b); left > 0 && b->reading.pulls; left--)
        redis_pull_end(b, pull_of(b->reading.pulls), result);
}

void redis_pull_end_polls(struct redis_backend *b, uint64_t asked_ns)
{
    struct backend_call *call = b->reading.pulls;
    while (call) {
        if (pull_of(call)->wait_ns > 0 || start_of(call) > asked_ns) {
            call = call->next;
            continue;
        }
        redis_pull_end(b, pull_of(call), 0); /* done() may change the list */
        call = b->reading.pulls;
    }
}

bool redis_pull_forget(struct redis_backend *b, struct backend_call *call)
{
    struct backend_call *at = b->reading.pulls;
    while (at && at != call)
        at = at->next;
    if (at)
        DL_DELETE2(b->reading.pulls, call, previous, next);
    return at != NULL;
}

/* --- time ----------------------------------------------------------------------------------- */

/* When it ends, whatever happens; without a failure the first connection has a patience of its own.
 */
static uint64_t end_of(const struct redis_backend *b, const struct pull_call *pull)
{
    uint64_t end = pull->until_ns, patience = start_of(&pull->call) + b->timeout_ns;
    if (!redis_connection_is_ready(&b->work))
        end = b->work.failures == 0 ? UINT64_MAX : end < patience ? end : patience;
    return pull->call.deadline_ns && pull->call.deadline_ns < end ? pull->call.deadline_ns : end;
}

static int result_of(const struct redis_backend *b, const struct pull_call *pull)
{
    return redis_connection_is_ready(&b->work) && pull->wait_ns > 0 ? 0 : -ENOTCONN;
}

static bool end_one_over(struct redis_backend *b, uint64_t now)
{
    for (struct backend_call *call = b->reading.pulls; call; call = call->next) {
        if (end_of(b, pull_of(call)) > now)
            continue;
        redis_pull_end(b, pull_of(call), result_of(b, pull_of(call)));
        return true;
    }
    return false;
}

void redis_pull_serve(struct redis_backend *b, uint64_t now)
{
    size_t left = count_pulls(b);
    while (b->reading.pulls && b->ahead.count > 0 && serve(b, pull_of(b->reading.pulls), now))
        redis_pull_end(b, pull_of(b->reading.pulls), 0);
    while (left > 0 && end_one_over(b, now))
        left--;
}

/* What lies here while nobody pulls is kept from the others; while somebody does, it is kept ours.
 */
void redis_pull_plan(struct redis_backend *b, uint64_t now)
{
    uint64_t quarter = b->claim_min_idle_ns / 4;
    uint64_t quiet = 2 * quarter > RELEASE_LEAST_NS ? 2 * quarter : RELEASE_LEAST_NS;
    if (b->ahead.count == 0 || !redis_connection_is_ready(&b->work)) {
        b->refresh_ns = 0;
    } else if (b->refresh_ns == 0) {
        b->refresh_ns = now + quarter;
    } else if (now >= b->refresh_ns) {
        b->refresh_ns = now + quarter;
        if (!b->reading.pulls && now > b->reading.pulled_ns + quiet)
            redis_owner_release(b);
        else if (is_ours_still(b, redis_ahead_at(&b->ahead, 0), now))
            redis_owner_refresh(b);
    }
}

uint64_t redis_pull_deadline(const struct redis_backend *b)
{
    uint64_t deadline = b->refresh_ns ? b->refresh_ns : UINT64_MAX;
    const struct backend_call *call;
    for (call = b->reading.pulls; call; call = call->next) {
        uint64_t end = end_of(b, (const struct pull_call *)call);
        deadline = end < deadline ? end : deadline;
    }
    return deadline;
}
