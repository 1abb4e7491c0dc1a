# SPDX-License-Identifier: Apache-2.0
"""Objects with more than one worker: stateless, readonly, replicas that follow the owner."""

import http.client
import itertools
import os
import signal
import threading

import pytest
from station import read_reply, scaled, wait_until
from writers import in_parallel

# Comes back once `others` calls are inside at the same time: each leaves a file and looks for the rest.
MEET = """
def meet(folder, others):
    import os, time, uuid
    open(os.path.join(folder, uuid.uuid4().hex), 'w').close()
    while len(os.listdir(folder)) < others:
        time.sleep(0.002)
    return {'pid': os.getpid()}
"""

LEDGER = """
import os
__endpoint__ = {'readonly': ['GET'], 'workers': %d, 'version': '%s'}

def GET(request):
    return {'pid': os.getpid(), 'version': __endpoint__['version'], **_state_manager.get_all()}

def POST(request):
    return {'n': _state_manager.increment('n' + request['who']), 'pid': os.getpid()}
"""


def workers_of(station, object_id):
    """Those that serve: the owner first."""
    return station.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["worker"]["all"]


def wait_for_workers(station, object_id, count):
    def all_there():
        found = workers_of(station, object_id)
        return len(found) == count and found
    return wait_until(all_there, what=lambda: workers_of(station, object_id))


def pids(workers):
    return [w["pid"] for w in workers]


def begin(count, work):
    """work(index) in threads; what is returned waits for their answers."""
    answers = [None] * count

    def run(i):
        answers[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()

    def finish():
        for t in threads:
            t.join(60)
        return answers

    return finish


def wait_inside(station, object_id, count):
    wait_until(lambda: sum(w["inflight"] for w in workers_of(station, object_id)) == count,
               what=lambda: workers_of(station, object_id))


# --- at once ---


@pytest.mark.parametrize("endpoint", ["{'stateless': True, 'workers': 3}",
                                      "{'readonly': ['GET'], 'workers': 3}"])
def test_calls_run_at_once(station, endpoint):
    """Three handlers inside at the same moment, in three processes; also when the object was cold."""
    station.deploy("meet.py", f"__endpoint__ = {endpoint}\n{MEET}"
                              "def GET(request):\n    return meet(request['folder'], 3)\n")
    for kind in ("cold", "warm"):
        folder = station.folder / kind
        folder.mkdir()
        answers = in_parallel(3, lambda _: station.get(f"/objects/meet?folder={folder}").json())
        assert len({a["pid"] for a in answers}) == 3, answers
        wait_for_workers(station, "meet", 3)


def test_a_free_worker_gets_what_waits(station):
    """Two of three calls are inside and do not end; ten others pass by them."""
    station.deploy("slow.py", "import os, time\n__endpoint__ = {'stateless': True, 'workers': 3}\n"
                              "def GET(request):\n"
                              "    while request.get('until') and not os.path.exists(request['until']):\n"
                              "        time.sleep(0.002)\n    return {}\n")
    station.get("/objects/slow")
    wait_for_workers(station, "slow", 3)
    for _ in range(20):
        station.get("/objects/slow")
    until = station.folder / "until"
    waiting = [threading.Thread(target=station.get, args=(f"/objects/slow?until={until}",))
               for _ in range(2)]
    for t in waiting:
        t.start()
    wait_until(lambda: sum(w["inflight"] for w in workers_of(station, "slow")) == 2)
    assert all(s == 200 for s in in_parallel(10, lambda _: station.get("/objects/slow").status))
    assert all(t.is_alive() for t in waiting)
    until.touch()
    for t in waiting:
        t.join()


def test_writing_turns_stay_exclusive(station):
    station.deploy("mixed.py", LEDGER % (3, "1"))
    each = scaled(100, 20)

    def work(i):
        with station.client() as client:
            return [client.post("/objects/mixed", {"who": ""}).json()["n"] for _ in range(each)]

    seen = [n for found in in_parallel(6, work) for n in found]
    assert sorted(seen) == list(range(1, 6 * each + 1))


# --- who may write ---

WRITES = """
def write(request):
    way = {'set': lambda: _state_manager.set('a', 1), 'delete': lambda: _state_manager.delete('b'),
           'increment': lambda: _state_manager.increment('n')}[request['way']]
    return way()
"""


@pytest.mark.parametrize("way", ["set", "increment"])
def test_a_stateless_object_cannot_write(station, way):
    station.deploy("none.py", "__endpoint__ = {'stateless': True, 'workers': 2}\n" + WRITES +
                   "POST = write\ndef GET(request):\n    return _state_manager.get_all()\n")
    reply = station.post(f"/objects/none?way={way}")
    assert reply.status == 500 and "stateless" in reply.json()["error"], reply
    assert station.get("/objects/none").json() == {} and station.state("none") == {}


def test_a_readonly_method_cannot_write(station):
    station.deploy("ro.py", "__endpoint__ = {'readonly': ['GET'], 'workers': 2}\n" + WRITES +
                   "GET = POST = write\n")
    assert station.post("/objects/ro?way=set").status == 204
    wait_for_workers(station, "ro", 2)
    for _ in range(6):  # on either worker
        for method in ("GET", "HEAD"):
            reply = station.request(method, "/objects/ro?way=increment")
            assert reply.status == 500, reply
            assert method == "HEAD" or "readonly" in reply.json()["error"], reply
    assert station.state("ro") == {"a": 1}


def test_threads_may_write_in_the_owner_only(station):
    station.deploy("bg.py", """
import os, threading
__endpoint__ = {'readonly': ['GET'], 'workers': 2}
def work(out):
    try:
        _state_manager.increment('n')
    except RuntimeError as e:
        out.append(str(e))
def GET(request):
    out = []
    t = threading.Thread(target=work, args=(out,))
    t.start()
    t.join()
    return {'pid': os.getpid(), 'errors': out}
""")
    station.get("/objects/bg")
    owner, replica = pids(wait_for_workers(station, "bg", 2))
    seen = {}
    while len(seen) < 2:
        for answer in in_parallel(4, lambda _: station.get("/objects/bg").json()):
            seen[answer["pid"]] = answer["errors"]
    assert seen[owner] == [] and "replica" in seen[replica][0]


# --- a client reads its own writes ---


class Checkers:
    """Clients that write and read: what was acknowledged must be in every later answer."""

    def __init__(self, station, object_id, count, max_failures=0):
        self.station, self.object_id, self.count = station, object_id, count
        self.stopping = threading.Event()
        self.acknowledged = [0] * count
        self.failures, self.pids, self.versions, self.errors = [], set(), set(), []
        self.max_failures = max_failures
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True)
                        for i in range(count)]
        for t in self.threads:
            t.start()

    def one(self, i, writer, reader):
        """A write on one connection, then reads on it and on another."""
        path, who = f"/objects/{self.object_id}", str(i)
        reply = writer.post(path, {"who": who})
        if reply.status != 200:
            self.failures.append(reply)
            return
        n = reply.json()["n"]
        assert n > self.acknowledged[i], (n, self.acknowledged[i])
        self.acknowledged[i] = n
        for client in (writer, reader, reader):
            reply = client.get(path)
            if reply.status != 200:
                self.failures.append(reply)
                continue
            answer = reply.json()
            self.pids.add(answer["pid"])
            self.versions.add(answer["version"])
            assert answer["n" + who] >= n, (answer, n)

    def run(self, i):
        try:
            with self.station.client() as writer, self.station.client() as reader:
                while not self.stopping.is_set():
                    self.one(i, writer, reader)
        except BaseException as e:
            self.errors.append(e)

    @property
    def total(self):
        return sum(self.acknowledged)

    def wait_for(self, more):
        """Until that many further writes were acknowledged."""
        start = self.total
        wait_until(lambda: self.errors or self.total >= start + more, 60,
                   lambda: f"{self.total - start} of {more}")

    def finish(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
        assert not self.errors, self.errors
        assert len(self.failures) <= self.max_failures, self.failures
        state = self.station.state(self.object_id)
        for i, n in enumerate(self.acknowledged):
            assert state.get(f"n{i}", 0) >= n
        return self


def test_read_your_writes(station):
    station.deploy("ledger.py", LEDGER % (3, "1"))
    checkers = Checkers(station, "ledger", 6)
    wait_for_workers(station, "ledger", 3)
    checkers.wait_for(scaled(800, 100))
    checkers.finish()
    assert len(checkers.pids) == 3  # each of them answered


FILES = """
import os
__endpoint__ = {'readonly': ['GET'], 'workers': 3}

def GET(request):
    if 'write' in request:
        _files.put('no', b'x')
    try:
        return {'pid': os.getpid(), 'n': int(_files.get(request['who']))}
    except FileNotFoundError:
        return {'pid': os.getpid(), 'n': None}

def POST(request):
    _files.put(request['who'], str(request['n']))
    return {}

def DELETE(request):
    _files.delete(request['who'])
"""


def test_read_your_files(station):
    """What a turn has put or deleted, every worker shows from its answer on."""
    station.deploy("shelf.py", FILES)
    station.get("/objects/shelf?who=x")
    wait_for_workers(station, "shelf", 3)
    seen = set()

    def work(i):
        with station.client() as client, station.client() as other:
            for n in range(scaled(30, 8)):
                assert client.post("/objects/shelf", {"who": str(i), "n": n}).status == 200
                for _ in range(2):
                    for reader in (client, other):
                        answer = reader.get(f"/objects/shelf?who={i}").json()
                        assert answer["n"] == n, (answer, n)
                        seen.add(answer["pid"])
            assert client.request("DELETE", f"/objects/shelf?who={i}").status == 204
            assert other.get(f"/objects/shelf?who={i}").json()["n"] is None

    in_parallel(4, work)
    wait_until(lambda: len(seen) == 3 or in_parallel(4, work) is None, what=lambda: seen)
    reply = station.get("/objects/shelf?who=x&write=1")
    assert reply.status == 500 and "readonly" in reply.json()["error"]


@pytest.mark.parametrize("role", ["owner", "replica"])
def test_killed_under_load(station, role):
    """Each death costs at most the call that was running; nothing acknowledged is lost."""
    station.allow(r"died")
    station.deploy("ledger.py", LEDGER % (3, "1"))
    checkers = Checkers(station, "ledger", 6, max_failures=3)
    for _ in range(3):
        workers = wait_for_workers(station, "ledger", 3)
        checkers.wait_for(scaled(100, 20))
        victim = workers[0 if role == "owner" else 1]["pid"]
        os.kill(victim, signal.SIGKILL)
        checkers.wait_for(scaled(100, 20))
        wait_until(lambda v=victim: v not in pids(workers_of(station, "ledger")))
        now = workers_of(station, "ledger")[0]["pid"]  # a dead owner's place is taken by a replica
        assert now in pids(workers[1:]) if role == "owner" else now == workers[0]["pid"]
    for reply in checkers.finish().failures:
        assert reply.status == 502 and reply.json()["crash_id"], reply
    wait_for_workers(station, "ledger", 3)


def test_a_crash_costs_its_own_call_only(station):
    station.allow(r"died")
    station.deploy("dies.py", f"""
import os
__endpoint__ = {{'stateless': True, 'workers': 3}}
{MEET}
def GET(request):
    answer = meet(request['folder'], 3)
    if 'die' in request:
        os._exit(3)
    return answer
""")
    folder = station.folder / "meet"
    folder.mkdir()
    tails = ["", "&die=1", ""]
    answers = in_parallel(3, lambda i: station.get(f"/objects/dies?folder={folder}{tails[i]}"))
    assert [a.status for a in answers] == [200, 502, 200]
    wait_for_workers(station, "dies", 3)


def test_deploy_under_load(station):
    """Every worker is replaced, no call fails, and no version comes back once it was replaced."""
    station.deploy("ledger.py", LEDGER % (3, "1"))
    checkers = Checkers(station, "ledger", 6)
    old = set()
    for version in range(2, 5):
        old |= set(pids(wait_for_workers(station, "ledger", 3)))
        checkers.wait_for(scaled(60, 10))
        station.put("ledger.py", LEDGER % (3 if version % 2 else 2, version))
        wait_until(lambda: str(version) in checkers.versions)
        checkers.wait_for(scaled(60, 10))
        wait_for_workers(station, "ledger", 3 if version % 2 else 2)
        if version % 2 == 0:
            old |= set(pids(workers_of(station, "ledger")))
            station.put("ledger.py", LEDGER % (3, f"{version}b"))
            wait_for_workers(station, "ledger", 3)
    checkers.finish()
    wait_until(lambda: len(station.workers()) == 3, what=station.workers)
    assert not {p.pid for p in station.workers()} & old


def test_deploy_of_a_stateless_object_waits_for_nobody(station):
    """Every worker still has a call of the old source inside while the new one answers."""
    source = ("import os, time\n__endpoint__ = {'stateless': True, 'workers': 2}\n"
              "def GET(request):\n"
              "    while request.get('until') and not os.path.exists(request['until']):\n"
              "        time.sleep(0.002)\n    return {'version': %d}\n")
    station.deploy("quick.py", source % 1)
    station.get("/objects/quick")
    wait_for_workers(station, "quick", 2)
    until = station.folder / "until"
    finish = begin(2, lambda _: station.get(f"/objects/quick?until={until}"))
    wait_inside(station, "quick", 2)
    station.put("quick.py", source % 2)
    wait_until(lambda: station.get("/objects/quick?metadata=true").json()["metadata"][
        "source_version"] == 2)
    assert station.get("/objects/quick").json() == {"version": 2}
    until.touch()
    assert [a.json() for a in finish()] == [{"version": 1}] * 2
    wait_until(lambda: len(station.workers()) == 2)


# --- replicas that do not follow ---


@pytest.mark.parametrize("station", [{"config": {"workers": {"replica_lag_timeout": 0.5}}}],
                         indirect=True)
def test_a_stopped_replica_is_replaced(station):
    """It holds up neither writes nor reads, and is replaced after workers.replica_lag_timeout."""
    station.allow(r"replica_lag_timeout|died")
    station.deploy("ledger.py", LEDGER % (2, "1"))
    checkers = Checkers(station, "ledger", 4)
    _, replica = pids(wait_for_workers(station, "ledger", 2))
    os.kill(replica, signal.SIGSTOP)
    checkers.wait_for(scaled(200, 40))
    wait_until(lambda: replica not in pids(wait_for_workers(station, "ledger", 2)))
    checkers.wait_for(scaled(50, 10))
    checkers.finish()
    assert station.logged("does not follow the writes \\(workers.replica_lag_timeout\\)")


@pytest.mark.parametrize("size", [3000, 300000])  # in the socket, and as memory of its own
# On a busy machine the writes that are too many may take longer than its time to follow would be.
@pytest.mark.parametrize("station", [{"config": {"limits": {"replica_lag_max": "1M"},
                                                 "workers": {"replica_lag_timeout": 600},
                                                 "state": {"durability": "none"}}}], indirect=True)
def test_a_replica_that_reads_nothing_costs_no_memory(station, size):
    station.allow(r"replica_lag_max|died")
    station.deploy("big.py", "__endpoint__ = {'readonly': ['GET'], 'workers': 2}\n"
                             "def GET(request):\n    return _state_manager.get('x', '')[:10]\n"
                             "def POST(request):\n    _state_manager.set('x', 'y' * request['size'])\n")
    body = {"size": size}
    station.post("/objects/big", body)

    def follows():  # then it may be sent any number; on a busy machine one may have got no time to
        _, replica = pids(wait_for_workers(station, "big", 2))
        for _ in range(2 * 1048576 // size):
            assert station.post("/objects/big", body).status == 204
        return replica in pids(workers_of(station, "big")) and replica

    replica = wait_until(follows)
    os.kill(replica, signal.SIGSTOP)
    for _ in range(1048576 // size + 1):
        assert station.post("/objects/big", body).status == 204
    wait_until(lambda: replica not in pids(wait_for_workers(station, "big", 2)))
    assert station.logged("does not follow the writes \\(limits.replica_lag_max\\)")


@pytest.mark.parametrize("station", [{"config": {"limits": {"turn_writes_max": "64K"}}}],
                         indirect=True)
def test_a_refused_turn_reaches_no_replica(station):
    """The owner's copy is reset to what was accepted, which is what the replica has."""
    station.deploy("much.py", "import os\n__endpoint__ = {'readonly': ['GET'], 'workers': 2}\n"
                              "def GET(request):\n"
                              "    return {'pid': os.getpid(), 'keys': _state_manager.keys()}\n"
                              "def POST(request):\n    _state_manager.set(request['key'], "
                              "'x' * request['size'])\n    return {}\n")
    assert station.post("/objects/much", {"key": "a", "size": 10}).status == 200
    wait_for_workers(station, "much", 2)
    assert station.post("/objects/much", {"key": "b", "size": 100000}).status == 413
    assert station.post("/objects/much", {"key": "c", "size": 10}).status == 200
    seen = {}
    while len(seen) < 2:
        for answer in in_parallel(4, lambda _: station.get("/objects/much").json()):
            seen[answer["pid"]] = answer["keys"]
    assert list(seen.values()) == [["a", "c"]] * 2


def test_a_replica_that_does_not_load(station):
    """The owner serves alone; the reason is in the log."""
    station.allow(r"does not load|died")
    taken = station.folder / "taken"
    station.deploy("once.py", "import os\n__endpoint__ = {'stateless': True, 'workers': 2}\n"
                              f"os.close(os.open({str(taken)!r}, os.O_CREAT | os.O_EXCL))\n"
                              "def GET(request):\n    return {}\n")
    assert station.get("/objects/once").status == 200
    wait_until(lambda: any("a replica does not load: FileExistsError" in line["message"]
                           for line in station.object_logs("once")))
    assert station.get("/objects/once").status == 200
    os.unlink(taken)
    wait_for_workers(station, "once", 2)


# --- the end of all of them ---


def test_all_leave_with_the_file(station):
    path = station.put("ledger.py", LEDGER % (4, "1"))
    wait_until(lambda: station.get("/objects/ledger").status == 200)
    wait_for_workers(station, "ledger", 4)
    path.unlink()
    wait_until(lambda: not station.workers())
    assert station.get("/objects/ledger").status == 404


@pytest.mark.parametrize("station", [{"config": {"workers": {"idle_timeout": 0.3}}}], indirect=True)
def test_all_leave_when_idle(station):
    station.deploy("ledger.py", LEDGER % (3, "1"))
    station.post("/objects/ledger", {"who": "a"})
    wait_until(lambda: len(station.workers()) == 3)
    wait_until(lambda: not station.workers())
    assert station.get("/objects/ledger").json()["na"] == 1


def test_stop_under_load(station):
    station.deploy("ledger.py", LEDGER % (4, "1"))
    wait_until(lambda: station.get("/objects/ledger").status == 200)
    wait_for_workers(station, "ledger", 4)
    acknowledged, stopped = [0] * 4, []

    def work(i):
        try:
            with station.client() as client:
                while True:
                    reply = client.post("/objects/ledger", {"who": str(i)})
                    if reply.status != 200:
                        stopped.append(reply.status)
                        return
                    acknowledged[i] = reply.json()["n"]
        except (OSError, http.client.HTTPException):
            stopped.append(0)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    wait_until(lambda: sum(acknowledged) > scaled(100, 20))
    assert station.stop() == 0
    for t in threads:
        t.join()
    station.start()
    assert station.state("ledger") == {f"n{i}": n for i, n in enumerate(acknowledged)}


def test_stop_sends_all_of_a_reply(station):
    """Also to a client that has sent its next request, which nobody reads any more."""
    station.deploy("large.py", "import os, time\ndef GET(request):\n"
                               "    while not os.path.exists(request['until']):\n"
                               "        time.sleep(0.002)\n    return 'x' * 6000000\n")
    until = station.folder / "until"
    request = f"GET /objects/large?until={until} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with station.connect() as s:
        s.sendall(request)
        wait_until(lambda: station.status()["turns"]["outstanding"] == 1)
        s.sendall(request)
        station.send_signal(signal.SIGTERM)
        wait_until(lambda: station.logged("stopping"))
        until.touch()
        assert len(read_reply(s).body) == 6000000
    assert station.wait() == 0
    station.start()


def test_what_the_station_shows(station):
    station.deploy("ledger.py", LEDGER % (2, "1"))
    station.get("/objects/ledger")
    wait_for_workers(station, "ledger", 2)
    metadata = station.get("/objects/ledger?metadata=true").json()["metadata"]
    assert metadata["workers"] == 2 and metadata["readonly"] == ["GET"]
    assert [w["role"] for w in metadata["worker"]["all"]] == ["owner", "replica"]
    assert metadata["worker"]["pid"] == metadata["worker"]["all"][0]["pid"]
    shown = [w for w in station.status()["processes"]["workers"] if w["object_id"] == "ledger"]
    assert sorted(w["role"] for w in shown) == ["owner", "replica"]


# --- several turns at once in one worker ---

CONCURRENT = """
import asyncio, os, time
__endpoint__ = {'stateless': True, 'concurrent': %d, 'workers': %d, 'timeout': 1}
inside, most = 0, 0

async def GET(request):
    global inside, most
    inside += 1
    most = max(most, inside)
    try:
        until = request.get('until')
        if until:
            open(until + '.' + request.request_id, 'w').close()
        while until and not os.path.exists(until):
            await asyncio.sleep(0.002)
        _logger.info('leaves', who=request.get('who'))
        return {'who': request.get('who'), 'most': most, 'pid': os.getpid()}
    finally:
        inside -= 1

async def POST(request):
    what = request['what']
    if what == 'raise':
        raise ValueError('no')
    if what == 'exit':
        os._exit(4)
    if what == 'sleep':
        await asyncio.sleep(60)
    if what == 'deaf':
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
    if what == 'hold':
        time.sleep(60)
    if what == 'stuck':
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    return what
"""


def patient(source):
    return source.replace("'timeout': 1", "'timeout': 30")


def wait_entered(until, count):
    """Handlers of CONCURRENT that have begun, as they say themselves."""
    wait_until(lambda: len(list(until.parent.glob("until.*"))) == count)


@pytest.mark.parametrize("workers", [1, 2])
def test_turns_at_once(station, workers):
    """As many as asked for are inside at the same moment, in each worker, and not one more."""
    station.deploy("many.py", patient(CONCURRENT % (5, workers)))
    station.get("/objects/many")
    wait_for_workers(station, "many", workers)
    until = station.folder / "until"
    finish = begin(5 * workers + 3,
                   lambda i: station.get(f"/objects/many?who={i}&until={until}"))
    wait_entered(until, 5 * workers)
    wait_until(lambda: station.status()["turns"]["queued"] == 3)
    until.touch()
    answers = finish()
    assert [a.status for a in answers] == [200] * len(answers)
    assert [a.json()["who"] for a in answers] == [str(i) for i in range(len(answers))]
    assert len({a.json()["pid"] for a in answers}) == workers
    assert max(a.json()["most"] for a in answers) == 5


def test_each_turn_at_once_logs_under_its_own_request(station):
    station.deploy("many.py", patient(CONCURRENT % (5, 1)))
    until = station.folder / "until"
    finish = begin(5, lambda i: station.get(f"/objects/many?who={i}&until={until}",
                                            headers={"X-Request-Id": f"request-{i}"}))
    wait_entered(until, 5)
    until.touch()
    finish()

    def seen():
        return {(line.get("who"), line["request_id"]) for line in station.object_logs("many")
                if line["message"] == "leaves"}

    wait_until(lambda: seen() == {(str(i), f"request-{i}") for i in range(5)}, what=seen)


@pytest.mark.parametrize("what, status", [("raise", 500), ("sleep", 504), ("deaf", 504),
                                          ("hold", 504)])
def test_the_end_of_one_turn_at_once_hurts_no_other(station, what, status):
    """It raises, or its deadline ends it: awaiting, refusing to be cancelled, or computing."""
    station.deploy("many.py", CONCURRENT % (4, 1))
    station.get("/objects/many")
    pid = station.worker_pid("many")
    reply = station.post("/objects/many", {"what": what})
    assert reply.status == status, reply
    if status == 504:
        assert reply.json()["limit"] == "timeout" and "timed out after" in reply.json()["error"]
    attempts = itertools.count()

    def three_more():
        """They have a second each, too, which a busy machine may take from them."""
        folder = station.folder / f"attempt{next(attempts)}"
        folder.mkdir()
        until = folder / "until"
        finish = begin(3, lambda i: station.get(f"/objects/many?until={until}"))
        wait_entered(until, 3)
        raised = station.post("/objects/many", {"what": "raise"})
        until.touch()
        return [*(a.status for a in finish()), raised.status] == [200, 200, 200, 500]

    wait_until(three_more)
    assert workers_of(station, "many")[0]["pid"] == pid


def test_a_deadline_while_others_are_inside(station):
    """One awaits too long beside others, which are answered meanwhile."""
    station.deploy("many.py", (CONCURRENT % (4, 1)).replace("'timeout': 1", "'timeout': 2"))
    station.get("/objects/many")
    late = begin(1, lambda i: station.post("/objects/many", {"what": "sleep"}))
    wait_inside(station, "many", 1)
    assert in_parallel(3, lambda _: station.get("/objects/many").status) == [200] * 3
    assert late()[0].status == 504


@pytest.mark.parametrize("station", [{"config": {"workers": {"timeout_grace": 0.2}}}], indirect=True)
def test_one_that_cannot_be_ended_costs_its_worker(station):
    station.allow(r"killed|died|deadline|grace")
    station.deploy("many.py", CONCURRENT % (4, 1))
    station.get("/objects/many")
    reply = station.post("/objects/many", {"what": "stuck"})
    assert reply.status == 504 and "killed" in reply.json()["error"], reply
    wait_until(lambda: station.get("/objects/many").status == 200)


def test_a_crash_ends_what_had_begun(station):
    """Those inside get 502; what had not begun is served by the next worker."""
    station.allow(r"died")
    station.deploy("many.py", patient(CONCURRENT % (5, 1)))
    station.get("/objects/many")
    until = station.folder / "until"
    inside = begin(2, lambda i: station.get(f"/objects/many?until={until}"))
    wait_entered(until, 2)
    stopped = station.worker_pid("many")
    os.kill(stopped, signal.SIGSTOP)
    others = begin(5, lambda i: station.get(f"/objects/many?who={i}"))
    wait_until(lambda: station.status()["turns"]["outstanding"] == 7)
    os.kill(stopped, signal.SIGKILL)
    assert [a.status for a in inside()] == [502] * 2
    assert [a.status for a in others()] == [200] * 5
    assert station.post("/objects/many", {"what": "exit"}).status == 502


def test_deploy_with_turns_at_once(station):
    source = patient(CONCURRENT % (8, 2))
    station.deploy("many.py", source)
    statuses, stopping = set(), threading.Event()

    def work(_):
        with station.client() as client:
            while not stopping.is_set():
                statuses.add(client.get("/objects/many").status)

    def version():
        return station.get("/objects/many?metadata=true").json()["metadata"]["source_version"]

    finish = begin(8, work)
    for n in range(3):
        wait_for_workers(station, "many", 2)
        before = version()
        station.put("many.py", source + f"# {n}\n")
        wait_until(lambda: version() > before)
    stopping.set()
    finish()
    assert statuses == {200}


def test_stop_waits_for_turns_at_once(station):
    station.deploy("many.py", patient(CONCURRENT % (3, 1)))
    station.get("/objects/many")
    until = station.folder / "until"
    inside = begin(3, lambda i: station.get(f"/objects/many?until={until}"))
    wait_entered(until, 3)
    station.send_signal(signal.SIGTERM)
    wait_until(lambda: station.logged("stopping"))
    until.touch()
    assert [a.status for a in inside()] == [200] * 3
    assert station.wait() == 0
    station.start()


STREAMS = """
import asyncio, os
__endpoint__ = {'stateless': True, 'concurrent': 4, 'timeout': %s}

async def ticks(until, closed):
    try:
        yield 'first'
        yield ''
        while not os.path.exists(until):
            await asyncio.sleep(0.002)
        yield 'last ' + _runtime.request_id
    finally:
        await asyncio.sleep(0)
        open(closed, 'w').close()

async def GET(request):
    return ticks(request['until'], request['closed'])

def POST(request):
    return 'well'
"""


def open_stream(station, folder, name):
    s = station.connect()
    s.sendall(f"GET /objects/streams?until={folder}/until&closed={folder}/{name} HTTP/1.1\r\n"
              f"Host: localhost\r\nX-Request-Id: {name}\r\n\r\n".encode())
    return s


def read_until(s, text):
    seen = b""
    while text not in seen:
        piece = s.recv(65536)
        assert piece, seen
        seen += piece
    return seen


def test_streams_beside_turns(station):
    """Generators that await hold up neither turns nor each other; what is left is closed."""
    station.deploy("streams.py", STREAMS % 30)
    station.post("/objects/streams")
    streams = [open_stream(station, station.folder, f"s{i}") for i in range(3)]
    for s in streams:
        read_until(s, b"first")
    assert in_parallel(4, lambda _: station.post("/objects/streams").text) == ["well"] * 4
    streams[0].close()
    wait_until((station.folder / "s0").exists)
    assert station.post("/objects/streams").text == "well"
    (station.folder / "until").touch()
    for i in (1, 2):
        assert f"last s{i}".encode() in read_until(streams[i], b"\r\n0\r\n\r\n")
        wait_until((station.folder / f"s{i}").exists)
        streams[i].close()


def test_a_stream_beside_turns_has_a_deadline(station):
    station.deploy("streams.py", STREAMS % 0.3)
    with open_stream(station, station.folder, "late") as s:
        read_until(s, b"first")
        while s.recv(65536):
            pass
    wait_until((station.folder / "late").exists)
    assert station.post("/objects/streams").text == "well"


def test_questions_of_turns_at_once(station):
    """Each gets its own answers; one that ends early takes nobody else's along."""
    station.deploy("other.py", "def POST(request):\n    return {'twice': 2 * request['n']}\n")
    station.deploy("asks.py", """
import asyncio
__endpoint__ = {'stateless': True, 'concurrent': 8, 'workers': 2}

async def GET(request):
    n = int(request['n'])
    asked = [_runtime.call_object_async('other', 'POST', {'n': n + i}) for i in range(5)]
    if n % 3 == 0:
        await asyncio.wait([asyncio.ensure_future(a) for a in asked], return_when='FIRST_COMPLETED')
        raise ValueError('early')
    return [a['twice'] for a in await asyncio.gather(*asked)]
""")

    def work(i):
        with station.client() as client:
            return [client.get(f"/objects/asks?n={n}") for n in range(i, 8 * scaled(20, 5), 8)]

    for i, replies in enumerate(in_parallel(8, work)):
        for n, reply in zip(range(i, 8 * scaled(20, 5), 8), replies):
            if n % 3 == 0:
                assert reply.status == 500 and "early" in reply.text
            else:
                assert reply.json() == [2 * (n + k) for k in range(5)]
