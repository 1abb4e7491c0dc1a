// SPDX-License-Identifier: Apache-2.0
#include "worker/py_test.h"
#include "worker/file_stage.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "worker/py_async.h"
#include "worker/py_error.h"
#include "worker/py_json.h"
#include "worker/py_request.h"
#include "worker/py_runtime.h"
#include "worker/py_schedule.h"
#include "worker/py_scope.h"
#include "worker/py_signature.h"
#include "worker/py_state.h"

#include <limits.h>

enum verdict { TEST_PASS, TEST_FAIL, TEST_SKIP, TEST_ERROR, TEST_VERDICTS };

static const char *const verdict_names[TEST_VERDICTS] = {"pass", "fail", "skip", "error"};

static struct {
    PyObject *names;    /* the module's dict */
    PyObject *injected; /* dict */
    PyObject *filename; /* str */
} subject;

/* One run of all tests. */
struct run {
    uint64_t id;
    const struct rpc_call *call;
    struct buf results; /* JSON, comma separated */
    unsigned counts[TEST_VERDICTS];
    bool is_over; /* the deadline has passed: the rest is not run */
};

/* What one test came to. */
struct outcome {
    enum verdict verdict;
    uint64_t ns;
    PyObject *result;    /* of a test that passed; owned */
    struct py_error why; /* of one that did not */
    struct buf message;  /* the same for people */
};

void py_test_prepare(PyObject *names, PyObject *injected, PyObject *filename)
{
    Py_INCREF(names);
    Py_INCREF(injected);
    Py_INCREF(filename);
    subject.names = names;
    subject.injected = injected;
    subject.filename = filename;
}

/* --- which tests, in which order --- */

static bool is_test(PyObject *name, PyObject *value)
{
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    PyErr_Clear();
    return text && strncmp(text, "test_", 5) == 0 && PyCallable_Check(value) &&
           !PyType_Check(value);
}

/* The code of what a decorator wraps, where that says so. */
static PyObject *code_of(PyObject *function)
{
    PyObject *inspect = PyImport_ImportModule("inspect");
    PyObject *inner = inspect ? PyObject_CallMethod(inspect, "unwrap", "O", function) : NULL;
    PyObject *code = inner ? PyObject_GetAttrString(inner, "__code__") : NULL;
    Py_XDECREF(inner);
    Py_XDECREF(inspect);
    PyErr_Clear();
    return code;
}

/* Its line in the object's file; what comes from elsewhere stands behind all of those. */
static long line_of(PyObject *function)
{
    PyObject *code = code_of(function);
    PyObject *file = code ? PyObject_GetAttrString(code, "co_filename") : NULL;
    PyObject *line = code ? PyObject_GetAttrString(code, "co_firstlineno") : NULL;
    long found = LONG_MAX;
    if (file && line && PyUnicode_Check(file) && PyUnicode_Compare(file, subject.filename) == 0)
        found = PyLong_AsLong(line);
    Py_XDECREF(code);
    Py_XDECREF(file);
    Py_XDECREF(line);
    PyErr_Clear();
    return found;
}

/* (line, place in the module, name, function): places differ, so nothing behind is compared. */
static int add_test(PyObject *list, Py_ssize_t place, PyObject *name, PyObject *function)
{
    PyObject *entry = Py_BuildValue("(lnOO)", line_of(function), place, name, function);
    int err = entry ? PyList_Append(list, entry) : -1;
    Py_XDECREF(entry);
    return err;
}

static PyObject *list_tests(void)
{
    PyObject *list = PyList_New(0), *items = PyDict_Items(subject.names);
    int err = list && items ? 0 : -1;
    for (Py_ssize_t i = 0; !err && i < PyList_GET_SIZE(items); i++) {
        PyObject *pair = PyList_GET_ITEM(items, i), *name = PyTuple_GET_ITEM(pair, 0);
        if (is_test(name, PyTuple_GET_ITEM(pair, 1)))
            err = add_test(list, i, name, PyTuple_GET_ITEM(pair, 1));
    }
    if (!err)
        err = PyList_Sort(list);
    Py_XDECREF(items);
    if (err)
        Py_CLEAR(list);
    return list;
}

/* --- one test --- */

static bool is_called(PyObject *exception, const char *const *names, size_t count)
{
    PyObject *mro = Py_TYPE(exception)->tp_mro;
    for (Py_ssize_t i = 0; mro && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        for (size_t n = 0; n < count; n++)
            if (strcmp(type->tp_name, names[n]) == 0)
                return true;
    }
    return false;
}

/* By name, as neither module need be imported. */
static enum verdict verdict_of(PyObject *exception)
{
    static const char *const skips[] = {"SkipTest", "Skipped"}, *const fails[] = {"Failed"};
    if (is_called(exception, skips, 2))
        return TEST_SKIP;
    if (PyErr_GivenExceptionMatches(exception, PyExc_AssertionError) ||
        is_called(exception, fails, 1))
        return TEST_FAIL;
    return TEST_ERROR;
}

/* A bare `assert` says nothing: its line does. */
static void quote_line(struct outcome *o)
{
    PyObject *linecache = PyImport_ImportModule("linecache");
    PyObject *line = linecache ? PyObject_CallMethod(linecache, "getline", "OI", subject.filename,
                                                     (unsigned)o->why.line)
                               : NULL;
    PyObject *stripped = line ? PyObject_CallMethod(line, "strip", NULL) : NULL;
    const char *text = stripped ? PyUnicode_AsUTF8(stripped) : NULL;
    buf_printf(&o->message, "line %u: %s", (unsigned)o->why.line, text ? text : "");
    Py_XDECREF(linecache);
    Py_XDECREF(line);
    Py_XDECREF(stripped);
    PyErr_Clear();
}

static void describe(struct outcome *o)
{
    size_t skip = o->why.type.len + 2; /* "AssertionError: " */
    if (o->verdict == TEST_ERROR)
        buf_append(&o->message, buf_str(&o->why.summary), o->why.summary.len);
    else if (o->why.summary.len > skip)
        buf_append(&o->message, o->why.summary.data + skip, o->why.summary.len - skip);
    else if (o->verdict == TEST_FAIL && o->why.line)
        quote_line(o);
}

static void take_failure(struct outcome *o)
{
    PyObject *exception = py_take_exception();
    o->verdict = exception ? verdict_of(exception) : TEST_ERROR;
    if (exception)
        py_raise_again(exception);
    const char *path = PyUnicode_AsUTF8(subject.filename);
    py_error_take(&o->why, path);
    describe(o);
}

static PyObject *refuse_generator(PyObject *result)
{
    Py_DECREF(result);
    PyErr_SetString(PyExc_TypeError,
                    "a test that yields does not run: it only returns a generator");
    return NULL;
}

static PyObject *call_test(const struct call_plan *plan, PyObject *request)
{
    PyObject *result = py_signature_call(plan, request);
    if (result && Py_TYPE(result)->tp_as_async && Py_TYPE(result)->tp_as_async->am_await)
        result = py_async_run(result);
    if (result && (PyGen_CheckExact(result) || PyAsyncGen_CheckExact(result)))
        result = refuse_generator(result);
    return result;
}

static PyObject *plan_and_call(const char *name, PyObject *function, PyObject *request)
{
    struct call_plan plan;
    PyObject *result = NULL;
    if (py_signature_plan_exact(&plan, name, function, subject.injected) == 0)
        result = call_test(&plan, request);
    py_signature_free(&plan);
    return result;
}

static void time_out(struct outcome *o)
{
    o->verdict = TEST_ERROR;
    buf_reset(&o->message, 0);
    buf_puts(&o->message, "TimeoutError: the tests took longer than the object's timeout");
    buf_reset(&o->why.type, 0);
    buf_puts(&o->why.type, "TimeoutError"); /* asyncio may say CancelledError */
}

static void run_test(struct run *run, const char *name, PyObject *function, struct outcome *o)
{
    uint64_t begun = clock_mono_ns();
    PyObject *request = py_request_new(run->id, run->call, -1);
    py_scope_enter(SCOPE_TEST, run->id, request);
    o->result = request ? plan_and_call(name, function, request) : NULL;
    if (!o->result)
        take_failure(o);
    run->is_over = py_scope_timed_out();
    if (run->is_over && !o->result)
        time_out(o);
    py_state_undo();
    file_stage_undo();
    py_schedule_undo();
    py_scope_leave();
    if (request)
        py_request_detach(request);
    Py_XDECREF(request);
    o->ns = clock_mono_ns() - begun;
}

/* --- the document --- */

static void put_member(struct buf *out, const char *name, const struct buf *text)
{
    json_put_key(out, name);
    json_put_string(out, text->data ? text->data : "", text->len);
}

static void put_result(struct buf *out, PyObject *result)
{
    struct span text;
    PyObject *owner = py_json_encode_lossy(result, &text);
    json_put_key(out, "result");
    if (owner)
        buf_append(out, text.data, text.len);
    else
        buf_puts(out, "null");
    Py_XDECREF(owner);
    PyErr_Clear();
}

static void put_outcome(struct buf *out, const char *name, const struct outcome *o)
{
    if (out->len)
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "test", name);
    json_put_member(out, "status", verdict_names[o->verdict]);
    json_put_key(out, "exec_time_ms");
    buf_printf(out, "%.3f", (double)o->ns / 1e6);
    if (o->verdict == TEST_PASS) {
        put_result(out, o->result);
    } else {
        put_member(out, "error", &o->message);
        put_member(out, "error_type", &o->why.type);
        if (o->verdict != TEST_SKIP && py_runtime_facts()->expose_tracebacks &&
            o->why.traceback.len)
            put_member(out, "traceback", &o->why.traceback);
    }
    buf_putc(out, '}');
}

static void skip_rest(struct outcome *o)
{
    o->verdict = TEST_SKIP;
    buf_puts(&o->message, "not run: the time for the tests was over");
    buf_puts(&o->why.type, "TimeoutError");
}

static void run_entry(struct run *run, PyObject *entry)
{
    const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(entry, 2));
    struct outcome o = {.verdict = TEST_PASS};
    if (run->is_over)
        skip_rest(&o);
    else
        run_test(run, name ? name : "?", PyTuple_GET_ITEM(entry, 3), &o);
    put_outcome(&run->results, name ? name : "?", &o);
    run->counts[o.verdict]++;
    Py_XDECREF(o.result);
    py_error_free(&o.why);
    buf_free(&o.message);
}

static void put_document(struct buf *out, const struct run *run)
{
    unsigned failed = run->counts[TEST_FAIL] + run->counts[TEST_ERROR];
    unsigned count = failed + run->counts[TEST_PASS] + run->counts[TEST_SKIP];
    const char *id = PyUnicode_AsUTF8(py_runtime_facts()->object_id);
    buf_puts(out, "{\"status\":");
    buf_puts(out, count == 0 ? "\"ok\"" : failed ? "\"fail\"" : "\"pass\"");
    if (count == 0)
        json_put_member(out, "message", "it has no tests: define functions named test_…");
    json_put_member(out, "object_id", id ? id : "?");
    json_put_number(out, "test_count", count);
    json_put_number(out, "passed", run->counts[TEST_PASS]);
    json_put_number(out, "failed", failed);
    json_put_number(out, "skipped", run->counts[TEST_SKIP]);
    json_put_key(out, "results");
    buf_putc(out, '[');
    buf_append(out, run->results.data ? run->results.data : "", run->results.len);
    buf_puts(out, "]}");
    if (!buf_ok(&run->results))
        out->failed = true;
}

void py_test_run(uint64_t id, const struct rpc_call *call, struct reply *reply)
{
    struct run run = {.id = id, .call = call};
    reply_clear(reply);
    PyObject *tests = list_tests();
    if (!tests) {
        struct py_error e;
        py_error_take(&e, NULL);
        reply_error(reply, 500, RPC_OUTCOME_RAISED, "%s", buf_str(&e.summary));
        py_error_free(&e);
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tests); i++)
        run_entry(&run, PyList_GET_ITEM(tests, i));
    Py_DECREF(tests);
    put_document(&reply->text, &run);
    buf_free(&run.results);
    reply_use_text(reply, "application/json; charset=utf-8");
}
