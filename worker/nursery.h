// SPDX-License-Identifier: Apache-2.0
/*
 * nursery - the process that has Python ready and forks a worker for every SPAWN.
 *
 * Single-threaded; it never runs object code, so what it forks is always clean. The workers are
 * children of the supervisor, not of the nursery. It ends when its socket closes, or with the
 * supervisor (PR_SET_PDEATHSIG). In a worker nursery_run() does not return either.
 */
#ifndef WORKER_NURSERY_H
#define WORKER_NURSERY_H

/* venv: the station's virtual environment, borrowed for good; NULL: none. The exit code. */
int nursery_run(const char *venv);

#endif
