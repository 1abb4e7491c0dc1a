// SPDX-License-Identifier: Apache-2.0
/*
 * signals - HUP, TERM, INT, USR1 and CHLD as events of the loop; PIPE and USR2 are ignored.
 *
 * The signals are blocked and read from a signalfd. A child must begin with signals_unblock(), or
 * it would inherit the mask. Loop thread only.
 */
#ifndef SUPERVISOR_SIGNALS_H
#define SUPERVISOR_SIGNALS_H

#include "supervisor/loop.h"

struct signals;

/* What comes from now on waits for signals_new(). Dies when the environment refuses. */
void signals_block(void);
/* fn(arg, signo) runs for each signal (several of one kind may be merged, CHLD too). Dies when the
 * environment refuses. */
struct signals *signals_new(struct loop *loop, void (*fn)(void *arg, int signo), void *arg);
/* Stops watching; the signals stay blocked. */
void signals_free(struct signals *signals);
/*
 * For a child between fork and exec: default handling, or none of what may come to the process
 * group, and an empty mask. Async-signal-safe.
 */
void signals_unblock(bool ignored);

#endif
