// SPDX-License-Identifier: Apache-2.0
/*
 * py_validation_error - the exception ValidationError, a ValueError that names the fields.
 *
 * What is wrong is noted fault by fault while a value is looked at, and raised together at the end.
 * A fault is a dict with type, loc (a tuple of names and indices from the outside in), msg and
 * input, as pydantic's users know it. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_VALIDATION_ERROR_H
#define WORKER_NECROSTACK_PY_VALIDATION_ERROR_H

#include <Python.h>

extern PyObject *py_validation_error; /* the class */

/* Adds the class to the module: 0, or -1 with an exception. */
int py_validation_error_add(PyObject *module);

/*
 * Notes a fault in *faults, a list that is made by the first (NULL before; the caller's to drop).
 * loc is stolen and may be NULL with an exception; so may msg. `input` may be NULL for none. 0, or
 * -1 with an exception.
 */
int py_validation_error_note(PyObject **faults, const char *type, PyObject *loc, PyObject *msg,
                             PyObject *input);
/* The same for a field of the top, with a fixed message. */
int py_validation_error_field(PyObject **faults, const char *type, const char *field,
                              const char *msg, PyObject *input);
/* Raises what was noted about a `title`; steals *faults and leaves NULL. Always NULL. */
PyObject *py_validation_error_raise(PyObject **faults, const char *title);
/* The message of the first fault of the exception being raised ("payload.a: …"), which is cleared
 * with it; a new str or NULL with an exception. Of another exception: its str(). */
PyObject *py_validation_error_words(void);

#endif
