# SPDX-License-Identifier: Apache-2.0
"""Event: its fields, how it is frozen, compared, shown, dumped and read."""

import json
import os
import pickle
import re
import sys
import uuid
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum

import pytest
from necrostack.core import Event as ReExported
from necrostack.core.event import MAX_PAYLOAD_SIZE, Event, ValidationError

ID = "0d9f5a0e-7c1b-4c9e-9d2f-3a4b5c6d7e8f"
WHEN = datetime(2026, 11, 22, 5, 30, 0, 123456, timezone.utc)
UTC_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def known(**fields):
    return Event(**{"event_type": "T", "payload": {"k": [1]}, "id": ID, "timestamp": WHEN, **fields})


def refused(make, *args, **kwargs):
    """The faults for which a call is refused."""
    with pytest.raises(ValidationError) as caught:
        make(*args, **kwargs)
    assert isinstance(caught.value, ValueError)
    return caught.value.errors()


def places(make, *args, **kwargs):
    return [fault["loc"] for fault in refused(make, *args, **kwargs)]


# --- the fields ---


def test_one_class_from_everywhere():
    assert ReExported is Event
    assert MAX_PAYLOAD_SIZE == 1_000_000
    assert Event.__module__ == "necrostack.core.event"
    assert ValidationError.__mro__[1] is ValueError


def test_positional_and_by_keyword():
    a = Event("T", {"k": 1})
    b = Event(event_type="T", payload={"k": 1})
    c = Event("T", {"k": 1}, ID, WHEN)
    assert (a.event_type, a.payload) == (b.event_type, b.payload) == (c.event_type, c.payload)
    assert (c.id, c.timestamp) == (ID, WHEN)
    assert a.id != b.id


def test_defaults():
    before = datetime.now(timezone.utc)
    event = Event("T")
    after = datetime.now(timezone.utc)
    assert event.payload == {} and Event("T").payload is not event.payload
    assert uuid.UUID(event.id).version == 4 and event.id == str(uuid.UUID(event.id))
    assert before - timedelta(milliseconds=1) <= event.timestamp <= after
    assert event.timestamp.tzinfo is timezone.utc


def test_ids_differ_also_in_a_child():
    assert len({Event("T").id for _ in range(1000)}) == 1000
    Event("T")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, "".join(Event("T").id for _ in range(50)).encode())
        os._exit(0)
    os.close(write_end)
    mine = {Event("T").id for _ in range(50)}
    theirs = os.read(read_end, 50 * 36).decode()
    os.close(read_end)
    assert os.waitpid(child, 0)[1] == 0
    assert len(theirs) == 50 * 36
    assert not mine & {theirs[i:i + 36] for i in range(0, len(theirs), 36)}


@pytest.mark.parametrize("given, kept", [
    ("ORDER", "ORDER"), ("  a b\t\n", "a b"), ("\u2003ö\u00a0", "ö"), ("\x00", "\x00"),
    (type("Text", (str,), {})("T"), "T"), (Enum("Kind", {"A": "x"}, type=str).A, "x")])
def test_event_type_is_stripped_plain_text(given, kept):
    event = Event(given)
    assert event.event_type == kept and type(event.event_type) is str


@pytest.mark.parametrize("value", [None, 1, b"T", ["T"], "", " ", "\n\u2003", "\ud800", "a\udfffb"])
def test_bad_event_type(value):
    assert places(Event, value) == [("event_type",)]


def test_event_type_is_required():
    assert refused(Event) == [
        {"type": "missing", "loc": ("event_type",), "msg": "Field required", "input": None}]
    assert places(Event, payload={}) == [("event_type",)]


def test_id_in_any_case_is_kept_in_lower():
    assert Event("T", id=ID.upper()).id == ID
    assert Event("T", id=str(uuid.uuid4())).id


@pytest.mark.parametrize("value", [
    None, 1, uuid.UUID(ID), b"x" * 36, "", "x", ID[:-1], ID + "0", ID.replace("-", ""), "{" + ID + "}",
    " " + ID, ID.replace("-4c9e", "-1c9e"), ID.replace("-9d2f", "-cd2f"), ID[:-1] + "g", ID[:-1] + "é",
    ID[:-1] + "\ud800", "25b593c4-e63e-11f1-9dd5-02fc00000001"])
def test_bad_id(value):
    assert places(Event, "T", id=value) == [("id",)]


class Strange(tzinfo):
    def __init__(self, offset):
        self.offset = offset

    def utcoffset(self, dt):
        return self.offset


@pytest.mark.parametrize("given", [
    WHEN, WHEN.astimezone(timezone(timedelta(hours=-7, minutes=-30))), WHEN.replace(fold=1),
    WHEN.astimezone(timezone.utc).replace(tzinfo=timezone(timedelta(0), "GMT")),
    "2026-11-22T05:30:00.123456Z", "2026-11-22 07:30:00.123456+02:00",
    type("Moment", (datetime,), {})(2026, 11, 22, 5, 30, 0, 123456, timezone.utc)])
def test_timestamps_are_utc(given):
    event = Event("T", timestamp=given)
    assert event.timestamp == WHEN and event.timestamp.tzinfo is timezone.utc
    assert type(event.timestamp) is datetime


@pytest.mark.parametrize("when", [
    datetime(1, 1, 1, tzinfo=timezone.utc), datetime(1969, 12, 31, 23, 59, 59, 999999, timezone.utc),
    datetime(2024, 2, 29, tzinfo=timezone.utc), datetime(9999, 12, 31, 23, 59, 59, 999999, timezone.utc)])
def test_all_times_that_python_has(when):
    event = Event("T", timestamp=when)
    assert event.timestamp == when
    assert Event.model_validate_json(event.model_dump_json()) == event


def test_a_zone_of_microseconds():
    zone = timezone(timedelta(microseconds=-1))
    assert Event("T", timestamp=WHEN.replace(tzinfo=zone)).timestamp == WHEN + timedelta(microseconds=1)


@pytest.mark.parametrize("value", [
    None, 0, 1.5, "", "yesterday", "2026-11-22", "2026-11-22T05:30:00", "1795325400", WHEN.date(),
    WHEN.replace(tzinfo=None), WHEN.replace(tzinfo=Strange(None)), b"2026-11-22T05:30:00Z",
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-1))), "2026-11-22T05:30:00\ud800Z"])
def test_bad_timestamp(value):
    assert places(Event, "T", timestamp=value) == [("timestamp",)]


def test_a_zone_that_raises():
    class Broken(tzinfo):
        def utcoffset(self, dt):
            raise RuntimeError("no zone today")
    with pytest.raises(RuntimeError, match="no zone today"):
        Event("T", timestamp=WHEN.replace(tzinfo=Broken()))


def test_all_faults_at_once():
    assert set(places(Event, 1, 2, 3, 4, )) == {("event_type",), ("payload",), ("id",), ("timestamp",)}
    assert set(places(Event, "T", colour="red", id="x")) == {("colour",), ("id",)}


def test_wrong_calls():
    with pytest.raises(TypeError, match="multiple values"):
        Event("T", event_type="T")
    with pytest.raises(TypeError, match="at most 4"):
        Event("T", {}, ID, WHEN, 5)


# --- frozen, compared, shown ---


@pytest.mark.parametrize("name", ["id", "timestamp", "event_type", "payload", "colour", "__class__"])
def test_frozen(name):
    event = known()
    assert refused(setattr, event, name, "x")[0]["type"] == "frozen_instance"
    assert places(setattr, event, name, "x") == [(name,)]
    assert places(delattr, event, name) == [(name,)]
    with pytest.raises(TypeError, match="does not change"):
        event.__init__("U")
    with pytest.raises(TypeError, match="does not change"):
        event.__setstate__(({"event_type": "U"}, None))
    assert event == known()


def test_later_changes_change_nothing():
    inner = [1, {"x": 1}]
    payload = {"a": inner, "b": {"c": (1, [2])}}
    event = Event("T", payload)
    inner.append(2)
    inner[1]["x"] = 2
    payload["b"]["c"][1].append(3)
    payload["d"] = 1
    assert event.payload == {"a": [1, {"x": 1}], "b": {"c": [1, [2]]}}


def test_equal_by_all_fields():
    assert known() == known() and not known() != known()
    assert known(event_type="U") != known() != known(payload={}) != known()
    assert known(id=Event("T").id) != known() != known(timestamp=WHEN + timedelta(microseconds=1))
    assert known() != "T" and known() != known().model_dump()
    with pytest.raises(TypeError):
        known() < known()


def test_hashed_by_id():
    assert hash(known()) == hash(known(payload={})) == hash(ID)
    assert len({known(), known(), known(payload={}), Event("T")}) == 3
    assert {known(): 1}[known()] == 1


def test_shown_as_it_is_made():
    event = known(payload={"k": "ö", "l": None})
    assert eval(repr(event), {"Event": Event, "datetime": sys.modules["datetime"]}) == event
    assert str(event) == repr(event) and repr(event).startswith(f"Event(id='{ID}', timestamp=")


def test_pattern_matching():
    namespace = {"Event": Event, "event": known()}
    exec("match event:\n    case Event('T', {'k': k}): found = k", namespace)
    assert namespace["found"] == [1]


# --- dumps ---


def test_model_dump():
    event = known()
    assert list(event.model_dump().items()) == [
        ("id", ID), ("timestamp", WHEN), ("event_type", "T"), ("payload", {"k": [1]})]
    assert event.dict() == event.model_dump() == event.model_dump(mode="python") == dict(event)
    assert event.model_dump(mode="json") == {**event.model_dump(),
                                             "timestamp": "2026-11-22T05:30:00.123456Z"}
    assert event.model_dump(include={"id"}) == event.dict(include=["id"]) == {"id": ID}
    assert list(event.model_dump(exclude={"id", "payload"})) == ["timestamp", "event_type"]
    with pytest.raises(ValueError, match="mode"):
        event.model_dump(mode="xml")
    with pytest.raises(TypeError):
        event.model_dump(by_magic=True)


def test_a_dump_is_a_copy():
    event = known()
    event.model_dump()["payload"]["k"].append(2)
    dict(event)["payload"]["k"].append(2)
    assert event.payload == {"k": [1]}


def test_model_dump_json():
    event = known(payload={"k": [1, 2.5, "ö\n\x01"]})
    text = event.model_dump_json()
    assert text == ('{"id":"%s","timestamp":"2026-11-22T05:30:00.123456Z","event_type":"T",'
                    '"payload":{"k":[1,2.5,"ö\\n\\u0001"]}}' % ID)
    assert event.json() == text and json.loads(text) == event.model_dump(mode="json")
    assert event.model_dump_json(indent=2) == json.dumps(
        event.model_dump(mode="json"), indent=2, ensure_ascii=False)
    assert event.model_dump_json(include={"id"}) == '{"id":"%s"}' % ID
    assert json.loads(event.json(exclude={"id"})).keys() == {"timestamp", "event_type", "payload"}


def test_a_payload_changed_into_something_else():
    event = known()
    event.payload["k"] = (1, 2)
    assert json.loads(event.model_dump_json())["payload"] == event.model_dump()["payload"] == {"k": [1, 2]}
    for value in (object(), float("nan"), 10**5000, "\ud800", {1: 2}):
        event.payload["k"] = value
        for ask in (event.model_dump, event.model_dump_json, event.model_copy, lambda: pickle.dumps(event)):
            assert places(ask)[0][0] == "payload"
    event.payload["k"] = "x" * 1_000_000
    assert places(event.model_dump_json) == [("payload",)]
    event.payload["k"] = event.payload
    assert places(event.model_dump_json) == [("payload", "k")]
    del event.payload["k"]


# --- validation of what others wrote ---


def test_model_validate():
    event = known()
    assert Event.model_validate(event) is event
    assert Event.model_validate(event.model_dump()) == event
    assert Event.model_validate(event.model_dump(mode="json")) == event
    assert Event.model_validate({"event_type": "T"}).event_type == "T"
    for value in (None, 1, "T", [("event_type", "T")]):
        assert refused(Event.model_validate, value)[0]["loc"] == ()
    assert set(places(Event.model_validate, {"payload": [], 1: 2})) == {("event_type",), ("payload",), (1,)}


def test_model_validate_json():
    event = known(payload={"k": "ö", "n": 10**100, "f": 0.1})
    text = event.model_dump_json()
    for given in (text, text.encode(), bytearray(text.encode()), f" \r\n\t{text}\n "):
        assert Event.model_validate_json(given) == event
    assert UTC_TEXT.search(text)
    with pytest.raises(TypeError):
        Event.model_validate_json(1)


@pytest.mark.parametrize("text, place", [
    ("", ()), ("{", ()), ("[]", ()), ("null", ()), ('"T"', ()), ('{"event_type":"T"} x', ()),
    (b"\xff", ()), ('{"event_type":"\ud800"}', ("event_type",)), ('{"event_type":"\\ud800"}', ("event_type",)),
    ('{"event_type":1}', ("event_type",)), ('{"event_type":"T","x":1}', ("x",)),
    ('{"event_type":"T","id":null}', ("id",)), ('{"event_type":"T","timestamp":1}', ("timestamp",)),
    ('{"event_type":"T","timestamp":"2026-11-22T05:30:00"}', ("timestamp",)),
    ('{"event_type":"T","payload":[]}', ("payload",)), ('{"event_type":"T","payload":null}', ("payload",)),
    ('{"event_type":"T","payload":{"a":NaN}}', ("payload", "a")),
    ('{"event_type":"T","payload":{"a":[0,-Infinity]}}', ("payload", "a", 1)),
    ('{"event_type":"T","payload":{"a":1e999}}', ("payload", "a")),
    ('{"event_type":"T","payload":{"a":"\\udc00"}}', ("payload", "a")),
    ('{"event_type":"T","payload":{"a":%s}}' % ("9" * 5000), ("payload", "a")),
    ('{"event_type":"T","payload":{"a":{"b":-%s}}}' % ("9" * 5000), ("payload", "a", "b")),
    ('{"event_type":"T","payload":{"a":%s1%s}}' % ("[" * 300, "]" * 300), ("payload", "a")),
    ('{"event_type":"T","payload":{"a":%s1%s}}' % ("[" * 50000, "]" * 50000), ("payload",))])
def test_bad_json(text, place):
    assert places(Event.model_validate_json, text) == [place]


@pytest.mark.parametrize("faults", [[{}], [1], 1, [{"loc": ("payload",)}], [{"loc": 1, "msg": 2}]])
def test_a_validation_error_of_somebodys_own_making_can_be_shown(faults):
    error = ValidationError("Order", faults)
    assert str(error) and isinstance(error.errors(include_input=False), list)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
