# SPDX-License-Identifier: Apache-2.0
"""How many workers there may be, who goes first, who waits; idle objects."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from station import PATIENCE, config_text, wait_until

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


@capped(2)
def test_what_is_beyond_a_lowered_limit_ends(station, tmp_path):
    """The least recently used, without anybody asking for more: to be renewed is not to be used, and the turn of
    one that is being renewed comes all the same."""
    gate = tmp_path / "gate"
    gate.touch()
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.005)\n"
    put_all(station, waits + ECHO, "a")
    put_all(station, ECHO, "b")
    for object_id in "bab":
        assert station.get(f"/objects/{object_id}").status == 200
    lowered = {section: dict(keys) for section, keys in station.config.items()}
    lowered["workers"]["max"] = 1
    (station.folder / "objectd.conf").write_text(config_text(lowered))
    gate.unlink()
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(station.post, "/reload")
        wait_until(lambda: shown(station, "a")["phase"] == "deploying")
        time.sleep(2.1)  # b has been idle for more than a second, and one was looked for
        evicted = pressure(station)["evicted"]
        gate.touch()
        assert evicted == 0 and reload.result().status == 200
    wait_until(lambda: workers(station) == ["b"])
    assert pressure(station)["evicted"] == 1


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


def shown(station, object_id):
    """What the list of objects says of it: nobody waits for that."""
    found = station.get("/objects").json()["objects"]
    return next(o for o in found if o["object_id"] == object_id)


FULL = {"workers": {"max": 1, "queue_timeout": 0.3}}
LIMITED = "a worker (workers.max)"


@pytest.fixture
def full(new_station, tmp_path):
    """A station whose only worker runs one call until the test is over."""
    station = new_station(config=FULL)
    station.put("slow.py", SLOW)
    station.put("cold.py", "def GET(request): return 1\n")
    station.start()
    station.allow("waits for a worker")
    wait_until(lambda: station.get("/objects/slow?begun=/dev/null&until=/").status == 200)
    held = Held(station, "slow", tmp_path)
    yield station, held
    held.end()


FORM = ('--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n--b--\r\n',
        {"Content-Type": "multipart/form-data; boundary=b"})
CODE = {"code": "def GET(request): return 2"}


def ask_all(station, asks):
    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(lambda ask: station.request(*ask), asks))


def test_what_asks_for_a_start_waits_no_longer_than_a_call(full):
    """Nothing is left of an object that would have been created."""
    station, held = full
    asks = [("GET", "/objects/cold?metadata=true"), ("GET", "/objects/cold?status=true"),
            ("GET", "/objects/cold?test=true"), ("POST", "/objects/cold?restart=true"),
            ("POST", "/objects/cold", *FORM), ("PUT", "/objects/cold?source=true", CODE),
            ("PUT", "/objects/fresh?source=true", CODE), ("PUT", "/objects/fresh?source=true", CODE)]
    for ask, reply in zip(asks, ask_all(station, asks)):
        assert reply.status == 503 and reply.json()["limit"] == "workers.max", (ask, reply.text)
        assert "workers.queue_timeout" in reply.json()["error"], (ask, reply.text)
    wait_until(lambda: pressure(station)["objects_waiting"] == 0)
    assert "waits_for" not in shown(station, "cold")
    assert "fresh" not in station.object_ids() and not (station.objects / "fresh.py").exists()
    assert held.end().status == 200
    assert wait_until(lambda: station.get("/objects/cold").json()) == 1
    wait_until(lambda: station.request("PUT", "/objects/fresh?source=true", CODE).status == 201)


def test_what_nobody_calls_waits_and_says_so(full):
    """It declares schedules: it stays, whatever becomes of those who ask for it meanwhile."""
    station, held = full
    station.put("timed.py", '__endpoint__ = {"schedule": {"tick": 3600}}\ndef tick(): pass\n')
    wait_until(lambda: "timed" in station.object_ids())
    wait_until(lambda: shown(station, "timed").get("waits_for") == LIMITED)
    assert LIMITED in station.objectctl("objects").stdout
    for _ in range(2):
        reply = station.get("/objects/timed?metadata=true")
        assert reply.status == 503 and reply.json()["limit"] == "workers.max", reply.text
        assert shown(station, "timed")["waits_for"] == LIMITED
    held.end()
    wait_until(lambda: station.get("/objects/timed?status=true").json()["schedules"])
    assert "waits_for" not in shown(station, "timed")


TICKING = """
__endpoint__ = {"schedule": {"tick": 0.05}, "idle_timeout": 0.1}
def tick(): pass
def GET(request): return 1
"""


def test_a_tick_that_gets_no_worker_says_so(new_station, tmp_path):
    station = new_station(config=FULL)
    station.put("slow.py", SLOW)
    station.start()
    station.allow("waits for a worker")
    station.deploy("ticking.py", TICKING)
    wait_until(lambda: station.get("/objects/ticking").status == 200)

    def schedule():
        return station.get("/objects/ticking?status=true").json()["schedules"][0]

    wait_until(lambda: schedule()["runs"])
    held = Held(station, "slow", tmp_path)
    reason = wait_until(lambda: schedule().get("delayed"))
    assert "workers.max" in reason and "workers.queue_timeout" in reason
    assert "could not begin" in str(station.get("/objects/ticking?logs=true").json())
    runs = schedule()["runs"]
    held.end()
    wait_until(lambda: schedule()["runs"] > runs and "delayed" not in schedule())


@capped(1)
def test_replicas_wait_and_say_so(station):
    station.deploy("many.py", ECHO + "__endpoint__ = {'workers': 2, 'stateless': True}\n")
    assert station.get("/objects/many").status == 200
    status = station.get("/objects/many?status=true").json()
    assert status["replicas_wait_for"] == LIMITED and "waits_for" not in status
    metadata = station.get("/objects/many?metadata=true").json()["metadata"]
    assert metadata["replicas_wait_for"] == LIMITED


@pytest.mark.parametrize("station", [{"config": {"workers": {
    "max": 1, "start_timeout": PATIENCE}}}], indirect=True)
def test_a_start_that_needs_more_than_there_is_names_the_limit(station):
    """Its own worker, 16 of the reserve for what it depends on: one too few."""
    station.allow("waits for a worker", "does not load")
    needed = [f"n{i}" for i in range(17)]
    put_all(station, "", *needed)
    station.deploy("user.py", f"__endpoint__ = {{'depends': {needed}}}\n" + ECHO)
    reply = wait_until(lambda: "(workers.max)" in (r := station.get("/objects/user")).text and r)
    assert reply.status == 503 and "has not started within workers.start_timeout" in reply.text


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
