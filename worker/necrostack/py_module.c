// SPDX-License-Identifier: Apache-2.0
/*
 * py_module - the extension module necrostack._necrostack: nothing but the list of its parts.
 */
#include <Python.h>

#include "worker/necrostack/py_necrostack.h"

/* In the order in which they need each other. */
static int (*const parts[])(PyObject *module) = {
    py_event_add,
    py_logging_add,
    py_memory_backend_add,
    py_redis_backend_add,
    py_spine_add,
    NULL,
};

static int add_parts(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "version", OBJECTD_VERSION))
        return -1;
    for (size_t i = 0; parts[i]; i++)
        if (parts[i](module))
            return -1;
    return 0;
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "necrostack._necrostack",
    .m_doc = "The C side of necrostack; import the package instead.",
    .m_size = -1, /* its types are static, so there is one module a process */
};

PyMODINIT_FUNC PyInit__necrostack(void);

PyMODINIT_FUNC PyInit__necrostack(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && add_parts(module)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
