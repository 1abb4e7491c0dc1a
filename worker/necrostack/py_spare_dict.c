// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_spare_dict.h"

enum { SPARES_MAX = 1024 };

static PyObject *spares[SPARES_MAX];
static size_t count;

PyObject *py_spare_dict_copy(PyObject *dict)
{
    PyObject *copy;
    if (count == 0)
        return PyDict_Copy(dict);
    copy = spares[--count];
    if (PyDict_Update(copy, dict) < 0)
        Py_CLEAR(copy);
    return copy;
}

/* Clearing may let go of another event, whose dict comes here meanwhile. */
void py_spare_dict_put(PyObject *dict)
{
    if (Py_REFCNT(dict) == 1 && PyDict_CheckExact(dict) && !PyObject_GC_IsTracked(dict)) {
        PyDict_Clear(dict);
        if (count < SPARES_MAX) {
            spares[count++] = dict;
            return;
        }
    }
    Py_DECREF(dict);
}
