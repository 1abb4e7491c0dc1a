# SPDX-License-Identifier: Apache-2.0
"""A seance: python -m necrostack.apps.seance.main"""
