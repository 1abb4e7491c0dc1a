# SPDX-License-Identifier: Apache-2.0
"""What happened: Event, and ValidationError, which says why a value is none."""

from necrostack._necrostack import MAX_PAYLOAD_SIZE, Event, ValidationError

__all__ = ["MAX_PAYLOAD_SIZE", "Event", "ValidationError"]
