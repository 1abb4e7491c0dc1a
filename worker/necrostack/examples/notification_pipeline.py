# SPDX-License-Identifier: Apache-2.0
"""Notifications: checked, routed by channel, sent by e-mail, SMS and push, and all of it kept on record.

    python3 notification_pipeline.py

    NOTIFICATION_REQUESTED ─ Validate ─┬─ NOTIFICATION_ACCEPTED ─ Route ─┬─ EMAIL_DUE ─ SendEmail ─┐
                                       │                                 ├─ SMS_DUE ─── SendSms ───┤
                                       │                                 └─ PUSH_DUE ── SendPush ──┤
                                       └─ NOTIFICATION_REJECTED            NOTIFICATION_SENT or ───┘
    Audit hears all of them.                                               NOTIFICATION_FAILED

The gateways here only print. Each message has a key made of the request and the channel, and a gateway sends
a key once: so an event that is delivered twice sends nothing twice.
"""

import asyncio

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine

CHANNELS = {"email": "EMAIL_DUE", "sms": "SMS_DUE", "push": "PUSH_DUE"}
OUTCOMES = ["NOTIFICATION_SENT", "NOTIFICATION_FAILED", "NOTIFICATION_REJECTED"]


class Gateway:
    """What stands in for a mail server, an SMS provider, a push service."""

    def __init__(self, name):
        self.name = name
        self.sent = {}

    async def send(self, key, to, text):
        """Raises ConnectionError where the provider does not answer."""
        if key in self.sent:
            return
        await asyncio.sleep(0)  # the network
        if to.endswith("unreachable"):
            raise ConnectionError(f"{self.name}: no answer")
        self.sent[key] = text
        print(f"{self.name:5} to {to}: {text}")


class Validate(Organ):
    listens_to = ["NOTIFICATION_REQUESTED"]

    def handle(self, event):
        request = event.payload
        problem = self.problem(request)
        if problem:
            return Event("NOTIFICATION_REJECTED", {"key": request.get("key"), "reason": problem})
        return Event("NOTIFICATION_ACCEPTED", request)

    def problem(self, request):
        for field in ("key", "text"):
            if not isinstance(request.get(field), str) or not request[field]:
                return f"{field} is missing"
        to = request.get("to")
        if not isinstance(to, dict) or not to:
            return "to names no channel"
        unknown = sorted(set(to) - set(CHANNELS))
        return f"no such channel: {', '.join(unknown)}" if unknown else None


class Route(Organ):
    """One event for each channel; a handler that returns a list emits all of it."""

    listens_to = ["NOTIFICATION_ACCEPTED"]

    def handle(self, event):
        request = event.payload
        return [
            Event(CHANNELS[channel], {"key": f"{request['key']}/{channel}", "to": to, "text": request["text"]})
            for channel, to in sorted(request["to"].items())
        ]


class Sender(Organ):
    """What the three have in common; without listens_to it would hear nothing itself."""

    def __init__(self, gateway):
        super().__init__()
        self.gateway = gateway

    async def handle(self, event):
        due = event.payload
        try:
            await self.gateway.send(due["key"], due["to"], due["text"])
        except ConnectionError as error:
            return Event("NOTIFICATION_FAILED", {"key": due["key"], "reason": str(error)})
        return Event("NOTIFICATION_SENT", {"key": due["key"]})


class SendEmail(Sender):
    listens_to = ["EMAIL_DUE"]


class SendSms(Sender):
    listens_to = ["SMS_DUE"]


class SendPush(Sender):
    listens_to = ["PUSH_DUE"]


class Audit(Organ):
    """The record: by event id, so that a second delivery changes nothing."""

    listens_to = ["NOTIFICATION_REQUESTED", "NOTIFICATION_ACCEPTED", *CHANNELS.values(), *OUTCOMES]

    def __init__(self):
        super().__init__()
        self.entries = {}

    def handle(self, event):
        self.entries[event.id] = event

    def outcomes(self):
        """What became of each request and channel."""
        return {event.payload["key"]: event for event in self.entries.values() if event.event_type in OUTCOMES}


def build(backend, audit):
    senders = [SendEmail(Gateway("email")), SendSms(Gateway("sms")), SendPush(Gateway("push"))]
    return Spine(organs=[Validate(), Route(), *senders, audit], backend=backend)


REQUESTS = [
    {"key": "welcome-7", "text": "Welcome, Ada", "to": {"email": "ada@example.org", "push": "device-1"}},
    {"key": "code-8", "text": "Your code is 1234", "to": {"sms": "+49 30 1234"}},
    {"key": "news-9", "text": "News", "to": {"pigeon": "roof"}},
    {"key": "alarm-10", "text": "It burns", "to": {"sms": "unreachable", "push": "device-2"}},
]


async def main():
    audit = Audit()
    spine = build(InMemoryBackend(), audit)
    for request in [*REQUESTS, REQUESTS[0]]:  # the first one comes twice
        await spine.run(Event("NOTIFICATION_REQUESTED", request))
    for key, event in audit.outcomes().items():
        print(f"{key}: {event.event_type} {event.payload.get('reason', '')}".rstrip())
    print(len(audit.entries), "events on record")


if __name__ == "__main__":
    asyncio.run(main())
