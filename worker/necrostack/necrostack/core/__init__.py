# SPDX-License-Identifier: Apache-2.0
"""Events, the organs that handle them, and the spine that carries them."""

from necrostack.core.event import Event, ValidationError
from necrostack.core.organ import Organ
from necrostack.core.spine import Spine

__all__ = ["Event", "Organ", "Spine", "ValidationError"]
