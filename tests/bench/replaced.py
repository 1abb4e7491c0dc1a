# SPDX-License-Identifier: Apache-2.0
"""Reloads and deploys under constant load: failed and mixed replies, and what they add to the p99."""

import time

import reload_load
from measures import Row, progress, running, station

OBJECTS = 20


def reload_under_load(folder, plan):
    """The quiet half and the busy one follow each other under the same load, and so in turn."""
    rows, quiet, busy = [], [], []
    with running(station(folder, "reload")) as s:
        s.allow("does not load", "keeps its worker")
        paths = reload_load.prepare(s, OBJECTS)
        with reload_load.Load(s.port, paths) as load:
            time.sleep(0.5)  # every path was asked
            for _ in range(plan.rounds):
                begun = time.perf_counter()
                reload_load.disturb(s, plan.reloads, plan.reloads, pause=0.02)
                ended = time.perf_counter()
                busy.append((begun, ended))
                time.sleep(min(ended - begun, 2 * plan.seconds))
                quiet.append((ended, time.perf_counter()))
    count = plan.rounds * plan.reloads
    added = load.p99(busy) - load.p99(quiet)
    for failure in load.failures[:5]:
        print(f"  {failure[:200]}", flush=True)
    what = f"{count} HUPs and {count} deploys, one in five broken, {OBJECTS + len(reload_load.SHAPES)} objects"
    rows.append(Row(f"failed, mixed or broken replies: {what}", len(load.failures), "", ("<=", 0),
                    note=f"of {len(load.times):,} requests, half on new connections"))
    rows.append(Row("p99 meanwhile", load.p99(busy), "ms"))
    rows.append(Row("p99 without, in the same run", load.p99(quiet), "ms"))
    rows.append(Row("added p99", added, "ms", ("<=", 10)))
    for row in rows:
        progress(row)
    return rows
