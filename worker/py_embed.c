// SPDX-License-Identifier: Apache-2.0
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/py_embed.h"

#include "common/log.h"
#include "common/worker_fds.h"
#include "worker/deadline.h"
#include "worker/py_ask.h"
#include "worker/py_async.h"
#include "worker/py_call.h"
#include "worker/py_call_error.h"
#include "worker/py_compat.h"
#include "worker/py_concurrent.h"
#include "worker/py_error.h"
#include "worker/py_files.h"
#include "worker/py_json.h"
#include "worker/py_logger.h"
#include "worker/py_packages.h"
#include "worker/py_request.h"
#include "worker/py_response.h"
#include "worker/py_runtime.h"
#include "worker/py_schedule.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"
#include "worker/py_venv.h"

#include <signal.h>

static PyThreadState *idle_state;

/* --- start --- */

static int config_failed(PyStatus status)
{
    log_error("Python: %s", status.err_msg ? status.err_msg : "cannot start");
    return -1;
}

static PyStatus preconfigure(void)
{
    PyPreConfig pre;
    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1;
    return Py_PreInitialize(&pre);
}

/* Isolated from the environment and the user's site; the packages of the system, or of the
 * station's virtual environment, stay importable. */
static PyStatus configure(PyConfig *config)
{
    char *argv[] = {"objectd-worker"};
    PyConfig_InitIsolatedConfig(config);
    config->install_signal_handlers = 0;
    config->write_bytecode = 0; /* the objects tree belongs to its authors */
    config->pathconfig_warnings = 0;
    PyStatus status = PyConfig_SetBytesString(config, &config->program_name, py_venv_program());
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(config, 1, argv);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->stdio_encoding, L"utf-8");
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->stdio_errors, L"backslashreplace");
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(config);
    return status;
}

/* What nearly every object needs is imported once and shared by all workers. */
static int preload(void)
{
    static const char *const modules[] = {"asyncio",   "inspect",   "io",        "json",
                                          "linecache", "signal",    "threading", "traceback",
                                          "datetime",  "functools", "random",    "time"};
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        PyObject *module = PyImport_ImportModule(modules[i]);
        if (!module)
            return -1;
        Py_DECREF(module);
    }
    return 0;
}

static int line_buffer(const char *name)
{
    PyObject *stream = PySys_GetObject(name);
    PyObject *empty = PyTuple_New(0), *options = Py_BuildValue("{sO}", "line_buffering", Py_True);
    PyObject *method = stream ? PyObject_GetAttrString(stream, "reconfigure") : NULL;
    PyObject *done = method && empty && options ? PyObject_Call(method, empty, options) : NULL;
    Py_XDECREF(empty);
    Py_XDECREF(options);
    Py_XDECREF(method);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* A TimeoutError by which a Spine of necrostack knows that not only a handler of it has failed. */
static PyObject *deadline_error;

static PyObject *raise_timeout(void)
{
    PyErr_SetString(deadline_error, "the deadline of the call has passed");
    return NULL;
}

static PyObject *deadline_passed(PyObject *self, PyObject *args)
{
    int signal;
    PyObject *frame;
    (void)self;
    if (!PyArg_ParseTuple(args, "iO", &signal, &frame))
        return NULL;
    if (py_scope_id() == 0 && py_concurrent_is_late(frame))
        return raise_timeout();
    if (!deadline_take(py_scope_id()))
        Py_RETURN_NONE;
    py_scope_mark_timeout();
    if (py_async_cancel(frame))
        Py_RETURN_NONE;
    return raise_timeout();
}

static PyMethodDef deadline_method = {"deadline_passed", deadline_passed, METH_VARARGS, NULL};

static int make_deadline_error(void)
{
    PyObject *names = Py_BuildValue("{sO}", "ends_spine_run", Py_True);
    deadline_error =
        names ? PyErr_NewException("builtins.TimeoutError", PyExc_TimeoutError, names) : NULL;
    Py_XDECREF(names);
    return deadline_error ? 0 : -1;
}

static int install_deadline(void)
{
    if (make_deadline_error() < 0)
        return -1;
    PyObject *signal = PyImport_ImportModule("signal");
    PyObject *handler = PyCFunction_New(&deadline_method, NULL);
    PyObject *done =
        signal && handler ? PyObject_CallMethod(signal, "signal", "iO", SIGUSR1, handler) : NULL;
    Py_XDECREF(signal);
    Py_XDECREF(handler);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int enable_fault_handler(void)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *done = module ? PyObject_CallMethod(module, "enable", "i", FD_STACKS) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int start_parts(void)
{
    static int (*const parts[])(void) = {preload,          install_deadline,   enable_fault_handler,
                                         py_scope_init,    py_json_init,       py_error_init,
                                         py_state_init,    py_files_init,      py_schedule_init,
                                         py_logger_init,   py_runtime_init,    py_request_init,
                                         py_response_init, py_call_error_init, py_ask_init,
                                         py_call_init,     py_concurrent_init, py_packages_init};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i]() < 0)
            return -1;
    return line_buffer("stdout") < 0 || line_buffer("stderr") < 0 ? -1 : 0;
}

int py_embed_start(const char *venv)
{
    if (py_venv_start(venv) < 0)
        return -1;
    PyStatus status = preconfigure();
    if (PyStatus_Exception(status))
        return config_failed(status);
    PyConfig config;
    status = configure(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return config_failed(status);
    if (start_parts() < 0) {
        PyErr_Print();
        return -1;
    }
    return 0;
}

static void call_gc(const char *name)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *done = gc ? PyObject_CallMethod(gc, name, NULL) : NULL;
    Py_XDECREF(gc);
    Py_XDECREF(done);
    PyErr_Clear();
}

void py_embed_freeze(void)
{
    PyGC_Collect();
    PyGC_Disable();
    call_gc("freeze");
}

/* --- forks --- */

void py_embed_before_fork(void)
{
    PyOS_BeforeFork();
}

void py_embed_after_fork_parent(void)
{
    PyOS_AfterFork_Parent();
}

void py_embed_after_fork_child(void)
{
    PyOS_AfterFork_Child();
    PyGC_Enable();
    py_scope_adopt_thread();
}

/* --- waiting, signals --- */

void py_embed_release(void)
{
    idle_state = PyEval_SaveThread();
}

void py_embed_acquire(void)
{
    PyEval_RestoreThread(idle_state);
}

bool py_embed_is_single_threaded(void)
{
    PyThreadState *first = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    return !first || !PyThreadState_Next(first);
}

void py_embed_run_signals(void)
{
    if (PyErr_CheckSignals() < 0)
        PyErr_WriteUnraisable(NULL);
}

void py_embed_interrupt(int signal)
{
    PyErr_SetInterruptEx(signal);
}

void py_embed_dump_on(int signal, int fd)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *method = module ? PyObject_GetAttrString(module, "register") : NULL;
    PyObject *args = Py_BuildValue("(i)", signal);
    PyObject *options =
        Py_BuildValue("{s:i,s:O,s:O}", "file", fd, "all_threads", Py_True, "chain", Py_False);
    PyObject *done = method && args && options ? PyObject_Call(method, args, options) : NULL;
    if (!done)
        PyErr_Print();
    Py_XDECREF(module);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(options);
    Py_XDECREF(done);
}

static void flush_stream(const char *name)
{
    PyObject *stream = PySys_GetObject(name);
    PyObject *done = stream ? PyObject_CallMethod(stream, "flush", NULL) : NULL;
    Py_XDECREF(done);
    PyErr_Clear();
}

void py_embed_finish(void)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *done = atexit ? PyObject_CallMethod(atexit, "_run_exitfuncs", NULL) : NULL;
    if (!done)
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(atexit);
    Py_XDECREF(done);
    flush_stream("stdout");
    flush_stream("stderr");
}
