# SPDX-License-Identifier: Apache-2.0
"""Extract, transform, load in five organs: orders as CSV become the turnover of each city.

    python -m necrostack.apps.etl.main orders.csv          (without a file: a small sample)

    FILE_GIVEN -> ROWS_READ (a batch each) -> ROW_CLEANED | ROW_REJECTED -> ROW_PRICED -> (the table)

A batch at a time is read, and the next one after it, so a file of any size needs little memory.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.logging import configure_spine_logger

BATCH = 100  # rows
SAMPLE = """\
city,quantity,price
Vienna,3,12.50
vienna ,1,99.99
Graz,two,5.00
Linz,10,0.35
,4,4.00
Graz,2,
Graz,7,3.10
"""


class Extract(Organ):
    """Reads a batch, and asks itself for the next one."""

    listens_to = ["FILE_GIVEN", "ROWS_READ"]

    def __init__(self, source: TextIO) -> None:
        super().__init__()
        self.rows = csv.DictReader(source, restkey="more")

    def handle(self, event: Event) -> Event | None:
        batch: list[dict[str, Any]] = [{**row, "line": self.rows.line_num}
                                       for _, row in zip(range(BATCH), self.rows)]
        return Event("ROWS_READ", {"rows": batch}) if batch else None


class Clean(Organ):
    """A row is tidy, or it is rejected with a reason; none is lost."""

    listens_to = ["ROWS_READ"]

    def handle(self, event: Event) -> list[Event]:
        return [self.clean(row) for row in event.payload["rows"]]

    def clean(self, row: dict[str, Any]) -> Event:
        try:
            city = (row.get("city") or "").strip().title()
            if not city:
                raise ValueError("no city")
            return Event("ROW_CLEANED", {"city": city, "quantity": int(row["quantity"]),
                                         "cents": round(float(row["price"]) * 100)})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            return Event("ROW_REJECTED", {"line": row["line"], "reason": str(error)})


class Transform(Organ):
    listens_to = ["ROW_CLEANED"]

    def handle(self, event: Event) -> Event:
        row = event.payload
        return Event("ROW_PRICED", {"city": row["city"], "cents": row["quantity"] * row["cents"]})


class Load(Organ):
    """Where the data ends up: the turnover of each city."""

    listens_to = ["ROW_PRICED"]

    def __init__(self) -> None:
        super().__init__()
        self.cents: dict[str, int] = {}

    def handle(self, event: Event) -> None:
        city = event.payload["city"]
        self.cents[city] = self.cents.get(city, 0) + event.payload["cents"]


class Reject(Organ):
    listens_to = ["ROW_REJECTED"]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def handle(self, event: Event) -> None:
        self.rows.append(event.payload)


async def etl(source: TextIO) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """The turnover of each city in cents, and the rows that were rejected."""
    load, reject = Load(), Reject()
    spine = Spine([Extract(source), Clean(), Transform(), load, reject], InMemoryBackend(),
                  max_steps=sys.maxsize)
    await spine.run(Event("FILE_GIVEN"))
    return load.cents, reject.rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="necrostack.apps.etl.main",
                                     description="The turnover of each city.")
    parser.add_argument("file", nargs="?", type=Path,
                        help="CSV with the columns city, quantity, price; default: a sample")
    parser.add_argument("--verbose", action="store_true", help="the log of the spine, too")
    chosen = parser.parse_args(arguments)
    if chosen.verbose:
        configure_spine_logger()
    try:  # spreadsheets begin UTF-8 with a mark of it; what is no UTF-8 costs letters, not rows
        opened = (chosen.file.open(newline="", encoding="utf-8-sig", errors="replace") if chosen.file
                  else io.StringIO(SAMPLE))
    except OSError as error:
        parser.error(str(error))
    with opened as source:
        turnover, rejected = asyncio.run(etl(source))
    for city, cents in sorted(turnover.items(), key=lambda entry: -entry[1]):
        print(f"{city:<20} {cents // 100:>10}.{cents % 100:02}")
    for row in rejected:
        print(f"line {row['line']} rejected: {row['reason']}", file=sys.stderr)


if __name__ == "__main__":
    main()
