// SPDX-License-Identifier: Apache-2.0
/*
 * waiters - functions to be called once, when something has come about.
 */
#ifndef SUPERVISOR_OBJECTS_WAITERS_H
#define SUPERVISOR_OBJECTS_WAITERS_H

struct waiter;

/* 0 or -ENOMEM. */
int waiters_add(struct waiter **list, void (*fn)(void *arg), void *arg);
/* Calls and forgets them; what they add waits for the next time. */
void waiters_run(struct waiter **list);
/* Forgets them without a call. */
void waiters_free(struct waiter **list);

#endif
