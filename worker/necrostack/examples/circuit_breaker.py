# SPDX-License-Identifier: Apache-2.0
"""A circuit breaker around a call to somebody else's service.

    python3 circuit_breaker.py

After `failures` failed calls in a row the breaker is open: for `recovery` seconds nobody is called, and the
organ answers API_UNAVAILABLE at once instead of waiting for one timeout after the other. Then one call is let
through; if it succeeds the breaker is closed again, else it stays open for another while.

(The Spine has a breaker of its own, for its backend: max_consecutive_backend_failures.)
"""

import asyncio
import time

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine


class CircuitOpen(Exception):
    """The call was not made."""


class CircuitBreaker:
    def __init__(self, failures, recovery, clock=time.monotonic):
        self.failures, self.recovery, self.clock = failures, recovery, clock
        self.failed = 0
        self.open_until = None  # None: closed
        self.probing = False

    async def call(self, function, *arguments):
        if self.open_until is not None:
            if self.probing or self.clock() < self.open_until:
                raise CircuitOpen
            self.probing = True
        try:
            result = await function(*arguments)
        except Exception:
            self.failed += 1
            if self.failed >= self.failures:
                self.open_until = self.clock() + self.recovery
            raise
        else:
            self.failed, self.open_until = 0, None
            return result
        finally:
            self.probing = False


class ExternalApi(Organ):
    listens_to = ["API_CALL"]

    def __init__(self, call, breaker):
        super().__init__()
        self.call, self.breaker = call, breaker

    async def handle(self, event):
        try:
            answer = await self.breaker.call(self.call, event.payload)
        except CircuitOpen:
            return Event("API_UNAVAILABLE", {"n": event.payload["n"], "retry_later": True})
        except OSError as error:
            return Event("API_FAILED", {"n": event.payload["n"], "reason": str(error)})
        return Event("API_SUCCESS", answer)


class Report(Organ):
    listens_to = ["API_SUCCESS", "API_FAILED", "API_UNAVAILABLE"]

    def handle(self, event):
        print(f"{event.payload['n']}: {event.event_type} {event.payload.get('reason', '')}".rstrip())


class Service:
    """Somebody else's: it fails for its first calls."""

    def __init__(self, failing):
        self.failing = failing
        self.calls = 0

    async def __call__(self, data):
        self.calls += 1
        await asyncio.sleep(0)  # the network
        if self.calls <= self.failing:
            raise ConnectionError("no answer")
        return {"n": data["n"]}


async def main():
    now = 0.0
    service = Service(failing=4)
    breaker = CircuitBreaker(failures=3, recovery=60, clock=lambda: now)
    spine = Spine(organs=[ExternalApi(service, breaker), Report()], backend=InMemoryBackend())
    for n in range(1, 10):
        if n in (6, 8):
            now += 60  # a minute later
        await spine.run(Event("API_CALL", {"n": n}))
    print(f"9 events, {service.calls} calls")


if __name__ == "__main__":
    asyncio.run(main())
