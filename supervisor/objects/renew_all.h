// SPDX-License-Identifier: Apache-2.0
/*
 * renew_all - gives every object that has workers new ones, a few objects at a time, after a
 * reload: half as many as there are processors, for the others serve meanwhile.
 */
#ifndef SUPERVISOR_OBJECTS_RENEW_ALL_H
#define SUPERVISOR_OBJECTS_RENEW_ALL_H

#include "common/buf.h"
#include "supervisor/objects/object.h"

struct renew_all;

/* NULL when memory is short. */
struct renew_all *renew_all_new(struct station *station);
/* After the loop has ended, or when nothing is under way. */
void renew_all_free(struct renew_all *all);
/*
 * Begins; done(arg) follows, at once or later, when the last one is over. Not while another is
 * under way. 0 or -ENOMEM.
 */
int renew_all_begin(struct renew_all *all, void (*done)(void *arg), void *arg);
/* Begins no further one; done() is not called any more. */
void renew_all_stop(struct renew_all *all);

/* Of the last run: objects that got a new worker, and those that did not. */
size_t renew_all_renewed(const struct renew_all *all);
size_t renew_all_failed(const struct renew_all *all);
/* A JSON list of {"object_id","error"} of the latter. */
void renew_all_put_failed(const struct renew_all *all, struct buf *json);

#endif
