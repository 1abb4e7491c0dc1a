// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/load_error.h"

#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/station.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void load_error_keep(struct object *o, uint32_t line, struct span traceback, const char *text)
{
    load_error_forget(o);
    o->load_error = strdup(text);
    o->load_traceback = traceback.len ? span_dup(traceback) : NULL;
    o->load_line = line;
}

void load_error_note(struct object *o, uint32_t line, struct span traceback, const char *format,
                     ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&text, format, ap);
    va_end(ap);
    load_error_keep(o, line, traceback, buf_str(&text));
    buf_free(&text);
    char where[32] = "";
    if (line)
        snprintf(where, sizeof(where), " at line %u", line);
    const char *why = o->load_error ? o->load_error : "?";
    object_note(o, "ERROR", "%s does not load%s: %s", o->file, where, why);
    log_warn("%s does not load%s: %s", o->file, where, why);
}

void load_error_crash(struct object *o, const char *crash_id)
{
    free(o->load_crash_id);
    o->load_crash_id = strdup(crash_id);
}

void load_error_put(struct buf *json, const struct object *o, uint32_t line, const char *crash_id,
                    struct span traceback)
{
    json_put_member(json, "object_id", o->id);
    if (line)
        json_put_number(json, "line", line);
    if (crash_id)
        json_put_member(json, "crash_id", crash_id);
    if (!traceback.len || !o->station->config.expose_tracebacks)
        return;
    json_put_key(json, "traceback");
    json_put_string(json, traceback.data, traceback.len);
}

void load_error_forget(struct object *o)
{
    free(o->load_error);
    free(o->load_traceback);
    free(o->load_crash_id);
    o->load_error = o->load_traceback = o->load_crash_id = NULL;
    o->load_line = 0;
}
