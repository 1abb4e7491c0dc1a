# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set while the station runs: forward by a day, back by an hour. Time tables follow it,
everything that measures time does not. The clock is that of these processes alone (clock_step.c)."""

import datetime
import email.utils
import itertools
import mmap
import os
import shutil
import struct
import subprocess
import threading
import time

import pytest
from station import REPOSITORY, SANITIZED, wait_until

pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="a sanitizer must be the first library"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]

HOUR, DAY = 3600, 86400
numbers = itertools.count()

SOURCE = """
import os, time

__endpoint__ = {"schedule": %r, "timeout": 60}

def count(name):
    _state[name] = _state.get(name, 0) + 1

def beat(): count("beat")
def rare(): count("rare")
def often(): count("often")
def daily(): count("daily")
def hourly(payload=None): count("hourly")
def single(): count("single")

def held():
    _logger.info("held")
    while not os.path.exists(GATE):
        time.sleep(0.005)
    count("held")

def GET(request):
    return _state.get_all()

def PUT(request):
    _schedule(request["when"], request["function"], misfire=request.get("misfire", "once"))
    return {}

def POST(request):
    held()
    return {}
"""


class Clock:
    """What CLOCK_STEP_FILE names. Times are text in UTC, or seconds since 1970."""

    def __init__(self, path, when):
        path.write_bytes(bytes(8))
        self.path = path
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 8)
        self.put_ahead(at(when) - time.time())

    def ahead(self):
        return struct.unpack("q", self.page[:])[0] / 1e6

    def put_ahead(self, seconds):
        self.page[:] = struct.pack("q", round(seconds * 1e6))

    def now(self):
        return time.time() + self.ahead()


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return Clock(tmp_path_factory.mktemp("clock") / "ahead", "2031-03-05T09:00:00Z")


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory, clock):
    library = tmp_path_factory.mktemp("library") / "clock_step.so"
    source = REPOSITORY / "tests" / "system" / "clock_step.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source, "-ldl"], check=True)
    return {"env": {"LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(clock.path), "TZ": "UTC"},
            "config": {"workers": {"idle_timeout": 0.2, "rollback_calls": 3},
                       "limits": {"misfire_max": 4, "crashes_object_max": 3}}}


@pytest.fixture
def station(shared):
    """Its objects go with the test, and their schedules with them."""
    yield shared
    for path in shared.objects.glob("*.py"):
        path.unlink()
    wait_until(lambda: not shared.object_ids())


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def steps(station):
    return len(station.logged("the clock was set by"))


def step(station, clock, seconds):
    """Sets the clock, and waits until the station has followed."""
    before = steps(station)
    clock.put_ahead(clock.ahead() + seconds)
    wait_until(lambda: steps(station) > before)


def put_clock(station, clock, when):
    step(station, clock, at(when) - clock.now())


def source(schedule, gate="/"):
    return SOURCE.replace("GATE", repr(str(gate))) % schedule


def deploy(station, schedule, gate="/"):
    object_id = station.deploy(f"o{next(numbers)}.py", source(schedule, gate))
    wait_until(lambda: schedule.keys() == schedules(station, object_id).keys())
    return object_id


def status(station, object_id):
    return station.get(f"/objects/{object_id}?status=true").json()


def schedules(station, object_id):
    return {s["method"]: s for s in status(station, object_id)["schedules"]}


def plan(station, object_id, when, function, **more):
    reply = station.request("PUT", f"/objects/{object_id}", {"when": when, "function": function, **more})
    assert reply.status == 200, reply


def next_is(station, object_id, function, when):
    wait_until(lambda: schedules(station, object_id)[function]["next_run"] == when + ".000000Z",
               what=lambda: f"{function} at {when}: {schedules(station, object_id)}")


def ran(station, object_id, function, times):
    wait_until(lambda: schedules(station, object_id)[function]["runs"] == times,
               what=lambda: f"{function} {times} times: {schedules(station, object_id)}")


def goes_on(station, object_id, function):
    before = schedules(station, object_id)[function]["runs"]
    wait_until(lambda: schedules(station, object_id)[function]["runs"] >= before + 2)


# --- schedules ---


def test_back_by_an_hour(station, clock):
    put_clock(station, clock, "2031-03-05T09:59:30Z")
    warm = deploy(station, {"beat": 0.1, "rare": 1000, "often": "* * * * *", "hourly": "@hourly"})
    cold = deploy(station, {"daily": "0 10 * * *"})
    put_clock(station, clock, "2031-03-05T10:00:00Z")
    for object_id, function in ((cold, "daily"), (warm, "often"), (warm, "hourly")):
        ran(station, object_id, function, 1)

    step(station, clock, -30)  # a small correction repeats nothing
    next_is(station, warm, "often", "2031-03-05T10:01:00")
    next_is(station, warm, "hourly", "2031-03-05T11:00:00")

    wait_until(lambda: not status(station, cold)["running"])
    put_clock(station, clock, "2031-03-05T10:00:01Z")
    rare = at(schedules(station, warm)["rare"]["next_run"])
    step(station, clock, -HOUR)
    next_is(station, warm, "often", "2031-03-05T09:01:00")
    next_is(station, cold, "daily", "2031-03-06T10:00:00")  # as where clocks go back in autumn
    assert abs(at(schedules(station, warm)["rare"]["next_run"]) - (rare - HOUR)) < 0.01
    goes_on(station, warm, "beat")

    put_clock(station, clock, "2031-03-05T10:00:30Z")  # the hour is over again, at once
    next_is(station, warm, "often", "2031-03-05T10:01:00")
    next_is(station, warm, "hourly", "2031-03-05T11:00:00")
    found = schedules(station, warm)
    assert found["often"]["runs"] + found["often"]["skipped"] == 1 + 60
    assert (found["hourly"]["runs"], found["hourly"]["skipped"]) == (2, 0)
    assert found["rare"]["runs"] == found["rare"]["skipped"] == 0
    assert schedules(station, cold)["daily"]["runs"] == 1

    put_clock(station, clock, "2031-03-05T06:30:00Z")  # by more than three hours: it is believed
    next_is(station, cold, "daily", "2031-03-05T10:00:00")
    put_clock(station, clock, "2031-03-05T10:00:00Z")
    ran(station, cold, "daily", 2)


def test_forward_by_a_day(station, clock):
    """25 times of a time table pass at once; of an interval, none."""
    put_clock(station, clock, "2031-03-05T11:59:30Z")
    expected = {"skip": (0, 25), "once": (1, 24), "all": (4, 21)}
    warm = deploy(station, {"beat": 0.1, "rare": 1000})
    cold = {policy: deploy(station, {}) for policy in expected}
    for policy, object_id in cold.items():
        plan(station, object_id, "@hourly", "hourly", misfire=policy)
        plan(station, object_id, "2031-03-06T01:00:00Z", "single", misfire=policy)
    wait_until(lambda: not any(status(station, o)["running"] for o in cold.values()))
    before = schedules(station, warm)
    put_clock(station, clock, "2031-03-06T12:00:30Z")
    for policy, object_id in cold.items():
        next_is(station, object_id, "hourly", "2031-03-06T13:00:00")
        wait_until(lambda o=object_id: "single" not in schedules(station, o))
        found = schedules(station, object_id)["hourly"]
        assert (found["runs"], found["skipped"]) == expected[policy], found
        assert station.state(object_id).get("single", 0) == (policy != "skip")
    after = schedules(station, warm)
    assert after["rare"]["runs"] == after["rare"]["skipped"] == 0
    assert 0 < at(after["rare"]["next_run"]) - at(before["rare"]["next_run"]) - DAY < 61
    assert after["beat"]["skipped"] < 10000, "what passed is not a day"
    goes_on(station, warm, "beat")


def test_while_ticks_run(station, clock, tmp_path):
    gate = tmp_path / "gate"
    put_clock(station, clock, "2031-03-05T11:59:30Z")
    pulse, minute = deploy(station, {"held": 0.1}, gate), deploy(station, {"held": "* * * * *"}, gate)
    put_clock(station, clock, "2031-03-05T12:00:00Z")
    for seconds in (DAY, -DAY - HOUR):
        wait_until(lambda: all(schedules(station, o)["held"]["running"] for o in (pulse, minute)))
        step(station, clock, seconds)
    gate.touch()
    ran(station, minute, "held", 1)
    next_is(station, minute, "held", "2031-03-05T11:01:00")
    goes_on(station, pulse, "held")
    found = schedules(station, pulse)["held"]
    assert found["skipped"] < 10000 and abs(at(found["next_run"]) - clock.now()) < 60, found


def test_while_a_tick_that_runs_is_late(station, clock, tmp_path):
    gate = tmp_path / "gate"
    pulse = deploy(station, {"held": 0.1}, gate)
    wait_until(lambda: schedules(station, pulse)["held"]["running"])
    step(station, clock, DAY)
    gate.touch()
    goes_on(station, pulse, "held")
    assert schedules(station, pulse)["held"]["skipped"] < 10000


def test_while_ticks_wait_to_be_tried_again(station, clock):
    """Their time came, but the object does not load: they are not put off by an hour."""
    station.allow("broken")
    put_clock(station, clock, "2031-03-05T11:59:30Z")
    whens = {"often": "* * * * *", "daily": "0 12 * * *", "single": "2031-03-05T12:00:00Z"}
    object_id = deploy(station, {})
    for function, when in whens.items():
        plan(station, object_id, when, function)
    station.stop()
    good = (station.objects / f"{object_id}.py").read_text()
    station.put(f"{object_id}.py", "raise RuntimeError('broken')\n")
    shutil.rmtree(station.data / "versions" / object_id)  # else the one before would serve
    clock.put_ahead(at("2031-03-05T12:00:00Z") - time.time())
    station.start()
    wait_until(lambda: station.metric("objectd_ticks_total") >= 3)
    step(station, clock, -HOUR)
    station.put(f"{object_id}.py", good)
    wait_until(lambda: station.state(object_id) == {"often": 1, "daily": 1, "single": 1})
    next_is(station, object_id, "often", "2031-03-05T11:01:00")
    next_is(station, object_id, "daily", "2031-03-06T12:00:00")
    assert "single" not in schedules(station, object_id)


def test_whoever_hears_of_it_first(station, clock):
    """A call that sets the clock and changes schedules: the station sets its timer before it reads it."""
    object_id = deploy(station, {"rare": 1000})
    station.put(f"{object_id}.py", source({"rare": 1000}) + f"""
def PATCH(request):
    with open({str(clock.path)!r}, "r+b") as f:
        f.write(int(request["ahead"]).to_bytes(8, "little", signed=True))
    _schedule(2000, "beat")
    return 1
""")
    before = at(schedules(station, object_id)["rare"]["next_run"])
    ahead = round((clock.ahead() - HOUR) * 1e6)
    wait_until(lambda: station.request("PATCH", f"/objects/{object_id}", {"ahead": ahead}).status == 200)
    wait_until(lambda: abs(at(schedules(station, object_id)["rare"]["next_run"]) - before + HOUR) < 1)


def test_over_a_restart(station, clock):
    """What passed while nobody looked cannot be told from a clock that was set."""
    put_clock(station, clock, "2031-03-05T11:59:30Z")
    object_id = deploy(station, {"daily": "0 12 * * *", "often": "* * * * *", "rare": 1000})
    put_clock(station, clock, "2031-03-05T12:00:00Z")
    ran(station, object_id, "daily", 1)
    ran(station, object_id, "often", 1)
    station.stop()
    clock.put_ahead(clock.ahead() - HOUR)
    station.start()
    next_is(station, object_id, "daily", "2031-03-06T12:00:00")
    next_is(station, object_id, "often", "2031-03-05T11:01:00")
    assert 0 < at(schedules(station, object_id)["rare"]["next_run"]) - clock.now() <= 1000
    station.stop()
    clock.put_ahead(at("2031-03-06T12:00:05Z") - time.time())
    station.start()
    ran(station, object_id, "daily", 2)
    ran(station, object_id, "often", 2)
    ran(station, object_id, "rare", 1)
    found = schedules(station, object_id)
    assert found["daily"]["skipped"] == 0 and found["often"]["skipped"] >= 24 * 60 - 1
    assert 84 <= found["rare"]["skipped"] <= 88
    assert 0 < at(found["rare"]["next_run"]) - clock.now() <= 1000


def test_a_changed_file_is_not_older_than_its_history(station, clock):
    """The history was written by a clock that was an hour ahead: what is older may be newer."""
    step(station, clock, -clock.ahead())  # times of files are the machine's
    object_id = deploy(station, {})
    assert station.get(f"/objects/{object_id}").status == 200
    station.stop()
    station.put(f"{object_id}.py", source({"beat": 0.1}))
    history = station.data / "versions" / object_id / "metadata.tsv"
    os.utime(history, (time.time() + HOUR,) * 2)
    station.start()
    wait_until(lambda: station.logged(f"object {object_id} serves version 2"))  # nobody has asked
    wait_until(lambda: schedules(station, object_id)["beat"]["runs"] >= 1)


def test_a_file_that_is_back(station, clock):
    """A time came while there was no file, and the clock was set back: it is still owed."""
    put_clock(station, clock, "2031-03-05T11:59:30Z")
    object_id = deploy(station, {})
    plan(station, object_id, "2031-03-05T12:00:00Z", "single")
    path = station.objects / f"{object_id}.py"
    text = path.read_text()
    path.unlink()
    wait_until(lambda: object_id not in station.object_ids())
    put_clock(station, clock, "2031-03-05T12:00:01Z")
    step(station, clock, -HOUR)
    station.put(path.name, text)
    wait_until(lambda: object_id in station.object_ids())
    wait_until(lambda: station.state(object_id).get("single") == 1)


# --- what measures time ---

SLEEPS = """
import time
__endpoint__ = {"timeout": 1}
def GET(request):
    _logger.info("asleep")
    time.sleep(60)
"""

DIES = """
import os
def GET(request):
    if not os.path.exists(%r):
        os._exit(3)
    return 1
"""


def test_measures_of_time_do_not_follow(station, clock, tmp_path):
    gate = tmp_path / "gate"
    station.allow("rolled back")
    held = deploy(station, {}, gate)
    station.deploy("idle.py", '__endpoint__ = {"idle_timeout": 60}\ndef GET(request):\n    return 1\n')
    station.deploy("sleeps.py", SLEEPS)
    station.deploy("dies.py", DIES % str(gate))
    station.deploy("renewed.py", "def GET(request):\n    return 1\n")
    assert station.get("/objects/idle").status == station.get("/objects/renewed").status == 200
    idle_pid = station.worker_pid("idle")
    bad = "def GET(request):\n    raise ValueError('bad')\n"
    assert station.request("PUT", "/objects/renewed?source=true", {"code": bad}).status == 200
    codes = {}

    def call(name, method, path):
        codes[name] = station.request(method, path).status

    waits = threading.Thread(target=call, args=("held", "POST", f"/objects/{held}"))
    waits.start()
    wait_until(lambda: any(line["message"] == "held" for line in station.object_logs(held)))

    step(station, clock, DAY)  # nothing is over sooner
    for _ in range(3):
        station.get("/objects/renewed")
    wait_until(lambda: station.get("/objects/renewed").status == 200)  # its probation was not over
    assert not codes and station.worker_pid("idle") == idle_pid

    for _ in range(3):
        station.get("/objects/dies")
    sleeps = threading.Thread(target=call, args=("sleeps", "GET", "/objects/sleeps"))
    sleeps.start()
    wait_until(lambda: any(line["message"] == "asleep" for line in station.object_logs("sleeps")))
    step(station, clock, -DAY - HOUR)  # nor later
    sleeps.join()
    gate.touch()
    waits.join()
    assert codes == {"sleeps": 504, "held": 200}
    wait_until(lambda: station.get("/objects/dies").status == 200)
    wait_until(lambda: not status(station, "sleeps")["running"])


# --- what is written down ---

def test_stamps(station, clock):
    """Times are what the clock says; order, numbers and names are not a matter of it."""
    put_clock(station, clock, "2031-03-05T12:00:00Z")
    object_id = station.deploy("o.py", """
import os
def GET(request):
    _state["n"] = _state.get("n", 0) + 1
    _logger.info("call", n=_state["n"])
    return _state["n"]
def POST(request):
    os._exit(3)
""")
    path = f"/objects/{object_id}"

    def date_of(reply):
        return email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()

    def stamp_of(thing):
        return at(thing["timestamp"]) if isinstance(thing["timestamp"], str) else thing["timestamp"]

    def save(code):
        reply = station.request("PUT", f"{path}?source=true", {"code": code})
        assert reply.status == 200, reply

    def crash():
        return wait_until(lambda: station.post(path).json().get("crash_id"))

    code = (station.objects / "o.py").read_text()
    crashes, expected = [], []
    for seconds in (-HOUR, 2 * HOUR, -DAY):
        step(station, clock, seconds)
        wait_until(lambda: abs(date_of(station.get(path)) - clock.now()) < 2)
        expected.append(clock.now())
        code += "# another\n"
        save(code)
        crashes.append(crash())
    wait_until(lambda: [c["crash_id"] for c in station.get(f"{path}?crashes=true").json()["crashes"]]
               == crashes[::-1])
    reports = station.get(f"{path}?crashes=true").json()["crashes"]
    for report, when in zip(reports, expected[::-1]):
        assert abs(at(report["timestamp"]) - when) < 300, reports
    assert len(set(crashes)) == 3 and station.get(f"{path}?crash={crashes[-1]}").status == 200

    station.restart()  # by a clock a day behind the newest report
    crashes.append(crash())
    wait_until(lambda: [c["crash_id"] for c in station.get(f"{path}?crashes=true").json()["crashes"]]
               == crashes[:0:-1])

    versions = station.get(f"{path}?versions=true").json()["versions"]
    assert [v["version_id"] for v in versions] == [4, 3, 2, 1]
    for version, when in zip(versions, expected[::-1]):
        assert abs(stamp_of(version) - when) < 300, versions

    calls = [line for line in station.object_logs(object_id) if line["message"] == "call"]
    assert [line["n"] for line in calls] == list(range(1, len(calls) + 1)), "the order is that of the calls"
    assert abs(at(calls[-1]["timestamp"]) - expected[-1]) < 300
    since = datetime.datetime.fromtimestamp(expected[-1] - 30, datetime.timezone.utc)
    recent = station.object_logs(object_id, f"&since={since:%Y-%m-%dT%H:%M:%S}Z")
    assert calls[-1] in recent
    assert station.state(object_id)["n"] == len(calls)
