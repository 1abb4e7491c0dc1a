// SPDX-License-Identifier: Apache-2.0
/*
 * load_error - why the newest source of an object does not serve: kept for its callers, its
 * metadata and whoever sent the source.
 */
#ifndef SUPERVISOR_OBJECTS_LOAD_ERROR_H
#define SUPERVISOR_OBJECTS_LOAD_ERROR_H

#include "supervisor/objects/object.h"

/* Keeps and logs why the newest source does not load; line 0: unknown. */
#define LOAD_ERROR_NO_TRACEBACK ((struct span){"", 0})
void load_error_note(struct object *o, uint32_t line, struct span traceback, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
/* The same without a word about it in any log. */
void load_error_keep(struct object *o, uint32_t line, struct span traceback, const char *text);
/* The worker that tried what is kept left a report. */
void load_error_crash(struct object *o, const char *crash_id);
void load_error_forget(struct object *o);
/*
 * Members of an answer that says so: "object_id", "line" (0: none), "crash_id" (NULL: none), and
 * "traceback" where there is one and http.expose_tracebacks lets it be shown.
 */
void load_error_put(struct buf *json, const struct object *o, uint32_t line, const char *crash_id,
                    struct span traceback);

#endif
