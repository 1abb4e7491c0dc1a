// SPDX-License-Identifier: Apache-2.0
/*
 * py_venv - the virtual environment whose packages this process imports.
 *
 * The station's is where the nursery's Python starts. An object may have one of its own: a folder
 * VENV_FOLDER beside its file or above it in the objects folder, the nearest; its worker changes to
 * it after the fork, before anything of the object runs. For py_*.c and nursery.c only.
 */
#ifndef WORKER_PY_VENV_H
#define WORKER_PY_VENV_H

#include "common/buf.h"

#include <stdbool.h>

/*
 * Before Python starts: the station's; NULL: it has none. The path is borrowed for good. 0, or -1
 * after a line on stderr.
 */
int py_venv_start(const char *path);
/* The program that Python takes itself for, which is how it finds its packages. */
const char *py_venv_program(void);

/* Of the object whose file this is: 0, or -1 with an ImportError that says what is wrong. */
int py_venv_enter(const char *objects_dir, const char *file);

/* Where the packages of the current one are; false: it is the system's Python. */
bool py_venv_packages(struct buf *path);

/* The exception being raised is about a missing module: how to install it, for people. */
void py_venv_hint(const char *objects_dir, struct buf *out);

#endif
