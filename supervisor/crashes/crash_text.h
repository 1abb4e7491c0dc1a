// SPDX-License-Identifier: Apache-2.0
/*
 * crash_text - the text of a crash report: a JSON object whose first line, up to a comma, holds the
 * members that a list shows, the id first. Pure.
 */
#ifndef SUPERVISOR_CRASHES_CRASH_TEXT_H
#define SUPERVISOR_CRASHES_CRASH_TEXT_H

#include "common/codec.h"

/* Is that the report of this id? */
bool crash_text_is_sound(struct span text, const char *id);
/* Makes the members of the first line an object of their own; false: it is no such report. */
bool crash_text_take_head(struct buf *text, const char *id);

#endif
