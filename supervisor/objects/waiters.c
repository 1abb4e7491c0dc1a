// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/waiters.h"

#include <errno.h>
#include <stdlib.h>

struct waiter {
    struct waiter *next;
    void (*fn)(void *arg);
    void *arg;
};

int waiters_add(struct waiter **list, void (*fn)(void *arg), void *arg)
{
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct waiter){*list, fn, arg};
    *list = w;
    return 0;
}

void waiters_run(struct waiter **list)
{
    struct waiter *all = *list, *next;
    *list = 0;
    for (struct waiter *w = all; w; w = next) {
        next = w->next;
        w->fn(w->arg);
        free(w);
    }
}

void waiters_free(struct waiter **list)
{
    while (*list) {
        struct waiter *w = *list;
        *list = w->next;
        free(w);
    }
}
