# SPDX-License-Identifier: Apache-2.0
"""What a Spine does when handlers, backends or stores fail."""

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
from necrostack.backends import InMemoryBackend
from necrostack.backends.inmemory import BackendFullError
from necrostack.core import Event, Organ, Spine
from necrostack.core.spine import (
    BackendUnavailableError,
    EnqueueError,
    EnqueueFailureMode,
    FailedEventStore,
    HandlerFailureMode,
    InMemoryFailedEventStore,
    SpineStats,
)
from station import PATIENCE

FAIL, RETRY, STORE = EnqueueFailureMode.FAIL, EnqueueFailureMode.RETRY, EnqueueFailureMode.STORE


def organ(*types_, name=None):
    def decorate(function):
        made = type("Organ_" + function.__name__, (Organ,), {
            "listens_to": list(types_), "handle": lambda self, event: function(event)})
        return made(name or function.__name__)
    return decorate


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


class Scripted:
    """A backend that pulls what it was given, and fails where it is told to; then stops the spine."""

    def __init__(self, *pulls, enqueue=(), ack=()):
        self.pulls, self.enqueue_faults, self.ack_faults = list(pulls), list(enqueue), list(ack)
        self.enqueued, self.acked, self.tries, self.spine = [], [], [], None

    async def enqueue(self, event):
        self.tries.append(time.monotonic())
        fault = self.enqueue_faults.pop(0) if self.enqueue_faults else None
        if fault:
            raise fault
        self.enqueued.append(event)

    async def pull(self, timeout):
        if not self.pulls:
            self.spine.stop()
            return None
        thing = self.pulls.pop(0)
        if isinstance(thing, BaseException):
            raise thing
        return thing

    async def ack(self, event):
        fault = self.ack_faults.pop(0) if self.ack_faults else None
        if fault:
            raise fault
        self.acked.append(event)


def spine_on(backend, *organs, **settings):
    backend.spine = Spine(list(organs), backend, **settings)
    return backend.spine


# --- handlers -------------------------------------------------------------------------------------


async def generator(event):
    yield Event("B")


async def returns_text(event):
    return "B"


WRONG = {
    "text": lambda event: "B", "number": lambda event: 1, "dict": lambda event: {"event_type": "B"},
    "tuple": lambda event: (Event("B"),), "generator": lambda event: (e for e in [Event("B")]),
    "class": lambda event: Event, "false": lambda event: False,
    "mixed list": lambda event: [Event("B"), "B"], "nested list": lambda event: [[Event("B")]],
    "list with None": lambda event: [Event("B"), None], "async generator": generator,
    "awaited text": returns_text, "coroutine in a list": lambda event: [asyncio.sleep(0)],
    "half made": lambda event: Event.__new__(Event),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_a_handler_that_returns_the_wrong_thing(name):
    seen = []
    spine = Spine([organ("A")(WRONG[name]), organ("A", "B")(seen.append)], InMemoryBackend(),
                  handler_failure_mode=HandlerFailureMode.STORE)
    stats = run(spine.run(event := Event("A")))
    assert stats == SpineStats(events_processed=1, handler_errors=1)
    assert seen == [event]
    (failed, error), = spine.failed_event_store.get_all()
    assert failed is event and isinstance(error, TypeError)
    assert "expected Event, list of Events or None" in str(error)


def raises(error):
    def sync(event):
        raise error
    return sync


def raises_later(error):
    async def later(event):
        await asyncio.sleep(0)
        raise error
    return later


@pytest.mark.parametrize("make", [raises, raises_later])
def test_log_acknowledges_what_failed(make):
    backend = Scripted(event := Event("A"))
    spine = spine_on(backend, organ("A")(make(KeyError("x"))), organ("A")(lambda e: Event("B")))
    assert run(spine.run()) == SpineStats(events_processed=1, events_emitted=1, handler_errors=1)
    assert backend.acked == [event] and len(spine.failed_event_store) == 0


@pytest.mark.parametrize("make", [raises, raises_later])
def test_nack_does_not_acknowledge_and_still_emits(make):
    backend = Scripted(failed := Event("A"), fine := Event("B"))
    spine = spine_on(backend, organ("A")(lambda e: Event("C")), organ("A")(make(KeyError("x"))),
                     organ("A")(lambda e: Event("D")), handler_failure_mode=HandlerFailureMode.NACK)
    assert run(spine.run()) == SpineStats(events_processed=2, events_emitted=2, handler_errors=1)
    assert backend.acked == [fine]
    assert [e.event_type for e in backend.enqueued] == ["C", "D"]


def test_nack_on_the_queue_in_memory_drops_the_event():
    spine = Spine([organ("A")(lambda e: Event("B")), organ("A")(raises(KeyError()))],
                  InMemoryBackend(), handler_failure_mode=HandlerFailureMode.NACK)
    assert run(spine.run(Event("A"))) == SpineStats(
        events_processed=2, events_emitted=1, handler_errors=1)


@pytest.mark.parametrize("make", [raises, raises_later])
def test_store_keeps_event_and_error_and_acknowledges(make):
    backend, error = Scripted(event := Event("A")), KeyError("x")
    spine = spine_on(backend, organ("A")(make(error)), organ("A")(make(error)),
                     handler_failure_mode="store")
    run(spine.run())
    assert spine.failed_event_store.get_all() == [(event, error)] * 2
    assert error.__traceback__ is not None
    assert backend.acked == [event]


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, Interrupt,
                                   GeneratorExit])
@pytest.mark.parametrize("make", [raises, raises_later])
def test_what_is_no_exception_ends_the_run_and_the_event_stays(make, error):
    async def main():
        backend, event = InMemoryBackend(), Event("A")
        await backend.enqueue(event)
        spine = Spine([organ("A")(lambda e: Event("B")), organ("A")(make(error()))], backend,
                      handler_failure_mode=HandlerFailureMode.STORE)
        try:
            await spine.run()
        except error:
            pass
        else:
            raise AssertionError("nothing came through")
        assert backend.qsize() == 1 and await backend.pull() is event
        assert len(spine.failed_event_store) == 0 and not spine.running

    run(main())


def test_stop_iteration_from_a_handler_is_a_failure_like_others():
    stats = run(Spine([organ("A")(raises(StopIteration(3))),
                       organ("A")(raises(StopAsyncIteration()))], InMemoryBackend()).run(Event("A")))
    assert stats.handler_errors == 2


# --- handler_timeout ----------------------------------------------------------------------------------


def timed(handler, timeout=0.05):
    async def main():
        spine = Spine([organ("A", name="slow")(handler), organ("A")(lambda e: Event("NEXT"))],
                      InMemoryBackend(), handler_timeout=timeout,
                      handler_failure_mode=HandlerFailureMode.STORE)
        stats = await spine.run(Event("A"))
        await asyncio.sleep(0)  # were the task still to be cancelled, it would be here
        return stats, [error for _, error in spine.failed_event_store.get_all()]

    begun = time.monotonic()
    stats, errors = run(main())
    assert time.monotonic() - begun < 30
    return stats, errors


def expect_timeout(handler):
    stats, errors = timed(handler)
    assert stats == SpineStats(events_processed=2, events_emitted=1, handler_errors=1)
    assert type(errors[0]) is TimeoutError
    assert str(errors[0]) == "handler slow exceeded handler_timeout (50 ms)"


def test_a_handler_that_awaits_too_long_is_cancelled():
    cancelled = []

    async def slow(event):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    expect_timeout(slow)
    assert len(cancelled) == 1


def test_past_its_time_a_handler_has_failed_whatever_it_returns():
    async def stubborn(event):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return Event("NEVER")

    async def another_error(event):
        try:
            await asyncio.sleep(3600)
        finally:
            raise KeyError("while cleaning up")

    expect_timeout(stubborn)
    expect_timeout(another_error)


def test_a_handler_that_never_awaits_is_interrupted():
    def busy(event):
        while True:
            pass

    expect_timeout(busy)


def test_one_that_awaits_and_then_never_again_is_interrupted():
    async def busy(event):
        await asyncio.sleep(0)
        while True:
            pass

    async def at_once(event):
        while True:
            pass

    expect_timeout(busy)
    expect_timeout(at_once)


def test_one_that_catches_the_interruption_is_interrupted_again():
    def stubborn(event):
        for _ in range(2):
            try:
                while True:
                    pass
            except TimeoutError:
                pass

    expect_timeout(stubborn)


def test_one_that_blocks_in_c_fails_when_it_returns():
    expect_timeout(lambda event: time.sleep(0.2))


def test_a_timeout_that_came_too_late_leaves_nothing_behind():
    """What is traced afterwards runs as ever, and nothing raises what was taken back."""
    code = f"""if True:
        import sys, time
        sys.path[:0] = {sys.path!r}
        from necrostack import Event, InMemoryBackend, Organ, Spine
        import asyncio

        class Slow(Organ):
            listens_to = ["A"]

            def handle(self, event):
                time.sleep(0.1)

        spine = Spine([Slow()], InMemoryBackend(), handler_timeout=0.02)
        stats = asyncio.run(spine.run(Event("A")))
        calls = []
        sys.setprofile(lambda *what: calls.append(what))
        sorted([3, 1, 2], key=lambda n: n)
        sys.setprofile(None)
        print(stats.handler_errors, len(calls) > 3)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.stdout == "1 True\n", done.stderr


def forked(work):
    """The pid of a child that ends with what this returns, 8 for a TimeoutError, 9 for anything else."""
    child = os.fork()
    if child == 0:
        status = 9
        try:
            status = work() or 0
        except TimeoutError:
            status = 8
        finally:
            os._exit(status)
    return child


def end_of(child):
    for _ in range(6000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it hung"


def busy(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_forked_child_interrupts_handlers_too():
    def slow():
        return run(Spine([organ("A")(lambda event: busy(60))], InMemoryBackend(),
                         handler_timeout=0.05).run(Event("A"))).handler_errors

    assert slow() == 1
    assert end_of(forked(slow)) == 1


def test_what_a_handler_forks_is_not_interrupted():
    """Nor by the child's own watchdog: the time of the parent's handler is the parent's."""
    limit = 0.1 * PATIENCE  # a fork takes its time

    def work():
        run(Spine([organ("A")(lambda event: None)], InMemoryBackend(),
                  handler_timeout=60).run(Event("A")))
        busy(2 * limit)

    children = []
    run(Spine([organ("A")(lambda event: children.append(forked(work)))], InMemoryBackend(),
              handler_timeout=limit).run(Event("A")))
    assert end_of(children[0]) == 0


def test_handlers_within_their_time_are_left_alone():
    async def quick(event):
        await asyncio.sleep(0.001)

    for timeout in (5, None):
        assert timed(quick, timeout)[0].handler_errors == 0
        assert timed(lambda event: time.sleep(0.001), timeout)[0].handler_errors == 0


def test_each_handler_has_the_whole_time():
    """Many short ones together may last longer than one may."""
    async def main():
        organs = [organ("A", name=str(n))(lambda e: time.sleep(0.02)) for n in range(10)]
        return await Spine(organs, InMemoryBackend(), handler_timeout=0.15).run(Event("A"))

    # On a busy machine a short sleep may be a long one, but not each time.
    assert any(run(main()).handler_errors == 0 for _ in range(10))


def test_a_cancellation_by_somebody_else_wins():
    async def main():
        entered = asyncio.Event()

        @organ("A")
        async def slow(event):
            entered.set()
            try:
                await asyncio.sleep(3600)
            finally:
                task.cancel()

        backend = InMemoryBackend()
        spine = Spine([slow], backend, handler_timeout=0.02)
        task = asyncio.create_task(spine.run(Event("A")))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.qsize() == 1

    run(main())


def test_the_other_tasks_are_not_interrupted():
    """What runs after an interrupted handler sees nothing of it."""
    def busy(event):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pass

    async def main():
        spine = Spine([organ("A")(busy)], InMemoryBackend(), handler_timeout=0.01)
        for _ in range(5):
            assert (await spine.run(Event("A"))).handler_errors == 1
            sum(range(1000))
            await asyncio.sleep(0)

    run(main())


# --- enqueueing ---------------------------------------------------------------------------------------


def emits(count, kind="B"):
    return organ("A")(lambda event: [Event(kind, {"n": n}) for n in range(count)])


def test_fail_raises_and_leaves_the_event():
    async def main():
        backend, event = InMemoryBackend(max_size=2), Event("A")
        await backend.enqueue(event)
        spine = Spine([emits(3)], backend, enqueue_failure_mode=FAIL)
        with pytest.raises(EnqueueError) as caught:
            await spine.run()
        assert isinstance(caught.value.original, BackendFullError)
        assert caught.value.__cause__ is caught.value.original
        assert "Queue full (max_size=2)" in str(caught.value)
        assert caught.value.event.event_type == "B"
        assert spine.get_stats().enqueue_failures == 3
        assert backend.qsize() == 1 and await backend.pull() is event  # all or nothing

    run(main())


def test_store_keeps_what_does_not_fit_and_goes_on():
    async def main():
        seen = []
        backend = InMemoryBackend(max_size=2)
        spine = Spine([emits(5), organ("B")(seen.append)], backend)
        stats = await spine.run(Event("A"))
        assert stats == SpineStats(events_processed=3, events_emitted=2, enqueue_failures=3)
        assert [e.payload["n"] for e in seen] == [0, 1]
        failed = spine.failed_event_store.get_all()
        assert [e.payload["n"] for e, _ in failed] == [2, 3, 4]
        assert {str(error) for _, error in failed} == {
            "Queue full (max_size=2), cannot enqueue event"}
        assert spine.failed_event_store.get_failed_events() == failed
        assert spine.get_enqueue_failure_count() == 3
        assert spine.get_enqueue_failure_count("B") == 3
        assert spine.get_enqueue_failure_count(event_type="A") == 0

    run(main())


@pytest.mark.parametrize("count", [1, 2])
def test_store_on_a_queue_without_room(count):
    async def main():
        backend = InMemoryBackend(max_size=1)
        spine = Spine([emits(count), organ("STAY")(lambda e: None)], backend)

        @organ("A")
        async def fills(event):
            await backend.enqueue(Event("STAY"))

        spine = Spine([emits(count), fills], backend)
        assert await spine.run(Event("A")) == SpineStats(events_processed=2, enqueue_failures=count)
        assert len(spine.failed_event_store) == count

    run(main())


def test_retry_waits_longer_each_time():
    backend = Scripted(Event("A"), enqueue=[OSError(str(n)) for n in range(3)])
    spine = spine_on(backend, emits(1), enqueue_failure_mode=RETRY, retry_base_delay=0.02)
    assert run(spine.run()) == SpineStats(events_processed=1, events_emitted=1)
    gaps = [b - a for a, b in zip(backend.tries, backend.tries[1:])]
    assert len(gaps) == 3 and all(gap >= 0.019 * 2**n for n, gap in enumerate(gaps))


def test_retry_gives_up_after_its_attempts():
    faults = [OSError(str(n)) for n in range(9)]
    backend = Scripted(event := Event("A"), enqueue=list(faults))
    spine = spine_on(backend, emits(1), enqueue_failure_mode=RETRY, retry_base_delay=0.001,
                     retry_attempts=2)
    with pytest.raises(EnqueueError) as caught:
        run(spine.run())
    assert caught.value.original is faults[2]
    assert len(backend.tries) == 3 and backend.acked == []
    assert spine.get_enqueue_failure_count("B") == spine.get_stats().enqueue_failures == 1
    none = Scripted(event, enqueue=[OSError()])
    with pytest.raises(EnqueueError):
        run(spine_on(none, emits(1), enqueue_failure_mode=RETRY, retry_attempts=0).run())


def test_retry_on_the_queue_in_memory():
    """All of the events or none, tried again until somebody has made room."""
    async def main():
        backend = InMemoryBackend(max_size=2)
        await backend.enqueue(Event("A"))
        await backend.enqueue(Event("STAY"))
        tries = Spine([emits(2)], backend, enqueue_failure_mode=RETRY, retry_base_delay=0.005,
                      retry_attempts=30)
        task = asyncio.create_task(tries.run())
        while not tries.running or backend.qsize() == 2:
            await asyncio.sleep(0)
        assert (await backend.pull()).event_type == "STAY"
        while backend.qsize() < 2 and not tries.get_stats().events_emitted:
            await asyncio.sleep(0.001)
        tries.stop()
        stats = await task
        assert stats.events_emitted == 2 and stats.enqueue_failures == 0

    run(main())


@pytest.mark.parametrize("mode", [FAIL, RETRY])
def test_a_start_event_that_is_not_taken(mode):
    backend = Scripted(enqueue=[OSError("down")] * 9)
    spine = spine_on(backend, enqueue_failure_mode=mode, retry_base_delay=0)
    with pytest.raises(EnqueueError, match="down"):
        run(spine.run(Event("A")))
    assert not spine.running


def test_a_start_event_that_is_stored():
    backend = Scripted(enqueue=[OSError("down")])
    spine = spine_on(backend)
    assert run(spine.run(event := Event("A"))) == SpineStats(enqueue_failures=1)
    assert spine.failed_event_store.get_all()[0][0] is event


def test_errors_pickle_and_say_what_happened():
    event = Event("A")
    for error in (EnqueueError(event, OSError("down")),
                  BackendUnavailableError(3, ConnectionError("gone"))):
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
    assert (again.failure_count, str(again.last_error)) == (3, "gone")
    assert str(error) == "Backend unavailable after 3 consecutive failures: ConnectionError: gone"


# --- pulling and acknowledging ----------------------------------------------------------------------------


def test_the_circuit_breaker():
    faults = [ConnectionError(str(n)) for n in range(5)]
    backend = Scripted(*faults)
    spine = spine_on(backend, max_consecutive_backend_failures=3)
    with pytest.raises(BackendUnavailableError) as caught:
        run(spine.run())
    assert caught.value.failure_count == 3
    assert caught.value.last_error is faults[2] and caught.value.__cause__ is faults[2]
    assert spine.get_stats().backend_errors == 3
    assert not spine.running


def test_only_failures_in_a_row_count():
    backend = Scripted(OSError(), OSError(), Event("A"), OSError(), OSError())
    spine = spine_on(backend, max_consecutive_backend_failures=3)
    assert run(spine.run()) == SpineStats(events_processed=1, backend_errors=4)


@pytest.mark.parametrize("fault", ["text", 3, [Event("A")], Event, False, asyncio.TimeoutError])
def test_what_a_pull_may_not_give_is_a_failed_pull(fault):
    backend = Scripted(fault() if fault is asyncio.TimeoutError else fault)
    spine = spine_on(backend, max_consecutive_backend_failures=1)
    with pytest.raises(BackendUnavailableError) as caught:
        run(spine.run())
    assert isinstance(caught.value.last_error, (TypeError, asyncio.TimeoutError))


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupt])
def test_what_is_no_exception_comes_through_a_pull(error):
    spine = spine_on(Scripted(error()))
    with pytest.raises(error):
        asyncio.run(spine.run())
    assert not spine.running


def test_stop_does_not_wait_for_the_break_after_a_failed_pull():
    async def main():
        backend = Scripted(*[OSError()] * 9)
        spine = spine_on(backend)
        task = asyncio.create_task(spine.run())
        while spine.get_stats().backend_errors < 5:
            await asyncio.sleep(0.001)
        spine.stop()
        await task

    run(main())


def test_an_acknowledgement_that_fails_is_counted_and_the_next_event_handled(caplog):
    backend = Scripted(Event("A"), fine := Event("A"), ack=[OSError("down")])
    spine = spine_on(backend, organ("A")(lambda e: None))
    assert run(spine.run()) == SpineStats(events_processed=2, ack_errors=1)
    assert backend.acked == [fine]
    assert "Failed to acknowledge A: down" in caplog.text


def test_a_pull_that_never_ends_does_not_keep_stop():
    class Endless(Scripted):
        async def pull(self, timeout):
            await asyncio.sleep(3600)

    async def main():
        spine = spine_on(Endless())
        task = asyncio.create_task(spine.run())
        await asyncio.sleep(0.01)
        spine.stop()
        assert await task == SpineStats()

    begun = time.monotonic()
    run(main())
    assert time.monotonic() - begun < 30


def test_methods_that_are_not_async_are_taken_at_their_word():
    class Plain:
        def __init__(self):
            self.events, self.acked = [], []

        def enqueue(self, event):
            self.events.append(event)

        def pull(self, timeout):
            if self.events:
                return self.events.pop(0)
            self.spine.stop()

        def ack(self, event):
            self.acked.append(event)

    backend = Plain()
    spine = spine_on(backend, emits(2))
    assert run(spine.run(Event("A"))).events_processed == 3
    assert len(backend.acked) == 3


# --- stores -------------------------------------------------------------------------------------------------


def test_the_store_is_bounded_and_drops_the_oldest():
    async def main():
        store, error = InMemoryFailedEventStore(), OSError("x")
        assert store.max_size == 10_000 and isinstance(store, FailedEventStore)
        for n in range(10_005):
            await store.store(Event("A", {"n": n}), error)
        assert len(store) == 10_000 and store.dropped_count == 5
        kept = [event.payload["n"] for event, _ in store.get_all()]
        assert kept == list(range(5, 10_005))
        copy = store.get_all()
        copy.clear()
        assert len(store) == 10_000
        store.clear()
        assert len(store) == 0 and store.get_all() == [] and store.dropped_count == 5
        await store.store(event=Event("B"), error=error)
        assert [e.event_type for e, _ in store.get_failed_events()] == ["B"]

    run(main())
    with pytest.raises(ValueError):
        InMemoryFailedEventStore(max_size=0)


class Kept:
    def __init__(self, fault=None):
        self.kept, self.fault = [], fault

    async def store(self, event, error):
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.kept.append((event, error))


def test_a_store_of_ones_own():
    store, error = Kept(), KeyError("x")
    backend = Scripted(event := Event("A"), enqueue=[down := OSError("down")])
    spine = spine_on(backend, organ("A")(raises(error)), emits(2), failed_event_store=store,
                     handler_failure_mode=HandlerFailureMode.STORE)
    assert spine.failed_event_store is store
    run(spine.run())
    assert store.kept[0] == (event, error)
    assert store.kept[1][0].payload == {"n": 0} and store.kept[1][1] is down
    assert backend.acked == [event] and len(backend.enqueued) == 1


def test_a_subclass_of_the_store_is_honoured():
    class Mine(InMemoryFailedEventStore):
        async def store(self, event, error):
            await super().store(event, ValueError("mine"))

    spine = Spine([organ("A")(raises(KeyError()))], InMemoryBackend(), failed_event_store=Mine(),
                  handler_failure_mode=HandlerFailureMode.STORE)
    run(spine.run(Event("A")))
    assert str(spine.failed_event_store.get_all()[0][1]) == "mine"


def test_what_a_store_does_not_take_is_not_acknowledged(caplog):
    for faults in ({}, {"enqueue": [OSError("down")]}):
        backend = Scripted(Event("A"), **faults)
        handler = emits(1) if faults else organ("A")(raises(KeyError()))
        spine = spine_on(backend, handler, failed_event_store=Kept(OSError("disk full")),
                         handler_failure_mode=HandlerFailureMode.STORE)
        run(spine.run())
        assert backend.acked == []
        assert "Failed event store raised exception: disk full" in caplog.text
        caplog.clear()
    spine = spine_on(Scripted(enqueue=[OSError("down")]), failed_event_store=Kept(OSError("full")))
    with pytest.raises(OSError, match="full"):
        run(spine.run(Event("A")))


def test_nothing_is_left_behind_by_failures(caplog):
    caplog.set_level("CRITICAL", logger="necrostack.spine")  # its records keep the errors

    class Note(Event):
        pass

    async def main():
        spine = Spine([organ("A")(raises(KeyError("x"))), organ("A")(lambda e: "wrong")],
                      InMemoryBackend())
        for _ in range(20):
            await spine.run(Note("A"))

    run(main())
    gc.collect()
    assert not any(isinstance(thing, Note) for thing in gc.get_objects())
