# SPDX-License-Identifier: Apache-2.0
"""The module of the build tree, and a Redis of the test's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import station

MODULE_PATH = station.BUILD / "python"
sys.path.insert(0, str(MODULE_PATH))
# What tests start finds it too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(MODULE_PATH), *filter(None, [os.environ.get("PYTHONPATH")])])


class Redis:
    """A redis-server of the test's own on a socket in a short folder, ended by its pid."""

    def __init__(self, *options):
        self.options = [str(option) for option in options]
        self.folder = Path(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
        self.socket = self.folder / "s"
        self.port = station.free_port()
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self):
        return f"unix://{self.socket}"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket",
             str(self.socket), "--dir", str(self.folder), "--save", "", "--daemonize", "no",
             *self.options],
            stdin=subprocess.DEVNULL, stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"]})
        station.wait_until(self.answers, what=self.log)
        return self

    def answers(self):
        """Any answer will do: it may want a password, or still be loading."""
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError), station.socket.socket(station.socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.socket))
            s.sendall(b"PING\r\n")
            return s.recv(1) in (b"+", b"-")
        return False

    def log(self):
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")[-2000:]
        return ""

    def cli(self, *words):
        """What redis-cli prints, without the newline."""
        done = subprocess.run(["redis-cli", "-s", str(self.socket), *map(str, words)],
                              capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.rstrip("\n")

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        """As a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def new_redis():
    """Starts as many as wanted: new_redis("--requirepass", "x")."""
    made = []

    def make(*options):
        made.append(Redis(*options))
        return made[-1].start()

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def module_redis():
    server = Redis().start()
    yield server
    server.close()


@pytest.fixture
def redis(module_redis):
    """Empty, of the test file; a test that disturbs it takes new_redis."""
    module_redis.cli("FLUSHALL")
    return module_redis
