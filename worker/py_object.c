// SPDX-License-Identifier: Apache-2.0
#include "worker/py_object.h"

#include "worker/py_action.h"
#include "worker/py_concurrent.h"
#include "worker/py_endpoint.h"
#include "worker/py_error.h"
#include "worker/py_files.h"
#include "worker/py_handlers.h"
#include "worker/py_imports.h"
#include "worker/py_json.h"
#include "worker/py_logger.h"
#include "worker/py_runtime.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"
#include "worker/py_test.h"

#include <stdbool.h>
#include <stdlib.h>

struct loading {
    const struct rpc_load *load;
    char *path;         /* NUL-terminated */
    PyObject *filename; /* the same as str */
    PyObject *module;
    PyObject *names;    /* the module's dict; borrowed */
    PyObject *injected; /* dict */
};

static PyObject *source_text; /* bytes: what tracebacks show, whatever the file holds meanwhile */

/* --- the pieces around the module --- */

static PyObject *make_injected(void)
{
    return Py_BuildValue("{sO,sO,sO,sO,sO,sO,sO}", "_state_manager", py_state_manager(), "_state",
                         py_state_manager(), "_logger", py_logger(), "_log", py_logger(),
                         "_runtime", py_runtime(), "_files", py_files(), "_file_storage",
                         py_files());
}

static int inject(struct loading *l)
{
    return PyDict_Update(l->names, l->injected);
}

static PyObject *give_source(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(source_text), PyBytes_GET_SIZE(source_text),
                                "replace");
}

static PyMethodDef give_source_method = {"get_source", give_source, METH_NOARGS, NULL};

/* linecache asks for the source only when a traceback needs it. */
static int register_source(struct loading *l)
{
    source_text = PyBytes_FromStringAndSize(l->load->source.data, (Py_ssize_t)l->load->source.len);
    PyObject *linecache = source_text ? PyImport_ImportModule("linecache") : NULL;
    PyObject *cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
    PyObject *getter = cache ? PyCFunction_New(&give_source_method, NULL) : NULL;
    PyObject *lazy = getter ? PyTuple_Pack(1, getter) : NULL;
    int err = lazy ? PyObject_SetItem(cache, l->filename, lazy) : -1;
    Py_XDECREF(lazy);
    Py_XDECREF(getter);
    Py_XDECREF(cache);
    Py_XDECREF(linecache);
    return err;
}

/* Behind the standard library, so that an object called calendar.py breaks nobody, and before what
 * is installed. */
static Py_ssize_t path_position(PyObject *sys_path)
{
    Py_ssize_t count = PyList_GET_SIZE(sys_path);
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *entry = PyUnicode_AsUTF8(PyList_GET_ITEM(sys_path, i));
        if (entry && (strstr(entry, "site-packages") || strstr(entry, "dist-packages")))
            return i;
    }
    PyErr_Clear();
    return count;
}

static PyObject *folder_of(struct loading *l)
{
    const char *slash = strrchr(l->path, '/');
    if (!slash)
        return PyUnicode_FromString(".");
    return PyUnicode_DecodeFSDefaultAndSize(l->path, slash - l->path);
}

static int extend_path(struct loading *l)
{
    PyObject *sys_path = PySys_GetObject("path");
    PyObject *objects = py_runtime_facts()->objects_dir, *folder = folder_of(l);
    if (!folder || !sys_path || !PyList_Check(sys_path)) {
        Py_XDECREF(folder);
        return -1;
    }
    Py_ssize_t at = path_position(sys_path);
    int err = PyList_Insert(sys_path, at, folder);
    if (!err && PyUnicode_Compare(folder, objects) != 0)
        err = PyList_Insert(sys_path, at + 1, objects);
    Py_DECREF(folder);
    return err;
}

/* --- running the module --- */

/* json.py is an object called json, and the library's json stays what others import. */
static bool is_library_name(PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *names = PySys_GetObject("stdlib_module_names");
    bool taken =
        PyDict_Contains(modules, name) == 1 || (names && PySequence_Contains(names, name) == 1);
    PyErr_Clear();
    return taken;
}

static int make_module(struct loading *l)
{
    PyObject *id = py_runtime_facts()->object_id;
    l->module = PyModule_NewObject(id);
    if (!l->module)
        return -1;
    l->names = PyModule_GetDict(l->module);
    if (!is_library_name(id) && PyDict_SetItem(PyImport_GetModuleDict(), id, l->module) < 0)
        return -1;
    if (PyDict_SetItemString(l->names, "__file__", l->filename) < 0 ||
        PyDict_SetItemString(l->names, "__builtins__", PyEval_GetBuiltins()) < 0)
        return -1;
    return inject(l);
}

static int run_source(struct loading *l)
{
    char *source = span_dup(l->load->source);
    if (!source) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *code = NULL, *result = NULL;
    if (strlen(source) != l->load->source.len)
        PyErr_SetString(PyExc_SyntaxError, "the source contains NUL bytes");
    else
        code = Py_CompileStringObject(source, l->filename, Py_file_input, NULL, -1);
    if (code)
        result = PyEval_EvalCode(code, l->names, l->names);
    free(source);
    Py_XDECREF(code);
    Py_XDECREF(result);
    return result ? inject(l) : -1;
}

/* --- what READY says --- */

static int put_metadata(struct loading *l, struct buf *out)
{
    struct span text;
    PyObject *endpoint = py_endpoint_of(l->names);
    PyObject *methods = endpoint ? py_handlers_list() : NULL;
    PyObject *all =
        methods ? Py_BuildValue("{sOsO}", "endpoint", endpoint, "methods", methods) : NULL;
    PyObject *owner = all ? py_json_encode(all, &text) : NULL;
    if (owner)
        buf_append(out, text.data, text.len);
    Py_XDECREF(owner);
    Py_XDECREF(all);
    Py_XDECREF(methods);
    Py_XDECREF(endpoint);
    return owner ? 0 : -1;
}

static void set_role(PyObject *names)
{
    if (py_endpoint_is_stateless(names))
        py_state_set_role(STATE_STATELESS);
    else
        py_state_set_role(py_runtime_facts()->is_replica ? STATE_REPLICA : STATE_OWNER);
}

static int load_module(struct loading *l, struct buf *metadata)
{
    l->filename = PyUnicode_DecodeFSDefault(l->path);
    l->injected = make_injected();
    if (!l->filename || !l->injected || register_source(l) < 0 || extend_path(l) < 0)
        return -1;
    py_scope_enter(SCOPE_LOADING, 0, NULL);
    int err = make_module(l);
    if (!err)
        err = run_source(l);
    py_scope_leave();
    if (!err) {
        set_role(l->names);
        py_concurrent_set(py_endpoint_is_concurrent(l->names));
        err = py_handlers_find(l->names, l->injected);
    }
    if (!err)
        err = py_action_find(l->names, l->injected);
    if (!err)
        py_test_prepare(l->names, l->injected, l->filename);
    return err ? err : put_metadata(l, metadata);
}

static void describe_failure(struct loading *l, struct object_load_error *error)
{
    struct py_error e;
    py_imports_failed();
    py_error_take(&e, l->path);
    error->error = e.summary;
    error->traceback = e.traceback;
    error->line = e.line;
    buf_free(&e.type);
}

int py_object_load(const struct rpc_load *load, int checkpoint_fd, struct buf *metadata,
                   struct object_load_error *error)
{
    struct loading l = {.load = load, .path = span_dup(load->path)};
    if (!l.path || py_state_load(&load->state, checkpoint_fd, &error->error) < 0)
        return -1;
    int err = py_runtime_configure(load->object_id, load->settings);
    if (!err)
        err = py_imports_start(l.path);
    if (!err) {
        py_state_set_limit(py_runtime_facts()->turn_writes_max);
        err = load_module(&l, metadata);
    }
    if (err)
        describe_failure(&l, error);
    Py_XDECREF(l.filename);
    Py_XDECREF(l.injected);
    free(l.path); /* the module itself is kept for good */
    return err;
}
