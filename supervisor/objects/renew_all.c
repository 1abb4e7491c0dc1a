// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/renew_all.h"

#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/objects/renew.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE_MAX = 8 };

struct ticket {
    struct renew_all *all;
    struct object *object;   /* lives as long as the station */
    struct worker_ref owner; /* before */
    char *error;             /* why it has no new one; NULL: it has, or needs none */
};

struct renew_all {
    struct station *station;
    struct ticket *tickets;
    size_t count, cap, next;
    size_t active, at_once;
    size_t renewed, failed;
    bool is_short; /* of memory */
    bool is_stepping;
    void (*done)(void *arg);
    void *arg;
};

struct renew_all *renew_all_new(struct station *station)
{
    struct renew_all *all = calloc(1, sizeof(*all));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!all)
        return NULL;
    all->station = station;
    all->at_once = processors / 2 < 1             ? 1
                   : processors / 2 > AT_ONCE_MAX ? AT_ONCE_MAX
                                                  : (size_t)processors / 2;
    return all;
}

static void forget(struct renew_all *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->tickets[i].error);
    all->count = all->next = all->renewed = all->failed = 0;
    all->is_short = false;
}

void renew_all_free(struct renew_all *all)
{
    if (!all)
        return;
    forget(all);
    free(all->tickets);
    free(all);
}

/* --- which --- */

static void collect(struct object *o, void *arg)
{
    struct renew_all *all = arg;
    if (o->phase == OBJECT_COLD || o->phase == OBJECT_GONE || all->is_short)
        return;
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 64;
        struct ticket *grown = realloc(all->tickets, cap * sizeof(*grown));
        if (!grown) {
            all->is_short = true;
            return;
        }
        all->tickets = grown;
        all->cap = cap;
    }
    all->tickets[all->count++] = (struct ticket){.all = all, .object = o};
}

/* --- one after the other --- */

static void step(struct renew_all *all);

static void settle(struct ticket *t)
{
    struct renew_all *all = t->all;
    const struct object *o = t->object;
    bool has_worker = worker_get(o->station->workers, o->worker) != NULL;
    if (o->station->stopping)
        return; /* what was begun ends with the station */
    if (has_worker && o->worker.generation != t->owner.generation) {
        all->renewed++;
    } else if (has_worker) {
        const char *why = o->load_error ? o->load_error : "no reason known";
        all->failed++;
        t->error = strdup(why);
        log_warn("%s keeps its worker: %s", o->id, why);
    }
}

static void on_renewed(void *arg)
{
    struct ticket *t = arg;
    settle(t);
    t->all->active--;
    step(t->all);
}

static void begin(struct ticket *t)
{
    struct renew_all *all = t->all;
    t->owner = t->object->worker;
    all->active++;
    if (renew_object(t->object, on_renewed, t) == 0)
        return;
    all->active--;
    all->failed++;
    t->error = strdup("no memory");
}

/* Those that are over at once come back here. */
static void step(struct renew_all *all)
{
    if (all->is_stepping)
        return;
    all->is_stepping = true;
    while (all->next < all->count && all->active < all->at_once)
        begin(&all->tickets[all->next++]);
    all->is_stepping = false;
    void (*done)(void *arg) = all->done;
    if (all->active || !done)
        return;
    all->done = NULL;
    done(all->arg);
}

int renew_all_begin(struct renew_all *all, void (*done)(void *arg), void *arg)
{
    forget(all);
    object_each(all->station->objects, collect, all);
    if (all->is_short) {
        forget(all);
        return -ENOMEM;
    }
    all->done = done;
    all->arg = arg;
    step(all);
    return 0;
}

void renew_all_stop(struct renew_all *all)
{
    all->next = all->count;
    all->done = NULL;
}

/* --- how it went --- */

size_t renew_all_renewed(const struct renew_all *all)
{
    return all->renewed;
}

size_t renew_all_failed(const struct renew_all *all)
{
    return all->failed;
}

void renew_all_put_failed(const struct renew_all *all, struct buf *json)
{
    bool first = true;
    buf_putc(json, '[');
    for (size_t i = 0; i < all->count; i++) {
        const struct ticket *t = &all->tickets[i];
        if (!t->error)
            continue;
        buf_puts(json, first ? "{" : ",{");
        first = false;
        json_put_member(json, "object_id", t->object->id);
        json_put_member(json, "error", t->error);
        buf_putc(json, '}');
    }
    buf_putc(json, ']');
}
