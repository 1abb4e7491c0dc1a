// SPDX-License-Identifier: Apache-2.0
/*
 * program_text - the source of an object, as it serves or as an earlier version was.
 */
#ifndef SUPERVISOR_CTL_PROGRAM_TEXT_H
#define SUPERVISOR_CTL_PROGRAM_TEXT_H

#include "supervisor/ctl/command.h"

#include <jansson.h>

/*
 * The station's document in *answer (the caller's) and the text in it, borrowed, in *text.
 * version NULL: what serves. An exit code; what is wrong has been reported.
 */
int program_text_get(struct ctl *ctl, const char *id, const char *version, json_t **answer,
                     const char **text);

#endif
