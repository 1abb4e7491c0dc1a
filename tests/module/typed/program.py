# SPDX-License-Identifier: Apache-2.0
"""A typed program that uses all of necrostack: mypy --strict finds nothing in it."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Optional

import necrostack
from necrostack import EnqueueFailureMode, HandlerFailureMode, ValidationError
from necrostack.backends import InMemoryBackend, RedisBackend
from necrostack.backends.base import Backend
from necrostack.backends.inmemory import BackendFullError
from necrostack.backends.redis_backend import BackendHealth, RedisMetrics
from necrostack.core import Event, Organ, Spine
from necrostack.core.event import MAX_PAYLOAD_SIZE
from necrostack.core.logging import JSONFormatter, configure_spine_logger, get_logger
from necrostack.core.spine import (BackendUnavailableError, EnqueueError, FailedEventStore,
                                   InMemoryFailedEventStore, SpineStats)

version: str = necrostack.__version__
limit: int = MAX_PAYLOAD_SIZE


class Greeting(Event):
    """An event of one's own."""

    @property
    def whom(self) -> str:
        return str(self.payload["name"])


class Greet(Organ):
    listens_to = ["HELLO"]

    def handle(self, event: Event) -> Event | None:
        return Event("GREETED", {"name": event.payload["name"], "id": event.id})


class Slow(Organ):
    listens_to = ["GREETED"]

    def __init__(self) -> None:
        super().__init__("slow")
        self.seen: list[datetime] = []

    async def handle(self, event: Event) -> list[Event]:
        await asyncio.sleep(0)
        self.seen.append(event.timestamp)
        return [Event(event_type="A"), Event("B", {}), event.model_copy(update={"payload": {}})]


class Silent(Organ):
    listens_to = ["A", "B"]

    def handle(self, event: Event) -> None:
        print(self.name, event.model_dump(mode="json"), event.model_dump_json())


class Queue:
    """A backend of one's own: no base class is needed."""

    def __init__(self) -> None:
        self.waiting: list[Event] = []

    async def enqueue(self, event: Event) -> None:
        self.waiting.append(event)

    async def pull(self, timeout: float = 1.0) -> Event | None:
        return self.waiting.pop(0) if self.waiting else None

    async def ack(self, event: Event) -> None:
        return None


class Loud(InMemoryBackend):
    """A built-in one with one method changed."""

    async def enqueue(self, event: Event) -> None:
        print(event.event_type)
        await super().enqueue(event)


class Keep:
    """A failed-event store of one's own."""

    async def store(self, event: Event, error: Exception) -> None:
        print(event.id, error)


def backends() -> list[Backend]:
    return [Queue(), Loud(), InMemoryBackend(max_size=10), RedisBackend("redis://localhost")]


def read(text: str | bytes) -> Optional[Event]:
    try:
        return Greeting.model_validate_json(text)
    except ValidationError as error:
        details: list[dict[str, Any]] = error.errors()
        print(details[0]["loc"], details[0]["msg"])
        return None


async def main() -> None:
    store: FailedEventStore = Keep()
    spine = Spine(organs=[Greet(), Slow(), Silent()], backend=Queue(), max_steps=100,
                  enqueue_failure_mode=EnqueueFailureMode.RETRY,
                  handler_failure_mode=HandlerFailureMode.NACK, failed_event_store=store,
                  retry_attempts=5, retry_base_delay=0.5, max_consecutive_backend_failures=3,
                  handler_timeout=None)
    try:
        stats: SpineStats = await spine.run(Greeting("HELLO", {"name": "you"}))
        count: int = stats.events_processed + spine.get_enqueue_failure_count("A")
        print(count, spine.get_stats().handler_errors)
        await spine.run_forever()
    except BackendUnavailableError as error:
        print(error.failure_count, error.last_error)
    except EnqueueError as error:
        print(error.original)
    except BackendFullError:
        spine.stop()


async def failed(spine: Spine) -> list[tuple[Event, Exception]]:
    kept = InMemoryFailedEventStore()
    await kept.store(Event("A"), ValueError("no"))
    print(len(kept), kept.dropped_count, kept.get_all())
    kept.clear()
    return kept.get_failed_events()


async def redis() -> None:
    async with RedisBackend(redis_url="redis://localhost", stream_key="s", consumer_group="g",
                            consumer_name="c", pool_size=2, max_retries=1, claim_min_idle_ms=10,
                            dlq_stream="d") as backend:
        event = await backend.pull(timeout=0.5)
        if event is not None:
            await backend.nack(event, "not wanted")
        metrics: RedisMetrics = backend.metrics
        health: BackendHealth = await backend.health()
        print(metrics.events_enqueued, health.healthy, health.latency_ms, health.details)
        await backend.delete_stream()


def logs() -> logging.Logger:
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    configure_spine_logger(level=logging.DEBUG)
    return get_logger("mine")


if __name__ == "__main__":
    asyncio.run(main())
