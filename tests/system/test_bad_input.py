# SPDX-License-Identifier: Apache-2.0
"""Every parameter of every route with what it must not be, and objects that are not well.

The tables say what is asked and what the answer must be; what holds of every refusal (JSON, a status
of 4xx, the culprit named, nothing changed) stands in expect_refusal().
"""

import json
import os
import urllib.parse

import pytest
from station import wait_until

COUNTER = ("def GET(request):\n    return {'n': _state_manager.get('n', 0), 'query': dict(request)}\n"
           "def PUT(request):\n    _logger.info('counted', by='one')\n"
           "    return _state_manager.increment('n')\n"
           "def POST(request):\n    return dict(request)\n")
BROKEN = "def GET(request):\n    return 1\n\nthis is no Python\n"
CRASHING = "import os\ndef GET(request):\n    os._exit(3)\n"
EMPTY = "VALUE = 1\n"

HUGE = "99999999999999999999999"
NO_NUMBERS = ["x", "1.5", "1e3", "0x10", "+1", " 1", "1 ", "-1", "1\0", "\0", "1\n", "\u0661", "1;2",
              "9" * 400, HUGE]


@pytest.fixture(scope="module")
def populated(module_station):
    """One station for all tests of this file: objects that are well, and some that are not."""
    sources = {"good": COUNTER, "broken": BROKEN, "crashing": CRASHING, "empty": EMPTY}
    for name, source in sources.items():
        module_station.put(f"{name}.py", source)
    wait_until(lambda: set(sources) <= set(module_station.object_ids()))
    for i in range(3):
        assert module_station.request("PUT", "/objects/good").json() == i + 1
    assert module_station.get("/objects/crashing").status == 502
    for name in ("good", "crashing"):
        wait_until(lambda: module_station.get(f"/objects/{name}?version=1").status == 200)


@pytest.fixture
def objects(shared, populated):
    shared.allow("broken.py does not load", "crash", "died")
    return shared


def quoted(value):
    return urllib.parse.quote(value, safe="")


def on_disk(station):
    """All that a refusal must not change; logs and the journal may grow, and state is written to its
    file when the station has time."""
    roots = [station.objects, station.data / "versions", station.data / "files"]
    files = sorted((str(p), p.stat().st_size if p.is_file() else -1)
                   for root in roots if root.exists() for p in root.rglob("*"))
    return files, station.state("good")


def expect_refusal(reply, status, *words):
    assert reply.status == status, reply
    assert reply.headers["content-type"].startswith("application/json"), reply
    answer = reply.json()
    assert answer["status"] == "error" and answer["error"], answer
    for word in words:
        assert word in answer["error"], answer
    assert reply.headers.get("x-request-id")


# --- numbers and words in query parameters ---

NUMBERS = [  # where, which parameter, what else it must not be
    ("/objects?", "limit", ["0", "100001"]),
    ("/objects/good?logs=true&", "limit", ["0"]),
    ("/objects/good?logs=true&", "offset", []),
    ("/objects/good?versions=true&", "limit", ["0", "10001"]),
    ("/objects/good?versions=true&", "offset", []),
    ("/objects/good?versions=true&", "after", ["0"]),
]


@pytest.mark.parametrize("where,name,others", NUMBERS, ids=[f"{w}{n}" for w, n, _ in NUMBERS])
def test_numbers(objects, where, name, others):
    before = on_disk(objects)
    with objects.client() as client:
        for value in NO_NUMBERS + others:
            expect_refusal(client.get(f"{where}{name}={quoted(value)}"), 400, name)
        expect_refusal(client.get(f"{where}{name}=%FF"), 400, name)
        expect_refusal(client.get(f"{where}{name}=1&{name}=2"), 400, name)
        assert client.get(f"{where}{name}=1").status == 200
        assert client.get(f"{where}{name}=001").status in (200, 400)
    assert on_disk(objects) == before


WORDS = [
    ("/objects?", "after", ["a b", "a/b", "\u00e4", "a\0", "x" * 300]),
    ("/objects/good?logs=true&", "level", ["LOUD", "INFO,LOUD", ",", "INFO\0", "1"]),
    ("/objects/good?logs=true&", "since", ["yesterday", "-1", "2026-13-01T00:00:00Z", "1\0", HUGE]),
    ("/objects/good?logs=true&", "until", ["tomorrow", "-1", "2026-02-30T25:00:00Z", "1\0", HUGE]),
    ("/objects/good?logs=true&", "follow", ["maybe", "2", "true\0"]),
]


@pytest.mark.parametrize("where,name,values", WORDS, ids=[f"{w}{n}" for w, n, _ in WORDS])
def test_words(objects, where, name, values):
    with objects.client() as client:
        for value in values:
            expect_refusal(client.get(f"{where}{name}={quoted(value)}"), 400, name)
        expect_refusal(client.get(f"{where}{name}=&{name}="), 400, name)


def test_log_fields(objects):
    """Any other parameter compares a field; as many as a query may hold, each once."""
    with objects.client() as client:
        assert client.get("/objects/good?logs=true&by=one").json()["count"] == 3
        assert client.get("/objects/good?logs=true&by=two&none=%00").json()["count"] == 0
        expect_refusal(client.get("/objects/good?logs=true&by=one&by=two"), 400, "by")
        expect_refusal(client.get("/objects/good?logs=true&=one"), 400, "name")
        many = "&".join(f"f{i}=1" for i in range(200))
        expect_refusal(client.get(f"/objects/good?logs=true&{many}"), 400, "fields")


@pytest.mark.parametrize("value,status", [("x", 400), ("", 400), ("-1", 400), ("1.5", 400),
                                          ("1 ", 400), ("1\0", 400), ("+1", 400), ("0", 404),
                                          ("3000", 404), (HUGE, 404), ("9" * 400, 404)])
def test_version_numbers(objects, value, status):
    expect_refusal(objects.get(f"/objects/good?version={quoted(value)}"), status, "version")


def test_repeated_version(objects):
    expect_refusal(objects.get("/objects/good?version=1&version=2"), 400, "version")


def test_state_keys(objects):
    with objects.client() as client:
        assert client.get("/objects/good?state=true&key=n").json()["value"] == 3
        for key in ("", "m", "n\0", "n\0m", "\0", "n ", "n\t", "x" * 5000):
            expect_refusal(client.get(f"/objects/good?state=true&key={quoted(key)}"), 404, "key")
        expect_refusal(client.get("/objects/good?state=true&key=%FF"), 404, "key")
        expect_refusal(client.get("/objects/good?state=true&key=n&key=m"), 400, "key")


def test_keys_with_any_character(station):
    """What a key may hold can be asked for, NUL included."""
    station.deploy("keys.py", "def PUT(request):\n    for k in ('a\\0b', 'a', '\\t', '\u00e4 &='):\n"
                              "        _state_manager.set(k, [k])\n    return 1\n")
    assert station.request("PUT", "/objects/keys").status == 200
    for key in ("a\0b", "a", "\t", "\u00e4 &="):
        assert station.get(f"/objects/keys?state=true&key={quoted(key)}").json()["value"] == [key]


@pytest.mark.parametrize("query", [
    "state=1", "state=TRUE", "state=", "state", "state=true%00", "state=false", "source=yes",
    "logs=1", "versions=all", "metadata=2", "status=1", "test=1", "files=1", "STATE=true"])
def test_other_values_are_the_objects_own(objects, query):
    """Query parameters are reserved with the values of the table only."""
    reply = objects.get(f"/objects/good?{query}")
    assert reply.status == 200 and reply.json()["n"] == 3, reply
    assert query.split("=")[0] in reply.json()["query"]


def test_malformed_queries(objects):
    with objects.client() as client:
        for query in ("&&&", "=", "==&=", "%", "%zz", "a=%4", "&".join(["a=b"] * 1000), "a" * 7000):
            assert client.get(f"/objects/good?{query}").status == 200, query
            assert client.get(f"/objects?{query}").status == 200, query
            assert client.get(f"/health?{query}").status == 200, query


# --- methods and routes ---

STATION_ROUTES = ["/", "/health", "/ready", "/metrics", "/objects", "/status"]


@pytest.mark.parametrize("path", STATION_ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods_of_the_station(objects, path, method):
    reply = objects.request(method, path, body="{}")
    expect_refusal(reply, 405)
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize("path", ["/nothing", "/health/x", "/objects/../status", "//health", "/Health",
                                  "/metrics/", "/objectsx", "/%00", "/status%2f"])
def test_unknown_routes(objects, path):
    reply = objects.request("GET", path)
    assert reply.status in (400, 404), reply
    assert reply.json()["status"] == "error"


# --- bodies: sources and rollbacks ---

BAD_SOURCES = [  # body, status, words of the error
    (b"", 400, ["JSON object"]),
    (b"{", 400, ["JSON object"]),
    (b"[]", 400, ["JSON object"]),
    (b'"x = 1"', 400, ["JSON object"]),
    (b"null", 400, ["JSON object"]),
    (b"{}", 400, ["code"]),
    (b'{"code": null}', 400, ["code"]),
    (b'{"code": 1}', 400, ["code"]),
    (b'{"code": ["x = 1"]}', 400, ["code"]),
    (b'{"code": "x = 1", "code": "x = 2"}', 400, ["JSON object"]),
    (b'{"code": "x = 1", "author": 1}', 400, ["author"]),
    (b'{"code": "x = 1", "author": "a\\u0000b"}', 400, ["author"]),
    (b'{"code": "x = 1", "message": {}}', 400, ["message"]),
    (b'{"code": "x = 1", "message": "' + b"m" * 100000 + b'"}', 413, ["message"]),
    (b'{"code": "\xff"}', 400, ["JSON object"]),
    (b'{"code": "\\ud800"}', 400, ["JSON object"]),
    (b'{"code": "x = 1\\u0000"}', 422, ["does not load"]),
    (b'{"code": "def f(:"}', 422, ["does not load"]),
    (b'{"code": "1/0"}', 422, ["does not load"]),
    (b'{"code": "' + b"#" * (1 << 20) + b'#"}', 413, ["source_max"]),
    (b"[" * 100000, 400, ["JSON object"]),
]


@pytest.mark.parametrize("which", ["good", "new_one"])
@pytest.mark.parametrize("body,status,words", BAD_SOURCES,
                         ids=[str(i) for i in range(len(BAD_SOURCES))])
def test_sources(objects, which, body, status, words):
    """A source that cannot be is refused; what serves goes on, and no file appears."""
    objects.allow("good.py does not load", "new_one.py does not load")
    before = (objects.objects / f"{which}.py").exists(), sorted(os.listdir(objects.objects))
    reply = objects.request("PUT", f"/objects/{which}?source=true", body=body,
                            headers={"Content-Type": "application/json"})
    expect_refusal(reply, status, *words)
    assert ((objects.objects / f"{which}.py").exists(), sorted(os.listdir(objects.objects))) == before
    assert objects.get("/objects/good").json()["n"] == 3
    if which == "new_one":
        assert objects.get("/objects/new_one").status == 404


BAD_ROLLBACKS = [
    ({"version_id": 99}, 404), ({"version_id": 0}, None), ({"version_id": -1}, None),
    ({"version_id": "1"}, None), ({"version_id": "x"}, 400), ({"version_id": 1.5}, 400),
    ({"version_id": None}, 400), ({"version_id": True}, 400), ({"version_id": [1]}, 400),
    ({"version_id": 10 ** 30}, None), ({}, 400), ({"version_id": 1, "author": 7}, 400),
    ({"version_id": 1, "message": []}, 400),
]


@pytest.mark.parametrize("body,status", BAD_ROLLBACKS, ids=[json.dumps(b) for b, _ in BAD_ROLLBACKS])
def test_rollbacks(objects, body, status):
    """To what never was, or what is no version: nothing is deployed."""
    versions = objects.get("/objects/good?versions=true").json()["versions"]
    reply = objects.post("/objects/good", {"action": "rollback", **body})
    assert reply.status in ((status,) if status else (400, 404)), reply
    expect_refusal(reply, reply.status)
    assert objects.get("/objects/good?versions=true").json()["versions"] == versions


@pytest.mark.parametrize("body", [{"action": "rollback", "version_id": 1, "other": 1},
                                  {"action": 7}, {"action": "fly"}, {"action": None}])
def test_other_actions_are_the_objects_own(objects, body):
    reply = objects.post("/objects/good", body)
    assert reply.status == 200 and reply.json() == body, reply


# --- files ---

BAD_NAMES = ["", ".", "..", "../good.py", "/etc/passwd", "a/b", "a\0b", "\0", "a\nb", "\x7f",
             "x" * 256, "x" * 4096]


def test_file_names(objects):
    """Of a file to be fetched or removed; nothing outside the folder of files is touched."""
    before = on_disk(objects)
    with objects.client() as client:
        for method in ("GET", "DELETE"):
            for name in BAD_NAMES:
                reply = client.request(method, f"/objects/good?file={quoted(name)}")
                expect_refusal(reply, 400, "name")
            expect_refusal(client.request(method, "/objects/good?file=%FF"), 400, "name")
            expect_refusal(client.request(method, "/objects/good?file=a&file=b"), 400, "file")
            expect_refusal(client.request(method, "/objects/good?file=none"), 404, "none")
    assert on_disk(objects) == before


BOUNDARY = "edge"


def part(disposition, content=b"content", more=b""):
    return (b"--edge\r\nContent-Disposition: form-data" + disposition + b"\r\n" + more + b"\r\n"
            + content + b"\r\n")


def upload(station, body, content_type="multipart/form-data; boundary=edge"):
    return station.post("/objects/good", body, headers={"Content-Type": content_type})


END = b"--edge--\r\n"
ONE_FILE = part(b'; name="f"; filename="fine.txt"')
BAD_UPLOADS = {  # what is sent, and the status
    "no boundary": (ONE_FILE + END, 400, "multipart/form-data"),
    "other boundary": (ONE_FILE + END, 400, "multipart/form-data; boundary=other"),
    "no end": (ONE_FILE, 400, None),
    "cut in a field": (b"--edge\r\nContent-Dispo", 400, None),
    "no disposition": (b"--edge\r\n\r\ncontent\r\n" + END, 400, None),
    "long field": (part(b'; name="f"; filename="a"', more=b"X: " + b"y" * 100000 + b"\r\n") + END,
                   400, None),
    "many parts": (b"".join(part(b'; name="f"; filename="%d"' % n) for n in range(1000)) + END, 400,
                   None),
    "name of 4 KiB": (part(b'; name="f"; filename="' + b"n" * 4096 + b'"') + END, 400, None),
    "name with NUL": (part(b'; name="f"; filename="a\0b"') + END, 400, None),
    "name is dots": (part(b'; name="f"; filename=".."') + END, 400, None),
    "good, then bad": (ONE_FILE + part(b'; name="f"; filename=".."') + END, 400, None),
    "name of other bytes": (part(b'; name="f"; filename="\xff\xfe"') + END, 400, None),
}


@pytest.mark.parametrize("name", BAD_UPLOADS)
def test_uploads(objects, name):
    """All of an upload is stored, or nothing."""
    body, status, content_type = BAD_UPLOADS[name]
    before = on_disk(objects)
    reply = upload(objects, body, *([content_type] if content_type else []))
    expect_refusal(reply, status)
    assert objects.get("/objects/good?files=true").json()["files"] == []
    wait_until(lambda: on_disk(objects) == before)


def test_upload_cut_off(objects):
    before = on_disk(objects)
    for sent in range(0, len(ONE_FILE), 7):
        with objects.connect() as s:
            s.sendall(b"POST /objects/good HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n"
                      b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n" + ONE_FILE[:sent])
    assert objects.get("/objects/good?files=true").json()["files"] == []
    wait_until(lambda: on_disk(objects) == before, what=lambda: (on_disk(objects), before))


# --- objects that are not well ---

VIEWS = ["", "?state=true", "?logs=true", "?metadata=true", "?source=true", "?code=true",
         "?versions=true", "?version=1", "?status=true", "?test=true"]
BAD_IDS = ["..", "%2e%2e", "a%2fb", "a%00b", "%ff", "a%20b", "\u00e4", "x" * 4096, "x" * 201, "@", "a@",
           "good@other", "good@" + "s" * 300]


@pytest.mark.parametrize("view", VIEWS)
def test_object_that_does_not_exist(objects, view):
    for method in ("GET", "POST", "PUT", "DELETE"):
        if method == "PUT" and "source" in view:
            continue  # that creates it
        expect_refusal(objects.request(method, f"/objects/godo{view}"), 404)
    answer = objects.get(f"/objects/godo{view}")
    assert "good" in answer.text and "godo" in answer.json()["error"]


@pytest.mark.parametrize("name", BAD_IDS, ids=[str(i) for i in range(len(BAD_IDS))])
def test_bad_ids(objects, name):
    before = on_disk(objects)
    for path in (f"/objects/{name}", f"/objects/{name}?state=true", f"/objects/{name}/x"):
        path = urllib.parse.quote(path, safe="/%?=@.")
        reply = objects.request("GET", path)
        assert 400 <= reply.status < 500 or reply.status == 503, reply
        assert reply.json()["status"] == "error"
    assert on_disk(objects) == before


@pytest.mark.parametrize("view", VIEWS)
def test_object_that_does_not_load(objects, view):
    """What can be shown of it is shown; a call says why it cannot run."""
    reply = objects.get(f"/objects/broken{view}")
    answer = reply.json()
    if view in ("?test=true", ""):
        assert reply.status in (422, 500, 503) and "does not load" in answer["error"], reply
    elif view == "?version=1":
        assert reply.status in (200, 404), reply
    else:
        assert reply.status == 200 and answer["object_id"] == "broken", reply
    if view in ("?metadata=true", "?status=true"):
        assert "SyntaxError" in reply.text


@pytest.mark.parametrize("view", VIEWS[1:])
def test_object_that_has_crashed(objects, view):
    reply = objects.get(f"/objects/crashing{view}")
    assert reply.status == 200 and reply.json()["object_id"] == "crashing", reply


@pytest.mark.parametrize("view", VIEWS[1:])
def test_object_without_handlers(objects, view):
    reply = objects.get(f"/objects/empty{view}")
    assert reply.status == 200 and reply.json()["object_id"] == "empty", reply


def test_call_without_handlers(objects):
    reply = objects.get("/objects/empty")
    expect_refusal(reply, 405)
    assert "allow" in reply.headers
