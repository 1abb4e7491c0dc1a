// SPDX-License-Identifier: Apache-2.0
/*
 * file_view - an object's files over HTTP: ?files=true, GET and DELETE ?file=NAME.
 *
 * Each waits until what was accepted of the object's files is visible.
 */
#ifndef SUPERVISOR_REST_FILE_VIEW_H
#define SUPERVISOR_REST_FILE_VIEW_H

struct exchange;
struct object;

void view_files(struct object *o, struct exchange *x);
void view_file(struct object *o, struct exchange *x);
void view_file_delete(struct object *o, struct exchange *x);

#endif
