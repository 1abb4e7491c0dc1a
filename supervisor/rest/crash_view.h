// SPDX-License-Identifier: Apache-2.0
/*
 * crash_view - the crash reports of an object over HTTP: ?crashes=true and ?crash=ID. Management.
 */
#ifndef SUPERVISOR_REST_CRASH_VIEW_H
#define SUPERVISOR_REST_CRASH_VIEW_H

struct object;
struct exchange;

void view_crashes(struct object *o, struct exchange *x);
void view_crash(struct object *o, struct exchange *x);

#endif
