# SPDX-License-Identifier: Apache-2.0
"""Constant load on a station whose objects are deployed and renewed meanwhile: what fails, what is of
no version or of two at once, and how long it takes."""

import http.client
import itertools
import json
import signal
import threading
import time

from station import PATIENCE, wait_until

# The version stands in the module, in the handler and in the object's state.
SOURCE = '''
__endpoint__ = {endpoint}
VERSION = {version}

{kind} GET(request):
    return {{"a": VERSION, "b": {version}, "name": "v%d" % VERSION}}
'''
BROKEN = '\nraise RuntimeError("a version that does not load")\n'
BROKEN_FROM = 1000000  # their numbers
COUNTER = '''
def GET(request):
    n = _state.get("n", 0)
    return {"a": n, "b": n, "name": "v%d" % n}

def POST(request):
    _state.set("n", _state.get("n", 0) + 1)
    return GET(request)
'''
SHAPES = {
    "plain": "{}",
    "stateless": "{'stateless': True, 'workers': 2}",
    "replicas": "{'readonly': ['GET'], 'workers': 2}",
    "concurrent": "{'stateless': True, 'concurrent': 4}",
}


def source(shape, version, broken=False):
    number = version + (BROKEN_FROM if broken else 0)
    kind = "async def" if shape == "concurrent" else "def"
    text = SOURCE.format(endpoint=SHAPES[shape], version=number, kind=kind)
    return text + (BROKEN if broken else "")


class Load:
    """Threads that ask at a steady pace, half of them on one connection each, half on a new one each
    time; stop() ends them."""

    def __init__(self, port, paths, threads=4, pause=0.005):
        self.port, self.pause = port, pause
        self.ended = threading.Event()
        self.failures = []  # text of each
        self.newest = {}    # path: the highest version that was seen
        self.times = []     # (when it began, seconds it took)
        self.threads = [threading.Thread(target=self.ask, args=(paths[i:] + paths[:i], i % 2 == 0))
                        for i in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join()

    def ask(self, paths, keeps):
        paths, connection = itertools.cycle(paths), None
        while not self.ended.is_set():
            path, method = next(paths), "GET"
            if path.startswith("POST "):
                method, path = path.split()
            begun = time.perf_counter()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port,
                                                                      timeout=30 * PATIENCE)
                connection.request(method, path)
                reply = connection.getresponse()
                self.judge(path, reply.status, reply.read())
            except Exception as e:
                self.failures.append(f"{method} {path}: {e!r}")
                connection = None
            self.times.append((begun, time.perf_counter() - begun))
            if connection and not keeps:
                connection.close()
                connection = None
            self.ended.wait(self.pause)
        if connection:
            connection.close()

    def judge(self, path, status, body):
        if status != 200:
            self.failures.append(f"{path}: {status} {body[:200]!r}")
            return
        answer = json.loads(body)
        if not (answer["a"] == answer["b"] and answer["name"] == f"v{answer['a']}"):
            self.failures.append(f"{path}: mixed: {answer}")
        if answer["a"] >= BROKEN_FROM:
            self.failures.append(f"{path}: broken: {answer}")
        self.newest[path] = max(self.newest.get(path, 0), answer["a"])

    def p99(self, windows):
        """Milliseconds, of the requests that began in one of the windows (begin, end)."""
        took = sorted(t for when, t in self.times if any(b <= when < e for b, e in windows))
        return took[int(len(took) * 0.99)] * 1000 if took else 0.0


def prepare(station, counters):
    """Objects of every shape and so many counters, all with workers; the paths to ask."""
    names = [f"o{i}" for i in range(counters)]
    for shape in SHAPES:
        station.put(f"{shape}.py", source(shape, 0))
    for name in names:
        station.put(f"{name}.py", COUNTER)
    wait_until(lambda: len(station.object_ids()) == counters + len(SHAPES))
    for name in [*SHAPES, *names]:
        assert station.get(f"/objects/{name}").status == 200
    shapes = [f"/objects/{shape}" for shape in SHAPES]
    return [p for name in names for p in (*shapes, f"POST /objects/{name}")] or shapes


def disturb(station, reloads, deploys, pause=0.0):
    """So many HUPs and deploys, in turn, as fast as they are done (and so long a pause between);
    every fifth version does not load. Returns the versions that serve at the end."""
    serving, shapes = {}, itertools.cycle(SHAPES)
    version, done = itertools.count(1), 0
    count = lambda: station.status()["reload"]["count"]
    first = count()
    for step in range(max(reloads, deploys)):
        if step < reloads:
            station.send_signal(signal.SIGHUP)
        if step < deploys:
            shape, number, broken = next(shapes), next(version), step % 5 == 4
            reply = station.request("PUT", f"/objects/{shape}?source=true",
                                    {"code": source(shape, number, broken)})
            assert reply.status == (422 if broken else 200), reply
            if not broken:
                serving[shape] = number
        if step < reloads:
            done += 1
            wait_until(lambda: count() >= first + done, 60, what=station.log_tail)
        time.sleep(pause)
    wait_until(lambda: station.status()["reload"]["state"] == "idle")
    return serving
