# SPDX-License-Identifier: Apache-2.0
"""A redis-server of the tests' own: on a free loopback port, in a folder of its own, ended by its pid.

`redis` is a fixture: an empty running server with its default settings. One process serves all tests of a
run; a test may do with it what it likes (kill, stall, configure): the next one finds it whole again.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis as redis_py

from station import PATIENCE, wait_until

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def in_main_thread():
    return threading.current_thread() is threading.main_thread()


def die_with_starter():
    """With the thread that started it, to be exact."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """Below the range of outgoing connections: it is still free after a restart, and nobody who keeps
    connecting to it while the server is down can reach himself."""
    while True:
        port = random.randrange(15000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """One redis-server. Not started by the constructor. Settings are those of redis.conf, with _ for -."""

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="nr", dir="/tmp"))  # the path of a socket is short
        self.socket = self.folder / "s"
        self.settings = {"save": "", "appendonly": "no", **settings}
        self.port = None
        self.process = None
        self.touched = False  # by a test, beyond its data
        self._client = None

    # -- its process -------------------------------------------------------------------------------

    def start(self):
        """Starts it and waits until it answers; on the port it had before, if it had one."""
        for _ in range(20):
            port = self.port or free_port()
            with open(self.folder / "log", "ab") as log:
                self.process = subprocess.Popen(
                    ["redis-server", *self.arguments(port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env={"PATH": os.environ["PATH"]},  # no preloaded sanitizer
                    preexec_fn=die_with_starter if in_main_thread() else None,
                )
            wait_until(lambda: self.answers(port) or self.process.poll() is not None)
            if self.process.poll() is None:
                self.port = port
                return self
            if self.port:
                time.sleep(0.05)
        raise AssertionError("redis-server does not start:\n" + self.log()[-2000:])

    def arguments(self, port):
        fixed = {"port": port, "bind": "127.0.0.1", "dir": self.folder, "daemonize": "no"}
        fixed["unixsocket"] = self.socket
        out = []
        for name, value in {**fixed, **self.settings}.items():
            out += ["--" + name.replace("_", "-"), str(value)]
        return out

    def answers(self, port):
        client = redis_py.Redis(port=port, password=self.password, socket_timeout=1)
        try:
            with contextlib.suppress(redis_py.RedisError, OSError):
                state = client.info()
                return state["process_id"] == self.process.pid and not state["loading"]
            return False
        finally:
            client.close()

    @property
    def password(self):
        return self.settings.get("requirepass")

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def kill(self):
        """As kill -9 does."""
        self.end(signal.SIGKILL)

    def stop(self):
        """In order, as a service is stopped."""
        self.end(signal.SIGTERM)

    def end(self, how):
        self.touched = True
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self, how=signal.SIGKILL):
        self.end(how)
        return self.start()

    def freeze(self):
        """It accepts connections (the kernel does) and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: "T" == Path(f"/proc/{self.pid}/stat").read_text().rsplit(")")[1].split()[0])

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self):
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what is in it -----------------------------------------------------------------------------

    @property
    def url(self):
        return self.url_as(password=self.password)

    def url_as(self, user="", password="", db=0):
        who = f"{user}:{password}@" if password or user else ""
        return f"redis://{who}127.0.0.1:{self.port}/{db}"

    @property
    def unix_url(self):
        return f"unix://{self.socket}"

    @property
    def client(self):
        """A redis-py client that speaks str."""
        if self._client is None or self._client.get_connection_kwargs()["password"] != self.password:
            self._client = redis_py.Redis(port=self.port, password=self.password, decode_responses=True)
        return self._client

    def cli(self, *words):
        """What redis-cli prints, without the newline."""
        secret = ["-a", self.password, "--no-auth-warning"] if self.password else []
        done = subprocess.run(["redis-cli", "-s", str(self.socket), *secret, *map(str, words)],
                              capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.rstrip("\n")

    def config(self, **settings):
        """CONFIG SET, kept over a restart."""
        self.touched = True
        for name, value in settings.items():
            self.client.config_set(name.replace("_", "-"), value)
            self.settings[name] = value
        wait_until(self.writes_its_file)

    def writes_its_file(self):
        """Whether what is acknowledged from now on is in the append-only file, if there is to be one."""
        state = self.client.info("persistence")
        return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")
        return ""


@pytest.fixture(scope="session")
def redis_pool():
    """Hands out the one server, a new one after a test that touched it."""
    current = []

    def take():
        if current and (current[0].touched or current[0].process.poll() is not None):
            current.pop().close()
        if not current:
            current.append(RedisServer().start())
        else:
            current[0].client.flushall()
        return current[0]

    yield take
    for server in current:
        server.close()


@pytest.fixture
def redis(redis_pool):
    return redis_pool()


@pytest.fixture
def new_redis():
    """Starts as many as wanted: new_redis(requirepass="x")."""
    made = []

    def make(**settings):
        made.append(RedisServer(**settings))
        return made[-1].start()

    yield make
    for server in made:
        server.close()
