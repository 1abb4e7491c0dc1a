// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/deploy_view.h"

#include "common/head.h"
#include "common/json_text.h"
#include "common/memfd.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/management.h"
#include "supervisor/rest/no_worker.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    JSON_FLAGS = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
    ESCAPED_MAX = 6,          /* bytes of JSON that one byte of text may take */
    BODY_REST_MAX = 64 * 1024 /* what else the body may hold */
};
#define AUTHOR_DEFAULT "http"

/* A client that waits for a deploy. */
struct request {
    struct object *object;
    struct exchange *exchange;
    uint64_t rollback_of; /* 0: it sent the source */
    char *author, *message;
};

static void free_request(struct request *r)
{
    if (!r)
        return;
    free(r->author);
    free(r->message);
    free(r);
}

/* --- the answer --- */

static void put_rejection(struct buf *extra, const struct object *o, const struct deploy_result *r)
{
    load_error_put(extra, o, r->line, r->crash_id,
                   r->traceback ? span_of(r->traceback) : LOAD_ERROR_NO_TRACEBACK);
    json_put_member(extra, "file", o->file);
    if (!r->line)
        buf_puts(extra, ",\"line\":null");
    json_put_member(extra, "message", r->message);
    if (r->version)
        json_put_number(extra, "version_id", r->version);
}

static void answer_rejected(struct exchange *x, const struct object *o,
                            const struct deploy_result *r)
{
    struct buf extra = BUF_INIT;
    put_rejection(&extra, o, r);
    exchange_error(x, 422, buf_str(&extra), "%s does not load: %s", o->file, r->message);
    buf_free(&extra);
}

static unsigned status_of(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    case -EEXIST:
    case -EISDIR:
    case -ENOTEMPTY:
        return 409;
    case -ENOENT:
        return 404;
    case -EIO:
    case -EACCES:
    case -EPERM:
    case -EROFS:
    case -EXDEV:
        return 500;
    default:
        return 503;
    }
}

static void answer_failed(struct exchange *x, const struct object *o, const struct deploy_result *r)
{
    if (r->err == -EEXIST && o->conflict)
        exchange_error(x, 409, NULL, "two files have the object id %s: %s and %s", o->id, o->file,
                       o->conflict);
    else if (r->err != -EBUSY || !no_worker_answer(x, o))
        exchange_error(x, status_of(r->err), NULL, "%s was not deployed: %s", o->id, r->message);
}

static void put_message(struct buf *json, const struct request *r, const struct deploy_result *d)
{
    struct buf text = BUF_INIT;
    unsigned long long version = d->version;
    if (r->rollback_of)
        buf_printf(&text, "Rolled back to version %llu", (unsigned long long)r->rollback_of);
    else if (d->outcome == DEPLOY_UNCHANGED)
        buf_printf(&text, "Version %llu serves this source already", version);
    else
        buf_printf(&text, "%s as version %llu", d->created ? "Created" : "Deployed", version);
    json_put_member(json, "message", buf_str(&text));
    buf_free(&text);
}

static void answer_serves(const struct request *r, const struct deploy_result *d)
{
    struct buf json = BUF_INIT;
    buf_puts(&json, "{\"status\":\"ok\"");
    put_message(&json, r, d);
    json_put_number(&json, "version_id", r->rollback_of ? r->rollback_of : d->version);
    if (r->rollback_of)
        json_put_number(&json, "new_version_id", d->version);
    json_put_member(&json, "object_id", r->object->id);
    buf_putc(&json, '}');
    json_reply(r->exchange, d->created ? 201 : 200, &json);
}

static void on_done(void *arg, struct object *o, const struct deploy_result *result)
{
    struct request *r = arg;
    switch (result->outcome) {
    case DEPLOY_SERVES:
    case DEPLOY_UNCHANGED:
        answer_serves(r, result);
        break;
    case DEPLOY_REJECTED:
        answer_rejected(r->exchange, o, result);
        break;
    case DEPLOY_FAILED:
        answer_failed(r->exchange, o, result);
        break;
    }
    free_request(r);
}

/* Takes request and source over. */
static void ask(struct request *r, struct source *source)
{
    struct deploy_order order = {.source = source,
                                 .author = r->author ? r->author : AUTHOR_DEFAULT,
                                 .message = r->message ? r->message : "",
                                 .is_rollback = r->rollback_of != 0,
                                 .done = on_done,
                                 .arg = r};
    const struct config *c = &r->object->station->config;
    int err = deploy_ask(r->object, &order);
    if (err == -EBUSY)
        exchange_error(r->exchange, 503, "\"limit\":\"deploys_object_max\"",
                       "%llu sources of %s wait to be deployed already "
                       "(limits.deploys_object_max)",
                       (unsigned long long)c->deploys_object_max, r->object->id);
    else if (err)
        exchange_error(r->exchange, 503, "\"limit\":\"memory\"", "no memory for another deploy");
    if (err)
        free_request(r);
}

/* --- the body --- */

/* A copy of the body, NUL-terminated; NULL when memory is short. */
static char *body_text(const struct exchange_request *request)
{
    if (request->body_fd < 0)
        return span_dup(request->body);
    char *text = malloc(request->body_size + 1);
    if (text && memfd_read(request->body_fd, text, request->body_size) == 0)
        return text;
    free(text);
    return NULL;
}

static uint64_t body_size(const struct exchange_request *request)
{
    return request->body_fd < 0 ? request->body.len : request->body_size;
}

static json_t *parse_body(struct exchange *x, const struct config *c)
{
    const struct exchange_request *request = exchange_request(x);
    json_error_t error;
    if (body_size(request) > ESCAPED_MAX * c->source_max + BODY_REST_MAX) {
        exchange_error(x, 413, "\"limit\":\"source_max\"",
                       "the body cannot hold a source of at most %llu bytes (limits.source_max)",
                       (unsigned long long)c->source_max);
        return NULL;
    }
    char *text = body_text(request);
    if (!text) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for the body");
        return NULL;
    }
    json_t *body = json_loadb(text, body_size(request), JSON_FLAGS, &error);
    free(text);
    if (body && json_is_object(body))
        return body;
    exchange_error(x, 400, NULL, "the body must be a JSON object with \"code\"%s%s",
                   body ? "" : ": ", body ? "" : error.text);
    json_decref(body);
    return NULL;
}

/* False, and answered, when the member is no string or too long. *text stays NULL without it. */
static bool take_text(struct exchange *x, const struct config *c, const json_t *body,
                      const char *name, char **text)
{
    const json_t *value = json_object_get(body, name);
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value)) {
        exchange_error(x, 400, NULL, "\"%s\" must be a string", name);
        return false;
    }
    if (json_string_length(value) > c->version_text_max) {
        exchange_error(x, 413, "\"limit\":\"version_text_max\"",
                       "\"%s\" is above %llu bytes (limits.version_text_max)", name,
                       (unsigned long long)c->version_text_max);
        return false;
    }
    if (strlen(json_string_value(value)) != json_string_length(value)) {
        exchange_error(x, 400, NULL, "\"%s\" contains NUL", name);
        return false;
    }
    *text = strdup(json_string_value(value));
    if (!*text)
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another deploy");
    return *text;
}

static struct source *take_code(struct exchange *x, const struct config *c, const json_t *body)
{
    const json_t *code = json_object_get(body, "code");
    if (!json_is_string(code)) {
        exchange_error(x, 400, NULL,
                       code ? "\"code\" must be a string" : "\"code\", the source, is missing");
        return NULL;
    }
    if (json_string_length(code) > c->source_max) {
        exchange_error(x, 413, "\"limit\":\"source_max\"",
                       "the source is above %llu bytes (limits.source_max)",
                       (unsigned long long)c->source_max);
        return NULL;
    }
    struct source *s = source_of(json_string_value(code), json_string_length(code));
    if (!s)
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another deploy");
    return s;
}

static struct request *new_request(const struct config *c, struct exchange *x, const json_t *body)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another deploy");
        return NULL;
    }
    r->exchange = x;
    if (take_text(x, c, body, "author", &r->author) &&
        take_text(x, c, body, "message", &r->message))
        return r;
    free_request(r);
    return NULL;
}

/* --- PUT ?source=true --- */

/* The object of that id, as yet without a file. NULL: answered. */
static struct object *add_object(struct station *station, const char *id, struct exchange *x)
{
    char file[OBJECT_ID_MAX + 4], same[OBJECT_ID_MAX + 1];
    snprintf(file, sizeof(file), "%s.py", id);
    if (!object_id_of_path(file, same) || strcmp(same, id) != 0) {
        exchange_error(x, 400, NULL, "%s would be no object: its name begins with '%c'", file,
                       id[0]);
        return NULL;
    }
    struct object *o = object_find(station->objects, id, strlen(id));
    if (o)
        return o;
    o = object_add(station, id, file);
    if (o)
        object_set_phase(o, OBJECT_GONE); /* until its source has loaded */
    else
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another object");
    return o;
}

/* o: NULL for an id without an object, which is added once the request is known to be whole. */
static void deploy_body(struct station *station, struct object *o, const char *id,
                        struct exchange *x, const json_t *body)
{
    struct source *source = take_code(x, &station->config, body);
    struct request *r = source ? new_request(&station->config, x, body) : NULL;
    if (r)
        r->object = o ? o : add_object(station, id, x);
    if (r && r->object) {
        ask(r, source);
    } else {
        source_unref(source);
        free_request(r);
    }
}

void view_deploy(struct object *o, struct exchange *x)
{
    json_t *body = parse_body(x, &o->station->config);
    if (body)
        deploy_body(o->station, o, o->id, x, body);
    json_decref(body);
}

static bool is_deploy(const struct exchange *x)
{
    struct buf value = BUF_INIT;
    bool is = span_equal(exchange_request(x)->method, "PUT") &&
              exchange_query(x, "source", &value) && strcmp(buf_str(&value), "true") == 0;
    buf_free(&value);
    return is;
}

bool deploy_view_create(struct station *station, const char *id, struct exchange *x)
{
    if (!is_deploy(x))
        return false;
    if (!management_allowed(station, x))
        return true;
    json_t *body = parse_body(x, &station->config);
    if (body)
        deploy_body(station, NULL, id, x, body);
    json_decref(body);
    return true;
}

/* --- rollback --- */

static bool has_only_keys_of_rollback(json_t *body)
{
    static const char *const keys[] = {"action", "version_id", "author", "message"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        known += json_object_get(body, keys[i]) != NULL;
    return known == json_object_size(body);
}

/* NULL unless the body is that of the action. */
static json_t *rollback_of(const struct exchange *x, const struct config *c)
{
    static const char word[] = "\"rollback\"";
    const struct exchange_request *request = exchange_request(x);
    struct span type = head_media_type(exchange_header(x, "Content-Type"));
    size_t max = 2 * ESCAPED_MAX * c->version_text_max + BODY_REST_MAX;
    if (!span_equal(request->method, "POST") || request->body.len == 0 || request->body_fd >= 0 ||
        request->body.len > max ||
        !memmem(request->body.data, request->body.len, word, sizeof(word) - 1) ||
        !head_is_json(type))
        return NULL;
    json_error_t error;
    json_t *body = json_loadb(request->body.data, request->body.len, JSON_FLAGS, &error);
    if (!body && json_error_code(&error) == json_error_numeric_overflow) /* no version's number */
        body = json_loadb(request->body.data, request->body.len,
                          JSON_FLAGS | JSON_DECODE_INT_AS_REAL, NULL);
    const char *action = json_string_value(json_object_get(body, "action"));
    if (action && strcmp(action, "rollback") == 0 && has_only_keys_of_rollback(body))
        return body;
    json_decref(body);
    return NULL;
}

static void answer_no_version(struct exchange *x, const struct object *o, long long version)
{
    exchange_error(x, 404, NULL, "%s has no version %lld", o->id, version);
}

static void refuse_content(struct request *r, int err)
{
    if (err == -ENOENT)
        answer_no_version(r->exchange, r->object, (long long)r->rollback_of);
    else
        exchange_error(r->exchange, err == -EBADMSG ? 500 : 503, NULL,
                       "version %llu of %s cannot be read: %s", (unsigned long long)r->rollback_of,
                       r->object->id, err == -EBADMSG ? "it is damaged" : strerror(-err));
    free_request(r);
}

static struct source *source_in(int fd, uint64_t size)
{
    char *text = malloc(size + 1);
    struct source *s = NULL;
    if (text && memfd_read(fd, text, size) == 0)
        s = source_of(text, size);
    free(text);
    close(fd);
    return s;
}

static void on_content(void *arg, int err, int fd, uint64_t size)
{
    struct request *r = arg;
    struct source *s = err ? NULL : source_in(fd, size);
    if (s)
        ask(r, s);
    else
        refuse_content(r, err ? err : -ENOMEM);
}

static void roll_back(struct object *o, struct exchange *x, const json_t *body)
{
    const json_t *version = json_object_get(body, "version_id");
    if (!json_is_integer(version)) {
        exchange_error(x, 400, NULL, "\"version_id\" must be the number of a version");
        return;
    }
    if (json_integer_value(version) < 1) {
        answer_no_version(x, o, (long long)json_integer_value(version));
        return;
    }
    struct request *r = new_request(&o->station->config, x, body);
    if (!r)
        return;
    r->object = o;
    r->rollback_of = (uint64_t)json_integer_value(version);
    if (!r->message &&
        asprintf(&r->message, "Rollback to version %llu", (unsigned long long)r->rollback_of) < 0)
        r->message = NULL;
    struct scribe_rpc_version_read m = {
        .object_id = span_of(o->id), .version = r->rollback_of, .is_bare = 1};
    scribe_version_read(o->station->scribe, &m, on_content, r);
}

bool deploy_view_rollback(struct object *o, struct exchange *x)
{
    json_t *body = rollback_of(x, &o->station->config);
    if (!body)
        return false;
    if (management_allowed(o->station, x))
        roll_back(o, x, body);
    json_decref(body);
    return true;
}
