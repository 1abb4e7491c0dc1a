// SPDX-License-Identifier: Apache-2.0
/*
 * py_module - the extension module necrostack._necrostack: nothing but the list of its parts.
 */
#include <Python.h>

#include "worker/necrostack/py_necrostack.h"

/* In the order in which they need each other. */
static int (*const parts[])(PyObject *module) = {
    py_event_add, py_logging_add, py_memory_backend_add, py_redis_backend_add, py_spine_add, NULL,
};

/* Its types are static and its parts remember what they found in other modules, so there is one a
 * process; who drops it from sys.modules and imports it again gets the same. */
static PyObject *the_module;
static size_t parts_added;

static int add_parts(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "version", OBJECTD_VERSION))
        return -1;
    for (; parts[parts_added]; parts_added++)
        if (parts[parts_added](module))
            return -1;
    return 0;
}

/* What it remembers belongs to the interpreter that imported it, and would outlive another. */
static PyObject *module_create(PyObject *spec, PyModuleDef *unused)
{
    (void)unused;
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "necrostack works in the main interpreter of a process, not in others "
                        "(mod_wsgi: WSGIApplicationGroup %{GLOBAL})");
        return NULL;
    }
    if (!the_module) {
        PyObject *name = PyObject_GetAttrString(spec, "name");
        the_module = name ? PyModule_NewObject(name) : NULL;
        Py_XDECREF(name);
    }
    return Py_XNewRef(the_module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_create, module_create},
    {Py_mod_exec, add_parts},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "necrostack._necrostack",
    .m_doc = "The C side of necrostack; import the package instead.",
    .m_size = 0,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__necrostack(void);

PyMODINIT_FUNC PyInit__necrostack(void)
{
    return PyModuleDef_Init(&definition);
}
