// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/py_imports.h"

#include "common/clock.h"
#include "common/venv.h"
#include "worker/py_runtime.h"
#include "worker/py_venv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILE_MAX = 16 * 1024 * 1024 /* a larger file counts as changed whenever it is written */ };
#define STAMP_SLACK_US 10000 /* times of files are coarse */

static struct {
    char *own;           /* path of the object's file */
    uint64_t started_us; /* wall time: what was written later may be newer than what was imported */
    PyObject *reported;  /* set of str: paths */
    PyObject *failed;    /* list of str: paths from a failed import */
    Py_ssize_t modules;  /* in sys.modules at the last report */
} imports;

int py_imports_start(const char *path)
{
    imports.own = strdup(path);
    imports.started_us = clock_wall_us();
    imports.reported = PySet_New(NULL);
    imports.failed = PyList_New(0);
    if (imports.own && imports.reported && imports.failed)
        return 0;
    PyErr_NoMemory();
    return -1;
}

bool py_imports_have_grown(void)
{
    return PyDict_GET_SIZE(PyImport_GetModuleDict()) != imports.modules;
}

/* --- what a file holds --- */

static uint64_t hash_fd(int fd, off_t size)
{
    char *text = malloc((size_t)size + 1);
    ssize_t n = text ? read(fd, text, (size_t)size) : -1;
    uint64_t hash = n == size ? XXH3_64bits(text, (size_t)n) : RPC_IMPORT_UNKNOWN;
    free(text);
    return hash;
}

/* RPC_IMPORT_STALE when it was written while the import ran, and may not be what was imported. */
static uint64_t hash_of(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return RPC_IMPORT_UNKNOWN;
    uint64_t hash = RPC_IMPORT_UNKNOWN, now_us = clock_wall_us();
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX) {
        uint64_t written_us =
            (uint64_t)st.st_mtim.tv_sec * 1000000u + (uint64_t)st.st_mtim.tv_nsec / 1000u;
        bool is_stale = written_us + STAMP_SLACK_US >= imports.started_us && written_us <= now_us;
        hash = is_stale ? RPC_IMPORT_STALE : hash_fd(fd, st.st_size);
    }
    close(fd);
    return hash;
}

/* --- one file --- */

/* The path below the objects folder; NULL: it is not there, or the object's own. */
static const char *below_objects(const char *path)
{
    const char *dir = PyUnicode_AsUTF8(py_runtime_facts()->objects_dir);
    size_t len = dir ? strlen(dir) : 0;
    if (!dir || strncmp(path, dir, len) != 0 || path[len] != '/' || strcmp(path, imports.own) == 0)
        return NULL;
    return path + len + 1;
}

static uint32_t report_file(struct buf *out, PyObject *file)
{
    if (!file || !PyUnicode_Check(file) || PySet_Contains(imports.reported, file) != 0)
        return 0;
    const char *path = PyUnicode_AsUTF8(file);
    const char *relative = path ? below_objects(path) : NULL;
    if (!relative || PySet_Add(imports.reported, file) < 0)
        return 0;
    struct rpc_import i = {span_of(relative), hash_of(path)};
    rpc_import_encode(out, &i);
    return 1;
}

/* The packages of a virtual environment are too many to be watched, and nobody writes them by hand.
 */
static uint32_t report_module(struct buf *out, PyObject *file)
{
    const char *path = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
    const char *relative = path ? below_objects(path) : NULL;
    return relative && !venv_holds(relative) ? report_file(out, file) : 0;
}

uint32_t py_imports_report(struct buf *out)
{
    PyObject *modules = PyImport_GetModuleDict(), *name, *module;
    Py_ssize_t at = 0;
    uint32_t count = 0;
    if (!imports.failed)
        return 0; /* the object's state was damaged: nothing was run */
    imports.modules = PyDict_GET_SIZE(modules);
    while (PyDict_Next(modules, &at, &name, &module))
        if (PyModule_Check(module))
            count += report_module(out, PyDict_GetItemString(PyModule_GetDict(module), "__file__"));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(imports.failed); i++)
        count += report_file(out, PyList_GET_ITEM(imports.failed, i));
    PyErr_Clear();
    return count;
}

/* --- a failed import --- */

static void add_path(PyObject *path)
{
    if (path && PyUnicode_Check(path))
        PyList_Append(imports.failed, path);
}

static void add_attribute(PyObject *exception, const char *name)
{
    PyObject *value = PyObject_GetAttrString(exception, name);
    add_path(value);
    Py_XDECREF(value);
    PyErr_Clear();
}

static void add_traceback(PyObject *exception)
{
    PyObject *traceback = PyException_GetTraceback(exception);
    while (traceback && PyTraceBack_Check(traceback)) {
        PyFrameObject *frame = ((PyTracebackObject *)traceback)->tb_frame;
        PyCodeObject *code = PyFrame_GetCode(frame);
        add_attribute((PyObject *)code, "co_filename");
        Py_DECREF(code);
        PyObject *next = (PyObject *)((PyTracebackObject *)traceback)->tb_next;
        Py_XINCREF(next);
        Py_DECREF(traceback);
        traceback = next;
    }
    Py_XDECREF(traceback);
}

/* a.b is a/b.py or a/b/__init__.py in one of these folders. */
static void add_candidates(const char *folder, size_t len, const char *module)
{
    static const char *const endings[] = {".py", "/__init__.py"};
    for (size_t i = 0; i < 2; i++) {
        struct buf path = BUF_INIT;
        buf_append(&path, folder, len);
        buf_putc(&path, '/');
        for (const char *c = module; *c; c++)
            buf_putc(&path, *c == '.' ? '/' : *c);
        buf_puts(&path, endings[i]);
        PyObject *text = buf_ok(&path) ? PyUnicode_DecodeFSDefault(buf_str(&path)) : NULL;
        add_path(text);
        Py_XDECREF(text);
        buf_free(&path);
    }
}

static void add_missing_module(PyObject *exception)
{
    PyObject *name = PyObject_GetAttrString(exception, "name");
    const char *module = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    const char *dir = PyUnicode_AsUTF8(py_runtime_facts()->objects_dir);
    const char *slash = strrchr(imports.own, '/');
    struct buf packages = BUF_INIT;
    if (module && dir && slash) {
        add_candidates(imports.own, (size_t)(slash - imports.own), module);
        add_candidates(dir, strlen(dir), module);
        if (py_venv_packages(&packages))
            add_candidates(packages.data, packages.len, module);
    }
    buf_free(&packages);
    Py_XDECREF(name);
}

void py_imports_failed(void)
{
    PyObject *exception = imports.failed ? py_take_exception() : NULL;
    if (!exception)
        return;
    add_traceback(exception);
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError))
        add_attribute(exception, "filename");
    if (PyErr_GivenExceptionMatches(exception, PyExc_ImportError))
        add_attribute(exception, "path");
    if (PyErr_GivenExceptionMatches(exception, PyExc_ModuleNotFoundError))
        add_missing_module(exception);
    PyErr_Clear();
    py_raise_again(exception);
}
