// SPDX-License-Identifier: Apache-2.0
/*
 * py_memory_backend - necrostack.backends.inmemory: InMemoryBackend and BackendFullError.
 *
 * The events in it are Python's own objects. Its close() has nothing to close: it stays usable, and
 * what waits in it stays. It may be shared by the loops of several threads; pulls that wait with a
 * timeout belong into one of them at a time.
 */
#ifndef WORKER_NECROSTACK_PY_MEMORY_BACKEND_H
#define WORKER_NECROSTACK_PY_MEMORY_BACKEND_H

#include "worker/necrostack/py_backend.h"

/* The bridge of an InMemoryBackend or of a subclass of it, borrowed; NULL for any other object. */
struct py_backend *py_memory_backend_bridge(PyObject *object);

#endif
