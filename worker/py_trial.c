// SPDX-License-Identifier: Apache-2.0
#include "worker/py_trial.h"

#include "worker/file_stage.h"
#include "worker/py_ask.h"
#include "worker/py_async.h"
#include "worker/py_error.h"
#include "worker/py_files.h"
#include "worker/py_scope.h"
#include "worker/py_signature.h"
#include "worker/py_state.h"
#include "worker/py_turn.h"

#include <errno.h>
#include <stdio.h>

static struct {
    struct call_plan health, migrate; /* function NULL: the object has none */
    PyObject *filename;               /* str */
} trial;

/* --- what the object has --- */

static PyObject *function_named(PyObject *names, const char *name)
{
    PyObject *function = PyDict_GetItemString(names, name);
    return function && PyCallable_Check(function) && !PyType_Check(function) ? function : NULL;
}

static bool is_about_arguments(void)
{
    return PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError);
}

static int find_health(PyObject *names, PyObject *injected)
{
    PyObject *function = function_named(names, "health");
    if (!function || py_signature_plan_exact(&trial.health, "health", function, injected) == 0)
        return 0;
    trial.health = (struct call_plan){0};
    if (!is_about_arguments())
        return -1;
    PyErr_Clear();
    return 0;
}

int py_trial_find(PyObject *names, PyObject *injected, PyObject *filename)
{
    PyObject *migrate = function_named(names, "migrate_state");
    Py_INCREF(filename);
    trial.filename = filename;
    if (find_health(names, injected) < 0)
        return -1;
    return migrate ? py_signature_plan(&trial.migrate, "migrate_state", migrate, injected) : 0;
}

bool py_trial_has_health(void)
{
    return trial.health.function != NULL;
}

bool py_trial_has_migrate(void)
{
    return trial.migrate.function != NULL;
}

/* --- why it fails --- */

static void put_where(struct reply *reply, const struct py_error *e)
{
    char line[16];
    snprintf(line, sizeof(line), "%u", e->line);
    reply_add_field(reply, span_of("line"), span_of(line));
    reply_add_field(reply, span_of("traceback"),
                    (struct span){e->traceback.data, e->traceback.len});
}

/* The exception being raised becomes the answer. */
static void answer_exception(struct reply *reply, const char *name)
{
    struct py_error e;
    bool timed_out = py_scope_timed_out();
    py_error_take(&e, PyUnicode_AsUTF8(trial.filename));
    py_state_undo();
    file_stage_undo();
    py_turn_release(reply);
    reply_clear(reply);
    reply->status = 500;
    reply->outcome = timed_out ? RPC_OUTCOME_TIMEOUT : RPC_OUTCOME_RAISED;
    if (timed_out)
        buf_printf(&reply->text, "%s() took longer than workers.%s_timeout", name,
                   name[0] == 'h' ? "health" : "migrate");
    else
        buf_printf(&reply->text, "%s() raised %s", name, buf_str(&e.summary));
    put_where(reply, &e);
    reply_use_text(reply, "text/plain");
    py_error_free(&e);
}

/* --- running one --- */

static PyObject *call_plan(const struct call_plan *plan, PyObject *argument)
{
    PyObject *result = py_signature_call(plan, argument);
    if (result && Py_TYPE(result)->tp_as_async && Py_TYPE(result)->tp_as_async->am_await)
        result = py_async_run(result);
    return result;
}

static void refuse_unhealthy(struct reply *reply, PyObject *result)
{
    PyObject *shown = PyObject_Repr(result);
    const char *text = shown ? PyUnicode_AsUTF8(shown) : NULL;
    reply->status = 500;
    reply->outcome = RPC_OUTCOME_RAISED;
    buf_printf(&reply->text, "health() returned %.200s%s", text ? text : "something else",
               PyBool_Check(result) ? "" : ", not True or False");
    reply_use_text(reply, "text/plain");
    Py_XDECREF(shown);
    PyErr_Clear();
}

static void run_health(uint64_t id, struct reply *reply)
{
    py_scope_enter(SCOPE_HEALTH, id, NULL);
    PyObject *result = call_plan(&trial.health, Py_None);
    if (!result)
        answer_exception(reply, "health");
    else if (result != Py_True)
        refuse_unhealthy(reply, result);
    Py_XDECREF(result);
    py_ask_end_turn(id);
    py_scope_leave();
}

static int keep_writes(struct reply *reply)
{
    int err = py_files_prepare(reply);
    if (!err)
        err = py_state_commit(reply);
    if (err == -EFBIG)
        PyErr_SetString(PyExc_RuntimeError, "more state than one turn may write "
                                            "(limits.turn_writes_max)");
    if (!err)
        file_stage_commit();
    return err;
}

static void run_migrate(uint64_t id, PyObject *old_version, struct reply *reply)
{
    py_scope_enter(SCOPE_TURN, id, NULL);
    PyObject *result = old_version ? call_plan(&trial.migrate, old_version) : NULL;
    if (!result || keep_writes(reply) < 0)
        answer_exception(reply, "migrate_state");
    Py_XDECREF(result);
    py_ask_end_turn(id);
    py_scope_leave();
}

void py_trial_run(uint64_t id, const struct rpc_call *call, struct reply *reply)
{
    reply_clear(reply);
    py_state_set_readonly(false);
    if (call->kind == RPC_CALL_HEALTH) {
        run_health(id, reply);
        return;
    }
    PyObject *text = PyUnicode_FromStringAndSize(call->body.data, (Py_ssize_t)call->body.len);
    PyObject *old_version = text ? PyLong_FromUnicodeObject(text, 10) : NULL;
    run_migrate(id, old_version, reply);
    Py_XDECREF(old_version);
    Py_XDECREF(text);
}
