// SPDX-License-Identifier: Apache-2.0
/*
 * log_params - the parameters of ?logs=true, each checked: a wrong one has an error of its own.
 *
 * Known are level, limit, offset, since, until and follow; every other one is a field that must be
 * equal. One that is empty counts as not given, but for fields. Pure.
 */
#ifndef SUPERVISOR_REST_LOG_PARAMS_H
#define SUPERVISOR_REST_LOG_PARAMS_H

#include "common/codec.h"
#include "supervisor/config.h"

enum { LOG_PARAMS_LIMIT_DEFAULT = 100, LOG_PARAMS_FIELDS_MAX = 16 };

struct log_params {
    bool follow;
    uint32_t levels; /* set of log_level.h; 0: any */
    uint64_t limit;
    uint64_t offset;
    uint64_t since_us, until_us; /* 0: none */
    uint32_t field_count;
    struct buf fields; /* encoded rpc_field */

    unsigned given;         /* which of the known ones, for those that come twice */
    char problem[256];      /* of a query that is refused */
    const char *limit_name; /* the setting that refused it, or NULL */
};

/* False: see problem. log_params_free() in any case. */
bool log_params_parse(struct log_params *p, struct span raw_query, const struct config *config);
void log_params_free(struct log_params *p);

#endif
