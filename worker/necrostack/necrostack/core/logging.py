# SPDX-License-Identifier: Apache-2.0
"""The log of the Spine: the logger "necrostack.spine", one JSON object a line.

Nothing is set up by importing this: until configure_spine_logger(), logging.basicConfig() or the
like, the logger is as quiet as any other of Python's.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any, TextIO

__all__ = ["JSONFormatter", "configure_spine_logger", "get_logger"]

SPINE_LOGGER = "necrostack.spine"
EXTRA_FIELDS = ("event_id", "event_type", "organ", "emitted")

_added: logging.Handler | None = None  # by configure_spine_logger()


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON: timestamp, level, message, logger, what the Spine adds (event_id,
    event_type, organ, emitted), and the traceback as `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        for field in EXTRA_FIELDS:
            if hasattr(record, field):
                line[field] = getattr(record, field)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, separators=(",", ":"), default=str)


def get_logger(name: str = SPINE_LOGGER) -> logging.Logger:
    """The logger of the Spine, or another of Python's."""
    return logging.getLogger(name)


def configure_spine_logger(
    level: int | str = logging.INFO,
    stream: TextIO | None = None,
    handler: logging.Handler | None = None,
) -> logging.Logger:
    """Sends the lines of the Spine as JSON to a stream (stderr) or to a handler of one's own.

    Called again, it replaces what it set up before; other handlers stay. Lines go on to the handlers of
    the root logger too, as those of every logger do: `propagate = False` on the logger stops that.
    """
    global _added
    logger = get_logger()
    if handler is None:
        handler = logging.StreamHandler(stream)
    elif stream is not None:
        raise ValueError("either a stream or a handler, not both")
    handler.setFormatter(JSONFormatter())
    logger.setLevel(level)
    if _added is not None:
        logger.removeHandler(_added)
    logger.addHandler(handler)
    _added = handler
    return logger
