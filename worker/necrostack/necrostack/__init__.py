# SPDX-License-Identifier: Apache-2.0
"""necrostack - events, organs that handle them, and a spine that carries them."""

from necrostack._necrostack import version as __version__

__all__ = ["__version__"]
