# SPDX-License-Identifier: Apache-2.0
"""Turns that do not end: each way to hang, and its end. The call is answered 504, the object serves
again, and the crash report shows the stacks where the process still took signals."""

import os
import signal
import threading
import time

import pytest
from station import PATIENCE, wait_until

SHORT = 0.2 * min(PATIENCE, 2)  # what does not hang answers within it, too
# The grace has room for stacks, which are written on a busy machine, too.
CONFIG = {"config": {"workers": {"timeout": SHORT, "timeout_grace": 2.5 * SHORT}}}
LENIENT = {"config": {"workers": {"timeout": SHORT, "timeout_grace": 20}}}
DEATHS = r"deadline|grace|killed|died"
HANGS = """
import ctypes, os, re, signal, subprocess, time
def GET(request):
    return os.getpid()
def sleeping():
    time.sleep(600)
def computing():
    while True:
        pass
def in_c():
    sum(range(10 ** 18))
def regular_expression():
    re.match(r'(a+)+$', 'a' * 64 + 'b')
def sleeping_in_ctypes():
    ctypes.CDLL(None).sleep(600)
def deadlocked_in_ctypes():
    mutex = ctypes.create_string_buffer(64)
    while True:
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
def holding_the_gil():
    mutex = ctypes.create_string_buffer(64)
    while True:
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)
def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)
def blocking_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    time.sleep(600)
def ignoring_signals():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    time.sleep(600)
def swallowing():
    while True:
        try:
            time.sleep(600)
        except TimeoutError:
            pass
def with_children():
    child = subprocess.Popen(['/bin/sleep', '600'])
    open(os.environ.get('TMPDIR', '/tmp') + '/' + str(os.getpid()) + '.child', 'w').write(str(child.pid))
    swallowing()
def PUT(request):
    _state_manager.set('half', True)
    globals()[request['how']]()
"""
# Ends in the handler: Python looks at signals there.
RAISES = ["sleeping", "computing", "sleeping_in_ctypes", "regular_expression"]
# Has to be killed; whether its stacks can be had.
KILLED = {"in_c": True, "deadlocked_in_ctypes": True, "holding_the_gil": True, "ignoring_signals": True,
          "swallowing": True, "blocking_signals": False}


@pytest.fixture
def hanging(station):
    station.allow(DEATHS)
    station.deploy("h.py", HANGS)
    assert station.get("/objects/h").status == 200
    return station


def hang(station, how):
    started = time.monotonic()
    reply = station.request("PUT", f"/objects/h?how={how}")
    assert reply.status == 504, reply
    assert time.monotonic() - started < 5 * PATIENCE
    return reply.json()


def verify_serves_again(station):
    assert station.get("/objects/h").status == 200
    assert station.state("h") == {}  # nothing of the turn


@pytest.mark.parametrize("station", [LENIENT], indirect=True)
@pytest.mark.parametrize("how", RAISES)
def test_a_handler_gets_the_timeout(hanging, how):
    """It ends as any exception does: the process lives on."""
    pid = int(hanging.get("/objects/h").text)
    answer = hang(hanging, how)
    assert answer["limit"] == "timeout" and "crash_id" not in answer, answer
    verify_serves_again(hanging)
    assert int(hanging.get("/objects/h").text) == pid


@pytest.mark.parametrize("station", [CONFIG], indirect=True)
@pytest.mark.parametrize("how", KILLED)
def test_what_does_not_listen_is_killed(hanging, how):
    pid = int(hanging.get("/objects/h").text)
    answer = hang(hanging, how)
    assert answer["limit"] == "timeout" and answer["retryable"] is False, answer
    report = hanging.get(f"/objects/h?crash={answer['crash_id']}").json()["crash"]
    assert (report["blame"], report["signal_name"], report["pid"]) == ("deadline", "SIGKILL", pid)
    assert report["calls"][0]["state"] == "running" and report["calls"][0]["running_seconds"] >= SHORT
    if KILLED[how]:
        assert f"in {how}" in report["python_stack"] and "in PUT" in report["python_stack"]
        assert "[0x" in report["c_stack"]
    else:
        assert report["python_stack"] is None and report["c_stack"] is None
    verify_serves_again(hanging)
    assert int(hanging.get("/objects/h").text) != pid


@pytest.mark.parametrize("station", [CONFIG], indirect=True)
def test_a_stopped_worker(hanging):
    """It is woken for its stacks: then it gets its TimeoutError, or is killed."""
    answer = hang(hanging, "stopped")
    assert answer["limit"] == "timeout"
    verify_serves_again(hanging)
    stacks = "\n".join(line["message"] for line in hanging.object_logs("h", "&level=STDERR"))
    assert "in stopped" in stacks or "crash_id" not in answer


@pytest.mark.parametrize("station", [CONFIG], indirect=True)
def test_a_worker_stopped_from_outside(hanging):
    """Between two calls; the next one meets it."""
    pid = int(hanging.get("/objects/h").text)
    os.kill(pid, signal.SIGSTOP)
    reply = hanging.get("/objects/h")
    assert reply.status in (200, 504), reply  # woken in time, or not
    wait_until(lambda: hanging.get("/objects/h").status == 200)


@pytest.mark.parametrize("station", [CONFIG], indirect=True)
def test_what_it_started_dies_with_it(hanging, tmp_path):
    hanging.env["TMPDIR"] = str(tmp_path)
    hanging.deploy("h.py", HANGS.replace("os.environ.get('TMPDIR', '/tmp')", repr(str(tmp_path))))
    wait_until(lambda: hanging.get("/objects/h?metadata=true").json()["metadata"]["source_version"] == 2)
    pid = int(hanging.get("/objects/h").text)
    hang(hanging, "with_children")
    child = int((tmp_path / f"{pid}.child").read_text())

    def is_gone():
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(is_gone)
    verify_serves_again(hanging)


@pytest.mark.parametrize("station", [{"config": {"workers": {"queue_timeout": 0.3}}}], indirect=True)
def test_the_queue_has_a_deadline_of_its_own(station):
    """A call behind a long one is refused; the long one goes on."""
    until = station.folder / "until"
    station.deploy("w.py", "import os, time\ndef GET(request):\n"
                           "    while not os.path.exists(request['until']):\n        time.sleep(0.005)\n"
                           "    return 'ended'\ndef POST(request):\n    return 'ran'\n")
    wait_until(lambda: station.post("/objects/w").status == 200)  # a start is waited for, too
    replies = []
    first = threading.Thread(target=lambda: replies.append(station.get(f"/objects/w?until={until}")))
    first.start()
    wait_until(lambda: station.status()["turns"]["outstanding"] == 1)
    refused = station.post("/objects/w")
    assert refused.status == 503 and refused.json()["limit"] == "queue_timeout", refused
    assert refused.json()["retryable"] is True and refused.headers["retry-after"]
    until.touch()
    first.join()
    assert replies[0].status == 200 and replies[0].text == "ended"
    assert station.post("/objects/w").text == "ran"
