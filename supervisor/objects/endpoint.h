// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint - what an object declares in __endpoint__, checked. Pure.
 *
 * Every key that the station understands is a row of a table in endpoint.c; others are kept in the
 * metadata and shown, nothing more.
 */
#ifndef SUPERVISOR_OBJECTS_ENDPOINT_H
#define SUPERVISOR_OBJECTS_ENDPOINT_H

#include "common/codec.h"
#include "supervisor/config.h"
#include "supervisor/objects/depends.h"

enum { ENDPOINT_PROBLEM_SIZE = 512 /* holds every message of endpoint_parse */ };

/* Of each worker; 0: no limit of its own. */
struct endpoint_limits {
    uint32_t memory_mb;
    uint32_t cpu_seconds;
    uint32_t open_files;
    uint32_t processes;
};

struct endpoint {
    char *metadata; /* JSON text of READY: {"endpoint":{…},"methods":[…]}; NULL: never loaded */
    uint64_t timeout_ns; /* of a turn */
    uint64_t idle_timeout_ns;
    bool raw_query;      /* no query parameter is reserved */
    bool auto_rollback;  /* a new version that fails is rolled back by itself */
    bool uploads;        /* the object handles multipart bodies itself */
    bool stateless;      /* no turn writes state */
    uint32_t workers;    /* processes that run its turns; 1 unless stateless or with readonly */
    uint32_t concurrent; /* turns at once in one of them; 1 unless stateless */
    uint32_t readonly;   /* methods whose turns write no state: method_bit() of endpoint.c */
    struct endpoint_limits limits;
    struct depends depends; /* objects that are up before it takes turns */
};

/* What holds for an object that was never loaded. */
struct endpoint endpoint_default(const struct config *config);
/*
 * False and a message for people (the key, what was found, what is allowed) when a value is of the
 * wrong type, out of range or contradicts another; *e is as it was then.
 */
bool endpoint_parse(struct endpoint *e, const struct config *config, struct span metadata,
                    char *problem, size_t problem_size);
void endpoint_free(struct endpoint *e);

/* Does a turn of this method write no state? */
bool endpoint_is_readonly(const struct endpoint *e, struct span method);

#endif
