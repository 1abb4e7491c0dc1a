# SPDX-License-Identifier: Apache-2.0
"""What a backend is: any object with these three methods."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from necrostack.core.event import Event

__all__ = ["Backend"]


@runtime_checkable
class Backend(Protocol):
    """Where events wait. May also have nack(event, reason), for events that are not wanted again."""

    async def enqueue(self, event: Event) -> None:
        """The event is kept; an exception says that it is not."""

    async def pull(self, timeout: float = 1.0) -> Event | None:
        """The next event; None when there was none within `timeout` seconds."""

    async def ack(self, event: Event) -> None:
        """The event was handled: it is not to come again."""
