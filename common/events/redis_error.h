// SPDX-License-Identifier: Apache-2.0
/*
 * redis_error - what an error that Redis answers means for us. Pure.
 */
#ifndef COMMON_EVENTS_REDIS_ERROR_H
#define COMMON_EVENTS_REDIS_ERROR_H

#include "common/codec.h"

enum redis_error {
    REDIS_ERROR_NONE,
    REDIS_ERROR_LATER,    /* loading, read-only, busy: nothing was done, it may work in a moment */
    REDIS_ERROR_FULL,     /* maxmemory: nothing was done */
    REDIS_ERROR_DENIED,   /* password, rights */
    REDIS_ERROR_NO_GROUP, /* the group, or its stream, is gone */
    REDIS_ERROR_ABORTED,  /* a transaction in which nothing was done; an earlier answer says why */
    REDIS_ERROR_OTHER
};

enum redis_error redis_error_of(struct span text);
/* The errno of backend.h. */
int redis_error_number(enum redis_error error);

#endif
