// SPDX-License-Identifier: Apache-2.0
/*
 * upload - a POST with a form whose files the station stores: they go to staged files while they
 * arrive, and become files of the object together, once the whole form is well-formed.
 *
 * A form without a file, and every form to an object that handles uploads itself, goes to the
 * handler as it always did. Uploads obey security.management, as all files do. Loop thread only.
 */
#ifndef SUPERVISOR_FILES_UPLOAD_H
#define SUPERVISOR_FILES_UPLOAD_H

struct exchange;
struct object;

/* From the front's receiver: looks at the body that begins. */
void upload_begin(struct object *o, struct exchange *x);

#endif
