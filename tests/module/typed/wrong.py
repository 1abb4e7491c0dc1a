# SPDX-License-Identifier: Apache-2.0
"""Each line with a mark is an error of the kind that the mark names; mypy must find them all."""

from necrostack import Event, InMemoryBackend, Organ, RedisBackend, Spine

Event(7)  # arg-type
Event("A", [1])  # arg-type
Event("A", {1: 2})  # dict-item
Event("A", kind="x")  # call-arg
Event("A").payload = {}  # misc
Event("A").colour  # attr-defined


class Wrong(Organ):
    listens_to = "A"  # assignment

    def handle(self, event: Event) -> int:  # override
        return 1


class Headless(Organ):
    listens_to = ["A"]


class NoBackend:
    async def enqueue(self, event: Event) -> None:
        return None


Headless()  # abstract
Spine([Event("A")], InMemoryBackend())  # list-item
Spine([], NoBackend())  # arg-type
Spine([], InMemoryBackend(), max_steps="many")  # arg-type
Spine([], InMemoryBackend(), patience=3)  # call-arg
InMemoryBackend(max_size="x")  # arg-type
RedisBackend()  # call-arg


async def main() -> None:
    count: str = (await Spine([], InMemoryBackend()).run()).events_processed  # assignment
    print(count, (await InMemoryBackend().pull()).id)  # union-attr
    await InMemoryBackend().enqueue("A")  # arg-type
