# SPDX-License-Identifier: Apache-2.0
"""A worker of a consumer group, with a poison event: redis_worker.py URL"""

import asyncio
import logging
import sys

from necrostack.backends.redis_backend import RedisBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.logging import configure_spine_logger
from necrostack.core.spine import HandlerFailureMode


class Resize(Organ):
    listens_to = ["IMAGE_UPLOADED"]

    async def handle(self, event: Event):
        if event.payload["width"] <= 0:
            raise ValueError("no such image")
        await asyncio.sleep(0)
        return Event(event_type="IMAGE_RESIZED", payload={"name": event.payload["name"]})


class Publish(Organ):
    listens_to = ["IMAGE_RESIZED"]

    def __init__(self):
        super().__init__()
        self.names = set()  # at least once: a slow machine sees one again
        self.enough = asyncio.Event()

    def handle(self, event: Event):
        self.names.add(event.payload["name"])
        if len(self.names) == 3:
            self.enough.set()


async def main(url: str) -> None:
    configure_spine_logger(level=logging.CRITICAL)
    backend = RedisBackend(redis_url=url, stream_key="images", consumer_group="resizers",
                           consumer_name="resizer-1", max_retries=2, claim_min_idle_ms=100)
    for name, width in (("a", 10), ("b", 0), ("c", 30), ("d", 20)):
        await backend.enqueue(Event(event_type="IMAGE_UPLOADED",
                                    payload={"name": name, "width": width}))
    publish = Publish()
    spine = Spine(organs=[Resize(), publish], backend=backend,
                  handler_failure_mode=HandlerFailureMode.NACK)
    running = asyncio.create_task(spine.run())
    await asyncio.wait_for(publish.enough.wait(), timeout=60)
    while backend.metrics.events_failed == 0:
        await asyncio.sleep(0.01)
    spine.stop()
    stats = await asyncio.wait_for(running, timeout=60)
    health = await backend.health()
    print(sorted(publish.names), stats.events_emitted >= 3, stats.handler_errors >= 1)
    print(health.healthy, health.details["consumer_group"], health.details["consumer_name"])
    print(backend.metrics.events_enqueued >= 7, backend.metrics.events_failed >= 1)
    await backend.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
