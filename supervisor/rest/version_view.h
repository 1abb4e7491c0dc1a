// SPDX-License-Identifier: Apache-2.0
/*
 * version_view - the history of an object over HTTP: ?versions=true with limit, offset and after,
 * and ?version=N with its content.
 */
#ifndef SUPERVISOR_REST_VERSION_VIEW_H
#define SUPERVISOR_REST_VERSION_VIEW_H

struct exchange;
struct object;

void view_versions(struct object *o, struct exchange *x);
void view_version(struct object *o, struct exchange *x);

#endif
