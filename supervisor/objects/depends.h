// SPDX-License-Identifier: Apache-2.0
/*
 * depends - which objects an object declares to depend on, and the order in which such objects are
 * started. Pure.
 */
#ifndef SUPERVISOR_OBJECTS_DEPENDS_H
#define SUPERVISOR_OBJECTS_DEPENDS_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Object ids. */
struct depends {
    char *ids; /* each with its NUL; owned; NULL: none */
    size_t bytes, count;
};

/* 0 or -ENOMEM. */
int depends_add(struct depends *list, const char *id);
bool depends_has(const struct depends *list, const char *id);
/* The id behind this one; NULL: the first. NULL after the last. */
const char *depends_next(const struct depends *list, const char *id);
void depends_free(struct depends *list);

/* What an object depends on; NULL when there is no such object, or nothing is known about it. */
typedef const struct depends *(*depends_of_fn)(void *arg, const char *id);

/*
 * Everything that `id` depends on, also through others, into `order`: each behind what it depends
 * on itself, `id` last; what does not exist is in it too. 0; -ELOOP with "a -> b -> a" in `cycle`;
 * -ENOMEM.
 */
int depends_order(const char *id, depends_of_fn of, void *arg, struct depends *order,
                  struct buf *cycle);

#endif
