// SPDX-License-Identifier: Apache-2.0
/*
 * imports - which objects have imported which files of the objects folder, as their workers say;
 * a file that changes loads its users again, each once however many of its files changed.
 */
#ifndef SUPERVISOR_OBJECTS_IMPORTS_H
#define SUPERVISOR_OBJECTS_IMPORTS_H

#include "common/rpc.h"

#include <stdbool.h>

struct import_link;
struct import_table;
struct object;
struct station;
struct worker;

struct import_table *import_table_new(struct station *station);
void import_table_free(struct import_table *table);

/* A worker has imported these. False when the message is malformed. */
bool imports_reported(struct worker *w, struct span payload, const char **reason);
/* A worker took over: what only older ones had imported counts no more. */
void imports_settle(struct object *o, uint64_t generation);
/* A file of the objects folder, any file, was written or appeared. */
void imports_file_changed(struct import_table *table, const char *path);
/* A folder appeared ("_lib/"): what was imported from there has changed. */
void imports_folder_changed(struct import_table *table, const char *prefix);
/* Forgets what an object imported. */
void imports_drop(struct object *o);

#endif
