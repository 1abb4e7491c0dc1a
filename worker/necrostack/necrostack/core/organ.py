# SPDX-License-Identifier: Apache-2.0
"""Organ: what handles events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Awaitable, Union

if TYPE_CHECKING:
    from necrostack.core.event import Event

__all__ = ["Organ"]


class _ClassName:
    """The name of the class, until the instance is given one of its own."""

    def __get__(self, organ: Any, owner: type) -> str:
        return owner.__name__


class Organ(ABC):
    """Handles the events whose types are in `listens_to`.

    The Spine reads `listens_to` once, when it is made.
    """

    listens_to: list[str] = []
    # Not a property: a subclass may never call __init__, and may set a name of its own anyhow.
    name: str = _ClassName()  # type: ignore[assignment]

    def __init__(self, name: Union[str, None] = None) -> None:
        if name is not None:
            self.name = name

    @abstractmethod
    def handle(
        self, event: Event
    ) -> Union[Event, list[Event], None, Awaitable[Union[Event, list[Event], None]]]:
        """Handle one event; may be `async def`. What it returns is emitted."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} listens_to={self.listens_to!r}>"
