// SPDX-License-Identifier: Apache-2.0
/*
 * reload - takes up a changed configuration and new Python packages without dropping a request.
 *
 * File, environment and command line are read again, checked as a whole, new addresses opened and a
 * new nursery warmed up; what fails there changes nothing. Then every part is told
 * (reload_parts.h), the nursery is exchanged and the workers are renewed. Asked again meanwhile, it
 * begins anew when it is over. Loop thread.
 */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include "common/buf.h"

#include <stdbool.h>

struct station;
struct options;
struct reload;

/* Dies when memory is short. The options are borrowed: they count at every reload. */
struct reload *reload_new(struct station *station, const struct options *options);
/* After the loop has ended. Whoever waits is not told. */
void reload_free(struct reload *reload);

/* HUP. Ignored while the station stops. */
void reload_ask(struct reload *reload);
/*
 * The same; then fn(arg, refused, report) once the reload that begins after this call is over.
 * `report` is a JSON object (borrowed), `refused` whether the configuration in force stayed. When
 * the station stops first, it is NULL. 0 or -ENOMEM.
 */
typedef void reload_fn(void *arg, bool refused, const char *report);
int reload_ask_and_wait(struct reload *reload, reload_fn *fn, void *arg);
/* The station stops: what has begun is left as it is. */
void reload_stop(struct reload *reload);

/* A JSON object: what is under way, how many there were, and the report of the last one. */
void reload_status(const struct reload *reload, struct buf *json);

#endif
