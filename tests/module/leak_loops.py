# SPDX-License-Identifier: Apache-2.0
"""Does an operation leave anything behind? Loops of it, and what they added."""

import asyncio
import gc

import pytest
from memory_usage import growth, usage

WARM_UP, ROUNDS = 2, 3  # each of `times` operations


@pytest.fixture(autouse=True, scope="module")
def older_objects_aside():
    """The collector need not look through those of pytest each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def check(operation, times=20):
    """Whatever each operation leaves behind shows `times` times in every round."""
    figures = []
    for number in range(WARM_UP + ROUNDS):
        for _ in range(times):
            operation()
        if number >= WARM_UP - 1:
            figures.extend(usage())
    references, blocks, allocated = growth(figures)
    assert references < times / 2 and blocks < times / 2 and allocated < 8 * times, (
        references, blocks, allocated)
