# SPDX-License-Identifier: Apache-2.0
"""Where events wait between the one who emits and the one who handles them."""

from necrostack.backends.base import Backend
from necrostack.backends.inmemory import BackendFullError, InMemoryBackend

__all__ = ["Backend", "BackendFullError", "InMemoryBackend"]
