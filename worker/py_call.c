// SPDX-License-Identifier: Apache-2.0
#include "worker/py_call.h"

#include "worker/py_ask.h"
#include "worker/py_view.h"

#include <ctype.h>

enum { METHOD_MAX = 16 };

/* --- calls --- */

static int take_method(PyObject *method, char out[METHOD_MAX])
{
    static const char *const known[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"};
    const char *text = method ? PyUnicode_AsUTF8(method) : "GET";
    if (!text)
        return -1;
    size_t len = 0;
    for (; text[len] && len < METHOD_MAX - 1; len++)
        out[len] = (char)toupper((unsigned char)text[len]);
    out[len] = '\0';
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(out, known[i]) == 0)
            return 0;
    PyErr_Format(PyExc_ValueError,
                 "%R is no HTTP method: GET, POST, PUT, DELETE, PATCH, HEAD or OPTIONS", method);
    return -1;
}

/* Both spellings, "basics/counter" and Path("basics/counter.py"), as str. A new reference. */
static PyObject *take_object_id(PyObject *value)
{
    PyObject *id = PyOS_FSPath(value); /* a str stays itself */
    if (id && !PyUnicode_Check(id)) {
        PyErr_SetString(PyExc_TypeError, "an object id is a str");
        Py_CLEAR(id);
    }
    if (id && PyUnicode_GET_LENGTH(id) == 0) {
        PyErr_SetString(PyExc_ValueError, "an object id is not empty");
        Py_CLEAR(id);
    }
    return id;
}

static PyObject *call(PyObject *(*ask)(const struct py_question *q), const char *function,
                      PyObject *object, PyObject *method, PyObject *request, PyObject *timeout)
{
    char name[METHOD_MAX];
    struct py_question q = {.kind = RPC_ASK_CALL,
                            .function = function,
                            .method = name,
                            .request = request,
                            .timeout = timeout,
                            .query = {"", 0}};
    if (take_method(method, name) < 0)
        return NULL;
    q.object_id = take_object_id(object);
    PyObject *result = q.object_id ? ask(&q) : NULL;
    Py_XDECREF(q.object_id);
    return result;
}

static PyObject *parse_and_call(PyObject *(*ask)(const struct py_question *q), const char *function,
                                const char *format, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"object_id", "method", "request", "timeout", NULL};
    PyObject *object, *method = NULL, *request = NULL, *timeout = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &object, &method, &request,
                                     &timeout))
        return NULL;
    return call(ask, function, object, method, request, timeout);
}

PyObject *py_call_object(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return parse_and_call(py_ask_wait, "call_object", "O|UOO:call_object", args, kwargs);
}

/* --- the coroutine: it asks when it is first awaited, as coroutines do --- */

static PyObject *call_later; /* async def call_object_async(…) */

static PyObject *call_future(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return parse_and_call(py_ask_future, "call_object_async", "O|UOO:call_object_async", args,
                          kwargs);
}

static PyMethodDef call_future_method = {"call_future", (PyCFunction)(void (*)(void))call_future,
                                         METH_VARARGS | METH_KEYWORDS, NULL};

static int make_coroutine_function(void)
{
    static const char source[] =
        "async def call_object_async(object_id, method='GET', request=None, timeout=None):\n"
        "    return await call_future(object_id, method, request, timeout)\n";
    PyObject *names = PyDict_New(), *function = PyCFunction_New(&call_future_method, NULL);
    PyObject *code = Py_CompileString(source, "<frozen objectd>", Py_file_input);
    PyObject *done = NULL;
    if (names && function && code && PyDict_SetItemString(names, "call_future", function) == 0)
        done = PyEval_EvalCode(code, names, names);
    call_later = done ? PyDict_GetItemString(names, "call_object_async") : NULL;
    Py_XINCREF(call_later);
    Py_XDECREF(names);
    Py_XDECREF(function);
    Py_XDECREF(code);
    Py_XDECREF(done);
    return call_later ? 0 : -1;
}

PyObject *py_call_object_async(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return PyObject_Call(call_later, args, kwargs);
}

/* --- handles --- */

struct handle {
    PyObject ob_base;
    PyObject *object_id;
};

static PyObject *id_of(PyObject *self)
{
    return ((struct handle *)self)->object_id;
}

static PyObject *handle_execute(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"method", "request", "timeout", NULL};
    PyObject *method = NULL, *request = NULL, *timeout = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|UOO:execute", names, &method, &request,
                                     &timeout))
        return NULL;
    return call(py_ask_wait, "execute", id_of(self), method, request, timeout);
}

static PyObject *handle_get_state(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", "default", NULL};
    PyObject *key = NULL, *otherwise = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|UO:get_state", names, &key, &otherwise))
        return NULL;
    return py_view_state(id_of(self), key, otherwise);
}

static PyObject *handle_get_logs(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return py_view_logs(id_of(self), args, kwargs);
}

static PyObject *handle_get_metadata(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_view_metadata(id_of(self));
}

static PyObject *handle_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<object %R>", id_of(self));
}

static PyObject *get_object_id(PyObject *self, void *closure)
{
    (void)closure;
    Py_INCREF(id_of(self));
    return id_of(self);
}

static void handle_dealloc(PyObject *self)
{
    Py_XDECREF(id_of(self));
    PyObject_Free(self);
}

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef handle_methods[] = {
    {"execute", KEYWORDS(handle_execute), METH_VARARGS | METH_KEYWORDS,
     "execute(method=\"GET\", request=None, timeout=None): as call_object"},
    {"get_state", KEYWORDS(handle_get_state), METH_VARARGS | METH_KEYWORDS,
     "get_state(key=None, default=None): all of it, or the value of one key"},
    {"get_logs", KEYWORDS(handle_get_logs), METH_VARARGS | METH_KEYWORDS,
     "get_logs(level=None, limit=None, offset=0, **filters)"},
    {"get_metadata", handle_get_metadata, METH_NOARGS, "what ?metadata=true shows"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef handle_attributes[] = {
    {"object_id", get_object_id, NULL, "as it was given to load_object", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject handle_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Object",
    .tp_basicsize = sizeof(struct handle),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Another object of the station.",
    .tp_dealloc = handle_dealloc,
    .tp_repr = handle_repr,
    .tp_methods = handle_methods,
    .tp_getset = handle_attributes,
};

PyObject *py_call_load(PyObject *self, PyObject *path_or_id)
{
    (void)self;
    PyObject *id = take_object_id(path_or_id);
    struct handle *handle = id ? PyObject_New(struct handle, &handle_type) : NULL;
    if (handle)
        handle->object_id = id;
    else
        Py_XDECREF(id);
    return (PyObject *)handle;
}

int py_call_init(void)
{
    return PyType_Ready(&handle_type) < 0 ? -1 : make_coroutine_function();
}
