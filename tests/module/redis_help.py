# SPDX-License-Identifier: Apache-2.0
"""What several tests of the Redis backend need."""

import asyncio

from station import PATIENCE

STREAM = "necrostack:events"
PENDING = {"pending": 0, "min": None, "max": None, "consumers": []}  # redis-py's word for none


def go(coroutine, timeout=30.0):
    """asyncio.run(), but not for ever."""

    async def bounded():
        return await asyncio.wait_for(coroutine, timeout * PATIENCE)

    return asyncio.run(bounded())


def pending(redis, stream=STREAM, group="necrostack"):
    """How many entries are delivered and not acknowledged."""
    return redis.client.xpending(stream, group)["pending"]


def is_used_up(redis, stream=STREAM, group="necrostack"):
    """Everything was delivered and acknowledged. What is not read yet is not pending: how much a consumer
    fetches at once depends on how fast it is."""
    read = next(g["last-delivered-id"] for g in redis.client.xinfo_groups(stream) if g["name"] == group)
    return read == redis.client.xinfo_stream(stream)["last-generated-id"] and not pending(redis, stream, group)


async def pull_all(backend, count=None, ack=True):
    """The next `count` events; without a number, all that come without waiting for them."""
    out = []
    while count is None or len(out) < count:
        event = await backend.pull(timeout=0.1 * PATIENCE if count is None else 20 * PATIENCE)
        if event is None:
            assert count is None, f"{len(out)} events instead of {count}"
            break
        out.append(event)
        if ack:
            await backend.ack(event)
    return out
