# SPDX-License-Identifier: Apache-2.0
"""The way of a new version to serving: health(), the state handed over, migrate_state(), the switch;
and that the old one goes on wherever something fails."""

import os
import re
import signal
import threading
import time

import pytest
from station import PATIENCE, wait_until
from test_versions import on_disk, put, says, value_of, versions, wait_value

COUNTER = """
def GET(request):
    return {"value": 1, "state": _state.get_all()}

def POST(request):
    return {"n": _state.increment("n")}
"""


def second(**functions):
    """Version 2 of COUNTER, with more functions in it."""
    return COUNTER.replace('"value": 1', '"value": 2') + "\n".join(functions.values())


def state(station, object_id="o"):
    return station.get(f"/objects/{object_id}?state=true").json()["state"]


def newest(station, object_id="o"):
    return versions(station, object_id)[0]


# --- health() ---


@pytest.mark.parametrize("code", ["def health(): return True", "async def health(): return True",
                                  "def health(_state, x=1): return _state.get('n') == 1",
                                  "def health(hp, damage): raise ValueError"],
                         ids=["sync", "async", "reads state", "the object's own"])
def test_healthy(station, code):
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    assert put(station, "o", second(health=code)).status == 200
    assert value_of(station, "o") == 2


@pytest.mark.parametrize("code, why", [
    ("def health(): return False", r"health\(\) returned False$"),
    ("async def health(): return False", r"health\(\) returned False$"),
    ("def health(): pass", r"health\(\) returned None, not True or False"),
    ("def health(): return 1", r"health\(\) returned 1, not True or False"),
    ("def health():\n    raise ValueError('no database')", "health.* raised ValueError: no database"),
    ("def health(): _state.set('x', 1); return True", "may read state but not write"),
    ("def health(): import time; time.sleep(60)", r"health\(\) took longer than workers.health_timeout"),
    ("def health(): import os; os._exit(3)", r"ended while health\(\) ran: exit status 3"),
])
def test_unhealthy(new_station, code, why):
    station = new_station(config={"workers": {"health_timeout": 0.2}}).start()
    station.allow("does not load")
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    reply = put(station, "o", second(health=code))
    assert reply.status == 422 and re.search(why, reply.json()["message"]), reply
    if "raise" in code:
        line = second(health=code).splitlines().index("    raise ValueError('no database')") + 1
        assert reply.json()["line"] == line and "in health" in reply.json()["traceback"]
    assert value_of(station, "o") == 1 and state(station) == {"n": 1}
    entry = newest(station)
    assert entry["status"] == "rejected" and re.search(why.rstrip("$"), entry["reason"]), entry
    station.stop()
    station.start()
    assert value_of(station, "o") == 1


def test_health_that_cannot_be_interrupted(new_station):
    station = new_station(config={"workers": {"health_timeout": 0.1, "timeout_grace": 0.1}}).start()
    station.allow("does not load", "past its deadline")
    put(station, "o", COUNTER)
    code = "def health():\n    import signal, time\n    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n" \
           "    while True: time.sleep(1)\n"
    reply = put(station, "o", second(health=code))
    assert reply.status == 422 and "did not stop" in reply.json()["message"], reply
    assert value_of(station, "o") == 1


# --- migrate_state() ---

MIGRATE = """
def migrate_state(old_version):
    _state.set("from", old_version)
    _state.set("n", _state["n"] * 10)
"""


def test_migrate(station):
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    assert put(station, "o", second(migrate=MIGRATE)).status == 200
    assert state(station) == {"n": 10, "from": 1}
    assert station.get("/objects/o").json()["state"] == {"n": 10, "from": 1}
    assert station.post("/objects/o", {}).json()["n"] == 11
    for worker in station.workers():
        os.kill(worker.pid, signal.SIGKILL)
    wait_value(station, "o", 2)
    station.stop()
    station.start()
    assert value_of(station, "o") == 2 and state(station) == {"n": 11, "from": 1}
    station.kill9()
    station.start()
    assert value_of(station, "o") == 2 and state(station) == {"n": 11, "from": 1}
    put(station, "o", second(migrate=MIGRATE) + "\n")
    assert state(station) == {"n": 110, "from": 2}
    assert [v["status"] for v in versions(station, "o")] == ["accepted"] * 3
