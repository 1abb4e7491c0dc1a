// SPDX-License-Identifier: Apache-2.0
/*
 * venv - a virtual environment as `python3 -m venv` makes it: what it says about itself, whether
 * the Python that the workers embed can use it, and which one holds for an object.
 *
 * Looks at the disk, keeps nothing. Both sides: the supervisor checks the configuration with it, a
 * worker what it is about to use.
 */
#ifndef COMMON_VENV_H
#define COMMON_VENV_H

#include "common/codec.h"

#include <stdbool.h>

/* The name that is reserved below the objects folder: it is neither scanned nor watched. */
#define VENV_FOLDER "venv"

enum {
    VENV_VERSION_SIZE = 16,
    VENV_PROBLEM_SIZE = 4096 + 512 /* a path and what is wrong with it */
};

/* What pyvenv.cfg says. */
struct venv_facts {
    char version[VENV_VERSION_SIZE]; /* "3.11"; "" where it is not said */
    bool sees_system;                /* include-system-site-packages */
};

struct venv_facts venv_parse(struct span text);

/*
 * Can the workers' Python (build.h) use it? False and, for people, what is wrong and what to do
 * about it.
 */
bool venv_check(const char *path, char *problem, size_t size);

/*
 * The nearest folder VENV_FOLDER, from the folder of the file `path` up to `objects_dir`, which
 * must lie above it: true, and its path in `out`. A link that leads nowhere is one, too: that of an
 * environment that was moved or removed.
 */
bool venv_find(const char *objects_dir, const char *path, char *out, size_t size);

/* Is a part of this path, but the last one, VENV_FOLDER? */
bool venv_holds(const char *path);

#endif
