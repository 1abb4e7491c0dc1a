# SPDX-License-Identifier: Apache-2.0
"""Spine: order, ends, stop(), cancellation, turns of the loop, backends of one's own."""

import asyncio
import dataclasses
import gc
import sys
import threading
import time
import types
import weakref

import pytest
from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.spine import (
    EnqueueFailureMode,
    HandlerFailureMode,
    InMemoryFailedEventStore,
    SpineStats,
)


def organ(*types_, name=None):
    """An organ whose handle is the decorated function of (event)."""
    def decorate(function):
        made = type("Organ_" + function.__name__, (Organ,), {
            "listens_to": list(types_), "handle": lambda self, event: function(event)})
        return made(name or function.__name__)
    return decorate


def chain(length):
    @organ("STEP")
    def step(event):
        n = event.payload["n"]
        return Event("STEP", {"n": n + 1}) if n < length else None
    return step


class Listed:
    """A backend of somebody's, as small as it can be; says what it was asked."""

    def __init__(self, *events, then=None):
        self.events, self.acked, self.asked, self.then = list(events), [], [], then

    async def enqueue(self, event):
        self.events.append(event)

    async def pull(self, timeout):
        self.asked.append(timeout)
        if self.events:
            return self.events.pop(0)
        if self.then:
            self.then()
        await asyncio.sleep(timeout)
        return None

    async def ack(self, event):
        self.acked.append(event)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


# --- the way of an event -------------------------------------------------------------------------


def test_a_chain_runs_until_the_queue_is_empty():
    spine = Spine(organs=[chain(1000)], backend=InMemoryBackend())
    stats = run(spine.run(Event("STEP", {"n": 0})))
    assert stats == SpineStats(events_processed=1001, events_emitted=1000)
    assert spine.get_stats() == stats
    assert not spine.running


def test_organs_run_in_the_order_given_and_events_in_that_of_their_making():
    log = []

    def recorder(number):
        @organ("A", "B", "C", name=f"r{number}")
        def record(event):
            log.append((number, event.event_type))
            if event.event_type == "A":
                return [Event("B"), Event("C")] if number == 0 else Event("C")
        return record

    run(Spine([recorder(n) for n in range(10)], InMemoryBackend()).run(Event("A")))
    each = list(range(10))
    assert log == [(n, kind) for kind in "ABC" for n in each] + [(n, "C") for _ in range(9) for n in each]


def test_sync_and_async_handlers_and_everything_they_may_return():
    seen = []

    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return Event("E")

    @types.coroutine
    def old_style():
        yield
        return [Event("F")]

    @organ("A")
    def sync(event):
        return Event("B")

    @organ("B")
    async def never_waits(event):
        return [Event("C"), Event("D")]

    @organ("C")
    async def waits(event):
        await asyncio.sleep(0.001)
        return []

    organs = [sync, never_waits, waits,
              organ("D")(lambda event: Awaitable()),
              organ("E")(lambda event: old_style()),
              organ("F")(lambda event: asyncio.get_running_loop().create_task(waits.handle(event))),
              organ(*"ABCDEF", name="all")(lambda event: seen.append(event.event_type))]
    stats = run(Spine(organs, InMemoryBackend()).run(Event("A")))
    assert seen == list("ABCDEF")
    assert (stats.events_processed, stats.events_emitted, stats.handler_errors) == (6, 5, 0)


@pytest.mark.parametrize("kind", [list, type("Listlike", (list,), {})])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_a_list_belongs_to_whoever_holds_it(kind, keeps, waits):
    """One that its handler keeps is what it was; of the others nothing stays, and nothing is missing."""
    class Seen(Event):
        pass

    emitted, kept, seen = weakref.WeakSet(), [], []

    def several():
        events = kind(Seen("B", {"n": n}) for n in range(2000))
        emitted.update(events)
        if keeps:
            kept.append(events)
        return events

    async def later():
        await asyncio.sleep(0)
        return several()

    organs = [organ("A")(lambda event: later() if waits else several()),
              organ("B")(lambda event: seen.append(event.payload["n"]))]
    stats = run(Spine(organs, InMemoryBackend()).run(Event("A")))
    assert seen == list(range(2000)) and stats.events_emitted == 2000
    gc.collect()
    assert len(emitted) == (2000 if keeps else 0)
    if keeps:
        assert [event.payload["n"] for event in kept[0]] == seen
        del organs, several, later
        assert {sys.getrefcount(event) for event in kept[0]} == {3}  # the list's, ours, the call's


@pytest.mark.parametrize("keeps", [True, False])
def test_a_list_with_something_else_in_it_emits_nothing(keeps):
    store, kept = InMemoryFailedEventStore(), []

    def several(event):
        events = [Event("B"), Event("C"), 4, Event("D")]
        kept.extend([events] if keeps else [])
        return events

    organs = [organ("A")(several), organ("B", "C", "D")(pytest.fail)]
    stats = run(Spine(organs, InMemoryBackend(), failed_event_store=store,
                      handler_failure_mode=HandlerFailureMode.STORE).run(Event("A")))
    assert (stats.events_emitted, stats.handler_errors) == (0, 1)
    assert str(store.get_all()[0][1]) == "handler returned a list with int, expected Event, list of Events or None"
    for events in kept:
        assert [getattr(event, "event_type", event) for event in events] == ["B", "C", 4, "D"]


def test_the_payload_and_the_event_are_the_ones_that_were_made():
    seen, made = [], Event("B", {"deep": [1, {"x": None}]})
    organs = [organ("A")(lambda event: made), organ("B")(seen.append)]
    run(Spine(organs, InMemoryBackend()).run(Event("A")))
    assert seen[0] is made


def test_an_event_that_nobody_listens_to_is_acknowledged(caplog):
    caplog.set_level("DEBUG", logger="necrostack.spine")
    backend = Listed(event := Event("UNHEARD"))
    spine = Spine([], backend)
    backend.then = spine.stop
    assert run(spine.run()).events_processed == 1
    assert backend.acked == [event]
    assert [r.getMessage() for r in caplog.records] == ["No organ listens to UNHEARD"]


def test_the_lines_of_the_log(caplog):
    caplog.set_level("INFO", logger="necrostack.spine")

    @organ("A", name="first")
    def first(event):
        return [Event("B"), Event("C")]

    @organ("B", name="second")
    def second(event):
        raise KeyError("gone")

    run(Spine([first, second], InMemoryBackend()).run(Event("A")))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "Dispatching A to first"), ("INFO", "Handler first emitted events"),
        ("INFO", "Dispatching B to second"),
        ("ERROR", "Handler second raised exception: 'gone'")]
    assert caplog.records[1].emitted == ["B", "C"]


def test_past_max_steps_it_raises_and_the_event_is_still_there():
    backend = InMemoryBackend()
    spine = Spine([chain(10**9)], backend, max_steps=20)
    with pytest.raises(RuntimeError, match="^Max steps exceeded$"):
        run(spine.run(Event("STEP", {"n": 0})))
    assert spine.get_stats().events_processed == 20
    assert backend.qsize() == 1
    assert run(backend.pull()).payload == {"n": 20}


def test_exactly_max_steps_are_within_the_limit():
    assert run(Spine([chain(19)], InMemoryBackend(), max_steps=20)
               .run(Event("STEP", {"n": 0}))).events_processed == 20


def test_run_forever_has_no_limit_of_steps():
    backend = InMemoryBackend()
    spine = Spine([chain(50), organ("STEP")(lambda e: spine.stop() if e.payload["n"] == 50 else None)],
                  backend, max_steps=5)

    async def main():
        await backend.enqueue(Event("STEP", {"n": 0}))
        return await spine.run_forever()

    assert run(main()).events_processed == 51


# --- stop() ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["run", "run_forever"])
def test_without_a_start_event_it_goes_on_until_stop(start):
    async def main():
        done = []
        backend = InMemoryBackend()
        spine = Spine([organ("A")(done.append)], backend)
        task = asyncio.create_task(getattr(spine, start)())
        for n in range(3):
            await backend.enqueue(Event("A"))
            while len(done) <= n:
                await asyncio.sleep(0)
        assert not task.done() and spine.running
        spine.stop()
        stats = await task
        assert stats.events_processed == 3

    run(main())


def test_stop_from_a_handler_ends_after_this_event():
    backend = InMemoryBackend()
    seen = []

    @organ("A")
    def stopper(event):
        spine.stop()
        return Event("B")

    spine = Spine([stopper, organ("A", "B")(seen.append)], backend)
    stats = run(spine.run(Event("A")))
    assert [e.event_type for e in seen] == ["A"]
    assert stats == SpineStats(events_processed=1, events_emitted=1)
    assert backend.qsize() == 1
    # What was left is there for the next run.
    spine = Spine([organ("B", "C")(seen.append)], backend)
    run(spine.run(Event("C")))
    assert [e.event_type for e in seen] == ["A", "B", "C"]


def test_stop_before_a_run_has_begun_ends_that_run():
    async def main():
        spine = Spine([], InMemoryBackend())
        task = asyncio.create_task(spine.run())
        spine.stop()
        assert (await task).events_processed == 0

    run(main())


def test_stop_without_a_run_does_nothing():
    spine = Spine([chain(3)], InMemoryBackend())
    spine.stop()
    assert run(spine.run(Event("STEP", {"n": 0}))).events_processed == 4
    spine.stop()
    assert run(spine.run(Event("STEP", {"n": 0}))).events_processed == 4


def test_stop_from_another_thread():
    async def main():
        spine = Spine([], InMemoryBackend())
        thread = threading.Timer(0.01, spine.stop)
        asyncio.get_running_loop().call_soon(thread.start)  # stop() before run() would do nothing
        await spine.run()
        thread.join()

    run(main())


def test_stop_from_another_task_while_it_is_busy():
    async def main():
        spine = Spine([chain(10**9)], InMemoryBackend(), max_steps=10**9)
        task = asyncio.create_task(spine.run(Event("STEP", {"n": 0})))
        while spine.get_stats().events_processed <= 100:
            await asyncio.sleep(0)
        spine.stop()
        return await task

    assert run(main()).events_processed > 100


# --- running ---------------------------------------------------------------------------------------


def test_a_run_within_a_run_is_refused():
    errors = []

    @organ("A")
    async def again(event):
        try:
            await spine.run(Event("B"))
        except RuntimeError as error:
            errors.append(str(error))

    spine = Spine([again], InMemoryBackend())
    assert run(spine.run(Event("A"))).events_processed == 1
    assert errors == ["Spine is already running"]


def test_two_tasks_cannot_run_the_same_spine():
    async def main():
        spine = Spine([], InMemoryBackend())
        first = asyncio.create_task(spine.run())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            await spine.run()
        assert spine.running
        spine.stop()
        await first

    run(main())


def test_it_runs_again_after_it_ended_well_or_not():
    spine = Spine([chain(5)], InMemoryBackend(), max_steps=10)
    for _ in range(3):
        assert run(spine.run(Event("STEP", {"n": 0}))).events_processed == 6
    with pytest.raises(RuntimeError):
        run(spine.run(Event("STEP", {"n": -20})))
    assert run(spine.backend.pull()).payload == {"n": -10}
    assert run(spine.run(Event("STEP", {"n": 0}))).events_processed == 6


def test_stats_are_copies():
    spine = Spine([chain(2)], InMemoryBackend())
    run(spine.run(Event("STEP", {"n": 0})))
    stats = spine.get_stats()
    stats.events_processed = 77
    assert spine.get_stats().events_processed == 3
    assert [f.name for f in dataclasses.fields(stats)] == [
        "events_processed", "events_emitted", "enqueue_failures", "handler_errors", "backend_errors",
        "ack_errors"]


def test_stop_iteration_thrown_into_a_run_is_not_its_result():
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        Spine([], InMemoryBackend()).run().throw(StopIteration(4))


def test_a_run_that_is_dropped_within_a_handler_frees_the_spine_and_cancels_nobody():
    async def main():
        @organ("A")
        async def waits(event):
            await asyncio.sleep(60)

        spine = Spine([waits], InMemoryBackend(), handler_timeout=0.01)
        by_hand = spine.run(Event("A"))
        by_hand.send(None)
        assert spine.running
        del by_hand
        assert not spine.running
        await asyncio.sleep(0.03)  # its timer would cancel the task that drove it

    run(main())


def test_a_run_that_is_dropped_frees_the_spine():
    async def main():
        spine = Spine([], InMemoryBackend())
        task = asyncio.create_task(spine.run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not spine.running
        by_hand = spine.run()
        by_hand.send(None)
        assert spine.running
        del by_hand
        assert not spine.running
        with pytest.warns(RuntimeWarning, match=r"'Spine\.run' was never awaited"):
            spine.run()
        return weakref.ref(spine)

    gc.collect()
    gone = run(main())
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("thing", ["A", {"event_type": "A"}, 3, Event])
def test_the_start_event_is_an_event(thing):
    with pytest.raises(TypeError, match="start_event"):
        Spine([], InMemoryBackend()).run(thing)


@pytest.mark.parametrize("name,value,error", [
    ("max_steps", -1, ValueError), ("max_steps", "1", TypeError), ("max_steps", 2**70, ValueError),
    ("retry_attempts", -1, ValueError), ("retry_attempts", 1.5, TypeError),
    ("retry_base_delay", -0.1, ValueError), ("retry_base_delay", "x", TypeError),
    ("retry_base_delay", float("nan"), ValueError), ("retry_base_delay", 10**400, ValueError),
    ("max_consecutive_backend_failures", 0, ValueError),
    ("handler_timeout", 0, ValueError), ("handler_timeout", float("inf"), ValueError),
    ("handler_timeout", "soon", TypeError),
    ("enqueue_failure_mode", "drop", ValueError), ("handler_failure_mode", 3, ValueError),
    ("failed_event_store", object(), TypeError), ("backend", object(), TypeError),
    ("backend", None, TypeError), ("nonsense", 1, TypeError)])
def test_arguments_are_checked(name, value, error):
    enums = {"enqueue_failure_mode": "EnqueueFailureMode", "handler_failure_mode": "HandlerFailureMode"}
    with pytest.raises(error, match=enums.get(name, name)):
        Spine(**{"organs": [], "backend": InMemoryBackend(), name: value})


def test_what_it_was_made_of_can_be_seen():
    backend, store = InMemoryBackend(), InMemoryFailedEventStore()
    spine = Spine([one := chain(1)], backend, 5, EnqueueFailureMode.FAIL, HandlerFailureMode.NACK,
                  store, 2, 0.5, 4, None)
    assert (spine.organs, spine.backend, spine.max_steps) == ([one], backend, 5)
    assert spine.enqueue_failure_mode is EnqueueFailureMode.FAIL
    assert spine.handler_failure_mode is HandlerFailureMode.NACK
    assert spine.failed_event_store is store
    assert (spine.retry_attempts, spine.retry_base_delay) == (2, 0.5)
    assert spine.max_consecutive_backend_failures == 4
    assert spine.handler_timeout is None
    usual = Spine([], backend)
    assert (usual.max_steps, usual.retry_attempts, usual.retry_base_delay) == (10_000, 3, 0.1)
    assert (usual.max_consecutive_backend_failures, usual.handler_timeout) == (10, 30.0)
    assert usual.enqueue_failure_mode is EnqueueFailureMode.STORE
    assert usual.handler_failure_mode is HandlerFailureMode.LOG
    assert len(usual.failed_event_store) == 0


# --- turns of the loop -------------------------------------------------------------------------------


def test_the_loop_is_not_entered_between_events_but_every_10_ms():
    """A task that is always ready notes when it has its turn."""
    async def main():
        turns = []

        async def other():
            while True:
                turns.append((time.monotonic(), time.thread_time()))
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        busy = organ("STEP")(lambda event: sum(range(500)))
        await Spine([chain(3000), busy], InMemoryBackend()).run(Event("STEP", {"n": 0}))
        task.cancel()
        return turns

    turns = run(main())
    between, computed = (sorted(b[i] - a[i] for a, b in zip(turns, turns[1:])) for i in (0, 1))
    assert between[len(between) // 10] > 0.004  # a busy machine makes it longer, and never shorter
    # CPU time of this thread, so that a busy machine does not count; one handler may be preempted.
    assert computed[len(computed) // 2] < 0.010


def test_many_organs_of_one_event_do_not_keep_the_loop():
    async def main():
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        slow = [organ("A", name=str(n))(lambda event: time.sleep(0.002)) for n in range(20)]
        await Spine(slow, InMemoryBackend()).run(Event("A"))
        task.cancel()
        return turns

    assert run(main()) > 4


def test_memory_does_not_grow_with_the_length_of_a_chain():
    def references():
        gc.collect()
        return sum(isinstance(thing, Event) for thing in gc.get_objects())

    counts = []

    @organ("WATCH")
    def watch(event):
        counts.append((references(), sys.getallocatedblocks()))

    @organ("STEP")
    def burst(event):
        n = event.payload["n"]
        if n == 0:
            return None
        if n % 300 == 0:
            return [Event("STEP", {"n": n - 1}), Event("WATCH")] + [Event("STEP", {"n": 0})] * 500
        return Event("STEP", {"n": n - 1})

    run(Spine([burst, watch], InMemoryBackend(), max_steps=10**6).run(Event("STEP", {"n": 1800})))
    first, last = counts[1], counts[-1]
    assert last[0] <= first[0] + 5
    assert last[1] <= first[1] + 2000


# --- cancellation --------------------------------------------------------------------------------------


def test_a_cancelled_run_leaves_nothing_half_done():
    """The event whose handlers were not all done is first again, and has emitted nothing."""
    async def main():
        backend, event, entered = InMemoryBackend(), Event("A"), asyncio.Event()
        done = []

        @organ("A")
        def first(event):
            done.append("first")
            return Event("B")

        @organ("A")
        async def second(event):
            entered.set()
            await asyncio.sleep(3600)

        spine = Spine([first, second], backend)
        await backend.enqueue(event)
        await backend.enqueue(Event("LATER"))
        task = asyncio.create_task(spine.run())
        await entered.wait()
        assert backend.qsize() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.qsize() == 2 and not spine.running
        assert await backend.pull() is event
        assert (await backend.pull()).event_type == "LATER"
        assert spine.get_stats() == SpineStats()

    run(main())


def test_what_is_cancelled_can_go_on():
    async def main():
        backend, calls = InMemoryBackend(max_size=1), []

        @organ("A")
        async def slow(event):
            calls.append(event)
            if len(calls) == 1:
                await asyncio.sleep(3600)
            spine.stop()

        spine = Spine([slow], backend)
        task = asyncio.create_task(spine.run(event := Event("A")))
        while not calls:
            await asyncio.sleep(0)
        await backend.enqueue(Event("FULL"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await spine.run()).events_processed == 1
        assert calls == [event, event]

    run(main())


def test_cancelling_an_idle_run_takes_no_event_with_it():
    async def main():
        backend = InMemoryBackend()
        spine = Spine([organ("A")(lambda event: None)], backend)
        task = asyncio.create_task(spine.run())
        await asyncio.sleep(0)
        await backend.enqueue(event := Event("A"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await backend.pull() is event

    run(main())


def test_a_busy_run_can_be_cancelled():
    async def main():
        backend = InMemoryBackend()
        spine = Spine([chain(10**9)], backend, max_steps=10**9)
        task = asyncio.create_task(spine.run(Event("STEP", {"n": 0})))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.qsize() == 1

    run(main())


def test_a_time_out_around_a_run():
    async def main():
        spine = Spine([], InMemoryBackend())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(spine.run(), 0.01)
        assert not spine.running

    run(main())


def test_an_event_of_a_backend_of_ones_own_is_not_acknowledged_when_cancelled():
    async def main():
        entered = asyncio.Event()

        @organ("A")
        async def slow(event):
            entered.set()
            await asyncio.sleep(3600)

        backend = Listed(Event("A"))
        task = asyncio.create_task(Spine([slow], backend).run())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.acked == []

    run(main())


# --- backends of one's own ------------------------------------------------------------------------------


def test_any_object_with_the_three_methods_is_a_backend():
    backend = Listed()
    spine = Spine([chain(5)], backend)
    backend.then = spine.stop
    stats = run(spine.run(Event("STEP", {"n": 0})))
    assert stats == SpineStats(events_processed=6, events_emitted=5)
    assert [event.payload["n"] for event in backend.acked] == list(range(6))
    assert all(0 < timeout <= 1 for timeout in backend.asked)


@pytest.mark.parametrize("method", ["enqueue", "pull", "ack"])
def test_a_subclass_that_overrides_one_method_is_honoured(method):
    calls = []

    async def override(self, *args):
        calls.append(args)
        result = await getattr(InMemoryBackend, method)(self, *args)
        if method == "pull" and result is None:
            spine.stop()
        return result

    backend = type("Mine", (InMemoryBackend,), {method: override})()
    last = organ("STEP")(lambda event: spine.stop() if event.payload["n"] == 5 else None)
    spine = Spine([chain(5), last], backend)
    stats = run(spine.run(Event("STEP", {"n": 0})))
    assert stats == SpineStats(events_processed=6, events_emitted=5)
    assert len(calls) >= 6


def test_a_subclass_goes_on_until_stop_even_with_a_start_event():
    class Mine(InMemoryBackend):
        pass

    async def main():
        done = []
        spine = Spine([organ("A")(done.append)], backend := Mine())
        task = asyncio.create_task(spine.run(Event("A")))
        while not done:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert not task.done()
        await backend.enqueue(Event("A"))
        while len(done) < 2:
            await asyncio.sleep(0.001)
        spine.stop()
        assert (await task).events_processed == 2

    run(main())


def test_a_subclass_of_the_spine():
    class Mine(Spine):
        def __init__(self, *organs):
            super().__init__(list(organs), InMemoryBackend())

        async def run(self, start_event=None):
            self.result = await super().run(start_event)
            return self.result

    spine = Mine(chain(3))
    assert run(spine.run(Event("STEP", {"n": 0}))).events_processed == 4
    assert spine.result.events_emitted == 3


def test_an_idle_backend_that_does_not_wait_is_not_asked_without_end():
    class Eager(Listed):
        async def pull(self, timeout):
            self.asked.append(timeout)

    async def main():
        backend = Eager()
        spine = Spine([], backend)
        task = asyncio.create_task(spine.run())
        await asyncio.sleep(0.1)
        spine.stop()
        await task
        return len(backend.asked)

    assert run(main()) < 50


def test_the_timeout_of_handlers_leaves_no_timers_behind():
    """One timer at most waits in the loop, whatever the number of handlers that awaited."""
    async def main():
        loop, most = asyncio.get_running_loop(), 0

        @organ("STEP")
        async def waits(event):
            nonlocal most
            await asyncio.sleep(0)
            most = max(most, len(loop._scheduled))

        await Spine([chain(200), waits], InMemoryBackend()).run(Event("STEP", {"n": 0}))
        return most

    before = 1  # the patience of run() below
    assert run(main()) <= before + 1


def test_init_again_that_starts_a_run():
    """What the run stands on would be gone in its middle."""
    async def main():
        spine, runs = Spine([organ("A")(lambda event: None)], InMemoryBackend()), []

        def organs():
            runs.append(spine.run())
            with pytest.raises(RuntimeError, match=r"__init__\(\) has not returned"):
                runs[0].send(None)
            yield organ("A")(handled.append)

        handled = []
        spine.__init__(organs(), InMemoryBackend())
        assert not spine.running
        assert (await spine.run(Event("A"))).events_processed == len(handled) == 1
        with pytest.raises(TypeError):  # one that fails leaves nothing behind
            spine.__init__(5, InMemoryBackend())
        assert (await spine.run(Event("A"))).events_processed == 1

    run(main())


def test_a_run_that_will_not_end_is_collected(monkeypatch):
    """Its handler goes on after GeneratorExit, and is told to end once and no more."""
    unraisable, told = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(str(args.exc_value)))

    class Stubborn:
        def __await__(self):
            return self

        def __next__(self):
            return None

        def throw(self, error):
            told.append(type(error))

    backend = InMemoryBackend()
    spine = Spine([organ("A")(lambda event: Stubborn())], backend, handler_timeout=None)

    def begin():
        circle = {"run": spine.run(Event("A"))}
        circle["run"].send(None)
        circle["circle"] = circle

    async def main():
        begin()
        assert spine.running
        gc.collect()
        assert not spine.running and backend.qsize() == 1
        by_hand = spine.run()
        by_hand.send(None)
        assert backend.qsize() == 0
        by_hand.__del__()
        assert not spine.running and backend.qsize() == 1
        with pytest.raises(RuntimeError, match="cannot reuse"):
            by_hand.send(None)

    run(main())
    gc.collect()
    assert told == [GeneratorExit] * 2
    assert unraisable == ["coroutine ignored GeneratorExit"] * 2


def test_a_task_that_nobody_keeps_goes_on():
    """A loop refers weakly to its tasks: what may still bring an event keeps the one that waits."""
    async def main():
        handled = asyncio.Event()
        backend = InMemoryBackend()
        spine = Spine([organ("A")(lambda event: handled.set())], backend)
        for _ in range(2):
            asyncio.ensure_future(spine.run())
            await asyncio.sleep(0)
            gc.collect()
            await backend.enqueue(Event("A"))
            await handled.wait()
            handled.clear()
            spine.stop()
            while spine.running:
                await asyncio.sleep(0)

    run(main())


def test_the_finalizer_of_a_run_that_is_busy_does_nothing(monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(str(args.exc_value)))

    async def main():
        handled = []

        @organ("A")
        def ends_its_run(event):
            busy.__del__()
            handled.append(event)

        spine = Spine([ends_its_run], InMemoryBackend())
        busy = spine.run(Event("A"))
        assert (await busy).events_processed == len(handled) == 1

    run(main())
    assert len(unraisable) == 1 and "already" in unraisable[0]
