# SPDX-License-Identifier: Apache-2.0
"""necrostack without Redis: what an event costs on its way through Spine and InMemoryBackend, and
while it waits. Each figure comes from a Python of its own, the middle one of several."""

import os
import re
import subprocess
from pathlib import Path

from measures import Row, median, progress
from servers import quiet
from station import BUILD

PROGRAMS = Path(__file__).with_name("event_programs.py")


def python():
    """The program of the Python that the module was built for."""
    return re.search(r"^PYTHON_PROGRAM = (.*)$", (BUILD / "Makefile").read_text(), re.M)[1]


def program(name, count, *more):
    quiet.wait()
    done = subprocess.run([python(), PROGRAMS, name, str(count), *map(str, more)], text=True,
                          capture_output=True, check=False, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(BUILD / "python")})
    if done.returncode:
        raise AssertionError(done.stderr[-1000:])
    return float(done.stdout)


def events(folder, plan):
    """Rounds follow each other in turn, so that a comparison is within the same minute."""
    log = Path(folder) / "spine.log"
    count = plan.events
    runs = {"chain": [], "ten_organs": [], "fan_out": [], "chain_with_logs": []}
    for _ in range(plan.rounds):
        for name, values in runs.items():
            values.append(program(name, count, *([log] if name == "chain_with_logs" else [])))
    lines = len(log.read_text(encoding="utf-8").splitlines())
    chain, ten, fan, logs = (median(values) for values in runs.values())
    memory = median([program("queued", count) for _ in range(3)])
    rows = [
        Row("chain of events", 1 / chain, "events/s", (">=", 450000),
            note=f"{count:,} events, quiet log level"),
        Row("the same with INFO JSON logs to a file", 1 / logs, "events/s", (">=", 100000),
            note=f"{lines / count:.3g} lines an event"),
        Row("one event to 10 organs, each call", ten * 1e9, "ns", ("<=", round(chain * 1e9)),
            note="beside the chain's"),
        Row("one event into 1,000, each call", fan * 1e9, "ns", ("<=", round(chain * 1e9)),
            note="beside the chain's"),
        Row("an event that waits, beyond its payload", memory, "bytes", ("<=", 250)),
    ]
    for row in rows:
        progress(row)
    return rows
