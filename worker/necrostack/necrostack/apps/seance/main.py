# SPDX-License-Identifier: Apache-2.0
"""A seance in four organs: a ritual summons a spirit, who answers what is asked, and fades.

    python -m necrostack.apps.seance.main --spirit Ada "Will it rain?" "Shall I refactor?"

    SEANCE_OPENED -> SPIRIT_APPEARED -> QUESTION_ASKED (one each) -> ANSWER_GIVEN -> SPIRIT_FADED
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TextIO
from zlib import crc32

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.logging import configure_spine_logger

QUESTIONS = ("Is there anybody there?", "What is the meaning of this?", "Does it work on Fridays?")
ANSWERS = ("Yes.", "No.", "Ask the one who wrote the tests.", "Look behind the third stack frame.",
           "It was the cache.", "The stars are not in position.", "You knew it all along.",
           "Turn it off, and on again.")


class Medium(Organ):
    """Calls the spirit; nameless ones do not come."""

    listens_to = ["SEANCE_OPENED"]

    def handle(self, event: Event) -> Event | None:
        name = event.payload["spirit"].strip()
        if not name:
            return None
        return Event("SPIRIT_APPEARED", {"spirit": name, "questions": event.payload["questions"]})


class Circle(Organ):
    """The people around the table: one event becomes many, handled in this order."""

    listens_to = ["SPIRIT_APPEARED"]

    def handle(self, event: Event) -> list[Event]:
        spirit, questions = event.payload["spirit"], event.payload["questions"]
        asked = [Event("QUESTION_ASKED", {"spirit": spirit, "question": question})
                 for question in questions]
        return [*asked, Event("CANDLE_BURNT_DOWN", {"spirit": spirit})]


class Spirit(Organ):
    """Thinks for a moment, as spirits do: an async organ. Equal questions get equal answers."""

    listens_to = ["QUESTION_ASKED", "CANDLE_BURNT_DOWN"]

    async def handle(self, event: Event) -> Event:
        spirit = event.payload["spirit"]
        if event.event_type == "CANDLE_BURNT_DOWN":
            return Event("SPIRIT_FADED", {"spirit": spirit})
        await asyncio.sleep(0)
        question = event.payload["question"]
        answer = ANSWERS[crc32(f"{spirit}: {question}".encode()) % len(ANSWERS)]
        return Event("ANSWER_GIVEN", {"spirit": spirit, "question": question, "answer": answer})


class Scribe(Organ):
    """Writes down what happens."""

    listens_to = ["SPIRIT_APPEARED", "ANSWER_GIVEN", "SPIRIT_FADED"]

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__()
        self.out = out

    def handle(self, event: Event) -> None:
        told = event.payload
        if event.event_type == "SPIRIT_APPEARED":
            print(f"The candle flickers. {told['spirit']} is here.", file=self.out)
        elif event.event_type == "ANSWER_GIVEN":
            print(f"  {told['question']}\n    {told['answer']}", file=self.out)
        else:
            print(f"{told['spirit']} fades.", file=self.out)


async def hold(spirit: str, questions: Sequence[str], out: TextIO | None = None) -> int:
    """The number of events that it took."""
    spine = Spine([Medium(), Circle(), Spirit(), Scribe(out)], InMemoryBackend())
    stats = await spine.run(
        Event("SEANCE_OPENED", {"spirit": spirit, "questions": list(questions)}))
    return stats.events_processed


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="necrostack.apps.seance.main",
                                     description="Summons a spirit and asks it questions.")
    parser.add_argument("questions", nargs="*", default=QUESTIONS, help="what to ask")
    parser.add_argument("--spirit", default="Ada", help="whom to summon")
    parser.add_argument("--verbose", action="store_true", help="the log of the spine, too")
    chosen = parser.parse_args(arguments)
    if chosen.verbose:
        configure_spine_logger()
    asyncio.run(hold(chosen.spirit, chosen.questions))


if __name__ == "__main__":
    main()
