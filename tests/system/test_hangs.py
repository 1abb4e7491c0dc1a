# SPDX-License-Identifier: Apache-2.0
"""Turns that do not end: each way to hang, and its end. The call is answered 504, the object serves
again, and the crash report shows the stacks where the process still took signals."""

import itertools
import os
import signal
import threading
import time

import pytest
from station import PATIENCE, serving, wait_until

numbers = itertools.count()
SHORT = 0.2 * min(PATIENCE, 2)  # what does not hang answers within it, but for a busy machine
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
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(600)
def ignoring_signals():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)
def blocking_past_the_library():
    ctypes.CDLL(None).sigsuspend(b'\\xff' * 128)
def swallowing():
    while True:
        try:
            time.sleep(600)
        except TimeoutError:
            pass
def with_children():
    child = subprocess.Popen(['/bin/sleep', '600'])
    open('FOLDER' + '/' + str(os.getpid()) + '.child', 'w').write(str(child.pid))
    swallowing()
def PUT(request):
    _state_manager.set('half', True)
    globals()[request['how']]()
"""
# Ends in the handler: Python looks at signals there.
RAISES = ["sleeping", "computing", "sleeping_in_ctypes", "regular_expression"]
# Has to be killed; whether its stacks can be had.
KILLED = {"in_c": True, "deadlocked_in_ctypes": True, "holding_the_gil": True, "swallowing": True,
          "ignoring_signals": True, "blocking_signals": True, "blocking_past_the_library": False}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """One station for all that is ended soon."""
    with serving(tmp_path_factory.mktemp("impatient"), **CONFIG) as subject:
        subject.allow(DEATHS)
        yield subject


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    """One where what is told of its deadline has time to end."""
    with serving(tmp_path_factory.mktemp("lenient"), **LENIENT) as subject:
        yield subject


def pid_of(station, object_id):
    """What it answers, once it does: a busy machine may have been too slow for SHORT."""
    def answer():
        reply = station.get(f"/objects/{object_id}")
        assert reply.status in (200, 503, 504), reply  # 503: it died too often
        return reply.status == 200 and int(reply.text)
    return wait_until(answer)


def hanging(station):
    """A new object that serves; its id."""
    object_id = station.deploy(f"h{next(numbers)}.py", HANGS)
    pid_of(station, object_id)
    return object_id


def hang(station, object_id, how):
    started = time.monotonic()
    reply = station.request("PUT", f"/objects/{object_id}?how={how}")
    assert reply.status == 504, reply
    assert time.monotonic() - started < 15 * PATIENCE  # it would last for 600 s
    return reply.json()


def verify_serves_again(station, object_id):
    pid_of(station, object_id)
    assert station.state(object_id) == {}  # nothing of the turn


@pytest.mark.parametrize("how", RAISES)
def test_a_handler_gets_the_timeout(lenient, how):
    """It ends as any exception does: the process lives on."""
    h = hanging(lenient)
    pid = pid_of(lenient, h)
    answer = hang(lenient, h, how)
    assert answer["limit"] == "timeout" and "crash_id" not in answer, answer
    verify_serves_again(lenient, h)
    assert pid_of(lenient, h) == pid


@pytest.mark.parametrize("how", KILLED)
def test_what_does_not_listen_is_killed(impatient, how):
    h = hanging(impatient)

    def killed():
        pid = pid_of(impatient, h)
        answer = hang(impatient, h, how)
        assert answer["limit"] == "timeout" and answer["retryable"] is False, answer
        report = impatient.get(f"/objects/{h}?crash={answer['crash_id']}").json()["crash"]
        assert (report["blame"], report["signal_name"], report["pid"]) == ("deadline", "SIGKILL", pid)
        assert report["calls"][0]["state"] == "running"
        assert report["calls"][0]["running_seconds"] >= SHORT
        verify_serves_again(impatient, h)
        assert pid_of(impatient, h) != pid
        if not KILLED[how]:
            assert any("was silent" in line["message"] for line in report["log"]), report["log"]
        return report["python_stack"] or "", report["c_stack"] or ""

    if KILLED[how]:  # a busy machine may have been too slow to write them within the grace
        python, c = wait_until(lambda: (stacks := killed()) and all(stacks) and stacks)
        assert f"in {how}" in python and "in PUT" in python
        assert "[0x" in c
    else:
        assert killed() == ("", "")


def test_a_stopped_worker(impatient):
    """It is woken for its stacks: then it gets its TimeoutError, or is killed."""
    h = hanging(impatient)

    def woken():
        answer = hang(impatient, h, "stopped")
        assert answer["limit"] == "timeout"
        verify_serves_again(impatient, h)
        stacks = "\n".join(line["message"] for line in impatient.object_logs(h, "&level=STDERR"))
        return "in stopped" in stacks or "crash_id" not in answer

    wait_until(woken)  # a busy machine may have been too slow to write them within the grace


def test_a_worker_stopped_from_outside(impatient):
    """Between two calls; the next one meets it."""
    h = hanging(impatient)
    os.kill(pid_of(impatient, h), signal.SIGSTOP)
    reply = impatient.get(f"/objects/{h}")
    assert reply.status in (200, 504), reply  # woken in time, or not
    wait_until(lambda: impatient.get(f"/objects/{h}").status == 200)


def test_what_it_started_dies_with_it(impatient, tmp_path):
    h = impatient.deploy(f"h{next(numbers)}.py", HANGS.replace("'FOLDER'", repr(str(tmp_path))))

    def started():
        written = tmp_path / f"{pid_of(impatient, h)}.child"
        hang(impatient, h, "with_children")
        return written.exists() and int(written.read_text())  # else a busy machine was too slow

    child = wait_until(started)

    def is_gone():
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(is_gone)
    verify_serves_again(impatient, h)


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
