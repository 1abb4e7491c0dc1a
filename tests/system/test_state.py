# SPDX-License-Identifier: Apache-2.0
"""State: every JSON value and any text, through restart and kill -9; checkpoints; legacy files."""

import json
import math
import os
import re

import pytest
from station import scaled, wait_until

STORE = """
def POST(request):
    for k, v in request.json['set']:
        _state_manager.set(k, v)
    for k in request.json.get('delete', []):
        _state_manager.delete(k)
    return {'n': len(_state_manager)}

def GET(request):
    return {'items': [[k, v] for k, v in sorted(_state_manager.items())]}
"""

TEXTS = ["", "plain", "00123", "1e5", "true", "null", "tab\there", "nl\nhere", "cr\rhere", "nul\0here",
         "back\\slash", "\\t literal", "\\", "quote\"s", "'", "ü", "日本語", "😀", "\u2028\u2029",
         "\ufeff", "\x7f", "\x01\x1f", "e\u0301", " lead", "trail ", "\\n\\0\\x", "#objectd-state 1",
         "{}", "a" * 5000, "\U0010ffff"]
VALUES = [None, True, False, 0, -1, 1, 2**53, -(2**63), 10**30, 0.0, -0.0, 0.1, 1e300, 5e-324,
          1.7976931348623157e308, [], {}, [[]], [None, True, {"a": []}], {"": "", "ü": [1.5, "x\ty"]},
          {"deep": {"er": {"est": [1, [2, [3]]]}}}, list(range(200)), *TEXTS]


def pairs():
    made = [[f"v{n}", v] for n, v in enumerate(VALUES)]
    made += [[text, n] for n, text in enumerate(TEXTS) if text]  # as keys too; keys are not empty
    return made


def same(a, b):
    """Equal with types, signs of zero included."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def items(station):
    return {k: v for k, v in station.get("/objects/store").json()["items"]}


@pytest.mark.parametrize("end", ["stop", "kill", "kill after checkpoint"])
def test_values_round_trip(new_station, end):
    station = new_station(config={"state": {"checkpoint_idle": 0.05 if "check" in end else 3600,
                                            "checkpoint_max": 3600}}).start()
    station.deploy("store.py", STORE)
    want = dict(map(tuple, pairs()))
    assert station.post("/objects/store", {"set": pairs()}).json() == {"n": len(want)}
    assert same(items(station), want)
    assert same(station.state("store"), want)
    if "check" in end:
        wait_until(lambda: checkpoint_keys(station) == len(want))
    station.kill9() if "kill" in end else station.stop()
    station.start()
    assert same(station.state("store"), want)  # before any worker runs
    assert same(items(station), want)
    # overwrite and delete half of it, over the checkpoint or the journal
    gone = [k for n, k in enumerate(want) if n % 2]
    assert station.post("/objects/store", {"set": [["v0", "new"]], "delete": gone}).status == 200
    want = {k: v for k, v in want.items() if k not in gone}
    want["v0"] = "new"
    station.kill9() if "kill" in end else station.stop()
    station.start()
    assert same(items(station), want)
    assert same(station.state("store"), want)


def checkpoint_path(station, object_id="store"):
    return station.data / "state" / object_id / "state.tsv"


def checkpoint_keys(station, object_id="store"):
    try:
        lines = checkpoint_path(station, object_id).read_bytes().split(b"\n")[1:]
    except OSError:
        return None
    return sum(1 for line in lines if line and line.split(b"\t")[1])


ESCAPES = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r", "\\0": "\0"}


def unescape(field):
    return re.sub(r"\\[\\tnr0]", lambda m: ESCAPES[m.group()], field)


def test_checkpoint_file(new_station):
    """The file as data-format.md has it: header, escaped fields, sorted by key, JSON values."""
    station = new_station(config={"state": {"checkpoint_idle": 0.05}}).start()
    station.deploy("store.py", STORE)
    station.post("/objects/store", {"set": [["gone", 1]]})
    station.post("/objects/store", {"set": pairs(), "delete": ["gone"]})
    want = dict(map(tuple, pairs()))
    wait_until(lambda: checkpoint_keys(station) == len(want))
    text = checkpoint_path(station).read_bytes().decode()
    lines = text.split("\n")
    assert lines[-1] == "" and re.fullmatch(r"#objectd-state 1 seq=\d+", lines[0])
    rows = [line.split("\t") for line in lines[1:-1]]
    keys = [unescape(row[0]) for row in rows]
    assert [k.encode() for k in keys] == sorted(k.encode() for k in keys)
    found = {unescape(row[0]): json.loads(unescape(row[1])) for row in rows if row[1]}
    assert same(found, want)
    for row in rows:
        assert re.fullmatch(r"\d+\.\d{6}", row[2]), row
    assert checkpoint_path(station).stat().st_mode & 0o777 == 0o600
    assert checkpoint_path(station).parent.stat().st_mode & 0o777 == 0o700


def test_clean_stop_checkpoints(station):
    station.deploy("store.py", STORE)
    station.post("/objects/store", {"set": [["a", 1], ["b", "x\ty"]]})
    assert station.stop() == 0
    assert checkpoint_keys(station) == 2
    station.start()
    assert station.state("store") == {"a": 1, "b": "x\ty"}


def test_legacy_state_file(new_station):
    """The earlier system's file: bare text, numbers where canonical."""
    station = new_station()
    folder = station.data / "state" / "store"
    folder.mkdir(parents=True)
    (folder / "state.tsv").write_text(
        "count\t42\t1700000000.5\n"
        "name\tplain text\t1700000000.5\n"
        "zeros\t00123\t1700000000.5\n"
        "float\t1.5\t1700000000.5\n"
        "exp\t1e5\t1700000000.5\n"
        "neg\t-7\t1700000000.5\tstation1\n"
        "plus\t+7\t1700000000.5\n"
        "bool\tTrue\t1700000000.5\n"
        "esc\ta\\tb\\nc\\\\d\t1700000000.5\n"
        "uni\tü😀\t1700000000.5\textra\tcolumns\tare\tignored\n")
    station.put("store.py", STORE)
    station.start()
    want = {"count": 42, "name": "plain text", "zeros": "00123", "float": 1.5, "neg": -7,
            "plus": "+7", "esc": "a\tb\nc\\d", "uni": "ü😀"}
    state = station.state("store")
    assert {k: state[k] for k in want} == want
    assert state["exp"] in (100000.0, "1e5") and state["bool"] in ("True", True)
    assert items(station) == state
    # written in the new form from then on
    station.post("/objects/store", {"set": [["count", 43]]})
    station.restart()
    assert checkpoint_path(station).read_text().startswith("#objectd-state 1 seq=")
    assert station.state("store") == {**state, "count": 43}
    assert type(items(station)["zeros"]) is str


def test_state_written_by_hand(new_station):
    """Unsorted, with a header of columns or without a last newline: taken whole."""
    station = new_station()
    folder = station.data / "state" / "store"
    folder.mkdir(parents=True)
    (folder / "state.tsv").write_text("z\t1\t1\na\ttwo\t1\nm\t3\t1")
    station.put("store.py", STORE)
    station.start()
    assert station.state("store") == {"z": 1, "a": "two", "m": 3}
    assert items(station) == {"z": 1, "a": "two", "m": 3}


def test_deleted_key_does_not_come_back(new_station):
    station = new_station(config={"state": {"checkpoint_idle": 0.05}}).start()
    station.deploy("store.py", STORE)
    station.post("/objects/store", {"set": [["a", 1], ["b", 2]]})
    wait_until(lambda: checkpoint_keys(station) == 2)
    station.post("/objects/store", {"set": [], "delete": ["a"]})
    wait_until(lambda: checkpoint_keys(station) == 1)
    for _ in range(2):
        station.kill9()
        station.start()
        assert station.state("store") == {"b": 2} == items(station)


def test_state_manager(station):
    """Every method, in one object that asserts for itself."""
    station.deploy("all.py", r"""
def POST(request, _state_manager):
    s = _state_manager
    assert s.get('x') is None and s.get('x', 5) == 5 and 'x' not in s and len(s) == 0
    s.set('x', 1); s['y'] = 'two'
    assert s['x'] == 1 and s.get('y') == 'two' and 'y' in s and len(s) == 2
    assert s.get_all() == {'x': 1, 'y': 'two'}
    assert sorted(s.keys()) == ['x', 'y'] and list(s.keys('y')) == ['y'] and list(s.keys('z')) == []
    assert sorted(s.items()) == [('x', 1), ('y', 'two')]
    s.delete('y'); s.delete('never')
    assert 'y' not in s
    s['y'] = 3
    del s['y']
    assert len(s) == 1
    for bad in ('y', 'never'):
        try:
            s[bad]
            assert False
        except KeyError:
            pass
    assert s.increment('n') == 1 and s.increment('n', 5) == 6 and s.increment('n', -2) == 4
    assert s.increment('f', 0.5) == 0.5 and s.increment('f') == 1.5
    assert type(s.increment('n', 10**30)) is int
    s.set('text', '5')
    for key, by in (('text', 1), ('n', '1'), ('n', None), ('n', [])):
        try:
            s.increment(key, by)
            assert False, (key, by)
        except TypeError:
            pass
    s.set('b', True)
    assert s.get('b') is True
    s.set('tuple', (1, (2,))); assert s.get('tuple') == [1, [2]]
    s.set('keys', {2: 'a', None: 'b', True: 'c'}); assert s.get('keys') == {'2': 'a', 'null': 'b', 'true': 'c'}
    s.set('sub', {'a': 1})
    for bad in (object(), {1, 2}, b'bytes', float('nan'), float('inf'), [float('-inf')], 3j):
        before = s.get_all()
        try:
            s.set('bad', bad)
            assert False, bad
        except (TypeError, ValueError):
            pass
        assert s.get_all() == before
    for key in ('', 5, None, b'k'):
        try:
            s.set(key, 1)
            assert False, key
        except (TypeError, ValueError, KeyError):
            pass
    circular = []
    circular.append(circular)
    for bad in (circular,):
        try:
            s.set('bad', bad)
            assert False
        except (TypeError, ValueError, RecursionError):
            pass
    assert 'bad' not in s
    s.set('surrogate', '\ud800x'); assert s.get('surrogate') == '\ud800x'  # as json.dumps has it
    class D(dict): pass
    class I(int): pass
    s.set('subclass', D(a=I(3))); assert s.get('subclass') == {'a': 3}
    return 'ok'
""")
    reply = station.post("/objects/all")
    assert reply.text == "ok", reply


def test_deep_values_end_at_one_limit(station):
    """An object that raises Python's own limit cannot store what no one could read any more."""
    station.deploy("deep.py", """
import sys
sys.setrecursionlimit(20000)
def POST(request):
    value = []
    for _ in range(int(request['depth']) - 1):
        value = [value]
    _state_manager.set('value', value)
    return {}
""")
    assert station.post("/objects/deep", {"depth": 1000}).status == 200
    deepest = station.get("/objects/deep?state=true")
    for depth in (1100, 5000):
        refused = station.post("/objects/deep", {"depth": depth})
        assert refused.status == 500 and "nested too deeply" in refused.json()["error"]
    assert station.get("/objects/deep?state=true").body == deepest.body


@pytest.mark.parametrize("station", [{"config": {"state": {"durability": "none"}}}], indirect=True)
def test_increments(station):
    station.deploy("inc.py", "def POST(request):\n    return _state_manager.increment('n', request['by'])\n")
    with station.client() as client:
        for n in range(1, scaled(500, 50)):
            assert client.post("/objects/inc", {"by": 1}).json() == n
        big = client.post("/objects/inc", {"by": 2**63}).json()
        assert big == n + 2**63
        value = client.post("/objects/inc", {"by": 0.5}).json()
        assert math.isclose(value, big + 0.5)
        assert client.post("/objects/inc", {"by": "x"}).status == 500
    assert station.restart().state("inc")["n"] == value


def test_big_value_and_many_keys(station):
    station.deploy("store.py", STORE)
    blob = "ü" * 1000000
    assert station.post("/objects/store", {"set": [["blob", blob]]}).status == 200
    many = [[f"key{n:06d}", {"n": n}] for n in range(scaled(20000, 2000))]
    assert station.post("/objects/store", {"set": many}).status == 200
    station.kill9()
    station.start()
    state = station.state("store")
    assert state.pop("blob") == blob and state == dict(map(tuple, many))
    assert len(items(station)) == len(many) + 1


def test_one_state_per_object(station):
    for name in ("a.py", "b.py"):
        station.deploy(name, STORE)
    station.post("/objects/a", {"set": [["k", "a"]]})
    station.post("/objects/b", {"set": [["k", "b"]]})
    station.kill9()
    station.start()
    assert station.state("a") == {"k": "a"} and station.state("b") == {"k": "b"}


@pytest.mark.parametrize("station", [{"config": {"workers": {"idle_timeout": 0.3}}}], indirect=True)
def test_idle_object_leaves_and_comes_back(station):
    station.deploy("store.py", STORE)
    station.post("/objects/store", {"set": [["k", 1]]})
    wait_until(lambda: not station.workers())
    assert items(station) == {"k": 1}


def test_durability_modes(new_station):
    for mode in ("none", "interval"):
        station = new_station(config={"state": {"durability": mode, "sync_interval": 0.05}}).start()
        station.deploy("store.py", STORE)
        reply = station.post("/objects/store", {"set": [["k", mode]]})
        assert reply.headers["x-durability"] == mode
        station.kill9()  # the kernel still has it: only power loss may lose it
        station.start()
        assert station.state("store") == {"k": mode}


def test_small_segments_roll_and_are_trimmed(new_station):
    """Many segments; checkpoints let the old ones go; everything is still there."""
    station = new_station(config={"state": {"segment_size": 65536, "checkpoint_idle": 0.1,
                                            "journal_max": 262144},
                                  "limits": {"turn_writes_max": 65536}}).start()
    station.deploy("store.py", STORE)
    count = scaled(400, 100)
    with station.client() as client:
        for n in range(count):
            reply = client.post("/objects/store", {"set": [[f"k{n % 50}", "x" * 2000 + str(n)]]})
            assert reply.status == 200, reply
    want = {f"k{n % 50}": "x" * 2000 + str(n) for n in range(count)}

    def journal_size():
        return sum(p.stat().st_size for p in (station.data / "journal").iterdir())

    wait_until(lambda: journal_size() <= 4 * 65536 + 65536, what=lambda: journal_size())
    assert station.state("store") == want
    station.kill9()
    station.start()
    assert station.state("store") == want


def test_read_only_state_folder_is_no_lost_data(station):
    """A checkpoint that cannot be written costs nothing but a warning."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    station.allow("checkpoint")
    station.deploy("store.py", STORE)
    (station.data / "state").mkdir(exist_ok=True)
    os.chmod(station.data / "state", 0o500)
    station.post("/objects/store", {"set": [["k", 1]]})
    station.kill9()
    os.chmod(station.data / "state", 0o700)
    station.start()
    assert station.state("store") == {"k": 1}


@pytest.mark.parametrize("damage", ["folder", "first line"])
def test_an_unreadable_checkpoint_refuses_its_object_only(station, damage):
    """The station starts, the others serve, and nothing is lost once the file is repaired."""
    station.allow(r"state\.tsv", "object bad is refused", "bad.py does not load")
    for name in ("bad", "good"):
        station.deploy(f"{name}.py", "def GET(request):\n    return _state_manager.get('n')\n"
                                     "def PUT(request):\n    return _state_manager.increment('n')\n")
        assert station.request("PUT", f"/objects/{name}").json() == 1
    station.kill9()
    path = station.data / "state" / "bad" / "state.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if damage == "folder":
        path.mkdir()
    else:
        path.write_text("#objectd-state 1 seq=x\n")
    assert station.objectctl("check", str(station.data)).returncode != 0
    station.start()
    assert station.request("PUT", "/objects/good").json() == 2
    reply = station.request("PUT", "/objects/bad")
    assert reply.status == 500 and "its state cannot be read" in reply.json()["error"], reply
    assert "state/bad/state.tsv" in reply.json()["error"]
    assert station.stop() == 0
    if damage == "folder":
        path.rmdir()
    else:
        path.unlink()
    station.start()
    assert station.request("PUT", "/objects/bad").json() == 2
    assert station.get("/objects/good").json() == 2


def test_an_empty_checkpoint_counts_as_none(station):
    station.deploy("a.py", "def PUT(request):\n    return _state_manager.increment('n')\n")
    assert station.request("PUT", "/objects/a").json() == 1
    station.kill9()
    path = station.data / "state" / "a" / "state.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    done = station.objectctl("check", str(station.data))
    assert done.returncode == 0 and "state/a/state.tsv is empty" in done.stdout + done.stderr, done
    station.start()
    assert station.request("PUT", "/objects/a").json() == 2
