# SPDX-License-Identifier: Apache-2.0
"""Workers that die: who is told what, when the next one starts, and what is kept of it."""

import contextlib
import os
import re
import signal
import threading
import time

import pytest
from station import wait_until

DEATHS = r"died|killed|deadline|ended"
CRASHES = """
import os, signal
def GET(request):
    return {'pid': os.getpid(), 'n': _state_manager.get('n', 0)}
def POST(request):
    return {'n': _state_manager.increment('n')}
def PUT(request):
    _state_manager.increment('n')
    os._exit(3)
def DELETE(request):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def crashing(station):
    station.allow(DEATHS)
    station.deploy("c.py", CRASHES)
    assert station.get("/objects/c").status == 200
    return station


def phase(station, object_id="c"):
    return station.get(f"/objects/{object_id}?status=true").json()


def worker_of(station, object_id="c"):
    return station.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["worker"]


def fail_until_backoff(station, object_id="c", method="PUT"):
    """Crashes until the next start is more than a second away."""
    for _ in range(12):
        reply = station.request(method, f"/objects/{object_id}")
        assert reply.status in (502, 503), reply
        if phase(station, object_id).get("backoff", {}).get("next_attempt_seconds", 0) > 1.05:
            return
    raise AssertionError(phase(station, object_id))


# --- when the next one starts ---


def test_the_first_death_is_made_good_at_once(crashing):
    """No call is needed for it, and no call meets it."""
    pid = crashing.worker_pid("c")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: worker_of(crashing)["pid"] not in (0, pid))
    assert worker_of(crashing)["restarts"] == 1
    assert crashing.get("/objects/c").status == 200


def test_an_unused_object_stays_away(new_station):
    """Nobody misses it: it is started by the next call."""
    station = new_station(config={"workers": {"idle_timeout": 0.1}}).start()
    station.allow(DEATHS)
    station.deploy("c.py", CRASHES)
    pid = station.get("/objects/c").json()["pid"]
    time.sleep(0.15)  # longer than it may be idle
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: phase(station)["phase"] == "cold")
    assert not phase(station)["running"]


def shown_in_backoff(station):
    """Everything that shows a backoff, asked for during the same one: the next is longer."""
    for _ in range(5):
        fail_until_backoff(station)
        status = phase(station)
        found = (status, station.get("/objects/c?metadata=true").json()["metadata"],
                 station.status()["backoff"], station.objectctl("objects").stdout,
                 station.objectctl("status").stdout, station.get("/objects/c"))
        if phase(station).get("backoff", {}).get("crash_id") == status["backoff"]["crash_id"]:
            return found
    raise AssertionError(f"each was over too soon: {found}")


def test_backoff_shows_everywhere_and_ends(crashing):
    status, metadata, listed, objects, overview, reply = shown_in_backoff(crashing)
    assert status["phase"] == "backoff" and status["running"] is False
    assert status["backoff"]["reason"] == "exit status 3" and status["backoff"]["failures"] >= 4
    assert 0 < status["backoff"]["next_attempt_seconds"] <= 30
    assert status["backoff"]["next_attempt"].endswith("Z")
    assert metadata["backoff"]["reason"] == "exit status 3"
    assert metadata["worker"]["phase"] == "backoff"
    assert [(o["object_id"], o["reason"]) for o in listed] == [("c", "exit status 3")]
    assert listed[0]["next_attempt_seconds"] > 0
    assert "backoff" in objects and "exit status 3" in objects, objects
    assert "backoff" in overview and "exit status 3" in overview, overview

    # a call is told the reason, and when to come again
    assert reply.status == 503, reply
    answer = reply.json()
    assert answer["limit"] == "backoff_wait" and answer["retryable"] is True
    assert "exit status 3" in answer["error"] and "workers.backoff_wait" in answer["error"]
    assert answer["backoff"]["reason"] == "exit status 3"
    left = answer["backoff"]["next_attempt_seconds"]
    assert left <= int(reply.headers["retry-after"]) < left + 1.1
    assert re.search(r"objectd_rejected_backoff_total [1-9]", crashing.get("/metrics").text)

    # failed is not for ever: one worker probes by itself, nobody needs to call
    wait_until(lambda: phase(crashing)["phase"] == "serving")
    assert "backoff" not in phase(crashing) and crashing.get("/objects/c").status == 200


@pytest.mark.parametrize("station", [{"config": {"workers": {"backoff_wait": 60}}}], indirect=True)
def test_a_call_may_wait_for_a_backoff(crashing):
    for _ in range(3):
        assert crashing.request("PUT", "/objects/c").status == 502
    assert crashing.get("/objects/c").json()["n"] == 0


def test_a_new_source_resets(crashing):
    """It is tried at once, and counts from the start."""
    fail_until_backoff(crashing)
    crashing.put("c.py", CRASHES + "# better\n")
    wait_until(lambda: phase(crashing)["phase"] == "serving", 10)
    pid = crashing.worker_pid("c")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: worker_of(crashing)["pid"] not in (0, pid), 10)  # at once again


def test_a_restart_by_hand_resets(crashing):
    """Deaths are counted from the start again: the first one after it is made good at once."""
    for _ in range(4):
        assert crashing.request("PUT", "/objects/c").status == 502
    wait_until(lambda: phase(crashing)["phase"] == "serving")
    assert crashing.objectctl("restart", "c").returncode == 0
    wait_until(lambda: phase(crashing)["phase"] == "serving")
    for failures in (1, 2, 3):
        assert crashing.request("PUT", "/objects/c").status == 502
        backoff = phase(crashing).get("backoff")
        assert not backoff or backoff["failures"] == failures, backoff


def test_a_file_that_does_not_load_is_tried_again(station):
    """The first failure already waits, the reason is shown, and the next call is an attempt."""
    station.allow("does not load")
    flag = station.folder / "flag"
    station.put("late.py", f"import os\nif not os.path.exists({str(flag)!r}):\n"
                           "    raise RuntimeError('not yet')\ndef GET(request):\n    return 'here'\n")
    wait_until(lambda: "late" in station.object_ids())
    reply = station.get("/objects/late")
    assert reply.status == 500 and "not yet" in reply.json()["error"]
    flag.touch()
    wait_until(lambda: station.get("/objects/late").status == 200)


# --- one at a time while it is not known to work ---

STATELESS = """
import os, time
__endpoint__ = {'stateless': True, 'workers': 3, 'concurrent': 4}
while not os.path.exists('%(gate)s'):
    time.sleep(0.005)
async def GET(request):
    if os.path.exists('%(poison)s'):
        os._exit(3)
    return {'pid': os.getpid()}
"""


@pytest.mark.parametrize("station", [{"config": {"workers": {"backoff_wait": 60}}}], indirect=True)
def test_one_call_probes(station):
    """Of many calls and workers, one worker with one call is the test of whether it works."""
    station.allow(DEATHS)
    gate, poison = station.folder / "gate", station.folder / "poison"
    gate.touch()
    station.deploy("s.py", STATELESS % {"gate": gate, "poison": poison})
    assert station.get("/objects/s").status == 200
    wait_until(lambda: len(worker_of(station, "s")["all"]) == 3 and
               all(w["pid"] for w in worker_of(station, "s")["all"]))
    gate.unlink()
    poison.touch()
    for worker in worker_of(station, "s")["all"]:
        os.kill(worker["pid"], signal.SIGKILL)
    wait_until(lambda: not worker_of(station, "s")["all"])  # the next one waits at the gate
    before = worker_of(station, "s")["restarts"]
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(station.get("/objects/s").status))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: station.status()["turns"]["outstanding"] == 3)
    gate.touch()
    for thread in threads:
        thread.join()
    assert replies == [502, 502, 502]
    wait_until(lambda: worker_of(station, "s")["restarts"] == before + 3)  # each cost one call
    poison.unlink()
    wait_until(lambda: station.get("/objects/s").status == 200)
    wait_until(lambda: len(worker_of(station, "s")["all"]) == 3)  # all of them are back
