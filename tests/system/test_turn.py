# SPDX-License-Identifier: Apache-2.0
"""The turn: exclusive, atomic, undone after an exception; streams, deadline, crash."""

import http.client
import re
import threading

import pytest
from station import PATIENCE, read_reply, scaled, serving, wait_until
from writers import in_parallel

COUNTER = """
import os

def GET(request):
    return {'count': _state_manager.get('count', 0), 'pid': os.getpid()}

def POST(request):
    n = _state_manager.get('count', 0)
    _state_manager.set('count', n + 1)
    return {'count': n + 1}
"""


SHORT = 0.4 * min(PATIENCE, 2)  # what does not hang answers within it, but for a busy machine


def quick(**workers):
    return {"config": {"workers": workers}}


# --- exclusive ---


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_exclusive(station, kind):
    """get and set in two steps from 16 clients: no reply twice, none missing."""
    source = COUNTER
    if kind == "async def":
        source = COUNTER.replace("def POST", "async def POST").replace(
            "    _state_manager.set", "    import asyncio\n    await asyncio.sleep(0)\n"
                                      "    _state_manager.set")
    station.deploy("counter.py", source)
    each = scaled(150, 25)

    def work(_):
        with station.client() as client:
            return [client.post("/objects/counter").json()["count"] for _ in range(each)]

    replies = [n for found in in_parallel(16, work) for n in found]
    assert sorted(replies) == list(range(1, 16 * each + 1))
    assert station.get("/objects/counter").json()["count"] == 16 * each
    assert station.state("counter") == {"count": 16 * each}
    assert station.restart().state("counter") == {"count": 16 * each}


def test_pipelined(station):
    """200 requests in one send: answered in order, each exactly once."""
    station.deploy("counter.py", COUNTER)
    one = b"POST /objects/counter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    with station.connect() as s:
        sender = threading.Thread(target=s.sendall, args=(one * 200,))
        sender.start()
        seen = b""
        while seen.count(b'{"count":') < 200:
            piece = s.recv(65536)
            assert piece, seen[-500:]
            seen += piece
        sender.join()
    assert seen.count(b"HTTP/1.1 200 ") == 200
    counts = [int(n) for n in re.findall(rb'"count": ?(\d+)', seen)]
    assert counts == list(range(1, 201))
    assert station.get("/objects/counter").json()["count"] == 200


def test_async_turns_do_not_interleave(station):
    station.deploy("inter.py", "import asyncio\nrunning = 0\n"
                               "async def POST(request):\n    global running\n"
                               "    running += 1\n    most = running\n"
                               "    for _ in range(5):\n        await asyncio.sleep(0.001)\n"
                               "        most = max(most, running)\n"
                               "    running -= 1\n    return {'most': most}\n")
    answers = in_parallel(8, lambda _: [station.post("/objects/inter").json()["most"]
                                        for _ in range(3)])
    assert {n for a in answers for n in a} == {1}


def test_one_object_does_not_wait_for_another(station):
    station.deploy("slow.py", "import os, time\ndef GET(request):\n"
                              "    while not os.path.exists(request['until']):\n"
                              "        time.sleep(0.005)\n    return {}\n")
    station.deploy("counter.py", COUNTER)
    until = station.folder / "go"
    waiting = threading.Thread(target=station.get, args=(f"/objects/slow?until={until}",))
    waiting.start()
    wait_until(lambda: station.workers())
    for _ in range(10):
        assert station.get("/objects/counter").status == 200
    assert waiting.is_alive()
    until.touch()
    waiting.join()


# --- atomic ---


def test_undo_after_an_exception(station):
    station.deploy("undo.py", """
def PUT(request):
    _state_manager.set('a', 1); _state_manager.set('b', {'x': [1]}); _state_manager.set('n', 5)
    return {}

def POST(request):
    _state_manager.set('a', 2)
    _state_manager.set('new', 'x')
    _state_manager.delete('b')
    _state_manager.increment('n', 10)
    _state_manager.set('a', 3)
    _state_manager.delete('new'); _state_manager.set('new', 'y')
    assert _state_manager.get_all() == {'a': 3, 'new': 'y', 'n': 15}, _state_manager.get_all()
    raise ValueError('no')

def GET(request):
    return _state_manager.get_all()
""")
    before = {"a": 1, "b": {"x": [1]}, "n": 5}
    assert station.request("PUT", "/objects/undo").status == 200
    for _ in range(3):
        reply = station.post("/objects/undo")
        assert reply.status == 500 and "ValueError" in reply.text
        assert station.get("/objects/undo").json() == before
    assert station.state("undo") == before
    assert station.restart().get("/objects/undo").json() == before


def test_undo_is_of_this_turn_alone(station):
    """Failing turns between good ones, many at once: exactly the good ones count."""
    station.deploy("mixed.py", "def POST(request):\n    n = _state_manager.increment('n')\n"
                               "    if request['fail']:\n        raise RuntimeError\n"
                               "    _state_manager.increment('good')\n    return n\n")
    each = scaled(60, 12)

    def work(index):
        with station.client() as client:
            return [client.post("/objects/mixed", {"fail": (k + index) % 3 == 0}).status
                    for k in range(each)]

    statuses = [s for found in in_parallel(8, work) for s in found]
    good = statuses.count(200)
    assert good + statuses.count(500) == len(statuses)
    assert station.state("mixed") == {"n": good, "good": good}


def test_get_is_a_fresh_object(station):
    station.deploy("fresh.py", """
def POST(request):
    mine = {'list': [1], 'd': {}}
    _state_manager.set('v', mine)
    mine['list'].append(2)                     # after set: no effect
    got = _state_manager.get('v')
    got['list'].append(3); got['d']['x'] = 1   # after get: no effect
    _state_manager.get_all()['v']['list'].append(4)
    for k, v in _state_manager.items():
        v['list'].append(5)
    default = []
    assert _state_manager.get('absent', default) is default
    return _state_manager.get('v')
""")
    for _ in range(2):
        assert station.post("/objects/fresh").json() == {"list": [1], "d": {}}
    assert station.state("fresh") == {"v": {"list": [1], "d": {}}}


def test_commit_headers(station):
    station.deploy("counter.py", COUNTER)
    reply = station.post("/objects/counter")
    boot, seq = map(int, reply.headers["x-commit-seq"].split("-"))
    assert boot == 1 and seq >= 1 and reply.headers["x-durability"] == "fsync"
    second = station.post("/objects/counter")
    assert int(second.headers["x-commit-seq"].split("-")[1]) > seq
    assert "x-commit-seq" not in station.get("/objects/counter").headers
    station.restart()
    assert station.post("/objects/counter").headers["x-commit-seq"].startswith("2-")


@pytest.mark.parametrize("station", [{"config": {"limits": {"turn_writes_max": "64K"}}}],
                         indirect=True)
def test_turn_writes_limit(station):
    """A refused turn: its writes and only its writes are undone, the object goes on."""
    station.deploy("big.py", "def POST(request):\n"
                             "    _state_manager.increment('turns')\n"
                             "    _state_manager.set('blob', 'x' * request['size'])\n"
                             "    return {'turns': _state_manager.get('turns')}\n")
    assert station.post("/objects/big", {"size": 10}).status == 200
    reply = station.post("/objects/big", {"size": 100000})
    assert reply.status == 413 and "turn_writes_max" in reply.text, reply
    assert station.post("/objects/big", {"size": 11}).json() == {"turns": 2}
    assert station.state("big") == {"turns": 2, "blob": "x" * 11}


# --- writes from outside a turn ---


def test_write_from_a_thread(station):
    station.deploy("outside.py", """
import threading
def POST(request):
    go = threading.Event()
    def work():
        go.wait()
        _state_manager.set('from_thread', 'yes')
        _state_manager.increment('count')
    threading.Thread(target=work, daemon=True).start()
    threading.Timer(0.01, go.set).start()
    return {}
def GET(request):
    return _state_manager.get_all()
""")
    for n in range(1, 4):
        assert station.post("/objects/outside").status == 200
        wait_until(lambda: station.state("outside") == {"from_thread": "yes", "count": n})
    assert station.get("/objects/outside").json() == {"from_thread": "yes", "count": 3}
    assert station.restart().state("outside") == {"from_thread": "yes", "count": 3}


def test_write_from_a_leftover_task(station):
    station.deploy("left.py", """
import asyncio
async def POST(request):
    async def later():
        await asyncio.sleep(0.01)
        _state_manager.set('later', True)
    asyncio.get_running_loop().create_task(later())
    return {}
async def GET(request):
    return _state_manager.get_all()
""")
    assert station.post("/objects/left").status == 200
    wait_until(lambda: station.get("/objects/left").json() == {"later": True})
    wait_until(lambda: station.state("left") == {"later": True})


def test_threads_beside_turns(station):
    """A thread that writes without end harms no turn and is not harmed by one that fails."""
    station.deploy("beside.py", """
import threading
def PUT(request):
    def work():
        for n in range(300):
            _state_manager.set('thread', n)
        _state_manager.set('done', True)
    threading.Thread(target=work, daemon=True).start()
    return {}
def POST(request):
    n = _state_manager.get('turns', 0)
    _state_manager.set('turns', n + 1)
    if n % 2 and request.get('fail'):
        raise ValueError
    return {}
""")
    assert station.request("PUT", "/objects/beside").status == 200
    with station.client() as client:
        good = [client.post("/objects/beside", {"fail": True}).status
                for _ in range(100)].count(200)
    wait_until(lambda: station.state("beside").get("done"))
    state = station.state("beside")
    assert state["thread"] == 299 and state["turns"] == good


# --- streams ---

STREAM = """
import os, time

def GET(request):
    _state_manager.set('started', True)
    def pieces():
        yield 'first'
        while not os.path.exists(request['until']):
            time.sleep(0.005)
        yield 'second'
    return pieces()

async def POST(request):
    import asyncio
    _state_manager.set('started', True)
    async def pieces():
        yield 'first'
        while not os.path.exists(request['until']):
            await asyncio.sleep(0.005)
        yield 'second'
    return pieces()
"""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_stream_arrives_piece_by_piece(station, method):
    station.deploy("stream.py", STREAM)
    until = station.folder / "go"
    connection = station.client().connection
    connection.request(method, f"/objects/stream?until={until}", headers={"Content-Length": "0"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read(5) == b"first"
    assert station.state("stream") == {"started": True}  # the turn committed when it returned
    until.touch()
    assert answer.read() == b"second"


def test_stream_that_fails(station):
    """The client can tell: the body is incomplete."""
    station.deploy("fails.py", "def GET(request):\n    yield 'a' * 1000\n    raise ValueError('mid')\n")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        station.get("/objects/fails")
    wait_until(lambda: any("ValueError" in str(e) for e in station.object_logs("fails")))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        station.get("/objects/fails")
    errors = [line["message"] for line in station.object_logs("fails", "&level=ERROR")]
    assert set(errors) == {"a streamed reply failed: ValueError: mid"}  # each is told once


def test_worker_dies_in_a_stream(station):
    """Its clients see the body break off, and the station lives."""
    station.allow(r"crash|died|exit|ended")
    station.deploy("dies.py", "import os\n"
                              "def GET(request):\n    def g():\n        yield 'a'\n"
                              "        yield 'b'\n        os._exit(3)\n    return g()\n"
                              "def POST(request):\n    return {'ok': True}\n")
    for _ in range(2):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            station.get("/objects/dies")
        wait_until(lambda: station.post("/objects/dies").status == 200)


def test_stream_past_its_deadline_costs_no_other_call(station):
    """The worker has to be killed; a call behind the stream had not begun and is served."""
    station.allow(r"killed|died|deadline|grace")
    station.deploy("stuck.py", """
import time
__endpoint__ = {'timeout': 1}
def GET(request):
    def g():
        yield 'a'
        open(request['begun'], 'w').close()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    return g()
def POST(request):
    return _state_manager.increment('n')
""")
    begun = station.folder / "begun"
    s = station.connect()
    s.sendall(b"GET /objects/stuck?begun=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
              % str(begun).encode())
    wait_until(begun.exists)
    assert station.post("/objects/stuck").json() == 1
    s.close()


def test_stream_may_not_write(station):
    station.deploy("writes.py", "def GET(request):\n"
                                "    def g():\n"
                                "        yield str(_state_manager.get('x', 'none'))\n"
                                "        try:\n            _state_manager.set('x', 1)\n"
                                "            yield ' wrote'\n"
                                "        except Exception as e:\n"
                                "            yield ' ' + type(e).__name__\n"
                                "    return g()\n")
    assert station.get("/objects/writes").text.startswith("none ")
    assert "wrote" not in station.get("/objects/writes").text
    assert station.state("writes") == {}


def test_slow_reader_blocks_nobody(station):
    """An endless stream that nobody reads: bounded memory, and the object serves others."""
    station.deploy("endless.py", "def GET(request):\n"
                                 "    def g():\n        while True:\n            yield b'x' * 60000\n"
                                 "    return g()\n"
                                 "def POST(request):\n    return {'ok': True}\n")
    readers = []
    for _ in range(4):
        s = station.connect()
        s.sendall(b"GET /objects/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert s.recv(1000)
        readers.append(s)
    before = station.rss()
    for _ in range(100):
        assert station.post("/objects/endless").json() == {"ok": True}
    assert station.rss() - before < 32 << 20
    for s in readers:
        s.close()
    wait_until(lambda: station.post("/objects/endless").status == 200)


def test_client_leaves_a_stream(station):
    """The generator is closed, so its finally runs."""
    station.deploy("left.py", "import os\n"
                              "def GET(request):\n    path = request['mark']\n"
                              "    def g():\n        try:\n            while True:\n"
                              "                yield b'x' * 1000\n"
                              "        finally:\n            open(path, 'w').close()\n"
                              "    return g()\n")
    mark = station.folder / "closed"
    s = station.connect()
    s.sendall(b"GET /objects/left?mark=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % str(mark).encode())
    assert s.recv(1000)
    s.close()
    wait_until(mark.exists)


def test_client_has_gone(station):
    """A call whose client has gone still runs."""
    station.deploy("gone.py", "import os, time\ndef POST(request):\n"
                              "    open(request['begun'], 'w').close()\n"
                              "    while not os.path.exists(request['until']):\n"
                              "        time.sleep(0.005)\n"
                              "    _state_manager.set('ran', True)\n    return {}\n")
    begun, until = station.folder / "begun", station.folder / "until"
    s = station.connect()
    s.sendall(f"POST /objects/gone?begun={begun}&until={until} HTTP/1.1\r\nHost: localhost\r\n"
              "Content-Length: 0\r\n\r\n".encode())
    wait_until(begun.exists)
    s.close()
    until.touch()
    wait_until(lambda: station.state("gone") == {"ran": True})


# --- deadline ---

STUCK = {
    "python": "\n    n = 0\n    while True:\n        n += 1",
    "sleep": "__import__('time').sleep(600)",
    "caught": "\n    n = 0\n    while True:\n        try:\n            while True:\n"
              "                n += 1\n        except BaseException: pass",
    "in C": "sum(range(10**15))",
    "lock": "__import__('threading').Lock().__enter__() and __import__('threading').Event().wait()",
}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """One station for all that does not end."""
    config = quick(timeout=SHORT, timeout_grace=0.3)["config"]
    with serving(tmp_path_factory.mktemp("impatient"), config=config) as subject:
        subject.allow(r"deadline|timeout|killed|stuck|crash")
        yield subject


def in_time(station, path):
    """The reply to a POST that does not hang; for one that was too late on a busy machine, to the next."""
    def answer():
        reply = station.post(path)
        assert reply.status in (200, 504), reply
        return reply.status == 200 and reply
    return wait_until(answer)


@pytest.mark.parametrize("how", sorted(STUCK))
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_deadline(impatient, kind, how):
    source = (f"{kind} GET(request):\n    _state_manager.set('k', 1)\n    {STUCK[how]}\n"
              "def POST(request):\n    return _state_manager.get_all()\n")
    path = "/objects/" + impatient.deploy(f"{kind}_{how}.py".replace(" ", "_"), source)
    reply = impatient.get(path)
    assert reply.status == 504 and reply.json()["status"] == "error", reply
    assert "timeout" in reply.text.lower() or "deadline" in reply.text.lower()
    assert in_time(impatient, path).json() == {}  # nothing of that turn, and it serves


@pytest.mark.parametrize("station", [quick(timeout=SHORT)], indirect=True)
def test_deadline_of_an_async_wait(station):
    station.allow(r"deadline|timeout")
    station.deploy("stuck.py", "import asyncio\nasync def GET(request):\n"
                               "    await asyncio.sleep(600)\n"
                               "def POST(request):\n    return 'fine'\n")
    reply = station.get("/objects/stuck")
    assert reply.status == 504
    assert in_time(station, "/objects/stuck").text == "fine"
    if "handler" in reply.json()["error"]:  # not killed, on a busy machine
        wait_until(lambda: any(line["message"].startswith("timed out: ")
                               for line in station.object_logs("stuck", "&level=ERROR")))


@pytest.mark.parametrize("station", [quick(timeout=SHORT)], indirect=True)
def test_deadline_raises_timeout_error(station):
    """A handler that cleans up in time keeps its worker."""
    station.allow(r"deadline|timeout")
    station.deploy("tidy.py", "import os\nseen = []\n"
                              "def GET(request):\n    try:\n        for _ in iter(int, 1): pass\n"
                              "    except TimeoutError:\n        seen.append(1)\n        raise\n"
                              "def POST(request):\n    return {'seen': len(seen), 'pid': os.getpid()}\n")
    pid = in_time(station, "/objects/tidy").json()["pid"]
    assert station.get("/objects/tidy").status == 504
    assert in_time(station, "/objects/tidy").json() == {"seen": 1, "pid": pid}


@pytest.mark.parametrize("station", [quick(timeout=2.5 * SHORT, timeout_grace=0.2)], indirect=True)
def test_deadline_spares_queued_calls(station):
    station.allow(r"deadline|timeout|killed|crash")
    station.deploy("stuck.py", "def GET(request):\n    sum(range(10**15))\n"
                               "def POST(request):\n    return _state_manager.increment('n')\n")

    def work(index):
        return station.get("/objects/stuck") if index == 0 else station.post("/objects/stuck")

    replies = in_parallel(6, work)
    assert replies[0].status == 504
    assert [r.status for r in replies[1:]] == [200] * 5
    assert sorted(r.json() for r in replies[1:]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("station", [quick(queue_timeout=0.4, timeout=20)], indirect=True)
def test_queue_deadline(station):
    station.deploy("busy.py", "import os, time\ndef GET(request):\n"
                              "    open(request['begun'], 'w').close()\n"
                              "    while not os.path.exists(request['until']):\n"
                              "        time.sleep(0.005)\n    return {}\n"
                              "def POST(request):\n    return _state_manager.increment('n')\n")
    warm = "/objects/busy?begun=/dev/null&until=/"
    wait_until(lambda: station.get(warm).status == 200)  # a start is waited for, too
    begun, until = station.folder / "begun", station.folder / "until"
    first = threading.Thread(target=station.get, args=(f"/objects/busy?begun={begun}&until={until}",))
    first.start()
    wait_until(begun.exists)
    reply = station.post("/objects/busy")
    assert reply.status in (503, 504) and "queue_timeout" in reply.text, reply
    until.touch()
    first.join()
    # given up before it began: never run behind the client's back
    assert station.post("/objects/busy").json() == 1


@pytest.mark.parametrize("station", [{"config": {"limits": {"queue_object_max": 4}}}], indirect=True)
def test_queue_limit(station):
    station.deploy("busy.py", "import os, time\ndef GET(request):\n"
                              "    while not os.path.exists(request['until']):\n"
                              "        time.sleep(0.005)\n    return {}\n")
    until = station.folder / "until"
    replies = []

    def work(_):
        replies.append(station.get(f"/objects/busy?until={until}"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    wait_until(lambda: len(replies) >= 6, what=lambda: replies)
    until.touch()
    for t in threads:
        t.join()
    refused = [r for r in replies if r.status == 503]
    assert len(refused) + [r.status for r in replies].count(200) == 12
    assert 6 <= len(refused) <= 8
    for r in refused:
        assert "queue_object_max" in r.text and int(r.headers["retry-after"]) >= 1


@pytest.mark.parametrize("station", [{"config": {"limits": {"queue_station_max": 6}}}],
                         indirect=True)
def test_queue_limit_of_the_station(station):
    """Calls of several objects together; /health is not one of them."""
    source = ("import os, time\ndef GET(request):\n    while not os.path.exists(request['until']):\n"
              "        time.sleep(0.005)\n    return {}\n")
    for n in range(3):
        station.deploy(f"busy{n}.py", source)
    until = station.folder / "until"
    replies = []

    def work(index):
        replies.append(station.get(f"/objects/busy{index % 3}?until={until}"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(15)]
    for t in threads:
        t.start()
    wait_until(lambda: len(replies) >= 5, what=lambda: replies)
    assert station.get("/health").status == 200
    until.touch()
    for t in threads:
        t.join()
    refused = [r for r in replies if r.status == 503]
    assert len(refused) >= 5 and len(refused) + [r.status for r in replies].count(200) == 15
    for r in refused:
        assert "queue_station_max" in r.text and int(r.headers["retry-after"]) >= 1


# --- crash ---


def test_crash_hits_exactly_the_running_call(station):
    station.allow(r"crash|died|exit|ended")
    station.deploy("crash.py", """
import os, time
def GET(request):
    open(request['begun'], 'w').close()
    while not os.path.exists(request['until']):
        time.sleep(0.005)
    os._exit(7)
def POST(request):
    return {'n': _state_manager.increment('n'), 'pid': os.getpid()}
""")
    old = station.post("/objects/crash").json()["pid"]
    begun, until = station.folder / "begun", station.folder / "until"
    result = []
    first = threading.Thread(target=lambda: result.append(
        station.get(f"/objects/crash?begun={begun}&until={until}")))
    first.start()
    wait_until(begun.exists)
    queued = []
    threads = [threading.Thread(target=lambda: queued.append(station.post("/objects/crash")))
               for _ in range(8)]
    for t in threads:
        t.start()
    wait_until(lambda: queue_length(station, "crash") >= 8)
    until.touch()
    first.join()
    for t in threads:
        t.join()
    assert result[0].status == 502
    answer = result[0].json()
    assert answer["status"] == "error" and answer["crash_id"]
    assert [r.status for r in queued] == [200] * 8
    assert sorted(r.json()["n"] for r in queued) == list(range(2, 10))
    pids = {r.json()["pid"] for r in queued}
    assert len(pids) == 1 and old not in pids
    assert station.get("/objects/crash?metadata=true").json()["metadata"]["worker"]["restarts"] == 1


def queue_length(station, object_id):
    """Calls waiting or running, as /status tells; 99 when it does not tell."""
    for entry in find_dicts(station.status()):
        if entry.get("object_id") == object_id or entry.get("id") == object_id:
            for key in ("queued", "queue", "calls"):
                if isinstance(entry.get(key), int):
                    return entry[key]
    return 99


def find_dicts(value):
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from find_dicts(item)


ENDS = {
    "exit": "os._exit(0)",
    "abort": "os.abort()",
    "segv": "__import__('ctypes').string_at(0)",
    "kill": "os.kill(os.getpid(), 9)",
    "stop rpc": "os.close(3) or __import__('time').sleep(60)",
    "rubbish on rpc": "os.write(3, b'rubbish' * 100) and __import__('time').sleep(60)",
    "close all": "os.closerange(0, 100) or 'x'",
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_worker_ends(shared, how):
    shared.allow(r"crash|died|exit|ended|frame|message|closed|killed|worker")
    source = (f"import os\ndef GET(request):\n    _state_manager.set('k', 1)\n    return {ENDS[how]}\n"
              "def POST(request):\n    return _state_manager.get_all()\n")
    path = "/objects/" + shared.deploy(f"ends_{how.replace(' ', '_')}.py", source)
    assert shared.post(path).json() == {}
    reply = shared.get(path)
    if how == "close all" and reply.status == 200:
        return  # the socket to the supervisor lay beyond what was closed
    assert reply.status == 502 and reply.json()["crash_id"], reply
    assert shared.post(path).json() == {}


def test_crash_after_acknowledged_writes(station):
    """What was committed before the crash is what the next worker sees."""
    station.allow(r"crash|died|exit|ended")
    station.deploy("c.py", "import os\ndef POST(request):\n    return _state_manager.increment('n')\n"
                           "def GET(request):\n    _state_manager.increment('n')\n    os._exit(1)\n")
    for n in range(1, 4):
        assert station.post("/objects/c").json() == n
        assert station.get("/objects/c").status == 502
    assert station.state("c") == {"n": 3}


def test_repeated_crashes_back_off_but_not_for_ever(station):
    station.allow(r"crash|died|exit|ended|back")
    station.deploy("c.py", "import os\ndef GET(request):\n    os._exit(1)\n"
                           "def POST(request):\n    return 'fine'\n")
    for _ in range(6):
        assert station.get("/objects/c").status in (502, 503)
    wait_until(lambda: station.post("/objects/c").status == 200, 60)


def test_fork_in_a_handler(station):
    """A forked child that goes on where it should not harms nothing and is not left behind."""
    station.allow(r"orphan|adopt|killed|left")
    station.deploy("f.py", """
import os, sys
def GET(request):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return {'ok': True}
def POST(request):
    import subprocess
    return {'out': subprocess.run(['/bin/echo', 'hi'], capture_output=True, text=True).stdout}
def PUT(request):
    import subprocess
    subprocess.Popen(['/bin/sleep', '600'])
    return {}
""")
    assert station.get("/objects/f").json() == {"ok": True}
    assert station.post("/objects/f").json() == {"out": "hi\n"}
    assert station.request("PUT", "/objects/f").status == 200


# --- output ---


def test_prints_a_megabyte(station):
    station.deploy("loud.py", "import sys\ndef GET(request):\n"
                              "    for n in range(10000):\n        print(f'{n:06d} ' + 'x' * 93)\n"
                              "    sys.stderr.write('e' * 300000 + '\\n')\n"
                              "    sys.stdout.write('no newline at the end')\n    return 'done'\n"
                              "def POST(request):\n    return 'fine'\n")
    assert station.get("/objects/loud").text == "done"
    assert station.post("/objects/loud").text == "fine"

    def lines():
        return [e["message"] for e in station.object_logs("loud", "&level=STDOUT")]

    wait_until(lambda: any("009999 " in m for m in lines()), what=lambda: lines()[-3:])


def test_prints_binary(station):
    station.deploy("bin.py", "import os\ndef GET(request):\n"
                             "    os.write(1, bytes(range(256)) + b'\\n')\n"
                             "    os.write(2, b'\\xff\\xfe\\n')\n    return 'done'\n")
    assert station.get("/objects/bin").text == "done"
    wait_until(lambda: station.object_logs("bin", "&level=STDOUT"))
    station.get("/objects/bin?logs=true").json()  # valid JSON, valid UTF-8


@pytest.mark.parametrize("station", [{"config": {"log": {"object_lines_per_s": 50}}}], indirect=True)
def test_log_rate_is_limited_and_counted(station):
    station.deploy("loud.py", "def GET(request):\n    for n in range(5000):\n        _logger.info(f'line {n}')\n"
                              "    return 'done'\n")
    assert station.get("/objects/loud").text == "done"
    wait_until(lambda: any("dropped" in str(e) for e in station.object_logs("loud")),
               what="drops are not counted")
    assert len([e for e in station.object_logs("loud") if e["message"].startswith("line ")]) < 500


def test_random_differs_between_workers(station):
    for n in range(3):
        station.deploy(f"r{n}.py", "import random, os, uuid\ndef GET(request):\n"
                                   "    return [random.random(), random.randrange(10**9),"
                                   " hash('x') and str(uuid.uuid4())]\n")
    answers = [station.get(f"/objects/r{n}").json() for n in range(3)]
    assert len({a[0] for a in answers}) == 3 and len({a[2] for a in answers}) == 3


def test_reply_reads_raw(station):
    """A reply read byte by byte from the socket is exactly one."""
    station.deploy("counter.py", COUNTER)
    with station.connect() as s:
        for n in range(1, 4):
            s.sendall(b"POST /objects/counter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            assert read_reply(s).json() == {"count": n}
