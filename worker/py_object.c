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
#include "worker/py_schedule.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"
#include "worker/py_test.h"
#include "worker/py_trial.h"
#include "worker/py_venv.h"

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

/* --- the pieces around the module --- */

static PyObject *make_injected(void)
{
    return Py_BuildValue("{sO,sO,sO,sO,sO,sO,sO,sO,sO}", "_state_manager", py_state_manager(),
                         "_state", py_state_manager(), "_logger", py_logger(), "_log", py_logger(),
                         "_runtime", py_runtime(), "_files", py_files(), "_file_storage",
                         py_files(), "_schedule", py_schedule(), "_unschedule", py_unschedule());
}

static int inject(struct loading *l)
{
    return PyDict_Update(l->names, l->injected);
}

/* The lines of the source, as the file may hold other ones meanwhile. */
static PyObject *source_lines(const struct loading *l)
{
    PyObject *text =
        PyUnicode_DecodeUTF8(l->load->source.data, (Py_ssize_t)l->load->source.len, "replace");
    PyObject *lines = text ? PyUnicode_Splitlines(text, 1) : NULL;
    Py_XDECREF(text);
    return lines;
}

/* What tracebacks show: an entry of linecache without a time is not looked for on the disk. */
static int register_source(struct loading *l)
{
    PyObject *lines = source_lines(l);
    PyObject *linecache = lines ? PyImport_ImportModule("linecache") : NULL;
    PyObject *cache = linecache ? PyObject_GetAttrString(linecache, "cache") : NULL;
    PyObject *entry = cache ? Py_BuildValue("(nOOO)", (Py_ssize_t)l->load->source.len, Py_None,
                                            lines, l->filename)
                            : NULL;
    int err = entry ? PyObject_SetItem(cache, l->filename, entry) : -1;
    Py_XDECREF(entry);
    Py_XDECREF(cache);
    Py_XDECREF(linecache);
    Py_XDECREF(lines);
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

/* The compiler reads the line that it shows from the file, which may be another version's. */
static void mend_syntax_error(struct loading *l)
{
    if (!PyErr_ExceptionMatches(PyExc_SyntaxError))
        return;
    PyObject *exception = py_take_exception();
    PyObject *lineno = PyObject_GetAttrString(exception, "lineno");
    PyObject *lines = source_lines(l);
    Py_ssize_t line = lineno && PyLong_Check(lineno) ? PyLong_AsSsize_t(lineno) : 0;
    if (lines && line >= 1 && line <= PyList_GET_SIZE(lines))
        PyObject_SetAttrString(exception, "text", PyList_GET_ITEM(lines, line - 1));
    Py_XDECREF(lines);
    Py_XDECREF(lineno);
    PyErr_Clear(); /* without it the traceback shows less, no more */
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
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
    else
        mend_syntax_error(l);
    free(source);
    Py_XDECREF(code);
    Py_XDECREF(result);
    return result ? inject(l) : -1;
}

/* --- what READY says --- */

/* Nothing where there is nothing to say, as for most objects. */
static int put_list(PyObject *all, const char *key, PyObject *list)
{
    int err = list ? 0 : -1;
    if (list && PyList_GET_SIZE(list) > 0)
        err = PyDict_SetItemString(all, key, list);
    Py_XDECREF(list);
    return err;
}

static int put_schedules(PyObject *all)
{
    int err = put_list(all, "schedules", py_schedule_imported());
    return err ? err : put_list(all, "missing", py_schedule_missing(py_runtime_facts()->scheduled));
}

static int put_metadata(struct loading *l, struct buf *out)
{
    struct span text;
    PyObject *endpoint = py_endpoint_of(l->names);
    PyObject *methods = endpoint ? py_handlers_list() : NULL;
    PyObject *all =
        methods ? Py_BuildValue("{sOsO}", "endpoint", endpoint, "methods", methods) : NULL;
    if (all && put_schedules(all) < 0)
        Py_CLEAR(all);
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

static const char *objects_dir(void)
{
    PyObject *dir = py_runtime_facts()->objects_dir; /* NULL: malformed settings */
    return dir ? PyUnicode_AsUTF8(dir) : "";
}

static int load_module(struct loading *l, struct buf *metadata)
{
    l->filename = PyUnicode_DecodeFSDefault(l->path);
    l->injected = make_injected();
    if (!l->filename || !l->injected || register_source(l) < 0 ||
        py_venv_enter(objects_dir(), l->path) < 0 || extend_path(l) < 0)
        return -1;
    py_scope_enter(SCOPE_LOADING, 0, NULL);
    int err = make_module(l);
    if (!err) {
        py_schedule_set_module(l->names, l->injected);
        err = run_source(l);
    }
    py_scope_leave();
    if (!err)
        err = py_schedule_check_module();
    if (!err) {
        set_role(l->names);
        py_concurrent_set(py_endpoint_is_concurrent(l->names));
        err = py_handlers_find(l->names, l->injected);
    }
    if (!err)
        err = py_action_find(l->names, l->injected);
    if (!err)
        err = py_trial_find(l->names, l->injected, l->filename);
    if (!err)
        py_test_prepare(l->names, l->injected, l->filename);
    return err ? err : put_metadata(l, metadata);
}

static void describe_failure(struct loading *l, struct object_load_error *error)
{
    struct py_error e;
    struct buf hint = BUF_INIT;
    py_imports_failed();
    py_venv_hint(objects_dir(), &hint);
    py_error_take(&e, l->path);
    buf_puts(&e.summary, buf_str(&hint));
    buf_free(&hint);
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
