# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there: after kill -9, failpoints, failing system calls, a power cut, a
full disk."""

import contextlib
import fcntl
import http.client
import os
import random
import re
import shutil
import struct
import subprocess

import pytest
import test_deploys
import test_files
import test_schedules
import test_versions
from station import FAILPOINT_BUILD, LONG, REPOSITORY, SANITIZED, descendants, scaled, wait_until
from writers import LEDGER_OBJECT, Ledger

# Checkpoints, segments and trimming as often as the machine can, so that a kill meets each of them.
BUSY_FILES = {"state": {"segment_size": 65536, "checkpoint_idle": 0.02, "checkpoint_max": 0.05,
                        "journal_max": 262144},
              "limits": {"turn_writes_max": 65536}}


def ledger_station(new_station, **kw):
    kw.setdefault("config", BUSY_FILES)
    station = new_station(**kw)
    station.put("ledger.py", LEDGER_OBJECT)
    return station


# --- kill -9 ---


@pytest.mark.heavy
@pytest.mark.parametrize("config", [BUSY_FILES, {}], ids=["busy files", "defaults"])
def test_kill_at_random_under_writers(new_station, config):
    station = ledger_station(new_station, config=config).start()
    ledger = Ledger(16)
    cycles = 100 if LONG else scaled(5, 2)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(cycles):
        ledger.start(station.port)
        goal = ledger.total + chance.randrange(1, 600)
        wait_until(lambda goal=goal: ledger.total >= goal or not station.alive(), 60)
        station.kill9()
        ledger.join()
        station.verify_data()
        station.start()
        ledger.check(station.state("ledger"))
    print("acknowledged", ledger.total, "in", cycles, "cycles")
    assert ledger.total >= cycles and not ledger.statuses, ledger.statuses
    assert int(station.post("/objects/ledger", {"who": "x", "n": 1})
               .headers["x-commit-seq"].split("-")[0]) == cycles + 1


def test_kill_of_a_worker_under_writers(new_station):
    """The supervisor lives: every call is answered, 200 or 502, and the ledger holds."""
    station = ledger_station(new_station).start()
    station.allow(r"crash|died|killed|ended|exit")
    ledger = Ledger(8)
    station.get("/objects/ledger")
    ledger.start(station.port, keep_on=True)
    for _ in range(scaled(5, 2)):
        goal = ledger.total + 50
        wait_until(lambda goal=goal: ledger.total >= goal, 60)
        for worker in wait_until(station.workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, 9)
    goal = ledger.total + 50
    wait_until(lambda: ledger.total >= goal, 60)
    ledger.stop()
    assert ledger.statuses <= {502, 503}, ledger.statuses
    ledger.check(station.state("ledger"))


def test_graceful_stop_under_writers(new_station):
    station = ledger_station(new_station).start()
    ledger = Ledger(16)
    for _ in range(3):
        ledger.start(station.port)
        goal = ledger.total + 200
        wait_until(lambda goal=goal: ledger.total >= goal)
        assert station.stop() == 0
        ledger.join()
        station.start()
        ledger.check(station.state("ledger"))
        assert ledger.statuses <= {503}, ledger.statuses


# --- failpoints ---


# Each module strikes those that it names. The ledger strikes all others, and fails where it cannot.
ELSEWHERE = [test_deploys, test_files, test_schedules, test_versions]


def all_failpoints():
    """In the sources, and those that lifecycle_passed() puts together."""
    names = set()
    for folder in ("supervisor", "common", "worker"):
        for path in (REPOSITORY / folder).rglob("*.c"):
            text = path.read_text()
            names |= set(re.findall(r'FAILPOINT\("([^"]+)"\)', text))
            steps = re.findall(r'lifecycle_passed\(\w+, "(\w+)"\)', text)
            names |= {f"{what}-{step}" for step in steps for what in ("deploy", "start")}
    return names - {"start-frozen"}  # nothing serves, so nothing is frozen


def failpoint_names():
    return sorted(all_failpoints() - {name for module in ELSEWHERE for name in module.FAILPOINTS})


def test_failpoints_of_other_modules_exist():
    named = [name for module in ELSEWHERE for name in module.FAILPOINTS]
    assert not set(named) - all_failpoints() and len(named) == len(set(named))


def run_failpoint(station, ledger, setting):
    """One life of a station in which the failpoint may strike. True when it did."""
    station.env["OBJECTD_FAILPOINT"] = setting
    station.spawn()
    try:
        wait_until(station.is_ready, 30)
    except AssertionError:
        pass  # struck during the start
    else:
        station.pid = station.process.pid
        ledger.start(station.port)
        wait_until(lambda: not station.alive() or ledger.total >= 400 or not any(
            t.is_alive() for t in ledger.threads), 60)
        ledger.stop()
    struck = not station.alive() or bool(ledger.statuses)
    family = descendants(station.process.pid)
    if station.alive():
        station.pid = station.process.pid
        station.send_signal(15)
    code = station.wait()
    if code not in (0, -9):
        assert code in (70, 71), f"exit code {code}:\n{station.log_tail()}"
    station.wait_gone(family)
    assert ledger.after_refusal == 0 or "enospc" in setting
    return struck or code != 0 or bool(station.logged("scribe lost|scribe.*died|failpoint"))


@pytest.mark.failpoints
@pytest.mark.parametrize("kind", ["crash", "eio", "enospc"])
@pytest.mark.parametrize("name", failpoint_names())
def test_failpoint(new_station, name, kind):
    """Lives that it ends, the first on an empty folder, then a sound one that must hold everything."""
    passes = (1, 2, 7, 40) if LONG else (1, 3)
    station = ledger_station(new_station, build=FAILPOINT_BUILD)
    station.allow(".")
    ledgers = [Ledger(8, first=8 * i) for i in range(len(passes))]
    struck = [run_failpoint(station, ledger, f"{name}:{n}={kind}") for n, ledger in zip(passes, ledgers)]
    station.env.clear()
    station.start()
    state = station.state("ledger")
    for ledger in ledgers:
        ledger.check(state)
    if kind == "crash":
        assert struck[0], f"{name} was never passed"


# --- the n-th system call fails ---


def strace_works():
    if not shutil.which("strace"):
        return False
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "inject=getppid:error=EIO", "true"],
                          capture_output=True, check=False)
    return done.returncode == 0


SYSCALLS = {
    "fdatasync": ("EIO", "ENOSPC"),
    "fsync": ("EIO",),
    "pwrite64": ("EIO", "ENOSPC", "EINTR"),
    "writev,pwritev,pwritev2": ("EIO", "ENOSPC", "EINTR"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
    "openat": ("EMFILE", "EIO"),
    "fallocate,ftruncate": ("ENOSPC", "EIO"),
    "unlink,unlinkat": ("EIO",),
}


def injections():
    made = []
    for call, errors in SYSCALLS.items():
        for error in errors:
            for n in range(1, 51):
                for mode in ("", "+"):
                    made.append((call, error, n, mode))
    if LONG:
        return made
    # a sample that meets every call, every error, once and from then on, early and late
    steps = (1, 2, 3, 5, 9, 17, 50)
    chosen = [(call, error, steps[(i + j) % len(steps)], mode)
              for i, (call, errors) in enumerate(SYSCALLS.items())
              for j, error in enumerate(errors)
              for mode in ("", "+")]
    return chosen


@pytest.mark.skipif(not strace_works(), reason="strace cannot trace here")
@pytest.mark.parametrize("call,error,n,mode", injections(),
                         ids=[f"{c.split(',')[0]}-{e}-{n}{m}" for c, e, n, m in injections()])
def test_system_call_fails(new_station, call, error, n, mode):
    """Once, or from then on: no acknowledged write lost, no crash by a signal, and the next start
    has everything. (EINTR from then on would be no system at all; it is injected in bursts.)"""
    when = f"{n}..{n + 20}" if error == "EINTR" and mode else f"{n}{mode}"
    prefix = ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={call}",
              "-e", f"inject={call}:error={error}:when={when}"]
    station = ledger_station(new_station, prefix=prefix)
    station.allow(".")
    station.spawn()
    station.pid = station.process.pid  # -D: the tracer is not the parent
    ledger = Ledger(4)

    def started():
        return not station.alive() or station.is_ready() or station.logged("nursery died")

    wait_until(started, 60)  # never ready: some failures let no Python start
    if station.alive() and station.is_ready():
        ledger.start(station.port)
        wait_until(lambda: not station.alive() or ledger.total >= 120 or not any(
            t.is_alive() for t in ledger.threads), 60)
        ledger.stop()
    if station.alive():
        family = descendants(station.process.pid)
        station.send_signal(15)
    else:
        family = []
    code = station.wait()
    assert code >= 0, f"ended by signal {-code}:\n{station.log_tail()}"
    not_even_loaded = code == 127 and "shared libraries" in station.log_tail()
    assert code in (0, 70, 71, 78) or not_even_loaded, f"exit code {code}:\n{station.log_tail()}"
    station.wait_gone(family)
    station.prefix = []
    station.start()
    ledger.check(station.state("ledger"))


@pytest.mark.skipif(not strace_works(), reason="strace cannot trace here")
def test_fsync_failure_is_final(new_station):
    """After the first failed fdatasync nothing is acknowledged any more; the process ends by itself
    and the next start re-reads what the disk has."""
    station = ledger_station(new_station, config={})
    # Once: the next would "succeed". Only the segment in use counts: a spare one whose sync fails is
    # thrown away and made again.
    segment = station.data / "journal" / "000000000001.tsv"
    station.prefix = ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-P", str(segment),
                      "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=20"]
    station.allow("fdatasync|journal|Input/output")
    station.spawn()
    station.pid = station.process.pid
    wait_until(station.is_ready, 30)
    ledger = Ledger(8)
    ledger.start(station.port, keep_on=True)
    code = station.wait()
    ledger.join()
    assert code in (70, 71), code
    assert ledger.total > 0 and ledger.after_refusal == 0
    assert ledger.statuses <= {500, 503, 507}
    assert station.logged("fdatasync|journal")
    station.prefix = []
    station.start()
    ledger.check(station.state("ledger"))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer must be the first library")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_short_and_interrupted_writes(new_station, tmp_path):
    """Every write takes only part of what it is given, every third is interrupted."""
    library = tmp_path / "short_writes.so"
    source = REPOSITORY / "tests" / "system" / "short_writes.c"
    run("cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source, "-ldl")
    station = ledger_station(new_station, env={"LD_PRELOAD": str(library)})
    station.allow("^log of ledger: No space")  # logs may lose lines: half a header is not finished
    ledger = Ledger(8)
    for _ in range(2):
        station.start()
        ledger.check(station.state("ledger"))
        goal = ledger.total + 200
        ledger.start(station.port)
        wait_until(lambda goal=goal: ledger.total >= goal, 60)
        station.kill9()
        ledger.join()
    assert not ledger.statuses
    station.env.clear()
    station.start()
    ledger.check(station.state("ledger"))


# --- power cut, full disk ---

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2


class LoopDisk:
    """A small file system in a file, mounted: what a test may cut off or fill."""

    def __init__(self, folder, megabytes=64, kind="ext4"):
        self.image, self.mount_point = folder / "disk.img", folder / "disk"
        self.mount_point.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        run("mkfs." + kind, "-q", self.image)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.mount_point)

    def unmount(self):
        run("umount", self.mount_point)

    def cut(self):
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def close(self):
        subprocess.run(["umount", self.mount_point], capture_output=True, check=False)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command}: {done.stderr}")


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    try:
        made = LoopDisk(tmp_path)
    except OSError as e:
        pytest.skip(f"no loop device: {e}")
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    point = tmp_path / "small"
    point.mkdir()
    try:
        run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", point)
    except OSError as e:
        pytest.skip(f"no tmpfs: {e}")
    yield point
    subprocess.run(["umount", point], capture_output=True, check=False)


@pytest.mark.heavy
def test_power_cut(disk, new_station):
    """The file system stops in mid-air without flushing its own log; what comes back after the
    mount must hold every acknowledged turn."""
    station = ledger_station(new_station, data=disk.mount_point / "data",
                             config={"state": {"segment_size": "1M", "checkpoint_idle": 0.05,
                                               "checkpoint_max": 0.2}})
    station.allow(".")
    ledger = Ledger(16)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    cycles = 50 if LONG else scaled(5, 2)
    for _ in range(cycles):
        station.start()
        ledger.check(station.state("ledger"))
        ledger.start(station.port)
        goal = ledger.total + chance.randrange(20, 800)
        wait_until(lambda goal=goal: ledger.total >= goal, 60)
        family = descendants(station.pid)
        disk.cut()
        code = station.wait()  # it notices by itself
        station.ended_by_test = True
        assert code in (70, 71), code
        ledger.join()
        station.wait_gone(family)
        disk.unmount()
        disk.mount()
    station.start()
    ledger.check(station.state("ledger"))
    station.stop()
    station.verify_data()
    print("acknowledged", ledger.total)
    # the mount goes away before the common checks
    shutil.copytree(station.data, station.folder / "copy")
    station.data = station.folder / "copy"


def test_full_disk(small_disk, new_station):
    """507 for writes, reads go on, and writes resume by themselves once there is room."""
    station = ledger_station(new_station, data=small_disk / "data",
                             config={"state": {"segment_size": "256K", "checkpoint_idle": 0.05}})
    station.allow(r"space|ENOSPC|full|checkpoint|507|log")
    station.start()
    assert station.post("/objects/ledger", {"who": "0", "n": 1}).status == 200
    filler = small_disk / "filler"
    fill(filler)
    ledger = Ledger(4)
    ledger.sent[:] = ledger.acknowledged[:] = [1, 0, 0, 0]
    ledger.start(station.port)
    wait_until(lambda: not any(t.is_alive() for t in ledger.threads) or len(ledger.statuses), 60,
               lambda: f"{ledger.total} acknowledged and none refused")
    ledger.stop()
    assert ledger.statuses == {507}, ledger.statuses
    reply = station.post("/objects/ledger", {"who": "9", "n": 1})
    assert reply.status == 507 and reply.json()["status"] == "error"
    for _ in range(20):
        assert station.get("/objects/ledger").status == 200  # reads go on
    ledger.check(station.state("ledger"))
    filler.unlink()
    wait_until(lambda: station.post("/objects/ledger", {"who": "9", "n": 2}).status == 200, 30)
    ledger.start(station.port)
    goal = ledger.total + 100
    wait_until(lambda: ledger.total >= goal)
    ledger.stop()
    ledger.check(station.state("ledger"))
    station.kill9()
    station.start()
    ledger.check(station.state("ledger"))
    assert station.state("ledger")["a9"] == 2
    station.stop()
    station.verify_data()
    shutil.copytree(station.data, station.folder / "copy")
    station.data = station.folder / "copy"


def fill(path):
    with open(path, "wb", buffering=0) as f:
        block = b"\0" * 65536
        with contextlib.suppress(OSError):
            while True:
                f.write(block)
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0")


DIES = """
def GET(request):
    return _state.get("n", 0)

def POST(request):
    _state.increment("n")
    return {}

def PUT(request):
    import os
    os._exit(3)
"""


def test_crash_reports_on_a_full_disk(small_disk, new_station):
    """One line in the log, the call is answered, the state is what it was; and later reports are kept."""
    station = new_station(data=small_disk / "data")
    station.allow(r"space|full|crash|died|log")
    station.put("dies.py", DIES)
    station.start()
    assert station.post("/objects/dies", {}).status == 200
    fill(small_disk / "filler")
    for died in range(1, 4):
        reply = wait_until(lambda: (r := station.request("PUT", "/objects/dies")).status != 503 and r)
        assert reply.status == 502 and reply.json()["crash_id"], reply
        wait_until(lambda died=died: station.status()["crashes"] == {"reported": died, "lost": died})
    said = station.logged("crash report")
    assert len(said) == 1 and "No space left on device" in str(said), said
    wait_until(lambda: (r := station.get("/objects/dies")).status == 200 and r.json() == 1)
    assert station.get("/objects/dies?crashes=true").json()["crashes"] == []
    assert not [path for path in (station.data / "crashes").rglob("*") if path.is_file()]
    (small_disk / "filler").unlink()
    reply = wait_until(lambda: (r := station.request("PUT", "/objects/dies")).status == 502 and r)
    wait_until(lambda: [crash["crash_id"] for crash in
                        station.get("/objects/dies?crashes=true").json()["crashes"]]
               == [reply.json()["crash_id"]])
    wait_until(lambda: station.post("/objects/dies", {}).status == 200)
    assert station.state("dies") == {"n": 2}
    station.stop()
    station.verify_data()
    shutil.copytree(station.data, station.folder / "copy")
    station.data = station.folder / "copy"


# --- damage on the disk ---


def last_segment(station):
    found = [p for p in sorted((station.data / "journal").iterdir()) if p.name.endswith(".tsv")]
    return next(p for p in reversed(found) if records(p.read_bytes()))


def records(content):
    """The offsets at which the non-blank lines begin, without the header's."""
    offsets, at = [], 0
    for line in content.rstrip(b"\n").split(b"\n"):
        if line:
            offsets.append(at)
        at += len(line) + 1
    return offsets[1:]


@pytest.fixture
def killed(new_station):
    """A station killed with a journal and no checkpoint of what it holds; with the ledger's state."""
    station = ledger_station(new_station, config={"state": {"checkpoint_idle": 3600,
                                                            "checkpoint_max": 3600}}).start()
    for n in range(1, 21):
        assert station.post("/objects/ledger", {"who": "0", "n": n}).status == 200
    station.kill9()
    yield station


def restore(station, saved):
    shutil.rmtree(station.data)
    shutil.copytree(saved, station.data)


def outcome_of_damage(station, change):
    """The whole turns after the damage, or None when the station refused to start with file and
    offset."""
    path = last_segment(station)
    content = bytearray(path.read_bytes())
    content = change(content, records(bytes(content)))
    path.write_bytes(content)
    station.spawn()
    try:
        wait_until(station.is_ready, 20)
    except AssertionError:
        code = station.wait()
        assert code in (70, 71), f"{code}: {station.log_tail()}"
        tail = station.log_tail(5)
        assert path.name in tail and any(c.isdigit() for c in tail.split(path.name)[1]), tail
        return None
    station.pid = station.process.pid
    state = station.state("ledger")
    station.kill9()
    assert state.get("a0") == state.get("b0"), state
    return state.get("a0", 0)


def test_torn_tail_and_damage(killed):
    """Cut anywhere in the last records: a valid prefix. A flipped bit or a zeroed block: a prefix
    or a refusal, never a wrong value. (Every byte of it: the unit tests of the journal.)"""
    station = killed
    station.allow(".")
    saved = station.folder / "saved"
    shutil.copytree(station.data, saved)
    offsets = records(last_segment(station).read_bytes())
    end = len(last_segment(station).read_bytes().rstrip(b"\n")) + 1
    cuts = sorted({offsets[-6], offsets[-1], offsets[-1] + 1, (offsets[-1] + end) // 2, end - 1,
                   offsets[-3] + 3})
    results = []
    for cut in cuts:
        restore(station, saved)
        results.append(outcome_of_damage(station, lambda c, _o, cut=cut: c[:cut]))
    assert all(r is None or 0 <= r <= 20 for r in results), results
    assert results == sorted(results, key=lambda r: -1 if r is None else r), results
    chance = random.Random(1)
    for _ in range(scaled(10, 3)):
        at, bit = chance.randrange(offsets[0], end), 1 << chance.randrange(8)

        def flip(content, _o, at=at, bit=bit):
            content[at] ^= bit
            return content

        restore(station, saved)
        found = outcome_of_damage(station, flip)
        assert found is None or 0 <= found <= 20, (at, bit, found)

    def zero(content, offsets):
        start = offsets[len(offsets) // 2]
        content[start : start + 512] = bytes(min(512, len(content) - start))
        return content

    restore(station, saved)
    found = outcome_of_damage(station, zero)
    assert found is None or 0 <= found <= 20
    restore(station, saved)
    station.start()
    assert station.state("ledger") == {"a0": 20, "b0": 20}


def test_damage_is_reported_by_check(killed):
    """objectctl check names file and line; the daemon refuses to start over damage in the middle."""
    station = killed
    station.allow(".")
    saved = station.folder / "saved"
    shutil.copytree(station.data, saved)
    path = last_segment(station)
    content = bytearray(path.read_bytes())
    offsets = records(bytes(content))
    at = offsets[len(offsets) // 2] + 5
    content[at] ^= 1
    path.write_bytes(content)
    done = station.objectctl("check", str(station.data))
    assert done.returncode != 0 and path.name in done.stdout + done.stderr
    restore(station, saved)


def test_removed_data_folder(new_station):
    """Writes into a journal that has no name any more are never acknowledged."""
    station = new_station().start()
    station.allow(r"journal|log of|checkpoint|stopping|No such file")
    station.deploy("n.py", "def POST(request):\n    return _state_manager.increment('n')\n")
    assert station.post("/objects/n").status == 200

    def removed():  # also what is written meanwhile
        shutil.rmtree(station.data, ignore_errors=True)
        return not station.data.exists()

    wait_until(removed)
    try:
        reply = station.post("/objects/n")
    except (OSError, http.client.HTTPException):
        pass
    else:
        assert reply.status != 200, reply
    assert station.wait() == 71
    station.data.mkdir(exist_ok=True)
    station.start()
    assert station.post("/objects/n").status == 200
