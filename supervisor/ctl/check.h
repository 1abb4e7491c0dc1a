// SPDX-License-Identifier: Apache-2.0
/*
 * check - verifies a data folder without a running station: `objectctl check`. Only reads.
 */
#ifndef SUPERVISOR_CTL_CHECK_H
#define SUPERVISOR_CTL_CHECK_H

#include <stdio.h>

/*
 * Prints a line `file:line: what` (`file:offset` for the journal) for anything wrong, a few notes
 * (`note: …`) that are not, and a summary. Returns how much is wrong, or -errno when the folder
 * cannot be read. With a station running on it everything is checked that can be read safely
 * meanwhile; a note says so.
 */
int check_data(const char *data_dir, FILE *out);

#endif
