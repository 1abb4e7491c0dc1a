# SPDX-License-Identifier: Apache-2.0
"""What is measured of necrostack, each in a Python of its own: event_programs.py NAME COUNT [LOG FILE]
prints one number: seconds for each call of a handler, or bytes for each event that waits."""

import asyncio
import logging
import resource
import sys
import time

from necrostack import Event, InMemoryBackend, Organ, Spine

LOGGER = logging.getLogger("necrostack.spine")


class Step(Organ):
    """The chain: reads its event and emits the next one."""

    listens_to = ["STEP"]

    def __init__(self, count):
        super().__init__()
        self.count = count

    def handle(self, event):
        n = event.payload["n"]
        return Event("STEP", {"n": n + 1, "name": "step"}) if n < self.count else None


class Read(Organ):
    calls = 0

    def __init__(self, listens_to, name=None):
        super().__init__(name)
        self.listens_to = [listens_to]

    def handle(self, event):
        self.calls += event.payload["n"] > 0


class Spread(Step):
    """One event becomes a thousand, and itself again."""

    listens_to = ["SPREAD"]

    def handle(self, event):
        n = event.payload["n"]
        events = [Event("WORK", {"n": n, "name": "step"}) for _ in range(1000)]
        if n < self.count:
            events.append(Event("SPREAD", {"n": n + 1}))
        return events


def timed(organs, event_type, calls):
    """Seconds for each call."""
    async def run():
        spine = Spine(organs, InMemoryBackend(), max_steps=10 * calls)
        begun = time.perf_counter()
        stats = await spine.run(Event(event_type, {"n": 1, "name": "step"}))
        return time.perf_counter() - begun, stats

    seconds, stats = asyncio.run(run())
    assert stats.handler_errors == stats.enqueue_failures == 0, stats
    return seconds / calls


def chain(count):
    return timed([Step(count)], "STEP", count)


def chain_with_logs(count, path):
    """Two lines for each event, to a file."""
    from necrostack.core.logging import JSONFormatter

    with open(path, "w", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(JSONFormatter())
        LOGGER.handlers[:] = [handler]
        LOGGER.propagate = False
        LOGGER.setLevel(logging.INFO)
        return chain(count)


def ten_organs(count):
    events = count // 10
    readers = [Read("STEP", f"reader{i}") for i in range(9)]
    each = timed([Step(events), *readers], "STEP", events * 10)
    assert sum(reader.calls for reader in readers) == events * 9
    return each


def fan_out(count):
    reader, rounds = Read("WORK"), count // 1000
    each = timed([Spread(rounds), reader], "SPREAD", rounds * 1001)
    assert reader.calls == rounds * 1000
    return each


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def queued(count):
    """The payloads alone are held first, then the events of such payloads."""
    begun = resident()
    payloads = [{"n": n, "name": "step"} for n in range(10**6, 10**6 + count)]
    alone = resident() - begun - payloads.__sizeof__()

    async def fill():
        backend = InMemoryBackend()
        before = resident()
        for n in range(2 * 10**6, 2 * 10**6 + count):
            await backend.enqueue(Event("STEP", {"n": n, "name": "step"}))
        assert backend.qsize() == count
        return resident() - before

    return (asyncio.run(fill()) - alone) / count


def main():
    LOGGER.setLevel(logging.WARNING)
    name, count, *more = sys.argv[1:]
    programs = {f.__name__: f for f in (chain, chain_with_logs, ten_organs, fan_out, queued)}
    print(programs[name](int(count), *more))


if __name__ == "__main__":
    main()
