# SPDX-License-Identifier: Apache-2.0
"""Bank accounts whose only truth are their events (event sourcing), kept in SQLite.

    python3 event_sourced_account.py [accounts.db]

A command (OPEN, DEPOSIT, WITHDRAW) is decided by replaying the account's events. What was decided is stored
under the id of the command in one transaction, and emitted. When the same command comes again, because the
program was killed between storing and acknowledging or because somebody sent it twice, nothing is decided
again: the stored event is emitted once more, with the id it has had, so that listeners can tell.

With a file the accounts are still there the next time: run it twice.
"""

import asyncio
import sqlite3
import sys

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine


class Journal:
    """Events of accounts, in order; each belongs to the command that caused it."""

    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute(
            "create table if not exists events"
            " (seq integer primary key, account text not null, command text not null unique, event text not null)"
        )

    def of_account(self, account):
        rows = self.db.execute("select event from events where account = ? order by seq", (account,))
        return [Event.model_validate_json(text) for (text,) in rows]

    def of_command(self, command):
        row = self.db.execute("select event from events where command = ?", (command,)).fetchone()
        return Event.model_validate_json(row[0]) if row else None

    def append(self, account, command, event):
        with self.db:
            self.db.execute(
                "insert into events (account, command, event) values (?, ?, ?)",
                (account, command, event.model_dump_json()),
            )


class Account:
    """The state that follows from the events."""

    def __init__(self, events):
        self.is_open = False
        self.balance = 0
        for event in events:
            self.apply(event)

    def apply(self, event):
        amount = event.payload.get("amount", 0)
        if event.event_type == "ACCOUNT_OPENED":
            self.is_open = True
        elif event.event_type == "DEPOSITED":
            self.balance += amount
        elif event.event_type == "WITHDRAWN":
            self.balance -= amount


class Decide(Organ):
    listens_to = ["OPEN", "DEPOSIT", "WITHDRAW"]

    def __init__(self, journal):
        super().__init__()
        self.journal = journal

    def handle(self, command):
        decided = self.journal.of_command(command.id)
        if decided is None:
            decided = self.decide(command)
            self.journal.append(command.payload["account"], command.id, decided)
        return decided

    def decide(self, command):
        account = Account(self.journal.of_account(command.payload["account"]))
        if command.event_type == "OPEN":
            return self.refused(command, "it is open") if account.is_open else Event("ACCOUNT_OPENED", command.payload)
        if not account.is_open:
            return self.refused(command, "no such account")
        if command.event_type == "DEPOSIT":
            return Event("DEPOSITED", command.payload)
        if command.payload["amount"] > account.balance:
            return self.refused(command, "not enough money")
        return Event("WITHDRAWN", command.payload)

    def refused(self, command, reason):
        return Event("REFUSED", {**command.payload, "command": command.event_type, "reason": reason})


class Statement(Organ):
    """A listener that prints each event once, whoever repeats it."""

    listens_to = ["ACCOUNT_OPENED", "DEPOSITED", "WITHDRAWN", "REFUSED"]

    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle(self, event):
        if event.id in self.seen:
            return
        self.seen.add(event.id)
        facts = event.payload
        known = [str(facts[name]) for name in ("account", "amount", "reason") if name in facts]
        print(f"{event.event_type}: {', '.join(known)}")


COMMANDS = [
    Event("OPEN", {"account": "ada"}),
    Event("DEPOSIT", {"account": "ada", "amount": 100}),
    Event("WITHDRAW", {"account": "ada", "amount": 30}),
    Event("WITHDRAW", {"account": "ada", "amount": 300}),
    Event("DEPOSIT", {"account": "bob", "amount": 5}),
]


async def main():
    journal = Journal(sys.argv[1] if len(sys.argv) > 1 else ":memory:")
    spine = Spine(organs=[Decide(journal), Statement()], backend=InMemoryBackend())
    for command in [*COMMANDS, COMMANDS[1]]:  # the deposit comes twice
        await spine.run(command)
    events = journal.of_account("ada")
    print(f"ada has {Account(events).balance}, after {len(events)} events")


if __name__ == "__main__":
    asyncio.run(main())
