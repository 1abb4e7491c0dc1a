// SPDX-License-Identifier: Apache-2.0
/*
 * version_store - appends a version to an object's history, and puts its content into the object's
 * file where that is asked for.
 *
 * Order, each step on the disk before the next: the content (vN.txt), room for the line, the
 * object's file, the line. The line is what makes it a version: a crash before it leaves at most a
 * vN.txt that nothing names and the next version overwrites, or a file that is found changed at the
 * next start. Blocking; the scribe's.
 */
#ifndef SUPERVISOR_VERSIONS_VERSION_STORE_H
#define SUPERVISOR_VERSIONS_VERSION_STORE_H

#include "supervisor/scribe/scribe_rpc.h"

/* 0 and the new id, or -errno; *in_objects: it was the objects folder that refused. */
int version_store_append(const char *data_dir, const struct scribe_rpc_version_write *m,
                         uint64_t *id, bool *in_objects);

#endif
