# SPDX-License-Identifier: Apache-2.0
"""Crash reports: what they say of each way to die, where they lie, how many stay, who may see."""

import contextlib
import http.client
import json
import os
import re
import signal
import time

import pytest
from station import PATIENCE, wait_until

DEATHS = r"died|killed|deadline|ended|does not load|crash"
DIES = """
import ctypes, faulthandler, os, signal, sys, time
def GET(request):
    return {'pid': os.getpid(), 'n': _state_manager.get('n', 0)}
def in_python(how):
    if how == 'exit':
        os.write(1, b'no end of line')
        os._exit(7)
    if how == 'raise':
        os.kill(os.getpid(), signal.SIGKILL)
    if how == 'null':
        ctypes.string_at(0)
    if how == 'stack':
        ctypes.pythonapi.PyRun_SimpleString.argtypes = [ctypes.c_char_p]
        sys.setrecursionlimit(10 ** 9)
        ctypes.pythonapi.PyRun_SimpleString(b'def f(): return max([0], key=lambda _: f())\\nf()')
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(10)
def PUT(request):
    _logger.info('before the end', why='told')
    print('last words', file=sys.stderr, flush=True)
    in_python(request['how'])
"""
FATAL = {"SIGSEGV": 11, "SIGABRT": 6, "SIGBUS": 7, "SIGFPE": 8, "SIGILL": 4, "null": 11}


@pytest.fixture
def dying(station):
    station.allow(DEATHS)
    station.deploy("d.py", DIES)
    assert station.get("/objects/d").status == 200
    return station


def crashes(station, object_id="d", query=""):
    reply = station.get(f"/objects/{object_id}?crashes=true{query}")
    assert reply.status == 200, reply
    answer = reply.json()
    assert answer["status"] == "ok" and answer["object_id"] == object_id
    assert answer["count"] == len(answer["crashes"])
    return answer["crashes"]


def report_of(station, crash_id, object_id="d"):
    reply = station.get(f"/objects/{object_id}?crash={crash_id}")
    assert reply.status == 200, reply
    return reply.json()["crash"]


def die(station, how, object_id="d"):
    """The 502, and the report that it names."""
    reply = station.request("PUT", f"/objects/{object_id}?how={how}", headers={"X-Request-Id": f"r-{how}"})
    assert reply.status == 502, reply
    return reply.json(), report_of(station, reply.json()["crash_id"], object_id)


# --- what a report says ---


def test_what_a_report_says(dying):
    dying.worker_pid("d")
    metadata = dying.get("/objects/d?metadata=true").json()["metadata"]
    answer, report = die(dying, "exit")
    assert answer["retryable"] is False and "exit status 7" in answer["error"]
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]+-[0-9a-f]+", answer["crash_id"])
    assert report["crash_id"] == answer["crash_id"] and report["object_id"] == "d"
    assert (report["reason"], report["exit_code"], report["blame"]) == ("exit status 7", 7, "died")
    assert report["role"] == "owner" and report["state"] == "busy" and report["turns"] == 1
    assert report["pid"] == metadata["worker"]["pid"]
    assert report["generation"] == metadata["worker"]["generation"]
    assert (report["method"], report["path"]) == ("PUT", "/objects/d?how=exit")
    version = dying.get("/objects/d?versions=true").json()["versions"][0]
    assert report["version"] == report["source"]["version"] == version["version_id"] == 1
    assert report["source"]["hash"] == version["hash"] and report["source"]["file"] == "d.py"
    assert report["rusage"]["max_rss_bytes"] > 1 << 20 and report["rusage"]["user_seconds"] >= 0
    assert report["uptime_seconds"] > 0 and report["timestamp"].endswith("Z")
    call = report["calls"][0]
    assert len(report["calls"]) == report["calls_count"] == 1
    assert (call["state"], call["method"], call["request_id"]) == ("running", "PUT", "r-exit")
    assert call["chain"] == [] and call["running_seconds"] >= 0
    assert report["stderr"] == "last words\n" and report["stderr_bytes"] == 11
    assert report["python_stack"] is None and report["c_stack"] is None
    messages = [line["message"] for line in report["log"]]
    assert {"before the end", "no end of line"} <= {*messages} and "last words" not in messages
    path = dying.data / "crashes" / "d" / f"{answer['crash_id']}.json"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_text()) == report
    status = dying.status()["crashes"]
    assert status == {"reported": 1, "lost": 0}


@pytest.mark.parametrize("how", FATAL)
def test_fatal_signals_leave_both_stacks(dying, how):
    """And the process dies of that signal, not of another."""
    answer, report = die(dying, how)
    assert report["signal"] == FATAL[how], report["stderr"]
    assert report["signal_name"] == (how if how != "null" else "SIGSEGV")
    assert "in in_python" in report["python_stack"] and "in PUT" in report["python_stack"]
    assert "d.py" in report["python_stack"]
    assert len(report["c_stack"].splitlines()) > 3 and "[0x" in report["c_stack"]
    assert report["stderr"].startswith("last words\n")
    assert f"signal {FATAL[how]}" in answer["error"]


def test_stacks_are_seen_wherever_stderr_goes(dying):
    """Object code that puts something else into descriptor 2 does not hide them."""
    dying.deploy("d.py", DIES.replace("def in_python(how):",
                                      "def in_python(how):\n"
                                      "    os.dup2(os.open('/dev/null', os.O_WRONLY), 2)\n"))
    wait_until(lambda: dying.get("/objects/d?metadata=true").json()["metadata"]["source_version"] == 2)
    _, report = die(dying, "SIGSEGV")
    assert "in in_python" in report["python_stack"] and report["c_stack"]


def test_an_overflow_of_the_c_stack(station):
    """The handler has a stack of its own."""
    station.allow(DEATHS)
    station.deploy("deep.py", "import ctypes\n"
                              "LIBC = ctypes.CDLL(None)\n"
                              "COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)\n"
                              "import sys\nsys.setrecursionlimit(10 ** 8)\n"
                              "def deeper(*_):\n"
                              "    array = (ctypes.c_int * 2)(2, 1)\n"
                              "    LIBC.qsort(array, 2, 4, COMPARE(deeper))\n    return 0\n"
                              "def PUT(request):\n    deeper()\n")
    _, report = die(station, "x", "deep")
    assert report["signal_name"] == "SIGSEGV" and "in deeper" in report["python_stack"]
    assert "[0x" in report["c_stack"]


def test_killed_from_outside(dying):
    """Between calls too."""
    pid = dying.get("/objects/d").json()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: crashes(dying))
    summary = crashes(dying)[0]
    assert summary["signal_name"] == "SIGKILL" and summary["pid"] == pid and "path" not in summary
    assert report_of(dying, summary["crash_id"])["calls"] == []


def test_only_the_end_of_stderr_is_kept(dying):
    dying.deploy("loud.py", "import os, sys\ndef PUT(request):\n"
                            "    for n in range(3000):\n"
                            "        sys.stderr.write(f'{n:06d} ' + 'x' * 92 + '\\n')\n"
                            "    sys.stderr.buffer.write(b'\\xff\\0 end')\n"
                            "    sys.stderr.flush()\n    os._exit(1)\n")
    _, report = die(dying, "exit", "loud")
    assert report["stderr_bytes"] == 300006
    assert report["stderr"].endswith("x\n\ufffd\0 end") and "002999" in report["stderr"]
    assert len(report["stderr"].encode()) in range(65536, 65536 + 8)


def test_calls_that_had_not_begun(dying):
    """They stand in the report as queued, and are run by the next worker."""
    import threading
    begun, until = dying.folder / "begun", dying.folder / "until"
    dying.deploy("w.py", "import os, time\ndef GET(request):\n    return os.getpid()\n"
                         "def PUT(request):\n    open(request['begun'], 'w').close()\n"
                         "    while not os.path.exists(request['until']):\n        time.sleep(0.005)\n"
                         "    os._exit(3)\n")
    replies = {}

    def ask(name, method, path):
        replies[name] = dying.request(method, path)

    threads = [threading.Thread(target=ask, args=("dies", "PUT", f"/objects/w?begun={begun}&until={until}"))]
    threads[0].start()
    wait_until(begun.exists)
    threads += [threading.Thread(target=ask, args=(n, "GET", "/objects/w")) for n in range(3)]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: dying.status()["turns"]["outstanding"] == 4)
    until.touch()
    for thread in threads:
        thread.join()
    assert replies["dies"].status == 502
    assert [replies[n].status for n in range(3)] == [200] * 3
    report = report_of(dying, replies["dies"].json()["crash_id"], "w")
    assert sorted(c["state"] for c in report["calls"])[-1] == "running"
    assert [c["method"] for c in report["calls"] if c["state"] == "running"] == ["PUT"]
    assert {c["method"] for c in report["calls"] if c["state"] == "queued"} <= {"GET"}


def test_the_chain_of_a_call(dying):
    """Who waits for whom, and the caller is told the same crash_id."""
    dying.deploy("caller.py", "def GET(request):\n    try:\n"
                              "        _runtime.call_object('d', 'PUT', {'how': 'exit'})\n"
                              "    except Exception as e:\n        return {'crash_id': e.crash_id}\n")
    crash_id = dying.get("/objects/caller").json()["crash_id"]
    assert report_of(dying, crash_id)["calls"][0]["chain"] == ["caller"]


def test_a_safe_method_may_be_repeated(dying):
    dying.deploy("safe.py", "import os\ndef GET(request):\n    os._exit(1)\n"
                            "__endpoint__ = {'readonly': ['POST'], 'workers': 1}\n"
                            "def POST(request):\n    os._exit(1)\n"
                            "def DELETE(request):\n    os._exit(1)\n")
    seen = {m: dying.request(m, "/objects/safe").json()["retryable"] for m in ("GET", "POST", "DELETE")}
    assert seen == {"GET": True, "POST": True, "DELETE": False}
    dying.deploy("letters.py", "import os\n__endpoint__ = {'stateless': True}\ndef POST(request):\n    os._exit(1)\n")
    assert not dying.post("/objects/letters").json()["retryable"]  # no state, but perhaps a letter


# --- every kind of worker, every blame ---


def test_a_candidate_that_dies(dying):
    """Its version is rejected; how it died stands in a report, the old version serves."""
    dying.put("d.py", "import os\nprint('importing', flush=True)\nos._exit(5)\n")
    wait_until(lambda: crashes(dying))
    summary = crashes(dying)[0]
    assert (summary["role"], summary["exit_code"]) == ("candidate", 5)
    assert summary["state"] in ("spawned", "loading")  # READY is read before its death, or is not
    assert summary["version"] == 0  # it never became one
    assert dying.get("/objects/d").status == 200


def test_what_it_was_at(dying):
    """Not every call is somebody's request. Who sent what does not load is told which report says more."""
    def refused(function):
        source = DIES + f"def {function}:\n    os._exit(6)\n"
        reply = dying.request("PUT", "/objects/d?source=true", {"code": source})
        assert reply.status == 422, reply
        report = report_of(dying, reply.json()["crash_id"])
        assert report["exit_code"] == 6 and [c["method"] for c in report["calls"]] == [report["method"]]
        return report["method"], report["path"]

    assert refused("health()") == ("HEALTH", "health")
    assert refused("migrate_state(old)") == ("MIGRATE", "migrate_state")
    dying.deploy("new.py", "import os\nos._exit(9)\n")
    crash_id = dying.get("/objects/new").json()["crash_id"]
    assert report_of(dying, crash_id, "new")["exit_code"] == 9
    wait_until(lambda: dying.get("/objects/new?status=true").json().get("backoff", {}).get("crash_id"))
    dying.deploy("s.py", "import os\ndef GET(request):\n    yield 'a'\n    os._exit(8)\n")
    with contextlib.suppress(http.client.HTTPException, OSError):
        dying.get("/objects/s")
    wait_until(lambda: crashes(dying, "s"))
    summary = crashes(dying, "s")[0]
    assert (summary["method"], summary["path"]) == ("GET", "/objects/s")
    assert report_of(dying, summary["crash_id"], "s")["calls"][0]["state"] == "streaming"


def test_a_replica_that_dies(station):
    station.allow(DEATHS)
    station.deploy("r.py", "import os\n__endpoint__ = {'readonly': ['GET'], 'workers': 2}\n"
                           "def GET(request):\n    return os.getpid()\n")
    station.get("/objects/r")

    def replicas():
        workers = station.get("/objects/r?metadata=true").json()["metadata"]["worker"]["all"]
        return [w["pid"] for w in workers if w["role"] == "replica" and w["pid"]]

    wait_until(replicas)
    os.kill(replicas()[0], signal.SIGKILL)
    wait_until(lambda: crashes(station, "r"))
    assert crashes(station, "r")[0]["role"] == "replica"


@pytest.mark.parametrize("station", [{"config": {"workers": {"start_timeout": 0.8 * PATIENCE}}}], indirect=True)
def test_an_import_that_hangs(station):
    """The report shows where."""
    station.allow(DEATHS, "nursery")
    station.put("slow.py", "import time\ndef endless():\n    time.sleep(600)\nendless()\n")
    wait_until(lambda: "slow" in station.object_ids())
    reply = station.get("/objects/slow")
    assert reply.status == 500 and "start_timeout" in reply.json()["error"], reply
    wait_until(lambda: crashes(station, "slow"))
    summary = crashes(station, "slow")[-1]
    assert summary["blame"] == "load-time" and summary["role"] == "candidate"
    assert "in endless" in report_of(station, summary["crash_id"], "slow")["python_stack"]


def test_a_broken_protocol(dying):
    dying.allow("protocol")
    dying.deploy("p.py", "import os\ndef GET(request):\n    os.write(3, b'\\xff' * 64)\n    return 1\n")
    reply = dying.get("/objects/p")
    assert reply.status == 502 and "broke its protocol" in reply.json()["error"], reply
    report = report_of(dying, reply.json()["crash_id"], "p")
    assert report["blame"] == "protocol" and "protocol" in report["reason"]


def test_a_test_that_dies(dying):
    dying.deploy("t.py", "import os\ndef GET(request):\n    return 1\ndef test_it():\n    os._exit(4)\n")
    dying.get("/objects/t?test=true")
    wait_until(lambda: crashes(dying, "t"))
    assert (crashes(dying, "t")[0]["role"], crashes(dying, "t")[0]["exit_code"]) == ("test", 4)
    assert dying.get("/objects/t").status == 200


def called(station):
    """Its metadata after a call: one that was idle reads its file then."""
    assert station.get("/objects/d").status == 200
    metadata = station.get("/objects/d?metadata=true").json()["metadata"]
    versions = station.get("/objects/d?versions=true").json()["versions"]
    return {**metadata, "versions": len(versions)}


def test_a_peaceful_end_leaves_none(new_station):
    """Idle, a deploy, a file that does not load, the end of the station: no crashes."""
    station = new_station(config={"workers": {"idle_timeout": 0.2}}).start()
    station.allow("does not load")
    station.deploy("d.py", DIES)
    assert station.get("/objects/d").status == 200
    station.put("d.py", DIES + "# 2\n")
    wait_until(lambda: called(station)["source_version"] == 2)
    station.put("d.py", "raise RuntimeError('no')\n")
    wait_until(lambda: called(station)["versions"] == 3)
    wait_until(lambda: not station.workers())
    assert crashes(station) == []
    station.restart()
    assert crashes(station) == [] and not (station.data / "crashes").exists()


# --- list, bounds, damage ---


@pytest.mark.parametrize("station", [{"config": {"limits": {"crashes_object_max": 3, "crashes_station_max": 5}}}],
                         indirect=True)
def test_the_number_is_bounded(dying):
    """Of an object and of the station; the oldest go, and their folders."""
    dying.deploy("e.py", DIES)
    assert dying.get("/objects/e").status == 200
    kept = []
    for n in range(4):  # each a version of its own, so that nothing waits
        dying.put("d.py", DIES + f"# {n}\n")
        wait_until(lambda: dying.get("/objects/d?metadata=true").json()["metadata"]["source_version"] == n + 2)
        kept.append(die(dying, "exit")[0]["crash_id"])
    assert [c["crash_id"] for c in crashes(dying)] == kept[:0:-1]  # newest first
    assert [c["crash_id"] for c in crashes(dying, query="&limit=1")] == kept[-1:]
    assert dying.get(f"/objects/d?crash={kept[0]}").status == 404
    others = []
    for n in range(3):
        dying.put("e.py", DIES + f"# {n}\n")
        wait_until(lambda: dying.get("/objects/e?metadata=true").json()["metadata"]["source_version"] == n + 2)
        others.append(die(dying, "exit", "e")[0]["crash_id"])
    assert [c["crash_id"] for c in crashes(dying)] == kept[:1:-1]
    assert [c["crash_id"] for c in crashes(dying, "e")] == others[::-1]
    assert len(list((dying.data / "crashes").rglob("*"))) == 2 + 5


@pytest.mark.parametrize("crash_id", ["", "x", "..", "%2e%2e%2f%2e%2e", "../../../etc/passwd", "%00", "a" * 300,
                                      "20261122-022344-1-0000002a", "20261122-022344-1-0000002a%00",
                                      "20261122-022344-1-0000002a.json", "*", "%ff%fe", "%0a"])
def test_an_unknown_or_hostile_id(module_station, crash_id):
    module_station.put("quiet.py", "def GET(request):\n    return 1\n")
    wait_until(lambda: "quiet" in module_station.object_ids())
    reply = module_station.get(f"/objects/quiet?crash={crash_id}")
    assert reply.status == 404 and reply.json()["status"] == "error", reply
    assert crashes(module_station, "quiet") == []


def test_bad_questions(module_station):
    module_station.put("quiet.py", "def GET(request):\n    return 1\n")
    wait_until(lambda: "quiet" in module_station.object_ids())
    for query in ("crashes=true&limit=0", "crashes=true&limit=x", "crash=a&crash=b"):
        assert module_station.get(f"/objects/quiet?{query}").status == 400, query


@pytest.mark.parametrize("station", [{"config": {"security": {"management": "off"}}}], indirect=True)
def test_reports_are_management(station):
    station.put("quiet.py", "def GET(request):\n    return 1\n")
    wait_until(lambda: "quiet" in station.object_ids())
    for query in ("crashes=true", "crash=20261122-022344-1-0000002a"):
        assert station.get(f"/objects/quiet?{query}").status == 403


def test_damaged_reports(dying):
    """They are shown as such and hide no other; a link is not followed."""
    answer, _ = die(dying, "exit")
    folder = dying.data / "crashes" / "d"
    whole = (folder / f"{answer['crash_id']}.json").read_bytes()
    names = [f"20200101-000000-1-0000000{n}" for n in range(5)]
    for name, content in zip(names, (b"", b"{", whole[:-20], b"\xff\n" * 10)):
        (folder / f"{name}.json").write_bytes(content)
    (folder / f"{names[4]}.json").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("not ours")
    shown = {c["crash_id"]: c.get("damaged") for c in crashes(dying)}
    assert shown == {answer["crash_id"]: None, **{name: True for name in names}}
    codes = [dying.get(f"/objects/d?crash={name}").status for name in names]
    assert codes == [500, 500, 500, 500, 404]
    assert report_of(dying, answer["crash_id"])["exit_code"] == 7
    checked = dying.objectctl("check", dying.data)
    assert checked.returncode != 0
    for name in names[:4]:
        assert name in checked.stdout, checked
    for name in [*names, "notes"]:
        for path in folder.glob(f"{name}*"):
            path.unlink()


@contextlib.contextmanager
def unwritable(station):
    """In place of the folder of reports lies a file."""
    path = station.data / "crashes"
    path.write_text("in the way")
    try:
        yield
    finally:
        path.unlink()


def test_a_report_that_cannot_be_written(dying):
    """Said once, counted; the call is answered all the same, and later reports are there."""
    dying.allow("crash report")
    with unwritable(dying):
        for _ in range(3):
            reply = dying.request("PUT", "/objects/d?how=exit")
            assert reply.status == 502 and reply.json()["crash_id"]
        wait_until(lambda: dying.status()["crashes"]["lost"] == 3)
        assert len(dying.logged("crash report")) == 1
    wait_until(lambda: dying.request("PUT", "/objects/d?how=exit").status == 502)
    wait_until(lambda: len(crashes(dying)) == 1)
    assert dying.get("/objects/d?state=true").status == 200


def test_deaths_without_end_cost_no_memory(dying):
    """A scribe that hangs: what is beyond the bound is lost, not kept."""
    dying.allow("crash report")
    dying.deploy("t.py", "import os, sys\ndef GET(request):\n    return 1\n"
                         "def test_it():\n    os.write(2, b'x' * 65536)\n    os._exit(4)\n")
    assert dying.get("/objects/t").status == 200
    scribe = dying.children("scribe")[0].pid
    os.kill(scribe, signal.SIGSTOP)
    try:
        for _ in range(70):  # workers of tests have no backoff
            dying.get("/objects/t?test=true")
        wait_until(lambda: dying.status()["crashes"] == {"reported": 64, "lost": 6},
                   what=lambda: dying.status()["crashes"])
        assert len(dying.logged("crash report")) == 1
    finally:
        os.kill(scribe, signal.SIGCONT)
    wait_until(lambda: len(crashes(dying, "t", "&limit=100")) == 20)


# --- objectctl ---


def test_objectctl_crashes(dying):
    """A table, a report, JSON, and what is not there."""
    empty = dying.objectctl("crashes", "d")
    assert empty.returncode == 0, empty
    answer, report = die(dying, "SIGSEGV")
    listed = dying.objectctl("crashes", "d")
    assert listed.returncode == 0 and answer["crash_id"] in listed.stdout, listed
    assert "signal 11" in listed.stdout and "PUT" in listed.stdout
    as_json = json.loads(dying.objectctl("--json", "crashes", "d").stdout)
    assert [c["crash_id"] for c in as_json["crashes"]] == [answer["crash_id"]]
    shown = dying.objectctl("crashes", "d", answer["crash_id"])
    assert shown.returncode == 0, shown
    for part in ("SIGSEGV", "in in_python", "C stack", "last words", "before the end", "why=told", "running", "r-SIGSEGV"):
        assert part in shown.stdout, (part, shown.stdout)
    as_json = json.loads(dying.objectctl("--json", "crashes", "d", answer["crash_id"]).stdout)
    assert as_json["crash"] == report
    assert dying.objectctl("crashes", "d", "20200101-000000-1-1").returncode == 66
    assert dying.objectctl("crashes", "nobody").returncode == 66
    assert dying.objectctl("crashes").returncode == 64
    assert dying.objectctl("crashes", "d", "-n", "x").returncode == 64
    checked = dying.objectctl("check", dying.data)
    assert checked.returncode == 0, checked
