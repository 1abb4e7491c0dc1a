# SPDX-License-Identifier: Apache-2.0
"""What a neighbour notices of an object that does harm: the p99 of a steady load on one object, alone
and while another one crashes, hangs, hoards, forks, leaks or prints without end. Quiet and loud windows
alternate in one run; the two p99 are of all requests of either kind, so that a moment in which the
machine itself was held up falls into neither more than its share.

Bombs are run only where control groups hold them, and each has to prove that it was active in the
whole window: at its beginning, and again at its end."""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from measures import HELLO, Row, progress, running, station
from servers import paced, quiet
from station import descendants, descriptors

LIMITS = "__endpoint__ = {'timeout': 600, 'limits': {%s}}\nimport os, sys, time\n"
BOMBS = {
    "crashes": LIMITS % "" + "def GET(request):\n    os.abort()\n",
    "hangs": LIMITS % "'cpu_seconds': 600" + "def GET(request):\n    while True:\n        pass\n",
    "allocates": LIMITS % "'memory_mb': 64" + "def GET(request):\n    hoard = []\n    while True:\n"
                 "        hoard.append(b'x' * 100000)\n",
    "forks": LIMITS % "'processes': 40, 'cpu_seconds': 600" + "def GET(request):\n    while True:\n"
             "        try:\n            os.fork()\n        except OSError:\n            pass\n",
    "leaks descriptors": LIMITS % "'open_files': 256, 'cpu_seconds': 600" +
                         "held = []\ndef GET(request):\n    while True:\n        try:\n"
                         "            held.append(open('/dev/null'))\n        except OSError:\n"
                         "            pass\n",
    "prints": LIMITS % "'cpu_seconds': 600" + "def GET(request):\n    block = ('x' * 100 + '\\n') * 10000\n"
              "    while True:\n        sys.stdout.write(block)\n",
}


class Bomb:
    """One object that is called again and again while the block lasts."""

    def __init__(self, s, kind):
        self.s, self.kind, self.name = s, kind, kind.split()[0]
        self.stop = threading.Event()
        self.broken = 0  # calls that ended in a crash, or were refused until its next start
        self.thread = threading.Thread(target=self.call_again)

    def call_again(self):
        pause = 0.01
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                status = self.s.get(f"/objects/{self.name}", timeout=600).status
                self.broken += status in (502, 503)
                pause = 0.1 if status == 503 else 0.01  # it was told to come back later
            self.stop.wait(pause)

    def worker(self):
        """Its worker's pid; 0 while there is none."""
        metadata = self.s.get(f"/objects/{self.name}?metadata=true").json()["metadata"]
        return metadata["worker"]["pid"]

    def __enter__(self):
        self.s.deploy(f"{self.name}.py", BOMBS[self.kind])
        self.thread.start()
        end = time.monotonic() + 20
        while not self.activity():
            assert time.monotonic() < end, f"{self.kind}: no activity"
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.stop.set()
        while self.thread.is_alive():
            pid = self.worker()
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.thread.join(0.2)
        os.unlink(self.s.objects / f"{self.name}.py")

    def activity(self):
        """A number that grows while the bomb is active; 0 before it began."""
        if self.kind == "crashes":
            return self.broken
        if self.kind == "allocates":
            return self.broken and self.broken * 10**12 + processor_ns(self.worker())
        if self.kind == "prints":
            return self.s.status()["logs"]["dropped"] and written(self.worker())
        pid = self.worker()
        if not pid or not self.has_grown(pid):
            return 0
        return sum(processor_ns(p) for p in [pid, *(d.pid for d in descendants(pid))])

    def has_grown(self, pid):
        if self.kind == "forks":
            return len(descendants(pid)) >= 35
        if self.kind.startswith("leaks"):
            return sum(descriptors(pid).values()) >= 250
        return True


def processor_ns(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return 0


def window(s, bomb, seconds):
    """Latencies of the neighbour and how often each; the bomb is seen to be active in both halves."""
    seen = [bomb.activity()] if bomb else []
    looks = [threading.Timer(seconds * part, lambda: seen.append(bomb.activity()))
             for part in (0.5, 0.95)] if bomb else []
    for look in looks:
        look.start()
    latencies = paced(s.port, "/objects/neighbour", seconds, s.folder)
    for look in looks:
        look.join()
    assert all(a < b for a, b in zip(seen, seen[1:])), f"{bomb.kind} was not active: {seen}"
    return latencies


def written(pid):
    """Bytes, by calls that have returned."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0])
    return 0


def p99_us(latencies):
    rank = sum(latencies.values()) * 0.99
    for latency in sorted(latencies):
        rank -= latencies[latency]
        if rank <= 0:
            return latency
    raise ValueError("no request")


def beside(s, kind, plan):
    """The row of one bomb."""
    alone, loud, seconds = [], [], 2 * plan.seconds
    for _ in range(plan.rounds):
        quiet.wait()
        alone.append(window(s, None, seconds))
        with Bomb(s, kind) as bomb:
            loud.append(window(s, bomb, seconds))
    of_loud, of_alone = p99_us(sum(loud, Counter())), p99_us(sum(alone, Counter()))
    return Row(f"p99 of a neighbour while an object {kind}, ratio to quiet", of_loud / of_alone, "×",
               ("<=", 1.5), note=f"{of_loud} µs against {of_alone} µs; pairs "
               + " ".join(f"{p99_us(b) / p99_us(a):.2f}" for a, b in zip(alone, loud)))


def bombs(folder, plan):
    rows = []
    with running(station(folder, "bombs")) as s:
        in_force = s.status()["limits"]
        lacking = [p for p in ("memory", "processes", "family") if in_force[p] != "cgroup"]
        if lacking:
            return [Row("bombs", None, note=f"no group holds {', '.join(lacking)} here")]
        s.deploy("neighbour.py", HELLO)
        before = sum(descriptors(s.pid).values()), s.rss()
        paced(s.port, "/objects/neighbour", 1, s.folder)
        for kind in BOMBS:
            rows.append(beside(s, kind, plan))
            progress(rows[-1])
        time.sleep(1)
        after = sum(descriptors(s.pid).values()), s.rss()
        rows.append(Row("descriptors of the supervisor, more than before", after[0] - before[0],
                        note="the log of each object is kept open"))
        rows.append(Row("memory of the supervisor, more than before", (after[1] - before[1]) / 2**20,
                        "MiB", ("<=", 16)))
        for row in rows[-2:]:
            progress(row)
    return rows
