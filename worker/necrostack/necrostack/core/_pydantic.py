# SPDX-License-Identifier: Apache-2.0
"""Event as a field of pydantic's models, of either major version.

The Event class calls these when pydantic asks it; nothing here imports pydantic before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from necrostack.core.event import Event

SCHEMA: dict[str, Any] = {
    "title": "Event",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid4"},
        "timestamp": {"type": "string", "format": "date-time"},
        "event_type": {"type": "string", "minLength": 1},
        "payload": {"type": "object"},
    },
    "required": ["event_type"],
    "additionalProperties": False,
}


def as_json(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json")


# --- pydantic 1 ---


def validators(cls: type[Event]) -> Iterator[Callable[[Any], Event]]:
    """__get_validators__. Also tells pydantic how to write events, which its .json() does not ask."""
    encoders = getattr(sys.modules.get("pydantic.json"), "ENCODERS_BY_TYPE", None)
    if encoders is not None:
        encoders[Event] = as_json

    def validate(value: Any) -> Event:
        return cls.model_validate(value)

    return iter([validate])


def modify_schema(schema: dict[str, Any]) -> None:
    """__modify_schema__."""
    schema.update(SCHEMA)


# --- pydantic 2 ---


def core_schema(cls: type[Event]) -> Any:
    """__get_pydantic_core_schema__."""
    make: Any = import_module("pydantic_core.core_schema")

    def dump(event: Event, info: Any) -> dict[str, Any]:
        return event.model_dump(mode="json" if info.mode == "json" else "python")

    return make.no_info_plain_validator_function(
        cls.model_validate,
        serialization=make.plain_serializer_function_ser_schema(dump, info_arg=True),
    )


def json_schema(cls: type[Event]) -> dict[str, Any]:
    """__get_pydantic_json_schema__."""
    return {**SCHEMA, "title": cls.__name__}
