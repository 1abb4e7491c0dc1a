// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/early.h"

#include <stdlib.h>

static struct exchange **held;
static size_t count, cap;

static bool grow(void)
{
    size_t more = cap ? cap * 2 : 64;
    struct exchange **grown = realloc(held, more * sizeof(struct exchange *));
    if (!grown)
        return false;
    held = grown;
    cap = more;
    return true;
}

void early_hold(struct exchange *x)
{
    if (count < cap || grow())
        held[count++] = x;
    else
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
}

void early_release(void (*fn)(struct exchange *x, void *arg), void *arg)
{
    for (size_t i = 0; i < count; i++)
        fn(held[i], arg);
    free(held);
    held = NULL;
    count = cap = 0;
}
