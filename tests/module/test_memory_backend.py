# SPDX-License-Identifier: Apache-2.0
"""InMemoryBackend through its methods: order, bound, waiting, and what is lost when a wait ends."""

import asyncio
import gc
import inspect
import threading
import time
import warnings
import weakref

import pytest
from necrostack.backends import InMemoryBackend
from necrostack.backends.inmemory import BackendFullError
from necrostack.core import Event


def run(coroutine):
    return asyncio.run(coroutine)


def test_first_in_first_out_and_the_same_objects():
    async def main():
        backend, events = InMemoryBackend(), [Event("A", {"n": n}) for n in range(100)]
        for event in events:
            assert await backend.enqueue(event) is None
        assert backend.qsize() == 100
        out = [await backend.pull(0) for _ in events]
        assert all(a is b for a, b in zip(out, events))
        assert backend.qsize() == 0
        assert await backend.pull() is None
        assert await backend.ack(events[0]) is None
        assert await backend.nack(events[0], "not wanted") is None
        assert await backend.nack(events[0]) is None
        assert backend.qsize() == 0

    run(main())


def test_a_full_queue_says_so():
    async def main():
        backend = InMemoryBackend(max_size=2)
        assert backend.max_size == 2
        for _ in range(2):
            await backend.enqueue(Event("A"))
        with pytest.raises(BackendFullError) as caught:
            await backend.enqueue(Event("B"))
        assert str(caught.value) == "Queue full (max_size=2), cannot enqueue event"
        assert backend.qsize() == 2
        await backend.pull(0)
        await backend.enqueue(Event("C"))

    run(main())


@pytest.mark.parametrize("size,error", [(-1, ValueError), ("3", TypeError), (1.5, TypeError)])
def test_a_size_that_is_none(size, error):
    with pytest.raises(error):
        InMemoryBackend(max_size=size)


@pytest.mark.parametrize("thing", [None, "A", {"event_type": "A"}, Event])
def test_only_events_go_in(thing):
    backend = InMemoryBackend()
    for method in (backend.enqueue, backend.ack, backend.nack):
        with pytest.raises(TypeError, match="Event"):
            method(thing)


@pytest.mark.parametrize("timeout,error", [("1", TypeError), (float("nan"), ValueError)])
def test_a_timeout_that_is_none(timeout, error):
    with pytest.raises(error):
        InMemoryBackend().pull(timeout)


def test_a_pull_waits_for_what_comes():
    async def main():
        backend, event = InMemoryBackend(), Event("A")
        for timeout in (30, None, float("inf"), 1e300):
            task = asyncio.create_task(backend.pull(timeout=timeout))
            await asyncio.sleep(0)
            assert not task.done()
            await backend.enqueue(event)
            assert await task is event
            assert backend.qsize() == 0

    run(main())


def test_a_pull_ends_when_its_time_is_over():
    async def main():
        backend = InMemoryBackend()
        begun = time.monotonic()
        late = asyncio.create_task(backend.pull(60))
        assert await asyncio.gather(backend.pull(0.05), backend.pull(0.02)) == [None, None]
        assert 0.04 < time.monotonic() - begun < 30
        assert await backend.pull(-1) is None
        late.cancel()

    run(main())


def test_who_waits_first_is_served_first():
    async def main():
        backend, events = InMemoryBackend(), [Event("A"), Event("B")]
        tasks = [asyncio.create_task(backend.pull(30)) for _ in events]
        await asyncio.sleep(0)
        for event in events:
            await backend.enqueue(event)
        assert await asyncio.gather(*tasks) == events

    run(main())


def test_a_cancelled_pull_takes_nothing():
    async def main():
        backend, event = InMemoryBackend(), Event("A")
        waiting = asyncio.create_task(backend.pull(30))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await backend.enqueue(event)
        assert backend.qsize() == 1
        # The event has come, and the task is cancelled before it could take it.
        await backend.pull(0)
        waiting = asyncio.create_task(backend.pull(30))
        await asyncio.sleep(0)
        await backend.enqueue(event)
        assert backend.qsize() == 0
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert backend.qsize() == 1
        assert await backend.pull(0) is event
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(backend.pull(30), 0.02)

    run(main())


def test_nothing_happens_before_it_is_awaited():
    backend = InMemoryBackend()
    with pytest.warns(RuntimeWarning, match="'enqueue' was never awaited"):
        backend.enqueue(Event("A"))
        gc.collect()
    assert backend.qsize() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.enqueue(Event("A")).close()


def test_its_awaitables_are_coroutines():
    async def main():
        backend, event = InMemoryBackend(), Event("A")
        assert inspect.isawaitable(call := backend.enqueue(event))
        assert asyncio.iscoroutine(call)
        await call
        with pytest.raises(RuntimeError, match="already awaited"):
            await call
        task = asyncio.create_task(backend.pull(1), name="x")
        assert "pull" in repr(task)
        assert await task is event
        assert await asyncio.wait_for(backend.enqueue(event), 5) is None
        assert await asyncio.gather(backend.ack(event), backend.pull()) == [None, event]
        with pytest.raises(ZeroDivisionError):
            backend.pull(1).throw(ZeroDivisionError("x"))

    run(main())
    backend = InMemoryBackend()
    asyncio.run(backend.enqueue(Event("A")))
    assert asyncio.run(backend.pull()).event_type == "A"


def test_it_outlives_a_loop_and_a_wait_that_never_ended():
    backend, event = InMemoryBackend(), Event("A")

    async def give_up():
        asyncio.create_task(backend.pull(30))
        await asyncio.sleep(0)

    run(give_up())
    run(backend.enqueue(event))
    assert run(backend.pull(1)) is event


def test_another_thread_may_enqueue():
    backend, event = InMemoryBackend(), Event("A")

    async def main():
        thread = threading.Thread(target=lambda: asyncio.run(backend.enqueue(event)))
        waiting = asyncio.create_task(backend.pull(30))
        await asyncio.sleep(0)
        thread.start()
        assert await waiting is event
        thread.join()

    begun = time.monotonic()
    run(main())
    assert time.monotonic() - begun < 20


def test_close_loses_nothing():
    async def main():
        backend = InMemoryBackend()
        await backend.enqueue(Event("A"))
        assert await backend.close() is None
        assert await backend.close() is None
        assert backend.qsize() == 1

    run(main())


def test_health_tells_how_many_wait():
    async def main():
        backend = InMemoryBackend(max_size=7)
        await backend.enqueue(Event("A"))
        health = await backend.health()
        assert health.healthy and health.latency_ms == 0.0
        assert health.details == {"queue_size": 1, "max_size": 7}

    run(main())


def test_a_subclass_that_does_not_call_init_has_a_queue():
    class Mine(InMemoryBackend):
        def __init__(self, name):
            self.name = name

        async def enqueue(self, event):
            self.last = event
            await super().enqueue(event)

    async def main():
        backend, event = Mine("x"), Event("A")
        await backend.enqueue(event)
        assert backend.last is event and backend.qsize() == 1 and backend.max_size == 0

    run(main())


def test_it_goes_away_with_what_is_in_it():
    class Note(Event):
        pass

    async def main():
        backend = InMemoryBackend()
        for _ in range(1000):
            await backend.enqueue(Note("A"))
        return weakref.ref(backend)

    gc.collect()
    before = sum(isinstance(thing, Note) for thing in gc.get_objects())
    assert run(main())() is None
    gc.collect()
    assert sum(isinstance(thing, Note) for thing in gc.get_objects()) == before


def test_a_task_that_nobody_keeps_gets_its_event():
    async def main():
        backend, got = InMemoryBackend(), []

        async def consume():
            got.append(await backend.pull(None))

        asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        gc.collect()
        await backend.enqueue(Event("A"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert [event.event_type for event in got] == ["A"] and backend.qsize() == 0

    run(main())


def test_init_again_ends_what_waits():
    async def main():
        backend = InMemoryBackend()
        waiting = asyncio.ensure_future(backend.pull(60))
        await asyncio.sleep(0)
        backend.__init__(max_size=1)
        with pytest.raises(RuntimeError, match=r"the queue is gone: .*__init__\(\) was called again"):
            await waiting
        await backend.enqueue(Event("A"))
        assert backend.qsize() == backend.max_size == 1

    run(main())
