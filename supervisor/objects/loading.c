// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/loading.h"

#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/files/file_changes.h"
#include "supervisor/files/files.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- LOAD --- */

int loading_state(struct object *o, struct buf *writes, struct rpc_state *state, int *fd)
{
    *state = (struct rpc_state){0};
    int err = store_snapshot(o->station->store, o->state, fd, writes, &state->write_count);
    if (err)
        return err;
    size_t writes_len = writes->len;
    err = file_changes_pending(o, writes, &state->files);
    if (err) {
        if (*fd >= 0)
            close(*fd);
        return err;
    }
    state->has_checkpoint = *fd >= 0;
    state->writes = (struct span){writes->data ? writes->data : "", writes_len};
    return 0;
}

static void put_flag(struct buf *out, const char *name, bool value)
{
    json_put_key(out, name);
    buf_puts(out, value ? "true" : "false");
}

static void put_settings(struct buf *out, const struct worker *w)
{
    const struct station *station = w->station;
    const struct config *c = &station->config;
    char owner[FILES_TOKEN_SIZE];
    buf_putc(out, '{');
    json_put_member(out, "objects_dir", c->objects_dir);
    json_put_member(out, "station_id", c->station_id);
    json_put_number(out, "boot", station->boot);
    put_flag(out, "expose_tracebacks", c->expose_tracebacks);
    json_put_number(out, "timeout_grace_ns", c->timeout_grace_ns);
    put_flag(out, "replica", w->is_replica);
    json_put_number(out, "turn_writes_max", c->turn_writes_max);
    files_worker_owner(w, owner);
    json_put_member(out, "data_dir", c->data_dir);
    json_put_member(out, "files_owner", owner);
    json_put_number(out, "files_bytes_max", c->files_bytes_max);
    json_put_number(out, "files_count_max", c->files_count_max);
    json_put_number(out, "body_max", c->body_max);
    json_put_number(out, "schedule_payload_max", c->schedule_payload_max);
    json_put_key(out, "scheduled");
    schedules_put_functions(w->object, out);
    buf_putc(out, '}');
}

static int encode_load(struct worker *w, struct buf *settings, struct buf *writes)
{
    struct object *o = w->object;
    struct station *station = w->station;
    struct buf path = BUF_INIT;
    const struct source *source = w->is_replica || w->is_test ? o->accepted : o->loading;
    struct rpc_load m = {.object_id = span_of(o->id), .source = {source->text, source->len}};
    int fd, err = loading_state(o, writes, &m.state, &fd);
    if (err)
        return err;
    w->source_hash = source->hash;
    w->version = source == o->accepted ? o->version : o->loading_version;
    buf_printf(&path, "%s/%s", station->config.objects_dir, o->file);
    put_settings(settings, w);
    m.path = (struct span){path.data, path.len};
    m.settings = (struct span){settings->data, settings->len};
    size_t frame = channel_begin(&w->channel, RPC_LOAD, 0);
    if (buf_ok(&path) && buf_ok(settings))
        rpc_load_encode(&w->channel.out, &m);
    else
        w->channel.out.failed = true;
    err = channel_end(&w->channel, frame, &fd, fd >= 0 ? 1 : 0);
    buf_free(&path);
    return err;
}

static int fill_load(struct worker *w)
{
    struct buf settings = BUF_INIT, writes = BUF_INIT;
    int err = encode_load(w, &settings, &writes);
    buf_free(&settings);
    buf_free(&writes);
    if (!w->is_replica && !w->is_test)
        w->object->candidate_seq = store_newest(w->object->state);
    return err;
}

int loading_fill_test(struct worker *w)
{
    w->is_test = true;
    return fill_load(w);
}

/* --- which source --- */

static void note_unreadable(struct object *o, int err)
{
    if (err == -ENOENT || err == -ENOTDIR) /* the object is about to go */
        load_error_keep(o, 0, LOAD_ERROR_NO_TRACEBACK, "its file is gone");
    else if (err == -EFBIG)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "it is above limits.source_max (%llu bytes)",
                        (unsigned long long)o->station->config.source_max);
    else if (err == -EXDEV)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                        "it is a link, and only relative ones are followed, to files of the "
                        "objects folder");
    else
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "cannot be read: %s", strerror(-err));
}

static int fall_back(struct object *o)
{
    struct history *h = &o->history;
    int err = 0;
    if (o->accepted && sha256_equal(o->accepted->hash, h->accepted_hash))
        o->loading = source_ref(o->accepted);
    else
        o->loading = history_source(h, o->station->config.data_dir, o->id, &err);
    if (!o->loading) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "version %llu %s%s",
                        (unsigned long long)h->accepted,
                        err == -EBADMSG ? "is damaged on the disk" : "cannot be read: ",
                        err == -EBADMSG ? "" : strerror(-err));
        return err;
    }
    o->loading_version = h->accepted;
    o->loading_is_fallback = true;
    if (!o->load_error && h->reason) { /* not said since the station started */
        o->load_error = strdup(h->reason);
        object_note(o, "ERROR", "%s does not load: %s; version %llu serves", o->file, h->reason,
                    (unsigned long long)h->accepted);
        log_warn("%s does not load: %s; version %llu serves", o->file, h->reason,
                 (unsigned long long)h->accepted);
    }
    if (h->has_ban)
        object_note(o, "WARNING", "%s was rolled back; version %llu serves", o->file,
                    (unsigned long long)h->accepted);
    return 0;
}

static int take_file(struct object *o, struct source *s)
{
    const struct history *h = &o->history;
    o->loading = source_ref(s);
    if (h->accepted && sha256_equal(s->hash, h->accepted_hash)) {
        o->loading_version = h->accepted;
        return 0;
    }
    return deploy_file(o, s);
}

static int choose_from(struct object *o, struct source *s)
{
    const struct history *h = &o->history;
    enum object_reload reload = o->reload;
    bool is_accepted = s && h->accepted && sha256_equal(s->hash, h->accepted_hash);
    bool is_rejected = s && reload != OBJECT_RELOAD_FILE && history_rejects(h, s->hash);
    bool is_bad = !s || o->store_failed || is_rejected;
    bool may_fall_back = o->phase == OBJECT_STARTING || reload == OBJECT_RELOAD_ACCEPTED;
    o->reload = OBJECT_RELOAD_NONE;
    o->loading_is_retry = reload == OBJECT_RELOAD_FILE && !is_accepted;
    if (is_bad && !is_accepted && h->accepted && may_fall_back)
        return fall_back(o);
    return s ? take_file(o, s) : -ENOENT;
}

static int choose(struct object *o)
{
    const struct config *c = &o->station->config;
    if (deploy_source(o)) {
        o->loading = source_ref(deploy_source(o));
        return 0;
    }
    int err = history_know(&o->history, c->data_dir, o->id);
    if (err) {
        o->reload = OBJECT_RELOAD_NONE;
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "its versions cannot be read: %s",
                        strerror(-err));
        return err;
    }
    o->file_changed = false;
    struct source *s = source_read(c->objects_dir, o->file, c->source_max, &err);
    if (!s)
        note_unreadable(o, err);
    err = choose_from(o, s);
    source_unref(s);
    return err;
}

void loading_accept(struct object *o, uint64_t version)
{
    if (!o->loading_is_fallback) /* else the error of the file that does not load stays */
        load_error_forget(o);
    if (version != o->version)
        outage_forget(o->outage);
    o->version = version;
    endpoint_free(&o->endpoint);
    o->endpoint = o->next_endpoint;
    o->next_endpoint.metadata = NULL;
    o->next_endpoint.depends = (struct depends){0};
    source_unref(o->accepted);
    o->accepted = o->loading;
    o->loading = NULL;
}

void loading_drop(struct object *o)
{
    source_unref(o->loading);
    o->loading = NULL;
    o->loading_version = 0;
    o->loading_is_fallback = false;
    o->loading_is_retry = false;
}

int loading_start(struct object *o)
{
    loading_drop(o);
    int err = object_use(o);
    if (err)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no memory");
    else
        err = choose(o);
    if (err) {
        loading_drop(o);
        return err;
    }
    err = store_readable(o->station->store, o->state);
    if (err) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                        "its state cannot be read: %s/state/%s/state.tsv: %s",
                        o->station->config.data_dir, o->id,
                        err == -EBADMSG ? "its first line is damaged" : strerror(-err));
        loading_drop(o);
        return err;
    }
    o->candidate = worker_spawn(o->station->workers, o, false, fill_load, &err);
    if (err) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no worker: %s", strerror(-err));
        loading_drop(o);
    }
    return err;
}

int loading_start_replica(struct object *o, struct worker_ref *ref)
{
    int err;
    *ref = worker_spawn(o->station->workers, o, true, fill_load, &err);
    struct worker *w = worker_get(o->station->workers, *ref);
    if (w)
        w->concurrent = o->endpoint.concurrent;
    return err;
}
