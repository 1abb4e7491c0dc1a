// SPDX-License-Identifier: Apache-2.0
/*
 * py_packages - the station's own package necrostack is importable in every object, whatever
 * virtual environment it runs in.
 *
 * Beside an installed worker sys.path is asked first, so that an environment may bring a necrostack
 * of its own; the one of a build tree comes before all. Nothing else of their folder becomes
 * visible.
 */
#ifndef WORKER_PY_PACKAGES_H
#define WORKER_PY_PACKAGES_H

/* Once, after Python has started. 0, or -1 with an exception. */
int py_packages_init(void);

#endif
