// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/exchange.h"

#include "common/log.h"
#include "common/memfd.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"
#include "supervisor/http/guard_head.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { STATUS_MIN = 200, STATUS_MAX = 999 };

/* Framing and connection are the front's business. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"connection", "content-length",    "date",
                                        "keep-alive", "proxy-connection",  "te",
                                        "trailer",    "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool name_is_valid(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (!guard_is_token_char((unsigned char)*c))
            return false;
    }
    return *name != '\0';
}

static bool value_is_valid(const char *value)
{
    for (const char *c = value; *c; c++) {
        if (!guard_is_value_char((unsigned char)*c))
            return false;
    }
    return true;
}

/* The library refuses empty values and ones with blanks at the ends. */
static int add_field(struct MHD_Response *response, const char *name, const char *value,
                     size_t *size)
{
    while (*value == ' ' || *value == '\t')
        value++;
    size_t len = strlen(value);
    *size += strlen(name) + len + 4;
    if (*size > REPLY_HEAD_MAX || !name_is_valid(name) || !value_is_valid(value))
        return -EINVAL;
    if (len == 0)
        return 0;
    return MHD_add_response_header(response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

int reply_add_fields(struct MHD_Response *response, struct exchange *x,
                     const struct exchange_reply *reply)
{
    size_t size = 0;
    int err = 0;
    if (reply->content_type)
        err = add_field(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type, &size);
    for (size_t i = 0; !err && i < reply->field_count; i++) {
        const struct exchange_field *field = &reply->fields[i];
        if (is_ours(field->name))
            log_debug("a handler's %s field is ignored", field->name);
        else
            err = add_field(response, field->name, field->value, &size);
    }
    if (!err && x->keeps_id) {
        char id[GUARD_REQUEST_ID_MAX + 1];
        memcpy(id, x->request.request_id.data, x->request.request_id.len);
        id[x->request.request_id.len] = '\0';
        err = add_field(response, "X-Request-Id", id, &size);
    }
    if (!err && (reply->close || x->front->is_leaving) &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES)
        err = -ENOMEM;
    return err;
}

static bool has_no_body(unsigned status)
{
    return status == MHD_HTTP_NO_CONTENT || status == MHD_HTTP_RESET_CONTENT ||
           status == MHD_HTTP_NOT_MODIFIED;
}

static void drop_body(const struct exchange_reply *reply)
{
    free(reply->body);
    if (reply->body_fd > 0)
        close(reply->body_fd);
}

/* Takes the body over in any case. */
static struct MHD_Response *make_response(const struct exchange_reply *reply)
{
    if (reply->body_size == 0 || has_no_body(reply->status)) {
        drop_body(reply);
        return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *response =
        reply->body ? MHD_create_response_from_buffer_with_free_callback(reply->body_size,
                                                                         reply->body, free)
                    : MHD_create_response_from_fd_at_offset64(reply->body_size, reply->body_fd,
                                                              reply->body_offset);
    if (!response)
        drop_body(reply);
    return response;
}

static int build(struct exchange *x, const struct exchange_reply *reply)
{
    x->response = make_response(reply);
    if (!x->response)
        return -ENOMEM;
    x->status = reply->status;
    int err = reply_add_fields(x->response, x, reply);
    if (err) {
        MHD_destroy_response(x->response);
        x->response = NULL;
    }
    return err;
}

static int check(struct exchange *x, const struct exchange_reply *reply)
{
    if (reply->status < STATUS_MIN || reply->status > STATUS_MAX)
        return -EINVAL;
    if (reply->is_file)
        return 0;
    if (reply->body_fd > 0 && !reply->body && memfd_verify(reply->body_fd, reply->body_size) < 0)
        return -EINVAL;
    return body_hold(x, reply->body_size) ? 0 : -ENOSPC;
}

/* What the client gets when the reply itself cannot be sent; too simple to fail but for memory. */
static int build_instead(struct exchange *x, const struct exchange_reply *asked, int err)
{
    static const char invalid[] =
        "{\"status\":\"error\",\"error\":\"the handler's status or headers are not valid HTTP\"}";
    /* No 503: the call has run, and nobody must be told to run it again. */
    static const char full[] = "{\"status\":\"error\",\"error\":\"the call has run, and its reply "
                               "does not fit beside the bodies that the station holds\","
                               "\"limit\":\"bodies_max\"}";
    bool is_large = err == -ENOSPC;
    const char *text = is_large ? full : invalid;
    struct exchange_reply reply = {.status = 500,
                                   .content_type = "application/json; charset=utf-8",
                                   .fields = asked->fields,
                                   .field_count = is_large ? asked->field_count : 0,
                                   .body = strdup(text),
                                   .body_size = strlen(text)};
    return reply.body ? build(x, &reply) : -ENOMEM;
}

void reply_send(struct exchange *x)
{
    struct connection *c = x->connection;
    if (x->in_handler && !guarded_has_backlog(&c->guarded)) {
        if (!x->response) /* no memory: the callback's return value closes the connection */
            return;
        MHD_queue_response(x->mhd, x->status, x->response);
        MHD_destroy_response(x->response);
        x->response = NULL;
        return;
    }
    if (!x->suspended) {
        x->suspended = true;
        MHD_suspend_connection(x->mhd);
    }
    if (x->response) {
        MHD_queue_response(x->mhd, x->status, x->response);
        MHD_destroy_response(x->response);
        x->response = NULL;
    }
    x->suspended = false;
    MHD_resume_connection(x->mhd);
    front_wants_run(x->front);
}

void exchange_reply(struct exchange *x, const struct exchange_reply *reply)
{
    struct front *front = x->front;
    body_free(x); /* a slow reader of the reply must not keep the request's body here */
    if (x->inside_fn) {
        x->inside_fn(x->inside_context, reply);
    } else if (!x->connection) {
        drop_body(reply);
    } else {
        x->connection->linger |= reply->close;
        int err = check(x, reply);
        if (err)
            drop_body(reply);
        else
            err = build(x, reply);
        if (err == -EINVAL || err == -ENOSPC)
            build_instead(x, reply, err);
        reply_send(x);
    }
    front->open--;
    x->handler_holds = false;
    exchange_release(x);
}
