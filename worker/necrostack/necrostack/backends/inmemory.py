# SPDX-License-Identifier: Apache-2.0
"""A queue in memory: InMemoryBackend, and BackendFullError, which it raises when it is full."""

from necrostack._necrostack import BackendFullError, InMemoryBackend

__all__ = ["BackendFullError", "InMemoryBackend"]
