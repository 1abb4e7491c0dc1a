# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind: loops of every operation, and all tests of this folder in a debug Python."""

import asyncio
import contextlib
import copy
import json
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
import station
from leak_loops import check, loop, older_objects_aside  # noqa: F401 - fixtures
from necrostack.backends import BackendFullError, InMemoryBackend
from necrostack.core.event import Event, ValidationError

pytestmark = pytest.mark.skipif(station.SANITIZED, reason="ASan's allocator keeps what is freed")

PAYLOAD = {"text": "é\n", "list": [1, -2.5, None, True, {"deep": ["x" * 50]}], "big": 10**40}


def refused(make):
    def attempt():
        with pytest.raises(ValidationError) as caught:
            make()
        caught.value.errors()
        str(caught.value)
    return attempt


def cyclic():
    payload = {}
    payload["self"] = payload
    return payload


class Sub(Event):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)


EVENT = Event("ORDER", PAYLOAD)
TEXT = EVENT.model_dump_json()
EVENT_OPERATIONS = {
    "make": lambda: Event("ORDER", PAYLOAD),
    "make_named": lambda: Event(event_type=" ORDER ", payload=PAYLOAD, id=EVENT.id,
                                timestamp=EVENT.timestamp),
    "read_fields": lambda: (e := Event("A", PAYLOAD)) and (e.id, e.timestamp, e.event_type, e.payload),
    "subclass": lambda: Sub("ORDER", PAYLOAD),
    "dump": lambda: (EVENT.model_dump(), EVENT.model_dump(mode="json")),
    "dump_json": lambda: Event("ORDER", PAYLOAD).model_dump_json(),
    "validate": lambda: Event.model_validate(json.loads(TEXT)),
    "validate_json": lambda: Event.model_validate_json(TEXT).payload,
    "copy": lambda: (EVENT.model_copy(), EVENT.model_copy(update={"event_type": "B"})),
    "old_spellings": lambda: (EVENT.dict(), EVENT.json(), EVENT.copy()),
    "pickle": lambda: pickle.loads(pickle.dumps(EVENT)),
    "deepcopy": lambda: (copy.copy(EVENT), copy.deepcopy(EVENT)),
    "compare": lambda: (Event("A") == EVENT, hash(Event("A")), repr(EVENT), str(EVENT)),
    "refuse_types": refused(lambda: Event(1, 2, id=3, timestamp=4)),
    "refuse_unknown": refused(lambda: Event("A", {}, more=1)),
    "refuse_nan": refused(lambda: Event("A", {"a": [{"b": float("nan")}]})),
    "refuse_surrogate": refused(lambda: Event("A", {"a": "\ud800"})),
    "refuse_key": refused(lambda: Event("A", {"a": {1: 2}})),
    "refuse_object": refused(lambda: Event("A", {"a": [1, object()]})),
    "refuse_cycle": refused(lambda: Event("A", cyclic())),
    "refuse_large": refused(lambda: Event("A", {"a": "x" * 1_000_001})),
    "refuse_text": refused(lambda: Event.model_validate_json('{"event_type": "A", "payload": [1]}')),
    "refuse_damage": refused(lambda: Event.model_validate_json('{"event_type": "A"')),
}


@pytest.mark.parametrize("name", EVENT_OPERATIONS)
def test_operation_of_an_event(name):
    check(EVENT_OPERATIONS[name])


async def full():
    backend = InMemoryBackend(max_size=1)
    await backend.enqueue(EVENT)
    with contextlib.suppress(BackendFullError):
        await backend.enqueue(EVENT)


async def one_after_the_other():
    backend = InMemoryBackend()
    for settle in (backend.ack, backend.nack):
        await backend.enqueue(Event("A", PAYLOAD))
        await settle(await backend.pull())
    assert await backend.pull() is None
    await backend.nack(EVENT, reason="none")


async def waiting():
    backend = InMemoryBackend()
    task = asyncio.ensure_future(backend.pull(timeout=None))
    await asyncio.sleep(0)
    await backend.enqueue(Event("A"))
    assert (await task).event_type == "A"
    assert await backend.pull(timeout=1e-9) is None


async def cancelled():
    backend = InMemoryBackend()
    task = asyncio.ensure_future(backend.pull(timeout=60))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def cancelled_when_served():
    backend = InMemoryBackend()
    task = asyncio.ensure_future(backend.pull(timeout=60))
    await asyncio.sleep(0)
    await backend.enqueue(Event("A", PAYLOAD))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def never_awaited():
    backend = InMemoryBackend()
    for coroutine in (backend.enqueue(EVENT), backend.pull(), backend.ack(EVENT),
                      backend.health(), backend.close()):
        coroutine.close()


async def misused():
    backend = InMemoryBackend()
    for call in (lambda: backend.enqueue(1), lambda: backend.ack(None), lambda: backend.pull("x"),
                 lambda: InMemoryBackend(-1), lambda: InMemoryBackend("x"),
                 lambda: backend.pull(float("nan"))):
        with contextlib.suppress(TypeError, ValueError):
            await call()


class OwnBackend(InMemoryBackend):
    async def pull(self, timeout=0.0):
        return await super().pull(timeout)


async def subclass():
    backend = OwnBackend(max_size=5)
    backend.itself = backend
    await backend.enqueue(EVENT)
    await backend.pull()


async def left_in_it():
    backend = InMemoryBackend()
    for _ in range(20):
        await backend.enqueue(Event("A", PAYLOAD))


BACKEND_OPERATIONS = [full, one_after_the_other, waiting, cancelled, cancelled_when_served,
                      never_awaited, misused, subclass, left_in_it]


@pytest.mark.parametrize("operation", BACKEND_OPERATIONS, ids=lambda op: op.__name__)
def test_operation_of_a_backend(operation, loop):
    check(lambda: loop.run_until_complete(operation()))


def test_a_leak_is_seen():
    kept = []
    with pytest.raises(AssertionError):
        check(lambda: kept.append(Event("A")))


@pytest.mark.skipif(not station.LONG, reason="OBJECTD_LONG is not set")
@pytest.mark.skipif(not shutil.which("python3-dbg"), reason="no python3-dbg")
def test_no_test_leaves_references():
    done = subprocess.run([Path(__file__).with_name("check_leaks")], capture_output=True, text=True,
                          check=False, timeout=3600)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
