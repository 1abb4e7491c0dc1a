# SPDX-License-Identifier: Apache-2.0
"""Commands on one side, a view for questions on the other (CQRS).

    python3 cqrs_orders.py

Commands go to the organs that decide (CreateOrder, AddItem); what they decide are events; UpdateOrderView makes
of these a view in the shape in which it is asked. An event says which version of the order it makes, and the
view takes each version once and in order, so a repeated event changes nothing. The view can be thrown away and
made again from the events.
"""

import asyncio

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine


class Orders:
    """The write side's own store: what is needed to decide, and what became of each command."""

    def __init__(self):
        self.versions = {}
        self.decided = {}  # id of a command -> event

    def next_version(self, order):
        self.versions[order] = self.versions.get(order, 0) + 1
        return self.versions[order]


class Command(Organ):
    """A command that comes again is not decided again."""

    def __init__(self, orders):
        super().__init__()
        self.orders = orders

    def handle(self, event):
        if event.id not in self.orders.decided:
            self.orders.decided[event.id] = self.decide(event)
        return self.orders.decided[event.id]

    def refuse(self, event, reason):
        facts = {"command": event.event_type, "order": event.payload["order"], "reason": reason}
        return Event("COMMAND_REFUSED", facts)


class CreateOrder(Command):
    listens_to = ["CREATE_ORDER_COMMAND"]

    def decide(self, event):
        order = event.payload["order"]
        if order in self.orders.versions:
            return self.refuse(event, "it exists")
        facts = {"order": order, "version": self.orders.next_version(order), "customer": event.payload["customer"]}
        return Event("ORDER_CREATED", facts)


class AddItem(Command):
    listens_to = ["ADD_ITEM_COMMAND"]

    def decide(self, event):
        order, item, price = (event.payload[field] for field in ("order", "item", "price"))
        if order not in self.orders.versions:
            return self.refuse(event, "no such order")
        if price < 0:
            return self.refuse(event, "a price is not negative")
        facts = {"order": order, "version": self.orders.next_version(order), "item": item, "price": price}
        return Event("ITEM_ADDED", facts)


class UpdateOrderView(Organ):
    """The read side: what a customer has ordered, and for how much."""

    listens_to = ["ORDER_CREATED", "ITEM_ADDED"]

    def __init__(self):
        super().__init__()
        self.orders = {}

    def handle(self, event):
        change = event.payload
        row = self.orders.setdefault(change["order"], {"version": 0, "items": [], "total": 0})
        if change["version"] <= row["version"]:
            return
        if event.event_type == "ORDER_CREATED":
            row["customer"] = change["customer"]
        else:
            row["items"].append(change["item"])
            row["total"] += change["price"]
        row["version"] = change["version"]

    def of_customer(self, customer):
        return {order: row["total"] for order, row in self.orders.items() if row["customer"] == customer}


class Record(Organ):
    """Keeps the events, in order. A database in earnest."""

    listens_to = [*UpdateOrderView.listens_to, "COMMAND_REFUSED"]

    def __init__(self):
        super().__init__()
        self.events = []

    def handle(self, event):
        self.events.append(event)


def rebuilt(events):
    """A view made from the beginning; handlers are ordinary methods."""
    view = UpdateOrderView()
    for event in events:
        if event.event_type in view.listens_to:
            view.handle(event)
    return view


def build(backend, view, record):
    orders = Orders()
    return Spine(organs=[CreateOrder(orders), AddItem(orders), view, record], backend=backend)


COMMANDS = [
    Event("CREATE_ORDER_COMMAND", {"order": "A1", "customer": "ada"}),
    Event("ADD_ITEM_COMMAND", {"order": "A1", "item": "lamp", "price": 40}),
    Event("ADD_ITEM_COMMAND", {"order": "A1", "item": "table", "price": 300}),
    Event("CREATE_ORDER_COMMAND", {"order": "A2", "customer": "ada"}),
    Event("ADD_ITEM_COMMAND", {"order": "A2", "item": "pen", "price": 2}),
    Event("ADD_ITEM_COMMAND", {"order": "A9", "item": "pen", "price": 2}),
]


async def main():
    backend = InMemoryBackend()
    view, record = UpdateOrderView(), Record()
    spine = build(backend, view, record)
    for command in [*COMMANDS, COMMANDS[1]]:  # one of them comes twice
        await spine.run(command)
    print("ada:", view.of_customer("ada"))
    print("A1:", view.orders["A1"])
    for event in record.events:
        if event.event_type == "COMMAND_REFUSED":
            print("refused:", event.payload["command"], event.payload["order"], event.payload["reason"])
    twice = [event for event in record.events for _ in range(2)]
    print("made again from the record, each event twice:", rebuilt(twice).orders == view.orders)


if __name__ == "__main__":
    asyncio.run(main())
