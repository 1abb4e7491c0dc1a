// SPDX-License-Identifier: Apache-2.0
/*
 * file_checks - files of the objects folder that are to be read and compared, so many in a round of
 * the loop as FILE_CHECKS_NS allows, the rest in the rounds after it: a checkout of ten thousand
 * files holds up no call.
 */
#ifndef SUPERVISOR_OBJECTS_FILE_CHECKS_H
#define SUPERVISOR_OBJECTS_FILE_CHECKS_H

#include "common/clock.h"
#include "supervisor/loop.h"

#define FILE_CHECKS_NS (2 * NS_PER_MS) /* of a round; one check is done in any case */

/* One check; lives in its owner's struct, zero-initialised. */
struct file_check {
    void (*fn)(void *arg); /* NULL: not waiting */
    void *arg;
    struct file_checks *checks;
    struct file_check *prev, *next;
};

struct file_checks *file_checks_new(struct loop *loop); /* NULL when memory is short */
void file_checks_free(struct file_checks *checks);
/*
 * fn(arg) at once or in a later round, in order. One that waits already stays where it is, and does
 * what was asked last.
 */
void file_checks_ask(struct file_checks *checks, struct file_check *check, void (*fn)(void *arg),
                     void *arg);
void file_checks_drop(struct file_check *check);

#endif
