# SPDX-License-Identifier: Apache-2.0
"""A real station for one test: starts the daemon, talks to it, and proves afterwards that it is well.

Only Debian's Python and its standard library. Nothing here sleeps for time: everything waits for a
condition, with a limit after which the test fails. Only processes that were started here are ended.
"""

import collections
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def find_build():
    """The folder of the built programs: OBJECTD_BUILD_DIR, else <repository>/build, else itself."""
    named = os.environ.get("OBJECTD_BUILD_DIR")
    if named:
        return Path(named).resolve()
    for folder in (REPOSITORY / "build", REPOSITORY):
        if os.access(folder / "objectd", os.X_OK):
            return folder
    return REPOSITORY / "build"


BUILD = find_build()


def is_sanitized(build=BUILD):
    """Built with ASan? (Slower, and its processes need more descriptors and memory.)"""
    try:
        return b"__asan_init" in (Path(build) / "objectd").read_bytes()
    except OSError:
        return False


SANITIZED = is_sanitized()
FAILPOINT_BUILD = os.environ.get("OBJECTD_FAILPOINT_BUILD")
PATIENCE = float(os.environ.get("OBJECTD_TEST_PATIENCE", "4" if SANITIZED else "1"))
SCALE = float(os.environ.get("OBJECTD_TEST_SCALE", "0.2" if SANITIZED else "1"))
LONG = os.environ.get("OBJECTD_LONG", "") not in ("", "0")


def scaled(count, least=1):
    """Size of a heavy part: OBJECTD_TEST_SCALE times `count`, at least `least`."""
    return max(least, int(count * SCALE))


def wait_until(condition, timeout=20.0, what=None):
    """Polls until condition() is true and returns its value; fails the test after the timeout."""
    end = time.monotonic() + timeout * PATIENCE
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            hint = what() if callable(what) else what
            raise AssertionError(f"not within {timeout * PATIENCE:.0f} s: {hint or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def outgoing_ports():
    """The ports that the kernel gives to connections: the first of them."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


RESERVED = collections.deque(maxlen=256)  # sockets whose names say which ports are ours: the newest ones


def free_port():
    """A port for this process alone: below those of connections, which come and go while a station
    restarts, and with a name in the abstract namespace that no other run of the tests can have."""
    while True:
        port = random.randrange(10000, outgoing_ports())
        mark = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.socket() as s:
            mark.bind(f"\0objectd-test-port-{port}")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            if len(RESERVED) == RESERVED.maxlen:
                RESERVED[0].close()
            RESERVED.append(mark)
            return port
        mark.close()


def config_text(sections):
    """{"http": {"head_timeout": 1}} in the form of the configuration file."""

    def value(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, (list, tuple)):
            return "{" + ", ".join(value(x) for x in v) + "}"
        if isinstance(v, (int, float)):
            return str(v)
        return '"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = []
    for section, keys in sections.items():
        lines.append(f"{section} {{")
        lines += [f"    {key} = {value(v)}" for key, v in keys.items()]
        lines.append("}")
    return "\n".join(lines) + "\n"


class Reply:
    """One reply: status, fields (last of a name, names in lower case), every field, body."""

    def __init__(self, status, fields, body):
        self.status = status
        self.all_fields = fields
        self.headers = {name.lower(): value for name, value in fields}
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Client:
    """One keep-alive connection. Reconnects only when asked to."""

    def __init__(self, port, timeout=30.0, host="127.0.0.1"):
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout * PATIENCE)

    def request(self, method, path, body=None, headers=None):
        fields = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            body = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.connection.request(method, path, body=body, headers=fields)
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body=body, **kw)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ProcessInfo:
    """What /proc says about one process; None from of() once it is gone."""

    def __init__(self, pid, state, parent, started, command):
        self.pid, self.state, self.parent = pid, state, parent
        self.started, self.command = started, command

    @classmethod
    def of(cls, pid):
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (OSError, ValueError):
            return None
        fields = text[text.rindex(")") + 2 :].split()
        name = text[text.index("(") + 1 : text.rindex(")")]
        return cls(int(pid), fields[0], int(fields[1]), int(fields[19]), command or f"[{name}]")

    def __repr__(self):
        return f"{self.pid}({self.state}) {self.command}"


def read_proc(*path):
    """A file of /proc as bytes; empty when the process is gone or not ours."""
    try:
        with open("/proc/" + "/".join(map(str, path)), "rb", buffering=0) as f:
            return f.read()
    except OSError:
        return b""


def child_pids(pid):
    """The children of all threads of a process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for t in threads for child in read_proc(pid, "task", t, "children").split()]


def children_of(pid):
    found = (ProcessInfo.of(child) for child in child_pids(pid))
    return [p for p in found if p is not None and p.parent == pid]


def descendants(pid):
    found, queue = [], [pid]
    while queue:
        children = children_of(queue.pop())
        found += children
        queue += [p.pid for p in children]
    return found


def processes_marked(mark):
    """Processes whose environment holds the mark: finds what escaped from the process tree."""
    needle = f"OBJECTD_TEST_MARK={mark}".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = (ProcessInfo.of(pid) for pid in pids if needle in read_proc(pid, "environ").split(b"\0"))
    return [p for p in found if p is not None]


def workers_in(folder):
    """Workers and their forks by where they run: the title of a worker covers its environment."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = (ProcessInfo.of(pid) for pid in pids if cwd_of(pid) == str(folder))
    return [p for p in found if p is not None and p.command.startswith("objectd-worker")]


def cwd_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""  # gone, a zombie, or not ours


def descriptors(pid):
    """Kinds of open descriptors of a process and how many there are of each."""
    kinds = {}
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:
            continue
        if target.startswith("/memfd:"):
            kind = "memfd"
        elif target.startswith("/"):
            kind = "deleted file" if target.endswith(" (deleted)") else "file"
        else:
            kind = re.sub(r":?\[\d+\]$", "", target)
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


# What one worker, and one object with a log, may keep open in the supervisor.
PER_WORKER = {"socket": 2, "pipe": 2, "anon_inode:[pidfd]": 1, "memfd": 1, "file": 1}

ROLE_PATTERNS = (
    ("nursery", re.compile(r"objectd-worker\b.*nursery|objectd-nursery")),
    ("scribe", re.compile(r"objectd-scribe")),
    ("sweeper", re.compile(r"objectd-sweeper")),
    ("worker", re.compile(r"objectd-worker|objectd: ")),
)


def role_of(process):
    for role, pattern in ROLE_PATTERNS:
        if pattern.search(process.command):
            return role
    return "other"


class Station:
    """A daemon with folders of its own. Start it with start(); verify() and close() end the test."""

    def __init__(self, folder, config=None, env=None, arguments=(), prefix=(), build=None,
                 data=None, objects=None):
        self.folder = Path(folder)
        self.objects = Path(objects or self.folder / "objects")
        self.data = Path(data or self.folder / "data")
        self.log_file = self.folder / "objectd.log"
        self.config = {section: dict(keys) for section, keys in (config or {}).items()}
        # Each start writes a spare segment: small ones, but for the tests that name another size.
        self.config.setdefault("state", {}).setdefault("segment_size", "1M")
        self.env = dict(env or {})
        self.arguments, self.prefix = list(arguments), list(prefix)
        self.build = Path(build or BUILD)
        self.mark = uuid.uuid4().hex
        self.port = None
        self.process = None
        self.pid = None  # of the daemon itself, below any prefix
        self.baseline = None
        self.allowed = []
        self.ended_by_test = False
        self.exit_code = None
        self.clients = []
        self.log_offset = 0
        self.log_checked = 0  # up to here unexpected_log_lines() was content
        for path in (self.folder, self.objects, self.data):
            path.mkdir(parents=True, exist_ok=True)

    # --- life ---

    @property
    def program(self):
        return self.build / "objectd"

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OBJECTD_", "STATION_ID"))}
        env["OBJECTD_TEST_MARK"] = self.mark
        leaks = 0 if self.prefix else 1  # the leak check does not work under a tracer
        env.setdefault("ASAN_OPTIONS", f"detect_leaks={leaks}:abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        env.update(self.env)
        return env

    def command(self):
        config_file = self.folder / "objectd.conf"
        config_file.write_text(config_text(self.config))
        return [*self.prefix, str(self.program), "--config", str(config_file),
                "--objects", str(self.objects), "--data", str(self.data),
                "--listen", f"127.0.0.1:{self.port}", *self.arguments]

    def spawn(self):
        """Starts the process without waiting for anything."""
        if self.port is None:
            self.port = free_port()
        self.exit_code, self.ended_by_test, self.pid = None, False, None
        with open(self.log_file, "ab") as log:
            self.log_offset = log.tell()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment(), cwd=self.folder)
        return self

    def start(self, timeout=30.0):
        self.spawn()
        wait_until(self.is_ready, timeout, lambda: "the station is not ready:\n" + self.log_tail())
        self.pid = self.find_pid()
        self.baseline = None
        wait_until(lambda: len(self.children("nursery")) == 1, what="no nursery")
        self.baseline = self.quiet_descriptors()
        return self

    def find_pid(self):
        if not self.prefix:
            return self.process.pid
        own = str(self.program) + " --config"
        found = [p for p in descendants(self.process.pid) if p.command.startswith(own)]
        return found[0].pid if found else self.process.pid  # else it became the daemon by exec

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log_tail()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            with Client(self.port, timeout=5) as client:
                return client.get("/ready").status == 200
        return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        os.kill(self.pid or self.process.pid, number)

    def wait(self, timeout=40.0):
        try:
            self.exit_code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            family = [ProcessInfo.of(self.process.pid), *descendants(self.process.pid)]
            raise AssertionError(f"not ended after {timeout * PATIENCE:.0f} s: {family}\n"
                                 f"{self.log_tail()}") from None
        return self.exit_code

    def stop(self, number=signal.SIGTERM, timeout=40.0):
        """Graceful stop; returns the exit code. Clients that call meanwhile get their answer."""
        self.send_signal(number)
        self.ended_by_test = True
        code = self.wait(timeout)
        self.close_clients()
        return code

    def kill9(self):
        """The end without warning; the next start may report the torn tail it cut off."""
        self.allow("torn tail")
        family = [p for p in descendants(self.process.pid)]
        self.send_signal(signal.SIGKILL)
        self.ended_by_test = True
        self.wait()
        self.close_clients()
        self.wait_gone(family)

    def wait_gone(self, family, timeout=10.0):
        """Every process of the family ends by itself."""

        def left():
            now = (ProcessInfo.of(p.pid) for p in family)
            return [n for n, p in zip(now, family) if n and n.started == p.started and n.state != "Z"]

        wait_until(lambda: not left(), timeout, lambda: f"still running: {left()}")

    def restart(self, number=signal.SIGTERM):
        code = self.stop(number)
        assert code == 0, f"exit code {code}:\n{self.log_tail()}"
        return self.start()

    # --- objects ---

    def put(self, name, source):
        """objects/<name> appears with this content at once (rename), as editors save."""
        path = self.objects / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
        if isinstance(source, bytes):
            beside.write_bytes(source)
        else:
            beside.write_text(source)
        os.rename(beside, path)
        return path

    def deploy(self, name, source, contains=None):
        """put(), then waits until the station lists the object."""
        self.put(name, source)
        object_id = name[:-3].replace("/", "_")
        wait_until(lambda: object_id in self.object_ids(), what=f"{object_id} is not listed")
        return object_id

    def object_ids(self):
        return [o["object_id"] for o in self.get("/objects").json()["objects"]]

    # --- talking ---

    def client(self, timeout=30.0):
        client = Client(self.port, timeout)
        self.clients.append(client)
        return client

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def request(self, method, path, body=None, headers=None, timeout=30.0):
        with Client(self.port, timeout) as client:
            return client.request(method, path, body, headers)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body=body, **kw)

    def connect(self, timeout=30.0):
        s = socket.create_connection(("127.0.0.1", self.port), timeout * PATIENCE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data, timeout=30.0):
        """Sends these bytes and returns everything up to the end of the connection."""
        with self.connect(timeout) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
            return read_to_end(s)

    def state(self, object_id):
        reply = self.get(f"/objects/{object_id}?state=true")
        assert reply.status == 200, reply
        return reply.json()["state"]

    def object_logs(self, object_id, query=""):
        reply = self.get(f"/objects/{object_id}?logs=true&limit=1000{query}")
        assert reply.status == 200, reply
        return reply.json()["logs"]

    def status(self):
        return self.get("/status").json()

    # --- looking at it ---

    def metric(self, name):
        text = self.get("/metrics").text
        return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

    def children(self, role=None):
        return [p for p in children_of(self.pid) if role is None or role_of(p) == role]

    def workers(self):
        return [p for p in self.children("worker") if p.state != "Z"]

    def worker_pid(self, object_id):
        """Of its owner: it may be ready before the nursery has told its pid."""
        return wait_until(lambda: self.get(f"/objects/{object_id}?metadata=true")
                          .json()["metadata"]["worker"]["pid"])

    def rss(self, peak=False):
        """Resident bytes of the supervisor."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)" if peak else r"VmRSS:\s+(\d+)", text).group(1))

    def quiet_descriptors(self):
        """The kinds of descriptors once two looks in a row agree."""
        last = []

        def same():
            last.append(descriptors(self.pid))
            return len(last) > 1 and last[-1] == last[-2]

        wait_until(same)
        return last[-1]

    def logs(self, since_start=True):
        """The daemon's own log, parsed; a line that is no JSON has level RAW."""
        return self.parsed_log(self.log_offset if since_start else 0)

    def parsed_log(self, offset):
        lines = []
        with open(self.log_file, "rb") as f:
            f.seek(offset)
            for line in f.read().decode(errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    if not isinstance(entry, dict):
                        raise ValueError
                except ValueError:
                    entry = {"level": "RAW", "message": line}
                lines.append(entry)
        return lines

    def logged(self, pattern, since_start=True):
        return [e for e in self.logs(since_start) if re.search(pattern, e.get("message", ""))]

    def log_tail(self, count=30):
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return "(no log)"

    def allow(self, *patterns):
        """The test expects warnings or errors like these in the daemon's log."""
        self.allowed += patterns

    def log_accepted(self):
        """What was logged so far was looked at; allowances end."""
        self.log_checked = self.log_file.stat().st_size
        self.allowed.clear()

    def unexpected_log_lines(self):
        found = []
        for entry in self.parsed_log(self.log_checked):
            if entry.get("level") in ("DEBUG", "INFO"):
                continue
            if entry.get("level") == "RAW" and not entry["message"].strip():
                continue
            text = entry.get("message", "")
            if not any(re.search(p, text) for p in self.allowed):
                found.append(entry)
        return found

    # --- after the test ---

    def verify_running(self):
        """What must hold of a running station at rest."""
        assert self.alive(), f"the daemon ended ({self.process.poll()}):\n{self.log_tail()}"
        self.close_clients()

        def trouble():
            children = self.children()
            zombies = [p for p in children if p.state == "Z"]
            if zombies:
                return f"zombies: {zombies}"
            roles = [role_of(p) for p in children]
            if roles.count("nursery") != 1 or roles.count("scribe") != 1 or "other" in roles:
                return f"unexpected processes: {children}"
            known = {p.pid for p in children}
            strays = [p for p in descendants(self.pid) if p.pid not in known and p.state == "Z"]
            if strays:
                return f"zombies below: {strays}"
            workers = roles.count("worker")
            leaked = {}
            for kind, count in descriptors(self.pid).items():
                most = self.baseline.get(kind, 0) + PER_WORKER.get(kind, 0) * workers
                if kind == "file":
                    most += 2 * len(list(self.data.rglob("*"))) + 4
                if count > most:
                    leaked[kind] = f"{count} > {most}"
            if leaked:
                return f"leaked descriptors with {workers} workers: {leaked}"
            return None

        wait_until(lambda: trouble() is None, 20, trouble)
        assert self.get("/health").status == 200

    def verify_stopped(self, data_check=True):
        """Graceful end with nothing left behind, and a data folder that checks clean."""
        family = descendants(self.process.pid)
        code = self.stop()
        assert code == 0, f"exit code {code} after TERM:\n{self.log_tail()}"
        self.wait_gone(family)
        self.verify_nothing_left()
        if data_check:
            self.verify_data()

    def left_behind(self):
        return processes_marked(self.mark) + workers_in(self.folder)

    def verify_nothing_left(self):
        left = processes_marked(self.mark)
        assert not left, f"left behind: {left}"
        wait_until(lambda: not workers_in(self.folder), 10,
                   lambda: f"left behind: {workers_in(self.folder)}")

    def verify_data(self):
        done = self.objectctl("check", str(self.data))
        assert done.returncode == 0, f"objectctl check: {done.stdout}{done.stderr}"

    def verify(self):
        """All of it, as each test ends. A station the test itself ended is only checked on disk."""
        if self.process is None:
            return
        if self.ended_by_test and not self.alive():
            self.verify_nothing_left()
            self.verify_data()
        else:
            self.verify_running()
            self.verify_stopped()
        lines = self.unexpected_log_lines()
        assert not lines, "unexpected lines in the daemon's log:\n" + "\n".join(map(str, lines[:20]))

    def close(self):
        """Ends whatever of it still runs, without any check."""
        self.close_clients()
        if self.process is None:
            return
        family = descendants(self.process.pid) + self.left_behind()
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid or self.process.pid, signal.SIGKILL)
            if self.prefix:
                with contextlib.suppress(OSError):
                    self.process.kill()
            self.process.wait()
        with contextlib.suppress(AssertionError):
            self.wait_gone([p for p in family if role_of(p) == "sweeper"])  # it removes the groups
        for p in family:
            now = ProcessInfo.of(p.pid)
            if now is not None and now.started == p.started and p.pid != os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(p.pid, signal.SIGKILL)

    def objectctl(self, *arguments, timeout=60, **kw):
        env = self.environment()
        if self.port is not None:
            env["OBJECTD_URL"] = f"http://127.0.0.1:{self.port}"
        env.update(kw.pop("env", {}))
        return subprocess.run([str(self.build / "objectctl"), *arguments], capture_output=True,
                              text=True, timeout=timeout * PATIENCE, env=env,
                              stdin=subprocess.DEVNULL, cwd=self.folder, **kw)


@contextlib.contextmanager
def serving(folder, **kw):
    """A station for several tests; what was left of it is verified at the end."""
    subject = Station(folder, **kw).start()
    try:
        yield subject
        subject.verify()
    finally:
        subject.close()


def read_to_end(s):
    """Everything a peer sends until it closes or resets the connection."""
    pieces = []
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            pieces.append(piece)
    return b"".join(pieces)


def read_reply(s, method="GET"):
    """One reply from a socket, as http.client understands it."""
    answer = http.client.HTTPResponse(s, method=method)
    answer.begin()
    return Reply(answer.status, answer.getheaders(), answer.read())


def run_daemon(folder, *arguments, env=None, timeout=30, build=None, mark=None):
    """objectd with these arguments until it ends by itself; the completed process."""
    full = {k: v for k, v in os.environ.items() if not k.startswith(("OBJECTD_", "STATION_ID"))}
    full["OBJECTD_TEST_MARK"] = mark or uuid.uuid4().hex
    full.update(env or {})
    return subprocess.run([str(Path(build or BUILD) / "objectd"), *map(str, arguments)],
                          capture_output=True, text=True, timeout=timeout * PATIENCE, env=full,
                          cwd=folder, stdin=subprocess.DEVNULL)


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
