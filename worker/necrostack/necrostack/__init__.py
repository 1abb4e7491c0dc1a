# SPDX-License-Identifier: Apache-2.0
"""necrostack - events, organs that handle them, and a spine that carries them."""

try:
    from necrostack._necrostack import version as __version__
except ModuleNotFoundError:
    import pathlib
    import sys

    built = ", ".join(file.name for file in sorted(pathlib.Path(__file__).parent.glob("_necrostack*.so")))
    raise ImportError(
        f"necrostack is not there for this Python ({sys.implementation.cache_tag}, {sys.executable}), "
        f"only {built or 'its Python files'}; ./configure --with-python=PROG builds it for PROG"
    ) from None

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
