# SPDX-License-Identifier: Apache-2.0
"""Schedules: what runs by itself, when, how often, and what a crash leaves of it."""

import datetime
import itertools
import re
import shutil
import signal
import time

import pytest
from station import FAILPOINT_BUILD, LONG, REPOSITORY, wait_until

numbers = itertools.count()

SOURCE = """
import os, time

def tick(payload):
    _state.increment("n")
    _state["payload"] = payload

def other():
    _state.increment("other")

async def later(payload=None):
    _state.increment("later")

def raises():
    _state["half"] = True
    raise ValueError("no luck")

def dies():
    _state["half"] = True
    os._exit(3)

def slow():
    _state["began"] = _state.get("began", 0) + 1
    time.sleep(0.25)
    _state.increment("slow")

def GET(request):
    return _state.get_all()

def PUT(request):
    _schedule(request["when"], request["function"], request.get("payload"),
              misfire=request.get("misfire", "once"))
    if request.get("fail"):
        raise RuntimeError("undone")
    return {}

def DELETE(request):
    if "payload" in request:
        _unschedule(request["function"], payload=request["payload"])
    else:
        _unschedule(request.get("function"))
    return {}
"""


def make(station, source=SOURCE):
    return station.deploy(f"s{next(numbers)}.py", source)


def plan(station, object_id, when, function="tick", status=200, **more):
    reply = station.request("PUT", f"/objects/{object_id}", {"when": when, "function": function, **more})
    assert reply.status == status, reply
    return reply.json()


def redeploy(station, object_id, source):
    reply = station.request("PUT", f"/objects/{object_id}?source=true", {"code": source})
    assert reply.status == 200, reply


def drop(station, object_id, **body):
    reply = station.request("DELETE", f"/objects/{object_id}", body)
    assert reply.status == 200, reply


def schedules(station, object_id):
    body = station.get(f"/objects/{object_id}?status=true").json()
    assert body["status"] == "ok" and body["object_id"] == object_id, body
    return body["schedules"]


def one(station, object_id):
    found = schedules(station, object_id)
    assert len(found) == 1, found
    return found[0]


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def iso(seconds_from_now):
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return now.isoformat()


# --- the three kinds of time ---


def test_an_interval(shared):
    object_id = make(shared)
    before = time.time()
    plan(shared, object_id, 0.1, payload={"a": [1]})
    first = one(shared, object_id)
    assert {k: first[k] for k in ("method", "kind", "interval", "misfire", "declared", "payload")} == {
        "method": "tick", "kind": "interval", "interval": 0.1, "misfire": "once", "declared": False,
        "payload": {"a": [1]}}
    assert at(first["next_run"]) >= before + 0.09, "the first run is one interval away"
    wait_until(lambda: shared.state(object_id).get("n", 0) >= 3)
    assert shared.state(object_id)["payload"] == {"a": [1]}
    now = one(shared, object_id)
    assert now["runs"] >= 3 and now["errors"] == 0 and now["last_status"] == "ok"
    phase = (at(now["next_run"]) - at(first["next_run"])) / 0.1
    assert abs(phase - round(phase)) < 0.001, "it keeps its phase"
    drop(shared, object_id, function="tick")
    assert schedules(shared, object_id) == []


def test_one_run(shared):
    object_id = make(shared)
    plan(shared, object_id, iso(3600), payload=7)
    assert one(shared, object_id)["kind"] == "once"
    drop(shared, object_id)
    plan(shared, object_id, iso(0.2), payload=7)
    wait_until(lambda: shared.state(object_id).get("n") == 1)
    assert shared.state(object_id)["payload"] == 7
    wait_until(lambda: schedules(shared, object_id) == [])
    plan(shared, object_id, iso(-60))
    wait_until(lambda: shared.state(object_id).get("n") == 2)  # a time that has passed: at once


def test_a_time_table(shared):
    object_id = make(shared)
    plan(shared, object_id, "30 4 * * mon-fri")
    found = one(shared, object_id)
    assert found["kind"] == "cron" and found["interval"] == "30 4 * * mon-fri"
    when = datetime.datetime.fromtimestamp(at(found["next_run"]))
    assert (when.hour, when.minute) == (4, 30) and when.weekday() < 5 and when.timestamp() > time.time()


def test_the_time_zone_of_the_station(new_station):
    station = new_station(env={"TZ": "Asia/Kolkata"}).start()
    object_id = make(station)
    plan(station, object_id, "0 9 * * *")
    assert one(station, object_id)["next_run"].endswith("T03:30:00.000000Z")
    drop(station, object_id)
    plan(station, object_id, "2099-01-02T09:00:00")
    assert one(station, object_id)["next_run"] == "2099-01-02T03:30:00.000000Z"


@pytest.mark.parametrize("when, function, more, error", [
    ("61 * * * *", "tick", {}, "ValueError: _schedule: when is '61 * * * *': its minute is not made of"),
    ("* * *", "tick", {}, "ValueError: _schedule: when is '* * *': it has 3 fields"),
    ("0 0 30 2 *", "tick", {}, "that day never comes"),
    (0, "tick", {}, "ValueError: _schedule: when is '0': an interval is from 0.01 to 31536000 seconds"),
    (-1, "tick", {}, "an interval is from 0.01"),
    ("2026-02-30T00:00", "tick", {}, "a time is written as 2026-11-22T10:00:00"),
    (True, "tick", {}, "TypeError: _schedule: when is a number of seconds, a time table"),
    ([5], "tick", {}, "not list"),
    (None, "tick", {}, "not NoneType"),
    (5, "nobody", {}, "ValueError: _schedule: function is 'nobody': the module has no such function"),
    (5, "_logger", {}, "the module has no such function"),
    (5, "os", {}, "the module has no such function"),
    (5, 7, {}, "TypeError: _schedule: function is the name of a function of the module, not int"),
    (5, "tick", {"misfire": "never"}, "ValueError: _schedule: misfire is 'never'"),
    (5, "tick", {"misfire": 1}, "TypeError: _schedule: misfire is 1"),
    (5, "tick", {"payload": "x" * 70000}, "limits.schedule_payload_max"),
])
def test_a_wrong_argument_is_an_error_where_it_is_made(shared, when, function, more, error):
    object_id = make(shared)
    body = plan(shared, object_id, when, function, status=500, **more)
    assert error in body["error"], body
    assert schedules(shared, object_id) == []


def test_a_payload_is_json(shared):
    object_id = make(shared, SOURCE + """
def POST(request):
    _schedule(5, tick, payload=object())
""")
    assert "TypeError" in shared.post(f"/objects/{object_id}", {}).json()["error"]


def test_functions_and_datetimes_are_understood(shared):
    object_id = make(shared, SOURCE + """
def POST(request):
    import datetime
    _schedule(datetime.datetime(2099, 5, 6, tzinfo=datetime.timezone.utc), tick)
""")
    assert shared.post(f"/objects/{object_id}", {}).status == 204
    assert one(shared, object_id)["next_run"] == "2099-05-06T00:00:00.000000Z"


# --- part of the turn ---


def test_a_handler_that_raises_schedules_nothing(shared):
    object_id = make(shared)
    plan(shared, object_id, 60, status=500, fail=True)
    assert schedules(shared, object_id) == []
    plan(shared, object_id, 60, "other")
    assert [s["method"] for s in schedules(shared, object_id)] == ["other"], "nothing is left over"


def test_the_same_again_changes_nothing(shared):
    object_id = make(shared)
    plan(shared, object_id, 60, payload=1)
    before = one(shared, object_id)
    plan(shared, object_id, 60, payload=1)
    assert one(shared, object_id) == before
    plan(shared, object_id, 90, payload=1)
    assert one(shared, object_id)["interval"] == 90
    plan(shared, object_id, 90, payload=2)
    assert [s["payload"] for s in schedules(shared, object_id)] == [1, 2]
    plan(shared, object_id, "2099-01-01T00:00Z", payload=2)
    plan(shared, object_id, "2099-01-02T00:00Z", payload=2)
    assert len(schedules(shared, object_id)) == 4, "runs at two times are two"
    drop(shared, object_id, function="tick", payload=1)
    assert [s["payload"] for s in schedules(shared, object_id)] == [2, 2, 2]
    plan(shared, object_id, 60, "other")
    drop(shared, object_id, function="tick")
    assert one(shared, object_id)["method"] == "other"
    drop(shared, object_id)
    assert schedules(shared, object_id) == []


def test_limits_refuse_the_turn(new_station):
    station = new_station(config={"limits": {"schedules_object_max": 2, "schedules_max": 3}}).start()
    first, second = make(station), make(station)
    plan(station, first, 60, payload=1)
    plan(station, first, 60, payload=2)
    body = plan(station, first, 60, payload=3, status=507)
    assert body["limit"] == "schedules_object_max" and "limits.schedules_object_max" in body["error"]
    plan(station, first, 90, payload=2)  # a change is none more
    plan(station, second, 60)
    assert plan(station, second, 60, "other", status=507)["limit"] == "schedules_max"
    assert len(schedules(station, first)) == 2 and len(schedules(station, second)) == 1


def test_start_and_stop(shared):
    object_id = make(shared, """
def start(request):
    _schedule(0.1, "tick")
def stop(request):
    _unschedule("tick")
def tick():
    _state.increment("n")
""")
    assert shared.post(f"/objects/{object_id}", {"action": "start"}).status == 200
    wait_until(lambda: shared.state(object_id).get("n", 0) >= 2)
    assert shared.post(f"/objects/{object_id}", {"action": "stop"}).status == 200
    assert schedules(shared, object_id) == []


def test_self_tests_schedule_nothing(shared):
    object_id = make(shared, SOURCE + """
def test_it():
    _schedule(0.1, "tick")
    _unschedule("tick")
    _schedule(0.1, "tick")
    try:
        _schedule(0.1, "nobody")
    except ValueError:
        return "checked"
""")
    body = shared.get(f"/objects/{object_id}?test=true").json()
    assert body["status"] == "pass" and body["results"][0]["result"] == "checked", body
    assert schedules(shared, object_id) == []


def test_turns_that_may_not_write(shared):
    object_id = make(shared, """
__endpoint__ = {"stateless": True, "schedule": {"tick": 0.1}}
def tick():
    print("ticked")
def GET(request):
    _schedule(60, "tick")
""")
    body = shared.get(f"/objects/{object_id}").json()
    assert "RuntimeError" in body["error"] and '__endpoint__["schedule"]' in body["error"]
    wait_until(lambda: one(shared, object_id)["runs"] >= 2)
    assert any(line["message"] == "ticked" for line in shared.object_logs(object_id))


def test_a_thread_does_not_schedule(shared):
    object_id = make(shared, """
import threading
def tick():
    pass
def GET(request):
    said = []
    def work():
        try:
            _schedule(60, "tick")
        except RuntimeError as e:
            said.append(str(e))
    t = threading.Thread(target=work)
    t.start()
    t.join()
    return said
""")
    assert "only turns and the import" in shared.get(f"/objects/{object_id}").json()[0]


# --- declared by the module ---


def declared(table, extra=""):
    return f"__endpoint__ = {{'schedule': {table}}}\n" + extra + SOURCE


def test_a_deploy_sets_changes_and_removes(shared):
    object_id = make(shared, declared({"tick": "0 3 * * *", "other": 3600}))
    shared.get(f"/objects/{object_id}")
    found = {s["method"]: s for s in schedules(shared, object_id)}
    assert found["tick"]["interval"] == "0 3 * * *" and found["tick"]["declared"]
    assert found["other"]["interval"] == 3600
    plan(shared, object_id, 7200, "other")
    redeploy(shared, object_id, declared({"tick": "0 4 * * *", "later": 60}))
    again = {(s["method"], s["declared"]): s for s in schedules(shared, object_id)}
    assert set(again) == {("tick", True), ("later", True), ("other", False)}
    assert again["tick", True]["interval"] == "0 4 * * *"
    redeploy(shared, object_id, declared({"later": 60}, "# changed\n"))
    kept = {(s["method"], s["declared"]): s for s in schedules(shared, object_id)}
    assert set(kept) == {("later", True), ("other", False)}
    assert kept["later", True]["next_run"] == again["later", True]["next_run"], "the same keeps its phase"


def test_at_import(shared):
    object_id = make(shared, """
_schedule(3600, "tick", {"a": 1}, misfire="skip")
_schedule(60, "other")
_unschedule("other")
_schedule("2020-01-01T00:00", "tick")
def tick(payload):
    pass
def other():
    pass
def GET(request):
    return 1
""")
    shared.get(f"/objects/{object_id}")
    found = one(shared, object_id)
    assert found["declared"] and found["payload"] == {"a": 1} and found["misfire"] == "skip"


def test_an_import_that_schedules_nobody_does_not_load(shared):
    shared.allow("does not load")
    object_id = f"s{next(numbers)}"
    shared.put(f"{object_id}.py", "_schedule(60, 'nobody')\ndef GET(request):\n    return 1\n")
    wait_until(lambda: object_id in shared.object_ids())
    body = shared.get(f"/objects/{object_id}").json()
    assert "function is 'nobody': the module has no such function" in body["error"]


def test_a_function_that_a_deploy_removes(new_station):
    station = new_station().start()
    object_id = make(station, declared({"other": 60}))
    plan(station, object_id, 0.1)
    wait_until(lambda: station.state(object_id).get("n", 0) >= 1)
    redeploy(station, object_id, "def GET(request):\n    return _state.get_all()\n")
    found = one(station, object_id)
    assert found["suspended"] == "the module has no function tick" and found["next_run"] is None
    suspended = [e["message"] for e in station.object_logs(object_id) if "suspended" in e["message"]]
    assert suspended == ["schedule of tick is suspended: the module has no function tick"]
    station.restart()
    assert one(station, object_id)["suspended"], "it is remembered"
    n = station.state(object_id)["n"]
    redeploy(station, object_id, SOURCE)
    wait_until(lambda: station.state(object_id)["n"] > n)
    assert "suspended" not in one(station, object_id)
    assert any("goes on" in e["message"] for e in station.object_logs(object_id))


FORGED_READY = """
import json, os, struct

def forge(metadata):
    text = json.dumps(metadata).encode()
    payload = struct.pack("=cI", b"s", len(text)) + text + struct.pack("=cBcBcQ", b"b", 0, b"b", 0, b"q", 0)
    os.write(3, struct.pack("=IHBBQ", len(payload), 16, 0, 0, 0) + payload)

def tick():
    pass

forge({"endpoint": {"schedule": {"tick": 60}}, "methods": [], "missing": [1, None, {}, "other"]})
"""


def test_a_list_of_functions_that_is_none(station):
    """READY comes from a worker, which may say anything."""
    station.allow("broke (the|its) protocol")
    object_id = make(station, FORGED_READY)
    wait_until(lambda: [s["method"] for s in schedules(station, object_id)] == ["tick"])


def test_a_file_that_nobody_calls(new_station):
    """Its schedules are found all the same, and files without any are left alone."""
    station = new_station()
    station.put("before.py", declared({"tick": 0.1}))
    station.put("plain.py", "def GET(request):\n    return 1\n")
    station.start()
    wait_until(lambda: station.state("before").get("n", 0) >= 1)
    station.put("after.py", declared({"tick": 0.1}))
    wait_until(lambda: station.state("after").get("n", 0) >= 1)
    assert not station.logged("object plain serves")


def test_the_scheduler_that_ships(shared):
    source = (REPOSITORY / "objects/triggers/scheduler.py").read_text()
    path = "/objects/" + shared.deploy("triggers/scheduler.py", source)
    task = shared.post(path, {"task": "now", "when": iso(0.1)}).json()
    wait_until(lambda: shared.get(f"{path}?id={task['id']}").json()["status"] == "done")
    found = shared.get(f"{path}?id={task['id']}").json()
    assert [r["result"] for r in found["results"]] == ["now: done"] and found["runs"] == 1
    often = shared.post(path, {"task": "often", "when": 0.1}).json()
    wait_until(lambda: shared.get(f"{path}?id={often['id']}").json()["runs"] >= 2)
    assert shared.request("DELETE", f"{path}?id={often['id']}").status == 200
    assert schedules(shared, "triggers_scheduler") == []


# --- a tick is a turn ---


def test_async_functions_and_handlers(shared):
    object_id = make(shared, SOURCE + """
def POST(request):
    _state["method"] = request.method
    _state["data"] = dict(request)
def named(request, _logger):
    _state["named"] = request.get("k", "none") if hasattr(request, "path") else "no request"
""")
    plan(shared, object_id, iso(0), "later")
    plan(shared, object_id, iso(0), "POST", payload={"x": 1})
    plan(shared, object_id, iso(0), "named", payload={"k": "v"})
    wait_until(lambda: len(shared.state(object_id)) >= 4)
    assert shared.state(object_id) == {"later": 1, "method": "POST", "data": {"x": 1}, "named": "v"}


def test_a_tick_that_raises_commits_nothing_and_goes_on(shared):
    object_id = make(shared)
    plan(shared, object_id, 0.1, "raises")
    wait_until(lambda: one(shared, object_id)["errors"] >= 2)
    found = one(shared, object_id)
    assert found["last_status"] == "error" and found["last_error"] == "ValueError: no luck"
    assert "ValueError: no luck" in shared.objectctl("status", object_id).stdout
    assert "half" not in shared.state(object_id)
    lines = shared.object_logs(object_id, "&level=ERROR")
    assert "no luck" in lines[0]["traceback"] and "raise ValueError" in lines[0]["traceback"], lines[0]
    drop(shared, object_id)


def test_no_overlap(shared):
    object_id = make(shared)
    plan(shared, object_id, 0.05, "slow", misfire="skip")
    wait_until(lambda: shared.state(object_id).get("slow", 0) >= 2)
    drop(shared, object_id)
    wait_until(lambda: schedules(shared, object_id) == [])
    found = shared.state(object_id)
    assert found["began"] == found["slow"]


def test_what_a_slow_tick_missed_is_counted(shared):
    object_id = make(shared)
    plan(shared, object_id, 0.05, "slow")
    wait_until(lambda: one(shared, object_id)["runs"] >= 2)
    assert one(shared, object_id)["skipped"] >= 3
    drop(shared, object_id)


def test_a_tick_that_crashes_is_given_up(new_station):
    station = new_station().start()
    station.allow("died", "crash", "exit")
    object_id = make(station)
    plan(station, object_id, 3600, "other")
    plan(station, object_id, iso(0.1), "dies")
    wait_until(lambda: [s["method"] for s in schedules(station, object_id)] == ["other"])
    lines = [e["message"] for e in station.object_logs(object_id, "&level=WARNING,ERROR")]
    assert sum("tick of dies crashed" in m for m in lines) == 2, lines
    given_up = [m for m in lines if "tick of dies is given up" in m]
    assert len(given_up) == 1 and re.search("crash [0-9a-f]+-[0-9a-f]+", given_up[0]), lines
    assert station.state(object_id) == {}
    wait_until(lambda: station.get(f"/objects/{object_id}").status == 200)
    assert "ticks_crashed_total 3" in station.get("/metrics").text
    reports = station.get(f"/objects/{object_id}?crashes=true").json()["crashes"]
    assert [(r["method"], r["path"]) for r in reports] == [("TICK", "dies")] * 3, reports


def test_a_cold_object_is_started_by_its_tick(new_station):
    station = new_station(config={"workers": {"idle_timeout": 0.2}}).start()
    object_id = make(station, declared({"tick": 2}))
    station.get(f"/objects/{object_id}")

    def asleep():
        """Between two ticks."""
        if station.workers():
            return False
        status = station.get(f"/objects/{object_id}?status=true").json()
        assert status["schedules"][0]["method"] == "tick"
        return not status["running"] and not station.workers()  # asking starts nothing

    wait_until(asleep)
    wait_until(lambda: station.state(object_id).get("n", 0) >= 1)


def test_a_removed_file_and_back(station):
    object_id = make(station)
    plan(station, object_id, 0.1)
    wait_until(lambda: station.state(object_id).get("n", 0) >= 1)
    due = at(one(station, object_id)["next_run"])
    (station.objects / f"{object_id}.py").unlink()
    wait_until(lambda: object_id not in station.object_ids())
    wait_until(lambda: time.time() > due + 0.1)
    station.put(f"{object_id}.py", SOURCE)
    wait_until(lambda: object_id in station.object_ids())
    n = station.state(object_id)["n"]
    wait_until(lambda: station.state(object_id)["n"] > n)


# --- durable ---


def test_it_survives_a_restart(new_station):
    station = new_station().start()
    object_id = make(station)
    plan(station, object_id, 3600, payload={"a": "t\tn\n\\ \u00e9"}, misfire="all")
    plan(station, object_id, "*/5 4 29 2 *", "other", misfire="skip")
    plan(station, object_id, "2099-01-01T00:00:00Z")
    before = schedules(station, object_id)
    station.restart()
    assert schedules(station, object_id) == before
    text = (station.data / "schedules.tsv").read_text()
    assert text.startswith("#objectd-schedules 1 seq=") and text.count("\n") == 4
    drop(station, object_id, function="other")
    plan(station, object_id, 7200, payload={"a": "t\tn\n\\ \u00e9"}, misfire="all")
    after = schedules(station, object_id)
    station.kill9()
    station.start()
    assert len(after) == 2 and schedules(station, object_id) == after


@pytest.mark.parametrize("policy, extra", [("skip", (0, 0)), ("once", (1, 1)), ("all", (3, 4))])
def test_misfire_after_downtime(new_station, policy, extra):
    """The time goes on over a night of 4.5 intervals; which is a matter of moving next_run back."""
    station = new_station(config={"limits": {"misfire_max": 4}}).start()
    object_id = make(station)
    plan(station, object_id, 100, misfire=policy)
    station.stop()
    path = station.data / "schedules.tsv"
    then = datetime.datetime.fromtimestamp(time.time() - 350, datetime.timezone.utc)
    text = re.sub(r"\tcall\t[^\t]+\t", f"\tcall\t{then:%Y-%m-%dT%H:%M:%S}Z\t", path.read_text())
    path.write_text(text)
    station.start()
    if extra[1]:
        wait_until(lambda: station.state(object_id).get("n", 0) >= extra[0])
    wait_until(lambda: at(one(station, object_id)["next_run"]) > time.time())
    found = one(station, object_id)
    n = station.state(object_id).get("n", 0)
    assert extra[0] <= n <= extra[1] and found["runs"] == n, found
    assert n + found["skipped"] == 4, "every time is run or counted"
    assert 0 < at(found["next_run"]) - time.time() <= 51, "the phase is the old one"


def test_all_is_bounded(new_station):
    station = new_station(config={"limits": {"misfire_max": 3}}).start()
    object_id = make(station)
    plan(station, object_id, 1000, misfire="all")
    station.stop()
    path = station.data / "schedules.tsv"
    path.write_text(re.sub(r"\tcall\t[^\t]+\t", "\tcall\t2026-01-01T00:00:00Z\t", path.read_text()))
    station.start()
    wait_until(lambda: station.state(object_id).get("n") == 3)
    found = one(station, object_id)
    assert found["runs"] == 3 and found["skipped"] > 1000 and at(found["next_run"]) > time.time()


@pytest.mark.parametrize("policy, runs", [("once", 1), ("all", 3)])
def test_times_missed_are_counted_once_however_often_it_is_tried(new_station, policy, runs):
    """The object's file does not load at first, so that its ticks are refused."""
    station = new_station(config={"limits": {"misfire_max": 3}}).start()
    object_id = make(station)
    plan(station, object_id, "*/5 * * * *", misfire=policy)
    source = station.objects / f"{object_id}.py"
    good = source.read_text()
    station.stop()
    path = station.data / "schedules.tsv"
    path.write_text(re.sub(r"\tcall\t[^\t]+\t", "\tcall\t2026-01-01T00:00:00Z\t", path.read_text()))
    source.write_text("raise RuntimeError('not yet')\n")
    shutil.rmtree(station.data / "versions" / object_id)  # else the one before would serve
    station.allow("not yet")
    station.start()
    wait_until(lambda: station.metric("objectd_ticks_total") >= 3)
    assert one(station, object_id)["runs"] == station.metric("objectd_ticks_skipped_total") == 0
    source.write_text(good)
    wait_until(lambda: one(station, object_id)["runs"] == runs)
    found = one(station, object_id)
    first = at("2026-01-01T00:00:00Z")
    times = (at(found["last_run"]) - first) // 300 + 1
    assert found["skipped"] + runs in (times, times + 1)
    assert station.metric("objectd_ticks_skipped_total") == found["skipped"]
    assert station.metric("objectd_ticks_late_total") <= runs


def test_kill_9_loses_no_tick_and_commits_none_twice(new_station):
    station = new_station().start()
    object_id = make(station)
    plan(station, object_id, 0.05, misfire="all")
    plan(station, object_id, 0.05, "other", misfire="all")
    for cycle in range(20 if LONG else 3):
        wait_until(lambda: station.state(object_id).get("n", 0) > 5 * cycle)
        station.kill9()
        station.start()
        found = {s["method"]: s for s in schedules(station, object_id)}
        assert set(found) == {"tick", "other"}
    drop(station, object_id)
    wait_until(lambda: schedules(station, object_id) == [])
    assert station.state(object_id)["n"] > 10


def test_runs_and_effects_are_one(new_station):
    """The counter of the schedule and what the function wrote are in the same records."""
    station = new_station().start()
    object_id = make(station)
    plan(station, object_id, 0.03)
    for _ in range(2):
        wait_until(lambda: one(station, object_id)["runs"] >= 5)
        station.kill9()
        path = station.objects / f"{object_id}.py"
        path.rename(path.with_suffix(".away"))  # it starts, and nothing runs
        station.start()
        path.with_suffix(".away").rename(path)
        wait_until(lambda: object_id in station.object_ids())
        station.stop()
        assert station.objectctl("check", str(station.data)).returncode == 0
        columns = (station.data / "schedules.tsv").read_text().splitlines()[1].split("\t")
        state = (station.data / "state" / object_id / "state.tsv").read_text()
        assert f"\nn\t{columns[9]}\t" in state, (columns, state)
        station.start()


def test_term_lets_a_tick_finish(new_station):
    station = new_station().start()
    object_id = make(station)
    plan(station, object_id, 0.05, "slow")
    wait_until(lambda: one(station, object_id)["running"])
    station.restart()
    found = station.state(object_id)
    assert found["began"] == found["slow"] >= 1


def phase_of(schedule):
    """When it would have run first, had every time been one run: it moves by a tick that is lost, or
    that counts twice."""
    assert schedule["skipped"] == 0, schedule
    return at(schedule["next_run"]) - schedule["runs"] * schedule["interval"]


def every_time_was_one_run(station, object_id, phases):
    """And each run one effect, of functions that run at every time. Stops the station."""
    found = {s["method"]: s for s in schedules(station, object_id)}
    assert set(found) == set(phases)
    for method, schedule in found.items():
        assert abs(phase_of(schedule) - phases[method]) < 0.001, (phases, schedule)
    assert station.stop() == 0
    rows = [line.split("\t") for line in (station.data / "schedules.tsv").read_text().splitlines()[1:]]
    runs = {row[2]: int(row[9]) for row in rows}
    state = dict(line.split("\t")[:2] for line in
                 (station.data / "state" / object_id / "state.tsv").read_text().splitlines()[1:])
    for method, effect in (("tick", "n"), ("other", "other"), ("slow", "slow"), ("slow", "began")):
        assert method not in runs or runs[method] == int(state[effect]) > 0, (runs, state)


FAILPOINTS = ["schedules-fsync", "schedules-rename", "schedules-done"]


@pytest.mark.failpoints
@pytest.mark.parametrize("kind", ["crash", "eio", "enospc"])
@pytest.mark.parametrize("step", FAILPOINTS)
def test_the_file_cannot_be_written(new_station, step, kind):
    """While it goes on and at its end: the journal has what the file lacks."""
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": f"{step}:1+={kind}"},
                          config={"state": {"checkpoint_idle": 0.01, "checkpoint_max": 0.01}, "limits": {"misfire_max": 100_000}})
    station.allow("scribe|schedules|checkpoint|journal")
    station.start()
    object_id = make(station)
    plan(station, object_id, 0.1, misfire="all")
    plan(station, object_id, 0.1, "other", misfire="all")
    phases = {s["method"]: phase_of(s) for s in schedules(station, object_id)}
    struck = "objectd-scribe died" if kind == "crash" else r"schedules\.tsv: "
    wait_until(lambda: station.logged(struck), what=f"{step} did not strike")
    station.stop()
    station.env.clear()
    station.start()
    every_time_was_one_run(station, object_id, phases)


def test_hup_with_ticks_in_flight_and_due(new_station):
    """slow runs, the others wait for it; all of them are due again before the new worker serves."""
    station = new_station(config={"limits": {"misfire_max": 1000}}).start()
    object_id = make(station)
    for method in ("tick", "other", "slow"):
        plan(station, object_id, 0.1, method, misfire="all")
    phases = {s["method"]: phase_of(s) for s in schedules(station, object_id)}
    wait_until(lambda: all(s["running"] for s in schedules(station, object_id)))
    old = {w.pid for w in station.workers()}
    station.send_signal(signal.SIGHUP)
    wait_until(lambda: station.status()["reload"]["count"] == 1
               and station.status()["reload"]["state"] == "idle")
    wait_until(lambda: not old & {w.pid for w in station.workers()})
    runs = {s["method"]: s["runs"] for s in schedules(station, object_id)}
    wait_until(lambda: all(s["runs"] > runs[s["method"]] for s in schedules(station, object_id)))
    every_time_was_one_run(station, object_id, phases)


def test_the_file_keeps_up_and_the_journal_goes(new_station):
    station = new_station(config={"state": {"checkpoint_max": 1, "checkpoint_idle": 0.1}}).start()
    object_id = make(station)
    plan(station, object_id, 0.05)
    path = station.data / "schedules.tsv"
    wait_until(lambda: path.exists() and int(path.read_text().splitlines()[1].split("\t")[9]) > 3)
    seq = int(re.search(r"seq=(\d+)", path.read_text()).group(1))
    wait_until(lambda: int(re.search(r"seq=(\d+)", path.read_text()).group(1)) > seq)
    station.kill9()
    station.start()
    assert one(station, object_id)["runs"] >= 4


def test_a_damaged_file_is_named(new_station):
    station = new_station().start()
    plan(station, make(station), 3600)
    station.stop()
    path = station.data / "schedules.tsv"
    good = path.read_text()
    path.write_text(good.replace("\t3600\t", "\tsoon\t"))
    found = station.objectctl("check", str(station.data))
    assert found.returncode != 0 and "schedules.tsv:2" in found.stdout, found
    path.write_text(good.replace("#objectd", "#somebody"))
    found = station.objectctl("check", str(station.data))
    assert found.returncode != 0 and "schedules.tsv:1" in found.stdout, found
    with pytest.raises(Exception):
        station.start(timeout=5)
    assert station.logged("schedules.tsv:1")
    path.write_text(good)
    station.allow("schedules.tsv:1")
    station.start()


def test_metrics(station):
    object_id = make(station)
    plan(station, object_id, 0.05)
    wait_until(lambda: one(station, object_id)["runs"] >= 2)
    text = station.get("/metrics").text
    for name in ("schedules 1", "ticks_total", "ticks_late_total", "ticks_skipped_total"):
        assert name in text, name
    assert station.status()["schedules"]["count"] == 1


def test_objectctl_status_of_an_object(shared):
    object_id = make(shared)
    plan(shared, object_id, "30 4 * * *")
    shown = shared.objectctl("status", object_id)
    assert shown.returncode == 0, shown
    assert "schedules" in shown.stdout and "30 4 * * *" in shown.stdout and "next_run" in shown.stdout.lower()
    assert '"method"' in shared.objectctl("status", "--json", object_id).stdout
    assert shared.objectctl("status", "nobody").returncode != 0
