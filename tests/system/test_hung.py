# SPDX-License-Identifier: Apache-2.0
"""Helpers that hang but live, and an end in the middle of something: nobody waits for ever."""

import contextlib
import os
import signal
import threading
import time

import pytest
from station import BUILD, PATIENCE, wait_until

HELLO = "def GET(request):\n    return {'message': 'hello'}\n"
COUNTER = ("def GET(request):\n    return _state_manager.get('n', 0)\n"
           "def PUT(request):\n    return _state_manager.increment('n')\n")
SLOW_IMPORT = ("import os, time\nopen({begun!r}, 'w').close()\n"
               "while not os.path.exists({until!r}):\n    time.sleep(0.005)\n"
               "def GET(request):\n    return 'new'\n")


@contextlib.contextmanager
def stopped(station, role):
    """The process is stopped by SIGSTOP within; it may have been replaced at the end."""
    pid = station.children(role)[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Calls:
    """Requests in threads; join() returns the replies in the order they were asked for."""

    def __init__(self, station):
        self.station, self.threads, self.replies = station, [], {}

    def ask(self, method, path, timeout=60):
        number = len(self.threads)

        def work():
            with contextlib.suppress(OSError):
                self.replies[number] = self.station.request(method, path, timeout=timeout)

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join()
        return [self.replies.get(i) for i in range(len(self.threads))]


def outstanding(station, count):
    return lambda: station.status()["turns"]["outstanding"] == count


# --- the scribe ---


@pytest.mark.parametrize("station", [{"config": {"http": {"view_timeout": 0.5 * PATIENCE}}}], indirect=True)
def test_a_stopped_scribe_stops_no_turn(station):
    """Turns, logs and health go on; views of files end in a 503 that names the limit."""
    station.deploy("counter.py", COUNTER)
    assert station.request("PUT", "/objects/counter").status == 200
    with stopped(station, "scribe") as pid:
        for _ in range(20):
            assert station.request("PUT", "/objects/counter").status == 200
        assert station.get("/health").status == 200
        assert station.get("/objects/counter?metadata=true").status == 200
        views = Calls(station)
        for view in ("state=true", "state=true&key=n", "logs=true"):
            views.ask("GET", f"/objects/counter?{view}")
        for reply in views.join():
            assert reply.status == 503 and reply.json()["limit"] == "view_timeout", reply
            assert reply.headers["retry-after"] and "http.view_timeout" in reply.json()["error"]
    assert wait_until(lambda: station.get("/objects/counter?state=true").status == 200)
    assert station.state("counter") == {"n": 21}
    assert station.children("scribe")[0].pid == pid  # it was not at fault
    assert [e for e in station.object_logs("counter") if "PUT" in str(e)]


@pytest.mark.parametrize("station", [{"config": {"http": {"view_timeout": 60},
                                                 "limits": {"views_max": 4}}}], indirect=True)
def test_views_under_way_are_limited(station):
    station.deploy("counter.py", COUNTER)
    assert station.request("PUT", "/objects/counter").status == 200
    calls = Calls(station)
    with stopped(station, "scribe"):
        for _ in range(5):
            calls.ask("GET", "/objects/counter?state=true")
        wait_until(lambda: calls.replies)  # the fifth is refused at once
        refused = next(iter(calls.replies.values()))
        assert refused.status == 503 and refused.json()["limit"] == "views_max", refused
    assert sorted(reply.status for reply in calls.join()) == [200] * 4 + [503]


@pytest.mark.parametrize("station", [{"config": {"workers": {"stop_timeout": 0.5}}}], indirect=True)
def test_term_with_a_stopped_scribe(station):
    """What it was to write is in the journal all the same."""
    station.allow("the scribe takes too long; the rest stays in the journal")
    station.deploy("counter.py", COUNTER)
    assert station.request("PUT", "/objects/counter").status == 200
    with stopped(station, "scribe"):
        station.ended_by_test = True
        assert station.stop() == 0
    station.start()
    assert station.state("counter") == {"n": 1}


# --- the nursery ---


@pytest.mark.parametrize("station", [{"config": {"workers": {"start_timeout": 3 * PATIENCE}}}], indirect=True)
def test_a_stopped_nursery_is_replaced(station):
    """Calls of cold objects wait for the next one; its fault is not the object's."""
    station.allow("nursery", "no worker for cold")
    station.deploy("cold.py", HELLO)
    calls = Calls(station)
    with stopped(station, "nursery") as pid:
        calls.ask("GET", "/objects/cold")
        wait_until(lambda: [p for p in station.children("nursery")
                            if p.pid != pid and p.state != "Z"])
        assert calls.join()[0].status == 200
    assert station.get("/objects/cold?metadata=true").json()["metadata"].get("load_error") is None


def test_a_stopped_nursery_hides_no_death(station):
    """A zombie of unknown pid may be a worker that it has not told yet; others are reaped."""
    station.allow("crash|died|exit status 3|ended")
    station.deploy("cold.py", HELLO)
    station.deploy("orphan.py",
                   "import os\n"
                   "def GET(request):\n"
                   "    if os.fork() == 0:\n        if os.fork() == 0:\n            os._exit(0)\n"
                   "        os._exit(0)\n    os.wait()\n    return 'made'\n"
                   "def PUT(request):\n    os._exit(3)\n")
    station.deploy("crash.py", "import os\ndef GET(request): return 1\ndef PUT(request): os._exit(3)\n")
    assert station.get("/objects/crash").status == station.get("/objects/orphan").status == 200
    calls = Calls(station)
    with stopped(station, "nursery"):
        calls.ask("GET", "/objects/cold")
        wait_until(outstanding(station, 1))
        assert station.get("/objects/orphan").status == 200
        wait_until(lambda: [p for p in station.children() if p.state == "Z"])
        started = time.monotonic()
        reply = station.request("PUT", "/objects/crash")
        assert reply.status == 502 and reply.json()["crash_id"], reply
        assert time.monotonic() - started < 5 * PATIENCE  # not only when the nursery is replaced
    assert calls.join()[0].status == 200


# The real nursery, and between it and the supervisor a process that holds its answers back.
LATE_ANSWERS = """#!/usr/bin/python3
import os, socket, sys, threading, time
worker, held = {worker!r}, {held!r}
supervisor = socket.socket(fileno=os.dup(3))
ours, theirs = socket.socketpair()
if os.fork():
    os.dup2(theirs.fileno(), 3)
    os.execv(worker, ["objectd-worker", *sys.argv[1:]])
os.close(3)
theirs.close()

def forward(source, to, is_answer):
    while True:
        data, fds, _, _ = socket.recv_fds(source, 65536, 100)
        if not data:
            os._exit(0)
        while is_answer and os.path.exists(held):
            time.sleep(0.005)
        socket.send_fds(to, [data], fds)
        for fd in fds:
            os.close(fd)

threading.Thread(target=forward, args=(supervisor, ours, False), daemon=True).start()
forward(ours, supervisor, True)
"""


def test_who_serves_has_a_pid(new_station, tmp_path):
    """What a worker says is held until the nursery has told who it is."""
    program, held, loaded = tmp_path / "late-answers", tmp_path / "held", tmp_path / "loaded"
    program.write_text(LATE_ANSWERS.format(worker=str(BUILD / "objectd-worker"), held=str(held)))
    program.chmod(0o755)
    station = new_station(config={"workers": {"program": str(program)}}).start()
    station.deploy("hello.py", f"open({str(loaded)!r}, 'w').close()\n{HELLO}")
    held.touch()
    calls = Calls(station)
    calls.ask("GET", "/objects/hello")
    wait_until(loaded.exists)
    calls.threads[0].join(0.2)
    assert [(w["state"], w["pid"]) for w in station.status()["processes"]["workers"]] == [
        ("spawned", 0)]
    held.unlink()
    assert calls.join()[0].status == 200
    assert station.worker_pid("hello") > 1


@pytest.mark.parametrize("station", [{"config": {"workers": {"stop_timeout": 0.5}}}], indirect=True)
def test_term_with_a_stopped_nursery(station):
    station.allow("unanswered after workers.stop_timeout", "no worker for cold")
    station.deploy("counter.py", COUNTER)
    station.deploy("cold.py", HELLO)
    assert station.request("PUT", "/objects/counter").status == 200
    calls = Calls(station)
    with stopped(station, "nursery"):
        calls.ask("GET", "/objects/cold")
        wait_until(outstanding(station, 1))
        station.ended_by_test = True
        assert station.stop() == 0
    calls.join()
    station.start()
    assert station.state("counter") == {"n": 1}


@pytest.mark.parametrize("station", [{"config": {"workers": {"start_timeout": 3 * PATIENCE}}}], indirect=True)
def test_term_waits_for_the_next_nursery(station):
    """A call that waits for a cold object is answered before the end."""
    station.allow("nursery", "no worker for cold")
    station.deploy("cold.py", HELLO)
    calls = Calls(station)
    with stopped(station, "nursery"):
        calls.ask("GET", "/objects/cold")
        wait_until(outstanding(station, 1))
        station.ended_by_test = True
        station.send_signal(signal.SIGTERM)
        assert calls.join()[0].status == 200
        assert station.wait() == 0


# --- an end in the middle of a deploy ---


def begin_slow_deploy(station):
    """A version whose import goes on until the returned file appears."""
    begun, until = station.folder / "begun", station.folder / "until"
    station.deploy("counter.py", COUNTER)
    assert station.request("PUT", "/objects/counter").status == 200
    station.put("counter.py", SLOW_IMPORT.format(begun=str(begun), until=str(until)))
    wait_until(begun.exists)
    return until


def test_term_during_a_deploy(station):
    """The old version answers to the end, the candidate goes, and the next start loads the file."""
    until = begin_slow_deploy(station)
    assert station.request("PUT", "/objects/counter").json() == 2
    station.ended_by_test = True
    assert station.stop(timeout=15) == 0
    until.touch()
    station.start()
    assert station.state("counter") == {"n": 2}
    wait_until(lambda: station.get("/objects/counter").text == "new")


def test_term_during_the_first_load(station):
    """Calls that wait for an import are answered before the end."""
    begun, until = station.folder / "begun", station.folder / "until"
    station.deploy("slow.py", SLOW_IMPORT.format(begun=str(begun), until=str(until)))
    calls = Calls(station)
    calls.ask("GET", "/objects/slow")
    wait_until(begun.exists)
    station.ended_by_test = True
    station.send_signal(signal.SIGTERM)
    wait_until(lambda: station.logged("^stopping"))
    until.touch()
    assert calls.join()[0].text == "new"
    assert station.wait() == 0


def test_second_term_during_a_deploy(station):
    begin_slow_deploy(station)
    begun = station.folder / "call"
    station.deploy("wait.py", "import time\ndef GET(request):\n"
                              f"    open({str(begun)!r}, 'w').close()\n    time.sleep(600)\n")
    calls = Calls(station)
    calls.ask("GET", "/objects/wait")
    wait_until(begun.exists)
    station.ended_by_test = True
    station.send_signal(signal.SIGTERM)
    wait_until(lambda: station.logged("^stopping"))
    station.send_signal(signal.SIGTERM)
    assert station.wait(timeout=15) == 0
    calls.join()


# --- inotify ---

QUEUE = "/proc/sys/fs/inotify/max_queued_events"


def test_inotify_overflow(new_station):
    """More events than the queue holds: the folder is scanned again, and nothing is missed."""
    if not os.access(QUEUE, os.W_OK):
        pytest.skip(f"{QUEUE} cannot be written")
    station = new_station()
    for name in ("kept", "changed", "removed"):
        station.put(f"{name}.py", f"def GET(request):\n    return '{name}'\n")
    before = open(QUEUE).read()
    try:
        with open(QUEUE, "w") as f:  # it counts when the queue is made
            f.write("4")
        station.start()
    finally:
        with open(QUEUE, "w") as f:
            f.write(before)
    for name in ("kept", "changed", "removed"):
        assert station.get(f"/objects/{name}").text == name
    station.send_signal(signal.SIGSTOP)
    try:
        for i in range(20):
            station.put(f"filler{i}.py", HELLO)
        station.put("changed.py", "def GET(request):\n    return 'after'\n")
        station.put("folder/new.py", HELLO)
        (station.objects / "removed.py").unlink()
    finally:
        station.send_signal(signal.SIGCONT)
    wait_until(lambda: station.logged("scanning the objects folder again"))
    wait_until(lambda: station.get("/objects/changed").text == "after")
    wait_until(lambda: "removed" not in station.object_ids())
    assert {"kept", "changed", "folder_new", *(f"filler{i}" for i in range(20))} == \
        set(station.object_ids())
    assert station.get("/objects/folder_new").status == 200
    station.deploy("folder/later.py", HELLO)  # watched again, folders too
