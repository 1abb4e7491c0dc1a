# SPDX-License-Identifier: Apache-2.0
"""Handlers: every signature, every form of a return value, the request, errors with a traceback."""

import itertools
import json
import re

import pytest
from station import wait_until

numbers = itertools.count()


def make(station, source):
    """A new object with this source; its id."""
    return station.deploy(f"o{next(numbers)}.py", source)


def call(station, source, method="GET", path="", **kw):
    return station.request(method, f"/objects/{make(station, source)}{path}", **kw)


# --- signatures ---

SIGNATURES = {
    "request": "def GET(request):\n    return {'q': request.get('q')}",
    "nothing": "def GET():\n    return {'q': '1'}",
    "other name": "def GET(r):\n    return {'q': r.get('q')}",
    "injected parameters": "def GET(request, _state_manager, _logger):\n"
                           "    _logger.info('x'); _state_manager.get('k')\n"
                           "    return {'q': request.get('q')}",
    "injected only": "def GET(_state_manager):\n    return {'q': str(len(_state_manager) + 1)}",
    "aliases": "def GET(request, _state, _log):\n    _log.info('x')\n"
               "    return {'q': str(len(_state) + 1)}",
    "runtime": "def GET(request, _runtime):\n"
               "    assert _runtime.station_id and _runtime.object_id and _runtime.request_id\n"
               "    return {'q': request['q']}",
    "keyword only": "def GET(request, *, _logger):\n    _logger.info('x')\n"
                    "    return {'q': request['q']}",
    "defaults": "def GET(request=None, _logger=None, other=5):\n"
                "    assert _logger is not None and other == 5\n    return {'q': request['q']}",
    "var": "def GET(*args, **kwargs):\n    return {'q': args[0]['q']}",
    "globals": "_logger = None\n_state_manager = None\n"
               "def GET(request):\n    _logger.info('x')\n    assert _state_manager.get('no') is None\n"
               "    return {'q': request['q']}",
    "async": "async def GET(request):\n    import asyncio\n    await asyncio.sleep(0)\n"
             "    return {'q': request['q']}",
    "async injected": "async def GET(request, _logger):\n    _logger.info('x')\n"
                      "    return {'q': request['q']}",
    "lambda": "GET = lambda request: {'q': request['q']}",
    "callable object": "class C:\n    def __call__(self, request):\n"
                       "        return {'q': request['q']}\nGET = C()",
    "partial": "import functools\ndef f(x, request):\n    return {'q': request['q']}\n"
               "GET = functools.partial(f, 1)",
    "decorated": "import functools\ndef d(f):\n    @functools.wraps(f)\n"
                 "    def w(*a, **k):\n        return f(*a, **k)\n    return w\n"
                 "@d\ndef GET(request):\n    return {'q': request['q']}",
    "method": "class C:\n    def GET(self, request):\n        return {'q': request['q']}\n"
              "GET = C().GET",
}


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
def test_signature(shared, kind):
    reply = call(shared, SIGNATURES[kind] + "\n", path="?q=1")
    assert reply.status == 200, reply
    assert reply.json() == {"q": "1"}


def test_globals_injected_before_the_module_runs(shared):
    reply = call(shared, "_logger.info('at import')\nseen = _state_manager.get('x', 5)\n"
                         "def GET(request):\n    return {'seen': seen}\n")
    assert reply.json() == {"seen": 5}


def test_imports_from_own_folder_and_objects_folder(shared):
    shared.put("pack/_helper.py", "VALUE = 'own folder'\n")
    shared.put("_common.py", "VALUE = 'objects folder'\n")
    object_id = shared.deploy("pack/user.py", "import _helper, _common\n"
                              "def GET(request):\n    return [_helper.VALUE, _common.VALUE, __file__]\n")
    answer = shared.get(f"/objects/{object_id}").json()
    assert answer[:2] == ["own folder", "objects folder"] and answer[2].endswith("pack/user.py")


# --- return values ---

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"

RETURNS = [
    ("{'a': [1, 2.5, None, True, 'ü']}", 200, JSON, {"a": [1, 2.5, None, True, "ü"]}),
    ("[1, 'x']", 200, JSON, [1, "x"]),
    ("[]", 200, JSON, []),
    ("{}", 200, JSON, {}),
    ("42", 200, JSON, 42),
    ("1.5", 200, JSON, 1.5),
    ("True", 200, JSON, True),
    ("False", 200, JSON, False),
    ("None", 204, None, b""),
    ("'<b>ü</b>'", 200, HTML, "<b>ü</b>".encode()),
    ("''", 200, HTML, b""),
    ("b'\\x00\\xff'", 200, "application/octet-stream", b"\x00\xff"),
    ("bytearray(b'ab')", 200, "application/octet-stream", b"ab"),
    ("{'content_type': 'text/plain', 'body': 'plain'}", 200, "text/plain", b"plain"),
    ("{'content_type': 'image/png', 'body': b'\\x89PNG'}", 200, "image/png", b"\x89PNG"),
    ("({'made': 1}, 201)", 201, JSON, {"made": 1}),
    ("('gone', 410)", 410, HTML, b"gone"),
    ("(202, {'X-One': '1', 'X-Two': 'b'}, {'later': True})", 202, JSON, {"later": True}),
    ("(200, {'Content-Type': 'text/csv'}, 'a,b')", 200, "text/csv", b"a,b"),
    ("(404, {}, {'status': 'error', 'error': 'mine'})", 404, JSON, {"status": "error", "error": "mine"}),
    ("(204, {}, None)", 204, None, b""),
    ("{'message': 'x' * 100000}", 200, JSON, {"message": "x" * 100000}),
    ("'\\U0001F600 \\u2028'", 200, HTML, "\U0001F600 \u2028".encode()),
]


@pytest.mark.parametrize("expression,status,content_type,body", RETURNS,
                         ids=[r[0][:40] for r in RETURNS])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_return(shared, kind, expression, status, content_type, body):
    reply = call(shared, f"{kind} GET(request):\n    return {expression}\n")
    assert reply.status == status, reply
    if content_type:
        assert reply.headers["content-type"] == content_type
    if isinstance(body, bytes):
        assert reply.body == body
    else:
        assert reply.json() == body
    if "X-One" in expression:
        assert reply.headers["x-one"] == "1" and reply.headers["x-two"] == "b"


@pytest.mark.parametrize("body,pieces", [
    ("def GET(request):\n    yield 'a'\n    yield b'b'\n    yield 'ü'\n", "abü"),
    ("async def GET(request):\n    yield 'a'\n    yield 'b'\n", "ab"),
    ("def GET(request):\n    return (str(n) for n in range(1000))\n",
     "".join(map(str, range(1000)))),
    ("def GET(request):\n    return iter(())\n    yield\n", ""),
    ("def GET(request):\n    request.response.content_type = 'text/event-stream'\n"
     "    def g():\n        for n in range(3):\n            yield f'data: {n}\\n\\n'\n"
     "    return g()\n", "data: 0\n\ndata: 1\n\ndata: 2\n\n"),
])
def test_generator(shared, body, pieces):
    reply = call(shared, body)
    assert reply.status == 200, reply
    assert reply.text == pieces
    assert reply.headers.get("transfer-encoding") == "chunked"
    if "event-stream" in body:
        assert reply.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("expression,names", [
    ("object()", "object"),
    ("{1, 2}", "set"),
    ("{'x': object()}", "object"),
    ("[lambda: 0]", "function"),
    ("{'x': {1}}", "set"),
    ("3j", "complex"),
    ("(1, 2, 3, 4)", "tuple"),
    ("float('nan')", "nan|NaN|float"),
])
def test_unserialisable_return(shared, expression, names):
    source = f"def GET(request):\n    _state_manager.set('k', 1)\n    return {expression}\n"
    object_id = make(shared, source)
    reply = shared.get(f"/objects/{object_id}")
    assert reply.status == 500 and reply.json()["status"] == "error"
    assert re.search(names, reply.json()["error"]), reply
    assert shared.state(object_id) == {}  # a turn without an answer commits nothing


def test_circular_return(shared):
    reply = call(shared, "def GET(request):\n    a = []\n    a.append(a)\n    return a\n")
    assert reply.status == 500 and reply.json()["status"] == "error"


@pytest.mark.parametrize("expression", [
    "('x', 99)", "('x', 1000)", "(700, {}, 'x')", "(200, {'X-Bad': 'a\\r\\nSet-Cookie: b=c'}, 'x')",
    "(200, {'Bad Name': 'a'}, 'x')", "(200, {'X': 'a\\0b'}, 'x')",
    "(200, {'Content-Length': '5'}, 'x')", "(200, {'Transfer-Encoding': 'chunked'}, 'x')",
])
def test_hostile_reply_parts(shared, expression):
    """Never a split reply, never a broken frame: refused, or made harmless."""
    object_id = make(shared, f"def GET(request):\n    return {expression}\n")
    with shared.client() as client:
        reply = client.get(f"/objects/{object_id}")
        assert reply.status in (200, 500)
        assert "set-cookie" not in reply.headers
        if reply.status == 200:
            assert reply.body == b"x"
    assert shared.get("/health").status == 200


# --- the request ---

ECHO = """__endpoint__ = {"uploads": True}

def ANY(request):
    return {
        'data': dict(request), 'method': request.method, 'path': request.path,
        'path_parts': request.path_parts, 'query': dict(request.query), 'json': request.json,
        'forms': dict(request.forms), 'form': dict(request.form), 'POST': dict(request.POST),
        'files': {k: [f.filename, f.content_type, len(f.content), f.file.read().decode('latin-1')]
                  for k, f in request.files.items()},
        'cookies': dict(request.cookies), 'body': request.body.decode('latin-1'),
        'read': request.body.read().decode('latin-1'), 'user': request.user,
        'station_id': request.station_id, 'request_id': request.request_id,
        'remote_addr': request.remote_addr, 'agent': request.get_header('user-agent', 'none'),
        'absent': request.get_header('X-Absent', 'none'),
        'upper': request.get_header('USER-AGENT', 'none'),
        'headers': {str(k): str(v) for k, v in request.headers.items()},
        'query_list': request.query_list('x'),
    }
GET = POST = PUT = DELETE = PATCH = ANY
"""


@pytest.fixture(scope="module")
def echo(module_station):
    return "/objects/" + module_station.deploy("echo.py", ECHO)


def test_request_of_a_get(shared, echo):
    a = shared.get(echo + "/sub/path?x=1&y=a%20b+c&x=2&empty=&%C3%BC=%E2%82%AC",
                   headers={"User-Agent": "test", "Cookie": "a=1; b=\"two\"; c=x=y",
                            "X-Request-Id": "rid-1"}).json()
    assert a["data"] == {"x": "2", "y": "a b c", "empty": "", "ü": "€"} == a["query"]
    assert a["query_list"] == ["1", "2"]
    assert a["method"] == "GET" and a["path_parts"] == ["sub", "path"] and a["json"] is None
    assert a["path"].endswith("/sub/path")
    assert a["agent"] == a["upper"] == "test" and a["absent"] == "none"
    assert a["cookies"]["a"] == "1" and a["cookies"]["b"] == "two" and a["cookies"]["c"] == "x=y"
    assert a["remote_addr"] == "127.0.0.1" and a["request_id"] == "rid-1" and a["station_id"]
    assert a["body"] == "" and a["files"] == {} and a["forms"] == {}


def test_request_id_is_made_when_absent(shared, echo):
    first, second = shared.get(echo).json(), shared.get(echo).json()
    assert first["request_id"] and first["request_id"] != second["request_id"]


def test_request_json(shared, echo):
    body = {"name": "ü", "n": [1, {"a": None}], "t": True}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        a = shared.request(method, echo + "?q=1", body).json()
        assert a["data"] == body == a["json"] and a["query"] == {"q": "1"} and a["method"] == method
        assert json.loads(a["body"].encode("latin-1")) == body and a["read"] == a["body"]


@pytest.mark.parametrize("body", ["[1, 2]", '"text"', "5", "null", "true"])
def test_request_json_that_is_no_object(shared, echo, body):
    a = shared.post(echo + "?q=1", body, headers={"Content-Type": "application/json"}).json()
    assert a["json"] == json.loads(body) and a["query"] == {"q": "1"}


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b'{"a": 1} x', b"", b"\xff", b'{"a": "\xff"}',
                                  b'{"a": NaN}', b"[" * 100000, b'{"a": "\x00"}', b"nul"],
                         ids=lambda b: repr(b[:12]))
def test_malformed_json(shared, body):
    """400 before the handler runs; and NaN at least never reaches the state as a number."""
    object_id = make(shared, "def POST(request):\n    _state_manager.increment('ran')\n"
                             "    return {'json': request.json}\n")
    reply = shared.post(f"/objects/{object_id}", body, headers={"Content-Type": "application/json"})
    if body == b"" and reply.status == 200:
        return  # no body at all is no claim
    assert reply.status == 400, reply
    assert reply.json()["status"] == "error" and reply.json()["error"]
    assert shared.state(object_id) == {}


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8",
                                          "Application/JSON", "application/problem+json"])
def test_json_content_types(shared, echo, content_type):
    assert shared.post(echo, b'{"a": 1}', headers={"Content-Type": content_type}).json()["json"] == {
        "a": 1}


def test_request_form(shared, echo):
    a = shared.post(echo + "?q=1", "x=1&y=a+b%26c&x=2&%C3%BC=%E2%82%AC&z=",
                    headers={"Content-Type": "application/x-www-form-urlencoded"}).json()
    want = {"x": "2", "y": "a b&c", "ü": "€", "z": ""}
    assert a["forms"] == a["form"] == a["POST"] == a["data"] == want
    assert a["json"] is None and a["query"] == {"q": "1"}


def test_json_sent_as_a_form_is_hinted_at(station):
    """What curl -d sends unless it is told otherwise: a form with one strange field."""
    object_id = make(station, "def POST(request):\n    return {'n': len(request)}\n")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert station.post(f"/objects/{object_id}", "a=1", headers=form).json() == {"n": 1}
    assert station.post(f"/objects/{object_id}", '{"a": 1}', headers=form).json() == {"n": 1}
    hints = [line for line in station.object_logs(object_id) if "application/json" in line["message"]]
    assert [line["level"] for line in hints] == ["WARNING"]


def multipart(*parts, boundary=b"XbX"):
    body = b""
    for head, content in parts:
        body += b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


def test_request_multipart(shared, echo):
    body = multipart(
        (b'Content-Disposition: form-data; name="text"', "wört".encode()),
        (b'Content-Disposition: form-data; name="up"; filename="a b.bin"\r\n'
         b"Content-Type: image/png", bytes(range(256))),
        (b'Content-Disposition: form-data; name="empty"; filename=""', b""),
        (b'content-disposition: form-data; name="crlf"', b"a\r\nb\r\n--Xb"),
    )
    a = shared.post(echo, body, headers={"Content-Type": "multipart/form-data; boundary=XbX"}).json()
    assert a["forms"]["text"] == "wört" and a["forms"]["crlf"] == "a\r\nb\r\n--Xb"
    assert a["files"]["up"] == ["a b.bin", "image/png", 256, bytes(range(256)).decode("latin-1")]
    assert a["data"]["text"] == "wört"


@pytest.mark.parametrize("body", [b"", b"--XbX", b"--XbX\r\n", b"rubbish", b"--XbX--\r\n",
                                  b"--XbX\r\nno disposition\r\n\r\nx\r\n--XbX--\r\n",
                                  b'--XbX\r\nContent-Disposition: form-data; name="a"\r\n\r\nunended'])
def test_malformed_multipart(shared, echo, body):
    reply = shared.post(echo, body, headers={"Content-Type": "multipart/form-data; boundary=XbX"})
    assert reply.status in (200, 400)
    reply = shared.post(echo, body, headers={"Content-Type": "multipart/form-data"})
    assert reply.status in (200, 400)


def test_response_attributes(shared):
    reply = call(shared, "def GET(request):\n"
                         "    request.response.status = 203\n"
                         "    request.response.content_type = 'text/plain; charset=utf-8'\n"
                         "    request.response.headers['X-Mine'] = 'yes'\n"
                         "    request.response.set_cookie('sid', 'abc', path='/', httponly=True,"
                         " max_age=60)\n"
                         "    request.response.set_cookie('two', 'xy')\n"
                         "    return 'text'\n")
    assert reply.status == 203 and reply.headers["x-mine"] == "yes" and reply.body == b"text"
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    cookies = [v for n, v in reply.all_fields if n.lower() == "set-cookie"]
    assert len(cookies) == 2
    assert cookies[0].startswith("sid=abc") and "HttpOnly" in cookies[0]
    assert "Max-Age=60" in cookies[0] and "Path=/" in cookies[0]


def test_request_is_a_dict(shared):
    reply = call(shared, "def GET(request):\n"
                         "    assert isinstance(request, dict) and 'a' in request\n"
                         "    assert request.get('b', 'x') == 'x' and request['a'] == '1'\n"
                         "    try:\n        request['b']\n        return 'no KeyError'\n"
                         "    except KeyError:\n        pass\n"
                         "    try:\n        request.nonsense\n        return 'no AttributeError'\n"
                         "    except AttributeError:\n        return sorted(request)\n", path="?a=1&c=2")
    assert reply.json() == ["a", "c"]


# --- errors ---

FAILING = """
def helper(n):
    return 1 / n

def GET(request):
    return helper(0)

async def POST(request):
    import asyncio
    await asyncio.sleep(0)
    return helper(0)
"""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_traceback_is_the_users_own(shared, method):
    object_id = make(shared, FAILING)
    reply = shared.request(method, f"/objects/{object_id}")
    assert reply.status == 500
    answer = reply.json()
    assert answer["status"] == "error" and "ZeroDivisionError" in answer["error"]
    text = str(answer["traceback"])
    assert f"{object_id}.py" in text and "in helper" in text and "line 3" in text
    assert f"in {method}" in text and "return 1 / n" in text
    assert "/asyncio/" not in text and "necro" not in text  # our frames and the loop's left out
    assert reply.headers["x-request-id"]
    logs = shared.object_logs(object_id, "&level=ERROR")
    assert any("ZeroDivisionError" in str(e) for e in logs)


def test_traceback_is_hidden_when_told(new_station):
    station = new_station(config={"http": {"expose_tracebacks": False}}).start()
    object_id = station.deploy("f.py", FAILING)
    reply = station.get(f"/objects/{object_id}")
    assert reply.status == 500 and reply.json()["status"] == "error"
    assert "traceback" not in reply.json() and "helper" not in reply.text
    assert any("helper" in str(e) for e in station.object_logs(object_id, "&level=ERROR"))


@pytest.mark.parametrize("statement,names", [
    ("raise SystemExit(3)", "SystemExit"),
    ("import sys; sys.exit()", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("raise BaseException('base')", "base"),
    ("raise StopIteration", "StopIteration|RuntimeError"),
    ("raise Exception('ü \\ud800 \\0')", "Exception"),
    ("def f(): return f()\n    return f()", "RecursionError"),
    ("class E(Exception):\n        def __str__(self): raise RuntimeError\n    raise E()", "E"),
    ("raise ExceptionGroup('g', [ValueError(1)])", "ExceptionGroup"),
    ("try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise ValueError('x') from e",
     "ValueError"),
])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_raised(shared, kind, statement, names):
    object_id = make(shared, f"{kind} GET(request):\n    _state_manager.set('k', 1)\n    {statement}\n"
                             "def POST(request):\n    import os\n    return os.getpid()\n")
    pid = shared.post(f"/objects/{object_id}").json()
    reply = shared.get(f"/objects/{object_id}")
    assert reply.status == 500 and reply.json()["status"] == "error", reply
    assert re.search(names, reply.json()["error"]), reply
    assert shared.post(f"/objects/{object_id}").json() == pid  # the worker lives on
    assert shared.state(object_id) == {}


def test_log_forms(shared):
    object_id = make(shared, "def GET(request):\n"
                             "    _logger.debug('d'); _logger.warning('w', a=1)\n"
                             "    _logger.critical('c', nested={'x': [1]}, text='tab\\tnl\\n')\n"
                             "    _logger.log('INFO', 'by level', b=2)\n"
                             "    _logger.log('user_login', {'who': 'me'})\n"
                             "    return {}\n")
    assert shared.get(f"/objects/{object_id}").status == 200
    logs = shared.object_logs(object_id)
    found = {e["message"]: e for e in logs}
    assert found["w"]["level"] == "WARNING" and str(found["w"]["a"]) == "1"
    assert found["c"]["level"] == "CRITICAL" and found["c"]["text"] == "tab\tnl\n"
    assert found["by level"]["level"] == "INFO"
    assert any("user_login" in str(e) and "me" in str(e) for e in logs)


@pytest.mark.parametrize("returned", ["(205, {}, {'a': 1})", "(205, {}, (b'x' for _ in range(3)))"],
                         ids=["dict", "generator"])
def test_status_205_has_no_body(station, returned):
    """RFC 9110, 15.3.6: the next reply on the connection is the next reply."""
    station.deploy("reset.py", f"def GET(request):\n    return {returned}\n"
                               "def PUT(request):\n    return 'next'\n")
    with station.client() as client:
        reply = client.get("/objects/reset")
        assert reply.status == 205 and reply.body == b"", reply
        assert reply.headers.get("content-length") == "0"
        assert client.request("PUT", "/objects/reset").text == "next"


@pytest.mark.parametrize("station", [{"config": {"workers": {"timeout": 1}}}], indirect=True)
def test_deadline_while_an_error_is_described(station):
    """It is raised in __str__, where it must not cost the text of the error."""
    station.deploy("late.py", """
import time

class Late(Exception):
    asked = 0
    def __str__(self):
        Late.asked += 1
        if Late.asked == 1:
            time.sleep(60)
        return "what went wrong"

def GET(request):
    raise Late
""")
    reply = station.get("/objects/late")
    assert reply.status == 500 and reply.json()["error"] == "Late: what went wrong", reply
