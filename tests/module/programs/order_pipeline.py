# SPDX-License-Identifier: Apache-2.0
"""Orders in memory: keyword events, sync and async organs, fan-out, a handler that fails, stats."""

import asyncio
import logging
from typing import List, Optional, Union

from necrostack.backends.inmemory import InMemoryBackend
from necrostack.core.event import Event
from necrostack.core.organ import Organ
from necrostack.core.spine import HandlerFailureMode, InMemoryFailedEventStore, Spine


class ValidateOrder(Organ):
    listens_to: List[str] = ["ORDER_CREATED"]

    def handle(self, event: Event) -> Optional[Event]:
        if not event.payload.get("items"):
            return Event(event_type="ORDER_REJECTED", payload={"reason": "no items"})
        return Event(event_type="ORDER_VALIDATED", payload=event.payload)


class ReserveStock(Organ):
    listens_to = ["ORDER_VALIDATED"]

    def __init__(self, stock):
        super().__init__(name="stock")
        self.stock = dict(stock)

    async def handle(self, event: Event) -> Union[Event, List[Event], None]:
        await asyncio.sleep(0.001)
        events = []
        for item in event.payload["items"]:
            self.stock[item] -= 1  # an unknown item is a KeyError
            events.append(Event(event_type="ITEM_RESERVED", payload={"item": item}))
        return events


class Report(Organ):
    listens_to = ["ITEM_RESERVED", "ORDER_REJECTED"]

    def handle(self, event: Event) -> None:
        data = event.model_dump(mode="json")
        print(data["event_type"], data["payload"])


async def main() -> None:
    logging.getLogger("necrostack.spine").setLevel(logging.CRITICAL)
    store = InMemoryFailedEventStore()
    stock = ReserveStock({"skull": 3, "candle": 1})
    for items in (["skull", "candle"], [], ["raven"]):
        spine = Spine(organs=[ValidateOrder(), stock, Report()], backend=InMemoryBackend(),
                      max_steps=100, handler_failure_mode=HandlerFailureMode.STORE,
                      failed_event_store=store)
        stats = await spine.run(Event(event_type="ORDER_CREATED", payload={"items": items}))
        print(stats.events_processed, stats.events_emitted, stats.handler_errors)
    for event, error in store.get_failed_events():
        print(event.event_type, repr(error))
    print(stock.stock)


if __name__ == "__main__":
    asyncio.run(main())
