# SPDX-License-Identifier: Apache-2.0
"""What a neighbour notices of an object that does harm: the p99 of a steady load on one object, alone
and while another one crashes, hangs, hoards, forks, leaks or prints without end. Pairs in one run.

Bombs are run only where control groups hold them, and each has to prove that it was active in the
whole window: at its beginning, and again at its end."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from measures import HELLO, Row, median, progress, running, station
from servers import paced
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
        self.calls = 0
        self.thread = threading.Thread(target=self.call_again)

    def call_again(self):
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                self.s.get(f"/objects/{self.name}", timeout=600)
            self.calls += 1
            self.stop.wait(0.01)

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
        status = self.s.status()
        if self.kind in ("crashes", "allocates"):
            return status["turns"]["crashed"] if self.calls else 0
        if self.kind == "prints":
            return status["logs"]["dropped"]
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
    """p99 of the neighbour; the bomb is seen to be active in both halves."""
    seen = [bomb.activity()] if bomb else []
    looks = [threading.Timer(seconds * part, lambda: seen.append(bomb.activity()))
             for part in (0.5, 0.95)] if bomb else []
    for look in looks:
        look.start()
    result = paced(s.port, "/objects/neighbour", seconds)
    for look in looks:
        look.join()
    assert all(a < b for a, b in zip(seen, seen[1:])), f"{bomb.kind} was not active: {seen}"
    return result["p99_us"]


def bombs(folder, plan):
    rows = []
    with running(station(folder, "bombs")) as s:
        in_force = s.status()["limits"]
        lacking = [p for p in ("memory", "processes", "family") if in_force[p] != "cgroup"]
        if lacking:
            return [Row("bombs", None, note=f"no group holds {', '.join(lacking)} here")]
        s.deploy("neighbour.py", HELLO)
        before = sum(descriptors(s.pid).values()), s.rss()
        paced(s.port, "/objects/neighbour", 1)
        for kind in BOMBS:
            quiet, loud = [], []
            for _ in range(plan.rounds):
                quiet.append(window(s, None, plan.seconds))
                with Bomb(s, kind) as bomb:
                    loud.append(window(s, bomb, plan.seconds))
            rows.append(Row(f"p99 of a neighbour while an object {kind}, ratio to quiet",
                            median([b / a for a, b in zip(quiet, loud)]), "×", ("<=", 1.5),
                            note=f"{median(loud):.0f} µs against {median(quiet):.0f} µs; "
                                 + " ".join(f"{b / a:.2f}" for a, b in zip(quiet, loud))))
            progress(rows[-1])
        time.sleep(1)
        after = sum(descriptors(s.pid).values()), s.rss()
        rows.append(Row("descriptors of the supervisor, more than before", after[0] - before[0]))
        rows.append(Row("memory of the supervisor, more than before", (after[1] - before[1]) / 2**20,
                        "MiB", ("<=", 16)))
        for row in rows[-2:]:
            progress(row)
    return rows
