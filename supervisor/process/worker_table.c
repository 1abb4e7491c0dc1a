// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/shared_page.h"
#include "supervisor/process/worker_output.h"
#include "supervisor/process/worker_private.h"
#include "supervisor/station.h"
#include "supervisor/turn/call.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>

/* --- output to workers, gathered in a round --- */

void worker_touch(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    if (w->is_dirty || !w->channel_source)
        return;
    w->is_dirty = true;
    w->next_dirty = table->dirty;
    table->dirty = w;
}

static void on_answers_room(void *arg, uint32_t events)
{
    struct worker *w = arg;
    (void)events;
    loop_unwatch(w->answers_source);
    w->answers_source = NULL;
    worker_touch(w);
}

/* The turn that waits reads; one that does not is ended by its deadline. */
static int flush_answers(struct worker *w)
{
    if (!channel_has_output(&w->answers) || w->answers_source)
        return 0;
    int err = channel_flush(&w->answers);
    if (!err)
        w->answers_queued = 0;
    if (err != -EAGAIN)
        return err;
    w->answers_source = loop_watch(w->station->loop, w->answers.fd, EPOLLOUT, on_answers_room, w);
    return w->answers_source ? 0 : -errno;
}

static void flush_worker(struct worker *w)
{
    int err = flush_answers(w);
    if (!err)
        err = channel_flush(&w->channel);
    if (err && err != -EAGAIN) {
        worker_lose_channel(w);
        return;
    }
    loop_rewatch(w->channel_source, err ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void flush_dirty(void *arg)
{
    struct worker_table *table = arg;
    while (table->dirty) {
        struct worker *w = table->dirty;
        table->dirty = w->next_dirty;
        w->is_dirty = false;
        if (w->channel_source)
            flush_worker(w);
    }
}

static void forget_dirty(struct worker *w)
{
    struct worker **link = &w->station->workers->dirty;
    while (*link && *link != w)
        link = &(*link)->next_dirty;
    if (*link)
        *link = w->next_dirty;
    w->is_dirty = false;
}

/* --- the table --- */

struct worker_table *worker_table_new(struct station *station, const struct worker_hooks *hooks)
{
    struct worker_table *table = calloc(1, sizeof(*table));
    if (!table)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the worker table");
    table->station = station;
    table->hooks = *hooks;
    loop_set_hook(station->loop, LOOP_RANK_WORKERS, flush_dirty, table);
    return table;
}

void worker_table_free(struct worker_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            worker_slot_free(table->slots[i]);
    free(table->slots);
    free(table);
}

struct worker *worker_get(struct worker_table *table, struct worker_ref ref)
{
    if (!worker_ref_set(ref) || ref.slot >= table->slot_count)
        return NULL;
    struct worker *w = table->slots[ref.slot];
    return w && w->ref.generation == ref.generation ? w : NULL;
}

size_t worker_count(const struct worker_table *table)
{
    return table->forked;
}

struct worker *worker_first_busy(const struct worker_table *table)
{
    return table->first_busy;
}

void worker_each(struct worker_table *table, void (*fn)(struct worker *w, void *arg), void *arg)
{
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            fn(table->slots[i], arg);
}

static struct worker **bucket_of(struct worker_table *table, pid_t pid)
{
    return &table->by_pid[(unsigned)pid % WORKER_PID_BUCKETS];
}

struct worker *worker_by_pid(struct worker_table *table, pid_t pid)
{
    struct worker *w = *bucket_of(table, pid);
    while (w && w->pid != pid)
        w = w->next_of_pid;
    return w;
}

void worker_set_pid(struct worker *w, pid_t pid)
{
    struct worker **bucket = bucket_of(w->station->workers, pid);
    w->pid = pid;
    w->next_of_pid = *bucket;
    *bucket = w;
    w->station->workers->forked++;
}

static void forget_pid(struct worker *w)
{
    if (w->pid == 0)
        return;
    struct worker_table *table = w->station->workers;
    struct worker **link = bucket_of(table, w->pid);
    while (*link != w)
        link = &(*link)->next_of_pid;
    *link = w->next_of_pid;
    table->forked--;
}

void worker_set_busy(struct worker *w, bool busy)
{
    struct worker_table *table = w->station->workers;
    bool listed = w->prev_busy || w->next_busy || table->first_busy == w;
    if (busy == listed)
        return;
    if (busy) {
        w->next_busy = table->first_busy;
        if (table->first_busy)
            table->first_busy->prev_busy = w;
        table->first_busy = w;
        return;
    }
    if (w->prev_busy)
        w->prev_busy->next_busy = w->next_busy;
    else
        table->first_busy = w->next_busy;
    if (w->next_busy)
        w->next_busy->prev_busy = w->prev_busy;
    w->next_busy = w->prev_busy = NULL;
}

struct worker *worker_slot_take(struct worker_table *table)
{
    size_t slot = 0;
    while (slot < table->slot_count && table->slots[slot])
        slot++;
    if (slot == table->slot_count) {
        size_t count = table->slot_count ? table->slot_count * 2 : 64;
        struct worker **grown = realloc(table->slots, count * sizeof(*grown));
        if (!grown)
            return NULL;
        memset(grown + table->slot_count, 0, (count - table->slot_count) * sizeof(*grown));
        table->slots = grown;
        table->slot_count = count;
    }
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    table->slots[slot] = w;
    w->station = table->station;
    w->ref = (struct worker_ref){(uint32_t)slot, ++table->last_generation};
    w->channel.fd = w->answers.fd = w->output_fd[0] = w->output_fd[1] = -1;
    cpu_time_init(&w->family.cpu);
    throttle_init(&w->family.throttle);
    memory_kills_init(&w->family.kills);
    w->born_ns = clock_mono_ns();
    w->concurrent = 1;
    return w;
}

void worker_slot_free(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    worker_set_busy(w, false);
    call_list_free(&w->inflight);
    call_list_free(&w->streams);
    forget_dirty(w);
    forget_pid(w);
    loop_timer_cancel(&w->timer);
    cpu_time_end(&w->family.cpu);
    throttle_end(w);
    memory_kills_end(w);
    loop_unwatch(w->channel_source);
    loop_unwatch(w->answers_source);
    worker_output_close(w);
    output_tail_free(&w->stderr_tail);
    channel_free(&w->channel);
    channel_free(&w->answers);
    if (w->page)
        munmap(w->page, sizeof(*w->page));
    table->slots[w->ref.slot] = NULL;
    free(w);
}
