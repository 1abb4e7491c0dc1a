// SPDX-License-Identifier: Apache-2.0
/*
 * log_lines - prints the lines of an object's log, each of them once.
 *
 * A line has no number, so asking again from the time of the newest one gives some of them twice:
 * the lines of that newest time are remembered, and a line that is among them is passed over.
 */
#ifndef SUPERVISOR_CTL_LOG_LINES_H
#define SUPERVISOR_CTL_LOG_LINES_H

#include <jansson.h>
#include <stdbool.h>

struct log_lines {
    bool json;      /* as the station sent them, a document a line */
    char since[64]; /* timestamp of the newest line printed; "" before the first */
    json_t *newest; /* the lines printed that carry it */
    json_t *before; /* those of them that the station has to send again */
};

void log_lines_init(struct log_lines *l, bool json);
/* The station is asked again, from `since` on. */
void log_lines_again(struct log_lines *l);
/* Prints the line on stdout unless it was printed before log_lines_again(). */
void log_lines_print(struct log_lines *l, json_t *line);
/* Prints what a line carries beside time, level and message, as in " request_id=vm-1-6 name=Ada".
 */
void log_lines_print_fields(json_t *line);
void log_lines_free(struct log_lines *l);

#endif
