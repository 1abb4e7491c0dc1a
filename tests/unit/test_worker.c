// SPDX-License-Identifier: Apache-2.0
/* links: tests/unit/worker_driver.c common/buf.c common/channel.c common/clock.c common/codec.c
 * common/log.c common/json_text.c common/utf8.c common/memfd.c common/rpc.c common/file_store.c
 * common/state_file.c common/tsv.c */
/*
 * The real objectd-worker (environment OBJECTD_WORKER, else ./objectd-worker) with this program as
 * its supervisor: loading, signatures, returns, requests, state, streams, deadlines, deaths.
 */
#include "tests/unit/worker_driver.h"

#include "common/clock.h"
#include "common/memfd.h"
#include "common/stack_marks.h"
#include "common/state_file.h"

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct driver_nursery nursery;
static struct driver_worker worker;
static struct driver_reply reply;
static char *metadata;

static void start_nursery(void)
{
    driver_start_nursery(&nursery);
}

static void stop_nursery(void)
{
    driver_stop_nursery(&nursery);
}

/* Check's own limit needs a process for each case, and so a nursery for each. */
static void begin_case(void)
{
    alarm(120);
}

static void load(const char *source)
{
    metadata = driver_load(&nursery, &worker, source);
}

/* An object with wait(), which ends when the file of this path (64 bytes) is removed. */
static void load_that_waits(char *path, const char *handlers)
{
    char *source = NULL;
    strcpy(path, "/tmp/test_worker.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_gt(asprintf(&source,
                              "import os\ndef wait():\n    while os.path.exists('%s'): pass\n%s",
                              path, handlers),
                     0);
    load(source);
    free(source);
}

static void unload(void)
{
    driver_reply_free(&reply);
    driver_kill(&worker);
    free(metadata);
    metadata = NULL;
}

static void call(const struct driver_call *c)
{
    driver_reply_free(&reply);
    driver_call(&worker, c, &reply);
}

static void get(const char *target)
{
    call(&(struct driver_call){.target = target});
}

static void ck_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        ck_abort_msg("\"%s\" is not in \"%s\"", part, text);
}

/* --- load --- */

START_TEST(loads)
{
    load("__endpoint__ = {'name': 'x', 'n': [1, 2.5]}\n"
         "def GET(request): return {}\nasync def POST(request): return {}\n");
    ck_assert_str_eq(metadata, "{\"endpoint\": {\"name\": \"x\", \"n\": [1, 2.5]}, "
                               "\"methods\": [\"GET\", \"POST\"]}");
    ck_assert_int_ne(getpgid(worker.pid), getpgid(0));
    unload();
}
END_TEST

static const struct {
    const char *source, *error;
    uint32_t line;
} bad_sources[] = {
    {"def GET(request):\n    return {\n", "SyntaxError: '{' was never closed", 2},
    {"x = 1\nraise ValueError('no')\n", "ValueError: no", 2},
    {"import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
     1},
    {"def f():\n    1/0\n\nf()\n", "ZeroDivisionError: division by zero", 2},
    {"_state_manager.set('a', 1)\n",
     "RuntimeError: state cannot be written while the module is being imported", 1},
    {"_state.increment('a')\n",
     "RuntimeError: state cannot be written while the module is being imported", 1},
    {"GET = 5\n", "TypeError: GET is int, not a function", 0},
    {"def GET(request, database): return 1\n",
     "TypeError: GET() has a parameter 'database' that nothing is known to give: handlers take "
     "request, injected names (such as _state_manager) and parameters with defaults",
     0},
    {"__endpoint__ = 7\n", "TypeError: __endpoint__ is a dict, not int", 0},
    {"__endpoint__ = {'a': object}\n", "TypeError: Object of type type is not JSON serializable",
     0},
    {"import sys\nsys.exit(3)\n", "SystemExit: 3", 2},
};

START_TEST(does_not_load)
{
    uint32_t line;
    char *error = driver_load_fails(&nursery, &worker, bad_sources[_i].source, &line);
    /* What could be installed may follow. */
    if (strncmp(error, bad_sources[_i].error, strlen(bad_sources[_i].error)) != 0)
        ck_assert_str_eq(error, bad_sources[_i].error);
    ck_assert_uint_eq(line, bad_sources[_i].line);
    free(error);
    int status = driver_wait_exit(&worker);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(module_sees_itself)
{
    load("import sys\n_logger = None\n_early = _runtime.object_id\n"
         "def GET(request):\n"
         "    return [__name__, __file__, sys.modules['test'].__dict__ is globals(), _early,\n"
         "            _logger is not None, '/nonexistent/objects' in sys.path]\n");
    get(NULL);
    ck_assert_str_eq(reply.body, "[\"test\", \"/nonexistent/objects/test.py\", true, \"test\", "
                                 "true, true]");
    unload();
}
END_TEST

START_TEST(names_of_the_library_are_no_trouble)
{
    static const char *const names[] = {"json", "queue"};
    struct frame f;
    driver_spawn(&nursery, &worker);
    driver_send_load(&worker, names[_i], "/nonexistent/objects/json.py",
                     "import json, queue, concurrent.futures\n"
                     "def GET(request): return json.dumps([__name__, queue.Queue.__name__])\n",
                     -1, NULL, 0);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_READY);
    get(NULL);
    ck_contains(reply.body, "\", \"Queue\"]");
    unload();
}
END_TEST

static size_t open_descriptors(pid_t pid)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count - 2;
}

START_TEST(descriptors_are_its_own)
{
    struct driver_worker other;
    driver_spawn_two(&nursery, &worker, &other);
    driver_send_load(&worker, "test", "/t.py", "def GET(r): return 1\n", -1, NULL, 0);
    struct frame f;
    ck_assert(driver_next(&worker, &f) && f.type == RPC_READY);
    /* stdin, stdout, stderr, RPC, answers, stacks, eventfd */
    ck_assert_uint_eq(open_descriptors(worker.pid), 7);
    driver_kill(&other);
    unload();
}
END_TEST

START_TEST(workers_differ_in_random)
{
    static const char source[] = "import random\ndef GET(request): return str(random.random())\n";
    load(source);
    get(NULL);
    char *first = strdup(reply.body);
    unload();
    load(source);
    get(NULL);
    ck_assert_str_ne(first, reply.body);
    free(first);
    unload();
}
END_TEST

START_TEST(thread_ids_are_right)
{
    load("import os, threading\n"
         "def GET(request): return threading.get_native_id() == os.getpid()\n");
    get(NULL);
    ck_assert_str_eq(reply.body, "true");
    unload();
}
END_TEST

/* --- signatures --- */

static const struct {
    const char *source, *body;
} signatures[] = {
    {"def GET(request): return request.method", "GET"},
    {"def GET(): return 'none'", "none"},
    {"def GET(req): return req.method", "GET"},
    {"def GET(_state_manager, r): return r.method + str(len(_state_manager))", "GET0"},
    {"def GET(request, _logger, _runtime): return _runtime.object_id", "test"},
    {"def GET(_state, _log): return str(_state is _state_manager)", "True"},
    {"def GET(request, n=5): return str(n)", "5"},
    {"def GET(n=5, *, request): return request.method + str(n)", "GET5"},
    {"def GET(request, *, _runtime, k='d'): return _runtime.station_id + k", "station1d"},
    {"def GET(*args, **kwargs): return str(len(args)) + args[0].method + str(len(kwargs))",
     "1GET0"},
    {"def GET(request, /, _logger=None): return str(_logger is not None)", "True"},
    {"GET = lambda request: 'lambda'", "lambda"},
    {"class H:\n  def __call__(self, request): return 'object'\nGET = H()", "object"},
    {"import functools\ndef d(f):\n  @functools.wraps(f)\n  def w(*a, **k): return f(*a, **k)\n"
     "  return w\n@d\ndef GET(request, _runtime): return _runtime.object_id",
     "test"},
    {"async def GET(request, _state): return str(len(_state))", "0"},
};

START_TEST(signature)
{
    load(signatures[_i].source);
    get(NULL);
    ck_assert_str_eq(reply.body, signatures[_i].body);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_OK);
    unload();
}
END_TEST

/* --- returns --- */

#define JSON "application/json; charset=utf-8"
#define HTML "text/html; charset=utf-8"

static const struct {
    const char *expression;
    unsigned status;
    const char *content_type, *body, *fields;
} returns[] = {
    {"{'a': 1}", 200, JSON, "{\"a\": 1}", ""},
    {"[1, 2.5, None, True, 'ü']", 200, JSON, "[1, 2.5, null, true, \"ü\"]", ""},
    {"{'content_type': 'text/css', 'body': 'b{}'}", 200, "text/css", "b{}", ""},
    {"{'content_type': 'image/png', 'body': b'\\x89P', 'status': 201}", 201, "image/png", "\x89P",
     ""},
    {"{'content_type': 'x', 'body': 'b', 'other': 1}", 200, JSON,
     "{\"content_type\": \"x\", \"body\": \"b\", \"other\": 1}", ""},
    {"(201, {'X-A': 'b', 'Content-Type': 'a/b'}, 'text')", 201, "a/b", "text", "X-A: b\n"},
    {"(200, [('X-A', '1'), ('X-A', '2')], {})", 200, JSON, "{}", "X-A: 1\nX-A: 2\n"},
    {"(200, {'X-N': 5, 'X-L': ['a', 'b']}, None)", 200, "", "", "X-N: 5\nX-L: a\nX-L: b\n"},
    {"(200, {'Content-Length': '7', 'Connection': 'close'}, 'x')", 200, HTML, "x", ""},
    {"({'error': 'no'}, 404)", 404, JSON, "{\"error\": \"no\"}", ""},
    {"('gone', 410)", 410, HTML, "gone", ""},
    {"'<b>'", 200, HTML, "<b>", ""},
    {"'\\ud800'", 200, HTML, "\\ud800", ""},
    {"b'abc'", 200, "application/octet-stream", "abc", ""},
    {"bytearray(b'abc')", 200, "application/octet-stream", "abc", ""},
    {"5", 200, JSON, "5", ""},
    {"2.5", 200, JSON, "2.5", ""},
    {"True", 200, JSON, "true", ""},
    {"{'s': '\\ud800'}", 200, JSON, "{\"s\": \"\\ud800\"}", ""},
    {"None", 204, "", "", ""},
    {"(None, 404)", 404, "", "", ""},
    {"('text', 204)", 204, "", "", ""},
};

START_TEST(returns_form)
{
    struct buf source = BUF_INIT;
    buf_printf(&source, "def GET(request): return %s\n", returns[_i].expression);
    load(buf_str(&source));
    get(NULL);
    ck_assert_str_eq(reply.body, returns[_i].body);
    ck_assert_uint_eq(reply.status, returns[_i].status);
    ck_assert_str_eq(reply.content_type, returns[_i].content_type);
    ck_assert_str_eq(reply.fields, returns[_i].fields);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_OK);
    buf_free(&source);
    unload();
}
END_TEST

static const struct {
    const char *body;  /* of the handler */
    const char *error; /* part of the answer */
} failures[] = {
    {"return object()", "TypeError: the handler returned object, which is no reply"},
    {"return {1, 2}", "TypeError: the handler returned set, which is no reply"},
    {"return (1, 2, 3, 4)", "TypeError: the handler returned a tuple of 4"},
    {"return {'a': float('nan')}", "ValueError: Out of range float values"},
    {"return {'a': object()}", "TypeError: Object of type object is not JSON serializable"},
    {"a = []; a.append(a); return a", "RecursionError"},
    {"return ('x', 42)", "ValueError: a status is a number from 200 to 599, not 42"},
    {"return (200, {'X': 'a\\r\\nb'}, '')", "cannot be sent"},
    {"return (200, {'X Y': 'a'}, '')", "cannot be sent"},
    {"raise ValueError('no')", "\"error\":\"ValueError: no\",\"error_type\":\"ValueError\""},
    {"raise SystemExit(1)", "SystemExit: 1"},
    {"import sys; sys.exit()", "\"error\":\"SystemExit\""},
    {"raise KeyboardInterrupt", "KeyboardInterrupt"},
    {"return GET(request)", "RecursionError: maximum recursion depth exceeded"},
    {"raise TimeoutError('mine')", "\"error\":\"TimeoutError: mine\""},
    {"raise Exception('\\ud800')", "Exception: \\\\ud800"},
    {"class E(Exception):\n        def __str__(self): 1/0\n    raise E()", "\"error\":\"E\""},
    {"_state.set('a', 1); return object()", "is no reply"},
};

START_TEST(failure)
{
    struct buf source = BUF_INIT, logs = BUF_INIT;
    buf_printf(&source, "def GET(request):\n    %s\n", failures[_i].body);
    load(buf_str(&source));
    driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    driver_wait_reply(&worker, &reply, &logs);
    ck_assert_uint_eq(reply.status, 500);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_RAISED);
    ck_assert_uint_eq(reply.write_count, 0);
    ck_contains(reply.body, "{\"status\":\"error\",\"error\":");
    ck_contains(reply.body, failures[_i].error);
    ck_contains(buf_str(&logs), "ERROR ");
    get(NULL); /* it goes on */
    buf_free(&source);
    buf_free(&logs);
    unload();
}
END_TEST

START_TEST(traceback_is_the_users)
{
    load("import asyncio\ndef helper():\n    raise KeyError('k')\n"
         "async def GET(request):\n    await asyncio.sleep(0)\n    helper()\n");
    get(NULL);
    ck_contains(reply.body, "File \\\"/nonexistent/objects/test.py\\\", line 6, in GET\\n"
                            "    helper()");
    ck_contains(reply.body, "line 3, in helper");
    ck_assert_ptr_null(strstr(reply.body, "asyncio"));
    unload();
}
END_TEST

START_TEST(large_reply)
{
    load("def GET(request): return b'x' * 1000000\n");
    get(NULL);
    ck_assert_uint_eq(reply.body_size, 1000000);
    ck_assert(reply.body[0] == 'x' && reply.body[999999] == 'x');
    unload();
}
END_TEST

START_TEST(methods)
{
    load("def GET(request): return request.method\ndef PUT(request): return 1\n");
    call(&(struct driver_call){.method = "HEAD"});
    ck_assert_str_eq(reply.body, "HEAD");
    call(&(struct driver_call){.method = "OPTIONS"});
    ck_assert_uint_eq(reply.status, 204);
    ck_assert_str_eq(reply.fields, "Allow: GET, HEAD, PUT, OPTIONS\n");
    call(&(struct driver_call){.method = "POST"});
    ck_assert_uint_eq(reply.status, 405);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_REFUSED);
    ck_assert_str_eq(reply.fields, "Allow: GET, HEAD, PUT, OPTIONS\n");
    ck_assert_str_eq(reply.body, "{\"status\":\"error\",\"error\":\"object test has no POST\"}");
    unload();
    load("x = 1\n");
    get(NULL);
    ck_assert_uint_eq(reply.status, 405);
    ck_contains(reply.body, "object test has no handlers");
    unload();
}
END_TEST

START_TEST(response_object)
{
    load("def GET(request):\n"
         "    r = request.response\n"
         "    r.status = 202\n    r.content_type = 'text/plain'\n    r.headers['X-A'] = 'ü'\n"
         "    r.set_cookie('sid', 'abc', max_age=60, httponly=True, samesite='Lax')\n"
         "    r.set_cookie('b')\n"
         "    return 'x'\n"
         "def POST(request):\n    request.response.set_cookie('a', 'b; Path=/x')\n"
         "def PUT(request):\n    request.response.status = 201\n    del request.response.status\n");
    get(NULL);
    ck_assert_uint_eq(reply.status, 202);
    ck_assert_str_eq(reply.content_type, "text/plain");
    ck_assert_str_eq(reply.fields,
                     "X-A: ü\n"
                     "Set-Cookie: sid=abc; Max-Age=60; Path=/; SameSite=Lax; HttpOnly\n"
                     "Set-Cookie: b=; Path=/\n");
    call(&(struct driver_call){.method = "POST"});
    ck_contains(reply.body, "ValueError: the value of a cookie must not contain");
    call(&(struct driver_call){.method = "PUT"});
    ck_assert_uint_eq(reply.status, 204);
    unload();
}
END_TEST

/* --- request --- */

static const struct {
    const char *expression;
    struct driver_call call;
    const char *body;
} requests[] = {
    {"dict(request)",
     {.target = "/objects/test?a=1&b=x+y%21&a=2&&c"},
     "{\"a\": \"2\", \"b\": \"x y!\", \"c\": \"\"}"},
    {"[request.query_list('a'), request.query_list('z')]",
     {.target = "/objects/test?a=1&a=2"},
     "[[\"1\", \"2\"], []]"},
    {"[request.get('n', 'd'), 'a' in request, request['a']]",
     {.target = "/objects/test?a=1"},
     "[\"d\", true, \"1\"]"},
    {"[request.path, request.path_parts]",
     {.target = "/objects/test/a%20b//c?x"},
     "[\"/objects/test/a b//c\", [\"a b\", \"c\"]]"},
    {"[request.method, request.remote_addr, request.station_id, request.user]",
     {0},
     "[\"GET\", \"127.0.0.1\", \"station1\", null]"},
    {"[request.user, request.request_id, _runtime.request_id]",
     {.user = "eve", .request_id = "r1"},
     "[\"eve\", \"r1\", \"r1\"]"},
    {"request.request_id", {0}, "station1-1a-1"},
    {"[dict(request), request.json]",
     {.body = "{\"a\": [1]}", .head = "Content-Type: application/json\r\n"},
     "[{\"a\": [1]}, {\"a\": [1]}]"},
    {"[dict(request), request.json]",
     {.target = "/objects/test?q=1",
      .body = " [1] ",
      .head = "content-type:application/x+json; charset=utf-8\r\n"},
     "[{\"q\": \"1\"}, [1]]"},
    {"[dict(request), request.json, request.forms, request.form, request.POST]",
     {.body = "a=1&b=%C3%BC&a=2", .head = "Content-Type: application/x-www-form-urlencoded\r\n"},
     "[{\"a\": \"2\", \"b\": \"ü\"}, null, {\"a\": \"2\", \"b\": \"ü\"}, {\"a\": \"2\", \"b\": "
     "\"ü\"}, {\"a\": \"2\", \"b\": \"ü\"}]"},
    {"[request.json, str(request.body), dict(request)]",
     {.body = "{}", .head = "Content-Type: text/plain\r\n"},
     "[null, \"b'{}'\", {}]"},
    {"[request.body.read(2), request.body.read(), request.body.read(), request.body] == [b'ab', "
     "b'cd', b'', b'abcd']",
     {.body = "abcd"},
     "true"},
    {"[hash(request.body) == hash(b'abcd'), len(request.body), request.body.decode()]",
     {.body = "abcd", .as_memfd = true},
     "[true, 4, \"abcd\"]"},
    {"dict(request)",
     {.body = "{\"big\": 1}", .as_memfd = true, .head = "Content-Type: application/json\r\n"},
     "{\"big\": 1}"},
    {"[request.headers['x-a'], request.headers.get('X-A'), 'X-a' in request.headers, "
     "request.get_header('x-A'), request.get_header('n', 5), request.headers.get('n'), "
     "dict(request.headers)]",
     {.head = "X-A:  1 \r\nX-A: 2\r\n"},
     "[\"1, 2\", \"1, 2\", true, \"1\", 5, null, {\"x-a\": \"1, 2\"}]"},
    {"request.cookies",
     {.head = "Cookie: a=b; c=\"d\"; e=f=g; bad\r\n"},
     "{\"a\": \"b\", \"c\": \"d\", \"e\": \"f=g\"}"},
    {"[dict(request), {k: [f.filename, f.content_type, f.content.decode(), "
     "f.file.read(2).decode(), f.size] for k, f in request.files.items()}]",
     {.head = "Content-Type: multipart/form-data; boundary=XX\r\n",
      .body =
          "--XX\r\nContent-Disposition: form-data; "
          "name=\"t\"\r\n\r\nv\xc3\xbc\r\n--XX\r\nContent-Disposition: form-data; name=\"u\"; "
          "filename=\"a \\\"b\\\".txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--XX--\r\n"},
     "[{\"t\": \"vü\"}, {\"u\": [\"a \\\"b\\\".txt\", \"text/plain\", \"hello\", \"he\", 5]}]"},
    {"[setattr(request, 'x', 1), request.x][1]", {0}, "1"},
    {"[request.files, request.forms, request.cookies, request.query]", {0}, "[{}, {}, {}, {}]"},
    {"request", {.target = "/objects/test?a=%FF%00"}, "{\"a\": \"\xef\xbf\xbd\\u0000\"}"},
};

START_TEST(request_attribute)
{
    struct buf source = BUF_INIT;
    buf_printf(&source, "def GET(request): return %s\n", requests[_i].expression);
    load(buf_str(&source));
    call(&requests[_i].call);
    ck_assert_str_eq(reply.body, requests[_i].body);
    buf_free(&source);
    unload();
}
END_TEST

static const struct driver_call bad_requests[] = {
    {.body = "{", .head = "Content-Type: application/json\r\n"},
    {.body = "{\"a\": NaN}", .head = "Content-Type: application/json\r\n"},
    {.body = "\xff", .head = "Content-Type: application/json\r\n"},
    {.body = "nonsense", .head = "Content-Type: application/json\r\n", .as_memfd = true},
    {.body = "x", .head = "Content-Type: multipart/form-data\r\n"},
    {.body = "--b\r\n", .head = "Content-Type: multipart/form-data; boundary=b\r\n"},
};

START_TEST(malformed_body)
{
    load("def GET(request): 1/0\n");
    call(&bad_requests[_i]);
    ck_assert_uint_eq(reply.status, 400);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_REFUSED);
    ck_contains(reply.body, "{\"status\":\"error\",\"error\":\"malformed request: ");
    unload();
}
END_TEST

START_TEST(deep_json_is_refused)
{
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = '\0';
    load("def GET(request): 1/0\n");
    call(&(struct driver_call){
        .body = deep, .as_memfd = true, .head = "Content-Type: application/json\r\n"});
    ck_assert_uint_eq(reply.status, 400);
    ck_contains(reply.body, "nested too deeply");
    free(deep);
    unload();
}
END_TEST

START_TEST(request_outlives_its_turn)
{
    load("kept = []\n"
         "def GET(request):\n    kept.append(request)\n    return 'kept'\n"
         "def POST(request):\n"
         "    r = kept[0]\n    return [r.path, r.get_header('a'), r.body.decode(), r.query]\n");
    call(&(struct driver_call){
        .target = "/objects/test/sub?q=1", .head = "A: b\r\n", .body = "content"});
    for (int i = 0; i < 50; i++)
        call(&(struct driver_call){.method = "POST", .body = "other other other other"});
    ck_assert_str_eq(reply.body, "[\"/objects/test/sub\", \"b\", \"content\", {\"q\": \"1\"}]");
    unload();
}
END_TEST

/* --- state --- */

static const char *const values[] = {
    "'00123'",
    "True",
    "None",
    "0",
    "-1",
    "2**63",
    "10**400",
    "1.5",
    "-0.0",
    "1e300",
    "''",
    "'tab\\tnl\\nnul\\0 quote\" back\\\\ ü 𝄞'",
    "'\\ud800'",
    "[]",
    "{}",
    "[1, {'a': None}]",
    "{'nested': {'a': [True, 1.0, 'x']}}",
    "'x' * 100000",
};

START_TEST(value_round_trip)
{
    struct buf source = BUF_INIT;
    /* Through a worker that knows it only as what TURN_DONE brought. */
    buf_printf(&source,
               "V = %s\n"
               "def GET(request):\n    _state.set('k', V)\n    r = _state.get('k')\n"
               "    return r == V and type(r) is type(V)\n"
               "def PUT(request):\n    r = _state['k']\n"
               "    return r == V and type(r) is type(V) and repr(r) == repr(V)\n",
               values[_i]);
    load(buf_str(&source));
    driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    struct frame f;
    struct rpc_turn_done m;
    ck_assert(driver_next(&worker, &f) && f.type == RPC_TURN_DONE);
    ck_assert(rpc_turn_done_decode(f.payload, &m));
    ck_assert_uint_eq(m.write_count, 1);
    ck_assert(span_equal(m.body, "true"));
    struct buf writes = BUF_INIT;
    buf_append(&writes, m.writes.data, m.writes.len);
    unload();
    driver_spawn(&nursery, &worker);
    driver_send_load(&worker, "test", "/t.py", buf_str(&source), -1, &writes, 1);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_READY);
    call(&(struct driver_call){.method = "PUT"});
    ck_assert_str_eq(reply.body, "true");
    buf_free(&writes);
    buf_free(&source);
    unload();
}
END_TEST

static const struct {
    const char *code, *body, *writes;
} state_cases[] = {
    {"_state.set('a', 1); _state.set('a', 2); return _state.get('a')", "2", "a=2\n"},
    {"_state.set('a', (1, {2: 3})); return _state.get('a')", "[1, {\"2\": 3}]",
     "a=[1, {\"2\": 3}]\n"},
    {"return [_state.get('x'), _state.get('x', 5), _state.get('x', default=6)]", "[null, 5, 6]",
     ""},
    {"_state['a'] = 'b'; x = _state['a']; del _state['a']; return [x, 'a' in _state]",
     "[\"b\", false]", ""},
    {"return [_state.delete('none'), _state.set('a', 1), _state.delete('a')]",
     "[false, null, true]", ""},
    {"return [_state.increment('n'), _state.increment('n', 2), _state.increment('n', by=0.5)]",
     "[1, 3, 3.5]", "n=3.5\n"},
    {"_state.set('b', 1); _state.set('a', [2]); _state.set('ab', 3)\n"
     "    return [_state.keys(), _state.keys('a'), _state.keys(prefix='b'), _state.items(),\n"
     "            _state.get_all(), len(_state), list(_state), 'a' in _state]",
     "[[\"a\", \"ab\", \"b\"], [\"a\", \"ab\"], [\"b\"], "
     "[[\"b\", 1], [\"a\", [2]], [\"ab\", 3]], {\"b\": 1, \"a\": [2], \"ab\": 3}, 3, "
     "[\"a\", \"ab\", \"b\"], true]",
     "b=1\na=[2]\nab=3\n"},
    {"_state.set('l', [1]); x = _state.get('l'); x.append(2); return _state.get('l')", "[1]",
     "l=[1]\n"},
    {"for i in range(20): _state.set(str(i % 10), i)\n    return len(_state)", "10",
     "0=10\n1=11\n2=12\n3=13\n4=14\n5=15\n6=16\n7=17\n8=18\n9=19\n"},
    {"import enum\n    class E(enum.IntEnum): A = 3\n    _state.set('e', E.A)\n"
     "    return [_state.get('e'), type(_state.get('e')).__name__]",
     "[3, \"int\"]", "e=3\n"},
    {"_state.set(key='k', value=1); return _state.get(key='k')", "1", "k=1\n"},
    {"class S(str): pass\n    _state.set(S('k'), S('v')); return type(_state.get('k')).__name__",
     "str", "k=\"v\"\n"},
};

START_TEST(state_case)
{
    struct buf source = BUF_INIT;
    buf_printf(&source, "def GET(request):\n    %s\n", state_cases[_i].code);
    load(buf_str(&source));
    get(NULL);
    ck_assert_str_eq(reply.body, state_cases[_i].body);
    ck_assert_str_eq(reply.writes, state_cases[_i].writes);
    buf_free(&source);
    unload();
}
END_TEST

static const struct {
    const char *code, *error;
} state_errors[] = {
    {"_state.set('a', float('nan'))", "TypeError"},
    {"_state.set('a', float('inf'))", "TypeError"},
    {"_state.set('a', [float('nan')])", "TypeError"},
    {"_state.set('a', object())", "TypeError"},
    {"_state.set('a', {(1, 2): 3})", "TypeError"},
    {"a = []; a.append(a); _state.set('a', a)", "TypeError"},
    {"_state.set('a', 10**5000)", "TypeError"},
    {"_state.set(1, 1)", "TypeError"},
    {"_state.set(None, 1)", "TypeError"},
    {"_state.get(1)", "TypeError"},
    {"_state.set('', 1)", "ValueError"},
    {"_state.set('\\ud800', 1)", "ValueError"},
    {"_state['none']", "KeyError"},
    {"del _state['none']", "KeyError"},
    {"_state.set('a', 'x'); _state.increment('a')", "TypeError"},
    {"_state.set('a', True); _state.increment('a')", "TypeError"},
    {"_state.increment('a', '1')", "TypeError"},
    {"_state.increment('a', True)", "TypeError"},
    {"_state.increment('a', float('inf'))", "TypeError"},
    {"_state.set('a')", "TypeError"},
    {"_state.set('a', 1, 2)", "TypeError"},
    {"_state.set('a', vlaue=1)", "TypeError"},
    {"_state.set('a', key='b')", "TypeError"},
    {"_state.get()", "TypeError"},
};

START_TEST(state_error)
{
    struct buf source = BUF_INIT;
    buf_printf(&source,
               "def GET(request):\n    try:\n        %s\n    except Exception as e:\n"
               "        return type(e).__name__\n    return 'nothing raised'\n",
               state_errors[_i].code);
    load(buf_str(&source));
    get(NULL);
    ck_assert_str_eq(reply.body, state_errors[_i].error);
    buf_free(&source);
    unload();
}
END_TEST

START_TEST(exception_undoes)
{
    load("def GET(request): return sorted(_state.items())\n"
         "def PUT(request):\n    _state.set('a', 1); _state.set('l', [1])\n"
         "    _state.set('gone', 1); _state.set('big', 2**70)\n"
         "def POST(request):\n"
         "    _state.set('a', 2); _state.set('a', 3); _state.delete('gone'); _state.set('new', 1)\n"
         "    _state.set('gone', 7); _state.increment('big')\n"
         "    for i in range(20): _state.set(str(i), i)\n    _state['l'] = []\n    1/0\n");
    call(&(struct driver_call){.method = "PUT"});
    get(NULL);
    char *before = strdup(reply.body);
    call(&(struct driver_call){.method = "POST"});
    ck_assert_uint_eq(reply.write_count, 0);
    get(NULL);
    ck_assert_str_eq(reply.body, before);
    free(before);
    unload();
}
END_TEST

START_TEST(too_many_writes)
{
    load("def GET(request):\n    _state.set('a', 'x' * 2000000)\n"
         "def PUT(request): return len(_state)\n"
         "def POST(request):\n    _state.set('a', 'x' * 200000)\n    return 'fits'\n");
    get(NULL);
    ck_assert_uint_eq(reply.status, 413);
    ck_contains(reply.body, "\"limit\":\"turn_writes_max\"}");
    ck_assert_uint_eq(reply.write_count, 0);
    call(&(struct driver_call){.method = "PUT"});
    ck_assert_str_eq(reply.body, "0");
    call(&(struct driver_call){.method = "POST"});
    ck_assert_str_eq(reply.body, "fits");
    ck_assert_uint_eq(reply.write_count, 1);
    unload();
}
END_TEST

static int checkpoint(const char *text)
{
    int fd = memfd_new("state.tsv");
    ck_assert_int_eq(memfd_write(fd, text, strlen(text)), 0);
    return fd;
}

START_TEST(checkpoint_and_writes)
{
    struct buf writes = BUF_INIT;
    struct frame f;
    rpc_write_encode(&writes, &(struct rpc_write){RPC_WRITE_SET, span_of("b"), span_of("[2]")});
    rpc_write_encode(&writes, &(struct rpc_write){RPC_WRITE_DELETE, span_of("c"), {"", 0}});
    rpc_write_encode(&writes, &(struct rpc_write){RPC_WRITE_DELETE, span_of("none"), {"", 0}});
    driver_spawn(&nursery, &worker);
    driver_send_load(&worker, "test", "/t.py",
                     "def GET(request): return _state.get_all()\n"
                     "def PUT(request): return _state.get('bad')\n",
                     checkpoint("#objectd-state 1 seq=9\na\t\"x\\\\ty\"\t1.5\nb\t1\t1.5\n"
                                "bad\t{oops\t1.5\nc\t1\t1.5\nd\t\t1.5\n"),
                     &writes, 3);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_READY);
    call(&(struct driver_call){.method = "PUT"});
    ck_contains(reply.body, "the stored value of 'bad' is not valid JSON");
    size_t frame = channel_begin(&worker.channel, RPC_RESET, 77);
    struct rpc_reset m = {.state = {.has_checkpoint = true, .writes = {"", 0}}};
    rpc_reset_encode(&worker.channel.out, &m);
    int fd = checkpoint("key\tvalue\ttimestamp\nn\t5\t1\nt\tfree text\t1\n");
    ck_assert_int_eq(channel_end(&worker.channel, frame, &fd, 1), 0);
    driver_flush(&worker);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_RESET_DONE && f.id == 77);
    get(NULL);
    ck_assert_str_eq(reply.body, "{\"n\": 5, \"t\": \"free text\"}");
    buf_free(&writes);
    unload();
}
END_TEST

START_TEST(damaged_checkpoint)
{
    struct frame f;
    struct rpc_load_failed m;
    driver_spawn(&nursery, &worker);
    driver_send_load(&worker, "test", "/t.py", "def GET(r): pass\n",
                     checkpoint("#objectd-state 1 seq=9\nno value\n"), NULL, 0);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_LOAD_FAILED);
    ck_assert(rpc_load_failed_decode(f.payload, &m));
    char *error = span_dup(m.error);
    ck_contains(error, "state.tsv, line 2");
    free(error);
    driver_wait_exit(&worker);
}
END_TEST

/* --- replicas, turns that may not write --- */

static void update(uint64_t id, enum rpc_write_op op, const char *key, const char *value)
{
    struct buf writes = BUF_INIT;
    rpc_write_encode(&writes, &(struct rpc_write){op, span_of(key), span_of(value)});
    driver_send_update(&worker, id, &writes, 1);
    buf_free(&writes);
}

static void load_replica(const char *source)
{
    metadata = driver_load_replica(&nursery, &worker, source);
}

START_TEST(replica_follows_the_owner)
{
    load_replica("def GET(request): return _state.get_all()\n");
    update(1, RPC_WRITE_SET, "a", "[1]");
    update(2, RPC_WRITE_SET, "b", "\"x\"");
    get(NULL);
    ck_assert_str_eq(reply.body, "{\"a\": [1], \"b\": \"x\"}");
    ck_assert_uint_eq(worker.page->applied_id, 2);
    update(3, RPC_WRITE_DELETE, "a", "");
    update(9, RPC_WRITE_SET, "b", "\"y\"");
    get(NULL);
    ck_assert_str_eq(reply.body, "{\"b\": \"y\"}");
    ck_assert_uint_eq(worker.page->applied_id, 9);
    unload();
}
END_TEST

#define EVERY_WRITE                                                                          \
    "import threading\n"                                                                     \
    "ways = [lambda: _state.set('a', 1), lambda: _state.delete('n'),\n"                      \
    "        lambda: _state.increment('n'), lambda: _state.__setitem__('a', 1)]\n"           \
    "def tried(out):\n"                                                                      \
    "    for way in ways:\n"                                                                 \
    "        try: way(); out.append('done')\n"                                               \
    "        except RuntimeError as e: out.append(str(e))\n"                                 \
    "def GET(request):\n    out = []\n    tried(out)\n    return out\n"                      \
    "def PUT(request):\n    out = []\n    t = threading.Thread(target=tried, args=(out,))\n" \
    "    t.start(); t.join()\n    return out\n"

static void ck_four_times(const char *part)
{
    size_t count = 0;
    for (const char *at = reply.body; (at = strstr(at, part)); at++)
        count++;
    ck_assert_msg(count == 4, "not four times \"%s\": %s", part, reply.body);
    ck_assert_uint_eq(reply.write_count, 0);
}

START_TEST(readonly_turn_cannot_write)
{
    load(EVERY_WRITE);
    update(1, RPC_WRITE_SET, "n", "1");
    call(&(struct driver_call){.readonly = true});
    ck_four_times("the method is declared readonly");
    get(NULL);
    ck_contains(reply.body, "[\"done\", \"done\", \"done\", \"done\"]");
    unload();
}
END_TEST

START_TEST(replica_cannot_write_outside_turns)
{
    load_replica(EVERY_WRITE);
    update(1, RPC_WRITE_SET, "n", "1");
    call(&(struct driver_call){.method = "PUT"});
    ck_four_times("this worker is a replica");
    driver_send_empty(&worker, RPC_PROMOTE, 0);
    call(&(struct driver_call){.method = "PUT"});
    ck_contains(reply.body, "[\"done\", \"done\", \"done\", \"done\"]");
    unload();
}
END_TEST

START_TEST(stateless_never_writes)
{
    load("__endpoint__ = {'stateless': True}\n" EVERY_WRITE);
    update(1, RPC_WRITE_SET, "n", "1");
    get(NULL);
    ck_four_times("the object is stateless");
    driver_send_empty(&worker, RPC_PROMOTE, 0);
    call(&(struct driver_call){.method = "PUT"});
    ck_four_times("the object is stateless");
    unload();
}
END_TEST

/* --- turns at once --- */

#define CONCURRENT "__endpoint__ = {'stateless': True, 'concurrent': 3}\nimport asyncio\n"

/* Sends them in one batch. */
static void send_calls(const struct driver_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        driver_send_call(&worker, &calls[i]);
    driver_flush(&worker);
}

static void wait_reply(uint64_t id)
{
    driver_reply_free(&reply);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert_uint_eq(reply.id, id);
}

START_TEST(turns_at_once)
{
    load(CONCURRENT "inside, everybody = 0, asyncio.Event()\n"
                    "async def GET(request):\n"
                    "    global inside\n    inside += 1\n"
                    "    if inside == 3: everybody.set()\n"
                    "    await everybody.wait()\n"
                    "    await asyncio.sleep(float(request['after']))\n"
                    "    return [request['after'], _runtime.request_id, request.request_id]\n");
    send_calls((struct driver_call[]){{.target = "/objects/test?after=0.06", .request_id = "a"},
                                      {.target = "/objects/test?after=0.03", .request_id = "b"},
                                      {.target = "/objects/test?after=0", .request_id = "c"}},
               3);
    wait_reply(3);
    ck_assert_str_eq(reply.body, "[\"0\", \"c\", \"c\"]");
    wait_reply(2);
    ck_assert_str_eq(reply.body, "[\"0.03\", \"b\", \"b\"]");
    wait_reply(1);
    ck_assert_str_eq(reply.body, "[\"0.06\", \"a\", \"a\"]");
    ck_assert_uint_eq(worker.page->begun_id, 3);
    ck_assert_uint_eq(worker.page->running_id, 0);
    unload();
}
END_TEST

START_TEST(each_of_the_turns_at_once_logs_and_fails_by_itself)
{
    struct buf logs = BUF_INIT;
    load(CONCURRENT "async def GET(request):\n    await asyncio.sleep(0.01)\n"
                    "    _log.info('here', what=request['what'])\n"
                    "    await asyncio.sleep(0.01)\n"
                    "    return {'ok': 1} if request['what'] == 'return' else 1 / 0\n"
                    "def POST(request): return 'sync'\n");
    send_calls((struct driver_call[]){{.target = "/objects/test?what=raise"},
                                      {.target = "/objects/test?what=return"},
                                      {.method = "POST"}},
               3);
    wait_reply(3);
    ck_assert_str_eq(reply.body, "sync");
    driver_reply_free(&reply);
    driver_wait_reply(&worker, &reply, &logs);
    ck_assert_uint_eq(reply.id, 1);
    ck_assert_uint_eq(reply.status, 500);
    ck_contains(reply.body, "ZeroDivisionError");
    ck_contains(buf_str(&logs), "INFO here {\"what\": \"raise\"}");
    ck_contains(buf_str(&logs), "INFO here {\"what\": \"return\"}");
    ck_contains(buf_str(&logs), "ERROR ZeroDivisionError");
    wait_reply(2);
    ck_assert_str_eq(reply.body, "{\"ok\": 1}");
    buf_free(&logs);
    unload();
}
END_TEST

START_TEST(deadline_of_one_of_the_turns_at_once)
{
    load(CONCURRENT "ends = []\n"
                    "async def GET(request):\n"
                    "    try: await asyncio.sleep(30)\n"
                    "    finally: ends.append('cancelled')\n"
                    "async def POST(request):\n"
                    "    while True:\n"
                    "        try: await asyncio.sleep(30)\n"
                    "        except asyncio.CancelledError: ends.append('deaf')\n"
                    "async def PUT(request):\n"
                    "    while len(ends) < 2: await asyncio.sleep(0.005)\n"
                    "    await asyncio.sleep(0.2)\n    return ends\n");
    send_calls((struct driver_call[]){{.timeout_ns = 50000000},
                                      {.method = "POST", .timeout_ns = 100000000},
                                      {.method = "PUT", .timeout_ns = 10000000000}},
               3);
    wait_reply(1);
    ck_assert_uint_eq(reply.status, 504);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_TIMEOUT);
    ck_contains(reply.body, "timed out after 0.");
    wait_reply(2); /* half of the grace later, whatever it does */
    ck_assert_uint_eq(reply.status, 504);
    wait_reply(3);
    ck_assert_str_eq(reply.body, "[\"cancelled\", \"deaf\"]");
    unload();
}
END_TEST

/* The signal finds the one that computes, and leaves those alone that have time. */
START_TEST(deadline_of_one_that_holds_the_loop)
{
    load(CONCURRENT "import time\nbegun = asyncio.Event()\n"
                    "async def GET(request):\n"
                    "    begun.set()\n    until = time.monotonic() + 20\n"
                    "    while time.monotonic() < until: pass\n"
                    "async def PUT(request):\n"
                    "    await begun.wait()\n    return 'well'\n");
    send_calls((struct driver_call[]){{.method = "PUT", .timeout_ns = 10000000000},
                                      {.timeout_ns = 50000000}},
               2);
    union sigval value = {.sival_ptr = (void *)(uintptr_t)1};
    struct pollfd readable = {.fd = worker.channel.fd, .events = POLLIN};
    while (poll(&readable, 1, 20) == 0)
        sigqueue(worker.pid, SIGUSR1, value);
    wait_reply(2);
    ck_assert_uint_eq(reply.status, 504);
    ck_contains(reply.body, "TimeoutError");
    wait_reply(1);
    ck_assert_str_eq(reply.body, "well");
    unload();
}
END_TEST

/* --- outside any turn --- */

static void wait_outside(struct buf *writes, const char *until)
{
    struct frame f;
    while (!strstr(buf_str(writes), until)) {
        struct rpc_outside_writes m;
        ck_assert(driver_next(&worker, &f) && f.type == RPC_OUTSIDE_WRITES);
        ck_assert(rpc_outside_writes_decode(f.payload, &m));
        driver_parse_writes(m.writes, writes);
    }
}

START_TEST(thread_writes_outside)
{
    struct buf writes = BUF_INIT;
    load("import threading\nseen = []\n"
         "def work(go):\n    go.wait()\n    _state.set('t', 1); seen.append(_state.get('t'))\n"
         "    seen.append(_state.increment('n', 5)); seen.append(len(_state))\n"
         "    _state.delete('t'); seen.append('t' in _state); _state.set('end', 1)\n"
         "def GET(request):\n"
         "    go = threading.Event()\n    t = threading.Thread(target=work, args=(go,))\n"
         "    t.start()\n    _state.increment('n')\n    go.set()\n    t.join()\n"
         "    return _state.get_all()\n"
         "def PUT(request): return [seen, _state.get_all()]\n");
    get(NULL);
    ck_assert_str_eq(reply.body, "{\"n\": 1}");
    ck_assert_str_eq(reply.writes, "n=1\n");
    wait_outside(&writes, "end=1");
    ck_assert_str_eq(buf_str(&writes), "t=1\nn=6\nt deleted\nend=1\n");
    call(&(struct driver_call){.method = "PUT"});
    ck_assert_str_eq(reply.body, "[[1, 6, 2, false], {\"n\": 6, \"end\": 1}]");
    buf_free(&writes);
    unload();
}
END_TEST

START_TEST(idle_thread_wakes_the_worker)
{
    struct buf writes = BUF_INIT;
    load("import threading, time\n"
         "def work():\n    time.sleep(0.2)\n    _state.set('late', [1])\n"
         "def GET(request):\n    threading.Thread(target=work).start()\n    return 1\n");
    get(NULL);
    ck_assert_uint_eq(reply.write_count, 0);
    wait_outside(&writes, "late=[1]\n");
    buf_free(&writes);
    unload();
}
END_TEST

START_TEST(leftover_task_goes_on)
{
    struct buf writes = BUF_INIT;
    load("import asyncio\n"
         "async def later():\n    await asyncio.sleep(0.05)\n    _state.set('task', 1)\n"
         "async def inside():\n    await asyncio.sleep(0)\n    _state.set('inside', 1)\n"
         "async def GET(request):\n    global task\n    task = asyncio.create_task(later())\n"
         "    await asyncio.gather(inside(), asyncio.to_thread(_state.set, 'thread', 1))\n"
         "    _state.set('turn', 1)\n    return 1\n");
    get(NULL);
    ck_contains(reply.writes, "inside=1\n");
    ck_contains(reply.writes, "thread=1\n");
    ck_contains(reply.writes, "turn=1\n");
    ck_assert_uint_eq(reply.write_count, 3);
    wait_outside(&writes, "task=1\n");
    get(NULL);
    buf_free(&writes);
    unload();
}
END_TEST

START_TEST(async_handlers)
{
    load("import asyncio\nloops = set()\n"
         "async def GET(request):\n    await asyncio.sleep(0.001)\n"
         "    loops.add(id(asyncio.get_running_loop()))\n    _state.increment('n')\n"
         "    return [len(loops), _state.get('n')]\n"
         "async def POST(request):\n    _state.set('n', 100)\n    await asyncio.sleep(0)\n"
         "    raise ValueError('x')\n");
    get(NULL);
    call(&(struct driver_call){.method = "POST"});
    ck_assert_uint_eq(reply.status, 500);
    get(NULL);
    ck_assert_str_eq(reply.body, "[1, 2]");
    unload();
}
END_TEST

/* --- streams --- */

static char *pull(uint64_t id)
{
    struct frame f;
    struct rpc_stream_chunk chunk;
    struct rpc_stream_end end;
    driver_send_empty(&worker, RPC_STREAM_PULL, id);
    do
        ck_assert(driver_next(&worker, &f));
    while (f.type == RPC_LOG);
    ck_assert_uint_eq(f.id, id);
    if (f.type == RPC_STREAM_CHUNK) {
        ck_assert(rpc_stream_chunk_decode(f.payload, &chunk));
        return chunk.size ? strdup("large") : span_dup(chunk.bytes);
    }
    ck_assert(f.type == RPC_STREAM_END && rpc_stream_end_decode(f.payload, &end));
    struct buf text = BUF_INIT;
    buf_printf(&text, "END %.*s", (int)end.error.len, end.error.data);
    return buf_take(&text, NULL);
}

static void ck_pulls(uint64_t id, const char *expected)
{
    char *got = pull(id);
    ck_assert_str_eq(got, expected);
    free(got);
}

static const char *const streamers[] = {
    "def GET(request):\n    yield 'a'\n    yield b''\n    yield b'b'\n    yield {'c': 1}\n"
    "    yield str(_state.get('n'))\n    yield 'x' * 100000\n    _state.set('n', 1)\n",
    "async def GET(request):\n    import asyncio\n    yield 'a'\n    await asyncio.sleep(0)\n"
    "    yield b'b'\n    yield {'c': 1}\n    yield str(_state.get('n'))\n    yield 'x' * 100000\n"
    "    _state.set('n', 1)\n",
    "def chunks():\n    yield 'a'\n    yield b'b'\n    yield {'c': 1}\n"
    "    yield str(_state.get('n'))\n    yield 'x' * 100000\n    _state.set('n', 1)\n"
    "def GET(request):\n    return (200, {}, chunks())\n",
};

START_TEST(stream)
{
    struct buf source = BUF_INIT;
    buf_puts(&source, streamers[_i]);
    buf_puts(&source, "def PUT(request): _state.increment('n')\n");
    load(buf_str(&source));
    get(NULL);
    ck_assert(reply.is_stream);
    ck_assert_str_eq(reply.content_type, "text/plain; charset=utf-8");
    uint64_t id = reply.id;
    ck_pulls(id, "a");
    call(&(struct driver_call){.method = "PUT"}); /* turns go on between chunks */
    ck_pulls(id, "b");
    ck_pulls(id, "{\"c\": 1}\n");
    ck_pulls(id, "1");
    ck_pulls(id, "large");
    ck_pulls(id, "END RuntimeError: a streamed reply may read state but not write it");
    ck_pulls(id, "END ");
    buf_free(&source);
    unload();
}
END_TEST

START_TEST(stream_cancel)
{
    load("closed = 0\n"
         "def GET(request):\n    global closed\n    try:\n        while True: yield request.path\n"
         "    finally:\n        closed += 1\n"
         "def POST(request): return closed\n");
    get(NULL);
    ck_pulls(reply.id, "/objects/test");
    driver_send_empty(&worker, RPC_STREAM_CANCEL, reply.id);
    driver_send_empty(&worker, RPC_STREAM_CANCEL, reply.id);
    call(&(struct driver_call){.method = "POST"});
    ck_assert_str_eq(reply.body, "1");
    call(&(struct driver_call){.method = "HEAD"});
    ck_assert(!reply.is_stream);
    unload();
}
END_TEST

/* --- logs --- */

START_TEST(log_lines)
{
    struct buf logs = BUF_INIT;
    load("def GET(request):\n"
         "    _logger.debug('d'); _logger.info('i', a=1, o=object); _logger.warning('w')\n"
         "    _logger.error('e'); _logger.critical(5)\n"
         "    _logger.log('WARNING', 'by level', k='v'); _logger.log('event', {'id': 7})\n"
         "    _logger.log(level='ERROR', message='by keyword'); _logger.log('alone')\n"
         "    _logger.log('debug', 'lower'); _logger.log(message='m'); _log.log(40, 'number')\n"
         "    return 1\n");
    driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    driver_wait_reply(&worker, &reply, &logs);
    ck_assert_str_eq(buf_str(&logs), "DEBUG d \nINFO i {\"a\": 1, \"o\": \"<class 'object'>\"}\n"
                                     "WARNING w \nERROR e \nCRITICAL 5 \n"
                                     "WARNING by level {\"k\": \"v\"}\nINFO event {\"id\": 7}\n"
                                     "ERROR by keyword \nINFO alone \nDEBUG lower \nINFO m \n"
                                     "ERROR number \n");
    buf_free(&logs);
    unload();
}
END_TEST

START_TEST(log_lines_belong_to_their_turn)
{
    struct frame f;
    load("import asyncio\nasync def GET(request):\n    await asyncio.sleep(0)\n"
         "    _logger.info('x')\n    1/0\n");
    uint64_t id = driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    for (int i = 0; i < 2; i++) {
        ck_assert(driver_next(&worker, &f) && f.type == RPC_LOG);
        ck_assert_uint_eq(f.id, id);
    }
    unload();
}
END_TEST

START_TEST(log_of_a_long_turn_comes_early)
{
    struct frame f;
    load("import time\ndef GET(request):\n    _logger.info('begun')\n    time.sleep(600)\n");
    driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    ck_assert(driver_next(&worker, &f) && f.type == RPC_LOG && f.id == 1);
    unload();
}
END_TEST

START_TEST(output_is_captured)
{
    load("import sys\ndef GET(request):\n    print('on out ü \\ud800')\n"
         "    print('on err', file=sys.stderr)\n    return sys.stdin.read() == ''\n");
    get(NULL);
    ck_assert_str_eq(reply.body, "true");
    ck_assert(driver_output_contains(worker.out, NULL, "on out ü \\ud800\n"));
    ck_assert(driver_output_contains(worker.err, NULL, "on err\n"));
    unload();
}
END_TEST

/* --- deadlines --- */

static bool has_pending_signals(pid_t pid)
{
    char path[64], line[256];
    bool pending = false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
            pending |= strtoull(line + 7, NULL, 16) != 0;
    if (f)
        fclose(f);
    return pending;
}

/* A signal below SIGRTMIN is lost while the same is pending: one after the other. */
static void signal_deadline(uint64_t id)
{
    ck_assert_int_eq(sigqueue(worker.pid, SIGUSR1, (union sigval){.sival_ptr = (void *)id}), 0);
    while (has_pending_signals(worker.pid))
        usleep(1000);
}

static void wait_running(uint64_t id)
{
    while (atomic_load(&worker.page->running_id) != id)
        usleep(1000);
}

static const char *const slow[] = {
    "import time\ndef GET(request):\n    _state.set('a', 1)\n    time.sleep(60)\n",
    "def GET(request):\n    _state.set('a', 1)\n    while True: pass\n",
    "import asyncio\nasync def GET(request):\n    _state.set('a', 1)\n    await "
    "asyncio.sleep(60)\n",
    "import asyncio\nasync def GET(request):\n    _state.set('a', 1)\n    while True:\n"
    "        await asyncio.sleep(0)\n",
    "import asyncio\nasync def GET(request):\n    _state.set('a', 1)\n    while True: pass\n",
    "import asyncio\nasync def hog():\n    while True: pass\n"
    "async def GET(request):\n    _state.set('a', 1)\n    await asyncio.gather(hog())\n",
    "import threading\ndef GET(request):\n    _state.set('a', 1)\n"
    "    threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()\n"
    "    threading.Event().wait()\n",
};

START_TEST(deadline)
{
    struct buf source = BUF_INIT;
    buf_puts(&source, slow[_i]);
    buf_puts(&source, "def PUT(request): return len(_state)\n");
    load(buf_str(&source));
    uint64_t id = driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    wait_running(id);
    usleep(50000);           /* into the handler's loop; sooner is right too, only less telling */
    signal_deadline(id + 5); /* that of another call changes nothing */
    signal_deadline(id);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert_uint_eq(reply.status, 504);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_TIMEOUT);
    ck_contains(reply.body, "\"error\":\"the handler timed out after ");
    ck_contains(reply.body, "\"limit\":\"timeout\"");
    ck_contains(reply.body, "\"error_type\":\"TimeoutError\"");
    signal_deadline(id); /* late */
    call(&(struct driver_call){.method = "PUT"});
    ck_assert_str_eq(reply.body, "0");
    buf_free(&source);
    unload();
}
END_TEST

START_TEST(stream_deadline)
{
    load("import time\ndef GET(request):\n    yield 'a'\n    time.sleep(60)\n");
    get(NULL);
    ck_pulls(reply.id, "a");
    driver_send_empty(&worker, RPC_STREAM_PULL, reply.id);
    wait_running(reply.id);
    usleep(50000);
    signal_deadline(reply.id);
    struct frame f;
    do
        ck_assert(driver_next(&worker, &f));
    while (f.type == RPC_LOG);
    ck_assert_int_eq(f.type, RPC_STREAM_END);
    unload();
}
END_TEST

/* What objects may do to signals. */
static const char *const deaf[] = {
    "    pass\n",
    "    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n",
    "    for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
    "        signal.signal(n, signal.SIG_IGN)\n",
    "    libc = ctypes.CDLL('libc.so.6')\n    all = b'\\xff' * 128\n"
    "    libc.pthread_sigmask(signal.SIG_SETMASK, all, None)\n"
    "    libc.sigprocmask(signal.SIG_SETMASK, all, None)\n"
    "    for n in range(65): libc.sigignore(n)\n    for n in range(65): libc.signal(n, 1)\n",
    "    faulthandler.register(signal.SIGUSR2, open('/dev/null', 'w'))\n",
};

START_TEST(stacks_on_demand)
{
    char path[64];
    struct buf source = BUF_INIT, seen = BUF_INIT;
    buf_puts(&source, "import ctypes, faulthandler, signal, sys\ndef waiter():\n");
    buf_puts(&source, deaf[_i]);
    buf_puts(&source, "    print('waits', file=sys.stderr)\n    wait()\n"
                      "def GET(request):\n    waiter()\n");
    load_that_waits(path, buf_str(&source));
    driver_send_call(&worker, &(struct driver_call){0});
    driver_flush(&worker);
    ck_assert(driver_output_contains(worker.err, &seen, "waits"));
    kill(worker.pid, STACK_SIGNAL);
    ck_assert(driver_output_contains(worker.err, &seen, "in waiter"));
    ck_assert(driver_output_contains(worker.err, &seen, "end of the stacks of process"));
    ck_assert_int_eq(unlink(path), 0);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert_uint_eq(reply.status, 204);
    buf_free(&source);
    buf_free(&seen);
    unload();
}
END_TEST

/* --- delays, deaths, exits --- */

START_TEST(answer_does_not_wait_for_a_slow_turn)
{
    char path[64];
    load_that_waits(path, "def GET(request): return 'quick'\n"
                          "def PUT(request):\n    wait()\n    return 'slow'\n");
    driver_send_call(&worker, &(struct driver_call){0});
    driver_send_call(&worker, &(struct driver_call){.method = "PUT"});
    driver_flush(&worker);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert_str_eq(reply.body, "quick");
    ck_assert_int_eq(unlink(path), 0);
    driver_reply_free(&reply);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert_str_eq(reply.body, "slow");
    unload();
}
END_TEST

START_TEST(expired_call_does_not_begin)
{
    load("def GET(request): return _state.increment('n')\n");
    call(&(struct driver_call){.expires_ns = clock_mono_ns()});
    ck_assert_uint_eq(reply.status, 503);
    ck_assert_int_eq(reply.outcome, RPC_OUTCOME_REFUSED);
    ck_contains(reply.body, "\"limit\":\"queue_timeout\"}");
    call(&(struct driver_call){.expires_ns = clock_mono_ns() + 10 * NS_PER_S});
    ck_assert_str_eq(reply.body, "1");
    unload();
}
END_TEST

START_TEST(unsent_answers_are_in_the_page)
{
    struct frame f;
    load("import os\ndef GET(request): return 'answered'\n"
         "def PUT(request):\n    _logger.info('last words')\n    os._exit(3)\n");
    driver_send_call(&worker, &(struct driver_call){0});
    driver_send_call(&worker, &(struct driver_call){0});
    uint64_t fatal = driver_send_call(&worker, &(struct driver_call){.method = "PUT"});
    driver_flush(&worker);
    siginfo_t end = {0};
    ck_assert_int_eq(waitid(P_PID, (id_t)worker.pid, &end, WEXITED | WNOWAIT), 0);
    ck_assert(end.si_code == CLD_EXITED && end.si_status == 3);
    unsigned answers = 0, logs = 0;
    while (driver_next(&worker, &f)) /* what the delay timer may have sent */
        answers += f.type == RPC_TURN_DONE;
    const char *reason = NULL;
    buf_append(&worker.channel.in, worker.page->outbox + worker.page->outbox_sent,
               worker.page->outbox_written - worker.page->outbox_sent);
    int got;
    while ((got = channel_next(&worker.channel, &f, &reason)) == 1) {
        answers += f.type == RPC_TURN_DONE;
        logs += f.type == RPC_LOG;
    }
    ck_assert_int_eq(got, 0);
    ck_assert_uint_eq(answers, 2);
    ck_assert_uint_eq(logs, 1);
    ck_assert_uint_eq(worker.page->running_id, fatal);
    unload();
}
END_TEST

START_TEST(exits_when_told)
{
    load("import atexit\natexit.register(lambda: print('farewell'))\n"
         "def GET(request): return 1\n");
    driver_send_call(&worker, &(struct driver_call){0});
    driver_send_empty(&worker, RPC_EXIT, 0);
    driver_wait_reply(&worker, &reply, NULL);
    ck_assert(driver_output_contains(worker.out, NULL, "farewell"));
    int status = driver_wait_exit(&worker);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(metadata);
    driver_reply_free(&reply);
}
END_TEST

START_TEST(forked_child_has_no_say)
{
    load("import os\ndef GET(request):\n    pid = os.fork()\n"
         "    if pid == 0:\n        try: _logger.info('not me')\n        except OSError: pass\n"
         "        return 'child'\n"
         "    return os.waitpid(pid, 0)[1] != 0\n");
    get(NULL);
    ck_assert_str_eq(reply.body, "true");
    get(NULL);
    ck_assert_str_eq(reply.body, "true");
    unload();
}
END_TEST

START_TEST(many_turns)
{
    enum { CALLS = 5000 };
    load("def GET(request):\n    _logger.info('turn')\n    return _state.increment('n')\n");
    for (int sent = 0; sent < CALLS;) {
        for (int i = 0; i < 100; i++, sent++)
            driver_send_call(&worker, &(struct driver_call){0});
        driver_flush(&worker);
        for (int i = 100; i > 0; i--) {
            driver_reply_free(&reply);
            driver_wait_reply(&worker, &reply, NULL);
            ck_assert_int_eq(atoi(reply.body), sent - i + 1);
        }
    }
    unload();
}
END_TEST

#define ADD_TABLE(tcase, test, table) \
    tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *tcase = tcase_create("worker");
    tcase_add_unchecked_fixture(tcase, start_nursery, stop_nursery);
    tcase_add_checked_fixture(tcase, begin_case, NULL);
    tcase_add_test(tcase, loads);
    ADD_TABLE(tcase, does_not_load, bad_sources);
    tcase_add_test(tcase, module_sees_itself);
    tcase_add_loop_test(tcase, names_of_the_library_are_no_trouble, 0, 2);
    tcase_add_test(tcase, descriptors_are_its_own);
    tcase_add_test(tcase, workers_differ_in_random);
    tcase_add_test(tcase, thread_ids_are_right);
    ADD_TABLE(tcase, signature, signatures);
    ADD_TABLE(tcase, returns_form, returns);
    ADD_TABLE(tcase, failure, failures);
    tcase_add_test(tcase, traceback_is_the_users);
    tcase_add_test(tcase, large_reply);
    tcase_add_test(tcase, methods);
    tcase_add_test(tcase, response_object);
    ADD_TABLE(tcase, request_attribute, requests);
    ADD_TABLE(tcase, malformed_body, bad_requests);
    tcase_add_test(tcase, deep_json_is_refused);
    tcase_add_test(tcase, request_outlives_its_turn);
    ADD_TABLE(tcase, value_round_trip, values);
    ADD_TABLE(tcase, state_case, state_cases);
    ADD_TABLE(tcase, state_error, state_errors);
    tcase_add_test(tcase, exception_undoes);
    tcase_add_test(tcase, too_many_writes);
    tcase_add_test(tcase, checkpoint_and_writes);
    tcase_add_test(tcase, damaged_checkpoint);
    tcase_add_test(tcase, replica_follows_the_owner);
    tcase_add_test(tcase, readonly_turn_cannot_write);
    tcase_add_test(tcase, replica_cannot_write_outside_turns);
    tcase_add_test(tcase, stateless_never_writes);
    tcase_add_test(tcase, turns_at_once);
    tcase_add_test(tcase, each_of_the_turns_at_once_logs_and_fails_by_itself);
    tcase_add_test(tcase, deadline_of_one_of_the_turns_at_once);
    tcase_add_test(tcase, deadline_of_one_that_holds_the_loop);
    tcase_add_test(tcase, thread_writes_outside);
    tcase_add_test(tcase, idle_thread_wakes_the_worker);
    tcase_add_test(tcase, leftover_task_goes_on);
    tcase_add_test(tcase, async_handlers);
    ADD_TABLE(tcase, stream, streamers);
    tcase_add_test(tcase, stream_cancel);
    tcase_add_test(tcase, log_lines);
    tcase_add_test(tcase, log_lines_belong_to_their_turn);
    tcase_add_test(tcase, log_of_a_long_turn_comes_early);
    tcase_add_test(tcase, output_is_captured);
    ADD_TABLE(tcase, deadline, slow);
    tcase_add_test(tcase, stream_deadline);
    ADD_TABLE(tcase, stacks_on_demand, deaf);
    tcase_add_test(tcase, answer_does_not_wait_for_a_slow_turn);
    tcase_add_test(tcase, expired_call_does_not_begin);
    tcase_add_test(tcase, unsent_answers_are_in_the_page);
    tcase_add_test(tcase, exits_when_told);
    tcase_add_test(tcase, forked_child_has_no_say);
    tcase_add_test(tcase, many_turns);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
