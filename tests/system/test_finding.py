# SPDX-License-Identifier: Apache-2.0
"""Finding objects: the list in pages, and what a 404 says about an id that does not exist."""

import random

import pytest
from station import wait_until

SOURCE = "def GET(request):\n    return 1\n"
NAMES = ["hello.py", "basics/counter.py", "basics/counter_image.py", "tutorial/03_counter.py",
         "Mixed/Case.py", "deep/er/est.py", "zebra.py"]


@pytest.fixture(scope="module")
def ids(module_station):
    for name in NAMES:
        module_station.put(name, SOURCE)
    expected = sorted(name[:-3].replace("/", "_") for name in NAMES)
    wait_until(lambda: module_station.object_ids() == expected, what="objects are not listed")
    return expected


def missing(station, target, method="GET"):
    reply = station.request(method, "/objects/" + target)
    assert reply.status == 404, reply
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    return reply.json()


# --- 404 ---

@pytest.mark.parametrize("asked,meant", [
    ("helo", "hello"), ("hllo", "hello"), ("ehllo", "hello"), ("hellp", "hello"),
    ("HELLO", "hello"), ("hello.py", "hello"), ("Hello.PY", "hello"),
    ("basics_countre", "basics_counter"), ("basicscounter", "basics_counter"),
    ("counter", "basics_counter"), ("03_counter", "tutorial_03_counter"),
    ("objects_hello", "hello"), ("mixed_case", "Mixed_Case"),
    ("basics/counter", "basics_counter"), ("basics/counter.py", "basics_counter"),
    ("deep/er/est", "deep_er_est"), ("basics_counter.py", "basics_counter"),
])
def test_similar_names(shared, ids, asked, meant):
    body = missing(shared, asked)
    assert body["similar"][0] == meant, body
    assert f"did you mean {meant}" in body["error"]


@pytest.mark.parametrize("asked", ["nothing_like_it_anywhere", "x", "qqq", "a" * 200,
                                   "shelf", "jelly", "zero", "cobras"])
def test_nothing_similar(shared, ids, asked):
    body = missing(shared, asked)
    assert body["similar"] == [] and "did you mean" not in body["error"]


def test_says_where_the_file_was_looked_for(shared, ids):
    folder = str(shared.objects)
    body = missing(shared, "nobody")
    assert body["looked_for"] == [f"{folder}/nobody.py"]
    assert f"there is no nobody.py in {folder}" in body["error"]
    body = missing(shared, "no_body_here")
    assert body["looked_for"] == [f"{folder}/no_body_here.py", f"{folder}/no/body_here.py"]
    assert "no_body_here.py or no/body_here.py" in body["error"]
    assert missing(shared, "gone.py")["looked_for"] == [f"{folder}/gone.py"]
    assert missing(shared, "trailing_")["looked_for"] == [f"{folder}/trailing_.py"]
    body = missing(shared, "_helper")
    assert body["looked_for"] == [f"{folder}/_helper.py"] and "begin with _" in body["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_every_method(shared, ids, method):
    assert shared.request(method, "/objects/helo").status == 404


def test_a_view_of_nothing(shared, ids):
    for query in ("source", "state", "logs", "versions", "metadata", "status", "test", "files"):
        assert missing(shared, f"helo?{query}=true")["similar"] == ["hello"]


def test_removed_objects_are_not_offered(station):
    station.deploy("hello.py", SOURCE)
    (station.objects / "hello.py").unlink()
    wait_until(lambda: station.object_ids() == [], what="it is still listed")
    assert missing(station, "hello")["similar"] == []
    assert missing(station, "helo")["similar"] == []
    assert missing(station, "hello")["looked_for"] == [f"{station.objects}/hello.py"]


def test_five_names_at_most(station):
    for n in range(9):
        station.put(f"name{n}.py", SOURCE)
    wait_until(lambda: len(station.object_ids()) == 9, what="not listed")
    assert len(missing(station, "name")["similar"]) == 5


def test_an_object_without_handlers_says_so(shared, ids):
    object_id = shared.deploy("helper.py", "def helper():\n    pass\n")
    reply = shared.get("/objects/" + object_id)
    assert reply.status == 405 and reply.headers["allow"] == "OPTIONS"
    assert reply.json()["error"] == ("object helper has no handlers: define GET(request) or another "
                                     "HTTP method")
    (shared.objects / "helper.py").unlink()
    wait_until(lambda: object_id not in shared.object_ids(), what="it is still listed")


@pytest.mark.parametrize("path,meant", [
    ("/hello", "hello"), ("/hello/", "hello"), ("/hello/and/more?x=1", "hello"),
    ("/basics_counter", "basics_counter"), ("/basics/counter", "basics_counter"),
])
def test_the_prefix_was_forgotten(shared, ids, path, meant):
    for method in ("GET", "POST"):
        reply = shared.request(method, path)
        assert reply.status == 404
        assert reply.json()["error"] == f"no such route; did you mean /objects/{meant}?"


@pytest.mark.parametrize("path", ["/helo", "/x", "//hello", "/basics", "/" + "a" * 500])
def test_no_such_route(shared, ids, path):
    reply = shared.get(path)
    assert reply.status == 404 and reply.json()["error"] == "no such route"


# --- the list ---

def page(station, query=""):
    reply = station.get("/objects" + query)
    assert reply.status == 200, reply
    body = reply.json()
    assert body["status"] == "ok" and body["count"] == len(body["objects"])
    return [o["object_id"] for o in body["objects"]]


def test_sorted_with_path_and_file(shared, ids):
    listed = shared.get("/objects").json()["objects"]
    assert [o["object_id"] for o in listed] == ids
    assert {"object_id": "basics_counter", "path": "/objects/basics_counter",
            "file": "basics/counter.py"}.items() <= listed[ids.index("basics_counter")].items()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100000])
def test_pages_show_each_once(shared, ids, limit):
    seen, after = [], ""
    while True:
        got = page(shared, f"?limit={limit}" + (f"&after={after}" if after else ""))
        assert len(got) <= limit
        if not got:
            break
        seen += got
        after = got[-1]
    assert seen == ids


def test_after_need_not_exist(shared, ids):
    assert page(shared, "?after=basics_counter_") == [i for i in ids if i > "basics_counter_"]
    assert page(shared, "?after=zzz") == []
    assert page(shared, "?after=") == ids
    assert page(shared, "?unknown=1&limit=1") == ids[:1]


@pytest.mark.parametrize("query,names", [
    ("limit=0", "limit"), ("limit=-1", "limit"), ("limit=abc", "limit"), ("limit=", "limit"),
    ("limit=1.5", "limit"), ("limit=100001", "limit"), ("limit=1e3", "limit"),
    ("limit=99999999999999999999999", "limit"), ("limit=%31%00", "limit"), ("limit", "limit"),
    ("limit=1&limit=2", "limit"), ("limit=1&limit=1", "limit"),
    ("after=a&after=b", "after"), ("after=a%2fb", "after"), ("after=%00", "after"),
    ("after=" + "a" * 201, "after"), ("after=%ff", "after"), ("after=a%20b", "after"),
    ("limit=+5", "limit"), ("limit=%205", "limit"),
])
def test_bad_parameters(shared, ids, query, names):
    reply = shared.get("/objects?" + query)
    assert reply.status == 400 and names in reply.json()["error"], reply


def test_a_long_list_comes_in_pieces(station):
    names = sorted(f"o{n:05d}" for n in range(3456))
    for name in names:
        station.put(f"{name}.py", SOURCE)
    wait_until(lambda: len(station.object_ids()) == len(names), 60, what="not listed")
    assert station.object_ids() == names
    assert page(station, "?after=o00455") == names[456:]
    for limit in (999, 1000, 1001, 2000, 3000, 3455, 3456, 3457):
        assert page(station, f"?limit={limit}") == names[:limit]
    with station.client() as client:
        assert client.request("HEAD", "/objects").status == 200
    answer = station.raw(b"GET /objects HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert answer.endswith(b'],"count":3456}')
    with station.connect() as s:  # a reader that goes away
        s.sendall(b"GET /objects HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert s.recv(100)
    assert len(page(station)) == len(names)


def test_many_objects_added_out_of_order(station):
    names = [f"o{n:04d}" for n in range(600)]
    random.Random(1).shuffle(names)
    for name in names[:500]:
        station.put(f"{name}.py", SOURCE)
    wait_until(lambda: len(station.object_ids()) == 500, what="not listed")
    for name in names[500:]:
        station.deploy(f"{name}.py", SOURCE)
    assert station.object_ids() == sorted(names)
    assert page(station, "?limit=3&after=o0300") == ["o0301", "o0302", "o0303"]
    (station.objects / "o0302.py").unlink()
    wait_until(lambda: "o0302" not in station.object_ids(), what="still listed")
    assert page(station, "?limit=3&after=o0300") == ["o0301", "o0303", "o0304"]
    assert missing(station, "o03000")["similar"][0] == "o0300"
    assert len(missing(station, "o030")["similar"]) == 5
