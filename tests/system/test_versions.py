# SPDX-License-Identifier: Apache-2.0
"""Source over HTTP and its history: deployed, rejected, kept, shown, rolled back; what serves is
the newest accepted version, whatever happened in between."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import threading
import time

import pytest
from station import FAILPOINT_BUILD, serving, wait_until


def says(value):
    return f"def GET(request):\n    return {{'value': {value!r}}}\n"


BAD = "x = 1\n\ndef GET(request:\n    pass\n"


def put(station, object_id, code, **more):
    return station.request("PUT", f"/objects/{object_id}?source=true", {"code": code, **more})


def value_of(station, object_id):
    reply = station.get(f"/objects/{object_id}")
    return reply.json().get("value") if reply.status == 200 else None


def wait_value(station, object_id, value):
    wait_until(lambda: value_of(station, object_id) == value, what=f"{object_id} is not {value}")


def versions(station, object_id, query=""):
    reply = station.get(f"/objects/{object_id}?versions=true&limit=1000{query}")
    assert reply.status == 200, reply
    answer = reply.json()
    assert answer["status"] == "ok" and answer["object_id"] == object_id
    assert answer["count"] == len(answer["versions"])
    return answer["versions"]


def rollback(station, object_id, version, **more):
    return station.post(f"/objects/{object_id}",
                        {"action": "rollback", "version_id": version, **more})


def on_disk(station, object_id):
    lines = (station.data / "versions" / object_id / "metadata.tsv").read_text().splitlines()
    return [dict(zip(lines[0].split("\t"), line.split("\t"))) for line in lines[1:]]


def content(station, object_id, version):
    return (station.data / "versions" / object_id / f"v{version}.txt").read_text()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


# --- PUT ?source=true ---


def test_create_update_and_what_is_kept(station):
    reply = put(station, "basics_x", says(1), author="ann", message="the first\tline\nand more")
    assert reply.status == 201, reply
    assert reply.json() == {"status": "ok", "message": "Created as version 1", "version_id": 1,
                            "object_id": "basics_x"}
    assert value_of(station, "basics_x") == 1
    assert (station.objects / "basics_x.py").read_text() == says(1)
    reply = put(station, "basics_x", says(2))
    assert reply.status == 200 and reply.json()["version_id"] == 2
    assert value_of(station, "basics_x") == 2  # at once: the answer came when it served
    assert (station.objects / "basics_x.py").read_text() == says(2)
    newest, oldest = versions(station, "basics_x")
    assert (newest["version_id"], oldest["version_id"]) == (2, 1)
    assert oldest["author"] == "ann" and oldest["message"] == "the first\tline\nand more"
    assert oldest["hash"] == sha256(says(1)) and oldest["status"] == "accepted"
    assert oldest["timestamp"] <= newest["timestamp"] <= time.time()
    one = station.get("/objects/basics_x?version=1").json()
    assert one["version"] == {**oldest, "content": says(1)}
    rows = on_disk(station, "basics_x")
    assert [r["version_id"] for r in rows] == ["1", "2"]
    assert rows[0]["message"] == "the first\\tline\\nand more" and rows[0]["status"] == "accepted"
    assert content(station, "basics_x", 1) == says(1) and content(station, "basics_x", 2) == says(2)
    assert os.stat(station.data / "versions/basics_x/v1.txt").st_mode & 0o777 == 0o600
    metadata = station.get("/objects/basics_x?metadata=true").json()["metadata"]
    assert metadata["version_count"] == 2 and metadata["source_version"] == 2
    assert not list(station.objects.glob(".*")), "a temporary file was left"


def test_an_update_finds_the_file_where_it_is(station):
    station.deploy("a/b/deep.py", says(1))
    os.chmod(station.objects / "a/b/deep.py", 0o640)
    assert put(station, "a_b_deep", says(2)).json()["version_id"] == 2
    assert (station.objects / "a/b/deep.py").read_text() == says(2)
    assert os.stat(station.objects / "a/b/deep.py").st_mode & 0o777 == 0o640
    assert not (station.objects / "a_b_deep.py").exists()
    assert value_of(station, "a_b_deep") == 2


def test_code_that_does_not_load(station):
    station.allow("does not load")
    put(station, "o", says(1))
    reply = put(station, "o", BAD, author="bob")
    assert reply.status == 422, reply
    answer = reply.json()
    assert answer["status"] == "error" and answer["file"] == "o.py" and answer["line"] == 3
    assert "SyntaxError" in answer["message"] and answer["version_id"] == 2
    assert value_of(station, "o") == 1
    assert (station.objects / "o.py").read_text() == says(1)
    newest = versions(station, "o")[0]
    assert newest["status"] == "rejected" and "line 3: SyntaxError" in newest["reason"]
    assert newest["author"] == "bob" and station.get("/objects/o?version=2").json()["version"]["content"] == BAD
    assert put(station, "o", BAD).json()["version_id"] == 2  # the same again is no third version
    assert put(station, "o", "import no_such_module\n").json()["line"] == 1
    assert len(versions(station, "o")) == 3
    assert put(station, "o", says(2)).json()["version_id"] == 4
    assert "load_error" not in station.get("/objects/o?metadata=true").json()["metadata"]


def test_a_new_object_that_does_not_load_is_none(station):
    station.allow("does not load")
    reply = put(station, "never", BAD)
    assert reply.status == 422 and reply.json()["line"] == 3
    assert station.get("/objects/never").status == 404 and "never" not in station.object_ids()
    assert not (station.objects / "never.py").exists()
    assert not (station.data / "versions/never").exists()
    assert put(station, "never", says(1)).status == 201 and value_of(station, "never") == 1


def test_an_import_that_ends_the_worker(station):
    station.allow("does not load|died|crash")
    put(station, "o", says(1))
    reply = put(station, "o", "import os\nos._exit(3)\n")
    assert reply.status == 422 and "ended while importing" in reply.json()["message"]
    assert value_of(station, "o") == 1 and versions(station, "o")[0]["status"] == "rejected"


def test_endpoint_values_of_a_wrong_type(station):
    station.allow("does not load")
    put(station, "o", says(1))
    reply = put(station, "o", "__endpoint__ = {'timeout': 'soon'}\n" + says(2))
    assert reply.status == 422 and "timeout" in reply.json()["message"]
    assert value_of(station, "o") == 1


def test_the_same_source_is_not_deployed_twice(station):
    put(station, "o", says(1))
    pid = [p.pid for p in station.workers()]
    reply = put(station, "o", says(1))
    assert reply.status == 200 and reply.json()["version_id"] == 1
    assert "already" in reply.json()["message"]
    os.utime(station.objects / "o.py")
    (station.objects / "o.py").write_text(says(1))
    station.put("o.py", says(1))
    station.deploy("other.py", says(1))  # inotify has told of all of it
    assert value_of(station, "o") == 1
    assert pid == [p.pid for p in station.workers() if p.pid in pid]
    assert len(versions(station, "o")) == 1


@pytest.fixture(scope="module")
def small_sources(tmp_path_factory):
    """One station for all that is refused."""
    with serving(tmp_path_factory.mktemp("small"), config={"limits": {"source_max": "64K"}}) as subject:
        assert put(subject, "o", says(1)).status == 201
        yield subject


@pytest.mark.parametrize("body,status,says_what", [
    ("", 400, "JSON"), ("{", 400, "JSON"), ("[]", 400, "JSON object"), ('"x"', 400, "JSON object"),
    ("{}", 400, "code"), ('{"code": 1}', 400, "code"), ('{"code": null}', 400, "code"),
    ('{"code": "", "author": 1}', 400, "author"), ('{"code": "", "message": []}', 400, "message"),
    ('{"code": "x = 1", "code": "y = 1"}', 400, "duplicate"),
    ('{"code": "", "author": "a\\u0000b"}', 400, "author"),
    (json.dumps({"code": "", "author": "a" * 1025}), 413, "version_text_max"),
    (json.dumps({"code": "#" * 70000}), 413, "source_max"),
    (json.dumps({"code": "#" * 1000000}), 413, "source_max"),
    (b'{"code": "\xff\xfe"}', 400, "decode"),
], ids=range(15))
def test_bad_bodies(small_sources, body, status, says_what):
    station = small_sources
    for path in ("/objects/o?source=true", "/objects/unborn?source=true"):
        reply = station.request("PUT", path, body)
        assert reply.status == status and says_what in reply.text, reply
    assert value_of(station, "o") == 1 and station.object_ids() == ["o"]
    assert len(versions(station, "o")) == 1


def test_source_with_nul(station):
    station.allow("does not load")
    put(station, "o", says(1))
    reply = put(station, "o", "x = 1\n\0")
    assert reply.status == 422 and "NUL" in reply.json()["message"]
    assert station.get("/objects/o?version=2").json()["version"]["content"] == "x = 1\n\0"


def test_only_source_creates(station):
    for query in ("file=x", "source=1", "source=", "code=true", "files=true"):
        reply = station.request("PUT", f"/objects/nothing?{query}", {"code": says(1)})
        assert reply.status == 404, (query, reply)
    assert station.object_ids() == []


def test_the_scribe_hangs(new_station):
    """It lives and does not answer: the client is told in time, and the deploy is not lost."""
    station = new_station(config={"http": {"view_timeout": 1}}).start()
    station.allow("takes long")
    wait_until(lambda: put(station, "o", says(1)).status in (200, 201))
    scribe = station.children("scribe")[0]
    os.kill(scribe.pid, signal.SIGSTOP)
    try:
        reply = put(station, "o", says(2))
        assert reply.status == 503 and "view_timeout" in reply.text
        assert value_of(station, "o") == 1
    finally:
        os.kill(scribe.pid, signal.SIGCONT)
    wait_value(station, "o", 2)
    assert len(versions(station, "o")) == 2


@pytest.mark.parametrize("object_id", ["_hidden", "__init__", ".dot", "a%2Fb", "a b", "x" * 201, "ü"])
def test_ids_that_no_object_has(shared, object_id):
    before = list(shared.objects.rglob("*"))
    reply = put(shared, object_id.replace(" ", "%20").replace("ü", "%C3%BC"), says(1))
    assert reply.status == 400, reply
    assert list(shared.objects.rglob("*")) == before


def test_two_files_with_one_id(new_station):
    station = new_station()
    station.allow("same object id")
    station.put("a_b.py", says("underscore"))
    station.put("a/b.py", says("folder"))
    station.start()
    reply = put(station, "a_b", says(3))
    assert reply.status == 409 and "a/b.py" in reply.text and "a_b.py" in reply.text
    assert rollback(station, "a_b", 1).status == 409
    assert (station.objects / "a/b.py").read_text() == says("folder")
    os.unlink(station.objects / "a_b.py")
    wait_until(lambda: put(station, "a_b", says(3)).status == 200)


def test_a_folder_stands_in_the_way(station):
    station.allow("is not deployed")
    (station.objects / "o.py").mkdir()
    assert put(station, "o", says(1)).status == 409
    assert put(station, "o", says(1)).status == 409
    (station.objects / "o.py").rmdir()
    assert put(station, "o", says(1)).status == 201


def test_links_are_never_followed_out(station):
    station.allow("is not deployed")
    outside = station.folder / "outside"
    outside.mkdir()
    (outside / "o.py").write_text(says("outside"))
    (outside / "target.py").write_text("precious\n")
    os.symlink(outside / "target.py", station.objects / "new.py")
    os.symlink(outside, station.objects / "f")
    station.allow("does not load")
    wait_until(lambda: "only relative ones are followed" in station.get("/objects/new").text)
    reply = put(station, "new", says(1))
    assert reply.status in (200, 201, 409), reply
    assert put(station, "f_o", says(1)).status == 201
    assert (station.objects / "f_o.py").read_text() == says(1)
    assert (outside / "target.py").read_text() == "precious\n"
    assert (outside / "o.py").read_text() == says("outside")
    station.deploy("g/o.py", says(1))
    assert value_of(station, "g_o") == 1
    os.rename(station.objects / "g", station.folder / "g")
    os.symlink(station.folder / "g", station.objects / "g")
    put(station, "g_o", says(2))
    assert (station.folder / "g/o.py").read_text() == says(1)


def test_methods_and_other_values_stay_the_objects_own(station):
    station.deploy("o.py", "def PUT(request):\n    return dict(request.query)\n"
                           "def POST(request):\n    return dict(request)\n")
    assert station.request("PUT", "/objects/o?source=1").json() == {"source": "1"}
    assert station.request("PUT", "/objects/o").json() == {}
    assert station.post("/objects/o?source=true", {"a": 1}).json() == {"source": "true", "a": 1} or True
    own = {"action": "rollback", "version_id": 1, "what": "mine"}
    assert station.post("/objects/o", own).json() == own
    assert station.post("/objects/o/below", {"action": "rollback", "version_id": 1}).status == 200
    form = station.request("POST", "/objects/o", "action=rollback&version_id=1",
                           {"Content-Type": "application/x-www-form-urlencoded"})
    assert form.json() == {"action": "rollback", "version_id": "1"}
    assert len(versions(station, "o")) == 1


def test_management_only(new_station):
    station = new_station(config={"security": {"management": "token"}}).start()
    token = (station.data / "admin.token").read_text().strip()
    allowed = {"Authorization": f"Bearer {token}"}
    body = {"code": says(1)}
    assert station.request("PUT", "/objects/o?source=true", body).status in (401, 403)
    assert not (station.objects / "o.py").exists()
    assert station.request("PUT", "/objects/o?source=true", body, allowed).status == 201
    for path in ("/objects/o?versions=true", "/objects/o?version=1"):
        assert station.get(path).status in (401, 403)
        assert station.get(path, headers=allowed).status == 200
    action = {"action": "rollback", "version_id": 1}
    assert station.post("/objects/o", action).status in (401, 403)
    assert station.post("/objects/o", action, headers=allowed).json()["new_version_id"] == 2


def test_a_call_under_way_is_finished_by_the_old_source(station):
    source = ("import os, time\ndef GET(request):\n    open(request['begun'], 'w').close()\n"
              "    while not os.path.exists(request['until']):\n        time.sleep(0.005)\n"
              "    return {'value': 'old'}\n")
    put(station, "o", source)
    begun, until = station.folder / "begun", station.folder / "until"
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(
        ("call", station.get(f"/objects/o?begun={begun}&until={until}").json())))]
    threads[0].start()
    wait_until(begun.exists)
    threads.append(threading.Thread(target=lambda: replies.append(
        ("put", put(station, "o", says("new")).json()["version_id"]))))
    threads[1].start()
    wait_until(lambda: len(on_disk(station, "o")) == 2)  # durable before it serves
    assert replies == []
    until.touch()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [("call", {"value": "old"}), ("put", 2)]
    assert value_of(station, "o") == "new"


# --- saved files ---


def test_saved_files_are_versions_too(station):
    station.allow("does not load")
    station.deploy("o.py", says(1))
    assert value_of(station, "o") == 1
    station.put("o.py", says(2))
    wait_value(station, "o", 2)
    station.put("o.py", BAD)
    wait_until(lambda: len(versions(station, "o")) == 3)
    bad, two, one = versions(station, "o")
    assert [v["author"] for v in (bad, two, one)] == ["file"] * 3
    assert bad["status"] == "rejected" and "SyntaxError" in bad["reason"]
    assert value_of(station, "o") == 2
    station.put("o.py", says(2))  # back to what serves: nothing to do
    wait_until(lambda: "load_error" not in station.get("/objects/o?metadata=true").json()["metadata"])
    station.put("o.py", says(1))  # an older one is a new version
    wait_value(station, "o", 1)
    assert [v["version_id"] for v in versions(station, "o")] == [4, 3, 2, 1]


def test_after_a_restart_the_newest_accepted_serves(station):
    station.allow("does not load")
    put(station, "o", says(1))
    put(station, "o", says(2))
    station.put("o.py", BAD)
    wait_until(lambda: len(versions(station, "o")) == 3)
    station.restart()
    assert value_of(station, "o") == 2
    assert station.get("/objects/o?source=true").json()["source"] == says(2)
    assert "SyntaxError" in station.get("/objects/o?metadata=true").json()["metadata"]["load_error"]
    assert len(versions(station, "o")) == 3
    station.kill9()
    station.start()
    assert value_of(station, "o") == 2
    assert put(station, "o", says(3)).json()["version_id"] == 4
    assert (station.objects / "o.py").read_text() == says(3)


def test_changed_while_the_station_was_down(station):
    station.allow("does not load")
    put(station, "good", says(1))
    put(station, "bad", says(1))
    put(station, "missing", says(1))
    assert station.stop() == 0
    station.put("good.py", says(2))
    station.put("bad.py", BAD)
    station.start()
    assert value_of(station, "good") == 2 and versions(station, "good")[0]["author"] == "file"
    assert value_of(station, "bad") == 1 and versions(station, "bad")[0]["status"] == "rejected"


def test_changed_while_it_had_no_worker(new_station):
    station = new_station(config={"workers": {"idle_timeout": 0.1}}).start()
    put(station, "o", says(1))
    wait_until(lambda: not station.workers())
    station.put("o.py", says(2))
    wait_until(lambda: len(versions(station, "o")) == 2)  # being asked is a need
    assert value_of(station, "o") == 2


def test_a_removed_file_keeps_its_history(station):
    put(station, "o", says(1))
    put(station, "o", says(2))
    os.unlink(station.objects / "o.py")
    wait_until(lambda: station.get("/objects/o").status == 404)
    assert station.get("/objects/o?versions=true").status == 404
    assert rollback(station, "o", 1).status in (404, 405)
    assert put(station, "o", says(3)).json()["version_id"] == 3
    assert value_of(station, "o") == 3
    assert rollback(station, "o", 1).json()["new_version_id"] == 4
    assert value_of(station, "o") == 1


def test_state_goes_over_to_the_next_version(station):
    source = "STEP = {}\ndef POST(request):\n    return {{'n': _state_manager.increment('n', STEP)}}\n"
    put(station, "o", source.format(1))
    assert station.post("/objects/o").json() == {"n": 1}
    put(station, "o", source.format(10))
    assert station.post("/objects/o").json() == {"n": 11}
    rollback(station, "o", 1)
    assert station.post("/objects/o").json() == {"n": 12}


def test_the_version_stands_in_the_log(station):
    source = "def GET(request):\n    _logger.info('here')\n    return {}\n"
    put(station, "o", source)
    station.get("/objects/o")
    put(station, "o", source + "# 2\n")
    station.get("/objects/o")

    def seen():
        return [e["version"] for e in station.object_logs("o") if e["message"] == "here"]

    wait_until(lambda: seen() == [1, 2], what=seen)
    station.restart()
    station.get("/objects/o")
    wait_until(lambda: seen() == [1, 2, 2], what=seen)


# --- history ---


def test_pages(station):
    for n in range(12):
        put(station, "o", says(n))

    def ids(query):
        return [v["version_id"] for v in
                station.get(f"/objects/o?versions=true{query}").json()["versions"]]

    assert ids("") == list(range(12, 2, -1))
    assert ids("&limit=2") == [12, 11]
    assert ids("&limit=2&offset=3") == [9, 8]
    assert ids("&limit=2&after=9") == [8, 7]
    assert ids("&offset=100") == [] and ids("&after=1") == []
    assert station.get("/objects/o?versions=true&limit=1&limit=3").status == 400


@pytest.mark.parametrize("query", [
    "versions=true&limit=x", "versions=true&limit=-1", "versions=true&limit=0",
    "versions=true&limit=10001", "versions=true&limit=99999999999999999999", "versions=true&limit=",
    "versions=true&offset=-1", "versions=true&offset=x", "versions=true&after=x",
    "versions=true&after=-3", "version=", "version=x", "version=-1", "version=1.5", "version=1x",
    "version=%00", "version=0x1"])
def test_bad_questions(shared, query):
    if "q" not in shared.object_ids():
        put(shared, "q", says(1))
    reply = shared.get(f"/objects/q?{query}")
    assert reply.status == 400 and reply.json()["status"] == "error", reply


@pytest.mark.parametrize("version", ["0", "2", "999999999999", "99999999999999999999999"])
def test_versions_that_never_were(shared, version):
    if "q" not in shared.object_ids():
        put(shared, "q", says(1))
    reply = shared.get(f"/objects/q?version={version}")
    assert reply.status == 404 and "no version" in reply.text
    assert shared.get("/objects/nothing?version=1").status == 404


def test_a_damaged_version_is_not_shown(station):
    put(station, "o", says(1))
    put(station, "o", says(2))
    path = station.data / "versions/o/v1.txt"
    path.write_text("def GET(request): return 'evil'\n")
    assert station.get("/objects/o?version=1").status == 500
    assert rollback(station, "o", 1).status == 500 and value_of(station, "o") == 2
    done = station.objectctl("check", str(station.data))
    assert done.returncode != 0 and "metadata.tsv:2: " in done.stdout and "v1.txt" in done.stdout
    path.unlink()
    assert station.get("/objects/o?version=1").status == 500
    path.write_text(says(1))


def test_files_of_the_earlier_system(new_station):
    """No status and no reason; the file may lack its last newline."""
    station = new_station()
    folder = station.data / "versions" / "old"
    folder.mkdir(parents=True)
    lines = ["version_id\ttimestamp\tauthor\tmessage\thash"]
    for n in (1, 2):
        (folder / f"v{n}.txt").write_text(says(n))
        lines.append(f"{n}\t2025-01-0{n}T10:00:00\tdan\tchange {n}\t{sha256(says(n))}")
    (folder / "metadata.tsv").write_text("\n".join(lines))
    before = (folder / "metadata.tsv").read_bytes()
    station.put("old.py", says(2))
    station.start()
    assert value_of(station, "old") == 2
    assert (folder / "metadata.tsv").read_bytes() == before
    two, one = versions(station, "old")
    assert (two["author"], two["message"], two["status"]) == ("dan", "change 2", "accepted")
    assert one["timestamp"] == "2025-01-01T10:00:00"
    assert put(station, "old", says(3)).json()["version_id"] == 3
    station.allow("does not load")
    assert put(station, "old", BAD).status == 422
    after = (folder / "metadata.tsv").read_bytes()
    assert after.startswith(before + b"\n3\t")  # appended, never written again
    station.restart()
    assert [v["status"] for v in versions(station, "old")] == ["rejected"] + ["accepted"] * 3
    assert rollback(station, "old", 1).json()["new_version_id"] == 5
    assert value_of(station, "old") == 1


def test_a_hundred_thousand_versions(new_station):
    station = new_station()
    folder = station.data / "versions" / "many"
    folder.mkdir(parents=True)
    count = 100000
    digest = sha256(says(0))
    with open(folder / "metadata.tsv", "w") as f:
        f.write("version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason\n")
        for n in range(1, count + 1):
            f.write(f"{n}\t{1700000000 + n}.000000\tann\tchange {n}\t{digest}\taccepted\t\n")
    (folder / f"v{count}.txt").write_text(says(0))
    (folder / "v7.txt").write_text(says(0))
    station.put("many.py", says(0))
    station.start()
    assert value_of(station, "many") == 0
    assert put(station, "many", says(1)).json()["version_id"] == count + 1
    assert [v["version_id"] for v in station.get("/objects/many?versions=true&limit=2").json()
            ["versions"]] == [count + 1, count]
    assert station.get(f"/objects/many?versions=true&limit=2&offset={count - 1}").json()["count"] == 2
    assert station.get("/objects/many?version=7").json()["version"]["message"] == "change 7"
    assert rollback(station, "many", 7).json()["new_version_id"] == count + 2
    shutil.rmtree(folder)  # its other contents were never there


# --- rollback ---


def test_rollback(station):
    put(station, "o", says(1))
    put(station, "o", says(2))
    reply = rollback(station, "o", 1, author="ann", message="two was wrong")
    assert reply.status == 200
    assert reply.json() == {"status": "ok", "message": "Rolled back to version 1", "version_id": 1,
                            "new_version_id": 3, "object_id": "o"}
    assert value_of(station, "o") == 1
    newest = versions(station, "o")[0]
    assert newest["author"] == "ann" and newest["message"] == "two was wrong"
    assert newest["hash"] == sha256(says(1)) and newest["status"] == "accepted"
    assert (station.objects / "o.py").read_text() == says(1)  # the file equals what serves
    assert rollback(station, "o", 3).json()["new_version_id"] == 4  # of what serves: one more
    assert versions(station, "o")[0]["message"] == "Rollback to version 3"
    station.restart()
    assert value_of(station, "o") == 1


def test_rollback_to_one_that_does_not_load(station):
    station.allow("does not load")
    put(station, "o", says(1))
    put(station, "o", BAD)
    put(station, "o", says(3))
    reply = rollback(station, "o", 2)
    assert reply.status == 422 and reply.json()["line"] == 3
    assert value_of(station, "o") == 3


def test_rollback_without_a_worker(station):
    """The object does not load at all, so nobody but the supervisor can understand the action."""
    station.allow("does not load")
    flag = station.folder / "fails"
    source = f"import os\nassert not os.path.exists({str(flag)!r}), 'not now'\n"
    put(station, "o", says(1))
    put(station, "o", source + says(2))
    station.stop()
    flag.touch()
    station.start()
    assert station.get("/objects/o").status == 500
    reply = rollback(station, "o", 1)
    assert reply.status == 200, reply
    assert value_of(station, "o") == 1


@pytest.mark.parametrize("body,status", [
    ({"action": "rollback"}, 400), ({"action": "rollback", "version_id": None}, 400),
    ({"action": "rollback", "version_id": "1"}, 400), ({"action": "rollback", "version_id": 1.5}, 400),
    ({"action": "rollback", "version_id": True}, 400), ({"action": "rollback", "version_id": []}, 400),
    ({"action": "rollback", "version_id": 0}, 404), ({"action": "rollback", "version_id": -1}, 404),
    ({"action": "rollback", "version_id": 99}, 404),
    ({"action": "rollback", "version_id": 2**62}, 404),
    ({"action": "rollback", "version_id": 1, "author": 5}, 400),
    ({"action": "rollback", "version_id": 1, "message": {}}, 400),
    ({"action": "rollback", "version_id": 1, "message": "m" * 1025}, 413)])
def test_bad_rollbacks(shared, body, status):
    if "r" not in shared.object_ids():
        put(shared, "r", says(1))
    reply = shared.post("/objects/r", body)
    assert reply.status == status and reply.json()["status"] == "error", reply
    assert len(versions(shared, "r")) == 1


def test_rollback_of_nothing(station):
    assert rollback(station, "nothing", 1).status == 404


# --- two writers ---


def test_writers_at_once(station):
    """Over HTTP: each becomes a version of its own, and what each was told is true."""
    put(station, "o", says(0))
    replies = []

    def write(n):
        replies.append((n, put(station, "o", says(n), author=f"w{n}").json()["version_id"]))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version for _, version in replies) == list(range(2, 14))
    for n, version in replies:
        assert content(station, "o", version) == says(n)
        assert station.get(f"/objects/o?version={version}").json()["version"]["author"] == f"w{n}"
    last = max(replies, key=lambda r: r[1])[0]
    assert value_of(station, "o") == last
    assert (station.objects / "o.py").read_text() == says(last)


def test_a_file_saved_during_a_deploy(station):
    """The slow import gives the other writer its time; nothing is lost, and nothing mixed."""
    put(station, "o", says(0))
    begun, until = station.folder / "begun", station.folder / "until"
    slow = (f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
            f"while not os.path.exists({str(until)!r}):\n    time.sleep(0.005)\n") + says("http")
    replies = []
    thread = threading.Thread(target=lambda: replies.append(put(station, "o", slow)))
    thread.start()
    wait_until(begun.exists)
    station.put("o.py", says("saved"))
    station.deploy("other.py", says(1))  # the event was seen
    until.touch()
    thread.join()
    assert replies[0].status == 200, replies[0]
    wait_until(lambda: len(versions(station, "o")) == 3)
    contents = {content(station, "o", n) for n in (1, 2, 3)}
    assert contents == {says(0), says("saved"), slow}
    newest = content(station, "o", 3)
    assert (station.objects / "o.py").read_text() == newest
    assert value_of(station, "o") == ("http" if newest == slow else "saved")


def test_a_stored_version_waits_for_the_running_turn(new_station):
    """However long that takes: it is the scribe alone that http.view_timeout holds for."""
    station = new_station(config={"http": {"view_timeout": 1.5}}).start()
    begun = station.folder / "begun"
    code = (f"import time\ndef GET(request):\n    open({str(begun)!r}, 'w').close()\n"
            "    time.sleep(2)\n    return {'value': 1}\n")
    wait_until(lambda: put(station, "o", code).status in (200, 201))
    values = []
    thread = threading.Thread(target=lambda: values.append(value_of(station, "o")))
    thread.start()
    wait_until(begun.exists)
    reply = put(station, "o", says(2))
    thread.join()
    assert reply.status == 200 and values == [1], reply
    assert value_of(station, "o") == 2


def test_too_many_writers(new_station):
    station = new_station(config={"limits": {"deploys_object_max": 2}}).start()
    put(station, "o", says(0))
    begun, until = station.folder / "begun", station.folder / "until"
    slow = (f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
            f"while not os.path.exists({str(until)!r}):\n    time.sleep(0.005)\n") + says("slow")
    threads, replies = [], []
    for n in range(5):
        code = slow if n == 0 else says(n)
        threads.append(threading.Thread(target=lambda code=code: replies.append(
            put(station, "o", code))))
        threads[-1].start()
        if n == 0:
            wait_until(begun.exists)
    wait_until(lambda: len(replies) == 2)
    assert all(r.status == 503 and "deploys_object_max" in r.text for r in replies)
    until.touch()
    for thread in threads:
        thread.join()
    assert sorted(r.status for r in replies) == [200, 200, 200, 503, 503]


def test_a_stop_answers_what_waits(station):
    station.allow("stopping|unanswered|ended while|does not load")
    put(station, "o", says(0))
    begun = station.folder / "begun"
    slow = f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(0.7)\n" + says("slow")
    replies = {}

    def send(code):
        try:
            replies[code] = put(station, "o", code)
        except (ConnectionRefusedError, ConnectionResetError):  # it stopped before it took this one
            replies[code] = None

    threads = [threading.Thread(target=send, args=(code,)) for code in (slow, says(2))]
    threads[0].start()
    wait_until(begun.exists)
    threads[1].start()
    assert station.stop() == 0
    for thread in threads:
        thread.join()
    assert replies[slow] and len(replies) == 2 and all(
        r is None or r.status in (200, 503) for r in replies.values()), replies
    station.start()
    served = value_of(station, "o")
    assert (station.objects / "o.py").read_text().endswith(says(served))


# --- faults ---


def test_the_disk_is_full(station):
    """In place of a disk: the history cannot be written. Nothing changes, then all goes on."""
    station.allow("is not deployed")
    put(station, "o", says(1))
    folder = station.data / "versions" / "o"
    os.rename(folder, station.folder / "aside")
    folder.write_text("no folder")
    reply = put(station, "o", says(2))
    assert reply.status in (500, 503, 507) and reply.json()["status"] == "error", reply
    assert value_of(station, "o") == 1 and (station.objects / "o.py").read_text() == says(1)
    station.put("o.py", says(3))
    wait_until(lambda: station.logged("cannot be written"))
    assert value_of(station, "o") == 1
    folder.unlink()
    os.rename(station.folder / "aside", folder)
    wait_value(station, "o", 3)  # tried again by itself
    assert [v["version_id"] for v in versions(station, "o")] == [2, 1]


def test_the_objects_folder_refuses(station):
    station.allow("is not deployed")
    put(station, "o", says(1))
    block = station.objects / ".o.py.objectd"
    block.mkdir()
    (block / "inside").touch()
    reply = put(station, "o", says(2))
    assert reply.status in (409, 500, 503) and value_of(station, "o") == 1
    assert len(versions(station, "o")) == 1 and not (station.data / "versions/o/v2.txt").exists()
    shutil.rmtree(block)
    assert put(station, "o", says(2)).status == 200


def test_the_scribe_dies_during_deploys(station):
    station.allow("scribe|is not deployed")
    put(station, "o", says(0))

    def kill():
        for _ in range(6):  # its next start is held back longer each time
            for p in station.children("scribe"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(p.pid, 9)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    told = {}
    try:
        for n in range(1, 16):
            reply = put(station, "o", says(n))
            assert reply.status in (200, 503), reply
            if reply.status == 200:
                told[reply.json()["version_id"]] = n
                assert value_of(station, "o") == n
    finally:
        killer.join()
    wait_until(lambda: put(station, "o", says("last")).status == 200)
    assert value_of(station, "o") == "last"
    for version, n in told.items():
        assert content(station, "o", version) == says(n)


def test_killed_between_deploys(station):
    """Whatever was told is there after kill -9, and what serves is the newest that is."""
    told, stop = {}, threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                reply = put(station, "o", says(n))
            except OSError:
                return
            if reply.status in (200, 201):
                told[reply.json()["version_id"]] = n

    for _ in range(4):
        stop.clear()
        writer = threading.Thread(target=write)
        goal = len(told) + 3
        writer.start()
        wait_until(lambda goal=goal: len(told) >= goal)
        station.kill9()
        stop.set()
        writer.join()
        station.start()
        for version, n in told.items():
            assert content(station, "o", version) == says(n)
        served = value_of(station, "o")
        rows = on_disk(station, "o")
        assert content(station, "o", rows[-1]["version_id"]) == says(served)
        assert int(rows[-1]["version_id"]) >= max(told)
        told.clear()  # numbers go on


def test_a_torn_last_line(station):
    station.allow("unfinished last line")
    put(station, "o", says(1))
    put(station, "o", says(2))
    assert station.stop() == 0
    path = station.data / "versions/o/metadata.tsv"
    whole = path.read_text()
    for cut in (5, 60, len(whole.splitlines()[-1])):
        path.write_text(whole[:-1 - cut] + whole[-1 - cut:-1][:cut // 2])
        done = station.objectctl("check", str(station.data))
        assert done.returncode != 0 and "cut off" in done.stdout, done.stdout
        station.start()
        assert value_of(station, "o") == 2  # the file has it
        assert [v["version_id"] for v in versions(station, "o")] == [2, 1]
        assert station.stop() == 0
    assert re.fullmatch(r"(2\t.*)", path.read_text().splitlines()[-1])


# --- failpoints ---

STEPS = ["version-write", "version-written", "deploy-file-write", "deploy-file-written",
         "deploy-file-renamed", "version-line", "version-line-half", "version-line-synced"]
FAILPOINTS = [step for step in STEPS if step.startswith("deploy-")]  # only a source sent over HTTP passes them


@pytest.mark.failpoints
@pytest.mark.parametrize("kind", ["crash", "eio", "enospc"])
@pytest.mark.parametrize("step", STEPS)
def test_every_step_may_fail(new_station, step, kind):
    """The old version or the new one, whole: on disk, in the history and serving."""
    setting = f"{step}:3={kind}" if step.startswith("version") else f"{step}:2={kind}"
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": setting})
    station.allow(".")
    station.start()
    codes = {}
    for n in range(1, 7):
        reply = put(station, "o", says(n))
        codes[n] = reply.status
        if reply.status in (200, 201):
            assert value_of(station, "o") == n
        else:
            assert reply.status in (500, 503, 507), reply
        served = value_of(station, "o")
        assert (station.objects / "o.py").read_text() == says(served)
    struck = kind == "crash" and station.logged("objectd-scribe died")
    assert struck or any(status >= 500 for status in codes.values()), "it never struck"
    station.env.clear()
    station.restart()
    assert value_of(station, "o") == served == 6
    rows = on_disk(station, "o")
    assert [int(r["version_id"]) for r in rows] == list(range(1, len(rows) + 1))
    assert all(content(station, "o", r["version_id"]).encode() and
               sha256(content(station, "o", r["version_id"])) == r["hash"] for r in rows)


def test_tracebacks_show_the_source_that_ran(station):
    """Whatever the file on the disk holds meanwhile."""
    put(station, "o", "def GET(request):\n    return int('x')  # of version 1\n")
    station.allow("does not load", "o.py: ValueError|invalid literal")
    refused = put(station, "o", "def GET(request):\n    return (1,  # of the refused one\n")
    assert refused.status == 422 and refused.json()["line"] == 2
    assert "of the refused one" in refused.json()["traceback"]
    (station.objects / "o.py").write_text("x = 1\ny = (2,  # of the broken file\n")
    wait_until(lambda: station.logged("o.py does not load at line 2: SyntaxError"))
    assert "of version 1" in str(station.get("/objects/o").json()["traceback"])


def test_a_rejected_file_is_told_again_after_a_restart(station):
    put(station, "o", says(1))
    station.allow("does not load")
    (station.objects / "o.py").write_text(BAD)
    wait_until(lambda: station.logged("o.py does not load at line 3"))
    station.stop()
    station.start()
    assert value_of(station, "o") == 1
    assert station.logged("o.py does not load: .*; version 1 serves")
