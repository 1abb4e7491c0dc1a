# SPDX-License-Identifier: Apache-2.0
"""What a queued event takes beyond its payload, by malloc's own account."""

import os
import subprocess
import sys

import pytest
import station

PROGRAM = """
import asyncio
from memory_usage import malloc_bytes
from necrostack.backends import InMemoryBackend
from necrostack.core import Event

COUNT = 20000

def taken_by(fill):
    before = malloc_bytes()
    kept = fill()
    return (malloc_bytes() - before) / COUNT

def payload(number):
    return {"order": number + 1000, "text": "t%d" % number}

async def queue():
    backend = InMemoryBackend()
    for number in range(COUNT):
        await backend.enqueue(Event("ORDER_PLACED", payload(number)))
    return backend

taken_by(lambda: asyncio.run(queue()))
payloads = [None] * COUNT

def keep_payloads():
    for number in range(COUNT):
        payloads[number] = payload(number)

alone = taken_by(keep_payloads)
print(taken_by(lambda: asyncio.run(queue())) - alone)
"""


@pytest.mark.skipif(station.SANITIZED, reason="ASan's allocator keeps accounts of its own")
def test_a_queued_event_takes_little():
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONMALLOC": "malloc",
                                            "PYTHONPATH": f"{here}:{os.environ['PYTHONPATH']}"})
    assert done.returncode == 0, done.stderr
    assert 50 < float(done.stdout) <= 250, done.stdout
