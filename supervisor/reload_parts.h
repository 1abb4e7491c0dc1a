// SPDX-License-Identifier: Apache-2.0
/*
 * reload_parts - the parts of the station that hold something of the configuration: prepared for a
 * new one, which may fail, and then told. All others look at station.config each time. Loop thread.
 */
#ifndef SUPERVISOR_RELOAD_PARTS_H
#define SUPERVISOR_RELOAD_PARTS_H

#include <stddef.h>

struct config;
struct station;

/* 0, or -errno after one line in error; then nothing is held. */
int reload_parts_prepare(struct station *station, const struct config *fresh, char *error,
                         size_t error_size);
/* Makes `fresh` the configuration in force (it is empty afterwards) and tells everybody. */
void reload_parts_commit(struct station *station, struct config *fresh);
/* Gives up what was prepared. */
void reload_parts_abandon(struct station *station);

#endif
