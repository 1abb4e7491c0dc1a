# SPDX-License-Identifier: Apache-2.0
"""Objects in the folder: found at start and by inotify, named, listed, replaced, gone; what the
management queries show of them."""

import itertools
import os
import re
import shutil
import threading

import pytest
from station import scaled, wait_until

numbers = itertools.count()
HELLO = 'def GET(request):\n    return {"message": "Hello, World!"}\n'


def says(value):
    return f"def GET(request):\n    return {{'value': {value!r}}}\n"


def value_of(station, object_id):
    reply = station.get(f"/objects/{object_id}")
    return reply.json().get("value") if reply.status == 200 else None


def wait_value(station, object_id, value):
    wait_until(lambda: value_of(station, object_id) == value, what=f"{object_id} is not {value}")


def wait_gone(station, object_id):
    wait_until(lambda: station.get(f"/objects/{object_id}").status == 404, what="still served")
    assert object_id not in station.object_ids()


# --- found at start ---


def test_objects_found_at_start(new_station):
    station = new_station()
    for name in ("hello.py", "basics/counter.py", "a/b/c/deep.py", "x-1.2.py", "Upper.py"):
        station.put(name, HELLO)
    for name in ("_private.py", "__init__.py", "basics/__init__.py", "notes.txt", "data.json",
                 "hello.pyc", "__pycache__/hello.py", "sp ace.py", "ümlaut.py"):
        station.put(name, HELLO)
    (station.objects / ".hidden.py").write_text(HELLO)
    (station.objects / ".git").mkdir()
    (station.objects / ".git" / "inside.py").write_text(HELLO)
    station.allow(r"is no object")
    station.start()
    assert station.logged("sp ace.py is no object") and station.logged("ümlaut.py is no object")
    ids = station.object_ids()
    assert ids == sorted(["hello", "basics_counter", "a_b_c_deep", "x-1.2", "Upper"])
    for object_id in ids:
        assert station.get(f"/objects/{object_id}").json() == {"message": "Hello, World!"}


def test_listing(station):
    for name in ("c.py", "a.py", "f/b.py"):
        station.deploy(name, HELLO)
    reply = station.get("/objects")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    answer = reply.json()
    assert answer["status"] == "ok" and answer["count"] == 3
    assert [o["object_id"] for o in answer["objects"]] == ["a", "c", "f_b"]
    entry = answer["objects"][2]
    assert entry["file"].endswith("f/b.py") and entry["path"] == "/objects/f_b"
    page = station.get("/objects?limit=2").json()
    assert [o["object_id"] for o in page["objects"]] == ["a", "c"]
    page = station.get("/objects?limit=2&after=c").json()
    assert [o["object_id"] for o in page["objects"]] == ["f_b"]
    assert station.get("/objects?limit=0").status in (200, 400)
    assert station.get("/objects?limit=x").status == 400


def test_unknown_object(station):
    for path in ("/objects/nothing", "/objects/nothing?state=true", "/objects/nothing?source=true",
                 "/objects/nothing?metadata=true", "/objects/nothing?logs=true"):
        reply = station.get(path)
        assert reply.status == 404, path
        assert reply.json()["status"] == "error" and "nothing" in reply.json()["error"]


def test_two_files_with_one_id(new_station):
    station = new_station()
    station.allow(r"a_b")
    station.put("a_b.py", says("underscore"))
    station.put("a/b.py", says("folder"))
    station.start()
    assert value_of(station, "a_b") == "folder"  # the first by path
    entries = [o for o in station.get("/objects").json()["objects"] if "conflict" in str(o)]
    assert any("a_b.py" in str(entry) for entry in entries), entries
    os.unlink(station.objects / "a/b.py")
    wait_value(station, "a_b", "underscore")


# --- found by inotify ---


def test_removed_and_back_while_a_call_runs(station):
    """The old worker's turn must not write over what the new one has written meanwhile."""
    source = ("import os, time\ndef GET(request):\n    n = _state_manager.get('n', 0)\n"
              "    open(request['begun'], 'w').close()\n"
              "    while not os.path.exists(request['until']):\n        time.sleep(0.005)\n"
              "    _state_manager.set('n', n + 1)\n"
              "def POST(request):\n    return _state_manager.increment('n')\n")
    station.deploy("back.py", source)
    assert station.post("/objects/back").json() == 1
    begun, until = station.folder / "begun", station.folder / "until"
    slow = []
    thread = threading.Thread(target=lambda: slow.append(
        station.get(f"/objects/back?begun={begun}&until={until}")))
    thread.start()
    wait_until(begun.exists)
    os.unlink(station.objects / "back.py")
    wait_until(lambda: "back" not in station.object_ids())
    station.deploy("back.py", source)
    assert station.post("/objects/back").json() == 2
    until.touch()
    thread.join()
    assert slow[0].status == 503 and "removed" in slow[0].json()["error"]
    assert station.post("/objects/back").json() == 3


def test_new_changed_removed(station):
    station.deploy("hello.py", says(1))
    assert value_of(station, "hello") == 1
    station.put("hello.py", says(2))
    wait_value(station, "hello", 2)
    (station.objects / "hello.py").write_text(says(3))  # in place
    wait_value(station, "hello", 3)
    os.unlink(station.objects / "hello.py")
    wait_gone(station, "hello")
    station.deploy("hello.py", says(4))
    assert value_of(station, "hello") == 4


def test_called_while_its_file_goes(station):
    """It is about to go: that its file cannot be read is logged by nobody."""
    station.deploy("hello.py", says(1))
    os.unlink(station.objects / "hello.py")
    reply = station.get("/objects/hello")
    assert reply.status in (404, 500, 503), reply
    wait_gone(station, "hello")


def test_renamed(station):
    station.deploy("old.py", says(1))
    assert value_of(station, "old") == 1
    os.rename(station.objects / "old.py", station.objects / "new.py")
    wait_value(station, "new", 1)
    wait_gone(station, "old")


@pytest.mark.parametrize("way", ["backup", "swap", "truncate"])
def test_editors_save(station, way):
    """The ways editors save: none of them makes the object unavailable or loses its state."""
    source = ("VALUE = {}\n"
              "def GET(request):\n    return {{'value': VALUE}}\n"
              "def POST(request):\n    _state_manager.set('k', 1)\n    return {{}}\n")
    station.deploy("hello.py", source.format(1))
    assert station.post("/objects/hello").status == 200
    path = station.objects / "hello.py"
    for n in range(2, 6):
        if way == "backup":  # vim: the old one is moved away, the new one written
            os.rename(path, station.objects / "hello.py~")
            path.write_text(source.format(n))
            os.unlink(station.objects / "hello.py~")
        elif way == "swap":
            station.put("hello.py", source.format(n))
        else:
            with open(path, "r+") as f:
                f.truncate(0)
                f.write(source.format(n))
        wait_value(station, "hello", n)
    assert station.state("hello") == {"k": 1}


def test_folders(station):
    station.deploy("one/two/three.py", says(1))
    assert value_of(station, "one_two_three") == 1
    os.rename(station.objects / "one", station.objects / "uno")
    wait_value(station, "uno_two_three", 1)
    wait_gone(station, "one_two_three")
    station.deploy("uno/two/four.py", says(4))  # still watched under its new name
    shutil.rmtree(station.objects / "uno")
    wait_gone(station, "uno_two_three")
    wait_gone(station, "uno_two_four")
    ready = station.folder / "ready"
    (ready / "x/y").mkdir(parents=True)
    (ready / "x/y/z.py").write_text(says(5))
    os.rename(ready, station.objects / "moved")  # comes in whole
    wait_value(station, "moved_x_y_z", 5)
    os.rename(station.objects / "moved", station.folder / "away")
    wait_gone(station, "moved_x_y_z")


def test_another_objects_folder(station):
    """The folder itself is removed and made again, then swapped by two renames."""
    station.allow("objects folder .* is (gone|another one now)")
    station.deploy("here.py", "def GET(request):\n    return 'here'\n")
    shutil.rmtree(station.objects)
    wait_until(lambda: station.object_ids() == [], what="here is still listed")
    station.objects.mkdir()
    station.deploy("again.py", "def GET(request):\n    return 'again'\n")
    assert station.get("/objects/again").text == "again"
    new = station.folder / "new"
    (new / "sub").mkdir(parents=True)
    (new / "swapped.py").write_text("def GET(request):\n    return 'swapped'\n")
    os.rename(station.objects, station.folder / "old")
    os.rename(new, station.objects)
    wait_until(lambda: station.object_ids() == ["swapped"], what="the swap was not seen")
    station.deploy("sub/later.py", "def GET(request):\n    return 'later'\n")


def test_many_at_once(station):
    """A burst, in new folders that appear while files are written into them."""
    count = scaled(600, 60)
    for n in range(count):
        folder = station.objects / f"d{n % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"o{n}.py").write_text(says(n))
    wait_until(lambda: len(station.object_ids()) == count, 30)
    for n in range(0, count, max(1, count // 10)):
        assert value_of(station, f"d{n % 20}_o{n}") == n
    station.allow("the objects folder .* is (gone|another one now)")  # seen if a look comes then
    shutil.rmtree(station.objects)
    station.objects.mkdir()
    wait_until(lambda: station.object_ids() == [], 30)


def test_state_outlives_the_file(station):
    source = ("def GET(request):\n    return {'n': _state_manager.get('n')}\n"
              "def POST(request):\n    return {'n': _state_manager.increment('n')}\n")
    station.deploy("kept.py", source)
    assert station.post("/objects/kept").json() == {"n": 1}
    os.unlink(station.objects / "kept.py")
    wait_gone(station, "kept")
    station.deploy("kept.py", source)
    assert station.get("/objects/kept").json() == {"n": 1}
    assert station.post("/objects/kept").json() == {"n": 2}


def test_state_outlives_a_change(station):
    source = "STEP = {}\ndef POST(request):\n    return {{'n': _state_manager.increment('n', STEP)}}\n"
    station.deploy("kept.py", source.format(1))
    assert station.post("/objects/kept").json() == {"n": 1}
    station.put("kept.py", source.format(10))
    wait_until(lambda: station.post("/objects/kept").json()["n"] > 10)


# --- files that do not load ---

BROKEN = {
    "syntax": ("def GET(request):\n    return {'value': \n", "SyntaxError"),
    "name": ("x = 1\ny = undefined_name\ndef GET(request): pass\n", "undefined_name"),
    "import": ("import no_such_module_at_all\ndef GET(request): pass\n", "no_such_module_at_all"),
    "raise": ("raise RuntimeError('not today')\n", "not today"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit"),
    "write": ("_state_manager.set('k', 1)\ndef GET(request): pass\n", "import"),
    "encoding": (b"def GET(request):\n    return '\xff\xfe'\n", "utf-8|UTF-8|codec|encod"),
    "nul": (b"def GET(request):\n    return 1\n\0\n", "null|NUL|SyntaxError|ValueError"),
}


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_broken_file_does_not_replace(shared, kind):
    source, complaint = BROKEN[kind]
    shared.allow(r"does not load|broken")
    object_id = shared.deploy(f"broken_later_{kind}.py", says("good"))
    assert value_of(shared, object_id) == "good"
    shared.put(f"{object_id}.py", source)

    def noticed():
        return rejected(shared, object_id, complaint)

    wait_until(noticed, what="the rejection is shown nowhere")
    assert value_of(shared, object_id) == "good"
    shared.put(f"{object_id}.py", says("better"))
    wait_value(shared, object_id, "better")


def rejected(station, object_id, complaint):
    shown = str(station.object_logs(object_id))
    shown += station.get(f"/objects/{object_id}?metadata=true").text
    return re.search(complaint, shown)


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_broken_file_from_the_start(shared, kind):
    source, complaint = BROKEN[kind]
    shared.allow(r"does not load|broken")
    object_id = shared.deploy(f"broken_first_{kind}.py", source)
    reply = shared.get(f"/objects/{object_id}")
    assert reply.status in (500, 503), reply
    assert reply.json()["status"] == "error"
    assert re.search(complaint, reply.text), reply
    shared.put(f"{object_id}.py", says("good"))
    wait_value(shared, object_id, "good")


def test_broken_file_names_the_line(station):
    station.allow(r"does not load|broken")
    station.deploy("broken.py", "x = 1\n\n\ndef GET(request:\n    pass\n")
    text = station.get("/objects/broken").text
    assert "broken.py" in text and "line 4" in text.replace('"line":4', "line 4"), text


@pytest.mark.parametrize("station", [{"config": {"limits": {"source_max": "64K"}}}], indirect=True)
def test_source_limit(station):
    station.allow("source_max")
    station.deploy("big.py", says(1))
    assert value_of(station, "big") == 1
    station.put("big.py", says(2) + "#" * 70000 + "\n")
    wait_until(lambda: rejected(station, "big", "source_max") or station.logged("source_max"))
    assert value_of(station, "big") == 1


def test_a_crashing_import_harms_nobody(station):
    station.allow(r"crash|died|exit|killed|does not load")
    station.deploy("good.py", says(1))
    station.deploy("crashes.py", "import os\nos._exit(9)\n")
    for _ in range(3):
        reply = station.get("/objects/crashes")
        assert reply.status in (500, 502, 503) and reply.json()["status"] == "error"
        assert value_of(station, "good") == 1


# --- methods and paths ---


def test_methods(station):
    source = "".join(f"def {m}(request):\n    return {{'method': request.method}}\n"
                     for m in ("GET", "POST", "PUT", "DELETE", "PATCH"))
    station.deploy("all.py", source)
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        assert station.request(method, "/objects/all").json() == {"method": method}
    station.deploy("one.py", HELLO)
    reply = station.post("/objects/one")
    assert reply.status == 405 and reply.json()["status"] == "error"
    assert {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in reply.headers["allow"].split(",")}
    assert "POST" not in reply.headers["allow"]


def test_head_and_options(station):
    station.deploy("one.py", HELLO)
    reply = station.request("HEAD", "/objects/one")
    whole = station.get("/objects/one")
    assert reply.status == 200 and reply.body == b""
    assert reply.headers["content-length"] == str(len(whole.body))
    assert reply.headers["content-type"] == whole.headers["content-type"]
    reply = station.request("OPTIONS", "/objects/one")
    assert reply.status in (200, 204)
    assert {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in reply.headers["allow"].split(",")}
    station.deploy("own.py", "def HEAD(request):\n    request.response.headers['X-Own'] = 'h'\n"
                             "    return None\n"
                             "def OPTIONS(request):\n    return {'own': 'o'}\n")
    assert station.request("HEAD", "/objects/own").headers["x-own"] == "h"
    assert station.request("OPTIONS", "/objects/own").json() == {"own": "o"}


def test_sub_path(station):
    station.deploy("f/sub.py", "def GET(request):\n"
                               "    return {'parts': request.path_parts, 'path': request.path}\n")
    assert station.get("/objects/f_sub").json()["parts"] == []
    answer = station.get("/objects/f_sub/a/b%20c/%C3%BC?x=1").json()
    assert answer["parts"] == ["a", "b c", "ü"]


# --- what the queries show ---


def test_source_query(station):
    source = HELLO + "# ünïcödé \t and a tab\n"
    station.deploy("hello.py", source)
    for query in ("source=true", "code=true"):
        answer = station.get(f"/objects/hello?{query}").json()
        assert answer == {"status": "ok", "object_id": "hello", "source": source}
    # other values belong to the object
    assert station.get("/objects/hello?source=1").json() == {"message": "Hello, World!"}


def test_metadata_query(station):
    station.deploy("plain.py", HELLO)
    answer = station.get("/objects/plain?metadata=true").json()
    assert answer["status"] == "ok" and answer["object_id"] == "plain"
    metadata = answer["metadata"]
    assert metadata["name"] == "plain" and metadata["version"] == "0.0.0"
    assert metadata["description"] == "" and metadata["author"] == "unknown"
    assert metadata["object_id"] == "plain" and "GET" in metadata["methods"]
    assert metadata["source_path"].endswith("plain.py")
    assert "state_keys" in metadata and "worker" in metadata
    station.deploy("rich.py", "__endpoint__ = {'name': 'Rich', 'version': '2.1.0', 'colour': 'red',"
                              " 'nested': {'a': [1, None, 'ü']}}\n" + HELLO)
    station.get("/objects/rich")
    station.worker_pid("rich")
    metadata = station.get("/objects/rich?metadata=true").json()["metadata"]
    assert metadata["name"] == "Rich" and metadata["version"] == "2.1.0"
    assert metadata["colour"] == "red" and metadata["nested"] == {"a": [1, None, "ü"]}
    worker = metadata["worker"]
    assert worker["pid"] in [p.pid for p in station.workers()]
    assert worker["generation"] >= 1 and worker["restarts"] == 0 and worker["turns"] >= 1
    assert worker["rss_bytes"] > 1000000


@pytest.mark.parametrize("endpoint, message", [
    ("{'timeout': 'soon'}", '__endpoint__["timeout"] is "soon": it must be a number of seconds'),
    ("{'workers': 3}", '__endpoint__["workers"] above 1 needs'),
    ("{'stateless': True, 'workers': 1000}", "from 1 to 64 (limits.workers_object_max)"),
    ("{'schedule': {'nobody': 5}}", "__endpoint__[\"schedule\"] names 'nobody'"),
    ("{'subscribe': {'event': 'nobody'}}", "__endpoint__[\"subscribe\"] names 'nobody'"),
    ("{'subscribe': {'event': 7}}", '__endpoint__["subscribe"] names 7'),
    ("{'limits': {'memory': 40}}", '__endpoint__["limits"]["memory"]: there is no such limit'),
    ("{'limits': {'memory_mb': -1}}", '__endpoint__["limits"]["memory_mb"] is -1'),
])
def test_a_wrong_endpoint_rejects_the_deploy(shared, endpoint, message):
    shared.allow(r"does not load")
    wrong = shared.deploy(f"wrong{next(numbers)}.py", f"__endpoint__ = {endpoint}\n" + HELLO)
    reply = shared.get(f"/objects/{wrong}")
    assert reply.status == 500 and message in reply.json()["error"], reply
    shared.put(f"{wrong}.py", "__endpoint__ = {'timeout': 5}\n" + HELLO)
    wait_until(lambda: "Hello" in shared.get(f"/objects/{wrong}").text)
    shared.put(f"{wrong}.py", f"__endpoint__ = {endpoint}\ndef GET(request):\n    return 'new'\n")
    wait_until(lambda: message in shared.get(
        f"/objects/{wrong}?metadata=true").json()["metadata"].get("load_error", ""))
    assert "Hello" in shared.get(f"/objects/{wrong}").text  # the old one serves on


def test_state_query(station):
    station.deploy("s.py", "def POST(request):\n    for k, v in request.json.items():\n"
                           "        _state_manager.set(k, v)\n    return {}\n")
    assert station.get("/objects/s?state=true").json() == {
        "status": "ok", "object_id": "s", "state": {}}
    values = {"a": 1, "b": [1, {"c": None}], "ü": "x\ty\n", "t": True, "f": 1.5}
    assert station.post("/objects/s", values).status == 200
    assert station.state("s") == values


def test_logs_query(station):
    station.deploy("l.py", "import time\n"
                           "def POST(request):\n"
                           "    for n in range(5):\n"
                           "        _logger.info(f'line {n}', n=n, who='me')\n"
                           "        time.sleep(0.001)\n"  # no two at the same time
                           "    _logger.error('bad thing', code=7)\n"
                           "    _logger.log('WARNING', 'careful')\n"
                           "    print('printed')\n"
                           "    import sys\n"
                           "    print('shouted', file=sys.stderr)\n"
                           "    return {}\n")
    assert station.post("/objects/l").status == 200

    def messages(query=""):
        return [e["message"] for e in station.object_logs("l", query)]

    wait_until(lambda: {"printed", "shouted"} <= set(messages()), what=messages)
    answer = station.get("/objects/l?logs=true").json()
    assert answer["status"] == "ok" and answer["count"] == len(answer["logs"])
    times = [e["timestamp"] for e in answer["logs"]]
    assert times == sorted(times)
    assert messages("&level=ERROR") == ["bad thing"]
    assert messages("&level=error,WARNING") == ["bad thing", "careful"]
    assert messages("&level=STDOUT") == ["printed"]
    assert messages("&level=STDERR") == ["shouted"]
    assert messages("&who=me") == [f"line {n}" for n in range(5)]
    assert messages("&who=me&n=3") == ["line 3"]
    reply = station.get("/objects/l?logs=true&who=me&limit=2").json()
    assert [e["message"] for e in reply["logs"]] == ["line 3", "line 4"]
    reply = station.get("/objects/l?logs=true&who=me&limit=2&offset=1").json()
    assert [e["message"] for e in reply["logs"]] == ["line 2", "line 3"]
    stamp = [e["timestamp"] for e in station.object_logs("l", "&who=me")][3]
    assert "line 3" in messages(f"&since={stamp}") and "line 2" not in messages(f"&since={stamp}")
    assert "line 3" not in messages(f"&until={stamp}") and "line 2" in messages(f"&until={stamp}")
    assert station.get("/objects/l?logs=true&limit=x").status == 400
    assert station.get("/objects/l?logs=true&level=NOSUCH").status == 400


def test_a_turn_leaves_a_line(station):
    station.deploy("hello.py", HELLO)
    reply = station.get("/objects/hello", headers={"X-Request-Id": "my-own-id"})
    assert reply.headers["x-request-id"] == "my-own-id"
    wait_until(lambda: any("my-own-id" in str(e) and e["level"] == "INFO"
                           for e in station.object_logs("hello")))


def test_objects_that_ship(new_station):
    """The example objects, served from a copy of the tree."""
    from station import REPOSITORY

    station = new_station()
    shutil.copytree(REPOSITORY / "objects", station.objects, dirs_exist_ok=True)
    station.start()
    assert {"hello", "tutorial_01_hello", "tutorial_02_hello_with_logging", "tutorial_03_counter",
            "basics_counter"} <= set(station.object_ids())
    for object_id in station.object_ids():
        # What an example answers in detail is for test_examples.py: some want a login or an argument.
        assert station.get(f"/objects/{object_id}").status < 500, object_id
