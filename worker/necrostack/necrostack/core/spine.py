# SPDX-License-Identifier: Apache-2.0
"""Spine carries events to organs; and all that tells how it went."""

from necrostack._necrostack import InMemoryFailedEventStore, Spine
from necrostack.core.outcomes import (
    BackendUnavailableError,
    EnqueueError,
    EnqueueFailureMode,
    FailedEventStore,
    HandlerFailureMode,
    SpineStats,
)

__all__ = [
    "BackendUnavailableError",
    "EnqueueError",
    "EnqueueFailureMode",
    "FailedEventStore",
    "HandlerFailureMode",
    "InMemoryFailedEventStore",
    "Spine",
    "SpineStats",
]
