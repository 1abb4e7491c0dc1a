# SPDX-License-Identifier: Apache-2.0
"""The way of a new version to serving: health(), the state handed over, migrate_state(), the switch;
and that the old one goes on wherever something fails."""

import itertools
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from station import PATIENCE, wait_until
from test_versions import FAILPOINT_BUILD, on_disk, put, says, value_of, versions, wait_value

COUNTER = """
def GET(request):
    return {"value": 1, "state": _state.get_all()}

def POST(request):
    return {"n": _state.increment("n")}
"""


def second(**functions):
    """Version 2 of COUNTER, with more functions in it."""
    return COUNTER.replace('"value": 1', '"value": 2') + "\n".join(functions.values())


def state(station, object_id="o"):
    return station.get(f"/objects/{object_id}?state=true").json()["state"]


def newest(station, object_id="o"):
    return versions(station, object_id)[0]


# --- health() ---


@pytest.mark.parametrize("code", ["def health(): return True", "async def health(): return True",
                                  "def health(_state, x=1): return _state.get('n') == 1",
                                  "def health(hp, damage): raise ValueError"],
                         ids=["sync", "async", "reads state", "the object's own"])
def test_healthy(station, code):
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    assert put(station, "o", second(health=code)).status == 200
    assert value_of(station, "o") == 2


@pytest.mark.parametrize("code, why", [
    ("def health(): return False", r"health\(\) returned False$"),
    ("async def health(): return False", r"health\(\) returned False$"),
    ("def health(): pass", r"health\(\) returned None, not True or False"),
    ("def health(): return 1", r"health\(\) returned 1, not True or False"),
    ("def health():\n    raise ValueError('no database')", "health.* raised ValueError: no database"),
    ("def health(): _state.set('x', 1); return True", "may read state but not write"),
    ("def health(): import time; time.sleep(60)", r"health\(\) took longer than workers.health_timeout"),
    ("def health(): import os; os._exit(3)", r"ended while health\(\) ran: exit status 3"),
])
def test_unhealthy(new_station, code, why):
    station = new_station(config={"workers": {"health_timeout": 0.2 if "sleep" in code else 30}}).start()
    station.allow("does not load")
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    reply = put(station, "o", second(health=code))
    assert reply.status == 422 and re.search(why, reply.json()["message"]), reply
    if "raise" in code:
        line = second(health=code).splitlines().index("    raise ValueError('no database')") + 1
        assert reply.json()["line"] == line and "in health" in reply.json()["traceback"]
    assert value_of(station, "o") == 1 and state(station) == {"n": 1}
    entry = newest(station)
    assert entry["status"] == "rejected" and re.search(why.rstrip("$"), entry["reason"]), entry
    station.stop()
    station.start()
    assert value_of(station, "o") == 1


def test_health_that_cannot_be_interrupted(new_station):
    station = new_station(config={"workers": {"health_timeout": 0.1, "timeout_grace": 0.1}}).start()
    station.allow("does not load", "past its deadline")
    put(station, "o", COUNTER)
    code = "def health():\n    import signal, time\n    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n" \
           "    while True: time.sleep(1)\n"
    reply = put(station, "o", second(health=code))
    assert reply.status == 422 and "did not stop" in reply.json()["message"], reply
    assert value_of(station, "o") == 1


# --- migrate_state() ---

MIGRATE = """
def migrate_state(old_version):
    _state.set("from", old_version)
    _state.set("n", _state["n"] * 10)
"""


def test_migrate(station):
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    assert put(station, "o", second(migrate=MIGRATE)).status == 200
    assert state(station) == {"n": 10, "from": 1}
    assert station.get("/objects/o").json()["state"] == {"n": 10, "from": 1}
    assert station.post("/objects/o", {}).json()["n"] == 11
    for worker in station.workers():
        os.kill(worker.pid, signal.SIGKILL)
    wait_value(station, "o", 2)
    station.stop()
    station.start()
    assert value_of(station, "o") == 2 and state(station) == {"n": 11, "from": 1}
    station.kill9()
    station.start()
    assert value_of(station, "o") == 2 and state(station) == {"n": 11, "from": 1}
    put(station, "o", second(migrate=MIGRATE) + "\n")
    assert state(station) == {"n": 110, "from": 2}
    assert [v["status"] for v in versions(station, "o")] == ["accepted"] * 3


def test_migrate_async_with_files_and_calls(station):
    station.deploy("other.py", "def POST(request):\n    return {'k': request['k'] + 1}\n")
    put(station, "o", COUNTER)
    code = """
async def migrate_state(old_version, _state, _files, _runtime):
    answer = await _runtime.call_object_async("other", "POST", {"k": 6})
    _state.set("k", answer["k"])
    _files.put("a.txt", b"moved")
"""
    assert put(station, "o", second(migrate=code)).status == 200
    assert state(station) == {"k": 7}
    assert station.get("/objects/o?file=a.txt").body == b"moved"


def test_a_long_error_is_cut(station):
    """An exception may hold anything; what people are shown of it is not endless."""
    station.allow("does not load")
    station.deploy("long.py", "raise ValueError('\\u00e9' * 2_000_000)\n")
    reply = station.get("/objects/long")
    assert reply.status == 500 and "ValueError: \u00e9\u00e9" in reply.json()["error"], reply
    assert len(reply.body) < 400_000 and "\ufffd" not in reply.text
    assert all(len(line["message"]) < 10_000 for line in station.logs())


@pytest.mark.parametrize("code, why", [
    ("def migrate_state(v):\n    _state.set('n', 0)\n    raise KeyError('old')", r"raised KeyError: 'old'"),
    ("def migrate_state(v):\n    _state.set('n', 0)\n    import os; os._exit(4)",
     r"ended while migrate_state\(\) ran: exit status 4"),
    ("def migrate_state(v):\n    _state.set('n', 0)\n    import time; time.sleep(60)",
     "took longer than workers.migrate_timeout"),
    ("def migrate_state(v):\n    _state.set('n', 'x' * 70000)", "turn_writes_max"),
    ("def migrate_state(v, w): pass", "nothing is known to give"),
], ids=["raises", "dies", "late", "too much", "arguments"])
def test_a_migration_that_fails(new_station, code, why):
    station = new_station(config={"workers": {"migrate_timeout": 0.2 if "sleep" in code else 30},
                                  "limits": {"turn_writes_max": 65536}}).start()
    station.allow("does not load")
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(station.post("/objects/o", {}).status))
               for _ in range(5)]
    for caller in callers:
        caller.start()
    reply = put(station, "o", second(migrate=code))
    for caller in callers:
        caller.join()
    assert reply.status == 422 and re.search(why, reply.json()["message"]), reply
    assert answers == [200] * 5 and value_of(station, "o") == 1 and state(station) == {"n": 6}
    assert newest(station)["status"] == "rejected" and re.search(why, newest(station)["reason"])
    station.kill9()
    station.start()
    assert value_of(station, "o") == 1 and state(station) == {"n": 6}


def test_a_first_version_migrates_nothing(station):
    put(station, "o", second(migrate=MIGRATE))
    assert state(station) == {}
    station.stop()
    station.start()
    assert value_of(station, "o") == 2 and state(station) == {}


def test_the_mark_is_the_stations_own(station):
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    put(station, "o", second(migrate=MIGRATE) + """
def PUT(request):
    try:
        _state.set("\\0migrated", 0)
    except ValueError as e:
        return {"why": str(e), "keys": _state.keys(), "n": len(_state), "all": _state.get_all()}
""")
    answer = station.request("PUT", "/objects/o", {}).json()
    assert answer == {"why": "keys that begin with a NUL are the station's", "keys": ["from", "n"],
                      "n": 2, "all": {"from": 1, "n": 10}} | {"keys": answer["keys"]}
    assert sorted(answer["keys"]) == ["from", "n"]
    station.stop()
    lines = (station.data / "state/o/state.tsv").read_text().splitlines()
    assert lines[1].startswith("\\0migrated\t2\t")


# --- automatic rollback ---

RAISES = "def GET(request):\n    raise ValueError('new bug')\n"
QUICK = {"workers": {"rollback_calls": 4}}


def wait_rollback(station, object_id="o"):
    return wait_until(lambda: station.get(f"/objects/{object_id}?metadata=true").json()["metadata"]
                      .get("last_rollback"))


@pytest.mark.parametrize("how", ["file", "put"])
def test_rolled_back(new_station, how):
    station = new_station(config=QUICK).start()
    station.allow("rolled back")
    put(station, "o", says(1))
    if how == "file":
        station.deploy("o.py", RAISES)
        wait_until(lambda: station.get("/objects/o?metadata=true").json()["metadata"]["source_version"] == 2)
    else:
        put(station, "o", RAISES)
    for _ in range(4):
        assert station.get("/objects/o").status == 500
    rolled = wait_rollback(station)
    assert rolled["from"] == 2 and rolled["to"] == 3 and "4 of 4 calls failed" in rolled["reason"]
    assert value_of(station, "o") == 1
    remark = station.get("/objects/o?status=true").json()["rolled_back"]
    assert remark.startswith("version 2 was rolled back: 4 of 4 calls failed")
    assert remark in station.objectctl("objects").stdout
    entry = newest(station)
    assert (entry["author"], entry["status"]) == ("auto-rollback", "accepted"), entry
    assert "4 of 4 calls failed" in entry["message"] and entry["reason"].startswith("rejects ")
    assert station.status()["rollbacks"] == 1
    assert (station.objects / "o.py").read_text() == RAISES
    station.deploy("o.py", RAISES)  # saved again: the same content
    assert station.post("/reload").status == 200
    assert station.post("/objects/o?restart=true").status == 200
    assert value_of(station, "o") == 1
    station.stop()
    station.start()
    assert value_of(station, "o") == 1
    station.kill9()
    station.start()
    assert value_of(station, "o") == 1 and len(versions(station, "o")) == 3
    station.deploy("o.py", says(4))
    wait_value(station, "o", 4)
    put(station, "o", RAISES)  # asked for: it is deployed
    assert station.get("/objects/o").status == 500


def test_crashes_roll_back(new_station):
    station = new_station(config={"workers": {"rollback_calls": 100}}).start()
    station.allow("rolled back", "died", "crash")
    put(station, "o", says(1))
    put(station, "o", "import os\ndef GET(request):\n    os._exit(1)\n")
    wait_until(lambda: station.get("/objects/o").status == 200)
    assert newest(station)["author"] == "auto-rollback"


@pytest.mark.parametrize("case", ["switched off", "by the object", "few", "as bad as before", "4xx",
                                  "migrated", "first version"])
def test_not_rolled_back(new_station, case):
    config = {"rollback_calls": 4, "rollback": case != "switched off"}
    station = new_station(config={"workers": config}).start()
    station.allow("not rolled back")
    if case != "first version":
        put(station, "o", RAISES if case == "as bad as before" else says(1))
    if case == "as bad as before":
        for _ in range(4):
            station.get("/objects/o")
    code = RAISES + {"by the object": "__endpoint__ = {'auto_rollback': False}\n",
                     "migrated": "def migrate_state(v): pass\n"}.get(case, "# 2\n")
    if case == "4xx":
        code = "def GET(request):\n    return {'error': 'no'}, 404\n"
    put(station, "o", code)
    for _ in range(2 if case == "few" else 8):
        assert station.get("/objects/o").status in (500, 404)
    assert newest(station)["author"] != "auto-rollback" and station.status()["rollbacks"] == 0
    assert station.get("/objects/o").status in (500, 404)
    if case == "migrated":
        assert "migrated the state" in str(station.get("/objects/o?logs=true").json())


def fail(station, calls=4):
    for _ in range(calls):
        assert station.get("/objects/o").status == 500


def fails_until(station, check):
    """Calls go on failing, as they do; what check() gives once it is true."""
    def step():
        station.get("/objects/o")
        return check()
    return wait_until(step)


def failure(station):
    return station.get("/objects/o?metadata=true").json()["metadata"].get("rollback_failed")


def rolled_back(station):
    return newest(station)["author"] == "auto-rollback" and newest(station)["status"] == "accepted"


def test_rolled_back_once_the_version_before_loads_again(new_station, tmp_path):
    """Each attempt is told, with the reason; it stands in the history once."""
    station = new_station(config=QUICK).start()
    station.allow("rolled back", "does not load")
    needed = tmp_path / "needed"
    needed.touch()
    put(station, "o", f"open({str(needed)!r})\n" + says(1))
    needed.unlink()
    put(station, "o", RAISES)
    fail(station)
    why = wait_until(lambda: failure(station))
    assert (why["from"], why["given_up"]) == (2, False) and "needed" in why["error"]
    assert "4 of 4 calls failed" in why["reason"]
    remark = station.get("/objects/o?status=true").json()["rollback_failed"]
    assert "not rolled back" in remark and "needed" in remark
    assert remark in station.objectctl("objects").stdout
    fails_until(station, lambda: failure(station)["attempts"] > 1)
    assert [v["status"] for v in versions(station, "o")] == ["rejected", "accepted", "accepted"]
    assert station.logged(r"not rolled back \(.*calls failed.*needed.*tried again in")
    needed.touch()
    fails_until(station, lambda: rolled_back(station))
    wait_value(station, "o", 1)
    assert failure(station) is None and wait_rollback(station)["from"] == 2
    assert "rollback_failed" not in station.get("/objects/o?status=true").json()


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_version_that_cannot_be_read_is_given_up(new_station, how):
    station = new_station(config=QUICK).start()
    station.allow("rolled back")
    put(station, "o", says(1))
    put(station, "o", RAISES)
    content = next(f for f in (station.data / "versions/o").iterdir() if "return" in f.read_text()
                   and "ValueError" not in f.read_text())
    text = content.read_text()
    content.unlink() if how == "missing" else content.write_text(text.replace("1", "7"))
    fail(station)
    why = wait_until(lambda: failure(station))
    assert why["given_up"] and why["attempts"] == 1 and "version 1 " in why["error"], why
    assert station.logged("given up")
    fail(station, 8)
    assert failure(station) == why
    content.write_text(text)  # for the checks of the end
    put(station, "o", says(3))
    assert failure(station) is None and value_of(station, "o") == 3


@pytest.mark.failpoints
def test_rolled_back_once_there_is_room(new_station):
    station = new_station(config=QUICK, env={"OBJECTD_FAILPOINT": "version-write:3=enospc"}).start()
    station.allow("rolled back", "not deployed", "failpoint")
    put(station, "o", says(1))
    put(station, "o", RAISES)
    fail(station)
    assert "No space" in wait_until(lambda: failure(station))["error"]
    fails_until(station, lambda: rolled_back(station))
    wait_value(station, "o", 1)


@pytest.mark.parametrize("case", ["rejected", "accepted"])
def test_rolled_back_beside_another_deploy(new_station, tmp_path, case):
    """One that is under way comes first; then it depends on what serves."""
    station = new_station(config=QUICK).start()
    station.allow("rolled back", "does not load")
    begun, until = tmp_path / "begun", tmp_path / "until"
    put(station, "o", says(1))
    put(station, "o", RAISES)
    code = f"""import pathlib, time
pathlib.Path({str(begun)!r}).touch()
while not pathlib.Path({str(until)!r}).exists():
    time.sleep(0.005)
""" + (says(3) if case == "accepted" else "raise ValueError('no')\n")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(station.request, "PUT", "/objects/o?source=true", {"code": code})
        wait_until(begun.exists)
        fail(station)
        until.touch()
        assert other.result().status == (200 if case == "accepted" else 422)
    wait_value(station, "o", 3 if case == "accepted" else 1)
    assert rolled_back(station) == (case == "rejected") and failure(station) is None


HOLDS = """import pathlib, time
def GET(request):
    if "until" not in request.query:
        raise ValueError("new bug")
    while not pathlib.Path(request.query["until"]).exists():
        time.sleep(0.005)
    return {"value": 2}
"""


def pids(station):
    return [w["pid"] for w in station.status()["processes"]["workers"] if w["object_id"] == "o"]


def test_a_rollback_that_is_stored_comes_to_serve_all_the_same(new_station, tmp_path):
    """Its worker dies while the one that it replaces answers its last call."""
    station = new_station(config=QUICK).start()
    station.allow("rolled back", "died", "before it served")
    first, last = tmp_path / "first", tmp_path / "last"
    put(station, "o", says(1))
    put(station, "o", HOLDS)
    fail(station, 3)
    old = pids(station)
    with ThreadPoolExecutor(3) as pool:
        def ask(query, outstanding):  # one behind the other
            answer = pool.submit(station.get, f"/objects/o{query}")
            wait_until(lambda: station.status()["turns"]["outstanding"] == outstanding)
            return answer

        ask(f"?until={first}", 1)
        ask("", 2)
        held = ask(f"?until={last}", 3)
        first.touch()
        wait_until(lambda: newest(station)["author"] == "auto-rollback")
        os.kill(next(pid for pid in pids(station) if pid not in old), signal.SIGKILL)
        assert "before it served" in wait_until(lambda: failure(station))["error"]
        last.touch()
        assert held.result().json() == {"value": 2}
    fails_until(station, lambda: station.get("/objects/o").json().get("value") == 1)
    assert failure(station) is None and len(versions(station, "o")) == 3


# --- saved in several steps ---


def quickly(station, limit, save):
    """The id of an object of version 1 whose file save(path) has written since, in less than `limit`
    seconds: a busy machine takes another one."""
    for attempt in itertools.count():
        object_id = f"o{attempt}"
        station.deploy(f"{object_id}.py", says(1))
        wait_value(station, object_id, 1)
        began = time.monotonic()
        save(station.objects / f"{object_id}.py")
        if time.monotonic() - began < limit:
            return object_id


def test_written_in_pieces(station):
    code = says(2) + "# " + "x" * 2000 + "\ndef broken():\n    return 1\n"

    def save(path):
        path.write_text("")
        for at in range(0, len(code), 300):
            with path.open("a") as file:
                file.write(code[at:at + 300])

    object_id = quickly(station, 0.005, save)
    wait_value(station, object_id, 2)
    assert [v["status"] for v in versions(station, object_id)] == ["accepted"] * 2


def test_an_emptied_file_is_being_written(station):
    def save(path):
        path.write_text("")
        time.sleep(0.1)  # nothing happens
        assert value_of(station, path.stem) == 1
        path.write_text(says(2))

    object_id = quickly(station, 0.8, save)
    wait_value(station, object_id, 2)
    (station.objects / f"{object_id}.py").write_text("")
    wait_until(lambda: station.get(f"/objects/{object_id}").status == 405)
    assert [v["status"] for v in versions(station, object_id)] == ["accepted"] * 3


def test_the_ways_of_editors(station):
    station.deploy("o.py", says(1))
    wait_value(station, "o", 1)
    path = station.objects / "o.py"
    path.rename(station.objects / "o.py~")  # vim with a backup
    path.write_text(says(2))
    wait_value(station, "o", 2)
    temporary = station.objects / ".o.py.XyZ"  # rsync
    temporary.write_text(says(3))
    temporary.rename(path)
    wait_value(station, "o", 3)
    assert len(versions(station, "o")) == 3


def test_many_files_at_once(new_station, tmp_path):
    """Each is deployed once, two at a time."""
    count = 20
    names = [f"many_o{i}" for i in range(count)]
    station = new_station(config={"limits": {"candidates_max": 2}})
    for i in range(count):
        station.put(f"many/o{i}.py", says(1))
    station.start()
    assert all(value_of(station, name) == 1 for name in names)
    (tmp_path / "now").mkdir()
    (tmp_path / "seen").mkdir()
    code = f"""
import os, pathlib, time
mine = pathlib.Path({str(tmp_path)!r}, "now", str(os.getpid()))
mine.touch()
time.sleep(0.02)
pathlib.Path({str(tmp_path)!r}, "seen", str(len(os.listdir(mine.parent)))).touch()
mine.unlink()
""" + says(2)
    for i in range(count):
        (station.objects / f"many/o{i}.py").write_text(code)
    wait_until(lambda: all(value_of(station, name) == 2 for name in names))
    assert {int(name) for name in os.listdir(tmp_path / "seen")} <= {1, 2}
    assert all(len(versions(station, name)) == 2 for name in names)


def test_an_order_while_the_object_waits_for_its_place(new_station, tmp_path):
    """What it imports has changed, another object is being deployed: the order comes after that."""
    station = new_station(config={"limits": {"candidates_max": 1}})
    station.put("_shared.py", "X = 1\n")
    station.put("slow.py", says(1))
    station.put("o.py", "import _shared\n" + says(1))
    station.start()
    assert value_of(station, "slow") == value_of(station, "o") == 1
    begun, until = tmp_path / "begun", tmp_path / "until"
    station.put("slow.py", f"""
import pathlib, time
pathlib.Path({str(begun)!r}).touch()
while not pathlib.Path({str(until)!r}).exists():
    time.sleep(0.005)
""" + says(2))
    wait_until(begun.exists)
    station.put("_shared.py", "X = 2\n")
    wait_until(lambda: station.get("/objects/o?status=true").json()["phase"] == "deploying")
    replies = []
    order = threading.Thread(target=lambda: replies.append(put(station, "o", says(3))))
    order.start()
    order.join(0.1)  # it would be refused at once
    until.touch()
    order.join()
    assert replies[0].status == 200, replies[0].text
    assert value_of(station, "o") == 3


# --- killed once at each step ---

FULL = second(health="def health(): return _state.get('n') == 1", migrate=MIGRATE)
DEPLOY_STEPS = ["spawned", "loaded", "healthy", "frozen", "drained", "migrated", "stored", "committed",
                "handed"]
START_STEPS = [step for step in DEPLOY_STEPS if step != "frozen"]  # there is nothing to freeze
FAILPOINTS = [f"deploy-{step}" for step in DEPLOY_STEPS] + [f"start-{step}" for step in START_STEPS] + \
    ["migrate-commit"]


def check_whole(station):
    """One version, with its own state, and the history says the same."""
    value = wait_until(lambda: value_of(station, "o"))
    assert state(station) == {1: {"n": 1}, 2: {"n": 10, "from": 1}}[value]
    rows = on_disk(station, "o")
    assert [int(r["version_id"]) for r in rows] == list(range(1, len(rows) + 1))
    accepted = [int(r["version_id"]) for r in rows if r["status"] == "accepted"]
    assert station.get("/objects/o?metadata=true").json()["metadata"]["source_version"] == accepted[-1]
    return value


@pytest.mark.failpoints
@pytest.mark.parametrize("step", DEPLOY_STEPS)
def test_killed_while_deploying(new_station, step):
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": f"deploy-{step}=crash"})
    station.allow(".")
    station.start()
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    (station.objects / "o.py").write_text(FULL)
    wait_until(lambda: not station.alive(), what=f"deploy-{step} did not strike")
    station.verify_data()
    station.env.clear()
    station.start()
    wait_value(station, "o", 2)  # the file is what was wanted
    assert check_whole(station) == 2 and len(versions(station, "o")) == 2


@pytest.mark.failpoints
@pytest.mark.parametrize("step", START_STEPS)
def test_killed_while_starting(new_station, step):
    """A start that has to migrate, for the station was killed before that was committed."""
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": "deploy-stored=crash"})
    station.allow(".")
    station.start()
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    (station.objects / "o.py").write_text(FULL)
    wait_until(lambda: not station.alive())
    assert [r["status"] for r in on_disk(station, "o")] == ["accepted"] * 2
    station.env["OBJECTD_FAILPOINT"] = f"start-{step}=crash"
    station.start()
    with pytest.raises(Exception):
        station.get("/objects/o")
    wait_until(lambda: not station.alive(), what=f"start-{step} did not strike")
    station.verify_data()
    station.env.clear()
    station.start()
    assert check_whole(station) == 2 and len(versions(station, "o")) == 2


# --- workers that die at the wrong time ---

SLOW = COUNTER + """
def PUT(request):
    import pathlib, time
    pathlib.Path(request["begun"]).touch()
    while not pathlib.Path(request["until"]).exists():
        time.sleep(0.01)
    return {"slow": True}
"""


@pytest.mark.parametrize("victim", ["old", "candidate"])
def test_a_worker_dies_while_the_object_is_frozen(station, tmp_path, victim):
    station.allow("does not load", "died", "crash")
    put(station, "o", SLOW)
    station.post("/objects/o", {})
    old = station.workers()[0].pid
    begun, until = tmp_path / "begun", tmp_path / "until"
    answers, slow = [], []
    running = threading.Thread(target=lambda: slow.append(station.request(
        "PUT", "/objects/o", {"begun": str(begun), "until": str(until)}).status))
    running.start()
    wait_until(begun.exists)
    (station.objects / "o.py").write_text(SLOW.replace('"value": 1', '"value": 2'))
    wait_until(lambda: len(on_disk(station, "o")) == 2)  # its version is stored: frozen
    callers = [threading.Thread(target=lambda: answers.append(station.post("/objects/o", {}).status))
               for _ in range(4)]
    for caller in callers:
        caller.start()
    pids = {w.pid for w in station.workers()}
    os.kill(old if victim == "old" else (pids - {old}).pop(), signal.SIGKILL)
    until.touch()
    running.join()
    for caller in callers:
        caller.join()
    assert slow == [502 if victim == "old" else 200] and answers == [200] * 4
    wait_value(station, "o", 2)
    assert state(station) == {"n": 5} and len(versions(station, "o")) == 2


@pytest.mark.failpoints
def test_the_migrated_state_cannot_be_written(new_station):
    """It is tried again, and until then the old version serves the old state."""
    station = new_station(build=FAILPOINT_BUILD, env={"OBJECTD_FAILPOINT": "migrate-commit=enospc"})
    station.allow("cannot be written")
    station.start()
    put(station, "o", COUNTER)
    station.post("/objects/o", {})
    reply = put(station, "o", second(migrate=MIGRATE))
    assert reply.status == 507, reply
    assert value_of(station, "o") == 1 and state(station) == {"n": 1}
    wait_value(station, "o", 2)
    assert check_whole(station) == 2
