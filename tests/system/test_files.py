# SPDX-License-Identifier: Apache-2.0
"""Files of an object: uploads, `_files`, lists, downloads, deletions, limits, crashes."""

import hashlib
import http.client
import json
import os
import re
import socket
import threading

import pytest

from station import FAILPOINT_BUILD, wait_until

PLAIN = '''
def GET(request):
    return {"n": _state_manager.get("n", 0)}

def POST(request):
    return {"form": dict(request), "files": {k: [f.filename, f.size] for k, f in request.files.items()}}
'''

OWN = '__endpoint__ = {"uploads": True}\n' + PLAIN

BOX = '''
import os

def POST(request):
    op, name = request.get("op"), request.get("name")
    if op == "put":
        _files.put(name, request["content"])
    if op == "many":
        for i in range(request["count"]):
            _files.put(f"{name}{i}", request["content"])
    if op == "delete":
        return {"deleted": _files.delete(name), "exists": _files.exists(name)}
    if request.get("set") is not None:
        _state_manager.set("n", request["set"])
    if request.get("seen"):
        return {"content": _files.get(name).decode(), "exists": _files.exists(name),
                "names": [f["name"] for f in _files.list()]}
    if request.get("fail"):
        raise ValueError("on purpose")
    if request.get("die"):
        os._exit(3)
    if request.get("state"):
        _state_manager.set("big", "x" * request["state"])
    return {"ok": True}

def GET(request):
    name = request.get("name")
    if name is None:
        return _files.list()
    return {"content": _files.get(name).decode(), "n": _state_manager.get("n")}
'''

BOUNDARY = "----x8Zq"


def part(content, filename=None, name="f", disposition=None):
    if disposition is None:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("utf-8", "surrogateescape")
    return head + (content.encode() if isinstance(content, str) else content) + b"\r\n"


def form(*parts, end=True):
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def upload(station, object_id, *parts, query="", end=True, timeout=30):
    return station.request("POST", f"/objects/{object_id}{query}", body=form(*parts, end=end),
                           headers=HEADERS, timeout=timeout)


def names(station, object_id):
    return [f["name"] for f in station.get(f"/objects/{object_id}?files=true").json()["files"]]


def quoted(name):
    return "".join(f"%{b:02X}" for b in name.encode())


def staged(station):
    return sorted(os.listdir(station.data / "files" / ".staging"))


def nothing_staged(station):
    wait_until(lambda: not staged(station), what=lambda: f"staged: {staged(station)}")


def box(station, **request):
    return station.post("/objects/box", body=json.dumps(request),
                        headers={"Content-Type": "application/json"})


@pytest.fixture
def own_plain(station):
    station.deploy("plain.py", PLAIN)
    return station


@pytest.fixture
def plain(shared):
    """The object of that name without any file, of one station for all that disturb nobody."""
    shared.deploy("plain.py", PLAIN)
    for name in names(shared, "plain"):
        assert shared.request("DELETE", f"/objects/plain?file={quoted(name)}").status == 200
    return shared


@pytest.fixture
def boxed(station):
    station.deploy("box.py", BOX)
    return station


# --- uploads ---


def test_upload_list_download_delete(plain):
    blob = os.urandom(300_000)
    reply = upload(plain, "plain", part("hello", "a.txt"), part("a field", name="note"),
                   part(blob, "b.bin", name="g"))
    assert reply.status == 200 and "x-commit-seq" in reply.headers
    assert reply.json() == {"status": "ok", "message": "2 files stored", "object_id": "plain",
                            "files": [{"filename": "a.txt", "size": 5, "field": "f"},
                                      {"filename": "b.bin", "size": 300_000, "field": "g"}]}
    listing = plain.get("/objects/plain?files=true").json()
    assert listing["count"] == 2 and listing["object_id"] == "plain"
    assert [(f["name"], f["size"]) for f in listing["files"]] == [("a.txt", 5), ("b.bin", 300_000)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", f["modified"]) for f in listing["files"])
    assert plain.get("/objects/plain?file=b.bin").body == blob
    assert (plain.data / "files/plain/a.txt").read_text() == "hello"
    gone = plain.request("DELETE", "/objects/plain?file=a.txt")
    assert gone.status == 200 and gone.json()["file"] == "a.txt"
    assert not (plain.data / "files/plain/a.txt").exists()
    assert plain.get("/objects/plain?file=a.txt").status == 404
    assert plain.request("DELETE", "/objects/plain?file=a.txt").status == 404
    assert names(plain, "plain") == ["b.bin"]
    nothing_staged(plain)


def test_an_object_without_files(plain):
    assert plain.get("/objects/plain?files=true").json()["files"] == []
    reply = plain.get("/objects/plain?file=no.txt")
    assert reply.status == 404 and "no.txt" in reply.json()["error"]


def test_a_form_without_a_file_goes_to_the_handler(plain):
    assert upload(plain, "plain", part("1", name="a"), part("2", name="b")).json() == {
        "form": {"a": "1", "b": "2"}, "files": {}}
    # what a browser sends where no file was chosen
    reply = upload(plain, "plain", part("1", name="a"), part("", ""))
    assert reply.json()["form"] == {"a": "1"}
    assert names(plain, "plain") == []


def test_an_object_that_handles_uploads_gets_them(station):
    station.deploy("own.py", OWN)
    assert upload(station, "own", part("hello", "../a.txt")).json()["files"] == {"f": ["../a.txt", 5]}
    assert names(station, "own") == []


@pytest.mark.parametrize("source, expected", [(PLAIN, "stored"), (OWN, "own")])
def test_a_cold_object_is_loaded_before_it_is_known(new_station, source, expected):
    station = new_station()
    station.put("cold.py", source)
    station.start()
    blob = os.urandom(2_000_000)
    reply = upload(station, "cold", part(blob, "b.bin"))
    if expected == "stored":
        assert reply.json()["files"][0]["size"] == len(blob)
        assert station.get("/objects/cold?file=b.bin").body == blob
    else:
        assert reply.json()["files"] == {"f": ["b.bin", len(blob)]}


def test_a_cold_object_that_does_not_load(new_station):
    station = new_station()
    station.allow("does not load")
    station.put("bad.py", "def GET(:\n")
    station.start()
    reply = upload(station, "bad", part("x", "a.txt"))
    assert reply.status == 500 and "does not load" in reply.json()["error"]
    nothing_staged(station)


def test_an_unknown_object(station):
    assert upload(station, "nobody", part("x", "a.txt")).status == 404
    nothing_staged(station)


def test_a_client_that_leaves_while_the_object_loads(new_station):
    station = new_station()
    begun, until = station.folder / "begun", station.folder / "until"
    station.put("slow.py", f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
                           f"while not os.path.exists({str(until)!r}):\n    time.sleep(0.005)\n" + PLAIN)
    station.start()
    sock = station.connect()
    body = form(part("x" * 1000, "a.txt"))
    sock.sendall(f"POST /objects/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
    wait_until(begun.exists)
    sock.close()
    until.touch()
    assert station.get("/objects/slow").status == 200
    assert names(station, "slow") == []


def test_an_upload_replaces(plain):
    for text in ("one", "two and more"):
        assert upload(plain, "plain", part(text, "a.txt")).status == 200
        assert plain.get("/objects/plain?file=a.txt").text == text
    assert names(plain, "plain") == ["a.txt"]


@pytest.mark.parametrize("size", [1, 7, 200])
def test_chunked_and_in_small_pieces(plain, size):
    blob = os.urandom(3000) + b"\r\n--" + BOUNDARY.encode()[:5] + b"\r\n"
    body = form(part(blob, "a.bin"), part("1", name="x"))
    connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=30)
    pieces = (body[i:i + size] for i in range(0, len(body), size))
    connection.request("POST", "/objects/plain", body=pieces, headers=HEADERS, encode_chunked=True)
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    reply.read()
    connection.close()
    assert plain.get("/objects/plain?file=a.bin").body == blob


def test_expect_continue(plain):
    plain.get("/objects/plain")
    body = form(part("hello", "a.txt"))
    with socket.create_connection(("127.0.0.1", plain.port), timeout=20) as sock:
        sock.sendall(f"POST /objects/plain HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                     f"Content-Type: {HEADERS['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert b"100 Continue" in sock.recv(1000)
        sock.sendall(body)
        assert b"200 OK" in sock.recv(1000)


def test_keep_alive_goes_on_after_a_refused_form(plain):
    with plain.client() as client:
        assert client.post("/objects/plain", body=form(part("x", "../x")), headers=HEADERS).status == 400
        assert client.post("/objects/plain", body=form(part("x", "x")), headers=HEADERS).status == 200
        assert client.get("/objects/plain?file=x").text == "x"


HOSTILE = ["../x", "/etc/passwd", "..", ".", "a/b", "a\0b", "a\nb", "a\x7fb", "x" * 256, "x" * 4096,
           b"\xff\xfe".decode("utf-8", "surrogateescape"), "a\tb"]


@pytest.mark.parametrize("name", HOSTILE, ids=[repr(n)[:20] for n in HOSTILE])
def test_hostile_names(plain, name):
    reply = upload(plain, "plain", part("good", "good.txt"), part("bad", name))
    assert reply.status == 400, reply
    assert names(plain, "plain") == []
    nothing_staged(plain)
    assert sorted(os.listdir(plain.data / "files")) in ([".staging"], [".staging", "plain"])


@pytest.mark.parametrize("name", ["ümläut 文.txt", ".staging", ".hidden", "a b;c.txt", "%2e%2e", "x" * 255,
                                  "u1-1", "-"])
def test_unusual_names(plain, name):
    assert upload(plain, "plain", part("hello", name)).status == 200
    assert names(plain, "plain") == [name]
    assert plain.get(f"/objects/plain?file={quoted(name)}").text == "hello"
    assert plain.request("DELETE", f"/objects/plain?file={quoted(name)}").status == 200


def test_an_encoded_name(plain):
    reply = upload(plain, "plain", part("x", disposition="form-data; name=f; filename=\"old\"; "
                                                         "filename*=UTF-8''n%C3%BC.txt"))
    assert reply.json()["files"][0]["filename"] == "nü.txt"
    assert upload(plain, "plain", part("x", disposition="form-data; name=f; filename*=UTF-8''..%2Fx")).status == 400


MALFORMED = {
    "no name": [part("good", "g"), part("x", disposition="form-data; filename=a.txt")],
    "file without a name": [part("good", "g"), part("x", "")],
    "the same name twice": [part("1", "a.txt"), part("2", "a.txt")],
    "junk behind a boundary": [part("good", "g"), b"--" + BOUNDARY.encode() + b"junk\r\n"],
    "no header": [part("good", "g"), b"--" + BOUNDARY.encode() + b"\r\n\r\nx\r\n"],
    "long header": [part("good", "g"), b"--" + BOUNDARY.encode() + b"\r\nX: " + b"x" * 9000 + b"\r\n\r\nx\r\n"],
}


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED)
def test_malformed_forms(plain, parts):
    reply = upload(plain, "plain", *parts)
    assert reply.status == 400 and reply.json()["error"]
    assert names(plain, "plain") == []
    nothing_staged(plain)


def test_a_form_without_its_end(plain):
    reply = upload(plain, "plain", part("hello", "a.txt"), end=False)
    assert reply.status == 400 and "closing delimiter" in reply.json()["error"]
    assert names(plain, "plain") == []
    nothing_staged(plain)


def test_cut_off_in_the_middle(plain):
    plain.get("/objects/plain")
    body = form(part(b"x" * 2_000_000, "a.bin"))
    for cut in (0, 50, 100_000, len(body) - 1):
        sock = plain.connect()
        sock.sendall(f"POST /objects/plain HTTP/1.1\r\nHost: localhost\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:cut])
        if cut >= 100_000:
            wait_until(lambda: staged(plain), what="nothing is staged while it arrives")
        sock.close()
        nothing_staged(plain)
    assert names(plain, "plain") == []


@pytest.mark.parametrize("station", [{"config": {"limits": {"upload_parts_max": 20}}}], indirect=True)
def test_many_parts(station):
    station.deploy("plain.py", PLAIN)
    assert upload(station, "plain", *[part("x", f"{i}") for i in range(20)]).status == 200
    reply = upload(station, "plain", *[part("x", f"n{i}") for i in range(1000)])
    assert reply.status == 400 and reply.json()["limit"] == "upload_parts_max"
    reply = upload(station, "plain", *[part("x", name=f"n{i}") for i in range(20)], part("x", "file"))
    assert reply.status == 400 and reply.json()["limit"] == "upload_parts_max"
    assert len(names(station, "plain")) == 20
    nothing_staged(station)


@pytest.mark.parametrize("station", [{"config": {"limits": {
    "upload_max": 3_000_000, "body_max": 500_000, "bodies_max": 600_000}}}], indirect=True)
def test_sizes(station):
    station.deploy("plain.py", PLAIN)
    station.deploy("own.py", OWN)
    blob = os.urandom(2_500_000)
    assert upload(station, "plain", part(blob, "a.bin")).status == 200  # above both other limits
    assert station.get("/objects/plain?file=a.bin").body == blob
    answer = station.raw(f"POST /objects/plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000001\r\n"
                         f"Content-Type: {HEADERS['Content-Type']}\r\n\r\n".encode())
    assert b" 413 " in answer and b'"upload_max"' in answer
    reply = upload(station, "own", part(blob[:600_000], "a.bin"))
    assert reply.status == 413 and reply.json()["limit"] == "body_max"
    reply = upload(station, "plain", part(blob[:600_000], name="field"))
    assert reply.status == 413 and reply.json()["limit"] == "body_max"
    assert names(station, "plain") == ["a.bin"]
    nothing_staged(station)


@pytest.mark.parametrize("station", [{"config": {"limits": {"upload_max": 300_000}}}], indirect=True)
def test_upload_max_below_body_max(station):
    station.deploy("plain.py", PLAIN)
    station.deploy("own.py", OWN)
    assert upload(station, "plain", part(b"x" * 200_000, "a.bin")).status == 200
    for parts in ([part(b"y" * 300_000, "a.bin")],
                  [part(b"y" * 200_000, name="field"), part(b"y" * 200_000, "a.bin")]):
        reply = upload(station, "plain", *parts)
        assert reply.status == 413 and reply.json()["limit"] == "upload_max"
    assert station.get("/objects/plain?file=a.bin").body == b"x" * 200_000
    assert upload(station, "own", part(b"y" * 300_000, "a.bin")).status == 200  # obeys body_max
    nothing_staged(station)


@pytest.mark.parametrize("station", [{"config": {"limits": {
    "files_bytes_max": 100_000, "files_count_max": 3}}}], indirect=True)
def test_limits_of_an_object(station):
    station.deploy("plain.py", PLAIN)
    station.deploy("box.py", BOX)
    for target in ("plain", "box"):
        assert upload(station, target, part(b"x" * 60_000, "a")).status == 200
        reply = upload(station, target, part(b"x" * 60_000, "b"))
        assert reply.status == 507 and reply.json()["limit"] == "files_bytes_max"
        assert upload(station, target, part(b"x" * 90_000, "a")).status == 200  # it replaces
        assert upload(station, target, part("x", "b"), part("x", "c")).status == 200
        reply = upload(station, target, part("x", "d"))
        assert reply.status == 507 and reply.json()["limit"] == "files_count_max"
        assert names(station, target) == ["a", "b", "c"]
    reply = box(station, op="put", name="d", content="x")
    assert reply.status == 507 and reply.json()["limit"] == "files_count_max"
    reply = box(station, op="put", name="b", content="x" * 20_000)
    assert reply.status == 507 and reply.json()["limit"] == "files_bytes_max"
    assert box(station, op="put", name="a", content="x" * 95_000).status == 200
    assert box(station, op="delete", name="b").status == 200
    assert box(station, op="put", name="d", content="x").status == 200
    assert names(station, "box") == ["a", "c", "d"]
    nothing_staged(station)


@pytest.mark.parametrize("station", [{"config": {"limits": {"files_bytes_max": 1_000_000}}}], indirect=True)
def test_uploads_at_once_do_not_exceed_a_limit_together(station):
    station.deploy("plain.py", PLAIN)
    codes = []

    def one(i):
        codes.append(upload(station, "plain", part(b"x" * 300_000, f"f{i}")).status)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 3 + [507] * 5
    assert len(names(station, "plain")) == 3
    nothing_staged(station)


@pytest.mark.parametrize("station", [{"config": {"security": {"management": "token"}}}], indirect=True)
def test_files_are_management(station):
    station.deploy("plain.py", PLAIN)
    token = (station.data / "admin.token").read_text().strip()
    allowed = {"Authorization": f"Bearer {token}"}
    assert upload(station, "plain", part("x", "a.txt")).status == 401
    assert upload(station, "plain", part("1", name="a")).json()["form"] == {"a": "1"}
    assert station.request("POST", "/objects/plain", body=form(part("x", "a.txt")),
                           headers={**HEADERS, **allowed}).status == 200
    for method, query in (("GET", "files=true"), ("GET", "file=a.txt"), ("DELETE", "file=a.txt")):
        assert station.request(method, f"/objects/plain?{query}").status == 401
        assert station.request(method, f"/objects/plain?{query}", headers=allowed).status == 200
    nothing_staged(station)


def test_a_page_of_another_site_uploads_nothing(plain):
    reply = plain.request("POST", "/objects/plain", body=form(part("x", "a.txt")),
                          headers={**HEADERS, "Origin": "http://evil.example"})
    assert reply.status == 403
    assert names(plain, "plain") == []


def test_a_large_upload_is_not_held_in_memory(own_plain):
    before = own_plain.rss()
    piece, count = os.urandom(1 << 20), 200
    head = part(b"", "big.bin")[:-2]
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    sums = hashlib.sha256()

    def body():
        yield head
        for _ in range(count):
            sums.update(piece)
            yield piece
        yield tail

    connection = http.client.HTTPConnection("127.0.0.1", own_plain.port, timeout=60)
    connection.request("POST", "/objects/plain", body=body(), headers={
        **HEADERS, "Content-Length": str(len(head) + count * len(piece) + len(tail))})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    reply.read()
    connection.request("GET", "/objects/plain?file=big.bin")
    reply = connection.getresponse()
    got = hashlib.sha256()
    while True:
        data = reply.read(1 << 20)
        if not data:
            break
        got.update(data)
    connection.close()
    assert got.hexdigest() == sums.hexdigest()
    assert own_plain.rss(peak=True) - before < 16 << 20


def test_a_folder_in_the_way(own_plain):
    (own_plain.data / "files/plain/dir").mkdir(parents=True)
    (own_plain.data / "files/plain/link").symlink_to("/etc/passwd")
    reply = upload(own_plain, "plain", part("x", "dir"))
    assert reply.status == 409
    assert own_plain.get("/objects/plain?file=link").status == 404
    assert own_plain.get("/objects/plain?file=dir").status == 404
    assert names(own_plain, "plain") == []
    assert upload(own_plain, "plain", part("x", "link")).status == 200
    assert own_plain.get("/objects/plain?file=link").text == "x"
    (own_plain.data / "files/plain/dir").rmdir()


def test_a_folder_that_is_a_link_is_not_followed(own_plain, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (own_plain.data / "files").mkdir(exist_ok=True)
    (own_plain.data / "files/plain").symlink_to(outside)
    assert own_plain.get("/objects/plain?file=secret").status in (404, 503)
    assert own_plain.get("/objects/plain?files=true").status == 503
    (own_plain.data / "files/plain").unlink()
    own_plain.allow("files of")


def test_files_of_the_earlier_system_are_read(new_station):
    station = new_station()
    station.put("plain.py", PLAIN)
    folder = station.data / "files" / "plain"
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    (folder / "sub").mkdir()
    station.start()
    assert names(station, "plain") == ["old.txt"]
    assert station.get("/objects/plain?file=old.txt").text == "old"
    (folder / "sub").rmdir()


# --- downloads ---


@pytest.fixture
def ten(plain):
    assert upload(plain, "plain", part("0123456789", "t.txt")).status == 200
    return plain


RANGES = [("bytes=0-3", 206, "0123", "0-3"), ("bytes=3-", 206, "3456789", "3-9"), ("bytes=-4", 206, "6789", "6-9"),
          ("bytes=5-100", 206, "56789", "5-9"), ("bytes=-100", 206, "0123456789", "0-9"),
          ("bytes=9-9", 206, "9", "9-9"), ("bytes=10-", 416, None, None), ("bytes=99-100", 416, None, None),
          ("bytes=-0", 416, None, None), ("bytes=0-1,3-4", 200, "0123456789", None),
          ("bytes=5-3", 200, "0123456789", None), ("bytes=a-b", 200, "0123456789", None),
          ("bytes=", 200, "0123456789", None), ("lines=0-1", 200, "0123456789", None),
          ("bytes=99999999999999999999-", 416, None, None), ("bytes=0-99999999999999999999", 206, "0123456789", "0-9")]


@pytest.mark.parametrize("field, status, text, covers", RANGES, ids=[r[0] for r in RANGES])
def test_ranges(ten, field, status, text, covers):
    reply = ten.get("/objects/plain?file=t.txt", headers={"Range": field})
    assert reply.status == status
    if status == 416:
        assert reply.headers["content-range"] == "bytes */10"
    else:
        assert reply.text == text and reply.headers["accept-ranges"] == "bytes"
        assert reply.headers.get("content-range") == (f"bytes {covers}/10" if covers else None)


def test_etags(ten):
    first = ten.get("/objects/plain?file=t.txt")
    tag, date = first.headers["etag"], first.headers["last-modified"]
    assert re.fullmatch(r'"[^"]+"', tag)

    def get(**fields):
        return ten.get("/objects/plain?file=t.txt", headers={k.replace("_", "-"): v for k, v in fields.items()})

    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        reply = get(If_None_Match=known)
        assert reply.status == 304 and reply.body == b"" and reply.headers["etag"] == tag
    assert get(If_None_Match='"other"').status == 200
    assert get(If_Range=tag, Range="bytes=0-1").status == 206
    assert get(If_Range=date, Range="bytes=0-1").status == 206
    assert get(If_Range='"other"', Range="bytes=0-1").text == "0123456789"
    assert get(If_Range='"other"', Range="bytes=99-").status == 200
    assert upload(ten, "plain", part("0123456789", "t.txt")).status == 200
    assert get().headers["etag"] != tag


def test_head(ten):
    reply = ten.request("HEAD", "/objects/plain?file=t.txt")
    assert reply.status == 200 and reply.body == b"" and reply.headers["content-length"] == "10"
    assert ten.request("HEAD", "/objects/plain?file=t.txt", headers={"Range": "bytes=0-1"}).status == 200
    assert ten.request("HEAD", "/objects/plain?file=no.txt").status == 404


@pytest.mark.parametrize("name, kind, disposition", [
    ("a.png", "image/png", 'inline; filename="a.png"'),
    ("A.JPG", "image/jpeg", 'inline; filename="A.JPG"'),
    ("a.svg", "image/svg+xml", 'inline; filename="a.svg"'),
    ("a.html", "text/html; charset=utf-8", 'attachment; filename="a.html"'),
    ("a.unknown", "application/octet-stream", 'attachment; filename="a.unknown"'),
    ("noext", "application/octet-stream", 'attachment; filename="noext"'),
    ("ü \"q\".txt", "text/plain; charset=utf-8",
     "attachment; filename=\"__ _q_.txt\"; filename*=UTF-8''%C3%BC%20%22q%22.txt"),
])
def test_type_and_disposition(plain, name, kind, disposition):
    escaped = name.replace('"', '\\"')
    assert upload(plain, "plain", part("x", escaped)).status == 200
    reply = plain.get(f"/objects/plain?file={quoted(name)}")
    assert reply.headers["content-type"] == kind
    assert reply.headers["content-disposition"] == disposition
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("query", ["file=", "file=..", "file=a%2Fb", "file=%01", "file=" + "x" * 256, "file=%FF"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_bad_names_in_queries(plain, query, method):
    assert plain.request(method, f"/objects/plain?{query}").status == 400


def test_an_empty_file(plain):
    assert upload(plain, "plain", part("", "empty")).json()["files"][0]["size"] == 0
    reply = plain.get("/objects/plain?file=empty")
    assert reply.status == 200 and reply.body == b""
    assert plain.get("/objects/plain?file=empty", headers={"Range": "bytes=0-"}).status == 416


# --- _files ---


def test_files_of_a_handler(boxed):
    reply = box(boxed, op="put", name="a.txt", content="hello", seen=True)
    assert reply.json() == {"content": "hello", "exists": True, "names": ["a.txt"]}
    assert boxed.get("/objects/box?file=a.txt").text == "hello"
    assert boxed.get("/objects/box?name=a.txt").json()["content"] == "hello"
    assert box(boxed, op="delete", name="a.txt").json() == {"deleted": True, "exists": False}
    assert boxed.get("/objects/box?file=a.txt").status == 404
    assert box(boxed, op="delete", name="a.txt").json() == {"deleted": False, "exists": False}
    nothing_staged(boxed)


def test_a_handler_sees_uploads(boxed):
    assert upload(boxed, "box", part("up", "u.txt")).status == 200
    assert boxed.get("/objects/box?name=u.txt").json()["content"] == "up"


def test_a_turn_that_raises_changes_no_file(boxed):
    assert box(boxed, op="put", name="a.txt", content="one", set=1).status == 200
    assert box(boxed, op="put", name="a.txt", content="two", set=2, fail=True).status == 500
    assert box(boxed, op="put", name="b.txt", content="two", fail=True).status == 500
    assert boxed.get("/objects/box?name=a.txt").json() == {"content": "one", "n": 1}
    assert names(boxed, "box") == ["a.txt"]
    nothing_staged(boxed)


def test_a_turn_that_dies_changes_no_file(boxed):
    assert box(boxed, op="put", name="a.txt", content="one", set=1).status == 200
    assert box(boxed, op="many", name="z", count=5, content="x", die=True).status == 502
    assert boxed.get("/objects/box?name=a.txt").json() == {"content": "one", "n": 1}
    assert names(boxed, "box") == ["a.txt"]
    nothing_staged(boxed)


@pytest.mark.parametrize("station", [{"config": {"limits": {"turn_writes_max": 2000}}}], indirect=True)
def test_a_turn_above_another_limit_changes_no_file(station):
    station.deploy("box.py", BOX)
    assert box(station, op="put", name="a.txt", content="one", state=3000).status == 413
    assert names(station, "box") == []
    nothing_staged(station)


def test_spellings_and_contents(station):
    station.deploy("s.py", '''
import io

def POST(request):
    ident = _file_storage.save(filename="s.bin", content=b"\\0\\1")
    loaded = _file_storage.load(ident)
    _files.put("text", "ü")
    _files.put("view", memoryview(b"view"))
    _files.put(filename="read", content=io.BytesIO(b"r" * 3_000_000))
    _files.put("lines", io.StringIO("some text"))
    return {"id": ident, "loaded": [loaded["filename"], list(loaded["content"])],
            "none": _file_storage.load("nope"), "same": _files is _file_storage,
            "sizes": {f["name"]: f["size"] for f in _files.list()}}

def PUT(request):
    wrong = []
    for call in (lambda: _files.put("a/b", "x"), lambda: _files.put("..", "x"), lambda: _files.put("", "x"),
                 lambda: _files.put("a\\0", "x"), lambda: _files.put(7, "x"), lambda: _files.put("a", 7),
                 lambda: _files.put("a"), lambda: _files.get("no"), lambda: _files.get("x" * 256),
                 lambda: _files.put("\\ud800", "x"), lambda: _files.put("a", "\\ud800")):
        try:
            call()
            wrong.append(None)
        except Exception as e:
            wrong.append(type(e).__name__)
    return wrong
''')
    assert station.post("/objects/s").json() == {
        "id": "s.bin", "loaded": ["s.bin", [0, 1]], "none": None, "same": True,
        "sizes": {"lines": 9, "read": 3_000_000, "s.bin": 2, "text": 2, "view": 4}}
    assert station.get("/objects/s?file=text").text == "ü"
    assert station.request("PUT", "/objects/s").json() == [
        "ValueError", "ValueError", "ValueError", "ValueError", "TypeError", "TypeError", "TypeError",
        "FileNotFoundError", "ValueError", "ValueError", "UnicodeEncodeError"]
    assert names(station, "s") == ["lines", "read", "s.bin", "text", "view"]
    nothing_staged(station)


def test_where_files_cannot_be_changed(station):
    station.deploy("w.py", '''
import threading

__endpoint__ = {"readonly": ["GET"]}
try:
    _files.put("import", "x")
    IMPORT = None
except RuntimeError as e:
    IMPORT = str(e)

def GET(request):
    try:
        _files.put("readonly", "x")
    except RuntimeError as e:
        return {"import": IMPORT, "readonly": str(e), "list": _files.list()}

def POST(request):
    found = []
    def other():
        try:
            _files.put("thread", "x")
        except RuntimeError as e:
            found.append(str(e))
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    return {"thread": found}

def PUT(request):
    def chunks():
        try:
            _files.put("stream", "x")
        except RuntimeError as e:
            yield str(e)
    return chunks()
''')
    reply = station.get("/objects/w").json()
    assert "import" in reply["import"] and "readonly" in reply["readonly"] and reply["list"] == []
    assert "turn" in station.post("/objects/w").json()["thread"][0]
    assert "streamed" in station.request("PUT", "/objects/w").text
    assert names(station, "w") == []


def test_self_tests_change_no_file(station):
    station.deploy("t.py", '''
def GET(request):
    return _files.list()

def test_files():
    _files.put("a.txt", "x")
    assert _files.exists("a.txt")

def test_others_are_not_seen():
    assert not _files.exists("a.txt")
''')
    reply = station.get("/objects/t?test=true").json()
    assert reply["status"] == "pass", reply
    assert names(station, "t") == []
    nothing_staged(station)


def test_a_reply_never_shows_what_is_not_there(boxed):
    """Each put is answered; the file is there for whoever asks afterwards, the worker included."""
    for i in range(60):
        assert box(boxed, op="put", name="c.txt", content=str(i)).status == 200
        assert boxed.get("/objects/box?file=c.txt").text == str(i)
        assert boxed.get("/objects/box?name=c.txt").json()["content"] == str(i)


def test_uploads_and_turns_together(boxed):
    """Whoever was told that a file is stored finds it whole; nobody finds half of one."""
    letters = "abcdef"
    trouble = []

    def work(letter):
        text = letter * 50_000
        for _ in range(15):
            if letter in "ace":
                reply = upload(boxed, "box", part(text, "same"), part(text, f"own-{letter}"))
            else:
                reply = box(boxed, op="put", name="same", content=text)
            got = boxed.get("/objects/box?file=same")
            if reply.status != 200 or len(set(got.text)) != 1 or len(got.text) != 50_000:
                trouble.append((reply, got.status, set(got.text)))

    threads = [threading.Thread(target=work, args=(letter,)) for letter in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not trouble, trouble[:2]
    assert names(boxed, "box") == ["own-a", "own-c", "own-e", "same"]
    nothing_staged(boxed)


def test_deleted_by_a_turn_and_uploaded_again(boxed):
    for i in range(20):
        assert upload(boxed, "box", part(str(i), "d.txt")).status == 200
        assert box(boxed, op="delete", name="d.txt").json() == {"deleted": True, "exists": False}
        assert upload(boxed, "box", part(f"again {i}", "d.txt")).status == 200
        wait_until(lambda: boxed.get("/objects/box?name=d.txt").status == 200)
        assert boxed.get("/objects/box?name=d.txt").json()["content"] == f"again {i}"


# --- crashes ---


def test_after_kill_9(boxed):
    assert upload(boxed, "box", part("up", "u.txt"), part("down", "d.txt")).status == 200
    assert box(boxed, op="put", name="a.txt", content="turn", set=7).status == 200
    assert boxed.request("DELETE", "/objects/box?file=d.txt").status == 200
    boxed.kill9()
    (boxed.data / "files/.staging/u9-1").write_text("stray")
    (boxed.data / "files/box/by-hand.txt").write_text("by hand")
    boxed.start()
    assert names(boxed, "box") == ["a.txt", "by-hand.txt", "u.txt"]
    assert boxed.get("/objects/box?name=a.txt").json() == {"content": "turn", "n": 7}
    assert staged(boxed) == []


def test_a_deletion_is_not_done_twice(own_plain):
    assert upload(own_plain, "plain", part("x", "d.txt")).status == 200
    assert own_plain.request("DELETE", "/objects/plain?file=d.txt").status == 200
    own_plain.restart()
    (own_plain.data / "files/plain/d.txt").write_text("by hand")
    own_plain.restart()
    assert own_plain.get("/objects/plain?file=d.txt").text == "by hand"


def test_check_reports_what_lies_in_files(own_plain):
    assert upload(own_plain, "plain", part("x", "a.txt")).status == 200
    own_plain.stop()
    (own_plain.data / "files/.staging/u9-1").write_text("stray")
    done = own_plain.objectctl("check", str(own_plain.data))
    assert done.returncode == 0 and "files/.staging/u9-1" in done.stdout
    (own_plain.data / "files/stray.txt").write_text("nobody's")
    done = own_plain.objectctl("check", str(own_plain.data))
    assert done.returncode != 0 and "files/stray.txt" in done.stdout
    (own_plain.data / "files/stray.txt").unlink()
    (own_plain.data / "files/plain/bad\nname").write_text("x")
    assert own_plain.objectctl("check", str(own_plain.data)).returncode != 0
    (own_plain.data / "files/plain/bad\nname").unlink()


STEPS = ["upload-open", "upload-write", "files-sync", "files-synced", "files-apply", "files-renamed",
         "files-deleted", "files-applied"]
CRASHES = ["files-accepted", "files-durable", "files-visible"]  # of the supervisor; they cannot fail
FAILPOINTS = STEPS + CRASHES + ["files-redo"]
CASES = [(step, kind) for step in STEPS for kind in ("crash", "eio", "enospc")]
CASES += [(step, "crash") for step in CRASHES]


def old_or_new(station, told):
    """Both files of a round, with its number, or those of the one before; never less than was told."""
    contents = [station.get(f"/objects/box?file={name}") for name in ("one", "two")]
    assert contents[0].status == contents[1].status
    number = int(contents[0].text) if contents[0].status == 200 else 0
    assert number == 0 or int(contents[1].text) == number
    assert number >= told
    return number


@pytest.mark.failpoints
@pytest.mark.parametrize("which", [2, 3])  # each life of the scribe counts anew: 1 would be never
@pytest.mark.parametrize("step, kind", CASES)
def test_every_step_may_fail(new_station, step, kind, which):
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": f"{step}:{which}={kind}"})
    station.allow(".")
    station.put("box.py", BOX)
    station.start()
    told, codes = 0, []
    of_scribe = kind == "crash" and step.startswith("files-") and step not in CRASHES
    # one that dies again and again is held back longer each time
    for number in range(1, 3 if of_scribe else 7):
        try:
            reply = upload(station, "box", part(str(number), "one"), part(str(number), "two"))
            codes.append(reply.status)
            if reply.status == 200:
                told = number
            else:
                assert reply.status in (503, 507), reply
            codes.append(box(station, op="put", name="turn", content=str(number), set=number).status)
            codes.append(station.request("DELETE", "/objects/box?file=turn").status)
        except (OSError, http.client.HTTPException):
            station.wait()  # it struck in the supervisor
            break
        old_or_new(station, told)
    if station.alive():
        old_or_new(station, told)
        nothing_staged(station)
        assert max(codes) >= 500 or station.logged(
            "objectd-scribe died|Input/output error|No space left") or which > 2, "it never struck"
        station.stop()
    else:
        assert station.exit_code == -9
        station.ended_by_test = True
    station.env.clear()
    station.start()
    old_or_new(station, told)
    assert staged(station) == []
    if station.get("/objects/box?file=turn").status == 200:
        content = station.get("/objects/box?name=turn").json()
        assert int(content["content"]) == content["n"]


@pytest.mark.failpoints
def test_a_crash_while_it_is_made_good(new_station):
    """Durable and not visible; the next start dies doing it again; the one after that does it."""
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": "files-durable:2=crash"})
    station.put("box.py", BOX)
    station.start()
    assert upload(station, "box", part("1", "one"), part("1", "two")).status == 200
    with pytest.raises((OSError, http.client.HTTPException)):
        upload(station, "box", part("2", "one"), part("2", "two"))
    assert station.wait() == -9
    station.ended_by_test = True
    assert len(staged(station)) == 2
    station.env["OBJECTD_FAILPOINT"] = "files-redo:2=crash"
    station.spawn()
    assert station.wait() == -9
    station.env.clear()
    station.start()
    assert old_or_new(station, 1) == 2
    assert staged(station) == []


@pytest.mark.failpoints
def test_disk_full_in_an_upload(new_station):
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": "upload-write:3+=enospc"})
    station.put("plain.py", PLAIN)
    station.start()
    reply = upload(station, "plain", part(b"x" * 200_000, "a.bin"))
    assert reply.status == 507 and reply.json()["limit"] == "disk"
    assert names(station, "plain") == []
    nothing_staged(station)


def test_the_scribe_dies_in_between(boxed):
    boxed.allow("scribe", "files of", "staged files")
    for i in range(5):
        sent = []
        thread = threading.Thread(target=lambda: sent.append(
            upload(boxed, "box", part(b"x" * 3_000_000, "big"), part(str(i), "n"))))
        thread.start()
        for process in boxed.children("scribe"):
            try:
                os.kill(process.pid, 9)
            except OSError:
                pass
        thread.join()
        assert sent[0].status in (200, 503)
        assert wait_until(lambda: boxed.get("/objects/box?files=true").status == 200)
    wait_until(lambda: upload(boxed, "box", part("end", "n")).status == 200)
    assert boxed.get("/objects/box?file=n").text == "end"
    nothing_staged(boxed)
