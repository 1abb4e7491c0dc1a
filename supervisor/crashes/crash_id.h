// SPDX-License-Identifier: Apache-2.0
/*
 * crash_id - the name of a crash report: "20261122-022344-1-0000002a", the time (UTC) of the death,
 * boot and generation of the worker in hexadecimal. Of one boot, later ones sort behind. Pure.
 */
#ifndef SUPERVISOR_CRASHES_CRASH_ID_H
#define SUPERVISOR_CRASHES_CRASH_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRASH_ID_SIZE = 56, CRASH_NAME_SIZE = CRASH_ID_SIZE + 8 };

void crash_id_make(char id[CRASH_ID_SIZE], uint64_t wall_us, uint64_t boot, uint64_t generation);
bool crash_id_valid(const char *text, size_t len);
/* Below 0: a is older than b; ids, or names of files. A later boot is later whatever its clock
 * says.
 */
int crash_id_compare(const char *a, const char *b);
/* The name of its file, "ID.json"; id is a valid one. */
void crash_id_file(const char *id, char name[CRASH_NAME_SIZE]);
/* Is that the name of a report? Its id then. */
bool crash_id_of_file(const char *name, char id[CRASH_ID_SIZE]);

#endif
