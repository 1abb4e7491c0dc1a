// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/object.h"

#include "common/clock.h"
#include "common/venv.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/object_index.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/call.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#define TIDY_NS (1 * NS_PER_S)

enum {
    TIDY_MAX = 1000, /* entries that are freed at a time */
    RARES_OF_SLAB = 512,
};

/* What few objects of a large station ever write to: in pages of its own, which then take no
 * memory. */
struct rare {
    struct outage outage;
    struct probation probation;
    struct rare *next_free;
};

struct rare_slab {
    struct rare_slab *next;
    size_t used;
    struct rare each[RARES_OF_SLAB];
};

struct object_table {
    struct loop *loop;
    struct rare_slab *slabs; /* the first has room, if any has */
    struct rare *free_rares;
    struct object *by_id;
    struct object *first_queued;
    struct object_index order;
    size_t gone_count;
    uint64_t restarts;
    struct object *gone; /* to be looked at: some may be freed */
    struct loop_timer tidy_timer;
};

struct object_table *object_table_new(struct station *station)
{
    struct object_table *table = calloc(1, sizeof(*table));
    if (!table)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the object table");
    table->loop = station->loop;
    return table;
}

/* --- what is rarely written --- */

static struct rare_slab *add_slab(struct object_table *table)
{
    struct rare_slab *slab =
        mmap(NULL, sizeof(*slab), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED)
        return NULL;
    slab->next = table->slabs;
    table->slabs = slab;
    return slab;
}

/* All zero; NULL when memory is short. */
static struct rare *take_rare(struct object_table *table)
{
    struct rare *rare = table->free_rares;
    struct rare_slab *slab = table->slabs;
    if (rare) {
        table->free_rares = rare->next_free;
        *rare = (struct rare){0};
        return rare;
    }
    if (!slab || slab->used == RARES_OF_SLAB)
        slab = add_slab(table);
    return slab ? &slab->each[slab->used++] : NULL;
}

static void free_slabs(struct object_table *table)
{
    while (table->slabs) {
        struct rare_slab *slab = table->slabs;
        table->slabs = slab->next;
        munmap(slab, sizeof(*slab));
    }
}

static bool has_rare(struct object *o)
{
    struct rare *rare = take_rare(o->station->objects);
    if (!rare)
        return false;
    o->outage = &rare->outage;
    o->probation = &rare->probation;
    return true;
}

static void give_rare_back(struct object *o)
{
    struct object_table *table = o->station->objects;
    struct rare *rare = (struct rare *)(void *)o->outage; /* its first member */
    rare->next_free = table->free_rares;
    table->free_rares = rare;
}

/* --- the table --- */

static void free_object(struct object *o)
{
    call_queue_free(&o->queue);
    replicas_free(&o->replicas);
    loop_timer_cancel(&o->retry_timer);
    loop_timer_cancel(&o->removal_timer);
    deploy_free(o);
    probation_free(o);
    loop_timer_cancel(&o->settle_timer);
    waiters_free(&o->waiters);
    waiters_free(&o->renewals);
    imports_drop(o);
    file_checks_drop(&o->file_check);
    loop_timer_cancel(&o->import_timer);
    history_forget(&o->history);
    source_unref(o->accepted);
    source_unref(o->loading);
    free(o->id);
    free(o->file);
    free(o->conflict);
    free(o->load_error);
    free(o->load_traceback);
    free(o->load_crash_id);
    needs_free(o);
    endpoint_free(&o->endpoint);
    endpoint_free(&o->next_endpoint);
    give_rare_back(o);
    free(o);
}

void object_table_free(struct object_table *table)
{
    struct object *o, *next;
    if (!table)
        return;
    loop_timer_cancel(&table->tidy_timer);
    HASH_ITER (hh, table->by_id, o, next) {
        HASH_DEL(table->by_id, o);
        free_object(o);
    }
    object_index_free(&table->order);
    free_slabs(table);
    free(table);
}

struct object *object_find(struct object_table *table, const char *id, size_t len)
{
    struct object *o;
    HASH_FIND(hh, table->by_id, id, len, o);
    return o;
}

static struct object *make_object(struct station *station, const char *id, const char *file)
{
    struct object *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->station = station;
    o->id = strdup(id);
    o->file = strdup(file);
    o->endpoint = endpoint_default(&station->config);
    if (!has_rare(o)) {
        endpoint_free(&o->endpoint);
        free(o->id);
        free(o->file);
        free(o);
        return NULL;
    }
    if (!o->id || !o->file) {
        free_object(o);
        return NULL;
    }
    return o;
}

struct object *object_add(struct station *station, const char *id, const char *file)
{
    struct object_table *table = station->objects;
    struct object *o = object_find(table, id, strlen(id));
    if (o)
        return o;
    o = make_object(station, id, file);
    if (!o)
        return NULL;
    HASH_ADD_KEYPTR(hh, table->by_id, o->id, strlen(o->id), o);
    if (o->hh.tbl && object_index_add(&table->order, o))
        return o;
    if (o->hh.tbl)
        HASH_DEL(table->by_id, o);
    free_object(o);
    return NULL;
}

int object_use(struct object *o)
{
    if (!o->state)
        o->state = store_object(o->station->store, o->id);
    if (!o->log)
        o->log = object_logs_get(o->station->logs, o->id);
    return o->state && o->log ? 0 : -ENOMEM;
}

struct object_index *object_order(struct object_table *table)
{
    return &table->order;
}

void object_each(struct object_table *table, void (*fn)(struct object *o, void *arg), void *arg)
{
    struct object *o, *next;
    HASH_ITER (hh, table->by_id, o, next)
        fn(o, arg);
}

size_t object_count(const struct object_table *table)
{
    return HASH_COUNT(table->by_id) - table->gone_count;
}

void object_count_restart(struct object *o)
{
    o->restarts++;
    o->station->objects->restarts++;
}

uint64_t object_restarts(const struct object_table *table)
{
    return table->restarts;
}

/* --- those that have gone --- */

/* Nothing was ever asked of it: nobody can refer to it. */
static bool is_forgettable(const struct object *o)
{
    return o->phase == OBJECT_GONE && !o->state && !o->log && !o->deploy && !o->orders &&
           !o->waiters && !o->renewals && !o->imports && !o->files && !o->needs &&
           !o->waits_for_slot && !o->in_queued && !o->conflict;
}

/* Places hold as long as nothing is taken out, so first all of them are found. */
static void free_all(struct object_table *table, struct object **dead, size_t count)
{
    size_t places[TIDY_MAX];
    for (size_t i = 0; i < count; i++)
        places[i] = object_index_find(&table->order, dead[i]->id);
    object_index_remove(&table->order, places, count);
    for (size_t i = 0; i < count; i++) {
        HASH_DEL(table->by_id, dead[i]);
        free_object(dead[i]);
    }
    table->gone_count -= count;
}

static void on_tidy(void *arg)
{
    struct object_table *table = arg;
    struct object *dead[TIDY_MAX], *o;
    size_t count = 0;
    while (count < TIDY_MAX && (o = table->gone)) {
        table->gone = o->next_gone;
        o->in_gone = false;
        if (is_forgettable(o))
            dead[count++] = o;
    }
    free_all(table, dead, count);
    if (table->gone)
        loop_timer_set(table->loop, &table->tidy_timer, TIDY_NS / 100, on_tidy, table);
}

void object_set_phase(struct object *o, enum object_phase phase)
{
    struct object_table *table = o->station->objects;
    bool was_gone = o->phase == OBJECT_GONE, is_gone = phase == OBJECT_GONE;
    o->phase = phase;
    table->gone_count += is_gone;
    table->gone_count -= was_gone;
    if (!is_gone || was_gone || o->in_gone)
        return;
    o->in_gone = true;
    o->next_gone = table->gone;
    table->gone = o;
    if (!loop_timer_armed(&table->tidy_timer))
        loop_timer_set(table->loop, &table->tidy_timer, TIDY_NS, on_tidy, table);
}

void object_note(struct object *o, const char *level, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&text, format, ap);
    va_end(ap);
    if (buf_ok(&text) && object_use(o) == 0)
        object_log_write(o->log, span_of(level), clock_wall_us(),
                         (struct span){text.data, text.len}, (struct span){"", 0}, o->version,
                         (struct span){"", 0});
    buf_free(&text);
}

struct object *object_first_queued(const struct object_table *table)
{
    return table->first_queued;
}

void object_mark_queued(struct object_table *table, struct object *o, bool queued)
{
    if (queued == o->in_queued)
        return;
    o->in_queued = queued;
    if (queued) {
        o->prev_queued = NULL;
        o->next_queued = table->first_queued;
        if (o->next_queued)
            o->next_queued->prev_queued = o;
        table->first_queued = o;
        return;
    }
    if (o->prev_queued)
        o->prev_queued->next_queued = o->next_queued;
    else
        table->first_queued = o->next_queued;
    if (o->next_queued)
        o->next_queued->prev_queued = o->prev_queued;
    o->next_queued = o->prev_queued = NULL;
}

bool object_id_valid(const char *id, size_t len)
{
    if (len == 0 || len > OBJECT_ID_MAX || id[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)id[i];
        if (!isascii(c) || !(isalnum(c) || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

static bool part_is_hidden(const char *path, size_t at)
{
    bool is_start = at == 0 || path[at - 1] == '/';
    return is_start && (path[at] == '_' || path[at] == '.');
}

bool object_id_of_path(const char *path, char *id)
{
    size_t len = strlen(path);
    if (len <= 3 || strcmp(path + len - 3, ".py") != 0 || venv_holds(path))
        return false;
    len -= 3;
    if (len > OBJECT_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (part_is_hidden(path, i))
            return false;
        id[i] = path[i] == '/' ? '_' : path[i];
    }
    id[len] = '\0';
    return object_id_valid(id, len);
}
