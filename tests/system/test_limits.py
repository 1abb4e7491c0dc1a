# SPDX-License-Identifier: Apache-2.0
"""What an object may use, and that a bomb hurts only its own worker.

Bombs are run only where the station says that a group holds them.
"""

import contextlib
import glob
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from station import LONG, PATIENCE, SANITIZED, ProcessInfo, descendants, processes_marked, wait_until

MEMORY_MB = 320 if SANITIZED else 64
ROOM = 400e6 if SANITIZED else 8e6  # ASan keeps what is freed
HELLO = "import os\ndef GET(request):\n    return os.getpid()\n"
OFF = {"config": {"workers": {"cgroups": "off"}}}
WAYS = pytest.mark.parametrize("station", [{}, OFF], indirect=True, ids=["groups", "marks"])

MEMORY = f"""
__endpoint__ = {{"limits": {{"memory_mb": {MEMORY_MB}}}}}
import os
def GET(request):
    return os.getpid()
def POST(request):
    hoard = []
    while True:
        hoard.append(b"x" * 1000000)
"""
# What is declared is known once it is loaded.
THROTTLED_BY_MEMORY = f"hoard is throttled to 1 % .* out of memory again and again: .*_mb = {MEMORY_MB}$"

DAEMON = """
import os, subprocess, sys, time
def daemonise(pid_file):
    \"\"\"As daemons do: fork, a session of its own, fork again; and a program beside it.\"\"\"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            program = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
            with open(pid_file + ".tmp", "w") as f:
                f.write(f"{os.getpid()} {program.pid}")
            os.rename(pid_file + ".tmp", pid_file)
            time.sleep(1000)
        os._exit(0)
def GET(request):
    daemonise(request["to"])
    return os.getpid()
def DELETE(request):
    os._exit(3)
"""


def in_force(station):
    return station.status()["limits"]


def need_groups(station, *parts):
    lacking = [part for part in parts if in_force(station)[part] != "cgroup"]
    if lacking:
        pytest.skip(f"no group holds {lacking} here")


def metadata(station, name):
    return station.get(f"/objects/{name}?metadata=true").json()["metadata"]


def throttled(station):
    """Why, by the object; of all workers that are."""
    return {w["object_id"]: w["throttled"]["reason"]
            for w in station.status()["processes"]["workers"] if w["throttled"]}


def is_alive(pid):
    process = ProcessInfo.of(pid)
    return process is not None and process.state != "Z"


def start_daemon(station, name="d"):
    station.deploy(f"{name}.py", DAEMON)
    file = station.folder / f"{name}.pids"
    reply = station.get(f"/objects/{name}?to={file}")
    assert reply.status == 200, reply
    wait_until(file.exists)
    pids = [int(pid) for pid in file.read_text().split()]
    assert all(is_alive(pid) for pid in pids)
    return pids


# --- the numbers ---


def test_limits_are_shown_and_declared(station):
    station.deploy("plain.py", HELLO)
    station.deploy("own.py", '__endpoint__ = {"limits": {"memory_mb": 900, "cpu_seconds": 5, '
                             '"open_files": 2000, "processes": 400}}\n' + HELLO)
    for name in ("plain", "own"):
        assert station.get(f"/objects/{name}").status == 200
    plain, own = (metadata(station, name)["worker"]["limits"] for name in ("plain", "own"))
    ways = plain.pop("in_force")
    assert ways == own.pop("in_force")
    assert plain == {"memory_mb": 1024, "cpu_seconds": 60, "open_files": 1024, "processes": 256}
    assert own == {"memory_mb": 900, "cpu_seconds": 5, "open_files": 2000, "processes": 400}
    status = in_force(station)
    assert ways == {k: v for k, v in status.items() if k != "why_no_cgroup"}
    assert set(ways) == {"memory", "processes", "open_files", "cpu_seconds", "cpu_share", "throttle",
                         "family"}
    assert ways["open_files"] == "rlimit"
    done = station.objectctl("status")
    assert done.returncode == 0 and "open_files" in done.stdout


def test_a_worker_is_in_its_group_before_its_object_is(station):
    need_groups(station, "memory", "processes", "family")
    station.deploy("where.py", "import os\nIMPORTED = open('/proc/self/cgroup').read()\n"
                               "CORE = __import__('resource').getrlimit(4)\n"
                               "def GET(request):\n    return {'groups': IMPORTED, 'core': CORE}\n")
    reply = station.get("/objects/where").json()
    assert reply["core"] == [0, 0]
    groups = [line for line in reply["groups"].splitlines() if "/objectd-" in line]
    assert len(groups) >= 2 or "0::" in groups[0]
    assert len({line.rsplit("/", 1)[1] for line in groups}) == 1  # of one name


@pytest.mark.parametrize("station", [OFF], indirect=True)
def test_groups_can_be_switched_off(station):
    status = in_force(station)
    assert status["why_no_cgroup"] == "workers.cgroups is off"
    assert (status["memory"], status["throttle"], status["family"]) == ("rlimit", "none", "mark")
    assert status["processes"] == ("none" if os.geteuid() == 0 else "rlimit")
    assert station.logged("no control groups, limits are best effort: workers.cgroups is off")


def test_groups_can_be_required(new_station):
    subject = new_station(config={"workers": {"cgroups": "require"}}).spawn()
    wait_until(lambda: not subject.alive() or subject.logged("each worker gets a control group"))
    if not subject.alive():
        assert subject.wait() == 71
        assert subject.logged("workers.cgroups is \"require\"")
        subject.allow("workers.cgroups")
        subject.ended_by_test = True
    else:
        wait_until(subject.is_ready)
        assert subject.stop() == 0


def test_more_in_use_than_declared_is_no_version(station):
    need_groups(station, "memory")
    station.allow("does not load")
    station.deploy("big.py", HELLO)
    assert station.get("/objects/big").status == 200
    code = (f'__endpoint__ = {{"limits": {{"memory_mb": {MEMORY_MB}}}}}\n'
            f"HOARD = b'x' * {MEMORY_MB * 1100000}\n" + HELLO)
    reply = station.request("PUT", "/objects/big?source=true", {"code": code})
    assert reply.status == 422
    assert f"limits.memory_mb = {MEMORY_MB}" in reply.text
    assert station.get("/objects/big").status == 200


# --- bombs, each against its limit ---


def test_memory(station):
    need_groups(station, "memory")
    station.deploy("neighbour.py", HELLO)
    station.deploy("hoard.py", MEMORY)
    neighbour = station.get("/objects/neighbour").json()
    first = station.get("/objects/hoard").json()
    rss = station.rss()
    reply = station.post("/objects/hoard")
    assert reply.status == 502 and reply.json()["limit"] == "memory_mb", reply
    assert f"out of memory: limits.memory_mb = {MEMORY_MB}" in reply.json()["error"]
    assert reply.json()["crash_id"]
    assert station.get("/objects/hoard").json() != first
    assert station.get("/objects/neighbour").json() == neighbour
    assert station.rss() < rss + ROOM
    if in_force(station)["throttle"] == "cgroup":
        second_death_throttles(station)


def second_death_throttles(station):
    """The next worker, once it serves; not one that has another source."""
    station.allow(THROTTLED_BY_MEMORY)
    assert station.metric("objectd_throttles_total") == 0
    assert station.post("/objects/hoard").json()["limit"] == "memory_mb"
    worker = station.get("/objects/hoard").json()
    assert station.metric("objectd_throttles_total") == 1
    station.deploy("hoard.py", MEMORY + "# another\n")
    wait_until(lambda: station.get("/objects/hoard").json() != worker)
    assert station.metric("objectd_throttles_total") == 1


def test_deaths_of_replicas_count_too(station):
    need_groups(station, "memory", "throttle")
    station.allow(THROTTLED_BY_MEMORY)
    station.deploy("hoard.py", MEMORY.replace('{"limits"', '{"stateless": True, "workers": 2, "limits"'))
    station.get("/objects/hoard")
    for _ in range(2):
        wait_until(lambda: len(metadata(station, "hoard")["worker"]["all"]) == 2)
        assert station.post("/objects/hoard").json()["limit"] == "memory_mb"
    wait_until(lambda: station.metric("objectd_throttles_total") >= 1)


@pytest.mark.skipif(SANITIZED, reason="ASan ends a process that gets no memory")
@pytest.mark.parametrize("station", [OFF], indirect=True)
def test_memory_without_a_group(station):
    """MemoryError in the handler; the worker lives."""
    station.deploy("hoard.py", MEMORY)
    first = station.get("/objects/hoard").json()
    reply = station.post("/objects/hoard")
    assert reply.status == 500 and reply.json()["error_type"] == "MemoryError", reply
    assert station.get("/objects/hoard").json() == first


def test_processes(station):
    """Forks without end, and each child leaves: none beyond the limit, and none is left."""
    need_groups(station, "processes", "family")
    station.deploy("forks.py", """
__endpoint__ = {"limits": {"processes": 12}}
import os, time
def GET(request):
    return os.getpid()
def POST(request):
    for born in range(1000):
        try:
            pid = os.fork()
        except OSError:
            return born
        if pid == 0:
            os.setsid()
            time.sleep(1000)
def DELETE(request):
    os._exit(1)
""")
    worker = station.get("/objects/forks").json()
    reply = station.post("/objects/forks")
    assert reply.status == 200 and 1 <= reply.json() < 12, reply
    children = [p.pid for p in descendants(worker)]
    assert len(children) == reply.json()
    assert station.request("DELETE", "/objects/forks").status == 502
    wait_until(lambda: not any(is_alive(pid) for pid in [worker, *children]))


def test_descriptors(station):
    station.deploy("leaks.py", """
__endpoint__ = {"limits": {"open_files": 64}}
import os, resource
def GET(request):
    held = []
    try:
        while True:
            held.append(open("/dev/null"))
    except OSError as e:
        return {"held": len(held), "error": e.errno, "limit": resource.getrlimit(7)}
    finally:
        for f in held:
            f.close()
""")
    for _ in range(2):
        reply = station.get("/objects/leaks").json()
        assert 32 < reply["held"] < 64 and reply["error"] == 24 and reply["limit"] == [64, 64]


BURNS = """
__endpoint__ = {"limits": {"cpu_seconds": 1}, "timeout": 600}
import os, re, subprocess
def GET(request):
    return os.getpid()
def POST(request):
    re.match("(a*)*$", "a" * 60 + "b")
def PUT(request):
    subprocess.run(["/bin/sh", "-c", "while :; do :; done & while :; do :; done"])
"""


def burn(station, method):
    station.deploy("burns.py", BURNS)
    first = station.get("/objects/burns").json()
    reply = station.request(method, "/objects/burns", {}, timeout=100)
    assert reply.status == 504 and reply.json()["limit"] == "cpu_seconds", reply
    assert "1 s of processor time" in reply.json()["error"]
    assert station.get("/objects/burns").json() != first
    report = station.get("/objects/burns?crashes=true").json()["crashes"][0]
    assert "limits.cpu_seconds = 1" in report["reason"], report


def test_processor_time_of_what_a_turn_starts(station):
    need_groups(station, "cpu_seconds")
    burn(station, "PUT")


@pytest.mark.parametrize("station", [OFF], indirect=True)
def test_processor_time_without_a_group(station):
    assert in_force(station)["cpu_seconds"] == "clock"
    burn(station, "POST")


FLOOD = """
__endpoint__ = {"timeout": 0.7}
import sys
def GET(request):
    block = ("x" * 60 + "\\n") * 10000
    while True:
        sys.stdout.write(block)
def POST(request):
    block = "y" * 1000000
    while True:
        sys.stderr.write(block)
"""


@pytest.mark.parametrize("station", [{"config": {"log": {"object_lines_per_s": 100,
                                                         "output_max": "1M"}}}], indirect=True)
def test_output(station):
    """Floods with and without lines: memory stays flat, drops are counted, the reader's rate holds."""
    station.allow("floods is throttled")
    station.deploy("neighbour.py", HELLO)
    station.deploy("floods.py", FLOOD)
    assert station.get("/objects/neighbour").status == 200
    rss = station.rss()
    for method in ("GET", "POST"):
        assert station.request(method, "/objects/floods").status == 504
        assert station.get("/objects/neighbour").status == 200
    assert station.rss(peak=True) < rss + ROOM
    dropped = station.status()["logs"]["dropped"]
    assert 1000 < dropped < 10e6 / 61 * PATIENCE  # what was read, not what was printed
    assert station.get("/objects/floods?logs=true&level=WARNING").json()["logs"]


# --- what goes on beyond a limit ---

# Not with fork(), which ASan makes slow.
FORKS = """
__endpoint__ = {"limits": {"processes": 2}, "timeout": 600}
import os
def attempt():
    try:
        os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    except BlockingIOError:
        pass
def GET(request):
    while not os.path.exists(request["until"]):
        attempt()
def POST(request):
    while True:
        try:
            while True:
                attempt()
        except TimeoutError:
            pass
def PUT(request):
    if os.fork() == 0:
        while True:
            attempt()
"""
PRINTS = """
__endpoint__ = {"timeout": 600}
import os
def GET(request):
    while not os.path.exists(request["until"]):
        os.write(1, b"\\n" * 65536)
"""


@pytest.mark.parametrize("station", [{"config": {"log": {"object_lines_per_s": 100}}}], indirect=True)
def test_who_goes_on_is_throttled_until_it_is_calm(station):
    need_groups(station, "processes", "throttle", "family")
    station.allow("is throttled to 1 %")
    station.deploy("forks.py", FORKS)
    station.deploy("prints.py", PRINTS)
    end = station.folder / "end"
    calls = [threading.Thread(target=station.get, args=(f"/objects/{name}?until={end}",),
                              kwargs={"timeout": 100}) for name in ("forks", "prints")]
    for call in calls:
        call.start()
    wait_until(lambda: throttled(station) == {"forks": "processes", "prints": "output"},
               what=lambda: throttled(station))
    shown = metadata(station, "forks")["worker"]["throttled"]
    assert (shown["reason"], shown["cpu_percent"]) == ("processes", 1) and shown["seconds"] >= 0
    assert station.metric("objectd_throttled_workers") == 2
    end.touch()
    for call in calls:
        call.join()
    wait_until(lambda: not throttled(station), what=lambda: throttled(station))
    assert station.metric("objectd_throttled_workers") == 0
    assert metadata(station, "forks")["worker"]["throttled"] is None
    for said in ("is throttled to 1 %", "is not throttled any more"):  # once, however long it lasts
        assert len(station.logged(said)) == station.metric("objectd_throttles_total")
    told = [e["message"] for e in station.get("/objects/forks?logs=true").json()["logs"]]
    assert "throttled to 1 % of a processor: it goes on forking beyond limits.processes = 2" in told
    assert any(message.startswith("not throttled any more") for message in told)


LONG_LINES = """
__endpoint__ = {"timeout": 600}
import os
def GET(request):
    while not os.path.exists(request["until"]):
        os.write(1, b"\\n" * 65536)
    while not os.path.exists(request["end"]):
        os.write(1, (b"x" * 999 + b"\\n") * 64)
"""


def lines_come(station, count):
    before = station.status()["logs"]["lines"]
    wait_until(lambda: station.status()["logs"]["lines"] > before + count)


@pytest.mark.parametrize("station", [{"config": {"log": {"object_lines_per_s": 1000,
                                                         "output_max": "1M"}}}], indirect=True)
def test_less_is_read_of_who_is_throttled(station):
    """A tenth, and it goes on while it fills that, though no line is dropped any more."""
    need_groups(station, "throttle")
    station.allow("is throttled to 1 %")
    station.deploy("prints.py", LONG_LINES)
    until, end = station.folder / "until", station.folder / "end"
    call = threading.Thread(target=station.get, args=(f"/objects/prints?until={until}&end={end}",),
                            kwargs={"timeout": 100})
    call.start()
    wait_until(lambda: throttled(station) == {"prints": "output"})
    until.touch()
    log = station.data / "logs" / "prints" / "log.tsv"
    wait_until(lambda: log.exists() and b"\txxx" in log.read_bytes())
    begun = time.monotonic()
    lines_come(station, 350)
    assert time.monotonic() - begun > 2.5  # 350,000 bytes at a tenth of 1 MiB a second
    assert throttled(station) == {"prints": "output"}
    assert station.metric("objectd_throttles_total") == 1
    end.touch()
    call.join()


@pytest.mark.parametrize("station", [{"config": {"workers": {"timeout_grace": 0.1}}}], indirect=True)
def test_who_is_throttled_dies_in_time(station):
    need_groups(station, "processes", "throttle", "family")
    station.allow("is throttled to 1 %")
    station.deploy("forks.py", FORKS.replace("600", "1"))
    wait_until(lambda: station.get(f"/objects/forks?until={station.folder}").status == 204)
    worker = metadata(station, "forks")["worker"]["pid"]
    replies = []
    call = threading.Thread(target=lambda: replies.append(station.post("/objects/forks")))
    call.start()
    wait_until(lambda: descendants(worker) or replies)
    family = [worker, *(p.pid for p in descendants(worker))]
    call.join()
    assert replies[0].status == 504 and replies[0].json()["limit"] == "timeout", replies
    assert station.metric("objectd_throttles_total") == 1
    wait_until(lambda: not any(is_alive(pid) for pid in family))
    assert not throttled(station)
    report = station.get("/objects/forks?crashes=true").json()["crashes"][0]
    assert report["reason"].startswith("a call ran past its deadline"), report


ESCAPES = FORKS.replace("600", "0.2") + """
import ctypes, os, signal, threading, time
RT_SIGPROCMASK = {"x86_64": 14, "aarch64": 135}[os.uname().machine]  # the library would not block it
STACK_SIGNAL = 32
def silent():
    mask = ctypes.c_ulong(1 << (STACK_SIGNAL - 1))
    ctypes.CDLL(None).syscall(RT_SIGPROCMASK, signal.SIG_BLOCK, ctypes.byref(mask), None, 8)
def forks(request):
    silent()
    POST(request)
def PATCH(request):  # ends once its stacks are asked for, which are not given
    threading.Thread(target=forks, args=[request], daemon=True).start()
    silent()  # after the library has set the mask for a new thread
    try:
        time.sleep(1000)
    except TimeoutError:
        while STACK_SIGNAL not in signal.sigpending():
            time.sleep(0.001)
"""


@pytest.mark.parametrize("station", [{"config": {"workers": {"timeout_grace": 0.1}}}], indirect=True)
def test_who_escapes_its_end_is_throttled_again(station):
    need_groups(station, "processes", "throttle", "family")
    station.allow("is throttled to 1 %")
    station.deploy("forks.py", ESCAPES)

    def escapes():  # unless it takes half a second
        worker = station.worker_pid("forks")
        station.request("PATCH", "/objects/forks", {})
        return station.worker_pid("forks") == worker

    wait_until(escapes)
    wait_until(lambda: throttled(station) == {"forks": "processes"})


def test_what_a_turn_left_behind_is_throttled(station):
    need_groups(station, "processes", "throttle", "family")
    station.allow("is throttled to 1 %")
    station.deploy("forks.py", FORKS)
    assert station.request("PUT", "/objects/forks", {}).status == 204
    wait_until(lambda: throttled(station) == {"forks": "processes"})


# Processes that fill the memory until one of them is killed, sooner than the worker.
FILLS = f"""
__endpoint__ = {{"limits": {{"memory_mb": {MEMORY_MB}}}, "timeout": 600}}
import os
def fill():
    return os.posix_spawn("/bin/sh", ["sh", "-c", "echo 1000 >/proc/self/oom_score_adj;"
                                                  "exec /usr/bin/tail /dev/zero"], {{}})
def GET(request):
    pids = {{fill() for _ in range(8)}}
    while not os.path.exists(request["until"]):
        pids.remove(os.wait()[0])
        pids.add(fill())
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""


def test_processes_that_die_of_memory(station):
    """They are counted and told, the worker lives; who goes on with it is throttled."""
    need_groups(station, "memory", "throttle", "family")
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("the kernel ends a group of v2 as a whole")
    station.allow("fills is throttled to 1 % .* its processes go on being killed")
    station.deploy("fills.py", FILLS)
    end = station.folder / "end"
    call = threading.Thread(target=station.get, args=(f"/objects/fills?until={end}",),
                            kwargs={"timeout": 100})
    call.start()
    wait_until(lambda: throttled(station) == {"fills": "memory"})
    end.touch()
    call.join()
    worker = metadata(station, "fills")["worker"]
    assert worker["memory_kills"] >= 3 and worker["restarts"] == 0
    assert station.metric("objectd_memory_kills_total") >= 3
    told = [e["message"] for e in station.get("/objects/fills?logs=true").json()["logs"]]
    assert any(re.fullmatch(rf"\d+ of its processes (was|were) killed: limits.memory_mb = {MEMORY_MB}",
                            message) for message in told), told


# --- what a worker leaves behind ---


@WAYS
def test_daemons_end_with_their_worker(station):
    pids = start_daemon(station)
    assert station.request("DELETE", "/objects/d").status == 502
    wait_until(lambda: not any(map(is_alive, pids)), what="the daemon lives")


def test_daemons_in_another_group_end_with_their_worker(station):
    """As a service manager moves them, or root."""
    pids = start_daemon(station)
    for folder in ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*/")):
        for pid in pids:
            with contextlib.suppress(OSError):
                Path(folder, "cgroup.procs").write_text(str(pid))
    assert station.request("DELETE", "/objects/d").status == 502
    wait_until(lambda: not any(map(is_alive, pids)), what="the daemon lives")


@WAYS
def test_daemons_end_with_the_station(station):
    pids = start_daemon(station)
    assert station.stop() == 0
    assert not any(map(is_alive, pids))


@WAYS
def test_daemons_end_with_a_killed_supervisor(station):
    pids = start_daemon(station)
    station.kill9()
    wait_until(lambda: not any(map(is_alive, pids)), what="the daemon lives")


@WAYS
def test_daemons_of_an_earlier_start(station):
    """The sweeper is killed first: what is left then, the next start finds."""
    pids = start_daemon(station)
    sweeper = station.children("sweeper")[0].pid
    os.kill(sweeper, signal.SIGSTOP)
    station.allow("torn tail")
    station.send_signal(signal.SIGKILL)
    station.wait()
    os.kill(sweeper, signal.SIGKILL)
    assert all(map(is_alive, pids))
    station.start()
    assert not any(map(is_alive, pids))


def test_groups_go_with_their_workers(station):
    need_groups(station, "family")
    station.deploy("where.py", "def GET(request):\n    return open('/proc/self/cgroup').read()\n")
    lines = station.get("/objects/where").text.splitlines()
    names = {line.rsplit("/", 1)[1] for line in lines if "/objectd-" in line}
    folders = [Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup")
               if Path(folder).name in names and station_mark(lines) in folder]
    assert folders
    os.kill(station.workers()[0].pid, signal.SIGKILL)
    wait_until(lambda: not any(f.exists() for f in folders), what=folders)
    assert station.stop() == 0
    assert not any(f.parent.exists() for f in folders if f.parent.name.startswith("objectd-")
                   and not (f.parent / "supervisor").exists())


def station_mark(lines):
    return next(line for line in lines if "/objectd-" in line).split("/objectd-")[1].split("/")[0]


# --- the supervisor killed, over and over ---


def test_kills_of_the_supervisor(new_station):
    """After each nothing of it runs a second later, and the next takes port and folder at once."""
    subject = new_station()
    subject.allow("torn tail")
    subject.put("d.py", DAEMON)
    file = subject.folder / "pids"
    slowest = 0
    for turn in range(500 if LONG else 5):
        subject.spawn()
        wait_until(subject.is_ready)
        subject.pid = subject.process.pid
        if turn % 2 == 0:
            file.unlink(missing_ok=True)
            assert subject.get(f"/objects/d?to={file}").status == 200
            wait_until(file.exists)
        # A daemon that is just being adopted belongs to nobody for a moment.
        wait_until(lambda least=6 if turn % 2 == 0 else 3: len(descendants(subject.pid)) >= least)
        family = descendants(subject.pid)
        os.kill(subject.pid, signal.SIGKILL)
        began = time.monotonic()
        subject.process.wait()
        subject.wait_gone(family)
        slowest = max(slowest, time.monotonic() - began)
        wait_until(lambda: not processes_marked(subject.mark))
    assert slowest < (1 if LONG else 5) * PATIENCE
    subject.ended_by_test = True
