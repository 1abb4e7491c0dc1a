# SPDX-License-Identifier: Apache-2.0
"""The event framework inside objects: necrostack is there, and a spine runs within a turn."""

import re
import shutil
import subprocess
import sys

import pytest
from station import BUILD, PATIENCE, REPOSITORY

sys.path.append(str(REPOSITORY / "tests/module"))
from redis_server import redis, redis_pool  # noqa: E402, F401 - fixtures

PACKAGE = str(BUILD / "python/necrostack/__init__.py")
WHERE = """
import necrostack
def GET(request):
    return {"file": necrostack.__file__}
"""


def where(station, name="where"):
    station.deploy(f"{name}.py", WHERE)
    return station.get("/objects/" + name.replace("/", "_")).json()["file"]


@pytest.fixture(scope="module")
def made_venv(tmp_path_factory):
    """Of the Python that the workers embed, without its packages."""
    makefile = (BUILD / "Makefile").read_text()
    program = re.search(r"^PYTHON_PROGRAM = (.*)$", makefile, re.M)[1]
    folder = tmp_path_factory.mktemp("made") / "venv"
    subprocess.run([program, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def test_it_is_that_of_the_build_tree(shared):
    assert where(shared) == PACKAGE


def test_in_an_environment_of_the_station(new_station, made_venv):
    station = new_station(config={"workers": {"venv": made_venv}}).start()
    assert where(station) == PACKAGE


def test_in_an_environment_of_a_folder(shared, made_venv):
    shutil.copytree(made_venv, shared.objects / "own/venv", symlinks=True)
    assert where(shared, "own/where") == PACKAGE


def test_nothing_else_of_its_folder_is_seen(shared):
    shared.deploy("path.py", "import sys\ndef GET(request):\n    return sys.path\n")
    assert str(BUILD / "python") not in shared.get("/objects/path").json()


# --- a spine within a turn ---

SPINE = """
import asyncio, time
from necrostack import Event, InMemoryBackend, Organ, Spine

class Double(Organ):
    listens_to = ["NUMBER"]
    def handle(self, event):
        return Event("DOUBLED", {"n": event.payload["n"] * 2})

class Keep(Organ):
    listens_to = ["DOUBLED"]
    async def handle(self, event):
        await asyncio.sleep(0.001)
        _state_manager.set("n", event.payload["n"])
        _logger.info("kept", n=event.payload["n"])

class Hang(Organ):
    listens_to = ["HANG"]
    def handle(self, event):
        while True:
            pass

class HangAsync(Organ):
    listens_to = ["HANG_ASYNC"]
    async def handle(self, event):
        await asyncio.sleep(3600)

def spine(**settings):
    return Spine([Double(), Keep(), Hang(), HangAsync()], InMemoryBackend(), **settings)

def outcome(stats):
    return {"processed": stats.events_processed, "errors": stats.handler_errors,
            "n": _state_manager.get("n")}

def POST(request):
    return outcome(asyncio.run(spine().run(Event("NUMBER", {"n": request["n"]}))))

async def PUT(request):
    return outcome(await spine().run(Event("NUMBER", {"n": request["n"]})))

def PATCH(request):
    began = time.monotonic()
    stats = asyncio.run(spine(handler_timeout=request["timeout"]).run(Event(request["how"])))
    return {"errors": stats.handler_errors, "seconds": time.monotonic() - began}

async def DELETE(request):
    await spine().run(Event(request["how"]))

def GET(request):
    return _state_manager.get("n")
"""


@pytest.fixture(scope="module")
def with_spine(module_station):
    module_station.deploy("spine.py", SPINE)
    return module_station


@pytest.mark.parametrize("method,n", [("POST", 21), ("PUT", 4)], ids=["sync", "async"])
def test_a_spine_runs_within_a_turn(shared, with_spine, method, n):
    """Its organs write the object's state and log, and both are the turn's."""
    reply = shared.request(method, "/objects/spine", body={"n": n})
    assert reply.json() == {"processed": 2, "errors": 0, "n": 2 * n}, reply
    assert shared.get("/objects/spine").json() == 2 * n
    assert "kept" in [line["message"] for line in shared.object_logs("spine")]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_turn_that_fails_keeps_nothing(shared, with_spine, method):
    assert shared.request(method, "/objects/spine", body={"n": 3}).json()["n"] == 6
    reply = shared.request(method, "/objects/spine", body={"n": None})
    assert reply.status == 200 and reply.json()["errors"] == 1  # None * 2 is a handler's error
    assert shared.get("/objects/spine").json() == 6


REDIS = """
import asyncio
from necrostack import Event, Organ, RedisBackend, Spine

class Take(Organ):
    listens_to = ["TAKEN", "LAST"]
    def handle(self, event):
        _state_manager.increment("n")
        if event.event_type == "LAST":
            self.spine.stop()

async def POST(request):
    async with RedisBackend("%s") as backend:
        for event_type in ("TAKEN", "LAST"):
            await backend.enqueue(Event(event_type))
        organ = Take()
        organ.spine = Spine([organ], backend)
        stats = await organ.spine.run()
        return [stats.events_processed, backend.metrics.events_acked, _state_manager.get("n")]

def PUT(request):
    return asyncio.run(POST(request))
"""


def test_a_stream_within_turns(shared, redis):  # noqa: F811
    """A connection for each loop: the worker's own, and those that a handler makes."""
    shared.deploy("stream.py", REDIS % redis.url)
    for turn, method in enumerate(("POST", "PUT", "PUT", "POST"), 1):
        assert shared.request(method, "/objects/stream").json() == [2, 2, 2 * turn]


# --- time ---

SHORT = 0.2 * min(PATIENCE, 2)


@pytest.mark.parametrize("how", ["HANG", "HANG_ASYNC"])
def test_the_timeout_of_handlers(shared, with_spine, how):
    """It ends the handler, not the turn; a computing one is interrupted by the module's watchdog."""
    reply = shared.request("PATCH", "/objects/spine", body={"how": how, "timeout": 0.1})
    assert reply.status == 200, reply
    assert reply.json()["errors"] == 1 and 0.1 <= reply.json()["seconds"] < 5 * PATIENCE
    again = shared.request("POST", "/objects/spine", body={"n": 1})
    assert again.json()["processed"] == 2


@pytest.mark.parametrize("how", ["HANG", "HANG_ASYNC"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_the_deadline_of_the_call_comes_first(shared, method, how):
    """504 in time, the process lives on, and the watchdog left nothing behind that disturbs it."""
    shared.deploy("late.py", f"__endpoint__ = {{'timeout': {SHORT}}}\n" + SPINE)
    reply = shared.request(method, "/objects/late", body={"how": how, "timeout": 30})
    assert reply.status == 504 and "crash_id" not in reply.json(), reply
    assert shared.request("POST", "/objects/late", body={"n": 3}).json()["n"] == 6
