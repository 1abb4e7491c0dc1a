# SPDX-License-Identifier: Apache-2.0
"""An order as a saga: each step is an organ, and a step that fails undoes those before it.

    python3 order_saga.py

    ORDER_PLACED ─ TakePayment ─ PAYMENT_PROCESSED ─ ReserveStock ─ INVENTORY_RESERVED ─ Ship ─ ORDER_CONFIRMED
                       │                                 │                                 │
                 PAYMENT_FAILED                   INVENTORY_FAILED                  SHIPPING_FAILED
                       │                                 │                                 │
                       │                                 │                       RELEASE_INVENTORY ─┐
                       │                          REFUND_PAYMENT <──────────────────────────────────┘
                       └───────── ORDER_CANCELLED <──────┘

Steps and their undoing are keyed by the order, so each may be run twice: what is done is not done again, and
what was never done is undone without harm.
"""

import asyncio

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine


class Bank:
    def __init__(self, limit):
        self.limit = limit
        self.charges = {}  # order -> amount; 0 once it is refunded

    def charge(self, order, amount):
        if order in self.charges:
            return True
        if amount > self.limit:
            return False
        self.charges[order] = amount
        return True

    def refund(self, order):
        """What was paid back: 0 the second time, and where nothing had been paid."""
        paid = self.charges.get(order, 0)
        if paid:
            self.charges[order] = 0
        return paid


class Warehouse:
    def __init__(self, stock):
        self.stock = dict(stock)
        self.reserved = {}  # order -> item; None once it is released

    def reserve(self, order, item):
        if order in self.reserved:
            return True
        if self.stock.get(item, 0) == 0:
            return False
        self.stock[item] -= 1
        self.reserved[order] = item
        return True

    def release(self, order):
        item = self.reserved.get(order)
        if item is not None:
            self.stock[item] += 1
            self.reserved[order] = None


class TakePayment(Organ):
    listens_to = ["ORDER_PLACED"]

    def __init__(self, bank):
        super().__init__()
        self.bank = bank

    def handle(self, event):
        if self.bank.charge(event.payload["order"], event.payload["amount"]):
            return Event("PAYMENT_PROCESSED", event.payload)
        return Event("PAYMENT_FAILED", {**event.payload, "reason": "the card is declined"})


class ReserveStock(Organ):
    listens_to = ["PAYMENT_PROCESSED"]

    def __init__(self, warehouse):
        super().__init__()
        self.warehouse = warehouse

    def handle(self, event):
        if self.warehouse.reserve(event.payload["order"], event.payload["item"]):
            return Event("INVENTORY_RESERVED", event.payload)
        return Event("INVENTORY_FAILED", {**event.payload, "reason": "out of stock"})


class Ship(Organ):
    listens_to = ["INVENTORY_RESERVED"]

    def handle(self, event):
        if event.payload["country"] == "Atlantis":
            return Event("SHIPPING_FAILED", {**event.payload, "reason": "nobody delivers to Atlantis"})
        return Event("ORDER_CONFIRMED", event.payload)


class Compensate(Organ):
    """Which undoing a failure begins with. The rest follows from there."""

    listens_to = ["PAYMENT_FAILED", "INVENTORY_FAILED", "SHIPPING_FAILED"]
    begins_with = {
        "PAYMENT_FAILED": "ORDER_CANCELLED",
        "INVENTORY_FAILED": "REFUND_PAYMENT",
        "SHIPPING_FAILED": "RELEASE_INVENTORY",
    }

    def handle(self, event):
        return Event(self.begins_with[event.event_type], event.payload)


class ReleaseStock(Organ):
    listens_to = ["RELEASE_INVENTORY"]

    def __init__(self, warehouse):
        super().__init__()
        self.warehouse = warehouse

    def handle(self, event):
        self.warehouse.release(event.payload["order"])
        return Event("REFUND_PAYMENT", event.payload)


class Refund(Organ):
    listens_to = ["REFUND_PAYMENT"]

    def __init__(self, bank):
        super().__init__()
        self.bank = bank

    def handle(self, event):
        self.bank.refund(event.payload["order"])
        return Event("ORDER_CANCELLED", event.payload)


class Tell(Organ):
    listens_to = ["ORDER_CONFIRMED", "ORDER_CANCELLED"]

    def __init__(self):
        super().__init__()
        self.told = {}

    def handle(self, event):
        order = event.payload["order"]
        if order not in self.told:
            self.told[order] = event.event_type
            print(f"{order}: {event.event_type} {event.payload.get('reason', '')}".rstrip())


def build(backend, bank, warehouse):
    steps = [TakePayment(bank), ReserveStock(warehouse), Ship()]
    undoing = [Compensate(), ReleaseStock(warehouse), Refund(bank)]
    return Spine(organs=[*steps, *undoing, Tell()], backend=backend)


ORDERS = [
    {"order": "A1", "item": "lamp", "amount": 40, "country": "Peru"},
    {"order": "A2", "item": "yacht", "amount": 9_000_000, "country": "Peru"},
    {"order": "A3", "item": "table", "amount": 300, "country": "Peru"},
    {"order": "A4", "item": "lamp", "amount": 40, "country": "Atlantis"},
]


async def main():
    bank, warehouse = Bank(limit=1000), Warehouse({"lamp": 3, "table": 0})
    backend = InMemoryBackend()
    spine = build(backend, bank, warehouse)
    # The first order comes twice, as it does where delivery is at least once.
    for order in [*ORDERS, ORDERS[0]]:
        await spine.run(Event("ORDER_PLACED", order))
    print("paid:", bank.charges)
    print("stock:", warehouse.stock)


if __name__ == "__main__":
    asyncio.run(main())
