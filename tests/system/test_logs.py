# SPDX-License-Identifier: Apache-2.0
"""The logs of objects over HTTP: what is found, what is refused, followers, rotation, retention,
rates, files of the earlier system, and what happens when the disk does not take a line."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from station import PATIENCE, read_reply, scaled, wait_until

HEADER = "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"
LOUD = ("def POST(request):\n"
        "    for n in range(int(request['from']), int(request['to'])):\n"
        "        _logger.info(f'n{n}', n=n)\n"
        "    return {}\n"
        "def GET(request):\n    return {}\n")


def logs(station, object_id, **query):
    """The whole answer; every parameter percent-encoded."""
    text = "".join(f"&{k}={urllib.parse.quote(str(v), safe='')}" for k, v in query.items())
    reply = station.get(f"/objects/{object_id}?logs=true{text}")
    assert reply.status == 200, reply
    answer = reply.json()
    assert answer["status"] == "ok" and answer["object_id"] == object_id
    assert answer["count"] == len(answer["logs"])
    return answer


def messages(station, object_id, **query):
    return [e["message"] for e in logs(station, object_id, **query)["logs"]]


def count_of(station, object_id):
    return station.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["log_count"]


def write_log(station, object_id, lines, name="log.tsv", header=HEADER):
    folder = station.data / "logs" / object_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(header + "".join(lines))
    return folder / name


def line(seconds, message, level="INFO", fields=""):
    return f"{seconds}\t{level}\t{message}\t\t\t{fields}\n"


class Follower:
    """One connection that follows a log, read in a thread of its own."""

    def __init__(self, station, object_id, query="", headers=None, read=True):
        self.socket = socket.socket()
        if not read:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(30 * PATIENCE)
        self.socket.connect(("127.0.0.1", station.port))
        fields = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
        self.socket.sendall(f"GET /objects/{object_id}?logs=true&follow=true{query} HTTP/1.1\r\n"
                            f"Host: localhost\r\n{fields}\r\n".encode())
        self.events, self.comments, self.head, self.ended = [], 0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        if read:
            self.thread.start()

    def run(self):
        file = self.socket.makefile("rb")
        try:
            self.head = file.readline()
            while file.readline() not in (b"\r\n", b""):
                pass
            body = b""
            while True:
                size = int(file.readline() or b"0", 16)
                if size == 0:
                    break
                body += file.read(size)
                file.readline()
                *whole, body = body.split(b"\n\n")
                for block in whole:
                    self.take(block.decode())
            self.ended = file.readline() == b"\r\n"  # the last chunk came whole
        except (OSError, ValueError):
            pass

    def take(self, block):
        if block.startswith(":"):
            self.comments += 1
            return
        fields = dict(part.split(": ", 1) for part in block.split("\n"))
        self.events.append((fields.get("event"), fields.get("id"), json.loads(fields["data"])))

    def start(self):
        self.thread.start()
        return self

    def messages(self):
        return [data["message"] for event, _, data in list(self.events) if event is None]

    def named(self, name):
        return [data for event, _, data in list(self.events) if event == name]

    def wait(self, message):
        wait_until(lambda: message in self.messages(), what=lambda: f"{message}: {self.events[-5:]}")
        return self

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.close()
        if self.thread.ident:
            self.thread.join(10)


# --- what is found ---


def test_what_was_logged_comes_back(station):
    odd = ["tab\there", "two\nlines", "cr\rlf\r\n", "nul\0inside", "back\\slash \\n", "", " ", "ü€𝄞\u2028",
           '"quoted" {json: [1]}', "\x01\x1f\x7f"]
    station.deploy("odd.py", "def POST(request):\n"
                             "    for m in request['messages']:\n"
                             "        _logger.warning(m, text=m, list=[m, None], deep={'a': {m: 1.5}})\n"
                             "    return {}\n")
    assert station.post("/objects/odd", {"messages": odd}).status == 200
    found = logs(station, "odd", level="WARNING")["logs"]
    assert [e.get("message", "") for e in found] == odd
    for e, m in zip(found, odd):
        assert (e["text"], e["list"], e["deep"]) == (m, [m, None], {"a": {m: 1.5}})
        assert e["version"] == 1 and e["request_id"]
    for m in odd:
        assert len(logs(station, "odd", text=m)["logs"]) == 1
    assert len(logs(station, "odd", request_id=found[0]["request_id"], level="WARNING")["logs"]) == len(odd)
    stored = (station.data / "logs" / "odd" / "log.tsv").read_bytes()
    assert stored.startswith(HEADER.encode()) and b"\0" not in stored and b"\r" not in stored
    assert len(stored.splitlines()) == 1 + len(odd) + 1  # and the turn's own line


def test_fields_of_any_type_can_be_asked_for(station):
    station.deploy("f.py", "def GET(request):\n"
                           "    _logger.info('it', s='x', i=7, f=2.5, t=True, n=None, big=2**60,\n"
                           "                 a=[1, 'b'], o={'k': 'v'}, zone='00123')\n"
                           "    return {}\n")
    station.get("/objects/f")
    for name, good, bad in (("s", "x", "y"), ("i", "7", "8"), ("i", "7.0", "7.5"), ("f", "2.5", "2"),
                            ("t", "true", "True"), ("n", "null", ""), ("a", '[1,"b"]', "[1]"),
                            ("o", '{"k": "v"}', "{}"), ("zone", "00123", "123"),
                            ("big", str(2**60), str(2**60 + 1)), ("version", "1", "2"),
                            ("message", "it", "i"), ("level", "INFO", "ERROR")):
        query = {name: good, "limit": 5}
        assert "it" in messages(station, "f", **query), (name, good)
        query[name] = bad
        assert "it" not in messages(station, "f", **query), (name, bad)


def test_fields_that_are_no_json(station):
    """Each by itself: the others stay what they are."""
    station.deploy("f.py", """
import datetime
class Bad:
    def __str__(self):
        raise ValueError
    __repr__ = __str__
def GET(request):
    _logger.info('sur \\ud800 x', **{'a\\0b': 'n\\0', 'sur': '\\udc00', 'tab\\t': 1, '': 'nothing', 'ü': 'ä'})
    _logger.info('odd', n=7, nan=float('nan'), deep=[1, float('inf')], bad=Bad(), a_set={1},
                 when=datetime.date(2026, 11, 21), t=(1, None), keys={1: 2, None: 3}, b=b'x')
    _logger.log('event', {(1, 2): 3, 'ok': 4})
    return {}
""")
    assert station.get("/objects/f").status == 200
    found = logs(station, "f", level="INFO")["logs"]
    first, odd, event = found[:3]
    assert first["message"] == "sur \\ud800 x" and first["a\0b"] == "n\0" and first["tab\t"] == 1
    assert first[""] == "nothing" and first["ü"] == "ä" and "sur" in first
    assert odd["n"] == 7 and odd["nan"] == "nan" and odd["deep"] == "[1, inf]" and odd["bad"] == "<Bad>"
    assert odd["a_set"] == "{1}" and odd["when"] == "2026-11-21" and odd["t"] == [1, None]
    assert odd["keys"] == {"1": 2, "null": 3} and odd["b"] == "b'x'"
    assert event["ok"] == 4 and event["(1, 2)"] == 3
    for query in ("a%00b=n%00", "tab%09=1", "%C3%BC=%C3%A4", "n=7", "when=2026-11-21", "ok=4"):
        assert station.get(f"/objects/f?logs=true&{query}").json()["count"] == 1, query


def test_fields_named_like_columns_are_not_lost(station):
    station.deploy("f.py", "def GET(request):\n"
                           "    _logger.log('INFO', 'it', version='mine', request_id='too', fields=1)\n"
                           "    return {}\n")
    station.get("/objects/f")
    it = [e for e in logs(station, "f")["logs"] if e["message"] == "it"][0]
    assert it["version"] == 1 and it["request_id"] != "too"
    assert it["fields"] == {"version": "mine", "request_id": "too", "fields": 1}
    assert messages(station, "f", version="mine") == ["it"]


def test_since_and_until(station):
    station.deploy("t.py", LOUD)
    base = 1700000000
    write_log(station, "t", [line(f"{datetime.datetime.fromtimestamp(base + n, datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"
                                  ".500000Z", f"n{n}") for n in range(10)])
    for since in (str(base + 7), f"{base + 7}.5", "2023-11-14T22:13:27Z", "2023-11-14T22:13:27.5",
                  "2023-11-14 22:13:27", "2023-11-14T23:13:27+01:00"):
        assert messages(station, "t", since=since) == ["n7", "n8", "n9"], since
    assert messages(station, "t", until=base + 2) == ["n0", "n1"]
    assert messages(station, "t", since=base + 3, until=base + 5) == ["n3", "n4"]
    assert messages(station, "t", since="2023-11-14") == [f"n{n}" for n in range(10)]
    assert messages(station, "t", since=base + 20) == []
    # the plus that nobody encoded
    reply = station.get("/objects/t?logs=true&since=2023-11-14T23:13:29+01:00")
    assert [e["message"] for e in reply.json()["logs"]] == ["n9"]


def test_empty_parameters_count_as_not_given(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 3})
    reply = station.get("/objects/t?logs=true&level=&limit=&offset=&since=&until=&follow=&n=1")
    assert [e["message"] for e in reply.json()["logs"]] == ["n1"]


@pytest.mark.parametrize("query,problem,limit", [
    ("level=LOUD", "DEBUG, INFO, WARNING, ERROR, CRITICAL, STDOUT, STDERR", None),
    ("level=ERROR,,INFO", "level must be", None),
    ("limit=0", "1 to 10000", None), ("limit=-1", "1 to 10000", None),
    ("limit=ten", "1 to 10000", None), ("limit=1e3", "1 to 10000", None),
    ("limit=10001", "log.lines_max", "log.lines_max"),
    ("limit=99999999999999999999", "limit must be", None),
    ("offset=-1", "0 or more", None), ("offset=1.5", "0 or more", None),
    ("since=-5", "since must be", None), ("since=soon", "since must be", None),
    ("until=2023-02-30", "until must be", None), ("until=1700000000000", "until must be", None),
    ("limit=1&limit=1", "limit is given twice", None), ("a=1&a=1", "a is given twice", None),
    ("level=INFO&level=INFO", "level is given twice", None), ("logs=true", "logs is given twice", None),
    ("follow=yes", "true or false", None), ("follow=true&offset=1", "offset", None),
    ("follow=true&until=1", "until", None), ("follow=true&limit=-1", "limit must be", None),
    ("limit=5%00", "NUL", None), ("=x", "no name", None),
    ("&".join(f"f{n}=" for n in range(17)), "more than 16", None),
])
def test_mistakes_are_named(shared_logs, query, problem, limit):
    reply = shared_logs.get(f"/objects/quiet?logs=true&{query}")
    assert reply.status == 400, reply
    assert reply.json()["status"] == "error" and problem in reply.json()["error"]
    assert reply.json().get("limit") == limit


@pytest.fixture(scope="module")
def shared_logs(module_station):
    module_station.deploy("quiet.py", "def GET(request):\n    return {}\n")
    return module_station


def test_other_methods_and_head(shared_logs):
    assert shared_logs.request("HEAD", "/objects/quiet?logs=true").status == 200
    reply = shared_logs.request("HEAD", "/objects/quiet?logs=true&follow=true")
    assert reply.status == 200 and reply.headers["content-type"] == "text/event-stream"
    assert reply.body == b""
    assert shared_logs.get("/objects/none?logs=true&follow=true").status == 404


@pytest.mark.parametrize("station", [{"config": {"log": {"lines_max": 50}}}], indirect=True)
def test_limit_has_a_setting(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 80})
    assert messages(station, "t", level="INFO")[-2] == "n79"
    assert logs(station, "t")["count"] == 50
    assert station.get("/objects/t?logs=true&limit=51").json()["limit"] == "log.lines_max"


# --- files ---


def test_files_of_the_earlier_system_are_read(new_station):
    station = new_station()
    old = ("timestamp\tlevel\tmessage\tuser\tamount\tversion\n"
           "2025-10-05T12:00:00.123456\tINFO\tpaid\tada\t12\t1\n"
           "2025-10-05T12:00:01\tERROR\tnot\\npaid\tbob\t\t1\n"
           "1759665602.5\tINFO\tshort\n")
    path = write_log(station, "pay", [old], header="")
    station.put("pay.py", LOUD)
    station.start()
    assert messages(station, "pay") == ["paid", "not\npaid", "short"]
    assert count_of(station, "pay") == 3
    assert messages(station, "pay", user="bob") == ["not\npaid"]
    assert messages(station, "pay", level="ERROR", since="2025-10-05") == ["not\npaid"]
    station.post("/objects/pay", {"from": 0, "to": 2})
    assert messages(station, "pay")[:5] == ["paid", "not\npaid", "short", "n0", "n1"]
    assert logs(station, "pay")["logs"][0]["amount"] == "12"
    kept = list(path.parent.glob("log-*.tsv"))
    assert len(kept) == 1 and kept[0].read_text() == old  # set aside, not touched
    assert path.read_text().startswith(HEADER)
    assert count_of(station, "pay") == len(messages(station, "pay", limit=1000))


ROTATING = {"config": {"log": {"file_max": 20000, "files_max": 5, "turn_lines_per_s": 1000000}}}


@pytest.mark.parametrize("station", [ROTATING], indirect=True)
def test_rotation_and_retention(station):
    station.deploy("r.py", LOUD)
    folder = station.data / "logs" / "r"
    for start in range(0, 3000, 100):
        assert station.post("/objects/r", {"from": start, "to": start + 100}).status == 200
        messages(station, "r")  # writes what has gathered
        count_of(station, "r")
    wait_until(lambda: station.metric("objectd_log_files_removed_total") > 0)
    wait_until(lambda: len(list(folder.glob("log-*.tsv"))) == 5)
    for path in folder.iterdir():
        assert re.fullmatch(r"log(-\d{8}-\d{6})?\.tsv", path.name)
        assert path.read_text().startswith(HEADER)
    found = [e["n"] for e in logs(station, "r", limit=10000)["logs"] if "n" in e]
    assert found == list(range(found[0], 3000))  # the newest, without a hole
    assert 0 < found[0]
    everything = sum(len(p.read_text().splitlines()) - 1 for p in folder.iterdir())
    assert logs(station, "r", limit=10000)["count"] == everything == count_of(station, "r")
    station.restart()
    assert count_of(station, "r") == everything
    assert messages(station, "r", n=found[0]) == [f"n{found[0]}"]


def test_old_logs_of_idle_objects_go_at_the_start(new_station):
    station = new_station(config={"log": {"keep": 86400, "files_max": 3}})
    now = datetime.datetime.now(datetime.timezone.utc)
    stamps = [now - datetime.timedelta(hours=h) for h in (1, 2, 3, 4, 50)]
    names = [f"log-{s:%Y%m%d-%H%M%S}.tsv" for s in stamps]
    for name in names:
        write_log(station, "idle", [line(1700000000, name)], name)
    path = write_log(station, "alone", [line(1600000000, "ancient")], names[4])
    os.utime(write_log(station, "alone", [line(1600000000, "current")]), (0, 0))
    for name in ("idle", "alone"):
        station.put(f"{name}.py", LOUD)
    station.start()
    wait_until(lambda: not path.exists())
    wait_until(lambda: sorted(p.name for p in (station.data / "logs" / "idle").iterdir()) ==
               sorted(names[:3]))
    assert messages(station, "alone") == ["current"]  # log.tsv stays, however old
    assert sorted(messages(station, "idle")) == sorted(names[:3])
    assert station.metric("objectd_log_files_removed_total") == 3


def test_reopen(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 1})
    assert count_of(station, "t") == 2
    path = station.data / "logs" / "t" / "log.tsv"
    moved = station.data / "moved.tsv"
    os.rename(path, moved)
    station.send_signal(signal.SIGUSR1)

    def reopened():
        station.post("/objects/t", {"from": 1, "to": 2})
        messages(station, "t")
        return path.exists()

    wait_until(reopened)
    assert moved.read_text().startswith(HEADER)
    assert count_of(station, "t") == len(path.read_text().splitlines()) - 1
    moved.unlink()


def test_line_count_is_kept_up(station):
    station.deploy("t.py", LOUD)
    assert count_of(station, "t") == 0
    for n in range(1, 4):
        station.post("/objects/t", {"from": 0, "to": 10})
        assert count_of(station, "t") == 11 * n
    station.restart()
    assert count_of(station, "t") == 33


# --- rates and sizes ---


def test_every_turn_is_counted(station):
    """A line each for the first of a second, a sum for the others: together all of them."""
    station.deploy("q.py", "def GET(request):\n    return {}\n")
    calls = scaled(2000)
    with station.client() as client:
        for _ in range(calls):
            assert client.get("/objects/q").status == 200

    def told():
        found = logs(station, "q", limit=10000, level="INFO")["logs"]
        single = [e for e in found if e["message"].startswith("GET ")]
        return len(single) + sum(e["turns"] for e in found if "turns" in e), len(single)

    wait_until(lambda: told()[0] == calls, what=told)
    assert station.metric("objectd_log_turns_summarised_total") == calls - told()[1]
    per_second = {}
    for e in logs(station, "q", limit=10000)["logs"]:
        if e["message"].startswith("GET "):
            second = e["timestamp"][:19]
            per_second[second] = per_second.get(second, 0) + 1
    assert max(per_second.values()) <= 200  # two of our seconds may share one of the clock's


@pytest.mark.parametrize("station", [{"config": {"log": {"object_lines_per_s": 50}}}], indirect=True)
def test_drops_are_counted_everywhere(station):
    station.deploy("l.py", "def GET(request):\n"
                           "    for n in range(1000):\n"
                           "        print('out', n)\n"
                           "        _logger.info('line', n=n)\n"
                           "    return {}\n")
    assert station.get("/objects/l").status == 200

    def told():
        found = logs(station, "l", limit=10000)["logs"]
        kept = [e for e in found if e["level"] == "STDOUT" or e["message"] == "line"]
        return len(kept) + sum(e["dropped"] for e in found if "dropped" in e)

    wait_until(lambda: told() == 2000, what=told)
    dropped = station.metric("objectd_log_lines_dropped_total")
    assert dropped >= 1000 and dropped == station.status()["logs"]["dropped"]


def test_long_lines_are_cut_and_say_so(station):
    station.deploy("l.py", "def GET(request):\n"
                           "    _logger.info('é' * 50000)\n"
                           "    _logger.info('fields', big='x' * 100000)\n"
                           "    print('p' * 200000)\n"
                           "    print('after')\n"
                           "    return {}\n")
    assert station.get("/objects/l").status == 200
    wait_until(lambda: "after" in messages(station, "l"))
    found = {e["message"][:1]: e for e in logs(station, "l")["logs"]}
    assert found["é"]["message"] == "é" * 32768 + "… [cut: 34464 bytes more than log.line_max]"
    assert found["p"]["message"] == "p" * 65536 + "… [cut: 134464 bytes more than log.line_max]"
    assert found["f"]["limit"] == "log.line_max" and found["f"]["fields_dropped_bytes"] > 100000


# --- the disk ---


def test_turns_go_on_while_lines_find_no_room(station):
    """A file where the folder should be stands for a full disk: no line can be written."""
    station.allow(r"log of t")
    (station.data / "logs").write_text("in the way")
    station.deploy("t.py", LOUD)
    assert station.post("/objects/t", {"from": 0, "to": 5}).status == 200
    wait_until(lambda: station.metric("objectd_log_lines_lost_total") == 6)
    with Follower(station, "t", "&limit=0") as follower:  # which needs no file
        wait_until(lambda: follower.comments)
        assert station.post("/objects/t", {"from": 5, "to": 6}).status == 200
        follower.wait("n5")
    wait_until(lambda: station.status()["logs"]["lost"] == 8)
    (station.data / "logs").unlink()
    assert station.post("/objects/t", {"from": 6, "to": 7}).status == 200
    wait_until(lambda: any(e.get("lost", 0) >= 6 for e in logs(station, "t")["logs"]))
    assert "n6" in messages(station, "t") and "n5" not in messages(station, "t")
    assert len(station.logged("log of t")) == 1  # the operator was told once


@pytest.fixture
def small_logs(tmp_path):
    """data/logs on a file system of one megabyte: it is full before the journal is."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    point = tmp_path / "station" / "data" / "logs"
    point.mkdir(parents=True)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", point], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"no tmpfs: {e}")
    yield point
    subprocess.run(["umount", point], capture_output=True, check=False)


def test_a_full_disk(small_logs, new_station):
    station = new_station(folder=small_logs.parents[1]).start()
    station.allow(r"log of t: No space left")
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 100})
    assert messages(station, "t", n=99)
    filler = small_logs / "filler"
    with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)
    for start in range(100, 1100, 100):
        assert station.post("/objects/t", {"from": start, "to": start + 100}).status == 200
        messages(station, "t", limit=1)  # the log can be read all the same
    lost = station.metric("objectd_log_lines_lost_total")
    assert 0 < lost <= 1010
    assert len(station.logged("log of t")) == 1
    filler.unlink()
    station.post("/objects/t", {"from": 2000, "to": 2001})
    wait_until(lambda: [e["lost"] for e in logs(station, "t")["logs"] if "lost" in e] == [lost])
    found = [e["n"] for e in logs(station, "t", limit=10000)["logs"] if "n" in e]
    assert found[:100] == list(range(100)) and found[-1] == 2000
    for text in (small_logs / "t" / "log.tsv").read_text().splitlines():
        assert text.count("\t") == 5  # nothing half written
    assert count_of(station, "t") == logs(station, "t", limit=10000)["count"]
    assert station.stop() == 0
    station.verify_data()


# --- searches ---


def big_log(station, object_id, megabytes):
    pad = "x" * 900
    with open(write_log(station, object_id, []), "a") as f:
        for n in range(megabytes * 1000):
            f.write(line(f"{1700000000 + n}.5", pad, fields=f'{{"n":{n}}}'))


def test_a_long_search_holds_nothing_up(station):
    station.deploy("big.py", LOUD)
    station.deploy("s.py", "def POST(request):\n    _state_manager.set('k', 1)\n    return {}\n")
    station.post("/objects/s")
    big_log(station, "big", scaled(100))

    def views_meanwhile():
        answers = []
        thread = threading.Thread(target=lambda: answers.append(logs(station, "big", nobody="x")))
        thread.start()
        views = 0
        while thread.is_alive():
            assert station.state("s") == {"k": 1}
            assert messages(station, "big", limit=1)
            views += 1
        thread.join()
        assert answers[0]["logs"] == [] and "complete" not in answers[0]
        return views

    wait_until(lambda: views_meanwhile() >= 3)  # who asks may be held up himself


SMALL_SEARCHES = {"config": {"log": {"search_max": 1000000, "answer_max": 65536, "searches_max": 1}}}


@pytest.mark.parametrize("station", [SMALL_SEARCHES], indirect=True)
def test_a_search_that_is_too_long_says_where_it_came_to(station):
    station.deploy("big.py", LOUD)
    big_log(station, "big", 5)
    answer = logs(station, "big", n=3)
    assert answer["logs"] == [] and answer["complete"] is False
    assert answer["limit"] == "log.search_max"
    rounds = 0
    while not answer["logs"]:
        answer = logs(station, "big", n=3, until=answer["searched_to"])
        rounds += 1
        assert rounds < 20
    assert rounds >= 4 and answer["logs"][0]["n"] == 3
    full = logs(station, "big", limit=10000)
    assert full["limit"] == "log.answer_max" and 50 < full["count"] < 100


@pytest.mark.parametrize("station", [SMALL_SEARCHES], indirect=True)
def test_searches_at_a_time_are_limited(station):
    station.deploy("t.py", LOUD)
    assert station.get("/objects/t").status == 200  # what loads it may need the scribe
    scribe = station.children("scribe")[0].pid
    os.kill(scribe, signal.SIGSTOP)
    try:
        with station.connect() as s:
            s.sendall(b"GET /objects/t?logs=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(lambda: station.status()["logs"]["searches"] == 1)
            reply = station.get("/objects/t?logs=true")
            assert reply.status == 503 and reply.json()["limit"] == "log.searches_max"
            assert "retry-after" in reply.headers
            os.kill(scribe, signal.SIGCONT)
            assert read_reply(s).status == 200
    finally:
        os.kill(scribe, signal.SIGCONT)
    assert station.get("/objects/t?logs=true").status == 200


# --- followers ---


def test_follow_shows_the_newest_and_what_comes(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 5})
    with Follower(station, "t", "&limit=3") as follower:
        wait_until(lambda: len(follower.messages()) == 3)
        assert follower.head.startswith(b"HTTP/1.1 200")
        assert follower.messages()[:2] == ["n3", "n4"]
        station.post("/objects/t", {"from": 5, "to": 8})
        follower.wait("n7")
        assert [m for m in follower.messages() if m[0] == "n"] == [f"n{n}" for n in range(3, 8)]
        shown = [data for _, _, data in follower.events][-4:]
        assert shown == [e for e in logs(station, "t")["logs"]][-len(shown):] or shown[0]["n"] == 5
        assert station.metric("objectd_log_followers") == 1
    wait_until(lambda: station.metric("objectd_log_followers") == 0)


def test_follow_with_filters(station):
    station.deploy("t.py", "def POST(request):\n"
                           "    _logger.info('quiet', who=request['who'])\n"
                           "    _logger.error('loud', who=request['who'])\n"
                           "    print('printed')\n"
                           "    return {}\n")
    station.post("/objects/t", {"who": "ada"})
    with Follower(station, "t", "&level=ERROR,STDOUT") as levels, \
            Follower(station, "t", "&who=bob&limit=0") as field:
        station.post("/objects/t", {"who": "ada"})
        station.post("/objects/t", {"who": "bob"})
        field.wait("loud")
        # What is printed comes another way than what is logged: of the two either may be first.
        wait_until(lambda: [levels.messages().count(m) for m in ("printed", "loud")] == [3, 3])
        assert "quiet" not in levels.messages()
        assert field.messages() == ["quiet", "loud"]
        assert all(data["who"] == "bob" for _, _, data in field.events)


def test_no_line_is_lost_or_doubled_at_the_seam(station):
    """Followers come while lines are written, and files rotated."""
    station.stop()
    station.config = {"log": {"file_max": 30000, "object_lines_per_s": 10000000,
                              "turn_lines_per_s": 0}}
    station.start()
    station.deploy("t.py", LOUD)
    stop = threading.Event()
    written = [0]

    def write():
        while not stop.is_set():
            station.post("/objects/t", {"from": written[0], "to": written[0] + 20})
            written[0] += 20

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(scaled(30)):
            wait_until(lambda n=n: written[0] > 40 * n)
            with Follower(station, "t", "&limit=50") as follower:
                wait_until(lambda f=follower: len(f.messages()) > 200)
            seen = [data["n"] for _, _, data in follower.events if "n" in data]
            assert seen == list(range(seen[0], seen[0] + len(seen))), seen
    finally:
        stop.set()
        writer.join()
    assert station.metric("objectd_log_lines_skipped_total") == 0


@pytest.mark.parametrize("rotations", [0, 1, 3])
def test_the_seam_where_the_scribe_is_late(new_station, rotations):
    """It searches when the new lines are in the file too, and the file has another name."""
    station = new_station(config={"log": {"file_max": 20000 if rotations else 10**7}}).start()
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 10})
    folder = station.data / "logs" / "t"
    wait_until(lambda: any("n9" in p.read_text() for p in folder.glob("log.tsv")))
    scribe = station.children("scribe")[0].pid
    os.kill(scribe, signal.SIGSTOP)
    try:
        with Follower(station, "t") as follower:
            wait_until(lambda: follower.comments)
            last = 10

            def enough():
                nonlocal last
                station.post("/objects/t", {"from": last, "to": last + 100})
                last += 100
                files = list(folder.glob("log-*.tsv"))
                text = "".join(p.read_text() for p in [*files, *folder.glob("log.tsv")])
                return len(files) >= rotations and f"\tn{last - 200}\t" in text

            wait_until(enough)
            os.kill(scribe, signal.SIGCONT)
            follower.wait(f"n{last - 1}")
        seen = [data["n"] for _, _, data in follower.events if "n" in data]
        assert seen == list(range(last))
    finally:
        os.kill(scribe, signal.SIGCONT)


def test_a_reader_that_comes_back_goes_on_where_it_was(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 3})
    with Follower(station, "t") as follower:
        follower.wait("n2")
    last = [e for e in follower.events if e[2]["message"] == "n1"][0][1]
    station.post("/objects/t", {"from": 3, "to": 200})
    with Follower(station, "t", "&limit=1", {"Last-Event-ID": last}) as follower:
        follower.wait("n199")
        station.post("/objects/t", {"from": 200, "to": 201})
        follower.wait("n200")
    assert [m for m in follower.messages() if m[0] == "n"] == [f"n{n}" for n in range(2, 201)]
    for bad in ("x", "-1", "1 2", "99999999999999999999999"):
        reply = station.get("/objects/t?logs=true&follow=true", headers={"Last-Event-ID": bad})
        assert reply.status == 400 and "Last-Event-ID" in reply.json()["error"]


@pytest.mark.parametrize("station", [{"config": {"log": {"follow_heartbeat": 0.1}}}], indirect=True)
def test_heartbeats(station):
    station.deploy("t.py", LOUD)
    with Follower(station, "t") as follower:
        wait_until(lambda: follower.comments > 4)
        assert follower.events == []


SLOW = {"config": {"log": {"follow_buffer_max": 100000, "object_lines_per_s": 10000000}}}


@pytest.mark.parametrize("station", [SLOW], indirect=True)
def test_a_slow_reader_is_told_what_it_missed(station):
    station.deploy("t.py", "def POST(request):\n"
                           "    for n in range(int(request['from']), int(request['to'])):\n"
                           "        _logger.info('x' * 1000, n=n)\n    return {}\n")
    before = station.rss()
    with Follower(station, "t", "&limit=0&level=INFO", read=False) as follower:
        sent = 0
        while station.metric("objectd_log_lines_skipped_total") < 1000:
            assert station.post("/objects/t", {"from": sent, "to": sent + 500}).status == 200
            sent += 500
        assert station.rss() < before + 30e6 * PATIENCE
        follower.start()

        def caught_up():
            station.post("/objects/t", {"from": sent, "to": sent + 1})
            return any(e[2].get("n") == sent for e in follower.events)

        wait_until(caught_up)
        follower.wait(last := messages(station, "t", level="INFO")[-1])
        wait_until(lambda: follower.messages()[-1] == last)
    skipped = sum(e["lines"] for e in follower.named("skipped"))
    assert follower.named("skipped")[0]["limit"] == "log.follow_buffer_max"
    assert skipped == station.metric("objectd_log_lines_skipped_total")
    assert skipped == station.status()["logs"]["skipped"]
    seen = [data["n"] for event, _, data in follower.events if event is None and "n" in data]
    assert seen == sorted(seen)
    everything = logs(station, "t", limit=10000, level="INFO")["logs"]
    if len(everything) < 10000:
        assert len(follower.messages()) + skipped == len(everything)


@pytest.mark.parametrize("station", [{"config": {**SLOW["config"], "http": {"keepalive_timeout": 1}}}],
                         indirect=True)
def test_a_reader_that_takes_nothing_is_dropped(station):
    station.deploy("t.py", "def POST(request):\n    for n in range(500):\n"
                           "        _logger.info('x' * 1000, n=n)\n    return {}\n")
    with Follower(station, "t", read=False):
        while station.metric("objectd_log_lines_skipped_total") < 1000:
            assert station.post("/objects/t").status == 200
        wait_until(lambda: station.metric("objectd_log_followers") == 0)


def test_what_replicas_print_is_seen(station):
    station.deploy("r.py", "__endpoint__ = {'stateless': True, 'workers': 3}\n"
                           "import os\ndef GET(request):\n    print('by', os.getpid())\n"
                           "    return {'pid': os.getpid()}\n")
    first = station.get("/objects/r").json()["pid"]
    wait_until(lambda: len(station.workers()) == 3)
    with station.client() as client:
        pids = [client.get("/objects/r").json()["pid"] for _ in range(50)]
        found = messages(station, "r", level="STDOUT")
        assert sorted(found) == sorted(f"by {p}" for p in [first, *pids])


def test_a_turn_cannot_follow(station):
    station.deploy("t.py", "def GET(request):\n    return _logger.get_logs(limit=1, follow='true')\n")
    reply = station.get("/objects/t")
    assert reply.status >= 400 and "follow" in reply.text


@pytest.mark.parametrize("station", [{"config": {"log": {"followers_max": 2}}}], indirect=True)
def test_followers_are_limited(station):
    station.deploy("t.py", LOUD)
    station.deploy("u.py", LOUD)
    with Follower(station, "t") as one, Follower(station, "u") as two:
        wait_until(lambda: one.comments and two.comments)
        reply = station.get("/objects/t?logs=true&follow=true")
        assert reply.status == 503 and reply.json()["limit"] == "log.followers_max"
        assert station.get("/objects/t?logs=true").status == 200
    wait_until(lambda: station.metric("objectd_log_followers") == 0)
    with Follower(station, "t") as again:
        wait_until(lambda: again.comments)


def test_follow_ends_when_the_object_goes(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 1})
    with Follower(station, "t") as follower:
        follower.wait("n0")
        (station.objects / "t.py").unlink()
        wait_until(lambda: follower.ended)
        assert follower.named("end") == [{"reason": "the object is gone"}]


def test_follow_ends_when_the_station_stops(station):
    station.deploy("t.py", LOUD)
    station.post("/objects/t", {"from": 0, "to": 1})
    with Follower(station, "t") as follower:
        follower.wait("n0")
        assert station.stop() == 0
        wait_until(lambda: follower.ended)
        assert follower.named("end") == [{"reason": "the station stops"}]


@pytest.mark.parametrize("station", [SLOW], indirect=True)
def test_a_reader_that_hangs_does_not_hold_the_stop_up(station):
    station.deploy("t.py", "def POST(request):\n    for n in range(500):\n"
                           "        _logger.info('x' * 1000, n=n)\n    return {}\n")
    with Follower(station, "t", read=False):
        while station.metric("objectd_log_lines_skipped_total") < 1000:
            assert station.post("/objects/t").status == 200
        began = time.monotonic()
        assert station.stop() == 0
        assert time.monotonic() - began < 10 * PATIENCE  # workers.stop_timeout is 30


def test_follow_sees_what_a_dying_worker_said(station):
    station.allow("killed|exited|died|crash")
    station.deploy("t.py", "import os\ndef POST(request):\n    print('last words', flush=True)\n"
                           "    _logger.error('very last')\n    os._exit(1)\n")
    with Follower(station, "t") as follower:
        wait_until(lambda: follower.comments)
        assert station.post("/objects/t").status == 502
        follower.wait("last words").wait("very last")


def test_follow_outlives_the_scribe(station):
    station.allow("objectd-scribe")
    station.deploy("t.py", LOUD)
    with Follower(station, "t") as follower:
        wait_until(lambda: follower.comments)
        station.post("/objects/t", {"from": 0, "to": 1})
        follower.wait("n0")
        os.kill(station.children("scribe")[0].pid, signal.SIGKILL)
        wait_until(lambda: station.logged("objectd-scribe died"))
        station.post("/objects/t", {"from": 1, "to": 2})
        follower.wait("n1")
    wait_until(lambda: station.children("scribe"))


def test_a_search_that_nobody_waits_for_stops(station):
    """The follower that asked for it has gone: the scribe is told, and reads no further."""
    station.deploy("big.py", LOUD)
    big_log(station, "big", 20)
    with Follower(station, "big", "&nobody=x") as follower:
        wait_until(lambda: follower.comments)
    wait_until(lambda: station.status()["logs"]["searches"] == 0)
    scribe = station.children("scribe")[0].pid

    def bytes_read():
        return int(re.search(r"rchar: (\d+)", Path(f"/proc/{scribe}/io").read_text()).group(1))

    before = bytes_read()
    os.kill(scribe, signal.SIGSTOP)
    try:
        for _ in range(5):
            with Follower(station, "big", "&nobody=x") as follower:
                wait_until(lambda f=follower: f.comments)
        wait_until(lambda: station.metric("objectd_log_followers") == 0)
        assert station.status()["logs"]["searches"] == 5
    finally:
        os.kill(scribe, signal.SIGCONT)
    wait_until(lambda: station.status()["logs"]["searches"] == 0)
    assert bytes_read() - before < 20e6  # five searches would read 100 MB
