// SPDX-License-Identifier: Apache-2.0
/*
 * py_value_write - a checked value (py_value.h) as compact JSON in UTF-8.
 *
 * A payload is an ordinary dict and may have been changed since it was checked, so the writer looks
 * at what it finds. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_VALUE_WRITE_H
#define WORKER_NECROSTACK_PY_VALUE_WRITE_H

#include <Python.h>

#include "common/buf.h"

enum py_value_written {
    PY_VALUE_WRITTEN,
    PY_VALUE_FOREIGN, /* something that no checked value contains, or too deep; out holds a piece */
    PY_VALUE_ERROR    /* an exception is set */
};
/* Appends the value. A failed buf is the caller's to see. */
enum py_value_written py_value_write(struct buf *out, PyObject *value);

#endif
