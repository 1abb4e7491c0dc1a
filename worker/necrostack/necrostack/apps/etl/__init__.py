# SPDX-License-Identifier: Apache-2.0
"""Extract, transform, load: python -m necrostack.apps.etl.main"""
