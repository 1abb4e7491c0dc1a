// SPDX-License-Identifier: Apache-2.0
/*
 * py_stream - the generators of streamed replies, by call id.
 *
 * A generator runs outside its turn: it may read the state, a write raises. A chunk is bytes or
 * str; any other value goes out as a line of JSON. Main thread, with the GIL.
 */
#ifndef WORKER_PY_STREAM_H
#define WORKER_PY_STREAM_H

#include "common/codec.h"

struct _object; /* PyObject */

enum stream_step_kind {
    STREAM_STEP_CHUNK,
    STREAM_STEP_END,
    STREAM_STEP_LATER, /* it awaits beside other turns: turn_step() follows */
};

struct stream_step {
    enum stream_step_kind kind;
    struct span bytes; /* a chunk (never empty), or the error of a stream that failed */
    struct _object *owner;
};

/* Is this value streamed when a handler returns it? */
bool py_stream_accepts(struct _object *value);
/*
 * Remembers the generator of a reply (takes references): 0, or -1 with an exception. timeout_ns: of
 * each step beside other turns; 0: none.
 */
int py_stream_open(uint64_t id, struct _object *generator, struct _object *request,
                   uint64_t timeout_ns);
/*
 * Runs it to its end, for an object that calls, which gets no chunks: appends them to `out`. 0, or
 * -1 with what it raised, -EFBIG above `limit` bytes (it is closed then).
 */
int py_stream_collect(struct _object *generator, uint64_t limit, struct buf *out);
/* Closes a generator that will not be read. */
void py_stream_drop(struct _object *generator);
/* Runs the generator up to its next chunk. An unknown id ends at once. */
void py_stream_pull(uint64_t id, struct stream_step *step);
void py_stream_release(struct stream_step *step);
/* Closes the generator; unknown ids are ignored (the stream ended meanwhile). */
void py_stream_cancel(uint64_t id);

#endif
