// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/checkpoint.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/scribe/scribe.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum {
    TICK_MS = 250,
    RETRY_MS = 5000,
    SMALL_FILE = 1024 * 1024,
    BATCH_OBJECTS = 1000,
    BATCH_BYTES = 64 * 1024 * 1024, /* the scribe holds what it merges in memory */
};

/* Objects on their way to the scribe. */
struct batch {
    struct object_state *objects[BATCH_OBJECTS];
    struct scribe_checkpoint requests[BATCH_OBJECTS];
    size_t count;
    size_t answered;
    uint64_t upto_seq; /* to be durable before it is submitted */
    uint64_t bytes;
    bool submitted;
};

struct checkpoint {
    struct loop *loop;
    struct scribe *scribe;
    struct journal *journal;
    char *data_dir;
    uint64_t idle_ns, max_ns, journal_max;
    struct object_state *dirty; /* ordered by object_state_first_dirty() */
    struct batch batch;
    struct loop_timer tick, deadline;
    bool settling;
    uint64_t keep_from; /* record that somebody else still needs; 0 none */
    struct checkpoint_counters counters;
};

const struct checkpoint_counters *checkpoint_counters(const struct checkpoint *c)
{
    return &c->counters;
}

/* --- the list of dirty objects --- */

static void list_insert(struct checkpoint *c, struct object_state *o)
{
    uint64_t first = object_state_first_dirty(o);
    struct object_state *after = c->dirty ? c->dirty->prev : NULL; /* the tail */
    /* Nearly always the newest: its place is at or near the end. */
    while (after && object_state_first_dirty(after) > first)
        after = after == c->dirty ? NULL : after->prev;
    if (after)
        DL_APPEND_ELEM(c->dirty, after, o);
    else
        DL_PREPEND(c->dirty, o);
    o->is_dirty = true;
    c->counters.dirty++;
}

static void list_remove(struct checkpoint *c, struct object_state *o)
{
    DL_DELETE(c->dirty, o);
    o->is_dirty = false;
    c->counters.dirty--;
}

static void trim(struct checkpoint *c)
{
    uint64_t needed = c->dirty ? object_state_first_dirty(c->dirty) : journal_last(c->journal) + 1;
    journal_trim(c->journal, c->keep_from && c->keep_from < needed ? c->keep_from : needed);
}

/* --- which objects are due --- */

/* The closed segments up to this number have to go: there are too many. */
static uint64_t pressing_seq(const struct checkpoint *c)
{
    size_t count;
    const struct recovery_segment *closed = journal_closed(c->journal, &count);
    uint64_t bytes = journal_closed_bytes(c->journal), seq = 0;
    for (size_t i = 0; i < count && bytes > c->journal_max; i++) {
        bytes -= closed[i].bytes;
        seq = closed[i].last_seq;
    }
    return seq;
}

static bool is_due(const struct checkpoint *c, const struct object_state *o, uint64_t now,
                   uint64_t pressing)
{
    if (o->in_flight || now < o->retry_ns)
        return false;
    if (c->settling || !memtable_empty(&o->frozen) || object_state_first_dirty(o) <= pressing)
        return true;
    bool idle = now >= o->written_ns + c->idle_ns;
    if (!idle)
        return now >= o->active_since_ns + c->max_ns;
    return o->file_bytes < SMALL_FILE || o->active.bytes * 10 >= o->file_bytes;
}

static void freeze(struct object_state *o)
{
    if (!memtable_empty(&o->frozen))
        return; /* an earlier attempt failed: the same again */
    o->frozen = o->active;
    o->active = (struct memtable){0};
    o->frozen_seq = o->newest;
}

static void add_to_batch(struct batch *b, struct object_state *o)
{
    uint64_t after_seq = object_state_first_dirty(o) - 1; /* from the watermark to there: nothing */
    freeze(o);
    o->in_flight = true;
    b->objects[b->count] = o;
    b->requests[b->count++] = (struct scribe_checkpoint){
        .object_id = o->id, .after_seq = after_seq, .upto_seq = o->frozen_seq};
    b->bytes += o->frozen.bytes;
    if (o->frozen_seq > b->upto_seq)
        b->upto_seq = o->frozen_seq;
}

static void gather(struct checkpoint *c)
{
    struct batch *b = &c->batch;
    uint64_t now = clock_mono_ns(), pressing = pressing_seq(c);
    struct object_state *o;
    b->count = b->answered = 0;
    b->upto_seq = b->bytes = 0;
    b->submitted = false;
    DL_FOREACH (c->dirty, o) {
        if (b->count == BATCH_OBJECTS || b->bytes >= BATCH_BYTES)
            break;
        if (is_due(c, o, now, pressing))
            add_to_batch(b, o);
    }
}

/* --- the round trip to the scribe --- */

static void run_tick(void *arg);

static void arm_tick(struct checkpoint *c, uint64_t delay_ms)
{
    loop_timer_set(c->loop, &c->tick, delay_ms * NS_PER_MS, run_tick, c);
}

static void succeeded(struct checkpoint *c, struct object_state *o, uint64_t keys)
{
    c->counters.done++;
    o->watermark = o->frozen_seq;
    o->retry_ns = 0;
    object_state_resized(o, c->data_dir, keys);
    list_remove(c, o);
    memtable_clear(&o->frozen);
    if (!memtable_empty(&o->active))
        list_insert(c, o);
}

static void failed(struct checkpoint *c, struct object_state *o, int err)
{
    c->counters.failed++;
    if (o->retry_ns == 0)
        log_warn("checkpoint of object %s: %s; its state stays in the journal and this is tried "
                 "again",
                 o->id, strerror(-err));
    o->retry_ns = c->settling ? UINT64_MAX : clock_mono_ns() + RETRY_MS * NS_PER_MS;
}

static void on_answer(void *arg, int err, size_t index, uint64_t keys)
{
    struct checkpoint *c = arg;
    struct batch *b = &c->batch;
    if (index >= b->count || !b->objects[index])
        bug("checkpoint: an answer to nothing");
    struct object_state *o = b->objects[index];
    b->objects[index] = NULL;
    o->in_flight = false;
    if (err)
        failed(c, o, err);
    else
        succeeded(c, o, keys);
    if (++b->answered < b->count)
        return;
    b->count = 0;
    trim(c);
    arm_tick(c, 0); /* there may be more than one batch's worth */
}

void checkpoint_durable(struct checkpoint *c)
{
    struct batch *b = &c->batch;
    if (b->count == 0 || b->submitted || journal_durable(c->journal) < b->upto_seq)
        return;
    b->submitted = true;
    scribe_checkpoint(c->scribe, b->requests, b->count, on_answer, c);
}

static void run_tick(void *arg)
{
    struct checkpoint *c = arg;
    if (c->batch.count == 0)
        gather(c);
    if (c->batch.count)
        checkpoint_durable(c);
    else if (c->settling)
        loop_stop(c->loop);
    if (c->dirty && !loop_timer_armed(&c->tick))
        arm_tick(c, TICK_MS);
}

void checkpoint_keep_from(struct checkpoint *c, uint64_t seq)
{
    c->keep_from = seq;
}

void checkpoint_wrote(struct checkpoint *c, struct object_state *o)
{
    o->written_ns = loop_now(c->loop);
    if (o->active.count && o->active.first_seq == o->newest)
        o->active_since_ns = o->written_ns;
    if (!o->is_dirty)
        list_insert(c, o);
    if (c->scribe && !loop_timer_armed(&c->tick))
        arm_tick(c, TICK_MS);
}

/* --- at close --- */

static void give_up(void *arg)
{
    struct checkpoint *c = arg;
    log_warn("checkpoint: the scribe takes too long; the rest stays in the journal");
    loop_stop(c->loop);
}

size_t checkpoint_settle(struct checkpoint *c, uint64_t timeout_ns)
{
    if (!c->dirty || !c->scribe || timeout_ns == 0)
        return c->counters.dirty;
    c->settling = true;
    loop_timer_set(c->loop, &c->deadline, timeout_ns, give_up, c);
    arm_tick(c, 0);
    loop_run(c->loop);
    loop_timer_cancel(&c->deadline);
    return c->counters.dirty;
}

void checkpoint_configure(struct checkpoint *c, const struct config *config)
{
    c->idle_ns = config->checkpoint_idle_ns;
    c->max_ns = config->checkpoint_max_ns;
    c->journal_max = config->journal_max;
}

struct checkpoint *checkpoint_new(struct loop *loop, const struct config *config,
                                  struct scribe *scribe, struct journal *journal)
{
    struct checkpoint *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = loop;
    c->scribe = scribe;
    c->journal = journal;
    checkpoint_configure(c, config);
    c->data_dir = strdup(config->data_dir);
    if (!c->data_dir) {
        free(c);
        return NULL;
    }
    return c;
}

void checkpoint_free(struct checkpoint *c)
{
    if (!c)
        return;
    if (c->batch.count && c->batch.submitted)
        scribe_cancel(c->scribe, c);
    loop_timer_cancel(&c->tick);
    loop_timer_cancel(&c->deadline);
    free(c->data_dir);
    free(c);
}
