# SPDX-License-Identifier: Apache-2.0
"""The programs of worker/necrostack/examples do what their first lines say."""

import ast
import contextlib
import hashlib
import re
import signal
import subprocess
import sys

import pytest
from station import PATIENCE, REPOSITORY, wait_until

pytestmark = pytest.mark.same_everywhere

EXAMPLES = REPOSITORY / "worker/necrostack/examples"
PRINTED = {
    "notification_pipeline": """
email to ada@example.org: Welcome, Ada
push  to device-1: Welcome, Ada
sms   to +49 30 1234: Your code is 1234
push  to device-2: It burns
welcome-7/email: NOTIFICATION_SENT
welcome-7/push: NOTIFICATION_SENT
code-8/sms: NOTIFICATION_SENT
news-9: NOTIFICATION_REJECTED no such channel: pigeon
alarm-10/push: NOTIFICATION_SENT
alarm-10/sms: NOTIFICATION_FAILED sms: no answer
24 events on record
""",
    "order_saga": """
A1: ORDER_CONFIRMED
A2: ORDER_CANCELLED the card is declined
A3: ORDER_CANCELLED out of stock
A4: ORDER_CANCELLED nobody delivers to Atlantis
paid: {'A1': 40, 'A3': 0, 'A4': 0}
stock: {'lamp': 2, 'table': 0}
""",
    "cqrs_orders": """
ada: {'A1': 340, 'A2': 2}
A1: {'version': 3, 'items': ['lamp', 'table'], 'total': 340, 'customer': 'ada'}
refused: ADD_ITEM_COMMAND A9 no such order
made again from the record, each event twice: True
""",
    "event_sourced_account": """
ACCOUNT_OPENED: ada
DEPOSITED: ada, 100
WITHDRAWN: ada, 30
REFUSED: ada, 300, not enough money
REFUSED: bob, 5, no such account
ada has 70, after 4 events
""",
    "circuit_breaker": """
1: API_FAILED no answer
2: API_FAILED no answer
3: API_FAILED no answer
4: API_UNAVAILABLE
5: API_UNAVAILABLE
6: API_FAILED no answer
7: API_UNAVAILABLE
8: API_SUCCESS
9: API_SUCCESS
9 events, 6 calls
""",
}


def run(name, *arguments):
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)],
                          capture_output=True, text=True, timeout=60 * PATIENCE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


def test_each_says_how_to_run_it():
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert names == sorted([*PRINTED, "worker"])
    for name in names:
        text = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text()))
        assert re.search(rf"^    python3 {name}\.py", text, re.M), name


@pytest.mark.parametrize("name", PRINTED)
def test_prints(name):
    assert run(name) == PRINTED[name].strip()


def test_accounts_are_kept(tmp_path):
    run("event_sourced_account", tmp_path / "db")
    printed = run("event_sourced_account", tmp_path / "db").splitlines()
    assert printed[0] == "REFUSED: ada, it is open"
    assert printed[-1] == "ada has 140, after 8 events"


class Workers:
    """worker.py, several times."""

    def __init__(self, folder, url):
        self.folder, self.url, self.started = folder, url, []

    def options(self, *more):
        return ["--redis", self.url, "--results", str(self.folder / "results"), *map(str, more)]

    def start(self, name, *more):
        log = open(self.folder / name, "w")
        command = [sys.executable, EXAMPLES / "worker.py", *self.options("--consumer-name", name, *more)]
        self.started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        log.close()
        return self.started[-1]

    def are_listening(self, redis, count):
        return len([c for c in redis.client.client_list() if c["cmd"] == "xreadgroup"]) >= count

    def results(self):
        """{job: who} of those that are finished."""
        found = {}
        for path in (self.folder / "results").glob("[0-9]*"):
            digest, who = path.read_text().split()
            assert digest == hashlib.sha256(path.name.encode()).hexdigest()
            found[int(path.name)] = who
        return found

    def close(self):
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.fixture
def workers(tmp_path, redis):
    made = Workers(tmp_path, redis.url)
    yield made
    made.close()


def has_in_hand(redis, name):
    return any(c["name"] == name for c in redis.client.xpending("jobs", "workers")["consumers"])


def test_workers_share_and_take_over(workers, redis):
    """Two share the jobs; a third is killed over the first that it got, which another then does."""
    for name, seconds in (("first", 0.01), ("second", 0.01), ("third", 600)):
        workers.start(name, "--seconds", seconds, "--claim-after", 0.5)
    wait_until(lambda: workers.are_listening(redis, 3))
    assert run("worker", *workers.options("--enqueue", 40)) == "40 jobs enqueued"
    wait_until(lambda: has_in_hand(redis, "third") or len(workers.results()) == 40)
    workers.started[2].kill()
    wait_until(lambda: len(workers.results()) == 40, timeout=40)
    assert set(workers.results().values()) == {"first", "second"}
    wait_until(lambda: redis.client.xpending("jobs", "workers")["pending"] == 0)
    assert redis.client.exists("jobs:dlq") == 0
    workers.started[0].send_signal(signal.SIGTERM)
    assert workers.started[0].wait(20 * PATIENCE) == 0
    assert re.search(r"^first ends: \d+ jobs in \d+ s$", (workers.folder / "first").read_text(), re.M)
