// SPDX-License-Identifier: Apache-2.0
/*
 * title - what ps shows: the program's name and the object it runs.
 *
 * The kernel shows the bytes between the first argument and, once those no longer end in a NUL, the
 * end of the environment; title_init() moves the environment elsewhere so that all of it is ours.
 */
#ifndef WORKER_TITLE_H
#define WORKER_TITLE_H

/* Once, first thing in main. Without memory for a new environment titles stay as they are. */
void title_init(int argc, char **argv);
/* Cuts what does not fit. */
void title_set(const char *text);

#endif
