// SPDX-License-Identifier: Apache-2.0
/*
 * Objects that may declare schedules and have not been loaded since their file changed: nobody
 * calls a function that is to run by itself, so they are started once for what they declare. A file
 * that does not contain the word is left alone, and so is one that is no newer than the object's
 * history.
 */
#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/slots.h"
#include "supervisor/objects/source.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/station.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_after(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* A version is written after its file: what is older has been loaded. A time to come is that of a
 * clock that was set back since, and says nothing. */
static bool is_known(const struct object *o)
{
    const struct config *c = &o->station->config;
    char path[PATH_MAX];
    struct stat file, history;
    snprintf(path, sizeof(path), "%s/versions/%s/metadata.tsv", c->data_dir, o->id);
    if (stat(path, &history) < 0)
        return false;
    snprintf(path, sizeof(path), "%s/%s", c->objects_dir, o->file);
    return stat(path, &file) == 0 && is_after(history.st_mtim, file.st_ctim) &&
           history.st_mtim.tv_sec * (int64_t)US_PER_S <= schedules_now_us();
}

static bool names_schedules(const struct object *o)
{
    static const char word[] = "schedule";
    const struct config *c = &o->station->config;
    int err;
    struct source *s = source_read(c->objects_dir, o->file, c->source_max, &err);
    bool found = s && memmem(s->text, s->len, word, sizeof(word) - 1);
    source_unref(s);
    return found;
}

/*
 * Somebody has to wait for it: an object that nobody wants gets no slot when there is one. While
 * there is none it waits on, and is seen to (slots.h).
 */
static void wait_for_start(struct object *o);

static void on_started(void *arg)
{
    struct object *o = arg;
    if (slots_limit(o))
        wait_for_start(o);
}

static void wait_for_start(struct object *o)
{
    int err = lifecycle_when_started(o, on_started, o);
    if (err)
        log_warn("object %s is not started for its schedules: %s", o->id, strerror(-err));
}

static void look(void *arg)
{
    struct object *o = arg;
    bool may_wait = o->phase == OBJECT_COLD && !o->station->stopping;
    if (may_wait && !is_known(o) && names_schedules(o))
        wait_for_start(o);
}

void schedules_look_into(struct object *o)
{
    file_checks_ask(o->station->file_checks, &o->file_check, look, o);
}
