# SPDX-License-Identifier: Apache-2.0
"""A backend, a store of failed events and an event class of one's own; what events can do."""

import asyncio
import json
import logging
from collections import deque
from datetime import timezone
from typing import Optional

from necrostack.core.event import MAX_PAYLOAD_SIZE, Event
from necrostack.core.organ import Organ
from necrostack.core.spine import EnqueueError, EnqueueFailureMode, Spine

logging.getLogger("necrostack.spine").setLevel(logging.CRITICAL)


class PriorityBackend:
    """Urgent events overtake."""

    def __init__(self, room=100):
        self.urgent, self.others, self.room, self.acked = deque(), deque(), room, []

    async def enqueue(self, event: Event) -> None:
        if len(self.urgent) + len(self.others) >= self.room:
            raise RuntimeError("backend full")
        (self.urgent if event.payload.get("urgent") else self.others).append(event)

    async def pull(self, timeout: float = 1.0) -> Optional[Event]:
        if self.urgent:
            return self.urgent.popleft()
        if self.others:
            return self.others.popleft()
        await asyncio.sleep(min(timeout, 0.01))
        return None

    async def ack(self, event: Event) -> None:
        self.acked.append(event.id)


class FileStore:
    def __init__(self):
        self.lines = []

    async def store(self, event: Event, error: Exception) -> None:
        self.lines.append(json.dumps({"event": event.model_dump(mode="json"), "error": str(error)}))


class Patient(Organ):
    listens_to = ["ADMITTED", "DISCHARGED"]

    def __init__(self):
        super().__init__()
        self.spine = None
        self.order = []

    async def handle(self, event: Event):
        self.order.append(event.payload["n"])
        if event.event_type == "DISCHARGED":
            self.spine.stop()
            return None
        if event.payload["n"] == 0:
            return [Event("ADMITTED", {"n": 1}), Event("ADMITTED", {"n": 2, "urgent": True}),
                    Event("DISCHARGED", {"n": 3})]


async def overtaking():
    backend, organ = PriorityBackend(), Patient()
    organ.spine = Spine([organ], backend)
    stats = await organ.spine.run(Event("ADMITTED", {"n": 0}))
    print(organ.order, len(backend.acked), stats.events_processed)


async def full():
    for mode in (EnqueueFailureMode.STORE, EnqueueFailureMode.FAIL):
        store, organ = FileStore(), Patient()
        organ.spine = Spine([organ], PriorityBackend(room=2), enqueue_failure_mode=mode,
                            failed_event_store=store)
        running = asyncio.create_task(organ.spine.run(Event("ADMITTED", {"n": 0})))
        try:
            while len(store.lines) < 1 and not running.done():
                await asyncio.sleep(0.001)
            organ.spine.stop()
            await running
        except EnqueueError as error:
            print("EnqueueError:", error.original)
        for line in store.lines:
            failed = json.loads(line)
            print(failed["event"]["event_type"], failed["error"])
        print(organ.spine.get_enqueue_failure_count())


def events():
    event = Event(event_type="  ADMITTED ", payload={"n": 1})
    print(event.event_type, event.timestamp.tzinfo == timezone.utc, len(event.id))
    same = Event.model_validate_json(event.model_dump_json())
    print(same == event, Event.model_validate(event.model_dump()) == event, hash(same) == hash(event))
    for wrong in ({"event_type": ""}, {"event_type": "A", "payload": {"x": object()}},
                  {"event_type": "A", "payload": {"x": "y" * MAX_PAYLOAD_SIZE}},
                  {"event_type": "A", "colour": "black"}):
        try:
            Event(**wrong)
        except ValueError as error:
            print(type(error).__name__)
    try:
        event.payload = {}
    except Exception as error:
        print("frozen", isinstance(error, (AttributeError, ValueError)))


if __name__ == "__main__":
    asyncio.run(overtaking())
    asyncio.run(full())
    events()
