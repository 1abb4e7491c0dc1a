// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint - what an object declares in __endpoint__, checked. Pure.
 */
#ifndef SUPERVISOR_OBJECTS_ENDPOINT_H
#define SUPERVISOR_OBJECTS_ENDPOINT_H

#include "common/codec.h"
#include "supervisor/config.h"

struct endpoint {
    char *metadata; /* JSON text of READY: {"endpoint":{…},"methods":[…]}; NULL: never loaded */
    uint64_t timeout_ns; /* of a turn */
    uint64_t idle_timeout_ns;
    bool raw_query; /* no query parameter is reserved */
};

/* What holds for an object that was never loaded. */
struct endpoint endpoint_default(const struct config *config);
/* False and a message for people when a value is of the wrong type; *e is as it was then. */
bool endpoint_parse(struct endpoint *e, const struct config *config, struct span metadata,
                    char *problem, size_t problem_size);
void endpoint_free(struct endpoint *e);

#endif
