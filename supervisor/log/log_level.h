// SPDX-License-Identifier: Apache-2.0
/*
 * log_level - the levels that a line of an object's log may have, and sets of them. Pure.
 *
 * Case does not matter, and the other names of Python's logging (warn, fatal) mean the same levels.
 */
#ifndef SUPERVISOR_LOG_LOG_LEVEL_H
#define SUPERVISOR_LOG_LOG_LEVEL_H

#include "common/codec.h"

/* For errors: what log_level_set_parse() knows. */
#define LOG_LEVEL_NAMES "DEBUG, INFO, WARNING, ERROR, CRITICAL, STDOUT, STDERR"

/* The bit of a level in a set, 0 for a name that is none. */
uint32_t log_level_bit(struct span name);
/* "error,STDERR" to a set, white space around the names allowed; false for an unknown or empty one.
 */
bool log_level_set_parse(struct span text, uint32_t *set);

#endif
