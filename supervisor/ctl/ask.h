// SPDX-License-Identifier: Apache-2.0
/*
 * ask - one question to the station that is answered with a JSON document: what most commands do.
 *
 * Whatever goes wrong has been said on stderr when these return anything but CTL_OK; with --json an
 * error of the station has also been printed to stdout as the station sent it.
 */
#ifndef SUPERVISOR_CTL_ASK_H
#define SUPERVISOR_CTL_ASK_H

#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"
#include "supervisor/ctl/table.h"

/* The client of ctl->url, made at the first call; NULL (reported) when the URL is none. */
struct client *ask_client(struct ctl *ctl);

/* The document (the caller's) in *json, which is NULL unless the result is CTL_OK. */
int ask_send(struct ctl *ctl, const struct request *request, json_t **json);
/* GET of an object, as in ask_object(ctl, "hello", "state=true", &json). */
int ask_object(struct ctl *ctl, const char *id, const char *query, json_t **json);
/* POST or PUT of a JSON document, which is released. */
int ask_document(struct ctl *ctl, const char *method, const char *target, json_t *document,
                 json_t **json);

/* Appends "/objects/ID" and, where there is one, "?query". */
void ask_target(struct buf *target, const char *id, const char *query);
/* The document on stdout: indented on a terminal, else on one line. */
void ask_print(const json_t *json);
/* The document as ask_print() shows it, or "ID: " and its message (all of it, if it has
 * none: an object without an action has answered as to any POST). */
void ask_print_message(const struct ctl *ctl, const char *id, const json_t *answer);
/* `rows` as a table (the caller's) of these members, in this order; a missing member is an empty
 * cell. */
struct table *ask_table(const json_t *rows, const char *const *members, const char *const *heads,
                        size_t columns);
/* The same, printed. */
void ask_print_rows(const json_t *rows, const char *const *members, const char *const *heads,
                    size_t columns);
/* Turns this member of each row, seconds since 1970 or a time with fractions, into a time for
 * people: 2026-11-21T19:30:00Z. */
void ask_show_times(json_t *rows, const char *member);
/* The member as text, "" where it is no string. Borrowed. */
const char *ask_text(const json_t *json, const char *member);

#endif
