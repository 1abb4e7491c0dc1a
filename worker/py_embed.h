// SPDX-License-Identifier: Apache-2.0
/*
 * py_embed - the Python interpreter of this process, for code that does not see Python.h.
 */
#ifndef WORKER_PY_EMBED_H
#define WORKER_PY_EMBED_H

#include <stdbool.h>

/*
 * Initialises Python and imports what every object needs. venv: of the station, borrowed for good;
 * NULL: none. 0, or -1 after a line on stderr.
 */
int py_embed_start(const char *venv);
/* Last thing before the first fork: what lives now is never looked at by the collector again. */
void py_embed_freeze(void);

void py_embed_before_fork(void);
void py_embed_after_fork_parent(void);
void py_embed_after_fork_child(void);

/* While waiting: other threads of the object may run between these two. */
void py_embed_release(void);
void py_embed_acquire(void);
/* No thread but the main one has run Python since the fork. */
bool py_embed_is_single_threaded(void);
/* Runs the Python-level handlers of signals that arrived; what they raise is reported. */
void py_embed_run_signals(void);

/* From a signal handler: Python's handler of this signal runs soon on the main thread. */
void py_embed_interrupt(int signal);
/* From now on that signal has faulthandler write the stacks of all threads to fd. */
void py_embed_dump_on(int signal, int fd);

/* Runs atexit functions and flushes stdout and stderr; the process exits after it. */
void py_embed_finish(void);

#endif
