// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/no_worker.h"

#include "supervisor/http/exchange.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/slots.h"

#include <stdio.h>

bool no_worker_answer(struct exchange *x, const struct object *o)
{
    const char *limit = slots_limit(o);
    char extra[64], problem[SLOTS_PROBLEM_SIZE];
    if (!limit)
        return false;
    snprintf(extra, sizeof(extra), "\"limit\":\"%s\"", limit);
    slots_problem(o, problem);
    exchange_error(x, 503, extra, "%s cannot be started now: %s", o->id, problem);
    return true;
}
