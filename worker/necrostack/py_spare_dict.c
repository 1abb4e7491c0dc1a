// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_spare_dict.h"

#include <stdbool.h>

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

/* Clearing may let go of another event, whose dict comes here meanwhile: that is left to Python,
 * which bounds how deep a chain of them is gone into. */
void py_spare_dict_put(PyObject *dict)
{
    static bool clearing;
    if (!clearing && Py_REFCNT(dict) == 1 && PyDict_CheckExact(dict) &&
        !PyObject_GC_IsTracked(dict)) {
        clearing = true;
        PyDict_Clear(dict);
        clearing = false;
        if (count < SPARES_MAX) {
            spares[count++] = dict;
            return;
        }
    }
    Py_DECREF(dict);
}
