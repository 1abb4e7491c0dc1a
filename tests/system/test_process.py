# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process: start, options, configuration, signals, children."""

import ctypes
import json
import os
import re
import signal
import socket
import threading
import time

import pytest
from station import PATIENCE, ProcessInfo, config_text, free_port, run_daemon, wait_until

HELLO = 'def GET(request):\n    return {"message": "Hello, World!"}\n'
SLOW = ("import os, time\ndef GET(request):\n    open(request['begun'], 'w').close()\n"
        "    while not os.path.exists(request['until']):\n        time.sleep(0.005)\n"
        "    _state_manager.set('finished', True)\n    return {'finished': True}\n")


def folders(tmp_path):
    (tmp_path / "o").mkdir(exist_ok=True)
    (tmp_path / "d").mkdir(exist_ok=True)
    return ["--objects", tmp_path / "o", "--data", tmp_path / "d"]


# --- options and configuration ---


def test_version_and_help(tmp_path):
    done = run_daemon(tmp_path, "--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout)
    done = run_daemon(tmp_path, "--help")
    assert done.returncode == 0
    for option in ("--config", "--objects", "--data", "--listen", "--station", "--log-level", "--check"):
        assert option in done.stdout


@pytest.mark.parametrize("arguments", [["--nonsense"], ["surplus"], ["--config"], ["--listen"]])
def test_usage_errors(tmp_path, arguments):
    done = run_daemon(tmp_path, *arguments)
    assert done.returncode == 64 and done.stderr.strip()


BAD_CONFIGS = [
    ("http { nonsense = 1 }", "nonsense", 1),
    ("nosection { }", "nosection", 1),
    ("\n\nworkers { timeout = soon }", "timeout", 3),
    ("workers { timeout = -1 }", "timeout", 1),
    ("state { durability = sometimes }", "durability", 1),
    ("limits {\n  body_max = 1X\n}", "body_max", 2),
    ("limits {\n  head_max = 1\n}", "head_max", 2),
    ("security { management = maybe }", "management", 1),
    ("http { listen = { \"127.0.0.1:99999\" } }", "99999", 1),
    ("http {", "", 1),
    ("log { level = loud }", "level", 1),
    ("station { id = \"a b\" }", "id", 1),
]


@pytest.mark.parametrize("text,names,line", BAD_CONFIGS, ids=[c[1] + c[0][:12] for c in BAD_CONFIGS])
@pytest.mark.parametrize("check", [True, False])
def test_config_errors_name_file_and_line(tmp_path, text, names, line, check):
    path = tmp_path / "bad.conf"
    path.write_text(text + "\n")
    arguments = ["--config", path, *folders(tmp_path)] + (["--check"] if check else [])
    done = run_daemon(tmp_path, *arguments)
    assert done.returncode == 78, done
    said = done.stdout + done.stderr
    assert re.search(rf"bad\.conf:(\d+)", said), said
    if names:
        assert names in said, said
        assert int(re.search(r"bad\.conf:(\d+)", said).group(1)) == line


def test_config_file_missing(tmp_path):
    done = run_daemon(tmp_path, "--config", tmp_path / "none.conf", "--check")
    assert done.returncode == 78 and "none.conf" in done.stderr


def test_check(tmp_path):
    path = tmp_path / "good.conf"
    path.write_text(config_text({"workers": {"timeout": 5}, "state": {"durability": "interval"}}))
    done = run_daemon(tmp_path, "--config", path, "--check", *folders(tmp_path))
    assert done.returncode == 0, done
    assert not list((tmp_path / "d").iterdir())
    done = run_daemon(tmp_path, "--config", path, "--check", "--objects", tmp_path / "none")
    assert done.returncode == 71 and "objects folder" in done.stderr and "none" in done.stderr, done


def test_precedence(new_station, tmp_path):
    """Command line beats environment beats file beats default."""
    station = new_station(config={"station": {"id": "from-file"}})
    station.start()
    station.deploy("id.py", "def GET(request, _runtime):\n    return _runtime.station_id\n")
    assert station.get("/objects/id").text == "from-file"
    station.env["OBJECTD_STATION_ID"] = "from-environment"
    station.restart()
    assert station.get("/objects/id").text == "from-environment"
    station.arguments = ["--station", "from-command-line"]
    station.restart()
    assert station.get("/objects/id").text == "from-command-line"
    station.arguments, station.env = [], {"STATION_ID": "the-short-name"}
    station.config = {}
    station.restart()
    assert station.get("/objects/id").text == "the-short-name"


def test_not_beyond_loopback(tmp_path):
    for address in (f"0.0.0.0:{free_port()}", f"[::]:{free_port()}", f"192.0.2.1:{free_port()}"):
        done = run_daemon(tmp_path, *folders(tmp_path), "--listen", address)
        assert done.returncode in (71, 78), done
        assert "this machine only" in done.stderr or "loopback" in done.stderr


def test_missing_folders(tmp_path):
    done = run_daemon(tmp_path, "--objects", tmp_path / "no", "--data", "/proc/nothing/data",
                      "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode in (71, 78) and done.stderr.strip(), done


# --- one at a time ---


def test_second_start_says_who_holds_the_lock(station):
    done = run_daemon(station.folder, "--objects", station.objects, "--data", station.data,
                      "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode == 71, done
    assert str(station.pid) in done.stderr and "lock" in done.stderr
    assert station.get("/health").status == 200


def test_port_in_use_names_the_owner(station, tmp_path):
    done = run_daemon(tmp_path, *folders(tmp_path), "--listen", f"127.0.0.1:{station.port}")
    assert done.returncode == 71, done
    assert str(station.port) in done.stderr
    assert str(station.pid) in done.stderr or "objectd" in done.stderr.split(str(station.port))[1]
    assert "recovered" not in done.stderr  # said at once, not after a long recovery
    assert station.get("/health").status == 200


def test_stale_lock_and_socket(new_station, tmp_path):
    """What a killed one leaves behind does not stop the next."""
    path = tmp_path / "s"
    station = new_station(arguments=["--listen", f"unix:{path}"]).start()
    station.kill9()
    assert path.exists()
    station.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))


# --- stopping ---


def test_the_log_tells_begin_and_end(station):
    messages = [entry["message"] for entry in station.logs()]
    assert any("no objects yet" in m and str(station.objects) in m for m in messages), messages
    assert station.stop() == 0
    messages = [entry["message"] for entry in station.logs()]
    assert messages[-1] == "stopped" and "stopping" in messages


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_stop_drains(station, number):
    """Turns in flight are finished and answered, new connections refused, exit code 0."""
    station.deploy("slow.py", SLOW)
    begun, until = station.folder / "begun", station.folder / "until"
    replies = []
    client = threading.Thread(target=lambda: replies.append(
        station.get(f"/objects/slow?begun={begun}&until={until}")))
    client.start()
    wait_until(begun.exists)
    station.send_signal(number)

    def refused():
        try:
            with socket.create_connection(("127.0.0.1", station.port), 5):
                return False
        except OSError:
            return True

    wait_until(refused)
    assert station.alive()
    until.touch()
    client.join()
    assert replies[0].status == 200 and replies[0].json() == {"finished": True}
    station.ended_by_test = True
    assert station.wait() == 0
    station.start()
    assert station.state("slow") == {"finished": True}


def test_second_term_stops_at_once(station):
    station.allow(r"at once|second|signal|killed|crash|unfinished|gave up")
    station.deploy("slow.py", SLOW)
    begun = station.folder / "begun"

    def work():
        try:
            station.get(f"/objects/slow?begun={begun}&until=/nonexistent")
        except Exception:
            pass  # cut off, as announced

    client = threading.Thread(target=work)
    client.start()
    wait_until(begun.exists)
    station.send_signal(signal.SIGTERM)
    wait_until(lambda: station.logged("^stopping"))
    station.send_signal(signal.SIGTERM)
    station.ended_by_test = True
    station.wait(timeout=10)
    client.join()


@pytest.mark.parametrize("station", [{"config": {"workers": {"stop_timeout": 0.5}}}], indirect=True)
def test_stop_has_a_limit(station):
    station.allow(r".")
    station.deploy("slow.py", SLOW)
    begun = station.folder / "begun"

    def work():
        try:
            station.get(f"/objects/slow?begun={begun}&until=/nonexistent")
        except Exception:
            pass

    client = threading.Thread(target=work)
    client.start()
    wait_until(begun.exists)
    station.send_signal(signal.SIGTERM)
    station.ended_by_test = True
    assert station.wait(timeout=15) in (0, 70, 71)
    client.join()


@pytest.mark.parametrize("station", [{"config": {"workers": {"stop_timeout": 0.3}}}], indirect=True)
def test_a_client_that_reads_nothing_holds_a_stop_up_no_longer(station):
    station.allow("replies are not read by their clients after workers.stop_timeout")
    station.deploy("large.py", "def GET(request):\n    return 'x' * 10_000_000\n")
    with station.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the reply does not fit
        client.sendall(b"GET /objects/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1) == b"H"
        began = time.monotonic()
        station.send_signal(signal.SIGTERM)
        station.ended_by_test = True
        assert station.wait() == 0
    assert time.monotonic() - began < 10 * PATIENCE
    assert station.logged("replies are not read by their clients")


def test_ready_while_draining(station):
    """An open connection learns from /ready that the station is going."""
    station.deploy("slow.py", SLOW)
    begun, until = station.folder / "begun", station.folder / "until"
    client = threading.Thread(target=station.get, args=(f"/objects/slow?begun={begun}&until={until}",))
    client.start()
    wait_until(begun.exists)
    with station.client() as probe:
        assert probe.get("/ready").status == 200
        station.send_signal(signal.SIGTERM)

        wait_until(lambda: station.logged("^stopping"))
        reply = probe.get("/ready")
        assert reply.status == 503 and reply.headers["connection"] == "close"
    until.touch()
    client.join()
    station.ended_by_test = True
    assert station.wait() == 0


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_second_term_while_the_rest_is_written(station, seconds):
    """A scribe that hangs does not hold up an end in a hurry, whenever that begins."""
    station.allow("scribe")
    source = "def POST(request):\n    _files.put('a.txt', b'a')\n    _state.set('n', 1)\n    return {'n': 1}\n"
    station.deploy("writer.py", source)
    assert station.post("/objects/writer").status == 200
    wait_until(lambda: (station.data / "files/writer/a.txt").exists())
    scribe = station.children("scribe")[0].pid
    os.kill(scribe, signal.SIGSTOP)
    assert station.post("/objects/writer").status == 200
    started = time.monotonic()
    station.send_signal(signal.SIGTERM)
    wait_until(lambda: station.logged("^stopping"))
    time.sleep(seconds)  # in the loop, or behind it
    station.send_signal(signal.SIGTERM)
    station.ended_by_test = True
    assert station.wait() == 0
    assert time.monotonic() - started < 10 * PATIENCE  # stop_timeout is 30 s
    station.start()
    assert station.state("writer") == {"n": 1}
    assert station.get("/objects/writer?file=a.txt").body == b"a"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD,
                                    signal.SIGWINCH])
def test_signals_that_do_not_end_it(shared, number):
    shared.deploy("hello.py", HELLO)
    shared.send_signal(number)
    for _ in range(5):
        assert shared.get("/objects/hello").status == 200


# --- children ---


def test_processes(station):
    """Exactly those of the design, each with its own name and group."""
    assert {p.command.split()[0].rsplit("/", 1)[-1] for p in station.children("scribe")}
    assert len(station.children()) == 3  # nursery, scribe, sweeper; no object was called yet
    station.deploy("a.py", HELLO)
    station.deploy("b.py", HELLO)
    for name in ("a", "b", "a"):
        assert station.get(f"/objects/{name}").status == 200
    assert len(station.workers()) == 2
    for p in station.workers():
        assert os.getpgid(p.pid) == p.pid
        status = open(f"/proc/{p.pid}/status").read()
        assert "NoNewPrivs:\t1" in status
        score = int(open(f"/proc/{p.pid}/oom_score_adj").read())
        assert score > int(open(f"/proc/{station.pid}/oom_score_adj").read())
        fds = os.listdir(f"/proc/{p.pid}/fd")
        assert len(fds) <= 16, [os.readlink(f"/proc/{p.pid}/fd/{f}") for f in fds]
    threads = os.listdir(f"/proc/{station.pid}/task")
    assert len(threads) == 2  # the loop and the committer


@pytest.mark.parametrize("role", ["nursery", "scribe", "sweeper"])
def test_killed_helper_is_replaced(station, role):
    station.allow(rf"{role}|worker")
    station.deploy("hello.py", HELLO)
    assert station.get("/objects/hello").status == 200
    for _ in range(2):
        old = wait_until(lambda: station.children(role))[0]
        os.kill(old.pid, signal.SIGKILL)
        wait_until(lambda old=old: [p for p in station.children(role)
                                    if p.pid != old.pid and p.state != "Z"])
        assert station.logged(rf"{role} died \(signal 9 \(Killed\), after \d+\.\d+ s of processor "
                              r"time, with at most [1-9]\d*\.\d MB of memory\)")
        assert station.get("/objects/hello").status == 200
    station.deploy("second.py", "def GET(request):\n    return _state_manager.increment('n')\n")
    wait_until(lambda: station.get("/objects/second").status == 200)
    assert station.get("/objects/second?logs=true").status == 200
    assert station.state("second")["n"] >= 1


def test_helpers_end_though_their_sockets_are_held(station):
    """A process of the same user may have copies of all that the supervisor has open."""
    pidfd_getfd = 438
    libc = ctypes.CDLL(None, use_errno=True)
    supervisor = os.pidfd_open(station.pid)
    held = [libc.syscall(pidfd_getfd, supervisor, int(fd), 0)
            for fd in os.listdir(f"/proc/{station.pid}/fd")]
    os.close(supervisor)
    try:
        if not any(fd >= 0 for fd in held):
            pytest.skip("no copies of descriptors here")
        station.kill9()  # waits until every one of them has gone
    finally:
        for fd in held:
            if fd >= 0:
                os.close(fd)


def test_more_cold_objects_than_a_socket_holds(station):
    """Workers asked for while the nursery is busy wait for it; none is refused."""
    names = [f"cold{i}" for i in range(300)]
    for name in names:
        station.put(f"{name}.py", HELLO)
    wait_until(lambda: set(names) <= set(station.object_ids()))
    nursery = station.children("nursery")[0].pid
    os.kill(nursery, signal.SIGSTOP)
    connections = []
    try:
        for name in names:
            connections.append(station.connect())
            connections[-1].sendall(b"GET /objects/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                    % name.encode())
        wait_until(lambda: station.status()["turns"]["outstanding"] == len(names))
    finally:
        os.kill(nursery, signal.SIGCONT)
    for connection in connections:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.close()
    assert station.children("nursery")[0].pid == nursery


def test_killed_idle_worker_is_replaced(station):
    station.allow(r"worker|crash|died|killed|ended")
    station.deploy("pid.py", "import os\ndef GET(request):\n    return os.getpid()\n")
    old = station.get("/objects/pid").json()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: station.get("/objects/pid").json() != old)


def test_workers_die_with_the_supervisor(station):
    station.deploy("slow.py", SLOW)
    station.deploy("hello.py", HELLO)
    assert station.get("/objects/hello").status == 200
    begun = station.folder / "begun"
    s = station.connect()
    s.sendall(f"GET /objects/slow?begun={begun}&until=/nonexistent HTTP/1.1\r\n"
              "Host: localhost\r\n\r\n".encode())
    wait_until(begun.exists)
    children = station.children()
    assert len(children) == 5
    station.kill9()  # waits until every one of them has gone
    s.close()
    for p in children:
        now = ProcessInfo.of(p.pid)
        assert now is None or now.started != p.started or now.state == "Z"


def test_a_stopped_worker_stops_nobody_else(station):
    """SIGSTOP: its own calls wait, everybody else's do not."""
    station.deploy("a.py", HELLO)
    station.deploy("b.py", HELLO)
    assert station.get("/objects/a").status == station.get("/objects/b").status == 200
    pid = station.worker_pid("a")
    os.kill(pid, signal.SIGSTOP)
    try:
        replies = []
        client = threading.Thread(target=lambda: replies.append(station.get("/objects/a")))
        client.start()
        for _ in range(20):
            assert station.get("/objects/b").status == 200
        assert not replies
    finally:
        os.kill(pid, signal.SIGCONT)
    client.join()
    assert replies[0].status == 200


# --- telling systemd ---


def test_sd_notify(new_station, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(20)
        station = new_station(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}).start()
        said = s.recv(4096).decode()
        while "READY=1" not in said:
            said += s.recv(4096).decode()
        said = ""
        while "WATCHDOG=1" not in said:
            said += s.recv(4096).decode()
        assert station.stop() == 0
        said = ""
        while "STOPPING=1" not in said:
            said += s.recv(4096).decode()


def test_workers_do_not_inherit_the_notify_socket(new_station, tmp_path):
    station = new_station(env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}).start()
    station.allow("notify|NOTIFY")
    station.deploy("env.py", "import os\ndef GET(request):\n    return {'e': dict(os.environ)}\n")
    assert "NOTIFY_SOCKET" not in station.get("/objects/env").json()["e"]


def test_log_is_json_lines(station):
    station.deploy("hello.py", HELLO)
    station.get("/objects/hello")
    for line in station.log_file.read_text().splitlines():
        entry = json.loads(line)
        assert entry["level"] and entry["timestamp"] and entry["message"]
