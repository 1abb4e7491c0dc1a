# SPDX-License-Identifier: Apache-2.0
"""Calls between objects: results, errors as types, chains, cycles, deadlines, deaths, the gate."""

import os
import signal
import threading
import time
import zlib

import pytest
from station import LONG, PATIENCE, descriptors, scaled, wait_until
from writers import in_parallel

# Calls whatever it is told to, and says how that ended.
CALLER = """
import os, time

def told(request):
    return (request['who'], request.get('method', 'GET'), request.get('data'), request.get('timeout'))

def POST(request):
    try:
        return {'result': _runtime.call_object(*told(request))}
    except _runtime.CallError as e:
        return {'class': type(e).__name__, 'text': str(e), 'status': e.status, 'body': e.body,
                'type': e.type, 'message': e.message, 'traceback': e.traceback, 'cycle': e.cycle,
                'limit': e.limit, 'crash_id': e.crash_id, 'object_id': e.object_id,
                'retryable': e.retryable,
                'is_timeout': isinstance(e, TimeoutError)}

def PUT(request):                       # lets everything pass
    _state_manager.increment('started')
    return {'result': _runtime.call_object(*told(request))}

def GET(request):
    return {'pid': os.getpid(), 'started': _state_manager.get('started', 0)}

def DELETE(request):                    # calls, then fails
    _state_manager.set('mine', 1)
    _runtime.call_object(*told(request))
    raise ValueError('afterwards')
"""

COUNTER = """
import os

def GET(request):
    return {'count': _state_manager.get('count', 0), 'pid': os.getpid()}

def POST(request):
    return {'count': _state_manager.increment('count')}
"""

# Says when it runs, and waits until it may go on.
WAITER = """
import os, time

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)

def GET(request):
    return {'pid': os.getpid(), 'count': _state_manager.get('count', 0)}

def POST(request):
    _state_manager.increment('count')
    open(request['began'], 'w').close()
    wait_for(request['until'])
    if request.get('die'):
        os._exit(5)
    return {'count': _state_manager.get('count')}
"""


def call(station, who, method="GET", data=None, timeout=None, via="caller", how="POST", wait=60):
    reply = station.request(how, f"/objects/{via}",
                            {"who": who, "method": method, "data": data, "timeout": timeout},
                            timeout=wait)
    assert reply.status == 200, reply
    return reply.json()


def failure(station, *args, **kw):
    found = call(station, *args, **kw)
    assert "class" in found, found
    return found


class Background(threading.Thread):
    """A request under way; result() waits for its reply."""

    def __init__(self, station, method, path, body=None):
        super().__init__(daemon=True)
        self.ask = lambda: station.request(method, path, body, timeout=60)
        self.reply = None
        self.start()

    def run(self):
        self.reply = self.ask()

    def result(self):
        self.join(60 * PATIENCE)
        assert self.reply is not None
        return self.reply


# --- what comes back, and what the other handler sees ---

RETURNS = [
    ("{'a': [1, None, 'ü']}", {"a": [1, None, "ü"]}),
    ("[1, {'b': True}]", [1, {"b": True}]),
    ("'text <b>'", "text <b>"),
    ("''", ""),
    ("None", None),
    ("17", 17),
    ("True", True),
    ("2.5", 2.5),
    ("({'made': 1}, 201)", {"made": 1}),
    ("(200, {'X-A': '1'}, 'plain')", "plain"),
    ("{'content_type': 'text/csv', 'body': 'a,b'}", "a,b"),
    ("(c for c in ('one', 'two'))", "onetwo"),
]


def test_returned(shared):
    shared.put("caller.py", CALLER)
    shared.deploy("returns.py", "def GET(request): return eval(request['what'])\n")
    for written, expected in RETURNS:
        assert call(shared, "returns", data={"what": written}) == {"result": expected}, written


def test_bytes_come_back_as_bytes(shared):
    shared.put("raw.py", "def GET(request): return b'\\x00\\xff'\n"
                         "def PUT(request): return {'content_type': 'text/plain; charset=latin-1',"
                         " 'body': b'\\xe4'}\n")
    shared.deploy("bytes.py", "def GET(request):\n"
                              "    return [type(v).__name__ + repr(v) for v in\n"
                              "            (_runtime.call_object('raw'),\n"
                              "             _runtime.call_object('raw', 'PUT'))]\n")
    assert shared.get("/objects/bytes").json() == ["bytesb'\\x00\\xff'", "bytesb'\\xe4'"]


def test_the_request_as_the_other_handler_sees_it(shared):
    shared.put("sees.py", """
def POST(request):
    return {'data': dict(request), 'json': request.json, 'body': request.body.decode('latin-1'),
            'type': request.get_header('content-type'), 'method': request.method,
            'path': request.path, 'parts': request.path_parts, 'query': request.query,
            'caller': request.caller, 'id': request.request_id, 'user': request.user,
            'remote': request.remote_addr, 'runtime': _runtime.request_id}
PUT = POST
""")
    shared.deploy("shows.py", """
def POST(request):
    call = lambda data, method='POST': _runtime.call_object('sees', method, data)
    return {'dict': call({'a': 1, 'b': [None]}), 'list': call([1, 2], 'PUT'), 'text': call('hü'),
            'bytes': call(b'\\x00\\xfe'), 'none': call(None), 'request': call(request),
            'id': request.request_id, 'caller': request.caller}
""")
    seen = shared.post("/objects/shows", {"own": 1}, headers={"X-Request-Id": "trace-7"}).json()
    assert seen["dict"] == {
        "data": {"a": 1, "b": [None]}, "json": {"a": 1, "b": [None]}, "type": "application/json",
        "body": '{"a": 1, "b": [null]}', "method": "POST", "path": "/objects/sees", "parts": [],
        "query": {}, "caller": "shows", "id": "trace-7", "user": None, "remote": "127.0.0.1",
        "runtime": "trace-7"}
    assert seen["list"]["json"] == [1, 2] and seen["list"]["data"] == {}
    assert seen["list"]["method"] == "PUT"
    assert seen["text"]["body"].encode("latin-1").decode() == "hü" and seen["text"]["json"] is None
    assert seen["bytes"]["body"] == "\x00\xfe"
    assert seen["none"]["body"] == "" and seen["none"]["data"] == {}
    assert seen["request"]["data"] == {"own": 1}
    assert seen["id"] == "trace-7" and seen["caller"] is None


def test_one_id_goes_through_the_chain(shared):
    """An id of the station's, too; the turns of a chain stand in their logs under one."""
    shared.put("caller.py", CALLER)
    shared.deploy("counter.py", COUNTER)
    reply = shared.post("/objects/caller", {"who": "counter", "method": "DELETE"})
    assert reply.json()["status"] == 405
    callers = [l for l in shared.object_logs("caller") if l["message"].startswith("POST")]
    callees = [l for l in shared.object_logs("counter") if l["message"].startswith("DELETE")]
    assert callers[-1]["request_id"] == callees[-1]["request_id"] != ""


@pytest.mark.parametrize("name", ["basics_deep", "basics/deep", "basics/deep.py",
                                  "anything/basics/deep.py", "/elsewhere/objects/basics/deep.py"])
def test_an_object_has_several_names(shared, name):
    shared.put("caller.py", CALLER)
    shared.put("basics/deep.py", "def GET(request): return {'here': _runtime.object_id}\n")
    wait_until(lambda: "basics_deep" in shared.object_ids())
    assert call(shared, name) == {"result": {"here": "basics_deep"}}


def test_this_station_by_name(shared):
    shared.put("caller.py", CALLER)
    shared.deploy("where.py", "def GET(request): return _runtime.station_id\n")
    own = call(shared, "where")["result"]
    assert call(shared, f"where@{own}") == {"result": own}
    other = failure(shared, "where@nowhere")
    assert (other["class"], other["status"]) == ("ObjectUnavailable", 503)
    assert "where@nowhere" in other["text"]


@pytest.mark.parametrize("arguments, error", [
    ("''", "ValueError"), ("7", "TypeError"), ("None", "TypeError"), ("b'x'", "TypeError"), ("", "TypeError"),
    ("'x', 'FETCH'", "ValueError"), ("'x', ''", "ValueError"), ("'x', 7", "TypeError"),
    ("'x', 'A' * 1000", "ValueError"),
    ("'x', 'GET', {}, 0", "ValueError"), ("'x', 'GET', {}, -1", "ValueError"),
    ("'x', 'GET', {}, 'soon'", "TypeError"), ("'x', 'GET', {}, float('nan')", "ValueError"),
    ("'x', 'GET', {1: object()}", "TypeError"), ("'x', 'GET', float('nan')", "ValueError"),
    ("'x', 'GET', {}, 1, 2", "TypeError"), ("'x', verb='GET'", "TypeError"),
    ("'a' * 5000", "ObjectNotFound"), ("'../x'", "ObjectNotFound"), ("'x\\n\\0'", "ObjectNotFound"),
    ("'x?state=true'", "ObjectNotFound"), ("'/'", "ObjectNotFound"), ("'@'", "ObjectUnavailable"),
    ("'x@' + 'y' * 9000", "ObjectUnavailable"), ("'\\udc80'", "UnicodeEncodeError"),
    ("'x', 'get', {}, 1e300", "ObjectNotFound"), ("'x', 'GET', {}, 1e-12", "ObjectNotFound"),
])
def test_bad_arguments(shared, arguments, error):
    shared.put("caller.py", CALLER)
    shared.put("asks.py", "def GET(request): return eval('_runtime.call_object(' + ARGUMENTS + ')')\n"
                          "def POST(request):\n"
                          "    try: return repr(eval('_runtime.call_object(' + request['how'] + ')'))\n"
                          "    except Exception as e: return type(e).__name__\n")
    wait_until(lambda: "asks" in shared.object_ids())
    assert shared.post("/objects/asks", {"how": arguments}).text == error


# --- errors as types ---

FAILS = """
def GET(request):
    raise KeyError('missing')

def POST(request):
    return {'error': 'who are you', 'n': 1}, 401

def PUT(request):
    import os
    os._exit(3)

def DELETE(request):
    return 'gone for good', 410
"""


def test_errors_are_types(shared):
    shared.put("caller.py", CALLER)
    shared.put("broken.py", "def GET(request:\n")
    shared.deploy("fails.py", FAILS)
    raised = failure(shared, "fails")
    assert (raised["class"], raised["type"], raised["message"]) == ("ObjectError", "KeyError", "'missing'")
    assert "in GET" in raised["traceback"] and raised["status"] == 500
    assert raised["object_id"] == "fails" and "KeyError" in raised["text"]
    refused = failure(shared, "fails", "POST")
    assert (refused["class"], refused["status"]) == ("ObjectError", 401)
    assert refused["body"] == {"error": "who are you", "n": 1} and refused["type"] is None
    assert refused["message"] == "who are you"
    gone = failure(shared, "fails", "DELETE")
    assert (gone["class"], gone["status"], gone["body"]) == ("ObjectError", 410, "gone for good")
    missing = failure(shared, "no_such")
    assert (missing["class"], missing["status"]) == ("ObjectNotFound", 404)
    assert "no_such" in missing["text"]
    no_method = failure(shared, "fails", "PATCH")
    assert (no_method["class"], no_method["status"]) == ("ObjectError", 405)
    broken = failure(shared, "broken")
    assert (broken["class"], broken["status"]) == ("ObjectUnavailable", 500)
    assert "does not load" in broken["text"]
    shared.allow("broken.py does not load")


def test_the_callee_dies(shared):
    shared.put("caller.py", CALLER)
    shared.deploy("fails.py", FAILS)
    died = failure(shared, "fails", "PUT")
    assert (died["class"], died["status"]) == ("ObjectUnavailable", 502)
    assert died["crash_id"] and "exit status 3" in died["text"]
    assert died["retryable"] is died["body"]["retryable"] is False
    shared.deploy("dies.py", "import os\ndef GET(request): os._exit(3)\n"
                             "def POST(request): return {'retryable': 7}, 409\n")
    read = failure(shared, "dies")
    assert read["retryable"] is True and read["crash_id"] != died["crash_id"]
    assert failure(shared, "dies", "POST")["retryable"] == 7  # whatever the other handler says
    assert failure(shared, "fails", "PATCH")["retryable"] is None
    shared.allow("worker .* of (fails|dies) died")


def test_error_classes(shared):
    shared.deploy("classes.py", """
def GET(request):
    names = ('ObjectNotFound', 'ObjectUnavailable', 'CallTimeout', 'CallCycle', 'ObjectError')
    classes = [getattr(_runtime, n) for n in names]
    return {'all': all(issubclass(c, _runtime.CallError) for c in classes),
            'plain': issubclass(_runtime.CallError, Exception),
            'timeout': issubclass(_runtime.CallTimeout, TimeoutError),
            'names': [c.__name__ for c in classes], 'doc': all(c.__doc__ for c in classes),
            'own': classes[0]('x').status, 'other': hasattr(_runtime, 'NoSuch')}
""")
    found = shared.get("/objects/classes").json()
    assert found == {"all": True, "plain": True, "timeout": True, "doc": True, "own": None,
                     "other": False,
                     "names": ["ObjectNotFound", "ObjectUnavailable", "CallTimeout", "CallCycle",
                               "ObjectError"]}


@pytest.mark.parametrize("who, method, status, kind", [
    ("fails", "GET", 500, "ObjectError"), ("fails", "POST", 500, "ObjectError"),
    ("no_such", "GET", 500, "ObjectNotFound"), ("caller", "GET", 508, "CallCycle"),
    ("elsewhere@far", "GET", 502, "ObjectUnavailable")])
def test_what_the_handler_lets_pass(shared, who, method, status, kind):
    """A reply of its own kind, and nothing of the caller's turn is kept."""
    shared.put("caller.py", CALLER)
    shared.deploy("fails.py", FAILS)
    before = shared.get("/objects/caller").json()["started"]
    reply = shared.request("PUT", "/objects/caller", {"who": who, "method": method})
    assert reply.status == status and reply.json()["error_type"] == kind, reply
    assert shared.get("/objects/caller").json()["started"] == before


def test_kinds_pass_from_object_to_object(shared):
    """What B lets pass reaches A as the same kind, not as an error of B's."""
    shared.put("middle.py", CALLER)
    shared.deploy("caller.py", CALLER)
    for who, kind in (("no_such@far", "ObjectUnavailable"), ("caller", "CallCycle"),
                      ("no_such", "ObjectError")):
        found = failure(shared, "middle", "PUT", {"who": who})
        assert found["class"] == kind, found


def test_errors_without_tracebacks_for_clients(new_station):
    """http.expose_tracebacks hides them from clients, not from the object that calls."""
    station = new_station(config={"http": {"expose_tracebacks": False}}).start()
    station.put("caller.py", CALLER)
    station.deploy("fails.py", FAILS)
    assert "traceback" not in station.get("/objects/fails").json()
    assert "KeyError" in failure(station, "fails")["traceback"]
    passed = station.request("PUT", "/objects/caller", {"who": "fails"})
    assert passed.status == 500 and "traceback" not in passed.json()


# --- many ---

TOP = "def POST(request): return {'n': _runtime.call_object('mid', 'POST', dict(request))['n'], 'top': _state_manager.increment('top')}\n"
MID = "def POST(request): return {'n': _runtime.call_object('low', 'POST', dict(request))['n'], 'mid': _state_manager.increment('mid')}\n"
LOW = "def POST(request): return {'n': _state_manager.increment('low', request.get('by', 1))}\ndef GET(request): return _state_manager.get_all()\n"


def test_thousands_of_calls_through_three_objects(station):
    """None lost, none twice, none deadlocked; with clients of every object of the chain."""
    for name, source in (("top.py", TOP), ("mid.py", MID)):
        station.put(name, source)
    station.deploy("low.py", LOW)
    each = (10_000 if LONG else scaled(2000, 500)) // 16

    def work(i):
        entry = ("top", "top", "top", "mid", "low")[i % 5]
        with station.client(60) as client:
            replies = [client.post(f"/objects/{entry}", {"by": 1}) for _ in range(each)]
        assert {r.status for r in replies} == {200}, [r for r in replies if r.status != 200][:3]
        return entry, [r.json()["n"] for r in replies]

    found = in_parallel(16, work)
    numbers = sorted(n for _, replies in found for n in replies)
    assert numbers == list(range(1, 16 * each + 1))
    counts = {name: sum(len(r) for entry, r in found if entry in entries)
              for name, entries in (("top", ["top"]), ("mid", ["top", "mid"]))}
    assert station.state("low") == {"low": 16 * each}
    assert station.state("top") == {"top": counts["top"]}
    assert station.state("mid") == {"mid": counts["mid"]}


def test_many_from_one_turn(station):
    """asyncio.gather: all are answered, each with its own answer; errors are raised where awaited."""
    station.put("echo.py", "def GET(request):\n    if request['n'] % 10 == 7: raise ValueError(request['n'])\n"
                           "    return request['n']\n")
    station.put("slow.py", "import asyncio\nasync def GET(request):\n"
                           "    await asyncio.sleep(0.01)\n    return request['n']\n")
    station.deploy("gather.py", """
import asyncio

async def GET(request):
    ask = lambda who, n: _runtime.call_object_async(who, 'GET', {'n': n})
    found = await asyncio.gather(*[ask('slow' if n % 50 == 0 else 'echo', n) for n in range(200)],
                                 return_exceptions=True)
    return [r if isinstance(r, int) else [type(r).__name__, r.type, r.message] for r in found]

async def POST(request):
    one = asyncio.create_task(_runtime.call_object_async('echo', request={'n': 1}))
    two = await _runtime.call_object_async(object_id='echo', method='get', request={'n': 2}, timeout=5)
    three = _runtime.call_object('echo', 'GET', {'n': 3})       # while another is under way
    try:
        await _runtime.call_object_async('no_such')
    except _runtime.ObjectNotFound as e:
        return [await one, two, three, e.status]
""")
    expected = [["ObjectError", "ValueError", str(n)] if n % 10 == 7 else n for n in range(200)]
    assert station.get("/objects/gather").json() == expected
    assert station.post("/objects/gather").json() == [1, 2, 3, 404]


def test_what_an_async_turn_leaves_behind(station):
    """An answer that nobody awaits any more harms no later turn; futures end with their turn."""
    station.put("waiter.py", WAITER)
    station.deploy("leaves.py", """
import asyncio
ended = []

async def stay(request):
    try:
        await _runtime.call_object_async('waiter', 'POST', dict(request))
    except asyncio.CancelledError:
        ended.append('cancelled')
        raise

async def POST(request):
    global task
    task = asyncio.create_task(stay(request))
    await asyncio.sleep(0.01)
    return {}

async def PUT(request):
    try:
        await asyncio.wait_for(_runtime.call_object_async('waiter', 'POST', dict(request)), 0.05)
    except asyncio.TimeoutError:
        return {'late': True}

async def GET(request):
    return {'ended': ended, 'pid': (await _runtime.call_object_async('waiter', timeout=5))['pid']}
""")
    for i, method in enumerate(("POST", "PUT")):
        files = {"began": str(station.folder / f"began{i}"), "until": str(station.folder / f"until{i}")}
        reply = station.request(method, "/objects/leaves", files)
        assert reply.json() == ({} if method == "POST" else {"late": True})
        wait_until(lambda f=files: os.path.exists(f["began"]))
        open(files["until"], "w").close()
        assert station.get("/objects/leaves").json()["pid"]
    assert station.get("/objects/leaves").json()["ended"] == ["cancelled"]
    assert station.state("waiter") == {"count": 2}


def test_asyncio_run_in_a_plain_handler(station):
    station.put("counter.py", COUNTER)
    station.deploy("runs.py", """
import asyncio

async def both():
    return await asyncio.gather(*[_runtime.call_object_async('counter', 'POST') for _ in range(2)])

def POST(request):
    return [r['count'] for r in asyncio.run(both())]
""")
    assert sorted(station.post("/objects/runs").json()) == [1, 2]
    assert sorted(station.post("/objects/runs").json()) == [3, 4]


# --- cycles ---


def test_calling_itself(shared):
    shared.deploy("caller.py", CALLER)
    found = failure(shared, "caller")
    assert (found["class"], found["status"]) == ("CallCycle", 508)
    assert found["cycle"] == ["caller", "caller"]


def quickest(action, times=5):
    """Seconds of the quickest of some: what the station needs, whatever else the machine does."""
    def once():
        began = time.monotonic()
        action()
        return time.monotonic() - began
    return min(once() for _ in range(times))


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_a_chain_that_comes_back(station, length):
    for i in range(length):
        station.put(f"link{i}.py", f"def GET(request): return _runtime.call_object('link{(i + 1) % length}')\n")
    wait_until(lambda: len(station.object_ids()) == length)
    for i in range(length):
        reply = station.get(f"/objects/link{i}")
        names = [f"link{(i + k) % length}" for k in range(length)]
        assert reply.status == 508 and reply.json()["cycle"] == [*names, names[0]], reply
    wait_until(lambda: quickest(lambda: station.get("/objects/link0")) < 0.05 * PATIENCE)


CROSSER = """
import os, time

def GET(request):
    return 'fine'

def POST(request):
    open(request['mine'], 'w').close()
    while not os.path.exists(request['other']):
        time.sleep(0.001)
    return _runtime.call_object(request['who'], 'GET')

def PATCH(request):                 # how long the one that is refused waits for that
    open(request['mine'], 'w').close()
    while not os.path.exists(request['other']):
        time.sleep(0.001)
    began = time.monotonic()
    try:
        _runtime.call_object(request['who'], 'GET')
    except _runtime.CallCycle:
        return {'refused_after': time.monotonic() - began}
    return {}

async def PUT(request):             # waits for two at once
    import asyncio
    open(request['mine'], 'w').close()
    while not os.path.exists(request['other']):
        await asyncio.sleep(0.001)
    found = await asyncio.gather(_runtime.call_object_async('bystander'),
                                 _runtime.call_object_async(request['who']))
    return found[1]
"""


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("count", [2, 3])
def test_chains_that_wait_for_each_other(station, count, method):
    """Nobody is further up in the other's chain: found in the wait-for graph, one is refused."""
    names = [f"cross{i}" for i in range(count)]
    for name in [*names, "bystander"]:
        station.put(f"{name}.py", CROSSER)
    wait_until(lambda: len(station.object_ids()) == count + 1)
    for name in names:
        station.get(f"/objects/{name}")
    for attempt in range(3):
        files = [str(station.folder / f"{name}-{attempt}") for name in names]
        began = time.monotonic()
        under_way = [Background(station, method, f"/objects/{name}",
                                {"mine": files[i], "other": files[(i + 1) % count],
                                 "who": names[(i + 1) % count]}) for i, name in enumerate(names)]
        replies = [b.result() for b in under_way]
        assert time.monotonic() - began < 15 * PATIENCE  # their deadline is 30 s
        assert sorted(r.status for r in replies) == [200] * (count - 1) + [508], replies
        cycle = next(r for r in replies if r.status == 508).json()["cycle"]
        assert cycle[0] == cycle[-1] and sorted(cycle[1:]) == names
        assert [r.text for r in replies if r.status == 200] == ["fine"] * (count - 1)


def test_a_cross_wait_is_refused_at_once(station):
    names = ["cross0", "cross1"]
    for name in names:
        station.put(f"{name}.py", CROSSER)
    wait_until(lambda: len(station.object_ids()) == 2)
    for name in names:
        station.get(f"/objects/{name}")
    waits = []
    while not waits or min(waits) > 0.05 * PATIENCE and len(waits) < 50:
        attempt = len(waits)
        files = [str(station.folder / f"{name}-{attempt}") for name in names]
        replies = [Background(station, "PATCH", f"/objects/{name}",
                              {"mine": files[i], "other": files[1 - i], "who": names[1 - i]})
                   for i, name in enumerate(names)]
        refused = [r for r in (b.result().json() for b in replies) if r]
        assert len(refused) == 1, refused
        waits.append(refused[0]["refused_after"])
    assert min(waits) < 0.05 * PATIENCE, waits  # one of many is enough: the machine may be busy


def test_waiting_for_a_busy_object_is_no_cycle(station):
    """A calls C, B calls C, C is busy: nobody waits for ever."""
    station.put("waiter.py", WAITER)
    for name in ("one", "two"):
        station.put(f"{name}.py", CALLER)
    wait_until(lambda: len(station.object_ids()) == 3)
    files = {"began": str(station.folder / "began"), "until": str(station.folder / "until")}
    busy = Background(station, "POST", "/objects/waiter", files)
    wait_until(lambda: os.path.exists(files["began"]))
    waiting = [Background(station, "POST", f"/objects/{name}", {"who": "waiter"})
               for name in ("one", "two")]
    for name in ("one", "two"):
        wait_until(lambda n=name: station.status()["turns"]["outstanding"] >= 3)
    open(files["until"], "w").close()
    assert busy.result().status == 200
    assert [w.result().json()["result"]["count"] for w in waiting] == [1, 1]


PAIR = """
__endpoint__ = {'stateless': True, 'workers': 2}
import os, time

def GET(request):
    return 'fine'

def POST(request):
    open(request['mine'], 'w').close()
    while not os.path.exists(request['other']):
        time.sleep(0.001)
    return _runtime.call_object(request['who'], request.get('method', 'GET'), request.get('data'))
"""


def test_another_worker_breaks_no_chain(station):
    """Of an object with two workers, one waits: the other answers, so that is no cycle."""
    station.put("single.py", CROSSER)
    station.deploy("pair.py", PAIR)
    wait_until(lambda: len(station.workers()) >= 0)
    station.get("/objects/pair")
    station.get("/objects/single")
    wait_until(lambda: len(station.workers()) == 3)
    a, b = (str(station.folder / name) for name in "ab")
    one = Background(station, "POST", "/objects/pair", {"mine": a, "other": b, "who": "single"})
    two = Background(station, "POST", "/objects/single", {"mine": b, "other": a, "who": "pair"})
    assert [one.result().text, two.result().text] == ["fine", "fine"]


def test_both_workers_wait(station):
    """Both workers of an object wait for what waits for it: found all the same."""
    station.put("single.py", CROSSER)
    station.deploy("pair.py", PAIR)
    station.get("/objects/pair")
    station.get("/objects/single")
    wait_until(lambda: len(station.workers()) == 3)
    a, b, c = (str(station.folder / name) for name in "abc")
    go = str(station.folder / "go")
    three = [Background(station, "POST", "/objects/pair", {"mine": a, "other": go, "who": "single"}),
             Background(station, "POST", "/objects/pair", {"mine": b, "other": go, "who": "single"}),
             Background(station, "POST", "/objects/single", {"mine": c, "other": go, "who": "pair"})]
    for path in (a, b, c):
        wait_until(lambda p=path: os.path.exists(p))
    open(go, "w").close()
    statuses = sorted(t.result().status for t in three)
    assert statuses[0] == 200 and set(statuses[1:]) <= {200, 508} and 508 in statuses


@pytest.mark.parametrize("station", [{"config": {"limits": {"call_depth_max": 4}}}], indirect=True)
def test_depth(station):
    for i in range(5):
        station.put(f"deep{i}.py", f"def GET(request): return 1 + _runtime.call_object('deep{i + 1}')\n")
    station.deploy("deep5.py", "def GET(request): return 0\n")
    wait_until(lambda: len(station.object_ids()) == 6)
    assert station.get("/objects/deep2").json() == 3
    reply = station.get("/objects/deep1")
    assert reply.status == 508 and reply.json()["limit"] == "call_depth_max", reply
    assert "call_depth_max" in reply.json()["error"]
    assert station.get("/objects/deep2").json() == 3


@pytest.mark.parametrize("station", [{"config": {"limits": {"turn_asks_max": 3}}}], indirect=True)
def test_answers_that_one_turn_waits_for(station):
    station.put("waiter.py", WAITER)
    station.deploy("asks.py", """
import asyncio
async def GET(request):
    found = await asyncio.gather(*[_runtime.call_object_async('waiter') for _ in range(5)],
                                 return_exceptions=True)
    return [r.limit if isinstance(r, _runtime.ObjectUnavailable) else 'fine' for r in found]
""")
    station.get("/objects/waiter")
    assert station.get("/objects/asks").json() == ["fine"] * 3 + ["turn_asks_max"] * 2
    assert station.get("/objects/asks").json() == ["fine"] * 3 + ["turn_asks_max"] * 2


@pytest.mark.parametrize("station", [{"config": {"limits": {"queue_object_max": 2}}}], indirect=True)
def test_a_full_queue(station):
    station.put("waiter.py", WAITER)
    station.deploy("caller.py", CALLER)
    files = {"began": str(station.folder / "began"), "until": str(station.folder / "until")}
    busy = [Background(station, "POST", "/objects/waiter", files)]
    wait_until(lambda: os.path.exists(files["began"]))
    busy += [Background(station, "GET", "/objects/waiter") for _ in range(2)]
    wait_until(lambda: station.status()["turns"]["outstanding"] == 3)
    full = failure(station, "waiter")
    assert (full["class"], full["limit"]) == ("ObjectUnavailable", "queue_object_max")
    open(files["until"], "w").close()
    assert {b.result().status for b in busy} == {200}


# --- deadlines ---

SLEEPER = """
import time

def GET(request):
    return _state_manager.get('ended', 0)

def POST(request):
    _state_manager.increment('began')
    open(request['began'], 'w').close()
    time.sleep(30)
    _state_manager.increment('ended')
"""


def test_a_timeout_of_the_call(station):
    """The caller goes on at its time, and the callee is stopped: nobody hears of its result."""
    station.put("caller.py", CALLER)
    station.deploy("sleeper.py", SLEEPER)
    station.get("/objects/sleeper")
    began = str(station.folder / "began")

    def late_call():
        """Whether the callee had begun, for which a busy machine may be too slow."""
        started = time.monotonic()
        late = failure(station, "sleeper", "POST", {"began": began}, 0.2)
        assert (late["class"], late["status"], late["limit"]) == ("CallTimeout", 504, "timeout")
        assert late["is_timeout"] and 0.2 <= time.monotonic() - started < 15 * PATIENCE
        assert call(station, "sleeper") == {"result": 0}
        assert time.monotonic() - started < 20 * PATIENCE  # it would sleep for 30 s
        assert station.state("sleeper") == {}
        return os.path.exists(began)

    wait_until(late_call)


@pytest.mark.parametrize("station", [{"config": {"workers": {"timeout": 0.4}}}], indirect=True)
def test_the_callee_inherits_the_deadline(station):
    """Its own would be a minute; it ends with its caller."""
    station.put("caller.py", CALLER)
    station.deploy("sleeper.py", "__endpoint__ = {'timeout': 60}\n" + SLEEPER)
    station.get("/objects/sleeper")
    began = str(station.folder / "began")

    def late_call():
        started = time.monotonic()
        reply = station.request("PUT", "/objects/caller", {"who": "sleeper", "method": "POST",
                                                           "data": {"began": began}})
        assert reply.status == 504, reply
        assert station.get("/objects/sleeper").json() == 0
        assert 0.4 <= time.monotonic() - started < 20 * PATIENCE
        assert station.state("sleeper") == {} and station.state("caller") == {}
        return os.path.exists(began)  # else a busy machine was too slow

    wait_until(late_call)


def test_the_callees_own_timeout(station):
    station.put("caller.py", CALLER)
    station.deploy("sleeper.py", "__endpoint__ = {'timeout': 0.3}\n" + SLEEPER)
    late = failure(station, "sleeper", "POST", {"began": str(station.folder / "began")})
    assert (late["class"], late["status"], late["limit"]) == ("CallTimeout", 504, "timeout")


def test_a_call_that_waited_too_long_never_begins(station):
    station.put("caller.py", CALLER)
    station.put("waiter.py", WAITER)
    wait_until(lambda: len(station.object_ids()) == 2)
    files = {"began": str(station.folder / "began"), "until": str(station.folder / "until")}
    busy = Background(station, "POST", "/objects/waiter", files)
    wait_until(lambda: os.path.exists(files["began"]))
    other = {"began": str(station.folder / "never"), "until": "/"}
    late = failure(station, "waiter", "POST", other, 0.2)
    assert late["class"] == "CallTimeout"
    open(files["until"], "w").close()
    assert busy.result().json() == {"count": 1}
    assert call(station, "waiter")["result"]["count"] == 1
    assert not os.path.exists(other["began"])


# --- deaths ---


def start_chain(station, die=False):
    """A call of `waiter` by `caller`, which waits inside."""
    files = {"began": str(station.folder / "began"), "until": str(station.folder / "until"),
             "die": die}
    pids = {name: station.get(f"/objects/{name}").json()["pid"] for name in ("caller", "waiter")}
    chain = Background(station, "PUT", "/objects/caller", {"who": "waiter", "method": "POST",
                                                           "data": files})
    wait_until(lambda: os.path.exists(files["began"]))
    return chain, pids, lambda: open(files["until"], "w").close()


@pytest.fixture
def chained(station):
    station.put("caller.py", CALLER)
    station.put("waiter.py", WAITER)
    wait_until(lambda: len(station.object_ids()) == 2)
    station.allow("worker .* died")
    return station


def test_the_caller_is_killed_while_the_callee_runs(chained):
    """What the callee did stays done; both serve on."""
    chain, pids, go_on = start_chain(chained)
    os.kill(pids["caller"], signal.SIGKILL)
    reply = chain.result()
    assert reply.status == 502 and reply.json()["crash_id"]
    go_on()
    assert chained.get("/objects/waiter").json() == {"pid": pids["waiter"], "count": 1}
    assert call(chained, "waiter")["result"]["count"] == 1
    assert chained.state("caller") == {} and chained.state("waiter") == {"count": 1}


def test_the_callee_is_killed_while_it_runs(chained):
    chain, pids, _ = start_chain(chained)
    os.kill(pids["waiter"], signal.SIGKILL)
    reply = chain.result()
    assert reply.status == 502 and reply.json()["error_type"] == "ObjectUnavailable", reply
    assert call(chained, "waiter")["result"]["count"] == 0
    assert chained.state("caller") == {} and chained.state("waiter") == {}


def test_the_callee_dies_by_itself(chained):
    chain, _, go_on = start_chain(chained, die=True)
    go_on()
    assert chain.result().status == 502
    assert call(chained, "waiter")["result"]["count"] == 0


def test_both_are_killed(chained):
    chain, pids, _ = start_chain(chained)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    assert chain.result().status == 502
    assert call(chained, "waiter")["result"]["count"] == 0


def test_a_call_that_had_not_begun_survives_the_callees_worker(chained):
    """It was sent behind a turn that took the worker with it: the next worker runs it."""
    pid = chained.get("/objects/waiter").json()["pid"]
    files = {"began": str(chained.folder / "began"), "until": str(chained.folder / "until")}
    busy = Background(chained, "POST", "/objects/waiter", files)
    wait_until(lambda: os.path.exists(files["began"]))
    calling = Background(chained, "POST", "/objects/caller", {"who": "waiter"})
    wait_until(lambda: chained.status()["turns"]["outstanding"] == 3)
    os.kill(pid, signal.SIGKILL)
    assert busy.result().status == 502
    assert calling.result().json()["result"]["count"] == 0


def test_the_callee_is_removed_while_a_call_waits(chained):
    files = {"began": str(chained.folder / "began"), "until": str(chained.folder / "until")}
    busy = Background(chained, "POST", "/objects/waiter", files)
    wait_until(lambda: os.path.exists(files["began"]))
    calling = Background(chained, "POST", "/objects/caller", {"who": "waiter"})
    wait_until(lambda: chained.status()["turns"]["outstanding"] == 3)
    os.unlink(chained.objects / "waiter.py")
    wait_until(lambda: chained.object_ids() == ["caller"])
    open(files["until"], "w").close()
    busy.result()
    found = calling.result().json()
    assert found.get("class") == "ObjectNotFound" or "result" in found, found
    assert failure(chained, "waiter")["class"] == "ObjectNotFound"


def test_the_caller_times_out_while_the_callee_runs(new_station):
    station = new_station().start()
    station.put("waiter.py", WAITER)
    station.deploy("caller.py", "__endpoint__ = {'timeout': 0.3}\n" + CALLER)
    files = {name: str(station.folder / name) for name in ("began", "until")}

    def late_call():
        pids = {name: station.get(f"/objects/{name}").json()["pid"] for name in ("caller", "waiter")}
        reply = station.request("PUT", "/objects/caller", {"who": "waiter", "method": "POST",
                                                           "data": files})
        assert reply.status == 504, reply
        assert station.get("/objects/waiter").json()["count"] == 0  # stopped with its caller
        assert station.get("/objects/caller").json() == {"pid": pids["caller"], "started": 0}
        return os.path.exists(files["began"])  # else a busy machine was too slow

    wait_until(late_call)


def test_the_station_stops_while_a_chain_waits(chained):
    """It waits for the turns under way."""
    chain, _, go_on = start_chain(chained)
    chained.send_signal(signal.SIGTERM)
    wait_until(lambda: chained.logged("^stopping"))
    chained.ended_by_test = True
    go_on()
    assert chain.result().status == 200
    assert chained.wait() == 0
    chained.start()
    assert chained.state("waiter") == {"count": 1}
    assert chained.state("caller") == {"started": 1}


def test_a_cold_callee_starts(station):
    station.put("caller.py", CALLER)
    station.put("counter.py", COUNTER)
    wait_until(lambda: len(station.object_ids()) == 2)
    assert call(station, "counter", "POST") == {"result": {"count": 1}}


def test_a_callee_in_backoff_is_waited_for(station):
    station.put("caller.py", CALLER)
    station.deploy("fails.py", FAILS + "def HEAD(request): return None\n")
    station.allow("worker .* of fails died")
    for _ in range(3):
        assert failure(station, "fails", "PUT")["class"] == "ObjectUnavailable"
    assert failure(station, "fails", "POST")["status"] == 401


def test_a_new_source_of_the_callee(station):
    """While a chain waits in the old one: it ends there; the next call meets the new one."""
    station.put("caller.py", CALLER)
    station.put("waiter.py", WAITER)
    wait_until(lambda: len(station.object_ids()) == 2)
    chain, _, go_on = start_chain(station)
    station.put("waiter.py", "def GET(request): return 'new'\n")
    go_on()
    assert chain.result().json() == {"result": {"count": 1}}
    wait_until(lambda: call(station, "waiter") == {"result": "new"})


# --- what is kept ---


def test_a_caller_that_fails_undoes_nothing_of_the_callee(station):
    station.put("caller.py", CALLER)
    station.deploy("counter.py", COUNTER)
    reply = station.request("DELETE", "/objects/caller", {"who": "counter", "method": "POST"})
    assert reply.status == 500 and reply.json()["error_type"] == "ValueError"
    assert station.state("counter") == {"count": 1} and station.state("caller") == {}


def test_a_refused_turn_of_the_callee(new_station):
    station = new_station(config={"limits": {"turn_writes_max": 4096}}).start()
    station.put("caller.py", CALLER)
    station.deploy("writes.py", "def POST(request): _state_manager.set('k', 'x' * 9000)\n"
                                "def GET(request): return _state_manager.get('k')\n")
    found = failure(station, "writes", "POST")
    assert (found["class"], found["status"], found["limit"]) == ("ObjectError", 413,
                                                                 "turn_writes_max")
    assert call(station, "writes") == {"result": None}


REMEMBERS = """
seen = None

def POST(request):
    global seen
    seen = _runtime.call_object('counter', 'POST')['count']
    return {'seen': seen}

def GET(request):
    return {'seen': seen}

def PUT(request):
    return _runtime.load_object('counter').get_state()
"""


def test_the_gate_waits_for_what_the_callee_wrote(new_station):
    """The caller writes nothing, yet its reply waits for the disk, and so does every later one that
    may show what it was told."""
    prefix = ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync",
              "-e", "inject=fdatasync:delay_enter=1500000:when=8+"]
    station = new_station(prefix=prefix).start()
    station.put("counter.py", COUNTER)
    station.put("idle.py", "def GET(request): return {}\n")
    station.deploy("remembers.py", REMEMBERS)
    for name in ("counter", "idle", "remembers"):
        assert station.get(f"/objects/{name}").status == 200
    longest = 0
    for _ in range(20):     # the first fdatasync calls are quick: those of the start
        began = time.monotonic()
        assert station.post("/objects/remembers").status == 200
        longest = time.monotonic() - began
        if longest > 1.0:
            break
    assert longest > 1.0
    before = station.get("/objects/remembers").json()["seen"]
    began = time.monotonic()
    writing = Background(station, "POST", "/objects/remembers")
    shown = before
    while shown == before:
        assert station.get("/objects/idle").status == 200
        shown = station.get("/objects/remembers").json()["seen"]
    assert time.monotonic() - began >= 1.0  # whoever shows it first
    assert writing.result().json()["seen"] == shown
    assert quickest(lambda: station.get("/objects/idle"), 3) < 1.0


# --- sizes ---


def test_big_bodies(station):
    """Beyond what a frame holds inline, both ways, and several at once."""
    station.put("echo.py", "def POST(request): return request.body\n"
                           "def PUT(request): return {'n': len(request['text']), 'text': request['text']}\n")
    station.deploy("big.py", """
import asyncio, os
async def GET(request):
    size = int(request['size'])
    raw, text = os.urandom(size), 'ü' * size
    back = await asyncio.gather(*[_runtime.call_object_async('echo', 'POST', raw) for _ in range(3)])
    told = _runtime.call_object('echo', 'PUT', {'text': text})
    return {'raw': all(bytes(b) == raw for b in back), 'n': told['n'], 'text': told['text'] == text}
""")
    for size in (0, 1, 32 * 1024, 48 * 1024, 48 * 1024 + 1, 64 * 1024, 200_000, 5_000_000):
        found = station.get(f"/objects/big?size={size}").json()
        assert found == {"raw": True, "n": size, "text": True}, size


@pytest.mark.parametrize("station", [{"config": {"limits": {"body_max": "900K", "bodies_max": "1M"}}}], indirect=True)
def test_bodies_count_against_the_limit(station):
    station.put("caller.py", CALLER)
    station.put("echo.py", "def POST(request): return len(request.body)\n")
    station.deploy("big.py", "def GET(request):\n"
                             "    try: return _runtime.call_object('echo', 'POST', b'x' * 2_000_000)\n"
                             "    except _runtime.ObjectUnavailable as e: return [e.limit, e.status]\n"
                             "def POST(request): return _runtime.call_object('echo', 'POST', b'x' * 500_000)\n")
    assert station.get("/objects/big").json() == ["bodies_max", 503]
    for _ in range(5):
        assert station.post("/objects/big").json() == 500_000


@pytest.mark.parametrize("station", [{"config": {"limits": {"body_max": "100K"}}}], indirect=True)
def test_streams_are_collected(station):
    station.put("caller.py", CALLER)
    station.deploy("streams.py", """
import asyncio

def GET(request):
    for i in range(request.get('n', 3)):
        yield f'{i},'

def POST(request):
    def lines():
        yield {'a': 1}
        yield b'raw'
        raise ValueError('in the middle')
    _state_manager.set('post', 1)
    return lines()

async def PUT(request):
    for i in range(3):
        await asyncio.sleep(0)
        yield f'{i};'

def PATCH(request):
    _state_manager.set('patch', 1)
    def writes():
        _state_manager.set('inside', 1)
        yield 'x'
    return writes()

def DELETE(request):
    def calls():
        yield _runtime.call_object('caller')
    return calls()
""")
    assert call(station, "streams") == {"result": "0,1,2,"}
    assert call(station, "streams", "PUT") == {"result": "0;1;2;"}
    broken = failure(station, "streams", "POST")
    assert (broken["class"], broken["type"], broken["message"]) == ("ObjectError", "ValueError",
                                                                    "in the middle")
    long = failure(station, "streams", data={"n": 100_000})
    assert (long["class"], long["limit"]) == ("ObjectError", "body_max")
    assert failure(station, "streams", "PATCH")["class"] == "ObjectError"
    assert failure(station, "streams", "DELETE")["type"] == "RuntimeError"
    assert station.state("streams") == {}


def test_an_endless_stream_ends_with_the_deadline(station):
    station.put("caller.py", CALLER)
    station.deploy("endless.py", "__endpoint__ = {'timeout': 0.3}\nimport time\n"
                                 "def GET(request):\n"
                                 "    while True:\n        time.sleep(0.01)\n        yield ''\n")
    late = failure(station, "endless")
    assert (late["class"], late["status"]) == ("CallTimeout", 504)


# --- views ---


def test_views_of_another_object(shared):
    shared.put("anything.py", "_logger.info('loaded')\n"
                              "def POST(request):\n    _state_manager.set('a', {'x': 1})\n"
                              "    _state_manager.set('b', None)\n"
                              "    _logger.warning('hello', user='ann', n=1)\n"
                              "    _logger.error('bad', user='bob')\n    return 'done'\n")
    shared.deploy("views.py", """
import pathlib

def GET(request):
    h = _runtime.load_object('any/where/anything.py')
    done = h.execute('POST', {})
    return {'done': done, 'state': h.get_state(), 'a': h.get_state('a'), 'none': h.get_state('b', 7),
            'default': h.get_state('zz', default=[1]), 'missing': h.get_state('zz'),
            'methods': h.get_metadata()['methods'], 'id': h.object_id, 'repr': repr(h),
            'levels': [[l['level'] for l in h.get_logs(level=v, limit=100)]
                       for v in ('ERROR', 'WARNING,ERROR', ['ERROR', 'WARNING'])],
            'who': [l['message'] for l in h.get_logs(None, 10, 0, user='ann')],
            'one': len(h.get_logs(limit=1)), 'path': _runtime.load_object(pathlib.Path('views')).object_id}

def POST(request):
    try:
        return eval(request['how'])
    except Exception as e:
        return [type(e).__name__, str(e)]
""")
    found = shared.get("/objects/views").json()
    assert found == {"done": "done", "state": {"a": {"x": 1}, "b": None}, "a": {"x": 1}, "none": None,
                     "default": [1], "missing": None, "methods": ["POST"],
                     "id": "any/where/anything.py", "repr": "<object 'any/where/anything.py'>",
                     "levels": [["ERROR"], ["WARNING", "ERROR"], ["WARNING", "ERROR"]],
                     "who": ["hello"], "one": 1, "path": "views"}
    for how, error in (("_runtime.load_object('no_such').get_state()", "ObjectNotFound"),
                       ("_runtime.load_object('no_such').get_metadata()", "ObjectNotFound"),
                       ("_runtime.load_object('anything').get_logs(limit='many')", "ObjectUnavailable"),
                       ("_runtime.load_object('anything').get_logs(offset=-1)", "ObjectUnavailable"),
                       ("_runtime.load_object(7)", "TypeError"), ("_runtime.load_object('')", "ValueError")):
        assert shared.post("/objects/views", {"how": how}).json()[0] == error, how


def test_its_own_log(shared):
    """What the running turn has just logged is there already."""
    shared.deploy("logs.py", """
def POST(request):
    for i in range(5):
        _logger.info(f'line {i}', odd=i % 2, tag='ü &=%')
    return {'last': [l['message'] for l in _logger.get_logs(limit=2)],
            'offset': [l['message'] for l in _logger.get_logs('INFO', 2, 1)],
            'odd': [l['message'] for l in _logger.get_logs(odd=1, tag='ü &=%')],
            'none': _logger.get_logs(level='CRITICAL')}
""")
    assert shared.post("/objects/logs").json() == {
        "last": ["line 3", "line 4"], "offset": ["line 2", "line 3"], "odd": ["line 1", "line 3"],
        "none": []}


# --- where there is no turn ---


def test_outside_a_turn(station):
    station.put("counter.py", COUNTER)
    station.put("early.py", "try:\n    _runtime.call_object('counter', 'POST')\n"
                            "except RuntimeError as e:\n    why = str(e)\n"
                            "handle = _runtime.load_object('counter')\n"
                            "def GET(request): return [why, handle.execute('POST')['count']]\n")
    station.deploy("threads.py", """
import asyncio, os, threading

def caught(f):
    try:
        return f()
    except Exception as e:
        return [type(e).__name__, str(e)]

def ask():
    return caught(lambda: _runtime.call_object('counter', 'POST'))

def GET(request):
    found = []
    t = threading.Thread(target=lambda: found.append(ask()))
    t.start(); t.join()
    return found[0]

async def POST(request):
    return await asyncio.to_thread(ask)

def PUT(request):
    def generate():
        yield str(ask())
    return generate()

def DELETE(request):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, ask()[0].encode())
        os._exit(0)
    os.wait()
    return os.read(read, 100).decode()

def PATCH(request):
    c = _runtime.call_object_async('counter', 'POST')
    try:
        c.send(None)
    except RuntimeError as e:
        return str(e)
""")
    why, count = station.get("/objects/early").json()
    assert "imported" in why and count == 1
    assert station.get("/objects/threads").json()[0] == "RuntimeError"
    kind, text = station.post("/objects/threads").json()
    assert kind == "RuntimeError" and "thread" in text
    assert "RuntimeError" in station.request("PUT", "/objects/threads").text
    assert station.request("DELETE", "/objects/threads").text == "RuntimeError"
    assert "loop" in station.request("PATCH", "/objects/threads").text
    assert station.state("counter") == {"count": 1}
    assert station.get("/objects/threads").status == 200


# --- workers that lie ---

LIAR = """
import os, socket, struct, tempfile

def u8(v): return b'b' + struct.pack('=B', v)
def u32(v): return b'w' + struct.pack('=I', v)
def u64(v): return b'q' + struct.pack('=Q', v)
def text(v): return b's' + struct.pack('=I', len(v)) + v

def own_id():
    return int(_runtime.request_id.rsplit('-', 1)[1], 16)

def frame(kind, number, payload, fds=0):
    return struct.pack('=IHBBQ', len(payload), kind, fds, 0, number) + payload

def ask(number=1 << 40, kind=0, object=b'counter', method=b'POST', query=b'', body_kind=0, body=b'',
        size=0, timeout=0):
    return (u64(number) + u8(kind) + text(object) + text(method) + text(query) + u8(body_kind) +
            text(body) + u64(size) + u64(timeout))

def say(data, *fds):
    s = socket.socket(fileno=os.dup(3))
    s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i' * len(fds), *fds))]
              if fds else [])
    s.close()

def send_ask(fds=(), turn=None, **what):
    say(frame(24, own_id() if turn is None else turn, ask(**what), len(fds)), *fds)

def POST(request):
    exec(request['code'])
    return {'still': 'here'}
"""


@pytest.mark.parametrize("code", [
    "send_ask(turn=own_id() + 1)", "send_ask(turn=0)", "send_ask(turn=1 << 63)",
    "say(frame(24, own_id(), b'x'))", "send_ask(number=0)", "send_ask(kind=9)", "send_ask(body_kind=9)",
    "send_ask(size=9, body_kind=3)", "send_ask(size=9, body_kind=3, fds=(0,))",
    "r, w = os.pipe(); send_ask(size=9, body_kind=3, fds=(r,))",
    "f = tempfile.TemporaryFile(); f.write(b'x' * 9); f.flush(); send_ask(size=9, body_kind=3, fds=(f.fileno(),))",
    "send_ask(body=b'xx', body_kind=3, fds=(0,))", "say(frame(8, own_id(), b''))",
])
def test_a_worker_that_breaks_the_protocol(shared, code):
    """It is ended, its caller told, and nobody else hurt."""
    shared.put("counter.py", COUNTER)
    liar = f"liar{zlib.crc32(code.encode()):x}"     # one each, or they wait for the backoff
    shared.deploy(f"{liar}.py", LIAR)
    shared.allow("broke the protocol|liar")
    before = shared.get("/objects/counter").json()["count"]
    reply = shared.post(f"/objects/{liar}", {"code": code + "; import time; time.sleep(20)"})
    assert reply.status == 502 and "protocol" in reply.json()["error"], reply
    assert shared.get("/objects/counter").json()["count"] == before


@pytest.mark.parametrize("code, calls", [
    ("send_ask()", 1), ("[send_ask(number=n) for n in (7, 7, 8)]", 3),      # answers nobody waits for
    ("send_ask(object=b'')", 0), ("send_ask(object=b'counter?state=true')", 0),
    ("send_ask(object=b'x HTTP/1.1\\r\\nHost: a')", 0), ("send_ask(object=b'\\0\\xff' * 9000)", 0),
    ("send_ask(method=b'FETCH')", 0), ("send_ask(method=b'')", 0),
    ("send_ask(kind=1, method=b'PUT', query=b'source=true', body=b'{}', body_kind=1)", 0),
    ("send_ask(kind=1, method=b'GET')", 0), ("send_ask(kind=1, method=b'GET', query=b'x=1')", 0),
    ("send_ask(kind=1, method=b'GET', query=b'logs=true&follow=true')", 0),
    ("send_ask(kind=1, method=b'GET', query=b'state=true%00 \\xff#')", 0),
    ("send_ask(timeout=1)", None), ("send_ask(timeout=(1 << 64) - 1)", 1),
])
def test_asks_that_nobody_made_like_this(shared, code, calls):
    """Well-formed, and strange: answered, or refused; the worker, which does not care, lives."""
    shared.put("counter.py", COUNTER)
    shared.deploy("liar.py", LIAR)
    before = shared.get("/objects/counter").json()["count"]
    reply = shared.post("/objects/liar", {"code": code})
    assert reply.json() == {"still": "here"}, reply
    if calls is not None:
        wait_until(lambda: shared.get("/objects/counter").json()["count"] == before + calls)
    assert shared.post("/objects/liar", {"code": "_runtime.call_object('counter')"}).status == 200
    wait_until(lambda: shared.status()["turns"]["outstanding"] == 0)


def test_a_stream_that_an_object_asked_for(shared):
    """The supervisor takes no stream for a caller that is an object."""
    shared.put("caller.py", CALLER)
    shared.deploy("streamer.py", LIAR)
    shared.allow("broke the protocol|streamer")
    done = ("say(frame(18, own_id() + 1, u32(200) + u8(0) + u8(1) + text(b'text/plain') + u32(0) + "
            "text(b'') + text(b'') + u64(0) + (u32(0) + text(b'')) * 3)); import time; time.sleep(20)")
    found = failure(shared, "streamer", "POST", {"code": done})     # the id of its chain is its caller's
    assert (found["class"], found["status"]) == ("ObjectUnavailable", 502), found
    assert "a stream for an object" in found["text"]


@pytest.mark.parametrize("station", [{"config": {"limits": {"turn_asks_max": 50}}}], indirect=True)
def test_answers_that_nobody_reads(station):
    """They are few, whoever asks; a worker that goes on asking is ended."""
    station.put("counter.py", COUNTER)
    station.deploy("liar.py", LIAR)
    station.allow("broke the protocol|liar")
    asking = "[send_ask(kind=1, method=b'GET', query=b'state=true') for _ in range(%d)]"
    assert station.post("/objects/liar", {"code": asking % 2000}).status == 200
    wait_until(lambda: station.status()["http"]["open_requests"] <= 1)
    held = descriptors(station.pid).get("memfd", 0)
    assert held < 50 + 10, held
    reply = station.post("/objects/liar", {"code": asking % 200_000})
    assert reply.status == 502 and "reads no answers" in reply.json()["error"], reply
    wait_until(lambda: descriptors(station.pid).get("memfd", 0) < 10)
    assert station.get("/objects/counter").status == 200
