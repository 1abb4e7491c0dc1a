// SPDX-License-Identifier: Apache-2.0
/*
 * client - one HTTP request after another to a station, over TCP or a Unix socket (libcurl).
 *
 * Connections are kept between requests. Errors towards the user are printed here, once, on stderr.
 */
#ifndef SUPERVISOR_CTL_CLIENT_H
#define SUPERVISOR_CTL_CLIENT_H

#include "common/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct client;

struct reply {
    long status;          /* HTTP status; 0: none came */
    struct buf body;      /* empty when it was streamed */
    char media_type[128]; /* "application/json", parameters cut off */
};

struct request {
    const char *method; /* NULL: GET */
    const char *target; /* path and query, encoded */
    const char *body;   /* NULL: none */
    size_t body_len;
    const char *content_type; /* of the body */
    bool show_head;           /* status line and fields go to stdout */
    bool quiet;               /* an unreachable station is not reported */
    char *const *uploads;     /* paths of files that go as multipart/form-data instead of a body */
    size_t upload_count;
    /*
     * Takes the body of a reply below 400 as it arrives, instead of reply->body; false ends the
     * transfer. NULL: none. Asked once a reply whether it wants it, where wants is not NULL.
     */
    bool (*sink)(void *arg, const char *bytes, size_t len);
    bool (*wants)(const struct reply *reply);
    void *sink_arg;
};

/* url: "http://HOST:PORT" or "unix:PATH". NULL (reported) when it is neither. */
struct client *client_new(const char *url);
void client_free(struct client *client);

/*
 * CTL_OK whatever the status was, CTL_UNREACHABLE, or CTL_NOT_FOUND for an upload that cannot be
 * read; reported unless quiet. Empty the reply with reply_free().
 */
int client_send(struct client *client, const struct request *request, struct reply *reply);
void reply_free(struct reply *reply);

/* Says on stderr what a reply of status >= 400 says; its details only where it was not printed. */
void client_report(const struct reply *reply, bool printed);
/* The exit code of objectctl for the status of a reply. */
int client_exit_code(long status);

/* Appends text percent-encoded; slashes and @ stay when in_path. */
void client_put_encoded(struct buf *out, const char *text, bool in_path);

#endif
