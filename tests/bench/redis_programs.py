# SPDX-License-Identifier: Apache-2.0
"""What is measured of necrostack on Redis, each in a Python of its own: redis_programs.py NAME COUNT URL
prints the seconds for each event."""

import asyncio
import logging
import sys
import time

from necrostack import Event, Organ, RedisBackend, Spine


class Counts(Organ):
    """Stops its Spine at the last one."""

    listens_to = ["STEP", "JOB"]

    def __init__(self, count):
        super().__init__()
        self.left = count
        self.spine = None
        self.begun = None

    def handle(self, event):
        n = event.payload["n"]
        if self.begun is None:  # connections and group are made
            self.begun = time.perf_counter()
        self.left -= 1
        if self.left == 0:
            self.spine.stop()
        elif event.event_type == "STEP":
            return Event("STEP", {"n": n + 1, "name": "step"})
        return None


async def timed(url, count, start=None):
    async with RedisBackend(url, claim_min_idle_ms=60000) as backend:
        organ = Counts(count)
        organ.spine = Spine([organ], backend, max_steps=10 * count)
        await organ.spine.run(start)
        return (time.perf_counter() - organ.begun) / count


async def chain(url, count):
    """Each handled event emits the next: one event is under way at any time."""
    return await timed(url, count, Event("STEP", {"n": 1, "name": "step"}))


async def drain(url, count):
    """All of them wait already."""
    async with RedisBackend(url) as backend:
        for begin in range(0, count, 500):
            events = [Event("JOB", {"n": n, "name": "job"}) for n in range(begin, min(begin + 500, count))]
            await asyncio.gather(*map(backend.enqueue, events))
    return await timed(url, count)


if __name__ == "__main__":
    logging.getLogger("necrostack.spine").setLevel(logging.WARNING)
    print(asyncio.run({"chain": chain, "drain": drain}[sys.argv[1]](sys.argv[3], int(sys.argv[2]))))
