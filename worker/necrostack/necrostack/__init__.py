# SPDX-License-Identifier: Apache-2.0
"""necrostack - events, organs that handle them, and a spine that carries them."""

from necrostack._necrostack import version as __version__
from necrostack.backends.base import Backend
from necrostack.backends.inmemory import BackendFullError, InMemoryBackend
from necrostack.backends.redis_backend import BackendHealth, RedisBackend, RedisMetrics
from necrostack.core.event import MAX_PAYLOAD_SIZE, Event, ValidationError
from necrostack.core.organ import Organ
from necrostack.core.spine import (
    BackendUnavailableError,
    EnqueueError,
    EnqueueFailureMode,
    FailedEventStore,
    HandlerFailureMode,
    InMemoryFailedEventStore,
    Spine,
    SpineStats,
)

__all__ = [
    "Backend",
    "BackendFullError",
    "BackendHealth",
    "BackendUnavailableError",
    "EnqueueError",
    "EnqueueFailureMode",
    "Event",
    "FailedEventStore",
    "HandlerFailureMode",
    "InMemoryBackend",
    "InMemoryFailedEventStore",
    "MAX_PAYLOAD_SIZE",
    "Organ",
    "RedisBackend",
    "RedisMetrics",
    "Spine",
    "SpineStats",
    "ValidationError",
    "__version__",
]
