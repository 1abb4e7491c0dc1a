# SPDX-License-Identifier: Apache-2.0
"""The HTTP front: limits, slow and hostile clients, big bodies, the rules for browsers."""

import contextlib
import re
import resource
import select
import socket
import time

import pytest
import request_vectors
from station import PATIENCE, SANITIZED, Client, read_reply, scaled, wait_until
from writers import in_parallel

HELLO = 'def GET(request):\n    return {"message": "Hello, World!"}\n'
COUNTER = ("def GET(request):\n    return {'n': _state_manager.get('n', 0)}\n"
           "def POST(request):\n    return {'n': _state_manager.increment('n')}\n")
SIZE = ("import hashlib\n"
        "def POST(request):\n    return {'size': len(request.body),"
        " 'sha': hashlib.sha256(request.body).hexdigest()}\n"
        "def GET(request):\n    return {'content_type': 'application/octet-stream',"
        " 'body': b'0123456789abcdef' * (int(request['size']) // 16)}\n")


def status_of(answer):
    """Status of the first reply in raw bytes; None when there is none."""
    if not answer.startswith(b"HTTP/1.1 "):
        return None
    return int(answer[9:12])


def is_json_error(answer, *names):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer[:500]
    assert b'"status":"error"' in body.replace(b" ", b""), answer[:500]
    for name in names:
        assert name.encode() in body, (name, answer[:500])


# --- plain service ---


def test_keep_alive_and_close(shared):
    shared.deploy("hello.py", HELLO)
    with shared.connect() as s:
        for _ in range(5):
            s.sendall(b"GET /objects/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_reply(s).status == 200
    answer = shared.raw(b"GET /objects/hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status_of(answer) == 200 and b"Hello" in answer
    answer = shared.raw(b"GET /objects/hello HTTP/1.0\r\n\r\n")
    assert b"200" in answer.split(b"\r\n")[0] and b"Hello" in answer


def test_byte_by_byte(shared):
    shared.deploy("size.py", SIZE)
    whole = (b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\n\r\n")
    with shared.connect() as s:
        for n in range(len(whole)):
            s.sendall(whole[n : n + 1])
        assert read_reply(s).json()["size"] == 6


def test_station_routes(shared):
    assert shared.get("/health").status == 200
    assert shared.get("/ready").status == 200
    assert isinstance(shared.status(), dict)
    metrics = shared.get("/metrics")
    assert metrics.status == 200 and metrics.headers["content-type"].startswith("text/plain")
    for line in metrics.text.splitlines():
        if line and not line.startswith("#"):
            assert float(line.rsplit(" ", 1)[1]) >= 0, line
    for word in ("turn", "queue", "journal", "worker", "_bucket"):
        assert word in metrics.text, word
    assert shared.get("/").status in (200, 302, 303, 307)
    reply = shared.get("/no/such/route")
    assert reply.status == 404 and reply.json()["status"] == "error"
    assert shared.request("DELETE", "/health").status in (404, 405)


def test_health_is_not_queued_behind_turns(shared):
    shared.deploy("busy.py", "import os, time\ndef GET(request):\n"
                             "    while not os.path.exists(request['until']):\n"
                             "        time.sleep(0.005)\n    return {}\n")
    until = shared.folder / "until"

    def work(index):
        if index < 4:
            return shared.get(f"/objects/busy?until={until}").status
        try:
            return [shared.get(path).status for path in ("/health", "/metrics", "/objects")]
        finally:
            until.touch()

    assert in_parallel(5, work)[4] == [200, 200, 200]


def test_unix_socket(new_station, tmp_path):
    path = tmp_path / "s"
    station = new_station(arguments=["--listen", f"unix:{path}"]).start()
    station.deploy("hello.py", HELLO)
    assert path.stat().st_mode & 0o077 == 0
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(path))
            s.sendall(b"GET /objects/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_reply(s).status == 200
    station.stop()
    assert not path.exists()


# --- bodies ---


@pytest.mark.heavy
@pytest.mark.parametrize("station", [{"config": {"limits": {"body_max": "128M", "bodies_max": "512M"},
                                                 "workers": {"timeout": 120}}}], indirect=True)
def test_bodies_of_100_mb_are_never_held_twice(station):
    """In and out; what the supervisor holds of them at its peak is less than one."""
    station.deploy("size.py", SIZE)
    assert station.post("/objects/size", b"x").json()["size"] == 1
    before = station.rss(peak=True)
    size = 100 << 20
    block = b"0123456789abcdef" * 4096

    def blocks():
        for _ in range(size // len(block)):
            yield block

    with station.client(timeout=120) as client:
        client.connection.request("POST", "/objects/size", body=blocks(),
                                  headers={"Content-Length": str(size)})
        answer = client.connection.getresponse()
        assert answer.status == 200
        assert b'"size": %d' % size in answer.read()
        client.connection.request("POST", "/objects/size", body=blocks(), encode_chunked=True,
                                  headers={"Transfer-Encoding": "chunked"})
        answer = client.connection.getresponse()
        assert answer.status == 200 and b'"size": %d' % size in answer.read()
        client.connection.request("GET", f"/objects/size?size={size}")
        answer = client.connection.getresponse()
        assert answer.status == 200 and answer.getheader("Content-Length") == str(size)
        got = 0
        while piece := answer.read(1 << 20):
            got += len(piece)
            assert piece.startswith(b"0123456789abcdef")
        assert got == size
    grown = station.rss(peak=True) - before
    assert grown < (100 << 20) * (2 if SANITIZED else 1), grown


def test_body_of_every_size(shared):
    """Around the steps from inline to memfd."""
    shared.deploy("size.py", SIZE)
    with shared.client() as client:
        for base in (0, 1, 1024, 16384, 32768, 65536, 131072, 1 << 20):
            for size in {max(0, base - 1), base, base + 1, base + 17}:
                assert client.post("/objects/size", b"z" * size).json()["size"] == size
                if size % 16 == 0:
                    assert len(client.get(f"/objects/size?size={size}").body) == size


@pytest.mark.parametrize("station", [{"config": {"limits": {"body_max": "1M"}}}], indirect=True)
def test_body_limit(station):
    station.deploy("size.py", SIZE)
    assert station.post("/objects/size", b"z" * (1 << 20)).status == 200
    head = b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\n"
    answer = station.raw(head + b"Content-Length: 1048577\r\n\r\n")
    assert status_of(answer) == 413
    is_json_error(answer, "body_max")
    answer = station.raw(head + b"Content-Length: 99999999999999999999999\r\n\r\n")
    assert status_of(answer) in (400, 413)
    chunk = b"10000\r\n" + b"z" * 65536 + b"\r\n"
    answer = station.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n")
    assert status_of(answer) == 413 or answer == b""  # a reset may overtake the answer
    answer = station.raw(head + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
    assert status_of(answer) in (413, 417)


def test_expect_continue(shared):
    shared.deploy("size.py", SIZE)
    with shared.connect() as s:
        s.sendall(b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                  b"Content-Length: 5\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
        s.sendall(b"hello")
        assert read_reply(s).json()["size"] == 5


@pytest.mark.parametrize("station", [{"config": {"limits": {"bodies_max": "1M", "body_max": "900K"}}}],
                         indirect=True)
def test_bodies_budget_of_the_station(station):
    """Half-sent bodies of several clients fill the budget; a further one is refused, not stored."""
    station.deploy("size.py", SIZE)
    head = b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 800000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(4):
            s = stack.enter_context(station.connect())
            with contextlib.suppress(OSError):
                s.sendall(head + b"z" * 700000)
            held.append(s)
        refused = set()

        def hear():
            for s in set(select.select(held, [], [], 0.05)[0]) - refused:
                with contextlib.suppress(OSError):
                    answer = s.recv(4096)
                    if answer:
                        assert status_of(answer) == 503, answer
                        is_json_error(answer, "bodies_max")
                        refused.add(s)
            return len(refused) >= 2

        wait_until(hear)
    wait_until(lambda: station.post("/objects/size", b"z" * 700000).status == 200)


# --- limits of the head ---


def test_head_limit(shared):
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    answer = shared.raw(head + b"X-Long: " + b"a" * 20000 + b"\r\n\r\n")
    assert status_of(answer) == 431
    is_json_error(answer, "head_max")
    answer = shared.raw(head + b"".join(b"X-%d: a\r\n" % n for n in range(150)) + b"\r\n")
    assert status_of(answer) == 431
    is_json_error(answer, "fields_max")
    answer = shared.raw(head + b"".join(b"X-%d: a\r\n" % n for n in range(90))
                        + b"Connection: close\r\n\r\n")
    assert status_of(answer) == 200
    answer = shared.raw(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) == 414
    is_json_error(answer, "target_max")


@pytest.mark.parametrize("station", [{"config": {"http": {"head_timeout": 1}}}], indirect=True)
def test_slow_head(station):
    """A total deadline: typing steadily does not help. Others are served meanwhile."""
    station.deploy("hello.py", HELLO)
    with station.connect() as s:
        begun = time.monotonic()
        s.settimeout(0.05)
        s.sendall(b"GET /objects/hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        answer = b""
        while time.monotonic() - begun < 15:
            try:
                s.sendall(b"a")
                answer = s.recv(4096)
                break
            except socket.timeout:
                assert station.get("/objects/hello").status == 200
            except OSError:
                break
        assert time.monotonic() - begun < 15
        if answer:
            assert status_of(answer) == 408
            is_json_error(answer, "head_timeout")


@pytest.mark.parametrize("station", [{"config": {"http": {"keepalive_timeout": 1}}}], indirect=True)
def test_idle_connection_and_slow_body(station):
    station.deploy("size.py", SIZE)
    with station.connect() as idle, station.connect() as slow:
        slow.sendall(b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab")
        idle.settimeout(20)
        slow.settimeout(20)
        assert idle.recv(100) == b""  # closed, nothing said
        answer = slow.recv(4096)
        assert status_of(answer) == 408
        is_json_error(answer, "body_timeout")
    assert station.post("/objects/size", b"ok").json()["size"] == 2


@pytest.mark.heavy
@pytest.mark.parametrize("station", [{"config": {"limits": {"connections_address_max": 20000}}}],
                         indirect=True)
def test_thousands_of_idle_connections(station):
    """5,000 that say nothing or half a head; the others do not notice."""
    station.deploy("hello.py", HELLO)
    count = scaled(5000, 500)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = []
    try:
        for n in range(count):
            s = station.connect()
            if n % 2:
                s.sendall(b"GET /objects/hello HTT")
            idle.append(s)
        with station.client() as client:
            for _ in range(200):
                assert client.get("/objects/hello").status == 200
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("station", [{"config": {"limits": {"connections_max": 50,
                                                            "connections_address_max": 20}}}],
                         indirect=True)
def test_connection_limits(station):
    station.allow("connections")
    station.deploy("hello.py", HELLO)
    assert station.get("/objects/hello").status == 200
    wait_until(lambda: station.status()["http"]["connections"] == 1)  # which asks for it
    opened = [station.connect() for _ in range(40)]
    served = refused = 0
    for s in opened:
        s.settimeout(20 * PATIENCE)
        try:
            s.sendall(b"GET /objects/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = s.recv(4096)
        except OSError:
            answer = b""
        if status_of(answer) == 200:
            served += 1
        else:
            refused += 1
            if answer:
                assert status_of(answer) in (429, 503)
                is_json_error(answer, "connections_address_max")
    assert served == 20 and refused == 20
    for s in opened:
        s.close()
    wait_until(lambda: raw_get_works(station))


@pytest.mark.parametrize("station", [{"config": {"limits": {"connections_max": 10}}}], indirect=True)
def test_connections_of_all_addresses(station):
    station.allow("connections")
    wait_until(lambda: station.status()["http"]["connections"] == 1)  # which asks for it
    opened = [station.connect() for _ in range(14)]
    answers = []
    for s in opened:
        s.settimeout(20 * PATIENCE)
        with contextlib.suppress(OSError):
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers.append(s.recv(4096))
    assert [status_of(a) for a in answers].count(200) == 10
    for answer in answers:
        if answer and status_of(answer) != 200:
            assert status_of(answer) == 503
            is_json_error(answer, "connections_max")
    for s in opened:
        s.close()
    wait_until(lambda: health_works(station))


def health_works(station):
    with contextlib.suppress(OSError):
        return station.get("/health").status == 200
    return False


def raw_get_works(station):
    with contextlib.suppress(Exception):
        return station.get("/objects/hello").status == 200
    return False


# --- vectors ---


def replies_in(answer):
    """How many replies: status lines at the start of a reply, not words in a body."""
    return len(re.findall(rb"(?:^|\}|\n)HTTP/1\.1 \d\d\d ", answer))


@pytest.mark.parametrize("name,data,statuses", request_vectors.VECTORS,
                         ids=[v[0] for v in request_vectors.VECTORS])
def test_vector(shared, name, data, statuses):
    """A request that RFC 9112 allows or forbids, and right behind it one that must run, or never."""
    shared.deploy("sentinel.py", COUNTER)
    before = shared.get(request_vectors.SENTINEL_PATH.decode()).json()["n"]
    sentinel = request_vectors.SENTINEL[:-2] + b"Connection: close\r\n\r\n"
    answer = shared.raw(data + sentinel)
    status = status_of(answer)
    assert status in statuses, (status, answer[:300])
    runs = status < 400 and name not in request_vectors.CLOSES
    assert replies_in(answer) == (2 if runs else 1), answer[:1000]
    if status >= 400:
        is_json_error(answer)
    after = shared.get(request_vectors.SENTINEL_PATH.decode()).json()["n"]
    assert after == before + (1 if runs else 0)


# --- ids, names, encodings ---

BAD_TARGETS = [
    b"/objects/../hello", b"/objects/./hello", b"/objects/hello/..", b"/objects/hello/../hello",
    b"/objects/%2e%2e/hello", b"/objects/%2E%2e%2fhello", b"/objects/hello%2fsub",
    b"/objects/hello%00", b"/objects/%00", b"/objects/hello/%00x", b"/objects/..%2f..%2fetc%2fpasswd",
    b"/objects/" + b"a" * 4096, b"/objects/\xff\xfe", b"/objects/%ff%fe", b"/objects/hello%",
    b"/objects/hello%zz", b"/objects/hello%2", b"/objects/%c0%ae%c0%ae/x", b"/objects//hello",
    b"/objects/hello\\..\\x", b"/objects/..;/hello", b"//objects/hello/../..",
    b"/objects/_private", b"/objects/.hidden", b"/objects/__init__", b"/objects/a b",
    b"/objects/%20", b"/objects/hello.py", b"/objects/~root", b"/objects/hello@nowhere",
]


@pytest.mark.parametrize("target", BAD_TARGETS, ids=[repr(t[:40]) for t in BAD_TARGETS])
def test_bad_targets(shared, target):
    shared.put("_private.py", HELLO)
    shared.deploy("hello.py", HELLO)
    for query in (b"", b"?source=true", b"?state=true", b"?logs=true"):
        answer = shared.raw(b"GET " + target + query + b" HTTP/1.1\r\nHost: localhost\r\n"
                            b"Connection: close\r\n\r\n")
        status = status_of(answer)
        assert status is not None and 400 <= status < 504, answer[:300]
        assert b"root:" not in answer
        is_json_error(answer)
    for folder in ("state", "logs"):
        for path in (shared.data / folder).rglob("*"):
            assert path.name in ("hello", "state.tsv", "log.tsv") or "hello" in path.parts or any(
                part in shared.object_ids() for part in path.parts), path


def test_query_rubbish(shared):
    shared.deploy("q.py", "def GET(request):\n    return {'q': dict(request.query)}\n")
    for query in ("a=%ff%fe", "%00=1", "a=%00", "=&&&==", "a=%zz", "a" * 4000, "a=%e2%82", "%", "&",
                  "a=1&a=2" * 300):
        reply = shared.get("/objects/q?" + query)
        assert reply.status in (200, 400), (query[:50], reply)
        reply.json()


# --- the rules for browsers ---


@pytest.mark.parametrize("host,status", [
    ("localhost", 200), ("127.0.0.1", 200), ("[::1]", 200), ("localhost:{port}", 200),
    ("127.0.0.1:{port}", 200), ("LOCALHOST", 200), ("evil.example", 421), ("localhost.evil.example", 421),
    ("127.0.0.1.nip.io", 421), ("", (400, 421)), ("a b", (400, 421)), ("localhost, evil.example", (400, 421)),
])
def test_host(shared, host, status):
    shared.deploy("hello.py", HELLO)
    host = host.format(port=shared.port).encode()
    answer = shared.raw(b"GET /objects/hello HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert status_of(answer) in (status if isinstance(status, tuple) else (status,)), answer
    if status_of(answer) != 200:
        is_json_error(answer)


@pytest.mark.parametrize("station", [{"config": {"http": {"hosts": ["station.example"]}}}],
                         indirect=True)
def test_configured_host(station):
    station.deploy("hello.py", HELLO)
    for host, status in (("station.example", 200), ("other.example", 421)):
        assert station.get("/objects/hello", headers={"Host": host}).status == status


@pytest.mark.parametrize("fields,status", [
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "http://127.0.0.1:{port}"}, 200),
    ({"Origin": "http://localhost:{port}", "Host": "localhost:{port}"}, 200),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({}, 200),
])
def test_cross_site_changes(shared, fields, status):
    shared.deploy("counter.py", COUNTER)
    before = shared.get("/objects/counter").json()["n"]
    fields = {k: v.format(port=shared.port) for k, v in fields.items()}
    reply = shared.post("/objects/counter", b"", headers=fields)
    assert reply.status == status, reply
    assert shared.get("/objects/counter").json()["n"] == before + (status == 200)
    if status == 403:
        reply.json()
        assert shared.request("DELETE", "/objects/counter", headers=fields).status == 403


@pytest.mark.parametrize("station", [{"config": {"security": {"management": "off"}}}], indirect=True)
def test_management_off(station):
    station.deploy("hello.py", HELLO)
    assert station.get("/objects/hello").status == 200
    for path in ("/objects/hello?source=true", "/objects/hello?state=true", "/objects/hello?logs=true",
                 "/status"):
        reply = station.get(path)
        assert reply.status in (403, 404) and reply.json()["status"] == "error", path


@pytest.mark.parametrize("station", [{"config": {"security": {"management": "token"}}}], indirect=True)
def test_management_token(station):
    path = station.data / "admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert len(token) >= 32
    station.put("hello.py", HELLO)
    wait_until(lambda: station.get("/objects/hello").status == 200)
    for query in ("?source=true", "?state=true", "?logs=true"):
        assert station.get("/objects/hello" + query).status in (401, 403)
        for wrong in ("Bearer x", "Bearer " + token[:-1], "Basic " + token, "Bearer " + token + "x",
                      "Bearer"):
            assert station.get("/objects/hello" + query,
                               headers={"Authorization": wrong}).status in (401, 403)
        assert station.get("/objects/hello" + query,
                           headers={"Authorization": "Bearer " + token}).status == 200
    assert station.get("/status").status in (401, 403)
    assert station.get("/status", headers={"Authorization": "Bearer " + token}).status == 200


def test_debug_headers(new_station):
    station = new_station(config={"http": {"debug_headers": True}}, arguments=["--station", "st1"]).start()
    station.deploy("counter.py", COUNTER)
    reply = station.post("/objects/counter")
    assert reply.headers["x-station"] == "st1" and reply.headers["x-object-version"]
    for name in ("queue", "turn", "commit"):
        assert name in reply.headers["server-timing"]
    plain = new_station().start()
    plain.deploy("hello.py", HELLO)
    fields = plain.get("/objects/hello").headers
    assert "x-station" not in fields and "server-timing" not in fields


def test_many_clients_come_and_go(shared):
    """Half of them leave in the middle of what they say or hear."""
    shared.deploy("size.py", SIZE)

    def work(index):
        for n in range(scaled(20, 5)):
            with Client(shared.port) as client:
                assert client.post("/objects/size", b"z" * (n * 5000)).status == 200
            with shared.connect() as s:
                s.sendall(b"POST /objects/size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000"
                          b"\r\n\r\n" + b"z" * (5000 * index))
            with shared.connect() as s:
                s.sendall(b"GET /objects/size?size=1600000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                s.recv(100)

    in_parallel(8, work)
    assert shared.post("/objects/size", b"abc").json()["size"] == 3
