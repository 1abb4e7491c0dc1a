// SPDX-License-Identifier: Apache-2.0
/*
 * py_imports - which files of the objects folder the object has imported, besides its own, so that
 * the supervisor loads it again when one of them changes.
 *
 * After a failed import also those that the traceback names, and where a missing module was looked
 * for. Each file is reported once. With the GIL.
 */
#ifndef WORKER_PY_IMPORTS_H
#define WORKER_PY_IMPORTS_H

#include "common/rpc.h"
#include "worker/py_compat.h"

/* The object's own file, before it is loaded. 0, or -1 with an exception. */
int py_imports_start(const char *path);
/* Has a module come since the last report? Costs a comparison. */
bool py_imports_have_grown(void);
/*
 * Appends the encoded rpc_import of every file that was not reported yet, and counts them. What
 * cannot be told is left out.
 */
uint32_t py_imports_report(struct buf *out);
/* The exception being raised, which stays: its files are in the next report. */
void py_imports_failed(void);

#endif
