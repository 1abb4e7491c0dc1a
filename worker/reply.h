// SPDX-License-Identifier: Apache-2.0
/*
 * reply - what one turn answers and changes, on its way into a TURN_DONE.
 *
 * One struct serves all turns of a worker: reply_clear() keeps the buffers.
 */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "common/rpc.h"

struct reply {
    uint32_t status; /* 200..599 */
    enum rpc_outcome outcome;
    bool is_stream;
    struct span content_type; /* borrowed from a constant or from `owned_type` */
    struct span body;         /* borrowed from body_owner or from `text` */
    uint32_t field_count;
    struct buf fields; /* encoded rpc_field */
    uint32_t write_count;
    struct buf writes; /* encoded rpc_write */
    uint32_t file_count;
    struct buf files; /* encoded rpc_file */
    uint32_t schedule_count;
    struct buf schedules; /* encoded rpc_schedule */
    struct buf text, owned_type;
    struct _object *body_owner; /* a Python object, released with py_turn_release */
};

/* For another turn; body_owner must be released before. */
void reply_clear(struct reply *r);
void reply_add_field(struct reply *r, struct span name, struct span value);
/* {"status":"error","error":message} with the status; replaces body and fields. */
void reply_error(struct reply *r, uint32_t status, enum rpc_outcome outcome, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/* After reply_error: names the limit that was met, as a member "limit". */
void reply_name_limit(struct reply *r, const char *limit);
/* Makes `text` the body. */
void reply_use_text(struct reply *r, const char *content_type);

#endif
