# SPDX-License-Identifier: Apache-2.0
"""How many workers there may be, who goes first, who waits; idle objects."""

import threading

import pytest
from station import wait_until

ECHO = "import os\ndef GET(request):\n    return {'pid': os.getpid()}\n"
SLOW = """
import os, pathlib, time
def GET(request):
    pathlib.Path(request.query["begun"]).touch()
    while not pathlib.Path(request.query["until"]).exists():
        time.sleep(0.005)
    return {'pid': os.getpid()}
"""


def workers(station):
    return [w["object_id"] for w in station.status()["processes"]["workers"]
            if w["state"] not in ("draining", "killed")]


def pressure(station):
    return station.status()["workers"]


def put_all(station, source, *ids):
    for object_id in ids:
        station.deploy(f"{object_id}.py", source)


class Held:
    """A call of a slow object, until it is let go."""

    def __init__(self, station, object_id, folder):
        self.begun, self.until = folder / f"{object_id}.begun", folder / f"{object_id}.until"
        self.answer = None
        path = f"/objects/{object_id}?begun={self.begun}&until={self.until}"
        self.thread = threading.Thread(target=self.call, args=(station, path))
        self.thread.start()
        wait_until(self.begun.exists)

    def call(self, station, path):
        self.answer = station.get(path)

    def end(self):
        self.until.touch()
        self.thread.join()
        return self.answer


def capped(limit, **more):
    return pytest.mark.parametrize(
        "station", [{"config": {"workers": {"max": limit, **more}}}], indirect=True)


@capped(2)
def test_the_least_recently_used_goes_first(station):
    put_all(station, ECHO, "a", "b", "c")
    pids = {i: station.get(f"/objects/{i}").json()["pid"] for i in "aba"}
    assert station.get("/objects/c").status == 200
    assert sorted(workers(station)) == ["a", "c"]
    assert station.get("/objects/a").json()["pid"] == pids["a"]
    assert station.get("/objects/b").json()["pid"] != pids["b"]
    assert sorted(workers(station)) == ["a", "b"]
    seen = pressure(station)
    assert seen["count"] == 2 and seen["max"] == 2 and seen["evicted"] == 2
    assert seen["memory_max"] > 2**20 and seen["objects_waiting"] == 0
    assert "objectd_workers_evicted_total 2" in station.get("/metrics").text


@capped(2)
def test_a_call_waits_for_a_worker(station, tmp_path):
    station.allow("waits for a worker")
    put_all(station, SLOW, "a", "b", "c")
    station.deploy("d.py", ECHO)
    held = [Held(station, i, tmp_path) for i in "ab"]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(station.get("/objects/d")))
    waiting.start()
    wait_until(lambda: pressure(station)["objects_waiting"] == 1)
    assert not answers and sorted(workers(station)) == ["a", "b"]
    assert held[0].end().status == 200
    waiting.join()
    assert answers[0].status == 200
    assert sorted(workers(station)) == ["b", "d"]
    assert held[1].end().status == 200
    assert station.logged(r"d waits for a worker: none of the 2 is idle \(workers.max\)")


@capped(1, queue_timeout=0.3)
def test_who_waits_too_long_is_told_the_limit(station, tmp_path):
    station.allow("waits for a worker")
    put_all(station, SLOW, "a")
    station.deploy("b.py", ECHO)
    warm = "/objects/a?begun=/dev/null&until=/"
    wait_until(lambda: station.get(warm).status == 200)  # a start is waited for, too
    held = Held(station, "a", tmp_path)
    reply = station.get("/objects/b")
    assert reply.status == 503 and reply.json()["limit"] == "workers.max"
    assert "workers.max" in reply.json()["error"]
    assert held.end().status == 200
    wait_until(lambda: station.get("/objects/b").status == 200)
    wait_until(lambda: pressure(station)["objects_waiting"] == 0)


CHAIN = """
def GET(request):
    return {'told': _runtime.call_object(request.query["of"], "GET")}
"""


@capped(1)
def test_what_a_turn_calls_does_not_wait(station):
    """The only worker runs the turn that waits for the other's."""
    station.deploy("chain.py", CHAIN)
    station.deploy("b.py", ECHO)
    reply = station.get("/objects/chain?of=b")
    assert reply.status == 200 and "pid" in reply.json()["told"], reply.text
    assert pressure(station)["lent"] == 1


ASKS = """
def GET(request):
    return {'told': bool(_runtime.load_object("b").get_metadata())}
"""


@capped(1)
def test_what_a_turn_looks_at_does_not_wait(station):
    station.deploy("asks.py", ASKS)
    station.put("b.py", ECHO)
    wait_until(lambda: "b" in station.object_ids())
    reply = station.get("/objects/asks")
    assert reply.status == 200 and reply.json()["told"], reply.text
    assert pressure(station)["lent"] == 1


FAN = """
import asyncio
async def GET(request):
    until = request.query["until"]
    asked = [_runtime.call_object_async(f"w{i}", "GET", {"begun": f"{until}.{i}", "until": until})
             for i in range(int(request.query["count"]))]
    done = await asyncio.gather(*asked, return_exceptions=True)
    return {'refused': [str(e) for e in done if isinstance(e, Exception)]}
"""


@capped(1)
def test_the_reserve_ends(station, tmp_path):
    """A worker for the caller, 16 for whom it calls; nobody waits for ever."""
    count = 18
    slow = SLOW.replace("request.query[", "request[")
    put_all(station, slow, *(f"w{i}" for i in range(count)))
    station.deploy("fan.py", FAN)
    until = tmp_path / "until"
    answers = []
    caller = threading.Thread(target=lambda: answers.append(
        station.get(f"/objects/fan?until={until}&count={count}")))
    caller.start()
    wait_until(lambda: pressure(station)["refused"] >= 1 or answers)
    until.touch()
    caller.join()
    assert answers[0].status == 200, answers[0].text
    refused = answers[0].json()["refused"]
    assert 1 <= len(refused) <= 2 and all("workers.max" in text for text in refused)
    assert "objectd_rejected_workers_total" in station.get("/metrics").text


HOG = """
import pathlib, time
held = bytearray(b"x" * 60_000_000)
def GET(request):
    return len(held)
""" + SLOW.replace("def GET", "def POST")


@capped(1)
def test_what_declares_schedules_waits_for_its_slot(station, tmp_path):
    """Nobody calls it: its only start is the one for what it declares."""
    station.allow("waits for a worker")
    put_all(station, SLOW, "slow")
    held = Held(station, "slow", tmp_path)
    station.put("timed.py", '__endpoint__ = {"schedule": {"tick": 3600}}\ndef tick(): pass\n')
    wait_until(lambda: pressure(station)["objects_waiting"] == 1)
    for _ in range(10):  # it stays there
        assert pressure(station)["objects_waiting"] == 1
    assert held.end().status == 200
    wait_until(lambda: station.get("/objects/timed?status=true").json()["schedules"])


@pytest.mark.parametrize("station", [{"config": {"workers": {
    "memory_max": 50_000_000, "queue_timeout": 1}}}], indirect=True)
def test_memory_of_all_together(station, tmp_path):
    station.allow("waits for a worker")
    station.deploy("hog.py", HOG)
    station.deploy("b.py", ECHO)
    wait_until(lambda: station.get("/objects/hog").status == 200)
    wait_until(lambda: "hog" not in workers(station))  # measured, found too much, idle
    assert pressure(station)["evicted"] >= 1
    begun, until = tmp_path / "begun", tmp_path / "until"
    path = f"/objects/hog?begun={begun}&until={until}"
    busy = threading.Thread(target=lambda: wait_until(lambda: station.post(path).status == 200))
    busy.start()
    wait_until(begun.exists)
    wait_until(lambda: pressure(station)["memory_bytes"] > 50_000_000)
    wait_until(lambda: "b" not in workers(station))
    reply = station.get("/objects/b")
    assert reply.status == 503 and reply.json()["limit"] == "workers.memory_max", reply.text
    until.touch()
    busy.join()
    wait_until(lambda: station.get("/objects/b").status == 200)


STREAM = """
import pathlib, time
__endpoint__ = {"idle_timeout": 0.1}
def GET(request):
    def chunks():
        yield "first\\n"
        while not pathlib.Path(request.query["until"]).exists():
            time.sleep(0.005)
        yield "last\\n"
    return chunks() if "until" in request.query else {"n": 1}
"""


def test_an_idle_object_ends_and_comes_back(station, tmp_path):
    """With a timeout of its own; not while it streams."""
    station.deploy("s.py", STREAM)
    until = tmp_path / "until"
    answers = []
    reader = threading.Thread(target=lambda: answers.append(
        station.get(f"/objects/s?until={until}")))
    reader.start()
    wait_until(lambda: "s" in workers(station))
    ended = pressure(station)["idle_ended"]
    station.deploy("other.py", STREAM)
    assert station.get("/objects/other").json() == {"n": 1}
    wait_until(lambda: pressure(station)["idle_ended"] > ended)  # the sweep has passed
    assert workers(station) == ["s"]
    until.touch()
    reader.join()
    assert answers[0].text == "first\nlast\n"
    wait_until(lambda: workers(station) == [])
    assert station.get("/objects/s").json() == {"n": 1}
