# SPDX-License-Identifier: Apache-2.0
"""A large objects folder: found by the scribe, whatever becomes of it; folders that cannot be watched."""

import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
from station import LONG, SANITIZED, scaled, wait_until

HELLO = "def GET(request):\n    return {'n': %d}\n"


def fill(station, folders, files):
    for f in range(folders):
        folder = station.objects / f"f{f:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        for n in range(files):
            (folder / f"o{n:03d}.py").write_text(HELLO % n)
    return folders * files


def pages(station, limit):
    """All ids, page by page."""
    ids, after = [], ""
    while True:
        found = station.get(f"/objects?limit={limit}&after={after}").json()["objects"]
        ids += [o["object_id"] for o in found]
        if len(found) < limit:
            return ids
        after = found[-1]["object_id"]


def test_many_objects(new_station):
    """No process and no descriptor an object, little memory; the list goes through page by page."""
    station = new_station()
    count = fill(station, 20, scaled(60, 20))
    station.start()
    ids = pages(station, 100)
    assert len(ids) == count and ids == sorted(set(ids))
    assert station.get("/objects/f07_o003").json() == {"n": 3}
    assert len(os.listdir(f"/proc/{station.pid}/fd")) < 60
    assert len(station.status()["processes"]["workers"]) == 1
    if not SANITIZED:
        assert station.rss() < 40 * 2**20
    done = subprocess.run([station.program.parent / "objectctl", "--url",
                           f"http://127.0.0.1:{station.port}", "objects", "--json"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.count('"object_id"') == count


def test_who_asks_early_waits(new_station):
    """Nobody is told that there is no such object before it is known."""
    station = new_station()
    fill(station, 20, scaled(50, 10))
    (station.objects / "z.py").write_text(HELLO % 7)
    asked = []

    def ask():
        while not asked:
            try:
                asked.append(station.get("/objects/z"))
            except OSError:
                time.sleep(0.001)
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    station.start()
    asking.join()
    assert asked[0].status == 200 and asked[0].json() == {"n": 7}


def answers(station, path):
    try:
        return station.get(path).status
    except OSError:
        return None


def stopped_before_it_knows(station):
    """A station whose scribe is stopped while it looks for the objects. Its pid, or None: too late."""
    station.spawn()
    station.pid = station.find_pid()
    scribe = wait_until(lambda: station.children("scribe"))[0].pid
    os.kill(scribe, signal.SIGSTOP)
    wait_until(lambda: answers(station, "/health"))
    if answers(station, "/ready") != 200:
        return scribe
    os.kill(scribe, signal.SIGCONT)
    station.stop()
    return None


def test_who_asks_early_is_told_of_the_end(new_station):
    """What is not known yet is not said to be missing when the station stops before."""
    station = new_station()
    fill(station, 1, 2)
    scribe = wait_until(lambda: stopped_before_it_knows(station))
    asked = []
    asking = threading.Thread(target=lambda: asked.append(answers(station, "/objects/f00_o001")))
    asking.start()
    wait_until(lambda: station.status()["http"]["open_requests"] == 2)  # that one, and this
    station.send_signal(signal.SIGTERM)
    asking.join()
    os.kill(scribe, signal.SIGCONT)
    station.ended_by_test = True
    assert station.wait() == 0
    assert asked == [503]


def test_first_by_path_keeps_the_id(new_station):
    station = new_station()
    station.allow("has the same object id")
    station.put("a_b.py", HELLO % 1)
    station.put("a/b.py", HELLO % 2)
    station.start()
    found = {o["object_id"]: o for o in station.get("/objects").json()["objects"]}
    assert found["a_b"]["file"] == "a/b.py" and found["a_b"]["conflict"] == "a_b.py"
    assert station.get("/objects/a_b").json() == {"n": 2}
    (station.objects / "a" / "b.py").unlink()
    wait_until(lambda: station.get("/objects/a_b").json() == {"n": 1})


def test_the_scribe_dies_over_a_scan(station):
    """The next one scans again."""
    station.allow("objectd-scribe|scanning the objects folder")
    station.deploy("before.py", HELLO % 1)
    scribe = station.status()["processes"]["scribe"]["pid"]
    os.kill(scribe, signal.SIGSTOP)
    station.put("late/o.py", HELLO % 2)  # its folder has to be scanned
    station.put("after.py", HELLO % 3)
    (station.objects / "before.py").unlink()
    os.kill(scribe, signal.SIGKILL)
    wait_until(lambda: set(station.object_ids()) == {"late_o", "after"})
    assert station.get("/objects/late_o").json() == {"n": 2}
    station.deploy("late/more.py", HELLO % 4)  # it is watched
    assert station.get("/objects/late_more").json() == {"n": 4}


def test_a_tree_comes_and_goes(station):
    """A checkout of many files, in folders that did not exist; and back."""
    count = fill(station, 10, scaled(100, 10))
    wait_until(lambda: len(pages(station, 1000)) == count)
    moved = station.folder / "moved"
    shutil.move(station.objects / "f03", moved)
    wait_until(lambda: len(pages(station, 1000)) == count * 9 // 10)
    shutil.move(moved, station.objects / "g03")
    wait_until(lambda: len(pages(station, 1000)) == count)
    assert station.get("/objects/g03_o001").json() == {"n": 1}
    (station.objects / "g03" / "o001.py").write_text(HELLO % 77)
    wait_until(lambda: station.get("/objects/g03_o001").json() == {"n": 77})
    for folder in station.objects.iterdir():
        shutil.rmtree(folder)
    wait_until(lambda: station.object_ids() == [])
    time.sleep(1.3)  # what was never used is forgotten after a second
    fill(station, 2, 3)
    wait_until(lambda: len(station.object_ids()) == 6)
    assert station.get("/objects/f01_o002").json() == {"n": 2}
    assert station.status()["objects"] == 6


# At most four watches, in a user namespace of its own.
LIMITED = ["unshare", "--user", "--map-root-user", "sh", "-c",
           'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]


def test_folders_that_cannot_be_watched(new_station):
    if subprocess.run([*LIMITED, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespace with a limit of its own")
    station = new_station(prefix=LIMITED)
    station.allow("max_user_watches")
    fill(station, 8, 1)
    station.start()
    assert len(station.object_ids()) == 8
    wait_until(lambda: station.logged(
        r"cannot watch .*fs.inotify.max_user_watches is reached.*scanned every 5 s"))
    if not LONG:
        return
    (station.objects / "f07" / "new.py").write_text(HELLO % 1)
    (station.objects / "f07" / "o000.py").unlink()
    wait_until(lambda: {"f07_new"} == {i for i in station.object_ids() if i.startswith("f07")})
