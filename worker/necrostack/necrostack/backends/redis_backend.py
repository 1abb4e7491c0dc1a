# SPDX-License-Identifier: Apache-2.0
"""Events in a Redis stream, shared by the consumers of a group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from necrostack._necrostack import RedisBackend

__all__ = ["BackendHealth", "RedisBackend", "RedisMetrics"]


@dataclass
class RedisMetrics:
    """Totals of one RedisBackend since it was made."""

    events_enqueued: int = 0
    events_pulled: int = 0
    events_acked: int = 0
    events_failed: int = 0
    reconnections: int = 0
    pending_recovered: int = 0


@dataclass
class BackendHealth:
    """What health() found. Details of Redis: stream_length, consumer_group, consumer_name, metrics, and
    error where it is not healthy; of a queue in memory: queue_size and max_size."""

    healthy: bool
    latency_ms: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
