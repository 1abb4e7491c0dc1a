// SPDX-License-Identifier: Apache-2.0
#include "worker/py_runtime.h"

#include "worker/file_stage.h"
#include "worker/py_call.h"
#include "worker/py_call_error.h"
#include "worker/py_json.h"
#include "worker/py_request.h"
#include "worker/py_scope.h"

static struct runtime_facts facts;
static PyObject *runtime;

static PyObject *get_station_id(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    Py_INCREF(facts.station_id);
    return facts.station_id;
}

static PyObject *get_object_id(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    Py_INCREF(facts.object_id);
    return facts.object_id;
}

static PyObject *get_request_id(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    PyObject *request = py_scope_request();
    if (!request)
        Py_RETURN_NONE;
    return py_request_id(request);
}

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef runtime_methods[] = {
    {"call_object", KEYWORDS(py_call_object), METH_VARARGS | METH_KEYWORDS,
     "call_object(object_id, method=\"GET\", request=None, timeout=None): what its handler "
     "returned"},
    {"call_object_async", KEYWORDS(py_call_object_async), METH_VARARGS | METH_KEYWORDS,
     "the same, to be awaited"},
    {"load_object", py_call_load, METH_O, "load_object(path_or_id): a handle of another object"},
    {NULL, NULL, 0, NULL},
};

/* The classes of what call_object() raises: except _runtime.ObjectError. */
static PyObject *get_class(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    PyObject *found = text ? py_call_error_class(text) : NULL;
    if (found)
        return found;
    PyErr_Clear();
    return PyObject_GenericGetAttr(self, name);
}

static PyGetSetDef runtime_attributes[] = {
    {"station_id", get_station_id, NULL, "the station that runs this", NULL},
    {"object_id", get_object_id, NULL, "the id of this object", NULL},
    {"request_id", get_request_id, NULL, "of the running turn; None outside", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject runtime_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Runtime",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The object's view of its station.",
    .tp_methods = runtime_methods,
    .tp_getset = runtime_attributes,
    .tp_getattro = get_class,
};

int py_runtime_init(void)
{
    if (PyType_Ready(&runtime_type) < 0)
        return -1;
    facts.object_id = PyUnicode_New(0, 0);
    facts.station_id = PyUnicode_New(0, 0);
    facts.objects_dir = PyUnicode_New(0, 0);
    runtime = PyObject_New(PyObject, &runtime_type);
    return runtime && facts.objects_dir ? 0 : -1;
}

static int take_text(PyObject *settings, const char *name, PyObject **slot)
{
    PyObject *value = PyDict_GetItemString(settings, name);
    if (!value || !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_ValueError, "setting %s is missing", name);
        return -1;
    }
    Py_INCREF(value);
    Py_XSETREF(*slot, value);
    return 0;
}

static uint64_t number_of(PyObject *settings, const char *name, uint64_t otherwise)
{
    PyObject *value = PyDict_GetItemString(settings, name);
    return value && PyLong_Check(value) ? PyLong_AsUnsignedLongLongMask(value) : otherwise;
}

static bool is_true(PyObject *settings, const char *name)
{
    return PyDict_GetItemString(settings, name) == Py_True;
}

static const char *text_or_empty(PyObject *settings, const char *key)
{
    PyObject *value = PyDict_GetItemString(settings, key);
    const char *text = value && PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    return text ? text : "";
}

static int configure_files(PyObject *settings)
{
    const char *id = PyUnicode_AsUTF8(facts.object_id);
    int err = id ? file_stage_configure(text_or_empty(settings, "data_dir"), id,
                                        text_or_empty(settings, "files_owner"),
                                        number_of(settings, "files_bytes_max", UINT64_MAX),
                                        number_of(settings, "files_count_max", UINT64_MAX))
                 : 0;
    if (err)
        PyErr_NoMemory();
    return id && !err ? 0 : -1;
}

static int take_settings(PyObject *settings)
{
    if (!PyDict_Check(settings)) {
        PyErr_SetString(PyExc_ValueError, "settings are no JSON object");
        return -1;
    }
    facts.boot = number_of(settings, "boot", 0);
    facts.turn_writes_max = number_of(settings, "turn_writes_max", UINT64_MAX);
    facts.body_max = number_of(settings, "body_max", UINT64_MAX);
    facts.schedule_payload_max = number_of(settings, "schedule_payload_max", UINT64_MAX);
    facts.scheduled = PyDict_GetItemString(settings, "scheduled");
    if (facts.scheduled && !PyList_Check(facts.scheduled))
        facts.scheduled = NULL;
    Py_XINCREF(facts.scheduled);
    facts.expose_tracebacks = is_true(settings, "expose_tracebacks");
    facts.timeout_grace_ns = number_of(settings, "timeout_grace_ns", 0);
    facts.is_replica = is_true(settings, "replica");
    if (configure_files(settings) < 0)
        return -1;
    return take_text(settings, "station_id", &facts.station_id) < 0
               ? -1
               : take_text(settings, "objects_dir", &facts.objects_dir);
}

int py_runtime_configure(struct span object_id, struct span text)
{
    PyObject *id = py_text(object_id.data, object_id.len);
    PyObject *settings = id ? py_json_decode(text.data, text.len) : NULL;
    if (id)
        Py_SETREF(facts.object_id, id);
    int err = settings ? take_settings(settings) : -1;
    Py_XDECREF(settings);
    return err;
}

const struct runtime_facts *py_runtime_facts(void)
{
    return &facts;
}

PyObject *py_runtime(void)
{
    return runtime;
}
