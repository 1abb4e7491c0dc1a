# SPDX-License-Identifier: Apache-2.0
"""Spine and RedisBackend together: chains, failures, redelivery, stopping."""

import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import time

import pytest
from necrostack.backends import RedisBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.spine import (
    BackendUnavailableError,
    EnqueueError,
    EnqueueFailureMode,
    HandlerFailureMode,
)
from redis_help import STREAM, go, pending
from station import LONG, PATIENCE, wait_until

IDLE = 60  # ms until somebody else may take a delivery over
DLQ = STREAM + ":dlq"


def backend_of(server, **kw):
    return RedisBackend(server.url, **{"claim_min_idle_ms": 60000, **kw})


def organ(types, handle):
    """An organ that handles as the function says."""

    class Made(Organ):
        listens_to = types

        def handle(self, event):
            return handle(event)

    return Made(handle.__name__)


@contextlib.asynccontextmanager
async def running(spine, start=None):
    task = asyncio.ensure_future(spine.run(start))
    try:
        yield task
    finally:
        spine.stop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition, timeout=20.0):
    """The loop goes on meanwhile."""
    end = asyncio.get_running_loop().time() + timeout * PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < end, "not in time"
        await asyncio.sleep(0.002)


def dead(redis):
    return [json.loads(fields["event"])["payload"] for _, fields in redis.client.xrange(DLQ)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_chain(redis, kind):
    seen = []

    def step(event):
        seen.append(event.payload["n"])
        return Event("STEP", {"n": event.payload["n"] + 1}) if event.payload["n"] < 200 else None

    class Async(Organ):
        listens_to = ["STEP"]

        async def handle(self, event):
            if event.payload["n"] % 50 == 0:
                await asyncio.sleep(0)
            return step(event)

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["STEP"], step) if kind == "sync" else Async()], backend)
            async with running(spine, Event("STEP", {"n": 0})) as task:
                await until(lambda: len(seen) > 200)
                spine.stop()
                stats = await task
            assert seen == list(range(201))
            assert stats.events_processed == 201
            assert backend.metrics.events_acked == 201
            assert redis.client.xlen(STREAM) == 201 and pending(redis) == 0

    go(main())


def test_run_waits_for_others_events_until_stop(redis):
    seen = []

    def take(event):
        seen.append(event.payload["n"])

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], take)], backend)
            async with running(spine) as task:
                for n in range(3):
                    redis.client.xadd(STREAM, {"event": Event("A", {"n": n}).model_dump_json()})
                    await until(lambda n=n: len(seen) == n + 1)
                assert not task.done()
                spine.stop()
                assert (await task).events_processed == 3
            assert pending(redis) == 0

    go(main())


def test_a_task_that_nobody_keeps_goes_on(redis):
    """Also when nobody keeps Spine and backend: the loop watches their connection."""
    seen = []

    def begin():
        backend = backend_of(redis)
        spine = Spine([organ(["A"], lambda event: seen.append(event) or spine.stop())], backend)
        asyncio.ensure_future(spine.run())

    async def main():
        others = asyncio.all_tasks()
        begin()
        await until(lambda: redis.client.exists(STREAM))
        await until(lambda: any("b" in client["flags"] for client in redis.client.client_list()))
        gc.collect()
        redis.client.xadd(STREAM, {"event": Event("A").model_dump_json()})
        await until(lambda: seen)
        await until(lambda: asyncio.all_tasks() == others)

    go(main())


def test_start_event_goes_through_the_stream(redis):
    seen = []

    def take(event):
        seen.append(event)

    async def main():
        async with backend_of(redis) as backend:
            start = Event("A", {"n": 1})
            async with running(Spine([organ(["A"], take)], backend), start):
                await until(lambda: seen)
            assert seen == [start]

    go(main())
    assert redis.client.xlen(STREAM) == 1


def test_fan_out_to_many(redis):
    seen = []

    def many(event):
        return [Event("LEAF", {"n": n}) for n in range(1000)]

    def leaf(event):
        seen.append(event.payload["n"])

    async def main():
        async with backend_of(redis) as backend:
            async with running(Spine([organ(["ROOT"], many), organ(["LEAF"], leaf)], backend), Event("ROOT")):
                await until(lambda: len(seen) == 1000)
            await until(lambda: pending(redis) == 0)
            assert seen == list(range(1000))

    go(main())


def test_nack_comes_again_and_then_to_the_dead_letters(redis):
    seen = []

    def fails(event):
        seen.append(event.payload["n"])
        if event.payload["n"] == 1:
            raise ValueError("never")

    async def main():
        async with backend_of(redis, max_retries=3, claim_min_idle_ms=IDLE) as backend:
            spine = Spine([organ(["A"], fails)], backend, handler_failure_mode=HandlerFailureMode.NACK)
            async with running(spine):
                for n in range(3):
                    await backend.enqueue(Event("A", {"n": n}))
                await until(lambda: dead(redis) == [{"n": 1}])
                await until(lambda: pending(redis) == 0)
                # A busy machine may take longer than IDLE for one that succeeds, too.
                assert set(seen) == {0, 1, 2} and seen.count(1) == 3
                assert spine.get_stats().handler_errors == 3

    go(main())


@pytest.mark.parametrize("mode, stored", [(HandlerFailureMode.LOG, 0), (HandlerFailureMode.STORE, 1)])
def test_other_failure_modes_acknowledge(redis, mode, stored):
    def fails(event):
        raise ValueError("never")

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], fails)], backend, handler_failure_mode=mode)
            async with running(spine, Event("A")):
                await until(lambda: spine.get_stats().handler_errors == 1)
                await until(lambda: backend.metrics.events_acked == 1)
            assert len(spine.failed_event_store.get_all()) == stored
            assert pending(redis) == 0 and not redis.client.exists(DLQ)

    go(main())


def test_a_payload_that_was_spoilt_later_is_its_handlers_failure(redis):
    """And names the place, whatever is done with events that find no room."""

    def emits(event):
        spoilt = Event("B")
        spoilt.payload["when"] = spoilt.timestamp
        return [Event("B"), spoilt]

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], emits)], backend, enqueue_failure_mode=EnqueueFailureMode.FAIL,
                          handler_failure_mode=HandlerFailureMode.STORE)
            async with running(spine, Event("A")):
                await until(lambda: backend.metrics.events_acked == 1)
            [(event, error)] = spine.failed_event_store.get_all()
            assert event.event_type == "A" and error.errors()[0]["loc"] == ("payload", "when")
            assert redis.client.xlen(STREAM) == 1

    go(main())


def test_a_list_that_changes_while_it_is_looked_at(redis):
    """Whose payload has become something with code of its own, which runs when it is written."""

    class Clears(dict):
        def __iter__(self):  # with it keys() is asked
            return iter([])

        def keys(self):
            emitted.clear()
            return []

    emitted = [Event("B", {"n": n}) for n in range(3)]
    emitted[0].payload["odd"] = Clears(a=1)

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], lambda event: emitted)], backend)
            async with running(spine, Event("A")):
                await until(lambda: backend.metrics.events_acked == 4)
            assert not emitted and spine.get_stats().events_emitted == 3

    go(main())


def test_two_spines_share_the_work(redis):
    seen = {"one": [], "two": []}

    async def main():
        async with backend_of(redis, consumer_name="one") as one:
            async with backend_of(redis, consumer_name="two") as two:

                def worker(name):
                    class Worker(Organ):
                        listens_to = ["JOB"]

                        async def handle(self, event):
                            seen[name].append(event.payload["n"])
                            await asyncio.sleep(0)

                    return Worker()

                for n in range(600):
                    redis.client.xadd(STREAM, {"event": Event("JOB", {"n": n}).model_dump_json()})
                async with running(Spine([worker("one")], one)), running(Spine([worker("two")], two)):
                    await until(lambda: len(seen["one"]) + len(seen["two"]) == 600)
                    await until(lambda: pending(redis) == 0)
        assert sorted(seen["one"] + seen["two"]) == list(range(600))
        assert seen["one"] and seen["two"]

    go(main())


def test_emits_and_acknowledgement_are_one(redis):
    """With no room for what it emits, an event is not acknowledged either; with room it comes again."""
    seen = []

    def emits(event):
        seen.append(event.event_type)
        return Event("B")

    async def main():
        async with backend_of(redis, max_retries=100, claim_min_idle_ms=IDLE) as backend:
            assert await backend.pull(timeout=0) is None  # makes the group, which takes memory
            await backend.enqueue(Event("A"))
            redis.config(maxmemory=1, maxmemory_policy="noeviction")
            spine = Spine([organ(["A"], emits)], backend, enqueue_failure_mode=EnqueueFailureMode.FAIL)
            with pytest.raises(EnqueueError) as caught:
                await spine.run()
            assert "OOM" in str(caught.value) + str(caught.value.original)
            assert pending(redis) == 1
            redis.config(maxmemory=0)
            async with running(Spine([organ(["A"], emits)], backend)):
                await until(lambda: redis.client.xlen(STREAM) == 2)
                await until(lambda: pending(redis) == 0)
            assert len(seen) >= 2

    go(main())


@pytest.mark.parametrize("awaits", [False, True])
def test_cancelled_in_the_middle(redis, awaits):
    """What was being handled is not acknowledged and comes again; nothing else is lost."""
    seen = []

    class Slow(Organ):
        listens_to = ["A"]

        async def handle(self, event):
            seen.append(event.payload["n"])
            if event.payload["n"] == 5 and seen.count(5) == 1:
                hanging.set()
                await asyncio.sleep(60)
            if awaits:
                await asyncio.sleep(0)

    async def main():
        nonlocal hanging
        hanging = asyncio.Event()
        async with backend_of(redis) as backend:
            for n in range(10):
                await backend.enqueue(Event("A", {"n": n}))
            task = asyncio.ensure_future(Spine([Slow()], backend).run())
            await hanging.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with running(Spine([Slow()], backend)):
                await until(lambda: len(set(seen)) == 10 and seen.count(5) == 2)
                await until(lambda: pending(redis) == 0)
            assert sorted(seen) == sorted([*range(10), 5])

    hanging = None
    go(main())


def test_stop_from_a_handler_settles_what_was_handled(redis):
    seen = []

    def take(event):
        seen.append(event.payload["n"])
        if event.payload["n"] == 2:
            spine.stop()

    async def main():
        nonlocal spine
        async with backend_of(redis, claim_min_idle_ms=60000, consumer_name="first") as backend:
            for n in range(6):
                await backend.enqueue(Event("A", {"n": n}))
            spine = Spine([organ(["A"], take)], backend)
            assert (await spine.run()).events_processed == 3
        async with backend_of(redis, claim_min_idle_ms=60000, consumer_name="second") as backend:
            spine = Spine([organ(["A"], take)], backend)
            async with running(spine):
                await until(lambda: len(seen) == 6)
                await until(lambda: pending(redis) == 0)
        assert seen[:3] == [0, 1, 2]
        assert sorted(seen) == list(range(6))  # what was read ahead comes when it is found again

    spine = None
    go(main())


def test_the_loop_gets_its_turn_while_events_flow(redis):
    """Other tasks run at least every 10 ms or so."""
    stop = False

    def again(event):
        return None if stop else Event("A")

    async def main():
        nonlocal stop
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], again)], backend, max_steps=10**9)
            async with running(spine, Event("A")):
                await until(lambda: spine.get_stats().events_processed > 100)
                turns, end = 0, time.thread_time() + 0.2  # not of the clock: a busy machine leaves less
                while time.thread_time() < end:
                    await asyncio.sleep(0)
                    turns += 1
                stop = True
            assert turns >= 5

    go(main())


@pytest.mark.parametrize("how", ["kill", "cut"])
def test_work_goes_on_after_a_fault(redis, how):
    """The Spine notices nothing but a pause; nothing is lost, nothing acknowledged comes again."""
    redis.config(appendfsync="always", appendonly="yes")
    seen = []

    def take(event):
        seen.append(event.payload["n"])
        return Event("NEXT", {"n": event.payload["n"]})

    def following(event):
        done.append(event.payload["n"])

    done = []

    async def main():
        async with backend_of(redis, max_retries=100, claim_min_idle_ms=IDLE) as backend:
            spine = Spine([organ(["A"], take), organ(["NEXT"], following)], backend, max_steps=10**9)
            async with running(spine) as task:
                for n in range(300):
                    redis.client.xadd(STREAM, {"event": Event("A", {"n": n}).model_dump_json()})
                await until(lambda: len(seen) >= 20)
                if how == "kill":
                    await asyncio.get_running_loop().run_in_executor(None, redis.restart)
                else:
                    redis.client.client_kill_filter(_type="normal", skipme=True)
                await until(lambda: set(done) == set(range(300)))
                await until(lambda: pending(redis) == 0)
                assert not task.done()
            assert backend.metrics.reconnections >= 1

    go(main())


def test_a_subclass_is_driven_through_its_methods(redis):
    calls = []

    class Counting(RedisBackend):
        async def enqueue(self, event):
            calls.append("enqueue")
            await super().enqueue(event)

        async def pull(self, timeout=None):
            event = await super().pull(timeout)
            calls.append("pull")
            return event

        async def ack(self, event):
            calls.append("ack")
            await super().ack(event)

    seen = []

    def take(event):
        seen.append(event.event_type)
        return Event("B") if event.event_type == "A" else None

    async def main():
        async with Counting(redis.url) as backend:
            spine = Spine([organ(["A", "B"], take)], backend)
            async with running(spine, Event("A")):
                await until(lambda: calls.count("ack") == 2)
            assert seen == ["A", "B"] and calls.count("enqueue") == 2
            assert pending(redis) == 0

    go(main())


def test_settled_in_the_order_of_the_events_when_it_ends(redis):
    """run() does not return before its acknowledgements are in Redis."""

    def take(event):
        if event.payload["n"] == 99:
            spine.stop()

    async def main():
        nonlocal spine
        async with backend_of(redis) as backend:
            for n in range(100):
                await backend.enqueue(Event("A", {"n": n}))
            spine = Spine([organ(["A"], take)], backend)
            await spine.run()
            assert pending(redis) == 0

    spine = None
    go(main())
    wait_until(lambda: redis.client.xinfo_groups(STREAM)[0]["pending"] == 0)


def test_stopped_and_closed_at_once(redis):
    """Closing the backend of a Spine that was told to stop is no failure of its."""

    async def main():
        async with backend_of(redis) as backend:
            spine = Spine([organ(["A"], lambda event: None)], backend)
            working = asyncio.ensure_future(spine.run(Event("A")))
            await until(lambda: backend.metrics.events_acked == 1)
            spine.stop()
        stats = await working
        assert stats.events_processed == 1 and stats.backend_errors == 0

    go(main())


# -- faults ----------------------------------------------------------------------------------------


def test_a_server_that_stays_away_opens_the_circuit(redis):
    async def main():
        async with backend_of(redis, timeout=0.2) as backend:
            spine = Spine([organ(["A"], print)], backend, max_consecutive_backend_failures=3)
            task = asyncio.ensure_future(spine.run())
            await until(lambda: redis.client.exists(STREAM))
            redis.kill()
            with pytest.raises(BackendUnavailableError) as caught:
                await task
            assert spine.get_stats().backend_errors == 3
            assert caught.value.failure_count == 3
            assert isinstance(caught.value.last_error, ConnectionError)
            assert "refused" in str(caught.value.last_error)

    go(main())


def test_a_wrong_password_opens_the_circuit(redis):
    async def main():
        url = redis.url_as(user="nobody", password="hush")
        async with RedisBackend(url) as backend:
            spine = Spine([organ(["A"], print)], backend, max_consecutive_backend_failures=2)
            with pytest.raises(BackendUnavailableError) as caught:
                await spine.run()
            assert isinstance(caught.value.last_error, PermissionError)
            assert "hush" not in str(caught.value) + repr(caught.value.last_error)

    go(main())


@pytest.mark.parametrize("fault", ["flush", "freeze", "group"])
def test_work_resumes_by_itself(redis, fault):
    seen = []

    def take(event):
        seen.append(event.payload["n"])

    def add(n):
        redis.client.xadd(STREAM, {"event": Event("A", {"n": n}).model_dump_json()})

    async def main():
        async with backend_of(redis, timeout=0.1, max_retries=100, claim_min_idle_ms=IDLE) as backend:
            spine = Spine([organ(["A"], take)], backend, max_consecutive_backend_failures=1000)
            async with running(spine):
                add(0)
                await until(lambda: 0 in seen)
                if fault == "flush":
                    redis.client.flushall()
                elif fault == "group":
                    redis.client.xgroup_destroy(STREAM, "necrostack")
                else:
                    redis.freeze()
                    await asyncio.sleep(0.15)
                    redis.thaw()
                add(1)
                await until(lambda: 1 in seen)
                await until(lambda: pending(redis) == 0)

    go(main())


def test_what_finds_no_room_is_stored(redis):
    def emits(event):
        return [Event("B", {"n": n}) for n in range(3)]

    async def main():
        async with backend_of(redis) as backend:
            assert await backend.pull(timeout=0) is None
            await backend.enqueue(Event("A"))
            redis.config(maxmemory=1, maxmemory_policy="noeviction")
            spine = Spine([organ(["A"], emits)], backend, enqueue_failure_mode=EnqueueFailureMode.STORE)
            async with running(spine):
                await until(lambda: pending(redis) == 0 and len(spine.failed_event_store.get_all()) == 3)
                assert spine.get_enqueue_failure_count("B") == 3
                assert all("OOM" in str(error) for _, error in spine.failed_event_store.get_all())
            redis.config(maxmemory=0)

    go(main())


def test_what_finds_no_room_is_tried_again(redis):
    seen = []

    def handle(event):
        seen.append(event.event_type)
        return Event("B") if event.event_type == "A" else None

    async def main():
        async with backend_of(redis) as backend:
            assert await backend.pull(timeout=0) is None
            await backend.enqueue(Event("A"))
            redis.config(maxmemory=1, maxmemory_policy="noeviction")
            spine = Spine([organ(["A", "B"], handle)], backend, retry_attempts=1000, retry_base_delay=0.001,
                          enqueue_failure_mode=EnqueueFailureMode.RETRY)
            async with running(spine):
                await until(lambda: seen == ["A"])
                await asyncio.sleep(0.02)
                redis.config(maxmemory=0)
                await until(lambda: seen == ["A", "B"])
                await until(lambda: pending(redis) == 0)
            assert redis.client.xlen(STREAM) == 2

    go(main())


# -- workers that die ------------------------------------------------------------------------------

WORKER = """
import asyncio, os, sys
from necrostack import Event, Organ, RedisBackend, Spine

class Work(Organ):
    listens_to = ["JOB"]

    def handle(self, event):
        os.write(1, b"%d\\n" % event.payload["n"])
        if event.payload.get("poison"):
            os.kill(os.getpid(), 9)

async def main(url, retries):
    backend = RedisBackend(url, claim_min_idle_ms={idle}, max_retries=int(retries))
    await Spine([Work()], backend).run()

asyncio.run(main(*sys.argv[1:]))
""".replace("{idle}", str(IDLE))


def worker(redis, out, retries):
    with open(out, "ab") as log:
        return subprocess.Popen([sys.executable, "-c", WORKER, redis.url, str(retries)], stdout=log)


def handled(out):
    return [int(line) for line in out.read_bytes().split(b"\n")[:-1]]


def state(redis, out):
    left = redis.client.xpending_range(STREAM, "necrostack", "-", "+", 1000)
    return f"handled {handled(out)}, dead {dead(redis)}, pending {left}"


@pytest.mark.parametrize("retries", [1, 2])
def test_a_job_that_kills_its_workers_is_tried_exactly_so_often(redis, tmp_path, retries):
    """Though many jobs were read along with it, none of them is buried untried."""
    out = tmp_path / "handled"
    for n in range(60):
        job = Event("JOB", {"n": n, "poison": n == 20})
        redis.client.xadd(STREAM, {"event": job.model_dump_json()})
    for _ in range(retries):
        assert worker(redis, out, retries).wait(60 * PATIENCE) == -signal.SIGKILL
    last = worker(redis, out, retries)
    try:
        wait_until(lambda: dead(redis) and pending(redis) == 0 and set(handled(out)) == set(range(60)),
                   what=lambda: state(redis, out))
    finally:
        last.kill()
        last.wait()
    assert [payload["n"] for payload in dead(redis)] == [20]
    assert handled(out).count(20) == retries


def test_workers_killed_at_any_moment(redis, tmp_path):
    """No job is lost, whatever the moment; the others take over."""
    out, count = tmp_path / "handled", 3000 if LONG else 600
    for n in range(count):
        redis.client.xadd(STREAM, {"event": Event("JOB", {"n": n}).model_dump_json()})
    workers = []
    try:
        for goal in range(1, 20 if LONG else 3):
            workers.append(worker(redis, out, 100))
            wait_until(lambda goal=goal: len(handled(out)) >= min(goal * 60, count))
            workers[-1].kill()
            workers[-1].wait()
        workers.append(worker(redis, out, 100))
        wait_until(lambda: pending(redis) == 0 and set(handled(out)) == set(range(count)),
                   what=lambda: state(redis, out))
    finally:
        for process in workers:
            process.kill()
            process.wait()
    assert not redis.client.exists(DLQ)
