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
#include <stdio.h>

struct client;

struct reply {
    long status;          /* HTTP status */
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
    bool stream;              /* the body goes to stdout as it arrives, unless it is JSON */
    bool quiet;               /* an unreachable station is not reported */
};

/* url: "http://HOST:PORT" or "unix:PATH". NULL (reported) when it is neither. */
struct client *client_new(const char *url);
void client_free(struct client *client);

/* CTL_OK whatever the status was, or CTL_UNREACHABLE (reported). Empty the reply with reply_free().
 */
int client_send(struct client *client, const struct request *request, struct reply *reply);
void reply_free(struct reply *reply);

/*
 * GET of a JSON document: the document (the caller's) in *json and CTL_OK; CTL_ERROR after
 * printing what the station said was wrong, CTL_UNREACHABLE.
 */
int client_get_json(struct client *client, const char *target, json_t **json);
/* Says on stderr what a reply of status >= 400 says. */
void client_report(const struct reply *reply);

/* Appends text percent-encoded; slashes and @ stay when in_path. */
void client_put_encoded(struct buf *out, const char *text, bool in_path);

#endif
