# SPDX-License-Identifier: Apache-2.0
"""necrostack on a redis-server of the benchmark's own: a chain, whose limit are the round trips, and a
queue that is worked off, beside the XADD of redis-benchmark in the same minute."""

import os
import re
import subprocess
import sys
from pathlib import Path

import events
from measures import Row, median, progress
from servers import quiet
from station import BUILD, REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "module"))
from redis_server import RedisServer  # noqa: E402

PROGRAMS = Path(__file__).with_name("redis_programs.py")


def program(server, name, count):
    """Events a second."""
    quiet.wait()
    server.client.flushall()
    done = subprocess.run([events.python(), PROGRAMS, name, str(count), server.url], text=True,
                          capture_output=True, check=False, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(BUILD / "python")})
    if done.returncode:
        raise AssertionError(done.stderr[-1000:])
    return 1 / float(done.stdout)


def xadd(server, clients, count):
    """Requests a second of redis-benchmark that adds entries of the same size."""
    quiet.wait()
    server.client.flushall()
    done = subprocess.run(["redis-benchmark", "-p", str(server.port), "-c", str(clients),
                           "-n", str(count), "-q", "XADD", "bench", "*", "event", "x" * 150],
                          text=True, capture_output=True, check=True, timeout=600)
    return float(re.findall(r"([\d.]+) requests per second", done.stdout)[-1])


def redis_events(plan):
    server = RedisServer().start()
    runs = {"chain": [], "drain": [], 1: [], 50: []}
    try:
        for _ in range(plan.rounds):
            runs["chain"].append(program(server, "chain", plan.redis_chain))
            runs[1].append(xadd(server, 1, plan.redis_chain))
            runs["drain"].append(program(server, "drain", plan.redis_queue))
            runs[50].append(xadd(server, 50, plan.redis_queue))
    finally:
        server.close()
    chain, drain, one, many = (median(values) for values in runs.values())
    rows = [
        Row("chain of events", chain, "events/s", (">=", 9000),
            note="each read, acknowledged and emitted"),
        Row("redis-benchmark, XADD by 1 client", one, "requests/s", note="a round trip each"),
        Row(f"{plan.redis_queue:,} queued events worked off", drain, "events/s", (">=", 60000),
            note="each read and acknowledged"),
        Row("redis-benchmark, XADD by 50 clients", many, "requests/s"),
    ]
    for row in rows:
        progress(row)
    return rows
