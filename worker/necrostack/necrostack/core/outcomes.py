# SPDX-License-Identifier: Apache-2.0
"""How a Spine treats failures and what it tells of a run; necrostack.core.spine shows all of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from necrostack.core.event import Event

__all__ = [
    "BackendUnavailableError",
    "EnqueueError",
    "EnqueueFailureMode",
    "FailedEventStore",
    "HandlerFailureMode",
    "SpineStats",
]


class EnqueueFailureMode(Enum):
    """What happens to an emitted event that the backend does not take."""

    FAIL = "fail"
    RETRY = "retry"
    STORE = "store"


class HandlerFailureMode(Enum):
    """What happens to an event whose handler raised."""

    LOG = "log"
    STORE = "store"
    NACK = "nack"


@dataclass
class SpineStats:
    """What one run has done."""

    events_processed: int = 0
    events_emitted: int = 0
    enqueue_failures: int = 0
    handler_errors: int = 0
    backend_errors: int = 0
    ack_errors: int = 0


class EnqueueError(Exception):
    """The backend did not take an event; `original` is what it raised."""

    def __init__(self, event: Event, original: BaseException) -> None:
        super().__init__(event, original)
        self.event = event
        self.original = original

    def __str__(self) -> str:
        return (
            f"Failed to enqueue event {self.event.id} ({self.event.event_type}): "
            f"{type(self.original).__name__}: {self.original}"
        )


class BackendUnavailableError(Exception):
    """So many pulls failed one after the other."""

    def __init__(self, failure_count: int, last_error: BaseException) -> None:
        super().__init__(failure_count, last_error)
        self.failure_count = failure_count
        self.last_error = last_error

    def __str__(self) -> str:
        return (
            f"Backend unavailable after {self.failure_count} consecutive failures: "
            f"{type(self.last_error).__name__}: {self.last_error}"
        )


@runtime_checkable
class FailedEventStore(Protocol):
    """Where events go that failed."""

    async def store(self, event: Event, error: Exception) -> None:
        """Keep the event and what went wrong."""
