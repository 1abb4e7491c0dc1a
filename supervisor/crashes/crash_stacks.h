// SPDX-License-Identifier: Apache-2.0
/*
 * crash_stacks - the stacks that a worker has dumped, found in what it wrote to stderr: between the
 * lines of common/stack_marks.h. Pure.
 */
#ifndef SUPERVISOR_CRASHES_CRASH_STACKS_H
#define SUPERVISOR_CRASHES_CRASH_STACKS_H

#include "common/codec.h"

#include <sys/types.h>

struct crash_stacks {
    struct span c, python; /* borrowed from the text; empty: none */
    bool has_ended;        /* the process came to the end of the dump, and lived on */
};

/* Of the newest dump of that process in the text. */
struct crash_stacks crash_stacks_find(struct span text, pid_t pid);

#endif
