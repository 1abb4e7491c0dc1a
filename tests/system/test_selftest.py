# SPDX-License-Identifier: Apache-2.0
"""?test=true: an object's own tests, on a copy of its state; nothing they do is kept."""

import itertools
import threading
import time

import pytest
from station import PATIENCE, wait_until

numbers = itertools.count()


def make(station, source):
    return station.deploy(f"t{next(numbers)}.py", source)


def run(station, object_id, status=200):
    reply = station.get(f"/objects/{object_id}?test=true")
    assert reply.status == status, reply
    return reply.json()


def run_source(station, source):
    return run(station, make(station, source))


def by_name(body):
    return {r["test"]: r for r in body["results"]}


# --- the document ---

MIXED = """
import unittest

class Skipped(BaseException):
    pass

class Failed(BaseException):
    pass

def test_passes():
    return {"a": [1, None]}

def test_fails():
    assert 1 == 2, "one is not two"

def test_fails_silently():
    value = 3
    assert value == 4

async def test_waits():
    import asyncio
    await asyncio.sleep(0.001)
    return "waited"

async def test_waits_and_fails():
    assert False, "after all"

def test_is_skipped():
    raise unittest.SkipTest("no network")

@unittest.skip("not today")
def test_is_skipped_by_decorator():
    assert False

def test_is_skipped_as_by_pytest():
    raise Skipped("as pytest does")

def test_fails_as_by_pytest():
    raise Failed("as pytest does")

def test_errs():
    return {}["missing"]

def test_exits():
    raise SystemExit(3)

def test_unittest_assertion():
    unittest.TestCase().assertEqual(1, 2)

def helper_test_not():
    raise AssertionError

test_value = 5

class test_class:
    pass
"""


def test_every_verdict(shared):
    object_id = make(shared, MIXED)
    body = run(shared, object_id)
    assert {k: v for k, v in body.items() if k != "results"} == {
        "status": "fail", "object_id": object_id, "test_count": 12, "passed": 2, "failed": 7,
        "skipped": 3}
    results = by_name(body)
    assert {name: r["status"] for name, r in results.items()} == {
        "test_passes": "pass", "test_fails": "fail", "test_fails_silently": "fail",
        "test_waits": "pass", "test_waits_and_fails": "fail", "test_is_skipped": "skip",
        "test_is_skipped_by_decorator": "skip", "test_is_skipped_as_by_pytest": "skip",
        "test_fails_as_by_pytest": "fail", "test_errs": "error", "test_exits": "error",
        "test_unittest_assertion": "fail"}
    assert results["test_passes"].keys() == {"test", "status", "exec_time_ms", "result"}
    assert results["test_passes"]["result"] == {"a": [1, None]}
    assert results["test_waits"]["result"] == "waited"
    assert results["test_waits"]["exec_time_ms"] >= 1
    assert all(0 <= r["exec_time_ms"] < 10000 for r in body["results"])
    assert results["test_fails"]["error"] == "one is not two"
    assert results["test_fails"]["error_type"] == "AssertionError"
    assert results["test_fails_silently"]["error"] == "line 18: assert value == 4"
    assert results["test_waits_and_fails"]["error"] == "after all"
    assert results["test_is_skipped"]["error"] == "no network"
    assert results["test_is_skipped_by_decorator"]["error"] == "not today"
    assert "traceback" not in results["test_is_skipped"]
    assert results["test_errs"]["error"] == "KeyError: 'missing'"
    assert results["test_errs"]["error_type"] == "KeyError"
    assert 'return {}["missing"]' in results["test_errs"]["traceback"]
    assert "assert 1 == 2" in results["test_fails"]["traceback"]
    assert results["test_exits"]["error_type"] == "SystemExit"
    assert results["test_unittest_assertion"]["error"] == "1 != 2"


def test_all_pass(shared):
    body = run_source(shared, "def test_a():\n    assert True\ndef test_b():\n    pass\n")
    assert body["status"] == "pass" and (body["test_count"], body["passed"]) == (2, 2)
    assert (body["failed"], body["skipped"]) == (0, 0)
    assert body["results"][0]["result"] is None


def test_skips_alone_are_no_failure(shared):
    body = run_source(shared, "import unittest\ndef test_a():\n    raise unittest.SkipTest\n")
    assert body["status"] == "pass" and body["skipped"] == 1 and body["failed"] == 0


def test_without_tests(shared):
    object_id = make(shared, "def GET(request):\n    return 1\n")
    body = run(shared, object_id)
    assert body.pop("message")
    assert body == {"status": "ok", "object_id": object_id, "test_count": 0, "passed": 0, "failed": 0,
                    "skipped": 0, "results": []}


def test_in_the_order_of_the_file(shared):
    shared.put("_tests_elsewhere.py", "def test_imported():\n    pass\n")
    source = ("from _tests_elsewhere import test_imported\nimport functools\n"
              "def wrap(f):\n    @functools.wraps(f)\n    def g():\n        return f()\n    return g\n"
              "def test_z():\n    pass\n@wrap\ndef test_y():\n    pass\n"
              "def test_a():\n    pass\nasync def test_m():\n    pass\n"
              "later = globals()\nlater['test_first_name'] = test_a\ndel test_z\n"
              "def test_z():\n    pass\n")
    names = [r["test"] for r in run_source(shared, source)["results"]]
    assert names == ["test_y", "test_a", "test_first_name", "test_m", "test_z", "test_imported"]


@pytest.mark.parametrize("returned,shown", [
    ("1", 1), ("None", None), ("[1, 'x']", [1, "x"]), ("object", "<class 'object'>"),
    ("{1, 2}", "{1, 2}"), ("b'x'", "b'x'"), ("(1, 2)", [1, 2]), ("float('nan')", "nan"),
], ids=str)
def test_result_is_json_whatever_was_returned(shared, returned, shown):
    body = run_source(shared, f"def test_a():\n    return {returned}\n")
    assert body["results"][0]["status"] == "pass" and body["results"][0]["result"] == shown


def test_injected_names_and_request(shared):
    body = run_source(shared, """
def test_all(_state_manager, _state, _logger, _log, _runtime, request, other=5, *, _files=None):
    assert _state_manager is _state and _logger is _log and _runtime.object_id and other == 5
    assert isinstance(request, dict) and request == {} and request.method == "GET"
    assert _runtime.request_id == request.request_id

def test_unknown(tmp_path):
    pass

async def test_async(_state_manager):
    return _state_manager.get("nothing", 7)
""")
    results = by_name(body)
    assert results["test_all"]["status"] == "pass", results
    assert results["test_async"]["result"] == 7
    assert results["test_unknown"]["status"] == "error"
    assert "tmp_path" in results["test_unknown"]["error"]


@pytest.mark.parametrize("source", ["def test_a():\n    yield 1\n",
                                    "async def test_a():\n    yield 1\n"])
def test_a_test_that_yields_does_not_pass(shared, source):
    result = run_source(shared, source)["results"][0]
    assert result["status"] == "error" and "yields" in result["error"]


def test_names_and_texts_of_any_kind(shared):
    body = run_source(shared, "def test_ünï():\n    raise ValueError('\\x00\\ud800\\t\"ü')\n"
                              "globals()['test_\\ud800'] = lambda: 1\n"
                              "class Bad(Exception):\n    def __str__(self):\n        1 / 0\n"
                              "def test_bad():\n    raise Bad\n")
    results = by_name(body)
    assert results["test_ünï"]["error_type"] == "ValueError"
    assert results["test_bad"]["error_type"] == "Bad"


def test_head_runs_them_too(shared):
    object_id = make(shared, "def test_a():\n    pass\n")
    reply = shared.request("HEAD", f"/objects/{object_id}?test=true")
    assert reply.status == 200 and reply.body == b""


# --- nothing is kept ---

WRITER = """
calls = []
def GET(request):
    return {"n": _state_manager.get("n", 0), "calls": len(calls)}
def POST(request):
    n = _state_manager.increment("n")
    return {"n": n}
def test_1():
    calls.append(1)
    assert _state_manager.get("n") == 3
    POST({})
    _state_manager["other"] = [1]
    assert GET({})["n"] == 4 and "other" in _state_manager
def test_2():
    calls.append(2)
    assert _state_manager.get("n") == 3, "each test has a fresh copy"
    assert "other" not in _state_manager
    _state_manager.delete("n")
    raise ValueError("after writing")
async def test_3():
    assert _state_manager.get("n") == 3 and len(calls) == 2
    _state_manager.set("n", 99)
"""


def test_state_and_module_are_untouched(shared):
    object_id = make(shared, WRITER)
    path = f"/objects/{object_id}"
    for _ in range(3):
        shared.post(path)
    before = shared.status()["turns"]["commits"]
    body = run(shared, object_id)
    assert [r["status"] for r in body["results"]] == ["pass", "error", "pass"], body
    assert shared.get(path).json() == {"n": 3, "calls": 0}
    assert shared.state(object_id) == {"n": 3}
    assert shared.status()["turns"]["commits"] == before
    assert "x-commit-seq" not in shared.get(path + "?test=true").headers
    assert shared.post(path).json() == {"n": 4}


def test_the_copy_is_of_the_newest_state(shared):
    object_id = make(shared, "def POST(request):\n    return _state_manager.increment('n')\n"
                             "def test_n():\n    return _state_manager['n']\n")
    for n in range(1, 6):
        shared.post(f"/objects/{object_id}")
        assert run(shared, object_id)["results"][0]["result"] == n


def test_state_survives_a_restart_without_what_tests_wrote(station):
    object_id = make(station, WRITER)
    for _ in range(3):
        station.post(f"/objects/{object_id}")
    run(station, object_id)
    station.kill9()
    station.start()
    assert station.state(object_id) == {"n": 3}
    assert run(station, object_id)["results"][0]["status"] == "pass"


def test_writes_from_threads_are_not_kept(shared):
    object_id = make(shared, """
import threading
def test_thread():
    t = threading.Thread(target=lambda: _state_manager.set("from thread", 1))
    t.start()
    t.join()
def GET(request):
    return 1
""")
    assert run(shared, object_id)["status"] == "pass"
    assert shared.state(object_id) == {}
    assert not [e for e in shared.object_logs(object_id) if "lost" in e["message"]]


def test_files_are_untouched(shared):
    object_id = make(shared, """
def POST(request):
    _files.put("kept.txt", b"kept")
    return _files.list()
def test_1():
    assert _files.get("kept.txt") == b"kept"
    _files.put("kept.txt", b"changed")
    _files.put("new.txt", b"new")
    assert _files.get("kept.txt") == b"changed" and _files.exists("new.txt")
def test_2():
    assert not _files.exists("new.txt") and _files.get("kept.txt") == b"kept", "a fresh copy"
    _files.delete("kept.txt")
    raise ValueError("after deleting")
def test_3():
    assert [f["name"] for f in _files.list()] == ["kept.txt"]
""")
    shared.post(f"/objects/{object_id}")
    body = run(shared, object_id)
    assert [r["status"] for r in body["results"]] == ["pass", "error", "pass"], body
    listed = shared.get(f"/objects/{object_id}?files=true").json()["files"]
    assert [(f["name"], f["size"]) for f in listed] == [("kept.txt", 4)]
    assert shared.get(f"/objects/{object_id}?file=kept.txt").body == b"kept"
    folder = shared.data / "files" / object_id
    wait_until(lambda: [p.name for p in folder.iterdir() if p.is_file()] == ["kept.txt"],
               what=lambda: f"left behind: {list(folder.rglob('*'))}")


def test_files_of_a_test_that_dies_are_swept(shared):
    object_id = make(shared, "import os\ndef POST(request):\n    _files.put('a', b'a')\n"
                             "def test_1():\n    _files.put('b', b'b' * 100000)\n    os._exit(1)\n")
    shared.post(f"/objects/{object_id}")
    run(shared, object_id, 502)
    assert [f["name"] for f in shared.get(f"/objects/{object_id}?files=true").json()["files"]] == ["a"]


def test_log_lines_are_marked(shared):
    object_id = make(shared, "import sys\ndef GET(request):\n    _logger.info('real')\n    print('real')\n"
                             "    return 1\n"
                             "def test_a():\n    _logger.info('in a test', n=1)\n    _logger.info('bare')\n"
                             "    print('printed')\n    print('whispered', file=sys.stderr)\n")
    run(shared, object_id)
    shared.get(f"/objects/{object_id}")

    def lines():
        found = {e["message"]: e for e in shared.object_logs(object_id)}
        return found if {"in a test", "bare", "printed", "whispered", "real"} <= found.keys() else None

    found = wait_until(lines, what="the lines are not in the log")
    for message in ("in a test", "bare", "printed", "whispered"):
        assert found[message]["test"] is True, found[message]
    assert found["in a test"]["n"] == 1 and found["printed"]["level"] == "STDOUT"
    assert "test" not in found["real"]


def test_tests_are_no_turns_of_the_object(shared):
    object_id = make(shared, "def GET(request):\n    return 1\ndef test_a():\n    1 / 0\n")
    shared.get(f"/objects/{object_id}")
    run(shared, object_id)
    worker = shared.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["worker"]
    assert worker["turns"] == 1 and worker["errors"] == 0 and worker["restarts"] == 0


# --- a worker of their own ---

def test_calls_go_on_while_tests_run(shared, tmp_path):
    gate, entered = tmp_path / "gate", tmp_path / "entered"
    object_id = make(shared, f"""
import pathlib, time
def GET(request):
    return 1
def test_slow():
    pathlib.Path({str(entered)!r}).touch()
    while not pathlib.Path({str(gate)!r}).exists():
        time.sleep(0.005)
""")
    found = []
    thread = threading.Thread(target=lambda: found.append(run(shared, object_id)))
    thread.start()
    wait_until(entered.exists, what="the test does not run")
    workers = [w for w in shared.status()["processes"]["workers"] if w["object_id"] == object_id]
    assert sorted(w["role"] for w in workers) == ["owner", "test"]
    for _ in range(20):
        assert shared.get(f"/objects/{object_id}").json() == 1
    assert not found, "the tests are still running"
    gate.touch()
    thread.join(20)
    assert found[0]["status"] == "pass"
    wait_until(lambda: len([w for w in shared.status()["processes"]["workers"]
                            if w["object_id"] == object_id]) == 1, what="the worker does not end")


@pytest.mark.parametrize("death,says", [("os._exit(7)", "exit status 7"),
                                        ("os.kill(os.getpid(), 9)", "signal 9")])
def test_a_test_that_kills_its_process(shared, death, says):
    object_id = make(shared, f"import os\ndef GET(request):\n    return os.getpid()\n"
                             f"def test_a():\n    {death}\n")
    pid = shared.get(f"/objects/{object_id}").json()
    body = run(shared, object_id, 502)
    assert says in body["error"]
    assert shared.get(f"/objects/{object_id}").json() == pid, "the serving worker is another process"
    worker = shared.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["worker"]
    assert worker["restarts"] == 0
    assert run(shared, object_id, 502)["status"] == "error"


def test_the_deadline_is_for_all_of_them(shared):
    object_id = make(shared, "import time\n__endpoint__ = {'timeout': 1}\n"
                             "def GET(request):\n    return 1\n"
                             "def test_1():\n    pass\ndef test_2():\n    time.sleep(60)\n"
                             "def test_3():\n    pass\nasync def test_4():\n    pass\n")
    body = run(shared, object_id)
    assert [r["status"] for r in body["results"]] == ["pass", "error", "skip", "skip"]
    assert body["status"] == "fail" and body["results"][1]["error_type"] == "TimeoutError"
    assert "time" in body["results"][2]["error"]
    assert shared.get(f"/objects/{object_id}").json() == 1


def test_the_deadline_of_async_tests(shared):
    body = run_source(shared, "import asyncio\n__endpoint__ = {'timeout': 0.3}\n"
                              "async def test_1():\n    await asyncio.sleep(60)\n"
                              "async def test_2():\n    pass\n")
    assert [r["status"] for r in body["results"]] == ["error", "skip"]
    assert body["results"][0]["error_type"] == "TimeoutError"


def test_tests_that_hang_are_killed(new_station):
    station = new_station(config={"workers": {"timeout": 0.3, "timeout_grace": 0.1}}).start()
    object_id = make(station, "def GET(request):\n    return 1\ndef test_a():\n    while True:\n"
                              "        try:\n            while True:\n                pass\n"
                              "        except BaseException:\n            pass\n")
    body = run(station, object_id, 504)
    assert body["limit"] == "timeout"
    wait_until(lambda: station.get(f"/objects/{object_id}").status == 200)


def test_what_tests_leave_behind_ends_with_them(shared):
    object_id = make(shared, "import subprocess, threading, time\ndef GET(request):\n    return 1\n"
                             "def test_a():\n    subprocess.Popen(['sleep', '1000'])\n"
                             "    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n")
    assert run(shared, object_id)["status"] == "pass"  # verify_running() looks for strays


# --- other objects ---

def test_calls_to_other_objects_raise(shared):
    other = make(shared, "def GET(request):\n    return _state_manager.increment('n')\n")
    object_id = make(shared, f"""
def test_call():
    _runtime.call_object({other!r}, "GET", {{}})
def test_says_why():
    try:
        _runtime.call_object({other!r})
    except Exception as e:
        return str(e)
    assert False
async def test_call_async():
    await _runtime.call_object_async({other!r}, "GET", {{}})
""")
    results = by_name(run(shared, object_id))
    assert results["test_call"]["status"] == "error"
    assert results["test_call_async"]["status"] == "error"
    assert "self-tests" in results["test_says_why"]["result"]
    assert shared.state(other) == {}

# --- objects with more than one worker ---

@pytest.mark.parametrize("endpoint", [
    "{'stateless': True, 'workers': 2}",
    "{'stateless': True, 'workers': 2, 'concurrent': 4}",
    "{'readonly': ['GET'], 'workers': 2}",
])
def test_objects_with_several_workers(shared, endpoint):
    object_id = make(shared, f"__endpoint__ = {endpoint}\n"
                             "async def GET(request):\n    return 1\n"
                             "def test_a():\n    return 'a'\n"
                             "async def test_b():\n    import asyncio\n    await asyncio.sleep(0)\n"
                             "    return await GET({})\n")
    assert shared.get(f"/objects/{object_id}").json() == 1
    body = run(shared, object_id)
    assert [r["result"] for r in body["results"]] == ["a", 1], body


def test_a_stateless_object_writes_nothing_in_tests_either(shared):
    body = run_source(shared, "__endpoint__ = {'stateless': True}\ndef GET(request):\n    return 1\n"
                              "def test_a():\n    _state_manager.set('a', 1)\n")
    assert body["results"][0]["status"] == "error" and "stateless" in body["results"][0]["error"]


def test_a_readonly_method_may_be_tested_with_state(shared):
    body = run_source(shared, "__endpoint__ = {'readonly': ['GET'], 'workers': 2}\n"
                              "def GET(request):\n    return _state_manager.get('n')\n"
                              "def test_a():\n    _state_manager.set('n', 5)\n    return GET({})\n")
    assert body["results"][0]["result"] == 5, body


# --- a worker that lies ---

FORGER = """
import os, struct

def fields(*values):
    # as common/codec.c tags them: (number of bytes, value) or bytes
    tags = {1: "=cB", 4: "=cI", 8: "=cQ"}
    return b"".join(struct.pack("=cI", b"s", len(v)) + v if isinstance(v, bytes) else
                    struct.pack(tags[v[0]], {1: b"b", 4: b"w", 8: b"q"}[v[0]], v[1]) for v in values)

def send(type, id, payload):
    os.write(3, struct.pack("=IHBBQ", len(payload), type, 0, 0, id) + payload)

WRITES = fields((1, 1), b"forged", b"1")

def call_id():
    return int(_runtime.request_id.rpartition("-")[2], 16)

def GET(request):
    return 1
"""


def test_forged_writes_are_not_taken(shared):
    object_id = make(shared, FORGER + """
def test_outside_writes():
    send(22, 0, fields((4, 1), WRITES))
""")
    assert run(shared, object_id)["status"] == "pass"
    assert shared.state(object_id) == {}


def test_a_forged_answer_writes_nothing(shared):
    shared.allow("broke the protocol")
    object_id = make(shared, FORGER + """
def test_answer():
    send(18, call_id(), fields((4, 200), (1, 0), (1, 0), b"application/json", (4, 0), b"",
                               b'{"forged": true}', (8, 0), (4, 1), WRITES, (4, 0), b"", (4, 0), b""))
""")
    assert run(shared, object_id) == {"forged": True}, "it spoke for itself, and only for itself"
    assert shared.state(object_id) == {}
    assert shared.get(f"/objects/{object_id}").json() == 1


def test_a_forged_question_is_refused(shared):
    other = make(shared, "def GET(request):\n    return _state_manager.increment('n')\n")
    object_id = make(shared, FORGER + f"""
def test_question():
    send(24, call_id(), fields((8, 1), (1, 0), {other!r}.encode(), b"GET", b"", (1, 0), b"", (8, 0),
                               (8, 0)))
    import select
    got = b""
    while b"other objects" not in got and select.select([4], [], [], 20)[0]:
        got += os.read(4, 65536)
    return got.decode(errors="replace")
""")
    body = run(shared, object_id)
    assert "tests do not call other objects" in body["results"][0]["result"], body
    assert shared.state(other) == {}


# --- what cannot be tested ---

def test_an_object_that_does_not_load(shared):
    shared.allow("does not load")
    object_id = make(shared, "def GET(request):\n    return 1 +\n")
    body = run(shared, object_id, 500)
    assert "does not load" in body["error"] and body["line"] == 2


def test_it_loads_only_once(shared, tmp_path):
    mark = tmp_path / "loaded"
    object_id = make(shared, f"import pathlib\np = pathlib.Path({str(mark)!r})\n"
                             "if p.exists():\n    raise RuntimeError('only once')\np.touch()\n"
                             "def GET(request):\n    return 1\ndef test_a():\n    pass\n")
    assert shared.get(f"/objects/{object_id}").json() == 1
    body = run(shared, object_id, 500)
    assert "does not load for its tests: RuntimeError: only once" in body["error"]
    assert body["line"] == 4 and "only once" in body["traceback"]
    assert shared.get(f"/objects/{object_id}").json() == 1


def test_it_dies_while_loading(shared, tmp_path):
    mark = tmp_path / "loaded"
    object_id = make(shared, f"import os, pathlib\np = pathlib.Path({str(mark)!r})\n"
                             "if p.exists():\n    os._exit(9)\np.touch()\n"
                             "def GET(request):\n    return 1\n")
    assert shared.get(f"/objects/{object_id}").json() == 1
    assert "exit status 9" in run(shared, object_id, 502)["error"]
    assert shared.get(f"/objects/{object_id}").json() == 1


def test_what_serves_is_tested(shared):
    shared.allow("does not load")
    object_id = make(shared, "def GET(request):\n    return 1\ndef test_a():\n    return 'one'\n")
    assert shared.get(f"/objects/{object_id}").json() == 1
    shared.put(f"{object_id}.py", "def GET(request):\n    return 2 +\n")
    wait_until(lambda: shared.get(f"/objects/{object_id}?metadata=true").json()["metadata"]
               .get("load_error"), what="no load error")
    assert run(shared, object_id)["results"][0]["result"] == "one"


def test_slow_import_of_the_tests_worker(new_station, tmp_path):
    mark = tmp_path / "loaded"
    station = new_station(config={"workers": {"start_timeout": 0.8 * PATIENCE}}).start()
    object_id = make(station, f"import pathlib, time\np = pathlib.Path({str(mark)!r})\n"
                              "if p.exists():\n    time.sleep(60)\np.touch()\n"
                              "def GET(request):\n    return 1\n")
    assert station.get(f"/objects/{object_id}").json() == 1
    assert run(station, object_id, 504)["limit"] == "start_timeout"


def test_at_most_so_many_at_once(new_station, tmp_path):
    station = new_station(config={"limits": {"test_runs_max": 1}}).start()
    gate, entered = tmp_path / "gate", tmp_path / "entered"
    object_id = make(station, f"""
import pathlib, time
def test_slow():
    pathlib.Path({str(entered)!r}).touch()
    while not pathlib.Path({str(gate)!r}).exists():
        time.sleep(0.005)
""")
    thread = threading.Thread(target=lambda: run(station, object_id))
    thread.start()
    wait_until(entered.exists, what="the test does not run")
    body = run(station, object_id, 503)
    assert body["limit"] == "test_runs_max"
    gate.touch()
    thread.join(20)
    wait_until(lambda: station.get(f"/objects/{object_id}?test=true").status == 200,
               what="the limit stays")


def test_a_graceful_stop_waits_for_tests(new_station, tmp_path):
    station = new_station().start()
    entered = tmp_path / "entered"
    object_id = make(station, f"import pathlib, time\ndef test_a():\n"
                              f"    pathlib.Path({str(entered)!r}).touch()\n    time.sleep(0.3)\n")
    found = []
    thread = threading.Thread(target=lambda: found.append(run(station, object_id)))
    thread.start()
    wait_until(entered.exists, what="the test does not run")
    assert station.stop() == 0
    thread.join(20)
    assert found and found[0]["status"] == "pass"


@pytest.mark.parametrize("management,status", [("token", 401), ("off", 403)])
def test_tests_are_management(new_station, management, status):
    station = new_station(config={"security": {"management": management}}).start()
    object_id = make(station, "def test_a():\n    pass\n")
    run(station, object_id, status)


def test_without_tracebacks(new_station):
    station = new_station(config={"http": {"expose_tracebacks": False}}).start()
    result = run_source(station, "def test_a():\n    1 / 0\n")["results"][0]
    assert result["error"] and "traceback" not in result


def test_only_with_the_value_true(shared):
    object_id = make(shared, "def GET(request):\n    return dict(request)\ndef test_a():\n    pass\n")
    for query in ("test=false", "test=1", "test", "test=TRUE"):
        assert "results" not in shared.get(f"/objects/{object_id}?{query}").json()
    assert shared.post(f"/objects/{object_id}?test=true").status == 405


def test_raw_query_keeps_the_parameter(shared):
    object_id = make(shared, "__endpoint__ = {'raw_query': True}\n"
                             "def GET(request):\n    return dict(request)\n")
    assert shared.get(f"/objects/{object_id}?test=true&status=true").json() == {"test": "true",
                                                                                "status": "true"}


# --- ?status=true ---

def test_status(shared):
    object_id = make(shared, "def GET(request):\n    return 1\n")
    shared.get(f"/objects/{object_id}")
    assert shared.get(f"/objects/{object_id}?status=true").json() == {
        "status": "ok", "object_id": object_id, "running": True, "phase": "serving", "schedules": []}


def test_status_of_an_object_that_does_not_load(shared):
    shared.allow("does not load")
    object_id = make(shared, "1 / 0\n")
    body = shared.get(f"/objects/{object_id}?status=true").json()
    assert body["running"] is False and "ZeroDivisionError" in body["load_error"]


def test_status_of_an_idle_object(shared):
    object_id = make(shared, "__endpoint__ = {'idle_timeout': 0.1}\ndef GET(request):\n    return 1\n")
    shared.get(f"/objects/{object_id}")
    body = wait_until(lambda: (lambda b: b if not b["running"] else None)(
        shared.get(f"/objects/{object_id}?status=true").json()), what="it does not become idle")
    assert body["phase"] == "cold"
