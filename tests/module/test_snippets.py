# SPDX-License-Identifier: Apache-2.0
"""Programs as they are printed in the framework's questions and answers (snippets/), run unchanged.

Only the placeholders `...` and `{...}` are filled in; names that a text leaves to its reader, and
packages of others, are small stand-ins here.
"""

import ast
import asyncio
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import necrostack
import pytest
from necrostack import Event, HandlerFailureMode, InMemoryBackend, Organ, RedisBackend, Spine
from necrostack.core.spine import EnqueueFailureMode
from station import wait_until

FOLDER = Path(__file__).parent / "snippets"


def begin(name, filled, names):
    """Runs a snippet, which may await at its top level: what is to be awaited then, else None."""
    text = (FOLDER / f"{name}.txt").read_text()
    for placeholder, filling in filled.items():
        assert placeholder in text and "..." in placeholder
        text = text.replace(placeholder, filling)
    names.setdefault("__name__", name)
    return eval(compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)


async def run_async(name, **names):
    rest = begin(name, {}, names)
    if rest is not None:
        await rest


def run(name, filled=None, **names):
    """What the snippet defined."""
    rest = begin(name, filled or {}, names)
    if rest is not None:
        asyncio.run(rest)
    return types.SimpleNamespace(**names)


class Collect(Organ):
    """Keeps every event of these types."""

    def __init__(self, *types):
        super().__init__()
        self.listens_to = list(types)
        self.events = []

    def handle(self, event):
        self.events.append(event)

    @property
    def types(self):
        return [event.event_type for event in self.events]


def pass_through(organs, *events):
    """All events through one spine, which has nothing left afterwards."""
    async def work():
        backend = InMemoryBackend()
        spine = Spine(organs=organs, backend=backend)
        for event in events[:-1]:
            await backend.enqueue(event)
        return await spine.run(events[-1])

    return asyncio.run(work())


# --- handlers ---

def test_sync_and_async():
    async def some_io_operation():
        await asyncio.sleep(0)

    found = run("sync_and_async", {"{...}": "{'k': 1}"}, Organ=Organ, Event=Event,
                some_io_operation=some_io_operation)
    end = Collect("EVENT_C")
    stats = pass_through([found.SyncHandler(), found.AsyncHandler(), end], Event("EVENT_A"))
    assert end.types == ["EVENT_C"] and end.events[0].payload == {"k": 1}
    assert stats.events_processed == 3 and stats.handler_errors == 0


def test_idempotent():
    found = run("idempotent", Organ=Organ, Event=Event, result_event=Event("RESULT"))
    organ, end = found.IdempotentHandler(), Collect("RESULT")
    organ.listens_to = ["DO"]
    assert organ.name == "IdempotentHandler"  # although it never calls the base class
    event = Event("DO")
    pass_through([organ, end], event, event, Event("DO"))
    assert len(end.events) == 2


def test_without_listens_to_it_listens_to_nothing():
    found = run("idempotent", Organ=Organ, Event=Event, result_event=Event("RESULT"))
    organ = found.IdempotentHandler()
    stats = pass_through([organ], Event("DO"))
    assert organ.processed_ids == set() and stats.handler_errors == 0


def test_versions():
    found = run("versions", Organ=Organ, Event=Event)
    organ = found.OrderHandler()
    stats = pass_through([organ], Event("ORDER_PLACED"), Event("ORDER_PLACED_V2"))
    assert stats.events_processed == 2 and stats.handler_errors == 0


# --- tests and first steps ---

def test_organ_tested():
    class MyOrgan(Organ):
        listens_to = ["INPUT_TYPE"]

        def handle(self, event):
            return Event("OUTPUT_TYPE", {**event.payload, "processed": True})

    run("organ_tested", MyOrgan=MyOrgan, Event=Event).test_my_organ()


def test_pipeline_tested():
    class Organ1(Organ):
        listens_to = ["START"]

        def handle(self, event):
            return Event("NEXT")

    class Organ2(Organ):
        listens_to = ["NEXT"]

        def handle(self, event):
            ends.append(event)

    ends = []
    found = run("pipeline_tested", InMemoryBackend=InMemoryBackend, Spine=Spine, Event=Event,
                Organ1=Organ1, Organ2=Organ2)
    asyncio.run(found.test_pipeline())
    assert [event.event_type for event in ends] == ["NEXT"]


def test_first_organ_and_first_spine(capsys):
    organ = run("first_organ").MyOrgan
    run("first_spine", MyOrgan=organ, Event=Event)
    assert "Received: {'hello': 'world'}\n" in capsys.readouterr().out


# --- errors ---

class Full(InMemoryBackend):
    """Takes the first event only."""

    taken = False

    async def enqueue(self, event):
        if self.taken:
            raise OSError("no room")
        self.taken = True
        await super().enqueue(event)


class Emit(Organ):
    listens_to = ["START"]

    def handle(self, event):
        spines[0].stop()
        return [Event("A"), Event("B")]


spines = []


def test_failure_modes_and_failed_events(capsys):
    spine = run("failure_modes", {"[...]": "[Emit()]"}, Spine=Spine, backend=Full(), Emit=Emit).spine
    assert EnqueueFailureMode.STORE != EnqueueFailureMode.FAIL
    assert HandlerFailureMode.LOG != HandlerFailureMode.NACK
    spines[:] = [spine]
    asyncio.run(spine.run(Event("START")))
    run("failed_events", spine=spine)
    told = capsys.readouterr().out.splitlines()
    failed = [line for line in told if line.startswith("Event ")]
    assert len(failed) == 2 and all("failed: " in line and "no room" in line for line in failed)


# --- programs around it ---

@pytest.fixture
def redis_at_hand(redis, monkeypatch):
    """Whatever URL a program names, it meets the server of the tests."""
    class AtHand(RedisBackend):
        asked = []

        def __init__(self, redis_url, **settings):
            self.asked.append(redis_url)
            super().__init__(redis_url=redis.url, **settings)

    monkeypatch.setattr(necrostack.backends, "RedisBackend", AtHand)
    return AtHand


def test_fastapi_app(redis_at_hand):
    testclient = pytest.importorskip("fastapi.testclient")
    from pydantic import BaseModel

    class Order(BaseModel):
        item: str
        count: int = 1

    end = Collect("ORDER_PLACED")
    found = run("fastapi_app", {"[...]": "[end]"}, asyncio=asyncio, Order=Order, end=end)
    assert redis_at_hand.asked == ["redis://localhost"]
    with testclient.TestClient(found.app) as client:
        reply = client.post("/orders", json={"item": "coffin", "count": 3})
        assert reply.status_code == 200 and reply.json() == {"status": "queued"}
        wait_until(lambda: end.events)
    assert end.events[0].payload == {"item": "coffin", "count": 3}


class Leave(Organ):
    """Ends the program that it is in, as a signal would."""

    listens_to = ["LEAVE"]

    async def handle(self, event):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)


def test_single_process(redis_at_hand, redis):
    async def prepare():
        async with RedisBackend(redis_url=redis.url) as backend:
            await backend.enqueue(Event("LEAVE"))

    asyncio.run(prepare())
    with pytest.raises(asyncio.CancelledError):
        run("single_process", {"[...]": "[Leave()]"}, Leave=Leave, __name__="__main__")
    assert redis_at_hand.asked == ["redis://production:6379"]


def test_metrics_and_health(redis, capsys):
    async def work():
        async with RedisBackend(redis_url=redis.url) as backend:
            await backend.enqueue(Event("A"))
            await backend.enqueue(Event("B"))
            await backend.ack(await backend.pull(timeout=5))
            await run_async("metrics", backend=backend)
            await run_async("health", backend=backend)

    asyncio.run(work())
    out = capsys.readouterr().out
    assert "Enqueued: 2\n" in out and "Acked: 1\n" in out and "Failed: 0\n" in out
    assert "Healthy! Latency: " in out


def test_monitored():
    seen = []
    metrics = types.SimpleNamespace(histogram=lambda name, value: seen.append((name, value)))
    found = run("monitored", Organ=Organ, Event=Event, time=time, metrics=metrics)

    class Monitored(found.MonitoredOrgan):
        listens_to = ["WORK"]

        def process(self, event):
            return Event("DONE")

    end = Collect("DONE")
    pass_through([Monitored(), end], Event("WORK"))
    assert end.types == ["DONE"] and seen[0][0] == "organ.duration" and seen[0][1] >= 0


# --- patterns ---

def chain_organs(flow):
    """An organ for each arrow of A → B → C."""
    steps = flow.split(" → ")
    return [type(f"To_{after}", (Organ,),
                 {"listens_to": [before],
                  "handle": lambda self, event, after=after: Event(after, event.payload)})()
            for before, after in zip(steps, steps[1:])], steps


def test_saga():
    """It is no program but a picture of one: each step an organ, failures emit compensations."""
    name = "saga"
    flows = [line for line in (FOLDER / f"{name}.txt").read_text().splitlines() if " → " in line]
    assert len(flows) == 3
    for flow in flows:
        organs, steps = chain_organs(flow)
        end = Collect(*steps)
        pass_through([*organs, end], Event(steps[0], {"order": 7}))
        assert end.types == steps and end.events[-1].payload == {"order": 7}


def test_cqrs():
    views = []
    found = run("cqrs", {"{...}": "{'id': 1}"}, Organ=Organ, Event=Event,
                update_read_database=views.append)
    pass_through([found.CreateOrder(), found.UpdateOrderView()], Event("CREATE_ORDER_COMMAND"))
    assert views == [{"id": 1}]


class CircuitBreakerError(Exception):
    pass


def stand_in_for_circuitbreaker():
    """Opens after so many failures, for good."""
    def circuit(failure_threshold, recovery_timeout):
        failures = []

        def decorate(function):
            async def guarded(*args):
                if len(failures) >= failure_threshold:
                    raise CircuitBreakerError
                try:
                    return await function(*args)
                except Exception as error:
                    failures.append(error)
                    raise

            return guarded

        return decorate

    module = types.ModuleType("circuitbreaker")
    module.circuit = circuit
    return module


def stand_in_for_httpx(answers):
    class AsyncClient:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            return None

        async def post(self, url, json):
            await asyncio.sleep(0)
            assert url == "https://api.example.com"
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return {**answer, "sent": json}

    return types.SimpleNamespace(AsyncClient=AsyncClient)


def test_circuit_breaker(monkeypatch):
    monkeypatch.setitem(sys.modules, "circuitbreaker", stand_in_for_circuitbreaker())
    answers = [{"status": "ok"}, *[OSError("down")] * 5]
    found = run("circuit_breaker", Organ=Organ, Event=Event, httpx=stand_in_for_httpx(answers),
                CircuitBreakerError=CircuitBreakerError)
    organ, end = found.ExternalAPIOrgan(), Collect("API_SUCCESS", "API_UNAVAILABLE")
    organ.listens_to = ["CALL"]
    stats = pass_through([organ, end], *(Event("CALL", {"n": n}) for n in range(7)))
    assert end.types == ["API_SUCCESS", "API_UNAVAILABLE"] and stats.handler_errors == 5
    assert end.events[0].payload == {"status": "ok", "sent": {"n": 0}}
    assert end.events[1].payload == {"retry_later": True}


def test_event_sourcing():
    found = run("event_sourcing", {"{...}": "{'ok': True}"}, Organ=Organ, Event=Event)

    class Account(found.EventSourcedAggregate):
        listens_to = ["WITHDRAW"]

        def replay_events(self, events):
            spent = sum(event.payload["amount"] for event in events)
            return types.SimpleNamespace(can_process=lambda event: spent <= 100)

    end = Collect("PROCESSED")
    pass_through([Account(), end], *(Event("WITHDRAW", {"amount": 40}) for _ in range(3)))
    assert len(end.events) == 2


def test_tracing(monkeypatch):
    spans = []

    class Span(dict):
        def __enter__(self):
            spans.append(self)
            return self

        def __exit__(self, *error):
            return False

        set_attribute = dict.__setitem__

    tracer = types.SimpleNamespace(start_as_current_span=lambda name: Span(name=name))
    module = types.ModuleType("opentelemetry")
    module.trace = types.SimpleNamespace(get_tracer=lambda name: tracer)
    monkeypatch.setitem(sys.modules, "opentelemetry", module)
    found = run("tracing", Organ=Organ, Event=Event)

    class Traced(found.TracedOrgan):
        listens_to = ["WORK"]

        def process(self, event):
            return Event("DONE")

    event = Event("WORK")
    stats = pass_through([Traced()], event)
    assert stats.handler_errors == 0 and stats.events_processed == 2
    assert spans == [{"name": "organ.handle", "event.type": "WORK", "event.id": event.id}]


# --- looking at it ---

def in_a_process(name, after):
    """A program that begins with the snippet; its output, both streams."""
    done = subprocess.run([sys.executable, "-c", (FOLDER / f"{name}.txt").read_text() + after],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


FIRST_PROGRAM = """
import asyncio
from necrostack import Event, InMemoryBackend, Organ, Spine
class Ping(Organ):
    listens_to = ["PING"]
    def handle(self, event):
        return Event("PONG")
asyncio.run(Spine([Ping()], InMemoryBackend()).run(Event("PING")))
"""


def test_logs():
    out, _ = in_a_process("logs", FIRST_PROGRAM)
    assert "Dispatching PING to Ping" in out.splitlines()


def test_logs_as_json():
    out, _ = in_a_process("logs", """
from necrostack.core.logging import configure_spine_logger
logging.getLogger().handlers.clear()
configure_spine_logger(stream=sys.stdout)
""" + FIRST_PROGRAM)
    lines = [json.loads(line) for line in out.splitlines()]
    assert "Dispatching PING to Ping" in [line["message"] for line in lines]


def test_debug_logging():
    out, err = in_a_process("debug_logging", FIRST_PROGRAM)
    assert "Dispatching PING to Ping" in out + err


def test_profile(monkeypatch, capsys):
    import __main__

    monkeypatch.setattr(__main__, "asyncio", asyncio, raising=False)
    monkeypatch.setattr(__main__, "spine", Spine([], InMemoryBackend()), raising=False)
    monkeypatch.setattr(__main__, "event", Event("START"), raising=False)
    run("profile")
    assert "function calls" in capsys.readouterr().out


def test_every_snippet_is_tested():
    source = Path(__file__).read_text()
    untested = [path.stem for path in FOLDER.glob("*.txt") if f'"{path.stem}"' not in source]
    assert not untested and len(list(FOLDER.glob("*.txt"))) == 22
