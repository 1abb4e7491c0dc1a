# SPDX-License-Identifier: Apache-2.0
"""Where events wait between the one who emits and the one who handles them."""

from necrostack.backends.base import Backend
from necrostack.backends.inmemory import BackendFullError, InMemoryBackend
from necrostack.backends.redis_backend import BackendHealth, RedisBackend, RedisMetrics

__all__ = [
    "Backend",
    "BackendFullError",
    "BackendHealth",
    "InMemoryBackend",
    "RedisBackend",
    "RedisMetrics",
]
