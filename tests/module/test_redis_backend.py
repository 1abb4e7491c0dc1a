# SPDX-License-Identifier: Apache-2.0
"""RedisBackend against a real server: what its callers are promised while nothing goes wrong."""

import asyncio
import datetime
import gc
import json
import logging
import os
import sys
import threading
import time
import uuid
import warnings

import pytest
from necrostack.backends import RedisBackend
from necrostack.backends.redis_backend import BackendHealth, RedisMetrics
from necrostack.core import Event
from necrostack.core.event import ValidationError
from redis_help import PENDING, STREAM, go, pending, pull_all
from station import PATIENCE, wait_until

IDLE = 100  # ms until somebody else may take a delivery over


@pytest.fixture
def make(redis):
    """Makes backends of the server; quick to take over what lies about."""

    def make(**kw):
        return RedisBackend(kw.pop("url", None) or redis.url, **{"claim_min_idle_ms": 60000, **kw})

    return make


def bodies(redis, stream=STREAM):
    return [json.loads(fields["event"]) for _, fields in redis.client.xrange(stream)]


# -- in and out ------------------------------------------------------------------------------------


def test_an_event_goes_in_and_comes_out(make):
    sent = Event("ORDER", {"id": 1, "text": "Grüße \U0001f480", "big": 2**70, "list": [None, True, 1.5]})

    async def main():
        async with make() as backend:
            await backend.enqueue(sent)
            got = await backend.pull(timeout=5)
            await backend.ack(got)
            return got

    got = go(main())
    assert got == sent and type(got) is Event
    assert got.timestamp == sent.timestamp and got.payload == sent.payload


def test_what_is_no_json_any_more_is_refused_with_its_place(redis, make):
    event = Event("ORDER", {"a": 1})
    event.payload["when"] = event.timestamp

    async def main():
        async with make() as backend:
            with pytest.raises(ValidationError, match=r"payload\.when"):
                await backend.enqueue(event)
            event.payload.pop("when")
            await backend.enqueue(event)
            got = await backend.pull(timeout=5)
            got.payload["when"] = got.timestamp
            with pytest.raises(ValidationError, match=r"payload\.when"):
                await backend.nack(got, "spoilt")
            got.payload.pop("when")
            await backend.nack(got, "spoilt")
            assert backend.metrics.events_failed == 1 and pending(redis) == 0

    go(main())
    assert [body["payload"] for body in bodies(redis)] == [{"a": 1}]


def test_first_in_first_out(make):
    sent = [Event("N", {"n": n}) for n in range(50)]

    async def main():
        async with make() as backend:
            for event in sent:
                await backend.enqueue(event)
            return await pull_all(backend, len(sent))

    assert go(main()) == sent


def test_the_entry_has_one_field_with_the_event_as_json(redis, make):
    sent = Event("ORDER", {"a": {"b": ["ü"]}})

    async def main():
        async with make() as backend:
            await backend.enqueue(sent)

    go(main())
    ((_, fields),) = redis.client.xrange(STREAM)
    assert list(fields) == ["event"]
    body = json.loads(fields["event"])
    assert set(body) == {"id", "timestamp", "event_type", "payload"}
    assert body["id"] == sent.id and body["event_type"] == "ORDER" and body["payload"] == sent.payload
    written = datetime.datetime.fromisoformat(body["timestamp"].replace("Z", "+00:00"))
    assert written == sent.timestamp and written.utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize(
    "spelling, stamp",
    [
        (lambda d: json.dumps(d), "2025-03-04T05:06:07.123456Z"),
        (lambda d: json.dumps(d), "2025-03-04T05:06:07.123456+00:00"),
        (lambda d: json.dumps(d, separators=(",", ":"), ensure_ascii=False), "2025-03-04T05:06:07Z"),
        (lambda d: json.dumps(d, indent=2, sort_keys=True), "2025-03-04T06:06:07+01:00"),
    ],
)
def test_reads_what_others_wrote(redis, make, spelling, stamp):
    """redis-py's XADD of what pydantic or the json module make of such an event."""
    body = {"id": str(uuid.uuid4()), "timestamp": stamp, "event_type": "FOREIGN", "payload": {"ü": ["€", 1e300, -0.0]}}
    redis.client.xadd(STREAM, {"event": spelling(body)})

    async def main():
        async with make() as backend:
            got = await backend.pull(timeout=5)
            await backend.ack(got)
            return got

    got = go(main())
    assert (got.id, got.event_type, got.payload) == (body["id"], "FOREIGN", body["payload"])
    assert got.timestamp == datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    assert pending(redis) == 0


def test_what_was_written_before_the_group_was_made_is_delivered(redis, make):
    redis.client.xadd(STREAM, {"event": Event("EARLY").model_dump_json()})

    async def main():
        async with make() as backend:
            return (await backend.pull(timeout=5)).event_type

    assert go(main()) == "EARLY"


def test_an_existing_group_is_used_as_it_is(redis, make):
    first = redis.client.xadd(STREAM, {"event": Event("OLD").model_dump_json()})
    redis.client.xgroup_create(STREAM, "mine", id=first)
    redis.client.xadd(STREAM, {"event": Event("NEW").model_dump_json()})

    async def main():
        async with make(consumer_group="mine") as backend:
            events = await pull_all(backend, 1) + await pull_all(backend)
            return [e.event_type for e in events]

    assert go(main()) == ["NEW"]


def test_two_groups_get_everything_each(make):
    async def main():
        async with make(consumer_group="a") as a, make(consumer_group="b") as b:
            sent = [Event("N") for _ in range(5)]
            for event in sent:
                await a.enqueue(event)
            assert await pull_all(a, 5) == sent
            assert await pull_all(b, 5) == sent

    go(main())


def test_two_consumers_share_one_group(make):
    """Each event goes to one of them, and neither takes what the other could have at once."""

    async def main():
        sent = [Event("N", {"n": n}) for n in range(400)]
        async with make(consumer_name="one") as one:
            async with make(consumer_name="two") as two:
                for event in sent:
                    await one.enqueue(event)
                got = {one: [], two: []}

                async def take(backend):
                    while sum(map(len, got.values())) < len(sent):
                        event = await backend.pull(timeout=0.05)
                        if event:
                            got[backend].append(event)
                            await backend.ack(event)
                            await asyncio.sleep(0)

                await asyncio.gather(take(one), take(two))
                assert sorted(e.payload["n"] for e in got[one] + got[two]) == list(range(len(sent)))
                assert got[one] and got[two]

    go(main())


def test_names_by_default(redis):
    one, two = RedisBackend(redis.url), RedisBackend(redis.url)
    assert (one.stream_key, one.consumer_group) == ("necrostack:events", "necrostack")
    assert one.dlq_stream == "necrostack:events:dlq"
    assert one.consumer_name and one.consumer_name != two.consumer_name
    assert RedisBackend(redis.url, "s", "g", "c", 5, 2, 1000, "d").dlq_stream == "d"
    assert RedisBackend(redis.url, stream_key="other").dlq_stream == "other:dlq"


# -- waiting ---------------------------------------------------------------------------------------


def test_a_pull_in_vain_gives_none(make):
    async def main():
        async with make() as backend:
            assert await backend.pull(timeout=0) is None
            before = time.monotonic()
            assert await backend.pull(timeout=0.05) is None
            assert 0.045 < time.monotonic() - before < 10 * PATIENCE

    go(main())


def test_a_waiting_pull_gets_what_comes(redis, make):
    async def main():
        async with make() as backend:
            waiting = asyncio.ensure_future(backend.pull(timeout=20))
            await asyncio.sleep(0.02)
            assert not waiting.done()
            redis.client.xadd(STREAM, {"event": Event("LATE").model_dump_json()})
            before = time.monotonic()
            assert (await waiting).event_type == "LATE"
            assert time.monotonic() - before < 10 * PATIENCE

    go(main())


def test_two_waiting_pulls_get_one_each(make):
    async def main():
        async with make() as backend:
            waiting = [asyncio.ensure_future(backend.pull(timeout=20)) for _ in range(2)]
            await asyncio.sleep(0.01)
            sent = [Event("A"), Event("B")]
            for event in sent:
                await backend.enqueue(event)
            assert sorted(e.event_type for e in await asyncio.gather(*waiting)) == ["A", "B"]

    go(main())


def test_a_waiting_pull_does_not_hold_up_other_calls(make):
    async def main():
        async with make() as backend:
            waiting = asyncio.ensure_future(backend.pull(timeout=20))
            await asyncio.sleep(0.01)
            before = time.monotonic()
            assert (await backend.health()).healthy
            await backend.enqueue(Event("A"))
            await backend.ack(await waiting)
            assert time.monotonic() - before < 10 * PATIENCE

    go(main())


def test_a_cancelled_pull_loses_nothing(make):
    """Whatever moment it is cancelled at: what was on its way to it goes to the next."""

    async def main():
        async with make() as backend:
            sent, got = [Event("N", {"n": n}) for n in range(60)], []
            for n, event in enumerate(sent):
                waiting = asyncio.ensure_future(backend.pull(timeout=20))
                await asyncio.sleep(0)
                adding = asyncio.ensure_future(backend.enqueue(event))
                for _ in range(n % 6):
                    await asyncio.sleep(0)
                if n % 7 == 6:
                    await asyncio.sleep(0.001)
                waiting.cancel()
                await adding
                (result,) = await asyncio.gather(waiting, return_exceptions=True)
                if not isinstance(result, asyncio.CancelledError):
                    got.append(result)
            got += await pull_all(backend, len(sent) - len(got))
            assert sorted(e.payload["n"] for e in got) == list(range(len(sent)))

    go(main())


# -- acknowledging ---------------------------------------------------------------------------------


def test_ack_takes_it_off_the_pending_ones(redis, make):
    async def main():
        async with make() as backend:
            await backend.enqueue(Event("A"))
            event = await backend.pull(timeout=5)
            assert pending(redis) == 1
            await backend.ack(event)
            assert pending(redis) == 0

    go(main())


def test_what_was_not_acknowledged_comes_again(redis, make):
    async def main():
        async with make(claim_min_idle_ms=IDLE) as backend:
            await backend.enqueue(Event("A"))
            first = await backend.pull(timeout=5)
            again = await backend.pull(timeout=20)
            assert again == first
            # A busy machine may take longer than IDLE: then it is claimed once more before it is acknowledged.
            assert redis.client.xpending_range(STREAM, "necrostack", "-", "+", 10)[0]["times_delivered"] >= 2
            await backend.ack(again)
            assert await backend.pull(timeout=2.5 * IDLE / 1000) is None
            assert pending(redis) == 0
            assert backend.metrics.pending_recovered >= 1 and backend.metrics.events_pulled == 2

    go(main())


def test_the_same_event_twice_is_two_deliveries(redis, make):
    async def main():
        async with make() as backend:
            event = Event("TWICE")
            await backend.enqueue(event)
            await backend.enqueue(event)
            ids = [entry for entry, _ in redis.client.xrange(STREAM)]
            first, second = await pull_all(backend, 2, ack=False)
            assert first == second == event
            await backend.ack(event)
            left = redis.client.xpending_range(STREAM, "necrostack", "-", "+", 10)
            assert [entry["message_id"] for entry in left] == ids[1:]
            await backend.ack(event)
            assert pending(redis) == 0

    go(main())


def test_an_equal_event_made_by_the_caller_acknowledges(redis, make):
    """A delivery is found by the event's id: a copy will do."""

    async def main():
        async with make() as backend:
            await backend.enqueue(Event("A", {"secret": "x"}))
            event = await backend.pull(timeout=5)
            await backend.ack(event.model_copy(update={"payload": {}}))
            assert pending(redis) == 0

    go(main())


def test_ack_and_nack_of_what_was_never_delivered_is_told_and_does_nothing(redis, make, caplog):
    async def main():
        async with make() as backend:
            await backend.enqueue(Event("A"))
            await backend.pull(timeout=5)
            stranger = Event("STRANGER")
            with caplog.at_level(logging.WARNING, "necrostack"):
                await backend.ack(stranger)
                await backend.nack(stranger, "why")
            assert len([r for r in caplog.records if stranger.id in r.getMessage()]) == 2
            assert pending(redis) == 1
            assert backend.metrics.events_acked == 0
            assert not redis.client.exists(STREAM + ":dlq")

    go(main())


def test_nack_dead_letters_now(redis, make):
    async def main():
        async with make() as backend:
            sent = Event("BAD", {"n": 1})
            await backend.enqueue(sent)
            event = await backend.pull(timeout=5)
            await backend.nack(event, "no such customer: ü")
            assert pending(redis) == 0
            return sent

    sent = go(main())
    ((_, fields),) = redis.client.xrange(STREAM + ":dlq")
    assert set(fields) == {"original_id", "event", "reason", "failed_at"}
    assert fields["reason"] == "no such customer: ü"
    assert Event.model_validate_json(fields["event"]) == sent
    assert fields["original_id"] == redis.client.xinfo_stream(STREAM)["last-generated-id"]
    failed_at = datetime.datetime.fromisoformat(fields["failed_at"].replace("Z", "+00:00"))
    assert abs(failed_at - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)


def test_the_dead_letters_have_the_name_given(redis, make):
    async def main():
        async with make(dlq_stream="graves") as backend:
            await backend.enqueue(Event("BAD"))
            await backend.nack(await backend.pull(timeout=5), "x")
            assert backend.metrics.events_failed == 1

    go(main())
    assert redis.client.xlen("graves") == 1 and not redis.client.exists(STREAM + ":dlq")


def test_delete_stream(redis, make):
    """Of one's own stream or another; work goes on afterwards."""

    async def main():
        async with make() as backend:
            await backend.enqueue(Event("A"))
            redis.client.xadd("other", {"a": 1})
            await backend.delete_stream("other")
            assert redis.client.keys() == [STREAM]
            await backend.delete_stream()
            assert redis.client.keys() == []
            await backend.enqueue(Event("B"))
            assert (await backend.pull(timeout=5)).event_type == "B"

    go(main())


# -- what it tells ---------------------------------------------------------------------------------


def test_health(redis, make):
    async def main():
        async with make(consumer_name="me") as backend:
            await backend.enqueue(Event("A"))
            return await backend.health()

    health = go(main())
    assert type(health) is BackendHealth and health.healthy is True
    assert isinstance(health.latency_ms, float) and 0 < health.latency_ms < 5000
    assert health.details["stream_length"] == 1
    assert health.details["consumer_group"] == "necrostack" and health.details["consumer_name"] == "me"
    assert health.details["metrics"]["events_enqueued"] == 1


def test_metrics(make):
    async def main():
        async with make() as backend:
            before = backend.metrics
            for name in "ABC":
                await backend.enqueue(Event(name))
            a, b, _ = await pull_all(backend, 3, ack=False)
            await backend.ack(a)
            await backend.nack(b, "x")
            return before, backend.metrics

    before, after = go(main())
    names = "events_enqueued events_pulled events_acked events_failed reconnections pending_recovered".split()
    assert type(after) is RedisMetrics
    assert [getattr(before, name) for name in names] == [0] * 6
    assert [getattr(after, name) for name in names] == [3, 3, 1, 1, 0, 0]


@pytest.mark.parametrize("url", ["redis://user:hush%21@127.0.0.1:1/3", "redis://:a@hush@127.0.0.1:1",
                                 "redis://127.0.0.1:1/3?db=2&Password=hush",
                                 "redis://user:old@127.0.0.1:1?password=x@hush"])
def test_repr_tells_what_it_is_without_the_password(url):
    backend = RedisBackend(url, consumer_name="me")
    for text in (repr(backend), str(backend), backend.redis_url):
        assert "hush" not in text
        assert "127.0.0.1:1" in text
    assert "RedisBackend" in repr(backend) and STREAM in repr(backend) and "me" in repr(backend)


# -- its life --------------------------------------------------------------------------------------


def test_close_twice_and_use_afterwards(make):
    async def main():
        backend = make()
        await backend.enqueue(Event("A"))
        await backend.close()
        await backend.close()
        for call in (backend.enqueue(Event("B")), backend.pull(timeout=1), backend.ack(Event("B")),
                     backend.nack(Event("B"), "x"), backend.health(), backend.delete_stream()):
            with pytest.raises(RuntimeError, match="closed"):
                await call
        assert backend.metrics.events_enqueued == 1

    go(main())


def test_close_of_one_that_was_never_used(make):
    backend = make()
    go(backend.close())


def test_close_ends_a_waiting_pull(make):
    async def main():
        backend = make()
        waiting = asyncio.ensure_future(backend.pull(timeout=60))
        await asyncio.sleep(0.01)
        await backend.close()
        with pytest.raises(RuntimeError, match="closed"):
            await waiting

    go(main())


def test_one_backend_for_several_runs_of_asyncio(make):
    """What was pulled in one may be acknowledged in the next."""
    backend = make()
    go(backend.enqueue(Event("A")))
    event = go(backend.pull(timeout=5))

    async def rest():
        await backend.ack(event)
        await backend.enqueue(Event("B"))
        return (await backend.pull(timeout=5)).event_type

    assert go(rest()) == "B"
    go(backend.close())


def test_a_run_that_ended_in_the_middle_of_a_pull(make):
    backend = make()

    async def abandoned():
        asyncio.ensure_future(backend.pull(timeout=60))
        await asyncio.sleep(0.01)

    go(abandoned())
    go(backend.enqueue(Event("A")))
    assert go(backend.pull(timeout=5)).event_type == "A"
    go(backend.close())


def test_not_from_two_running_loops_at_once(make):
    backend = make()
    seen = []

    async def elsewhere():
        with pytest.raises(RuntimeError, match="event loop"):
            await backend.enqueue(Event("B"))
        seen.append(True)

    async def main():
        await backend.enqueue(Event("A"))
        thread = threading.Thread(target=lambda: go(elsewhere()))
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        assert seen
        assert (await backend.pull(timeout=5)).event_type == "A"
        await backend.close()

    go(main())


def test_a_forked_child_gets_a_connection_of_its_own(redis, make):
    """A child that talked on its parent's would mix up the answers."""
    backend = make()
    go(backend.enqueue(Event("PARENT")))
    connections = redis.client.info("stats")["total_connections_received"]
    child = os.fork()
    if child == 0:
        try:
            go(backend.enqueue(Event("CHILD")))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert redis.client.info("stats")["total_connections_received"] > connections
    go(backend.enqueue(Event("PARENT")))
    assert [b["event_type"] for b in bodies(redis)] == ["PARENT", "CHILD", "PARENT"]
    go(backend.close())


def test_one_that_is_forgotten_closes_its_connection(redis, make):
    def fds():
        return len(os.listdir("/proc/self/fd"))

    def use():
        go(make().enqueue(Event("A")))

    use()
    gc.collect()
    before = fds()
    for _ in range(5):
        use()
    gc.collect()
    assert fds() == before
    clients = [c for c in redis.client.client_list() if c["id"] != str(redis.client.client_id())]
    wait_until(lambda: len(redis.client.client_list()) == 1, what=lambda: clients)


def test_one_that_is_forgotten_together_with_its_loop(make, monkeypatch):
    """While something waits: it leaves the loop before that is taken apart."""
    told = []

    def use():
        loop, backend = asyncio.new_event_loop(), make()

        async def work():
            asyncio.ensure_future(backend.pull(timeout=60))
            await backend.enqueue(Event("A"))
            await asyncio.sleep(0)

        loop.run_until_complete(work())
        loop.circle = loop, backend

    with monkeypatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the loop is not closed
        patched.setattr(sys, "unraisablehook", told.append)
        use()
        gc.collect()
    assert told == []


# -- subclasses ------------------------------------------------------------------------------------


def test_subclasses_that_override_one_method(make, redis):
    calls = []

    class Loud(RedisBackend):
        async def enqueue(self, event):
            calls.append("enqueue")
            await super().enqueue(event.model_copy(update={"event_type": event.event_type + "!"}))

        async def pull(self, timeout=None):
            calls.append("pull")
            return await super().pull(timeout)

        async def ack(self, event):
            calls.append("ack")
            await super().ack(event)

        async def nack(self, event, reason):
            calls.append("nack")
            await super().nack(event, reason.upper())

    async def main():
        async with Loud(redis.url) as backend:
            backend.note = "an attribute of its own"
            await backend.enqueue(Event("A"))
            event = await backend.pull(timeout=5)
            assert event.event_type == "A!"
            await backend.ack(event)
            await backend.enqueue(Event("B"))
            await backend.nack(await backend.pull(5), "why")

    go(main())
    assert calls == ["enqueue", "pull", "ack", "enqueue", "pull", "nack"]
    assert redis.client.xrange(STREAM + ":dlq")[0][1]["reason"] == "WHY"


def test_a_constructor_of_its_own(redis):
    class Mine(RedisBackend):
        def __init__(self, tenant):
            super().__init__(redis.url, stream_key=f"{tenant}:events")
            self.tenant = tenant

    async def main():
        async with Mine("acme") as backend:
            await backend.enqueue(Event("A"))
            assert (await backend.health()).details["stream_length"] == 1

    go(main())
    assert redis.client.xlen("acme:events") == 1


def test_a_subclass_that_forgets_its_constructor(redis):
    class Half(RedisBackend):
        def __init__(self):
            pass

    with pytest.raises(RuntimeError, match="__init__"):
        go(Half().enqueue(Event("A")))


# -- URLs and arguments ----------------------------------------------------------------------------


def use(url, **kw):
    async def main():
        async with RedisBackend(url, **kw) as backend:
            await backend.enqueue(Event("A"))
            return (await backend.pull(timeout=5)).event_type

    return go(main())


def test_url_of_a_socket_and_of_a_database(redis):
    assert use(redis.unix_url) == "A"
    assert use(redis.url_as(db=3)) == "A"
    other = redis.client.__class__(port=redis.port, db=3, decode_responses=True)
    assert other.xlen(STREAM) == 1
    assert use(f"redis://localhost:{redis.port}") == "A"


def test_url_with_password_and_user(new_redis):
    server = new_redis(requirepass="se:cr@t/")
    assert use(server.url_as(password="se%3Acr%40t%2F")) == "A"
    server.client.acl_setuser("bob", enabled=True, passwords=["+pw"], commands=["+@all"], keys=["*"])
    assert use(server.url_as(user="bob", password="pw")) == "A"
    assert use(server.url_as() + "?username=bob&password=pw") == "A"


def test_tls_is_refused_at_once_where_it_cannot_be_had():
    with pytest.raises(ValueError, match="(?i)rediss.*TLS") as caught:
        RedisBackend("rediss://:hush@127.0.0.1:6380")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "http://x", "redis:/x", "127.0.0.1:6379", "redis://:hush@h:port", "redis://:hush@h:70000",
            "redis://:hush@h:1/x", "redis://:hush@h\0", "unix://"])
def test_urls_that_are_none(url):
    with pytest.raises(ValueError, match="redis_url") as caught:
        RedisBackend(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("redis_url", None, TypeError),
        ("redis_url", b"redis://localhost", TypeError),
        ("stream_key", None, TypeError),
        ("stream_key", "", ValueError),
        ("stream_key", "a\0b", ValueError),
        ("stream_key", "\ud800", ValueError),
        ("consumer_group", 7, TypeError),
        ("consumer_group", "", ValueError),
        ("consumer_name", 7, TypeError),
        ("consumer_name", "", ValueError),
        ("consumer_name", "me:ahead", ValueError),
        ("dlq_stream", b"x", TypeError),
        ("dlq_stream", "", ValueError),
        ("pool_size", "10", TypeError),
        ("pool_size", 0, ValueError),
        ("pool_size", True, TypeError),
        ("max_retries", 1.5, TypeError),
        ("max_retries", 0, ValueError),
        ("max_retries", 2**70, ValueError),
        ("claim_min_idle_ms", None, TypeError),
        ("claim_min_idle_ms", -1, ValueError),
        ("claim_min_idle_ms", 2**63, ValueError),
    ],
)
def test_wrong_arguments_are_named(name, value, error):
    with pytest.raises(error, match=name):
        RedisBackend(**{"redis_url": "redis://127.0.0.1:1", name: value})


def test_the_dead_letters_cannot_be_the_stream_itself():
    with pytest.raises(ValueError, match="dlq_stream"):
        RedisBackend("redis://127.0.0.1:1", stream_key="s", dlq_stream="s")


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda b: b.enqueue({"event_type": "A"}), TypeError),
        (lambda b: b.ack(None), TypeError),
        (lambda b: b.nack("A", "why"), TypeError),
        (lambda b: b.nack(Event("A"), 7), TypeError),
        (lambda b: b.pull("1"), TypeError),
        (lambda b: b.pull(float("nan")), ValueError),
        (lambda b: b.delete_stream(7), TypeError),
    ],
)
def test_wrong_arguments_of_calls(make, call, error):
    async def main():
        async with make() as backend:
            with pytest.raises(error):
                await call(backend)

    go(main())


# -- beside others ---------------------------------------------------------------------------------


def test_beside_redis_py_in_one_loop(redis, make):
    import redis.asyncio as aioredis  # the library, not the fixture

    async def main():
        client = aioredis.Redis(port=redis.port, decode_responses=True)
        async with make() as backend:
            for n in range(20):
                await asyncio.gather(
                    client.xadd(STREAM, {"event": Event("THEIRS", {"n": n}).model_dump_json()}),
                    backend.enqueue(Event("OURS", {"n": n})))
            got = await pull_all(backend, 40)
            assert sorted((e.event_type, e.payload["n"]) for e in got) == sorted(
                (kind, n) for kind in ("OURS", "THEIRS") for n in range(20))
            assert await client.xpending(STREAM, "necrostack") == PENDING
        await client.connection_pool.disconnect()

    go(main())


def test_a_consumer_written_with_redis_py_shares_the_group(redis, make):
    async def main():
        async with make() as backend:
            for name in ("A", "B"):
                await backend.enqueue(Event(name))
            assert (await backend.health()).healthy
            redis.client.xgroup_create(STREAM, "necrostack", id="0") if not redis.client.xinfo_groups(STREAM) else None
            ((_, ((entry, fields),)),) = redis.client.xreadgroup("necrostack", "other", {STREAM: ">"}, count=1)
            assert json.loads(fields["event"])["event_type"] == "A"
            redis.client.xack(STREAM, "necrostack", entry)
            assert (await backend.pull(timeout=5)).event_type == "B"

    go(main())
