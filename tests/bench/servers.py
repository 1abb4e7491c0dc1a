# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured beside the station, wrk, which measures all of them, and h2load, whose
load is steady."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from station import free_port, wait_until  # noqa: E402

PYTHON = "/usr/bin/python3"


class Server:
    """One program that answers on a port of its own; it and its children are ended by stop()."""

    def __init__(self, name, command, folder, path="/"):
        self.name, self.path = name, path
        self.port = free_port()
        self.command = [part.format(port=self.port) for part in command]
        self.log = Path(folder) / f"{name.replace(' ', '_')}.log"
        self.process = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, cwd=HERE / "peers", stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.answers, 20, lambda: f"{self.name} does not answer: {self.log.read_text()}")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text()}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        return False

    def stop(self):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


def build_bare_mhd(folder):
    program = Path(folder) / "bare_mhd"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "bare_mhd.c", "-lmicrohttpd"], check=True)
    return program


def peers(folder):
    """Everyone beside the station: one process each (uWSGI and gunicorn with their own helpers),
    the identical body, no access log, connections kept alive."""
    return [
        Server("bare libmicrohttpd", [str(build_bare_mhd(folder)), "{port}"], folder),
        Server("uvicorn", [PYTHON, "-m", "uvicorn", "--port", "{port}", "--no-access-log",
                           "--log-level", "warning", "--loop", "uvloop", "--http", "httptools",
                           "asgi:app"], folder),
        Server("uWSGI", ["/usr/bin/uwsgi", "--plugin", "http,python3", "--http", "127.0.0.1:{port}",
                         "--http-keepalive=60", "--processes", "1", "--master", "--die-on-term",
                         "--disable-logging", "--wsgi-file", "wsgi.py"], folder),
        Server("gunicorn", [PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "-k",
                            "gthread", "--threads", "4", "--keep-alive", "60", "--log-level",
                            "warning", "wsgi"], folder),
    ]


class Quiet:
    """Waits for the others on a shared machine: a run begins when both cores have been idle for a
    moment, or when the patience of the whole benchmark is used up; counts how often it was not."""

    def __init__(self, patience):
        self.patience = patience  # seconds, all waits together
        self.runs = self.disturbed = 0

    @staticmethod
    def busy():
        """Share of the processors in use during a fifth of a second."""

        def times():
            fields = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
            return sum(fields), fields[3] + fields[4]

        total, idle = times()
        time.sleep(0.2)
        total2, idle2 = times()
        return 1 - (idle2 - idle) / max(1, total2 - total)

    def wait(self):
        self.runs += 1
        calm = 0
        while calm < 2:
            begun = time.monotonic()
            calm = calm + 1 if self.busy() < 0.08 else 0
            self.patience -= time.monotonic() - begun
            if self.patience <= 0:
                self.disturbed += calm < 2
                return

    def __str__(self):
        return f"{self.runs - self.disturbed} of {self.runs} runs began on an idle machine"


quiet = Quiet(600)


def wrk(port, path, seconds, connections=64):
    """One run: {"requests", "rate", "p50_us", "p99_us", …}; errors of any kind end the benchmark."""
    quiet.wait()
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
                           HERE / "report.lua", url],
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"wrk on {url}: {done.stdout}{done.stderr}")
    result = json.loads(lines[0][len("RESULT "):])
    wrong = {k: result[k] for k in ("socket_errors", "status_errors", "timeouts") if result[k]}
    if wrong or not result["requests"]:
        raise RuntimeError(f"wrk on {url}: {result}")
    result["rate"] = result["requests"] / (result["duration_us"] / 1e6)
    return result


def paced(port, path, seconds, folder, connections=4, per_second=180):
    """A steady load, beside whatever else the test lets run: the latencies in microseconds, and how
    often each. Of h2load: wrk waits for its next request with one of the two processors."""
    url = f"http://127.0.0.1:{port}{path}"
    log = Path(folder) / "h2load.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(["h2load", "--h1", f"-c{connections}", f"--rps={per_second}", f"-D{seconds}",
                           f"--log-file={log}", url],
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    answers = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    if done.returncode or not answers or any(status != "200" for _, status, _ in answers):
        raise RuntimeError(f"h2load on {url}: {done.stdout}{done.stderr}")
    return Counter(int(latency) for _, _, latency in answers)
