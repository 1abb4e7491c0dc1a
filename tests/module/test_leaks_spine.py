# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind by runs of a Spine, however they end."""

import asyncio
import contextlib
import io
import logging

import pytest
import station
from leak_loops import check, loop, older_objects_aside  # noqa: F401 - fixtures
from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ
from necrostack.core.logging import JSONFormatter, get_logger
from necrostack.core.spine import (
    BackendUnavailableError,
    EnqueueError,
    EnqueueFailureMode,
    HandlerFailureMode,
    Spine,
)

pytestmark = pytest.mark.skipif(station.SANITIZED, reason="ASan's allocator keeps what is freed")


class Calling(Organ):
    """Handles A by a function."""

    listens_to = ["A"]

    def __init__(self, function):
        super().__init__()
        self.handle = function

    def handle(self, event):
        raise NotImplementedError


class Abandoned(BaseException):
    pass


class Store:
    async def store(self, event, error):
        await asyncio.sleep(0)
        raise OSError(event.id)


class Own(InMemoryBackend):
    async def enqueue(self, event):
        await super().enqueue(event)
        if event.event_type == "B":
            self.spine.stop()


class Broken:
    async def enqueue(self, event):
        raise OSError("enqueue")

    async def pull(self, timeout):
        raise OSError("pull")

    async def ack(self, event):
        raise OSError("ack")


def spine_of(*functions, backend=None, **settings):
    organs = [Calling(function) for function in functions]
    return Spine(organs, backend or InMemoryBackend(), **settings)


def start():
    return Event("A", {"n": 3, "text": "x" * 100})


def count_down(event):
    return Event("A", {"n": event.payload["n"] - 1}) if event.payload["n"] else None


async def count_down_later(event):
    await asyncio.sleep(0)
    return count_down(event)


def fail(event):
    raise ValueError(event.id)


async def chain():
    spine = spine_of(count_down, lambda event: [Event("B"), Event("C")])
    assert (await spine.run(start())).events_processed == 12
    spine.get_stats()
    spine.get_enqueue_failure_count()


async def awaiting_chain():
    assert (await spine_of(count_down_later).run(start())).events_processed == 4


async def wrong_results():
    stats = await spine_of(lambda _: 5, lambda _: [Event("B"), None], lambda _: (1,)).run(start())
    assert stats.handler_errors == 3


async def failing():
    for mode in HandlerFailureMode:
        spine = spine_of(fail, fail, handler_failure_mode=mode)
        assert (await spine.run(start())).handler_errors == 2
        spine.failed_event_store.clear()


async def failing_once():
    await spine_of(fail).run(start())


async def own_store():
    await spine_of(fail, handler_failure_mode=HandlerFailureMode.STORE,
                   failed_event_store=Store()).run(start())


async def full_queue():
    for mode in EnqueueFailureMode:
        spine = spine_of(lambda _: [Event("B"), Event("C")], backend=InMemoryBackend(max_size=1),
                         enqueue_failure_mode=mode, retry_attempts=1, retry_base_delay=0)
        with contextlib.suppress(EnqueueError):
            await spine.run(start())


async def too_many_steps():
    with pytest.raises(RuntimeError):
        await spine_of(lambda _: start(), max_steps=3).run(start())


async def abandoned():
    def abandon(event):
        raise Abandoned(event)

    with contextlib.suppress(Abandoned):
        await spine_of(abandon).run(start())


async def entered_again():
    async def again(event):
        await spine.run(event)

    spine = spine_of(again)
    assert (await spine.run(start())).handler_errors == 1


async def ended_by(end):
    """A handler waits, then the run is ended from outside."""
    async def wait(event):
        began.set()
        for _ in range(3):
            await asyncio.sleep(0)

    began = asyncio.Event()
    spine = spine_of(wait)
    task = asyncio.ensure_future(spine.run(start()))
    await began.wait()
    end(spine, task)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def cancelled():
    await ended_by(lambda _, task: task.cancel())


async def stopped():
    await ended_by(lambda spine, _: spine.stop())


async def stopped_forever():
    spine = spine_of(count_down)
    task = asyncio.ensure_future(spine.run_forever())
    await asyncio.sleep(0)
    spine.stop()
    await task


async def timed_out():
    runs = [spine_of(lambda _: asyncio.sleep(60), handler_timeout=1e-4).run(start())
            for _ in range(3)]
    assert all(stats.handler_errors == 1 for stats in await asyncio.gather(*runs))


async def never_awaited():
    spine_of(count_down).run(start()).close()


async def own_backend():
    backend = Own()
    backend.spine = spine_of(lambda _: Event("B"), backend=backend)
    await backend.spine.run(start())


async def broken_backend():
    with pytest.raises(BackendUnavailableError):
        await spine_of(backend=Broken(), max_consecutive_backend_failures=1).run(start())


async def wrong_settings():
    for settings in ({"organs": 1}, {"organs": [Organ]}, {"backend": 1}, {"max_steps": "x"},
                     {"enqueue_failure_mode": 1}, {"handler_timeout": -1},
                     {"failed_event_store": 1}):
        with contextlib.suppress(TypeError, ValueError):
            Spine(**{"organs": [], "backend": InMemoryBackend(), **settings})


async def caught_in_a_cycle():
    organ = Calling(count_down)
    organ.spine = Spine([organ], InMemoryBackend())
    organ.run = organ.spine.run(start())
    organ.run.close()


OPERATIONS = [chain, awaiting_chain, wrong_results, failing, own_store, full_queue, too_many_steps,
              abandoned, entered_again, cancelled, stopped, stopped_forever, timed_out,
              never_awaited, own_backend, broken_backend, wrong_settings, caught_in_a_cycle]


@pytest.fixture
def logger():
    logger = get_logger()
    before = logger.level, logger.propagate, list(logger.handlers)
    yield logger
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers[:] = before[2]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
def test_run_without_a_log(operation, loop, logger):
    logger.setLevel(logging.CRITICAL)
    check(lambda: loop.run_until_complete(operation()))


class Nowhere(io.TextIOBase):
    def write(self, text):
        return len(text)


@pytest.mark.parametrize("own", [False, True], ids=["formatted in C", "by a handler"])
@pytest.mark.parametrize("operation", [chain, failing_once, full_queue], ids=lambda op: op.__name__)
def test_run_with_a_log(operation, own, loop, logger):
    handler = logging.NullHandler() if own else logging.StreamHandler(Nowhere())
    handler.setFormatter(JSONFormatter())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    check(lambda: loop.run_until_complete(operation()))
