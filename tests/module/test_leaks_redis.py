# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind by connections to a Redis, however they end; descriptors neither."""

import asyncio
import contextlib
import logging
import os

import pytest
import station
from leak_loops import check, loop, older_objects_aside  # noqa: F401 - fixtures
from necrostack.backends import RedisBackend
from necrostack.core import Event, Organ
from necrostack.core.logging import get_logger
from necrostack.core.spine import Spine

pytestmark = pytest.mark.skipif(station.SANITIZED, reason="ASan's allocator keeps what is freed")

PAYLOAD = {"text": "é\n", "list": [1, -2.5, None], "big": 10**40}


async def in_and_out(url):
    async with RedisBackend(url) as backend:
        await backend.enqueue(Event("A", PAYLOAD))
        await backend.enqueue(Event("B"))
        await backend.ack(await backend.pull(timeout=5))
        await backend.nack(await backend.pull(timeout=5), "not wanted")
        assert await backend.pull(timeout=0) is None
        assert backend.metrics.events_pulled == 2
    await backend.close()


async def health(url):
    async with RedisBackend(url) as backend:
        assert (await backend.health()).healthy


async def not_handled(url):
    async with RedisBackend(url) as backend:
        await backend.enqueue(Event("A", PAYLOAD))
        await backend.pull(timeout=5)
        await backend.delete_stream()


async def damaged(url):
    async with RedisBackend(url, stream_key="damaged") as backend:
        await backend.pull(timeout=0)


async def cancelled(url):
    async with RedisBackend(url, stream_key="none") as backend:
        task = asyncio.ensure_future(backend.pull(timeout=60))
        await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def never_closed(url):
    backend = RedisBackend(url)
    await backend.enqueue(Event("A"))


async def never_used(url):
    RedisBackend(url)
    for wrong in ("http://x", "redis://x:0", 5, "redis://h/x"):
        with contextlib.suppress(TypeError, ValueError):
            RedisBackend(wrong)


async def wrong_password(url):
    async with RedisBackend(url.replace("//", "//:wrong@")) as backend:
        with contextlib.suppress(Exception):
            await backend.enqueue(Event("A"))


class CountDown(Organ):
    listens_to = ["A"]

    def handle(self, event):
        if event.payload["n"] == 0:
            self.spine.stop()
            return None
        return [Event("A", {"n": event.payload["n"] - 1}), Event("B", PAYLOAD)]


async def chain(url):
    async with RedisBackend(url, stream_key="chain") as backend:
        organ = CountDown()
        organ.spine = Spine([organ], backend)
        await organ.spine.run(Event("A", {"n": 2}))
        await backend.delete_stream()


OPERATIONS = [in_and_out, health, not_handled, damaged, cancelled, never_closed, never_used,
              wrong_password, chain]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
def test_operation_on_redis(operation, loop, redis):
    get_logger().setLevel(logging.CRITICAL)
    for _ in range(300 if operation is damaged else 0):
        redis.client.xadd("damaged", {"event": '{"event_type": 1}'})
    loop.run_until_complete(operation(redis.url))
    before = descriptors()
    check(lambda: loop.run_until_complete(operation(redis.url)))
    assert descriptors() <= before + 1
