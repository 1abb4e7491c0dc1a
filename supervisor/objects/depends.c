// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/depends.h"

#include "common/seeded_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CYCLE_SHOWN = 16 /* objects of a circle that are named */ };

/* --- lists --- */

/* What is allocated for so many bytes: the order of a long chain is not copied for each of its ids.
 */
static size_t room_for(size_t bytes)
{
    size_t room = 16;
    while (room < bytes)
        room *= 2;
    return room;
}

static int make_room(struct depends *list, size_t more)
{
    size_t room = room_for(list->bytes + more);
    if (list->ids && room == room_for(list->bytes + 1))
        return 0;
    char *ids = realloc(list->ids, room);
    if (!ids)
        return -ENOMEM;
    list->ids = ids;
    return 0;
}

int depends_add(struct depends *list, const char *id)
{
    size_t len = strlen(id) + 1;
    int err = make_room(list, len + 1);
    if (err)
        return err;
    memcpy(list->ids + list->bytes, id, len);
    list->bytes += len;
    list->ids[list->bytes] = '\0'; /* an empty id ends the list */
    list->count++;
    return 0;
}

bool depends_has(const struct depends *list, const char *id)
{
    for (const char *i = depends_next(list, NULL); i; i = depends_next(list, i))
        if (strcmp(i, id) == 0)
            return true;
    return false;
}

const char *depends_next(const struct depends *list, const char *id)
{
    const char *next = id ? id + strlen(id) + 1 : list->ids;
    return next && *next ? next : NULL;
}

void depends_free(struct depends *list)
{
    free(list->ids);
    *list = (struct depends){0};
}

/* --- order --- */

/* An object that was met. A stack of its own: a chain of them may be as long as there are objects.
 */
struct visit {
    const char *id;
    const struct depends *list;
    const char *at; /* of the list: the one that was looked at last */
    bool is_open;   /* something that it depends on is being looked at */
    struct visit *below, *above;
    UT_hash_handle hh;
};

struct walk {
    depends_of_fn of;
    void *arg;
    struct visit *all, *top;
};

static struct visit *find(const struct walk *w, const char *id)
{
    struct visit *v;
    HASH_FIND_STR(w->all, id, v);
    return v;
}

static int enter(struct walk *w, const char *id)
{
    static const struct depends none;
    struct visit *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->id = id;
    v->list = w->of(w->arg, id);
    if (!v->list)
        v->list = &none;
    v->is_open = true;
    HASH_ADD_KEYPTR(hh, w->all, v->id, strlen(v->id), v);
    if (!v->hh.tbl) {
        free(v);
        return -ENOMEM;
    }
    v->below = w->top;
    if (w->top)
        w->top->above = v;
    w->top = v;
    return 0;
}

static int leave(struct walk *w, struct depends *order)
{
    struct visit *v = w->top;
    v->is_open = false;
    w->top = v->below;
    if (w->top)
        w->top->above = NULL;
    return depends_add(order, v->id);
}

/* From `first` up to the top of the stack, and `first` again. */
static void put_cycle(const struct visit *first, struct buf *cycle)
{
    size_t count = 0;
    for (const struct visit *v = first; v && count < CYCLE_SHOWN; v = v->above, count++)
        buf_printf(cycle, "%s -> ", v->id);
    buf_printf(cycle, "%s%s", count == CYCLE_SHOWN ? "… -> " : "", first->id);
}

static int step(struct walk *w, struct depends *order, struct buf *cycle)
{
    struct visit *v = w->top;
    v->at = depends_next(v->list, v->at);
    if (!v->at)
        return leave(w, order);
    const struct visit *met = find(w, v->at);
    if (!met)
        return enter(w, v->at);
    if (!met->is_open)
        return 0;
    put_cycle(met, cycle);
    return -ELOOP;
}

int depends_order(const char *id, depends_of_fn of, void *arg, struct depends *order,
                  struct buf *cycle)
{
    struct walk w = {.of = of, .arg = arg};
    struct visit *v, *next;
    int err = enter(&w, id);
    while (!err && w.top)
        err = step(&w, order, cycle);
    HASH_ITER (hh, w.all, v, next) {
        HASH_DEL(w.all, v);
        free(v);
    }
    return err;
}
