# SPDX-License-Identifier: Apache-2.0
"""Where events wait between the one who emits and the one who handles them."""
