# SPDX-License-Identifier: Apache-2.0
"""Concurrent clients of an object, and the ledger of what they were told."""

import http.client
import threading

from station import Client

# Each turn writes two keys that must never differ: a half turn would show.
LEDGER_OBJECT = """
def POST(request):
    who, n = request['who'], request['n']
    _state_manager.set('a' + who, n)
    _state_manager.set('b' + who, n)
    return {'n': n}

def GET(request):
    return {'pid': __import__('os').getpid()}
"""


def in_parallel(count, work):
    """work(index) in `count` threads; their results, or the first exception."""
    results, errors = [None] * count, []

    def run(index):
        try:
            results[index] = work(index)
        except BaseException as e:  # handed to the caller's thread
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return results


class Ledger:
    """Writers that remember, for each of them, what was sent last and what was acknowledged last.

    Every writer goes on until its connection fails or it gets an answer other than 200, or stop()
    is called. A later start() goes on from the numbers before. Those of several ledgers are told
    apart by the number of the first."""

    def __init__(self, writers=16, first=0):
        self.writers, self.first = writers, first
        self.sent = [0] * writers
        self.acknowledged = [0] * writers
        self.refused = [0] * writers  # answers other than 200
        self.statuses = set()
        self.after_refusal = 0  # successes after the first refusal
        self.threads = []
        self.stopping = threading.Event()

    @property
    def total(self):
        return sum(self.acknowledged)

    def start(self, port, object_id="ledger", keep_on=False):
        self.stopping.clear()
        self.threads = [
            threading.Thread(target=self._write, args=(i, port, object_id, keep_on), daemon=True)
            for i in range(self.writers)
        ]
        for t in self.threads:
            t.start()

    def _write(self, index, port, object_id, keep_on):
        with Client(port, timeout=30) as client:
            while not self.stopping.is_set():
                n = self.sent[index] + 1
                self.sent[index] = n
                try:
                    reply = client.post(f"/objects/{object_id}", {"who": str(self.first + index), "n": n})
                except (OSError, http.client.HTTPException):
                    return
                if reply.status == 200:
                    self.acknowledged[index] = n
                    if self.refused[index]:
                        self.after_refusal += 1
                else:
                    self.refused[index] += 1
                    self.statuses.add(reply.status)
                    if not keep_on:
                        return

    def stop(self):
        self.stopping.set()
        self.join()

    def join(self):
        for t in self.threads:
            t.join()

    def check(self, state):
        """state is what the station has now: nothing acknowledged lost, no half turn, nothing
        that was never sent."""
        lost, half, invented = [], [], []
        for i in range(self.writers):
            who = self.first + i
            a, b = state.get(f"a{who}", 0), state.get(f"b{who}", 0)
            if a != b:
                half.append((i, a, b))
            if a < self.acknowledged[i]:
                lost.append((i, a, self.acknowledged[i]))
            if a > self.sent[i]:
                invented.append((i, a, self.sent[i]))
        assert not half, f"half turns: {half}"
        assert not lost, f"acknowledged and lost: {lost}"
        assert not invented, f"never sent: {invented}"
