# SPDX-License-Identifier: Apache-2.0
"""Events, the organs that handle them, and the spine that carries them."""

from necrostack.core.event import Event, ValidationError
from necrostack.core.organ import Organ

__all__ = ["Event", "Organ", "ValidationError"]
