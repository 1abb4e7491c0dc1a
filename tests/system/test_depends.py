# SPDX-License-Identifier: Apache-2.0
"""Objects that others depend on: started first, ended last, and what their failures are told."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from station import PATIENCE, wait_until

SOURCE = """
import atexit, os, time
NOTES = {notes!r}

def note(word):
    with open(NOTES, "a") as f:
        f.write(word + " {name}\\n")

{body}
atexit.register(note, "end")
note("load")
__endpoint__ = {endpoint!r}
def GET(request):
    note("turn")
    return {{"name": {name!r}, "value": {value!r}}}
"""


class Family:
    """Objects that write down when they load, run and end."""

    def __init__(self, station):
        self.station = station
        self.file = station.folder / "notes"

    def source(self, name, *depends, body="", value=0, **endpoint):
        if depends:
            endpoint["depends"] = list(depends)
        return SOURCE.format(notes=str(self.file), name=name, body=body, endpoint=endpoint, value=value)

    def put(self, name, *depends, **kw):
        return self.station.deploy(f"{name}.py", self.source(name, *depends, **kw))

    def send(self, name, *depends, **kw):
        code = self.source(name, *depends, **kw)
        return self.station.request("PUT", f"/objects/{name}?source=true", {"code": code})

    def notes(self, word=None):
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.split()[1] for line in lines if line.startswith(word)] if word else lines

    def status(self, name):
        return self.station.get(f"/objects/{name}?status=true").json()

    def metadata(self, name):
        return self.station.get(f"/objects/{name}?metadata=true").json()["metadata"]


@pytest.fixture
def family(station):
    return Family(station)


# --- order ---

def test_what_it_depends_on_serves_before_its_first_turn(family):
    family.put("c", body="time.sleep(0.2)")
    family.put("b", "c")
    family.put("a", "b")
    assert family.station.get("/objects/a").json()["name"] == "a"
    notes = family.notes()
    assert notes.index("load c") < notes.index("turn a") and notes.index("load b") < notes.index("turn a")
    assert all(family.status(name)["phase"] == "serving" for name in "abc")
    assert family.status("a")["dependencies"] == [{"object_id": "b", "phase": "serving"}]
    assert family.metadata("a")["dependencies"] == [{"object_id": "b", "phase": "serving"}]
    assert family.metadata("b")["needed_by"] == ["a"] and family.metadata("a")["needed_by"] == []
    assert "dependencies" not in family.status("c")


def test_a_shared_one_is_started_once(family):
    family.put("root")
    for name in ("left", "right"):
        family.put(name, "root")
    family.put("top", "left", "right")
    assert family.station.get("/objects/top").status == 200
    assert sorted(family.notes("load")) == ["left", "right", "root", "top"]
    assert family.notes("turn") == ["top"]


def test_the_end_is_the_other_way_round(family):
    for name, depends in (("c", ()), ("b", ("c",)), ("a", ("b", "c")), ("alone", ())):
        family.put(name, *depends)
    for name in ("a", "alone"):
        assert family.station.get(f"/objects/{name}").status == 200
    assert family.station.stop() == 0
    assert [n for n in family.notes("end") if n != "alone"] == ["a", "b", "c"]


def test_removed_together(family):
    for name, depends in (("f/c", ()), ("f/b", ("f_c",)), ("f/a", ("f_b",))):
        family.put(name, *depends)
    assert family.station.get("/objects/f_a").status == 200
    shutil.rmtree(family.station.objects / "f")
    wait_until(lambda: len(family.notes("end")) == 3)
    assert family.notes("end") == ["f/a", "f/b", "f/c"]
    wait_until(lambda: family.station.object_ids() == [])


def test_it_is_not_idle_while_it_is_needed(family):
    family.put("b", idle_timeout=0.1)
    family.put("a", "b", idle_timeout=1.5)
    assert family.station.get("/objects/a").status == 200
    wait_until(lambda: len(family.notes("end")) == 2)
    assert family.notes("end") == ["a", "b"]
    assert family.station.get("/objects/a").status == 200
    assert sorted(family.notes("load")) == ["a", "a", "b", "b"]


def test_one_that_dies_comes_back_by_itself(family):
    family.put("b", idle_timeout=0.1, body="def POST(request):\n    os._exit(3)")
    family.put("a", "b")
    assert family.station.get("/objects/a").status == 200
    assert family.station.post("/objects/b").status == 502
    wait_until(lambda: family.notes("load").count("b") == 2)
    wait_until(lambda: family.status("b")["phase"] == "serving")


# --- what cannot be ---

def test_a_circle_is_an_error_of_whoever_closes_it(family):
    family.put("b")
    family.put("a", "b")
    assert family.station.get("/objects/a").status == 200
    family.station.allow("does not load")
    reply = family.send("b", "a")
    assert reply.status == 422 and "circle: b -> a -> b" in reply.json()["error"], reply
    family.station.put("b.py", family.source("b", "a", value=1))
    newest = lambda: family.station.get("/objects/b?versions=true").json()["versions"][0]  # noqa: E731
    wait_until(lambda: newest()["version_id"] == 3)
    assert newest()["status"] == "rejected" and "circle: b -> a -> b" in newest()["reason"]
    for name in "ab":
        assert family.station.get(f"/objects/{name}").json()["value"] == 0
    reply = family.send("own", "own")
    assert reply.status == 422 and "circle: own -> own" in reply.json()["error"]


def test_two_that_are_started_at_once_and_depend_on_each_other(family):
    family.station.allow("does not load")
    family.put("b", "a")
    family.put("a", "b")
    replies = [family.station.get("/objects/a"), family.station.get("/objects/b")]
    assert {r.status for r in replies} <= {500, 503}
    assert any("circle: " in r.json()["error"] for r in replies)


def test_a_missing_one_is_named_and_waited_for(family):
    family.station.allow("does not load")
    reply = family.send("a", "b")
    assert reply.status == 422 and "depends on b" in reply.json()["error"], reply
    family.put("a", "b")
    reply = family.station.get("/objects/a")
    assert reply.status == 503 and reply.json()["depends_on"] == "b", reply
    assert reply.json()["retryable"] and int(reply.headers["retry-after"]) >= 0
    assert "there is no such object" in reply.json()["error"]
    assert family.status("a")["blocked_by"] == "b"
    family.put("b")
    wait_until(lambda: family.station.get("/objects/a").status == 200)


def test_a_new_version_waits_for_what_arrives_later(family):
    family.put("a")
    assert family.station.get("/objects/a").json()["value"] == 0
    family.station.allow("does not load")
    family.station.put("a.py", family.source("a", "b", value=1))
    newest = lambda: family.station.get("/objects/a?versions=true").json()["versions"][0]  # noqa: E731
    wait_until(lambda: newest().get("status") == "rejected")
    assert "depends on b" in newest()["reason"]
    assert family.station.get("/objects/a").json()["value"] == 0
    family.put("b")
    wait_until(lambda: family.station.get("/objects/a").json()["value"] == 1)
    assert family.status("b")["running"]


def test_one_that_does_not_load(family):
    family.station.allow("does not load")
    family.put("c", body="1/0")
    family.put("b", "c")
    family.put("a", "b")
    reply = family.station.get("/objects/a")
    assert reply.status == 503 and reply.json()["depends_on"] == "b", reply
    assert "depends on c, which does not load: ZeroDivisionError" in reply.json()["error"]
    assert family.notes("turn") == []
    family.station.put("c.py", family.source("c"))
    wait_until(lambda: family.station.get("/objects/a").status == 200)


@pytest.mark.parametrize("station", [{"config": {"workers": {"start_timeout": 0.8 * PATIENCE}}}], indirect=True)
def test_one_that_takes_too_long(family):
    family.station.allow("does not load", "workers.start_timeout")
    family.put("b", body="time.sleep(30)")
    family.put("a", "b")
    reply = family.station.get("/objects/a")
    assert reply.status == 503 and reply.json()["depends_on"] == "b", reply
    assert "start_timeout" in reply.json()["error"]


def test_what_it_depends_on_is_removed(family):
    family.put("b")
    family.put("a", "b")
    assert family.station.get("/objects/a").status == 200
    (family.station.objects / "b.py").unlink()
    wait_until(lambda: "b" not in family.station.object_ids())
    assert family.station.get("/objects/a").status == 200  # it goes on
    assert family.metadata("a")["dependencies"] == [{"object_id": "b", "phase": "missing"}]


# --- while it waits ---

def held(family):
    """A call of a, which has loaded and waits for b, which takes its time."""
    family.put("b", body="time.sleep(60)")
    family.put("a", "b")
    call = ThreadPoolExecutor(1).submit(family.station.get, "/objects/a")

    def states():
        return {w["object_id"]: w["state"] for w in family.station.status()["processes"]["workers"]}

    wait_until(lambda: states() == {"a": "ready", "b": "loading"}, what=states)
    return call


def test_what_it_waits_for_is_removed(family):
    family.station.allow("does not load")
    call = held(family)
    (family.station.objects / "b.py").unlink()
    reply = call.result()
    assert reply.status == 503 and reply.json()["depends_on"] == "b", reply


def test_it_is_removed_itself(family):
    call = held(family)
    (family.station.objects / "a.py").unlink()
    assert call.result().status == 404
    (family.station.objects / "b.py").unlink()
    wait_until(lambda: not family.station.workers())


def test_what_it_waits_for_is_mended(family):
    call = held(family)
    family.station.put("b.py", family.source("b"))
    assert call.result().status == 200


def test_its_worker_dies(family):
    family.station.allow("does not load", "died")
    call = held(family)
    pid = wait_until(lambda: next(w["pid"] for w in family.station.status()["processes"]["workers"]
                                  if w["object_id"] == "a"))
    os.kill(pid, signal.SIGKILL)
    family.station.put("b.py", family.source("b"))
    assert call.result().status in (200, 500)
    wait_until(lambda: family.station.get("/objects/a").status == 200)
