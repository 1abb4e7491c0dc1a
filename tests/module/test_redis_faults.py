# SPDX-License-Identifier: Apache-2.0
"""RedisBackend while things break: the server, its memory, its keys, the network, the consumer, the entries."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from necrostack.backends import RedisBackend
from necrostack.backends.inmemory import BackendFullError
from necrostack.core import Event
from redis_help import STREAM, go, is_used_up, pending, pull_all
from redis_server import free_port
from station import LONG, PATIENCE, wait_until

IDLE = 100  # ms until somebody else may take a delivery over
DLQ = STREAM + ":dlq"
SHORT = 0.2  # s: the patience of a call that is going to fail


def backend_of(server, **kw):
    return RedisBackend(kw.pop("url", None) or server.url, **{"claim_min_idle_ms": IDLE, **kw})


def dead(redis):
    return [fields for _, fields in redis.client.xrange(DLQ)]


def types(redis):
    return [json.loads(fields["event"])["event_type"] for _, fields in redis.client.xrange(STREAM)]


async def aside(function, *args):
    """Something that blocks, while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


async def in_the_end(operation):
    """One call of short patience may be too few on a busy machine."""
    for _ in range(100):
        with contextlib.suppress(ConnectionError):
            return await operation()
    return await operation()


async def fails_because(reason, operation):
    """Its time may be over before a busy machine has let the server say why."""
    said = []
    while not said or not re.search(reason, said[-1]):
        assert len(said) < 100, said
        with pytest.raises((ConnectionError, RuntimeError, PermissionError)) as caught:
            await operation()
        said.append(str(caught.value))


# -- the server goes away --------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_loses_nothing(redis, how):
    """With AOF: what was acknowledged stays so, what was not comes again, what waited still waits."""
    redis.config(appendfsync="always", appendonly="yes")

    async def main():
        # Long enough for what is acknowledged a moment after it was pulled, also with a busy disk.
        async with backend_of(redis, claim_min_idle_ms=20 * IDLE) as backend:
            sent = [Event("N", {"n": n}) for n in range(20)]
            for event in sent:
                await backend.enqueue(event)
            first = await pull_all(backend, 10, ack=False)
            for event in first[:5]:
                await backend.ack(event)
            await aside(redis.restart, how)
            rest = await pull_all(backend, 15)
            assert sorted(e.payload["n"] for e in rest) == list(range(5, 20))
            assert await backend.pull(timeout=2 * IDLE / 1000) is None
            assert pending(redis) == 0
            assert backend.metrics.reconnections >= 1
            assert not redis.client.exists(DLQ)

    go(main())


def test_a_call_outlives_a_short_absence(redis):
    """Nothing has to be done by the caller, and nothing happens twice."""
    redis.config(appendfsync="always", appendonly="yes")

    async def main():
        async with backend_of(redis) as backend:
            await backend.enqueue(Event("BEFORE"))
            await aside(redis.kill)
            adding = asyncio.ensure_future(backend.enqueue(Event("DURING")))
            pulling = asyncio.ensure_future(backend.pull(timeout=20))
            await asyncio.sleep(0.05)
            assert not adding.done() and not pulling.done()
            await aside(redis.start)
            await adding
            first = await pulling
            await backend.ack(first)
            second = await backend.pull(timeout=20)
            await backend.ack(second)
            assert [first.event_type, second.event_type] == ["BEFORE", "DURING"]

    go(main())
    assert types(redis) == ["BEFORE", "DURING"]


def test_a_restart_makes_nobody_end_connections_of_others(redis):
    """The numbers of the connections before are given anew to whoever comes first."""

    def connect(count):
        return [socket.create_connection(("127.0.0.1", redis.port)) for _ in range(count)]

    def is_alive(other):
        other.settimeout(20 * PATIENCE)
        other.sendall(b"PING\r\n")
        return other.recv(10) == b"+PONG\r\n"

    async def main():
        others = connect(30)  # so that its number is a higher one than those of a server's first clients
        async with backend_of(redis) as backend:
            await backend.enqueue(Event("A"))
            redis.restart()
            others += connect(90)
            await backend.enqueue(Event("B"))
            assert backend.metrics.reconnections == 1
            assert all(is_alive(other) for other in others[30:])
        for other in others:
            other.close()

    go(main())


def test_an_acknowledgement_outlives_a_restart(redis):
    redis.config(appendfsync="always", appendonly="yes")

    async def main():
        async with backend_of(redis, claim_min_idle_ms=60000) as backend:
            await backend.enqueue(Event("A"))
            event = await backend.pull(timeout=5)
            await aside(redis.kill)
            acking = asyncio.ensure_future(backend.ack(event))
            await asyncio.sleep(0.01)
            await aside(redis.start)
            await acking
            assert pending(redis) == 0

    go(main())


def test_a_failed_acknowledgement_may_be_repeated(redis, caplog):
    redis.config(appendfsync="always", appendonly="yes")

    async def main():
        async with backend_of(redis, claim_min_idle_ms=60000, timeout=SHORT) as backend:
            await in_the_end(lambda: backend.enqueue(Event("A")))
            event = await in_the_end(lambda: backend.pull(timeout=5))
            redis.kill()
            with pytest.raises(ConnectionError):
                await backend.ack(event)
            redis.start()
            await in_the_end(lambda: backend.ack(event))
            assert pending(redis) == 0 and backend.metrics.events_acked <= 1

    go(main())
    assert "not acknowledged" not in caplog.text


def test_without_a_server_every_call_says_so(redis):
    port = free_port()

    async def main():
        backend = backend_of(redis, url=f"redis://:hush@127.0.0.1:{port}", timeout=SHORT)
        event = Event("A")
        for call in (backend.enqueue(event), backend.pull(timeout=0), backend.delete_stream()):
            with pytest.raises(ConnectionError, match=f"127.0.0.1:{port}.*(?i:refused)") as caught:
                await call
            assert "hush" not in str(caught.value) + repr(caught.value)
        before = time.monotonic()
        health = await backend.health()
        assert time.monotonic() - before < 4 * PATIENCE
        assert health.healthy is False and "refused" in health.details["error"].lower()
        assert "hush" not in repr(health)
        assert health.details["consumer_group"] == "necrostack"
        assert backend.metrics.events_enqueued == 0
        await backend.close()

    go(main())


def test_a_call_whose_time_is_over_at_once_says_so(redis):
    async def main():
        async with backend_of(redis, timeout=1e-9) as backend:
            with pytest.raises(ConnectionError, match="."):
                await backend.enqueue(Event("A"))

    go(main())


def test_a_host_that_is_none():
    async def main():
        async with RedisBackend("redis://no.such.host.invalid:1", timeout=SHORT) as backend:
            with pytest.raises(ConnectionError, match="no.such.host.invalid"):
                await backend.enqueue(Event("A"))

    go(main())


def test_a_program_may_start_before_its_server(new_redis):
    server = new_redis()
    server.stop()

    async def main():
        async with backend_of(server) as backend:
            pulling = asyncio.ensure_future(backend.pull(timeout=20))
            await asyncio.sleep(0.02)
            await aside(server.start)
            await backend.enqueue(Event("A"))
            assert (await pulling).event_type == "A"

    go(main())


def test_connections_cut_at_any_moment(redis):
    """Every event arrives, none that was acknowledged comes again."""
    count = 400 if LONG else 60
    stop = threading.Event()

    def cut():
        while not stop.wait(0.005):
            with contextlib.suppress(Exception):
                redis.client.client_kill_filter(_type="normal", skipme=True)

    async def main():
        async with backend_of(redis, max_retries=1000) as backend:
            cutting = threading.Thread(target=cut)
            cutting.start()
            try:
                acked, again = set(), []
                for n in range(count):
                    await backend.enqueue(Event("N", {"n": n}))
                    await asyncio.sleep(0.001)
                while len(acked) < count:
                    event = await backend.pull(timeout=20)
                    if event.payload["n"] in acked:
                        again.append(event.payload["n"])
                    await backend.ack(event)
                    acked.add(event.payload["n"])
            finally:
                stop.set()
                cutting.join()
            assert acked == set(range(count))
            entries = [json.loads(fields["event"])["payload"]["n"] for _, fields in redis.client.xrange(STREAM)]
            assert len(again) <= len(entries) - count  # only what was sent again can come again
            assert backend.metrics.reconnections > 0

    go(main())


# -- the server is slow, full, or not to be written ------------------------------------------------


def test_a_stall_is_an_error_and_passes(redis):
    async def main():
        async with backend_of(redis, timeout=SHORT) as backend:
            await in_the_end(lambda: backend.enqueue(Event("BEFORE")))
            with redis.frozen():
                with pytest.raises(ConnectionError, match="(?i)no answer|timed out|within"):
                    await backend.enqueue(Event("DURING"))
                assert not (await backend.health()).healthy
            await in_the_end(lambda: backend.enqueue(Event("AFTER")))
            await aside(wait_until, lambda: "AFTER" in types(redis))
            found = types(redis)  # what nobody waited for may have been done all the same
            assert found[0] == "BEFORE" and found[-1] == "AFTER"
            assert set(found) <= {"BEFORE", "DURING", "AFTER"}
            while not (await backend.health()).healthy:
                pass

    go(main())


def test_a_short_stall_is_waited_out(redis):
    async def main():
        async with backend_of(redis) as backend:
            await backend.enqueue(Event("BEFORE"))
            with redis.frozen():
                adding = asyncio.ensure_future(backend.enqueue(Event("DURING")))
                await asyncio.sleep(0.1)
                assert not adding.done()
            await adding

    go(main())
    assert types(redis) == ["BEFORE", "DURING"]


def test_out_of_memory(redis):
    async def main():
        async with backend_of(redis) as backend:
            for name in ("FIRST", "BEFORE"):
                await backend.enqueue(Event(name))
            await backend.ack(await backend.pull(timeout=5))
            await aside(lambda: redis.config(maxmemory=1, maxmemory_policy="noeviction"))
            with pytest.raises(BackendFullError, match="(?i)OOM|memory"):
                await backend.enqueue(Event("DURING"))
            await backend.ack(await backend.pull(timeout=5))  # that needs no memory
            await aside(lambda: redis.config(maxmemory=0))
            await backend.enqueue(Event("AFTER"))
            assert backend.metrics.events_enqueued == 3

    go(main())
    assert types(redis) == ["FIRST", "BEFORE", "AFTER"] and pending(redis) == 0


def test_out_of_memory_before_there_is_a_group(redis):
    """A group cannot be made then, which is an error and not an empty stream."""
    redis.config(maxmemory=1, maxmemory_policy="noeviction")

    async def main():
        async with backend_of(redis) as backend:
            with pytest.raises(BackendFullError, match="(?i)OOM|memory"):
                await backend.pull(timeout=5)
            await aside(lambda: redis.config(maxmemory=0))
            await backend.enqueue(Event("A"))
            assert (await backend.pull(timeout=5)).event_type == "A"

    go(main())


def test_a_dead_letter_that_finds_no_room_is_not_lost(redis):
    """The entry stays pending until there is a place for it."""

    async def main():
        async with backend_of(redis, max_retries=1) as backend:
            await backend.enqueue(Event("BAD"))
            event = await backend.pull(timeout=5)
            await aside(lambda: redis.config(maxmemory=1, maxmemory_policy="noeviction"))
            with pytest.raises(BackendFullError):
                await backend.nack(event, "x")
            assert pending(redis) == 1
            await aside(lambda: redis.config(maxmemory=0))
            assert await backend.pull(timeout=3 * IDLE / 1000) is None
            await aside(wait_until, lambda: len(dead(redis)) == 1)
            assert pending(redis) == 0

    go(main())


def test_a_replica_that_must_not_be_written(redis):
    async def main():
        async with backend_of(redis, timeout=SHORT) as backend:
            await in_the_end(lambda: backend.enqueue(Event("BEFORE")))
            redis.touched = True
            redis.client.replicaof("127.0.0.1", free_port())
            await fails_because("READONLY|MASTERDOWN", lambda: backend.enqueue(Event("DURING")))
            redis.client.replicaof("no", "one")
            await in_the_end(lambda: backend.enqueue(Event("AFTER")))

    go(main())
    assert sorted(set(types(redis))) == ["AFTER", "BEFORE"]


def test_too_many_clients(redis):
    async def main():
        async with backend_of(redis, timeout=SHORT) as backend:
            await aside(lambda: redis.config(maxclients=1))
            await fails_because("(?i)max number of clients", lambda: backend.enqueue(Event("A")))
            await aside(lambda: redis.config(maxclients=1000))
            await in_the_end(lambda: backend.enqueue(Event("B")))

    go(main())


# -- its keys vanish -------------------------------------------------------------------------------


@pytest.mark.parametrize("vanish", [
    lambda c: c.flushall(),
    lambda c: c.delete(STREAM),
    lambda c: c.xgroup_destroy(STREAM, "necrostack"),
    lambda c: c.xgroup_delconsumer(STREAM, "necrostack", "me"),
], ids=["flushall", "stream", "group", "consumer"])
@pytest.mark.parametrize("waiting", [False, True])
def test_what_vanished_is_made_again(redis, vanish, waiting):
    async def main():
        async with backend_of(redis, consumer_name="me") as backend:
            await backend.enqueue(Event("OLD"))
            old = await backend.pull(timeout=5)
            pulling = asyncio.ensure_future(backend.pull(timeout=20)) if waiting else None
            await asyncio.sleep(0.01)
            vanish(redis.client)
            await backend.ack(old)  # no harm in it
            await backend.enqueue(Event("NEW"))
            got = await (pulling or backend.pull(timeout=20))
            if got.event_type == "OLD":  # a group made again reads the stream from its beginning
                await backend.ack(got)
                got = await backend.pull(timeout=20)
            assert got.event_type == "NEW"
            await backend.ack(got)
            assert pending(redis) == 0
            assert (await backend.health()).healthy

    go(main())


def test_a_key_of_another_kind(redis):
    redis.client.set(STREAM, "not a stream")

    async def main():
        async with backend_of(redis) as backend:
            for call in (backend.enqueue(Event("A")), backend.pull(timeout=1)):
                with pytest.raises(RuntimeError, match="WRONGTYPE"):
                    await call
            redis.client.delete(STREAM)
            await backend.enqueue(Event("B"))
            assert (await backend.pull(timeout=5)).event_type == "B"

    go(main())


# -- who may do what -------------------------------------------------------------------------------


def test_a_wrong_password(new_redis, caplog):
    server = new_redis(requirepass="right-one")

    async def main():
        backend = backend_of(server, url=server.url_as(password="hush"))
        before = time.monotonic()
        for call in (backend.enqueue(Event("A")), backend.pull(timeout=20)):
            with pytest.raises(PermissionError, match="(?i)WRONGPASS|password") as caught:
                await call
            assert "hush" not in str(caught.value) + repr(caught.value)
        assert time.monotonic() - before < 10 * PATIENCE  # trying again would not help
        health = await backend.health()
        assert not health.healthy and "hush" not in repr(health)
        server.config(requirepass="hush")
        await backend.enqueue(Event("A"))  # as soon as it is the right one
        await backend.close()

    with caplog.at_level(0):
        go(main())
    assert "hush" not in caplog.text
    assert types(server) == ["A"]


def test_no_password_where_one_is_wanted(new_redis):
    server = new_redis(requirepass="x")

    async def main():
        async with backend_of(server, url=f"redis://127.0.0.1:{server.port}") as backend:
            with pytest.raises(PermissionError, match="(?i)NOAUTH|password"):
                await backend.enqueue(Event("A"))

    go(main())


def test_a_user_without_the_right(redis):
    redis.touched = True
    redis.client.acl_setuser("reader", enabled=True, passwords=["+pw"], commands=["+@read"], keys=["*"])

    async def main():
        async with backend_of(redis, url=redis.url_as(user="reader", password="pw")) as backend:
            with pytest.raises(PermissionError, match="NOPERM"):
                await backend.enqueue(Event("A"))

    go(main())


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\1\2\3" * 10, b"$99999999999\r\n", b"+OK\r\n" * 50,
                                  b"-ERR unknown command 'AUTH', with args beginning with: 'hush'\r\n"])
def test_something_else_listens_there(says):
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            with contextlib.suppress(OSError), server.accept()[0] as s:
                s.recv(100)
                s.sendall(says)

    thread = threading.Thread(target=serve)
    thread.start()

    async def main():
        port = server.getsockname()[1]
        async with RedisBackend(f"redis://:hush@127.0.0.1:{port}", timeout=SHORT) as backend:
            with pytest.raises((ConnectionError, RuntimeError, PermissionError)) as caught:
                await backend.enqueue(Event("A"))
            assert str(caught.value) and "hush" not in str(caught.value)

    try:
        go(main())
    finally:
        stop.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        server.close()


# -- poison, foreign and damaged entries -----------------------------------------------------------


@pytest.mark.parametrize("retries", [1, 2, 4])
def test_poison_reaches_the_dead_letters_after_exactly_max_retries(redis, retries):
    async def main():
        async with backend_of(redis, max_retries=retries, claim_min_idle_ms=40) as backend:
            poison = Event("POISON", {"n": 1})
            await backend.enqueue(poison)
            for _ in range(retries):
                assert await backend.pull(timeout=20) == poison
            assert await backend.pull(timeout=0.2) is None
            await aside(wait_until, lambda: dead(redis))
            (letter,) = dead(redis)
            assert Event.model_validate_json(letter["event"]) == poison
            assert str(retries) in letter["reason"]
            assert letter["original_id"] == redis.client.xinfo_stream(STREAM)["last-generated-id"]
            assert pending(redis) == 0
            assert backend.metrics.events_failed == 1
            assert backend.metrics.pending_recovered >= retries - 1

    go(main())


def test_only_the_poisoned_one_is_buried(redis):
    async def main():
        async with backend_of(redis, max_retries=3, claim_min_idle_ms=40) as backend:
            for n in range(10):
                await backend.enqueue(Event("POISON" if n == 4 else "GOOD", {"n": n}))
            good = set()
            while not dead(redis):
                event = await backend.pull(timeout=0.05)
                if event and event.event_type == "GOOD":
                    good.add(event.payload["n"])
                    await backend.ack(event)
            assert good == set(range(10)) - {4}
            assert [json.loads(letter["event"])["payload"]["n"] for letter in dead(redis)] == [4]
            assert pending(redis) == 0

    go(main())


GOOD = {"id": "0e5b5a34-5bd5-4ad5-9d5c-7c1b1e9a4a11", "timestamp": "2025-01-01T00:00:00Z", "event_type": "A", "payload": {}}


def wrong(**change):
    return json.dumps({**GOOD, **change})


DAMAGED = {
    "another field": ({"data": "x"}, "event"),
    "no JSON": ({"event": "hello"}, "JSON"),
    "cut off": ({"event": wrong()[:-5]}, "JSON"),
    "a list": ({"event": "[1]"}, "JSON|object"),
    "empty": ({"event": ""}, "JSON"),
    "bad UTF-8": ({"event": wrong().encode().replace(b'"A"', b'"\xff"')}, "UTF-8|JSON"),
    "lone surrogate": ({"event": wrong(event_type="\ud800")}, "."),
    "NaN": ({"event": wrong(payload={"a": float("nan")})}, "payload|JSON"),
    "no UUID": ({"event": wrong(id="17")}, "id"),
    "no time": ({"event": wrong(timestamp="soon")}, "timestamp"),
    "no zone": ({"event": wrong(timestamp="2025-01-01T00:00:00")}, "timestamp"),
    "no type": ({"event": wrong(event_type="  ")}, "type"),
    "type of another kind": ({"event": wrong(event_type=7)}, "type"),
    "payload of another kind": ({"event": wrong(payload=[1])}, "payload"),
    "a member more": ({"event": wrong(note=1)}, "."),
    "too large": ({"event": wrong(payload={"a": "x" * 1000000})}, "large|size|bytes"),
}


def test_damaged_and_foreign_entries_are_buried_with_the_reason(redis):
    """Among good ones, which are not held up by them."""
    ids = {}
    for name, (fields, _) in DAMAGED.items():
        redis.client.xadd(STREAM, {"event": Event("GOOD").model_dump_json()})
        ids[redis.client.xadd(STREAM, fields)] = name

    async def main():
        async with backend_of(redis) as backend:
            good = await pull_all(backend, len(DAMAGED))
            assert {e.event_type for e in good} == {"GOOD"}
            assert await backend.pull(timeout=0.05) is None
            await aside(wait_until, lambda: redis.client.xlen(DLQ) == len(DAMAGED))
            assert pending(redis) == 0
            assert backend.metrics.events_failed == len(DAMAGED)
            assert backend.metrics.events_pulled == len(DAMAGED)

    go(main())
    raw = redis.client.__class__(port=redis.port)  # some of it is no text
    letters = {letter[b"original_id"].decode(): letter for _, letter in raw.xrange(DLQ)}
    assert {ids[i] for i in letters} == set(DAMAGED)
    for entry, letter in letters.items():
        fields, reason = DAMAGED[ids[entry]]
        assert re.search(reason, letter[b"reason"].decode()), (ids[entry], letter[b"reason"])
        if "event" in fields:
            original = fields["event"]
            assert letter[b"event"] == (original if isinstance(original, bytes) else original.encode())


def test_entries_deleted_while_they_were_pending(redis):
    """XDEL under a pending entry leaves a name without content; it is not handed out and not looped over."""

    async def main():
        async with backend_of(redis) as backend:
            await backend.enqueue(Event("GONE"))
            await backend.pull(timeout=5)
            redis.client.xdel(STREAM, redis.client.xinfo_stream(STREAM)["last-generated-id"])
            await backend.enqueue(Event("B"))
            assert (await backend.pull(timeout=5)).event_type == "B"
            with contextlib.suppress(asyncio.TimeoutError):
                while pending(redis) > 1:
                    await backend.pull(timeout=0.05)
            assert pending(redis) == 1

    go(main())


# -- consumers that die ----------------------------------------------------------------------------

CONSUMER = """
import asyncio, os, sys
from necrostack.backends import RedisBackend
from necrostack.core import Event

async def main(url, point):
    backend = RedisBackend(url, consumer_name="dies", claim_min_idle_ms={idle}, max_retries=3)
    def at(where):
        if where == point:
            if where == "pulled":  # Redis forgets what it has not read yet of a client that died
                import redis
                server = redis.Redis.from_url(url)
                server.ping() and server.ping()
            os.kill(os.getpid(), 9)
    while True:
        event = await backend.pull(timeout=5)
        if event.event_type == "POISON":
            at("pulled")
            acking = asyncio.ensure_future(backend.ack(event))
            await asyncio.sleep(0)
            at("acking")
            await acking
            at("acked")
        else:
            print(event.payload["n"], flush=True)
            await backend.ack(event)

asyncio.run(main(*sys.argv[1:]))
""".replace("{idle}", str(IDLE))


def consumer(redis, point):
    """Runs one that kills itself at that point; the events it acknowledged before."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = subprocess.run([sys.executable, "-c", CONSUMER, redis.url, point], env=env, timeout=60 * PATIENCE,
                           stdout=subprocess.PIPE, check=False)
    assert child.returncode == -signal.SIGKILL
    return [int(line) for line in child.stdout.split()]


@pytest.mark.parametrize("point", ["pulled", "acking", "acked"])
def test_another_takes_over_from_a_consumer_that_was_killed(redis, point):
    for n in range(4):
        redis.client.xadd(STREAM, {"event": Event("POISON" if n == 1 else "GOOD", {"n": n}).model_dump_json()})
    assert consumer(redis, point) == [0]

    async def main():
        async with backend_of(redis, consumer_name="lives") as backend:
            left = {1: (2, 3), 2: (1, 2, 3)}
            got = []
            while not is_used_up(redis):
                event = await backend.pull(timeout=0.05)
                if event:
                    got.append(event.payload["n"])
                    await backend.ack(event)
            allowed = {"pulled": [left[2]], "acked": [left[1]], "acking": list(left.values())}[point]
            assert tuple(sorted(set(got))) in allowed  # twice where a busy machine took longer than IDLE
            assert not redis.client.exists(DLQ)

    go(main())


def test_an_event_that_kills_its_consumers_is_buried_and_no_other(redis):
    """Three die of it; those that were read along with it were not tried and are not counted as tried."""
    for n in range(6):
        redis.client.xadd(STREAM, {"event": Event("POISON" if n == 1 else "GOOD", {"n": n}).model_dump_json()})
    handled = []
    for _ in range(3):
        handled += consumer(redis, "pulled")

    async def main():
        async with backend_of(redis, consumer_name="lives", max_retries=3) as backend:
            while not is_used_up(redis) or not dead(redis):
                event = await backend.pull(timeout=0.05)
                if event:
                    handled.append(event.payload["n"])
                    await backend.ack(event)

    go(main())
    assert [json.loads(letter["event"])["payload"]["n"] for letter in dead(redis)] == [1]
    assert sorted(set(handled)) == [0, 2, 3, 4, 5]  # twice where a busy machine took longer than IDLE


def test_what_was_read_ahead_is_given_back_by_close(redis):
    """The next consumer has it at once, as an event that nobody tried."""

    async def main():
        async with backend_of(redis, consumer_name="first", claim_min_idle_ms=600000) as first:
            for n in range(10):
                await first.enqueue(Event("N", {"n": n}))
            await first.ack(await first.pull(timeout=5))
        async with backend_of(redis, consumer_name="second", claim_min_idle_ms=600000, max_retries=1) as second:
            assert [e.payload["n"] for e in await pull_all(second, 9)] == list(range(1, 10))

    go(main())
