# SPDX-License-Identifier: Apache-2.0
"""Two small chains of organs to read, to run, and to take apart."""
