# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each function returns rows (what, value, unit, target or None) and prints as it
goes; ratios are of runs that alternated within one minute."""

import hashlib
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

from servers import HERE, wrk
from station import BUILD, Station, wait_until
from writers import in_parallel

HELLO = 'def GET(request):\n    return {"message": "Hello, World!"}\n'
SAYS = "def GET(request):\n    return %d\n"
COUNTER = ("def GET(request):\n    n = _state_manager.get('count', 0) + 1\n"
           "    _state_manager.set('count', n)\n    return {'count': n}\n"
           "def POST(request):\n    return {'count': _state_manager.get('count', 0)}\n")
LOADER = ("def POST(request):\n    start = request['start']\n"
          "    for n in range(start, start + request['count']):\n"
          "        _state_manager.set('key%07d' % n, n)\n    return {'keys': len(_state_manager)}\n"
          "def GET(request):\n    return {'value': _state_manager.get('key%07d' % int(request['n']))}\n")


BUSY = ("import time\n__endpoint__ = {'readonly': ['GET'], 'workers': %d}\n"
        "def GET(request):\n    until = time.thread_time_ns() + 2000000\n"
        "    while time.thread_time_ns() < until:\n        pass\n    return {}\n")


# Each calls hello: one call after another, the same by four workers, and as many at once as wrk has
# connections; the last tells how long a lone call takes.
CALLERS = {
    "one": ("def GET(request):\n    for _ in range(20):\n        _runtime.call_object('hello')\n"
            "    return {}\n", 20),
    "four": ("__endpoint__ = {'stateless': True, 'workers': 4}\n"
             "def GET(request):\n    for _ in range(20):\n        _runtime.call_object('hello')\n"
             "    return {}\n", 20),
    "gather": ("import asyncio\nasync def GET(request):\n    await asyncio.gather(\n"
               "        *[_runtime.call_object_async('hello') for _ in range(64)])\n"
               "    return {}\n", 64),
}
LONE_CALLS = ("import time\ndef POST(request):\n    took = []\n"
              "    for _ in range(request['calls']):\n        began = time.perf_counter_ns()\n"
              "        _runtime.call_object('hello')\n"
              "        took.append(time.perf_counter_ns() - began)\n    took.sort()\n"
              "    return {'p50_us': took[len(took) // 2] / 1000,\n"
              "            'p99_us': took[len(took) * 99 // 100] / 1000}\n")


class Row:
    """One line of the table. `target` is (comparison, number) or None."""

    def __init__(self, what, value, unit="", target=None, note=""):
        self.what, self.value, self.unit, self.target, self.note = what, value, unit, target, note

    @property
    def verdict(self):
        if self.target is None or self.value is None:
            return ""
        comparison, bound = self.target
        met = self.value >= bound if comparison == ">=" else self.value <= bound
        return f"{'met' if met else 'MISSED'} ({comparison} {bound:g})"

    def shown(self):
        if self.value is None:
            return "-"
        if isinstance(self.value, float):
            return f"{self.value:.3g}" if self.value < 100 else f"{self.value:,.0f}"
        return f"{self.value:,}"


def median(values):
    return statistics.median(values)


def station(folder, name, **sections):
    return Station(Path(folder) / name, config=sections)


def alternate(first, second, rounds):
    """first() and second() in turn; the two lists. The order swaps each round."""
    a, b = [], []
    for n in range(rounds):
        for which in ((first, a), (second, b)) if n % 2 == 0 else ((second, b), (first, a)):
            which[1].append(which[0]())
    return a, b


def ratios(a, b, key):
    return [x[key] / y[key] for x, y in zip(a, b)]


def beside_peers(hello_port, peers, plan):
    """The one-line object against everyone, 64 connections and one."""
    rows = []
    targets = {"uvicorn": 1.5, "bare libmicrohttpd": 0.5}
    for peer in peers:
        ours, theirs = alternate(lambda: wrk(hello_port, "/objects/hello", plan.seconds),
                                 lambda: wrk(peer.port, peer.path, plan.seconds), plan.rounds)
        ratio = ratios(ours, theirs, "rate")
        rows += [
            Row(f"one-line object, 64 connections, beside {peer.name}",
                median([r["rate"] for r in ours]), "requests/s",
                note=f"p50 {median([r['p50_us'] for r in ours]):.0f} µs, "
                     f"p99 {median([r['p99_us'] for r in ours]):.0f} µs"),
            Row(f"{peer.name}", median([r["rate"] for r in theirs]), "requests/s",
                note=f"p50 {median([r['p50_us'] for r in theirs]):.0f} µs, "
                     f"p99 {median([r['p99_us'] for r in theirs]):.0f} µs"),
            Row(f"ratio to {peer.name}", median(ratio), "×",
                (">=", targets[peer.name]) if peer.name in targets else None,
                note=" ".join(f"{r:.2f}" for r in ratio)),
        ]
        if peer.name == "uvicorn":
            rows.append(Row("p99 at 64 connections, ratio to uvicorn",
                            median(ratios(ours, theirs, "p99_us")), "×", ("<=", 1)))
        progress(rows[-2 if peer.name == "uvicorn" else -1])
    for peer in peers[:2]:
        ours, theirs = alternate(lambda: wrk(hello_port, "/objects/hello", plan.seconds, 1),
                                 lambda: wrk(peer.port, peer.path, plan.seconds, 1), plan.rounds)
        rows.append(Row(f"single-connection round trip, median, ratio to {peer.name}",
                        median(ratios(ours, theirs, "p50_us")), "×",
                        ("<=", 1.8) if peer.name.startswith("bare") else None,
                        note=f"{median([r['p50_us'] for r in ours]):.0f} µs against "
                             f"{median([r['p50_us'] for r in theirs]):.0f} µs; p99 "
                             f"{median([r['p99_us'] for r in ours]):.0f} against "
                             f"{median([r['p99_us'] for r in theirs]):.0f} µs"))
        progress(rows[-1])
    return rows


def peers_alone(peers, plan):
    """The peers among themselves, for a run without a station."""
    rows = []
    for peer in peers:
        runs = [wrk(peer.port, peer.path, plan.seconds) for _ in range(plan.rounds)]
        one = [wrk(peer.port, peer.path, plan.seconds, 1) for _ in range(plan.rounds)]
        rows.append(Row(peer.name, median([r["rate"] for r in runs]), "requests/s",
                        note=f"p50 {median([r['p50_us'] for r in runs]):.0f} µs, p99 "
                             f"{median([r['p99_us'] for r in runs]):.0f} µs; one connection p50 "
                             f"{median([r['p50_us'] for r in one]):.0f} µs"))
        progress(rows[-1])
    return rows


def counters(folder, plan):
    """get, set, reply under each durability mode, against the one-line object of the same station;
    and whether every reply was counted."""
    rows = []
    for mode in ("fsync", "interval", "none"):
        with running(station(folder, f"counter-{mode}", state={"durability": mode})) as s:
            s.deploy("hello.py", HELLO)
            s.deploy("counter.py", COUNTER)
            s.get("/objects/counter")
            exact(s, rows if mode == "fsync" else [], plan)
            begun = s.post("/objects/counter").json()["count"]
            count, hello = alternate(lambda: wrk(s.port, "/objects/counter", plan.seconds),
                                     lambda: wrk(s.port, "/objects/hello", plan.seconds), plan.rounds)
            final = wait_settled(s) - begun
            replies = sum(r["requests"] for r in count)
            lost = not replies <= final <= replies + 64 * plan.rounds
            rows += [
                Row(f"counter, durability {mode}", median([r["rate"] for r in count]), "requests/s",
                    note=f"p50 {median([r['p50_us'] for r in count]):.0f} µs, "
                         f"p99 {median([r['p99_us'] for r in count]):.0f} µs; "
                         f"{final - replies} turns of {final:,} unheard when wrk hung up"
                         + (" — COUNT WRONG" if lost else "")),
                Row(f"counter, durability {mode}, ratio to the one-line object",
                    median(ratios(count, hello, "rate")), "×", (">=", 0.7) if mode == "fsync" else None),
            ]
            progress(rows[-1])
            if lost:
                raise RuntimeError(f"counter {final}, replies {replies}")
    return rows


def exact(s, rows, plan):
    """wrk hangs up with requests under way, so equality is proven with clients that wait for each."""
    begun = s.post("/objects/counter").json()["count"]
    each = plan.exact // 16

    def work(_):
        with s.client() as client:
            return [client.get("/objects/counter").json()["count"] for _ in range(each)]

    replies = [n for found in in_parallel(16, work) for n in found]
    final = s.post("/objects/counter").json()["count"] - begun
    if final != len(replies) or len(set(replies)) != len(replies):
        raise RuntimeError(f"counter {final}, replies {len(replies)}")
    rows.append(Row("counter, 16 clients: final count less replies", final - len(replies), "",
                    ("<=", 0), note=f"{len(replies):,} replies"))


def wait_settled(s):
    """The count once the calls that wrk left behind have run."""
    seen = []

    def same():
        seen.append(s.post("/objects/counter").json()["count"])
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    wait_until(same)
    return seen[-1]


def parallel(folder, plan):
    """A handler that computes for 2 ms, in one worker and in two."""
    with running(station(folder, "parallel")) as s:
        for workers in (1, 2):
            s.deploy(f"busy{workers}.py", BUSY % workers)
            s.get(f"/objects/busy{workers}")
        wait_until(lambda: len(s.workers()) == 3)
        one, two = alternate(lambda: wrk(s.port, "/objects/busy1", plan.seconds),
                             lambda: wrk(s.port, "/objects/busy2", plan.seconds), plan.rounds)
    rows = [Row(f"computing 2 ms, {count}", median([r["rate"] for r in runs]), "requests/s",
                note=f"p50 {median([r['p50_us'] for r in runs]) / 1000:.1f} ms, "
                     f"p99 {median([r['p99_us'] for r in runs]) / 1000:.1f} ms")
            for count, runs in (("one worker", one), ("readonly with two workers", two))]
    rows.append(Row("two workers, ratio to one", median(ratios(two, one, "rate")), "×",
                    (">=", 1.7)))
    for row in rows:
        progress(row)
    return rows


def calls(folder, plan):
    """From object to object, beside the same object over HTTP; both counted in calls."""
    shown = {"one": "one after another", "four": "one after another, four workers",
             "gather": "64 at once, from one turn"}
    rows = []
    with running(station(folder, "calls")) as s:
        s.deploy("hello.py", HELLO)
        for name, (source, _) in CALLERS.items():
            s.deploy(f"{name}.py", source)
            assert s.get(f"/objects/{name}").status == 200
        s.deploy("lone.py", LONE_CALLS)
        wait_until(lambda: len(s.workers()) == 7)
        lone = [s.post("/objects/lone", {"calls": 2000}).json() for _ in range(plan.rounds)]
        rows.append(Row("a lone call, median", median([r["p50_us"] for r in lone]), "µs", ("<=", 100),
                        f"p99 {median([r['p99_us'] for r in lone]):.0f} µs"))
        for name, (_, each) in CALLERS.items():
            found, http = alternate(lambda n=name: wrk(s.port, f"/objects/{n}", plan.seconds),
                                    lambda: wrk(s.port, "/objects/hello", plan.seconds), plan.rounds)
            rows.append(Row(shown[name], each * median([r["rate"] for r in found]), "calls/s"))
            rows.append(Row(f"{shown[name]}, ratio to 64 connections over HTTP",
                            each * median(ratios(found, http, "rate")), "×",
                            (">=", 0.5) if name == "gather" else None,
                            f"HTTP {median([r['rate'] for r in http]):,.0f} requests/s"))
    for row in rows:
        progress(row)
    return rows


def cold_start(folder, plan):
    with running(station(folder, "cold")) as s:
        for n in range(plan.cold):
            s.put(f"o{n}.py", HELLO)
        wait_until(lambda: len(s.object_ids()) == plan.cold)
        took = []
        with s.client() as client:
            client.get("/health")
            for n in range(plan.cold):
                begun = time.perf_counter()
                assert client.get(f"/objects/o{n}").status == 200
                took.append((time.perf_counter() - begun) * 1000)
    row = Row("first call of a cold object, median", median(took), "ms", ("<=", 10),
              note=f"of {plan.cold}; largest {max(took):.1f} ms")
    progress(row)
    return [row]


DIES = ("import os, signal\ndef GET(request):\n    return os.getpid()\n"
        "def PUT(request):\n    os._exit(3)\n")


def back_after(client, name, dies):
    """Milliseconds from the death of the object's worker to the next 200."""
    pid = int(client.get(f"/objects/{name}").text)
    begun = time.perf_counter()
    dies(name, pid)
    while True:
        reply = client.get(f"/objects/{name}")
        if reply.status == 200 and int(reply.text) != pid:
            return (time.perf_counter() - begun) * 1000


def after_a_crash(folder, plan):
    """Each object dies once: a second death within a minute waits."""
    rows = []
    with running(station(folder, "crash")) as s:
        s.allow("died")
        for n in range(2 * plan.crashes):
            s.put(f"crash{n}.py", DIES)
        wait_until(lambda: len(s.object_ids()) == 2 * plan.crashes)
        with s.client() as client:
            def leaves(name, _):
                assert client.request("PUT", f"/objects/{name}").status == 502

            names = iter(range(2 * plan.crashes))
            for what, dies in (("kill -9", lambda _, pid: os.kill(pid, signal.SIGKILL)), ("os._exit()", leaves)):
                took = [back_after(client, f"crash{next(names)}", dies) for _ in range(plan.crashes)]
                rows.append(Row(f"back after a crash: {what} of a worker to the next 200, median", median(took), "ms",
                                ("<=", 20), note=f"of {plan.crashes}; largest {max(took):.1f} ms"))
                progress(rows[-1])
    return rows


def deploys(folder, plan):
    """A source is saved, or sent, until it answers; with a short history and with a long one."""
    rows = []
    with running(station(folder, "deploys")) as s:
        long_history(s, "long", plan.versions)
        for object_id in ("short", "long"):
            s.deploy(f"{object_id}.py", SAYS % 0)
            assert s.get(f"/objects/{object_id}").json() == 0
            behind = f" behind {plan.versions:,} versions" if object_id == "long" else ""
            saved = [saved_to_serving(s, object_id, n) for n in range(1, plan.deploys + 1)]
            sent = [sent_to_serving(s, object_id, -n) for n in range(1, plan.deploys + 1)]
            for what, took, bound in (("save to serving", saved, 50), ("PUT ?source=true", sent, 100)):
                rows.append(Row(f"{what}{behind}, median", median(took), "ms", ("<=", bound),
                                note=f"of {len(took)}; largest {max(took):.1f} ms"))
                progress(rows[-1])
        begun = time.perf_counter()
        assert s.get("/objects/long?versions=true").json()["count"] == 10
        rows.append(Row(f"?versions=true of {plan.versions:,}",
                        (time.perf_counter() - begun) * 1000, "ms"))
        progress(rows[-1])
    return rows


def long_history(s, object_id, count):
    """As many versions as if they had been deployed; only the newest has a content."""
    folder = s.data / "versions" / object_id
    folder.mkdir(parents=True)
    digest = hashlib.sha256((SAYS % 0).encode()).hexdigest()
    with open(folder / "metadata.tsv", "w") as f:
        f.write("version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason\n")
        for n in range(1, count + 1):
            f.write(f"{n}\t{1700000000 + n}.000000\tann\tchange {n}\t{digest}\taccepted\t\n")
    (folder / f"v{count}.txt").write_text(SAYS % 0)


def saved_to_serving(s, object_id, value):
    with s.client() as client:
        client.get("/health")
        begun = time.perf_counter()
        s.put(f"{object_id}.py", SAYS % value)
        while client.get(f"/objects/{object_id}").json() != value:
            assert time.perf_counter() - begun < 10, "the saved file is not served"
        return (time.perf_counter() - begun) * 1000


def sent_to_serving(s, object_id, value):
    with s.client() as client:
        client.get("/health")
        begun = time.perf_counter()
        reply = client.request("PUT", f"/objects/{object_id}?source=true", {"code": SAYS % value})
        assert reply.status == 200 and client.get(f"/objects/{object_id}").json() == value
        return (time.perf_counter() - begun) * 1000


def listing(folder, plan):
    """Pages of a long list of objects, the whole of it, and a 404 that looks for similar names."""
    count = plan.listed
    s = station(folder, "listing")
    for n in range(count):
        s.put(f"folder{n % 97:02d}/object_{n:06d}.py", HELLO)
    asked = [(f"GET /objects?limit=100, {count:,} objects", "/objects?limit=100", 200, 20),
             ("the same, from the middle", "/objects?limit=100&after=folder48_object_x", 200, 20),
             (f"GET /objects, all {count:,}", "/objects", 200, None),
             ("a 404 with similar names", "/objects/folder48_objetc_000048", 404, None)]
    rows = []
    with running(s):
        wait_until(lambda: len(s.object_ids()) == count, 60)
        with s.client() as client:
            for what, path, status, bound in asked:
                took = []
                for _ in range(30):
                    begun = time.perf_counter()
                    assert client.get(path).status == status
                    took.append((time.perf_counter() - begun) * 1000)
                rows.append(Row(what + ", median", median(took), "ms", bound and ("<=", bound),
                                note=f"largest {max(took):.2f} ms"))
                progress(rows[-1])
    return rows


def tree(folder, plan):
    """A folder of very many files: the start, a page of the list, memory."""
    count = plan.tree
    s = station(folder, "tree")
    for f in range(count // 1000):
        (s.objects / f"f{f:03d}").mkdir(parents=True)
        for n in range(1000):
            (s.objects / f"f{f:03d}" / f"o{n:04d}.py").write_text(HELLO)
    started, pages = [], []
    for _ in range(3):
        begun = time.perf_counter()
        with running(s):
            started.append(time.perf_counter() - begun)
            with s.client() as client:
                for n in range(30):
                    begun = time.perf_counter()
                    assert client.get(f"/objects?limit=100&after=f{n:03d}_o0500").status == 200
                    pages.append((time.perf_counter() - begun) * 1000)
                assert client.get("/objects/f001_o0001").status == 200
            rss = s.rss()
            descriptors = len(list(Path(f"/proc/{s.pid}/fd").iterdir()))
    rows = [Row(f"start to ready, {count:,} files, median", median(started), "s", ("<=", 2),
                note=f"largest {max(started):.2f} s"),
            Row("GET /objects?limit=100, largest", max(pages), "ms", ("<=", 20),
                note=f"median {median(pages):.2f} ms"),
            Row("supervisor, resident", rss / (1 << 20), "MiB", ("<=", 200),
                note=f"{descriptors} descriptors")]
    rows += checkout(s, count)
    for row in rows:
        progress(row)
    return rows


def checkout(s, count):
    """A tenth of the files is written again while somebody calls an object beside them."""
    took, over = [], threading.Event()

    def call():
        with s.client() as client:
            while not over.is_set():
                begun = time.perf_counter()
                assert client.get("/objects/f001_o0001").status == 200
                took.append((time.perf_counter() - begun) * 1000)

    with running(s):
        caller = threading.Thread(target=call)
        caller.start()
        for f in range(2, 2 + count // 10000):
            for n in range(1000):
                (s.objects / f"f{f:03d}" / f"o{n:04d}.py").write_text(SAYS % n)
        (s.objects / "last.py").write_text(SAYS % 1)
        wait_until(lambda: s.get("/objects/last").status == 200, 60)
        over.set()
        caller.join()
        with s.client() as client:
            assert client.get("/objects/f002_o0999").json() == 999
    return [Row(f"a neighbour's call while {count // 10:,} files are written, largest", max(took), "ms",
                note=f"median {median(took):.2f} ms")]


def idle_memory(folder, plan):
    with running(station(folder, "idle")) as s:
        for n in range(plan.idle):
            s.put(f"o{n}.py", HELLO)
        wait_until(lambda: len(s.object_ids()) == plan.idle)
        with s.client() as client:
            for n in range(plan.idle):
                for _ in range(100):
                    assert client.get(f"/objects/o{n}").status == 200
        workers = s.workers()
        if len(workers) != plan.idle:
            raise RuntimeError(f"{len(workers)} workers for {plan.idle} objects")
        pss = [memory(p.pid, "Pss") for p in workers]
        rows = [Row("idle worker after 100 turns, mean PSS", sum(pss) / len(pss) / 1024, "MiB",
                    ("<=", 4), note=f"of {len(pss)}; private dirty "
                    f"{sum(memory(p.pid, 'Private_Dirty') for p in workers) / len(pss) / 1024:.1f} MiB"),
                Row("supervisor, resident", s.rss() / (1 << 20), "MiB", note=f"{plan.idle} workers")]
    progress(rows[0])
    return rows


def memory(pid, field):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{field}:\s+(\d+)", text, re.M).group(1))


def million_keys(folder, plan):
    """Load, recovery from the journal alone after kill -9, and from a checkpoint."""
    keys, per_turn = plan.keys, 10000
    rows = []
    s = station(folder, "million", state={"checkpoint_idle": 3600, "checkpoint_max": 3600,
                                          "journal_max": "8G"})
    with running(s):
        s.deploy("big.py", LOADER)
        begun = time.perf_counter()
        with s.client(timeout=120) as client:
            for start in range(0, keys, per_turn):
                assert client.post("/objects/big", {"start": start, "count": per_turn}).status == 200
        rows.append(Row(f"load of {keys:,} keys, {per_turn:,} a turn", time.perf_counter() - begun, "s"))
        progress(rows[-1])
        s.kill9()
        rows += recovery(s, keys, f"recovery of {keys:,} keys from the journal", ("<=", 2))
        s.config["state"] = {"checkpoint_idle": 0.05}
        if s.stop(timeout=120) != 0:
            raise RuntimeError(s.log_tail())
        s.start(timeout=60)
        path = s.data / "state" / "big" / "state.tsv"
        wait_until(lambda: path.exists() and path.stat().st_size > keys * 10, 60)
        s.kill9()
        rows += recovery(s, keys, f"recovery of {keys:,} keys from a checkpoint", ("<=", 2))
    return rows


LOG_HEADER = "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"


def write_log(path, size):
    """A log of that size, a line a millisecond; an ERROR every ten thousand lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n, written = 0, len(LOG_HEADER)
    with open(path, "w") as f:
        f.write(LOG_HEADER)
        while written < size:
            written += f.write("".join(
                f"{1700000000 + i / 1000:.6f}\t{'ERROR' if i % 10000 == 0 else 'INFO'}\tGET /objects/big?n={i} 200"
                f"\tstation-1-{i}\t3\t{{\"status\":200,\"duration_ms\":0.123,\"n\":{i}}}\n"
                for i in range(n, n + 10000)))
            n += 10000
    return n


def large_log(folder, plan):
    """?logs=true on a large log: the newest lines, filters, and what a search for nothing does to
    other requests of the scribe."""
    s = station(folder, "log")
    s.put("big.py", HELLO)
    s.put("other.py", COUNTER)
    lines = write_log(s.data / "logs" / "big" / "log.tsv", plan.log_bytes)
    what = f"{plan.log_bytes / 1e9:g} GB of log"
    rows = []

    def timed(query, rounds=20):
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            reply = client.get("/objects/big?logs=true" + query)
            times.append((time.perf_counter() - begun) * 1000)
            if reply.status != 200:
                raise RuntimeError(f"{query}: {reply}")
        return reply.json(), median(times), max(times)

    with running(s), s.client(timeout=120) as client:
        client.get("/objects/big")
        client.get("/objects/other")
        for query, target in (("&limit=100", ("<=", 50)), ("&limit=100&level=INFO", None),
                              ("&limit=100&level=ERROR", None), (f"&limit=100&n={lines - 5}", None),
                              (f"&limit=100&until={1700000000 + lines // 2000}", None)):
            rare = "ERROR" in query or "n=" in query
            answer, middle, worst = timed(query, 3 if rare else 20)
            rows.append(Row(f"{what}, ?logs=true{query}", middle, "ms", target,
                            note=f"worst {worst:.1f} ms, {answer['count']} lines"))
            progress(rows[-1])
        views = []
        search = threading.Thread(target=lambda: s.get("/objects/big?logs=true&nobody=x", timeout=300))
        begun = time.perf_counter()
        search.start()
        while search.is_alive():
            view = time.perf_counter()
            s.state("other")
            views.append((time.perf_counter() - view) * 1000)
        search.join()
        rows.append(Row(f"{what}, a filter that matches nothing", time.perf_counter() - begun, "s",
                        note=f"?state=true of another object meanwhile: median {median(views):.1f} ms, "
                             f"worst {max(views):.1f} ms"))
        progress(rows[-1])
        begun = time.perf_counter()
        count = client.get("/objects/big?metadata=true").json()["metadata"]["log_count"]
        rows.append(Row(f"{what}, counted once for log_count", time.perf_counter() - begun, "s",
                        note=f"{count:,} lines"))
        progress(rows[-1])
    return rows


def upload_form(size):
    """The length of a form with a file of that size, and its pieces."""
    boundary, piece = "benchmark", bytes(1 << 20)
    head = (f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="big.bin"\r\n\r\n').encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def pieces():
        yield head
        for at in range(0, size, len(piece)):
            yield piece[:min(len(piece), size - at)]
        yield tail

    fields = {"Content-Type": f"multipart/form-data; boundary={boundary}",
              "Content-Length": str(len(head) + size + len(tail))}
    return fields, pieces()


def drain(reply):
    total = 0
    while data := reply.read(1 << 20):
        total += len(data)
    return total


def large_file(folder, plan):
    """Uploaded and downloaded over one connection; the supervisor holds none of it."""
    s = station(folder, "file", limits={"upload_max": 2 * plan.file_bytes})
    s.put("hello.py", HELLO)
    what = f"{plan.file_bytes / 1e9:g} GB"
    rows = []
    with running(s):
        s.get("/objects/hello")
        connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=600)
        fields, pieces = upload_form(plan.file_bytes)
        for name, ask in (("uploaded", ("POST", "/objects/hello", pieces, fields)),
                          ("downloaded", ("GET", "/objects/hello?file=big.bin", None, {}))):
            begun = time.perf_counter()
            connection.request(*ask)
            reply = connection.getresponse()
            got = drain(reply)
            seconds = time.perf_counter() - begun
            if reply.status != 200 or (name == "downloaded" and got != plan.file_bytes):
                raise RuntimeError(f"{name}: {reply.status}, {got} bytes")
            rows.append(Row(f"{what} {name}, supervisor resident at most", s.rss(peak=True) / (1 << 20), "MiB",
                            ("<=", 64), note=f"in {seconds:.2f} s, {plan.file_bytes / seconds / 1e6:.0f} MB/s"))
            progress(rows[-1])
        connection.close()
        (s.data / "files" / "hello" / "big.bin").unlink()
    return rows


def recovery(s, keys, what, target):
    begun = time.perf_counter()
    s.spawn()
    wait_until(s.is_ready, 120)
    ready = time.perf_counter() - begun
    s.pid = s.process.pid
    begun = time.perf_counter()
    answer = s.get(f"/objects/big?n={keys - 1}", timeout=120)
    first = time.perf_counter() - begun
    if answer.status != 200 or answer.json() != {"value": keys - 1}:
        raise RuntimeError(f"{what}: {answer}")
    rows = [Row(f"{what}, program start to ready", ready, "s", target),
            Row(f"{what}, then first call with that state", first, "s",
                note=f"together {ready + first:.2f} s")]
    progress(rows[0])
    return rows


def instructions(folder, plan):
    """Instructions in user space of supervisor and worker together for one turn that reads and
    writes one key, with so many keys in the state. Counted by callgrind, because the counters of
    the processor are not to be had in most virtual machines; one connection, so that no batching
    blurs it."""
    if not shutil.which("valgrind"):
        return [Row("instructions per turn", None, note="valgrind is not installed")]
    rows, counts = [], {}
    for keys in plan.instruction_keys:
        counts[keys] = instructions_at(Path(folder), keys, plan.instruction_turns)
        rows.append(Row(f"instructions per turn at {keys:,} keys", round(sum(counts[keys].values())),
                        "", note=", ".join(f"{k} {v:,.0f}" for k, v in sorted(counts[keys].items()))))
        progress(rows[-1])
    first, last = plan.instruction_keys[0], plan.instruction_keys[-1]
    rows.append(Row(f"instructions per turn, {last:,} keys against {first:,}",
                    sum(counts[last].values()) / sum(counts[first].values()), "×", ("<=", 1.1)))
    return rows


def instructions_at(folder, keys, turns):
    folder = folder / f"callgrind-{keys}"
    out = folder / "out"
    out.mkdir(parents=True)
    state = folder / "data" / "state" / "counter"
    state.mkdir(parents=True)
    with open(state / "state.tsv", "w") as f:
        f.write("#objectd-state 1 seq=0\ncount\t0\t1.000000\n")
        f.writelines(f"key{n:07d}\t{n}\t1.000000\n" for n in range(keys - 1))
    shim, itself = folder / "under_valgrind.so", folder / "objectd-scribe"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim,
                    HERE / "under_valgrind.c", "-ldl"], check=True)
    itself.symlink_to(BUILD / "objectd")
    s = Station(folder, prefix=["valgrind", "-q", "--tool=callgrind", "--trace-children=yes",
                                f"--callgrind-out-file={out}/cg.%p"],
                env={"LD_PRELOAD": str(shim), "OBJECTD_BENCH_PROGRAM": str(itself)},
                config={"workers": {"timeout": 600, "start_timeout": 600, "queue_timeout": 600},
                        "state": {"checkpoint_idle": 3600, "checkpoint_max": 3600}})
    s.put("counter.py", COUNTER)
    with running(s, timeout=300):
        with s.client(timeout=600) as client:
            for _ in range(50):
                assert client.get("/objects/counter").status == 200
            workers = s.status()["processes"]["workers"]
            pids = {"supervisor": s.pid, "worker": workers[0]["pid"]}
            before = {role: cost_so_far(pid, out) for role, pid in pids.items()}
            for _ in range(turns):
                assert client.get("/objects/counter").status == 200
            after = {role: cost_so_far(pid, out) for role, pid in pids.items()}
    return {role: (after[role] - before[role]) / turns for role in pids}


def cost_so_far(pid, out):
    """Instructions since the start, or since the last look where callgrind resets after a dump."""
    known = set(out.glob(f"cg.{pid}.*"))
    subprocess.run(["callgrind_control", "-d", str(pid)], check=True, capture_output=True, timeout=120)
    new = wait_until(lambda: {p for p in out.glob(f"cg.{pid}.*") if p not in known and total_of(p)})
    return sum(total_of(p) for p in known | new if total_of(p))


def total_of(path):
    found = re.search(r"^(?:totals|summary): (\d+)", path.read_text(errors="replace"), re.M)
    return int(found.group(1)) if found else 0


class running:
    """A started station that is gone when the block ends, whatever happened in it."""

    def __init__(self, s, timeout=60):
        self.station, self.timeout = s, timeout

    def __enter__(self):
        try:
            return self.station.start(self.timeout)
        except BaseException:
            self.station.close()
            raise

    def __exit__(self, *_):
        self.station.close()


def progress(row):
    print(f"  {row.what}: {row.shown()} {row.unit} {row.verdict} {row.note}", flush=True)
