# SPDX-License-Identifier: Apache-2.0
"""Payloads: strictly JSON and nothing else, as json.dumps sees it, up to a million bytes."""

import json
import math
import os
import pickle
import sys
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from necrostack.core.event import MAX_PAYLOAD_SIZE, Event, ValidationError

LONG = bool(os.environ.get("OBJECTD_LONG"))
DEPTH = 255
rounds = settings(max_examples=5000 if LONG else 25, deadline=None, database=None, derandomize=not LONG,
                  suppress_health_check=list(HealthCheck))


def faults(payload):
    with pytest.raises(ValidationError) as caught:
        Event("T", payload)
    return caught.value.errors()


def fault(payload):
    """The only one."""
    [one] = faults(payload)
    assert one["loc"][0] == "payload"
    return one["loc"][1:], one["type"]


def as_json(payload):
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def same(a, b):
    """Equal, and of the same types (True is 1 and 1 is 1.0 otherwise)."""
    return repr(a) == repr(b)


# --- what is refused, and where ---

cyclic_list = [1]
cyclic_list.append({"x": cyclic_list})
cyclic_dict = {}
cyclic_dict["self"] = (cyclic_dict,)


def nested(depth, value=1):
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("payload", [None, 1, "x", [], (), [("a", 1)], {1, 2}, b"{}", object()])
def test_not_a_dict(payload):
    assert fault(payload) == ((), "dict_type")


@pytest.mark.parametrize("payload, place, kind", [
    ({"a": math.nan}, ("a",), "finite_number"),
    ({"a": {"b": [0, math.inf]}}, ("a", "b", 1), "finite_number"),
    ({"a": [-math.inf]}, ("a", 0), "finite_number"),
    ({"a": "\ud800"}, ("a",), "string_unicode"),
    ({"a": ["x", "\U0001f600\udfff"]}, ("a", 1), "string_unicode"),
    ({"\ud800": 1}, (), "string_unicode"),
    ({"a": {"x\udc00": 1}}, ("a",), "string_unicode"),
    ({1: 2}, (), "string_type"),
    ({"a": [{None: 1}]}, ("a", 0), "string_type"),
    ({"a": {("b",): 1}}, ("a",), "string_type"),
    ({b"a": 1}, (), "string_type"),
    ({"a": 10**5000}, ("a",), "int_parsing_size"),
    ({"a": [-(10**5000)]}, ("a", 0), "int_parsing_size"),
    ({"a": 1 << 10_000_000}, (), "too_long"),
    ({"a": cyclic_list}, ("a", 1, "x"), "recursion_loop"),
    (cyclic_dict, ("self", 0), "recursion_loop"),
    ({"a": nested(DEPTH)}, ("a",), "too_deep"),
    ({"a": nested(100_000)}, ("a",), "too_deep"),
    ({"a": b"bytes"}, ("a",), "json_type"),
    ({"a": {1, 2}}, ("a",), "json_type"),
    ({"a": [object()]}, ("a", 0), "json_type"),
    ({"a": Decimal(1)}, ("a",), "json_type"),
    ({"a": 1j}, ("a",), "json_type"),
    ({"a": Enum("E", "A").A}, ("a",), "json_type"),
    ({"a": {}.keys()}, ("a",), "json_type"),
    ({"a": iter([])}, ("a",), "json_type"),
], ids=range(26))
def test_refused(payload, place, kind):
    assert fault(payload) == (place, kind)


def test_the_input_is_told():
    assert faults({"a": [b"x"]})[0]["input"] == b"x"
    assert "bytes" in faults({"a": [b"x"]})[0]["msg"]


def test_the_same_list_over_and_over_is_no_bomb():
    bomb = ["x"]
    for _ in range(60):
        bomb = [bomb, bomb]
    assert fault({"a": bomb}) == ((), "too_long")


def test_many_times_the_same_is_no_cycle():
    shared = [1, 2]
    event = Event("T", {"a": shared, "b": [shared, shared]})
    assert event.payload == {"a": [1, 2], "b": [[1, 2], [1, 2]]}
    assert event.payload["b"][0] is not event.payload["b"][1]


# --- what is accepted, and as what ---

class Colour(IntEnum):
    RED = 1


class Name(str, Enum):
    A = "a"


class Words(str):
    def __str__(self):
        raise AssertionError("nobody asked")


class Sum(float):
    def __repr__(self):
        raise AssertionError("nobody asked")


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize("given, kept", [
    ({"a": (1, (2,))}, {"a": [1, [2]]}),
    ({"a": Point(1, 2)}, {"a": [1, 2]}),
    ({"a": Colour.RED, "b": Name.A, "c": True}, {"a": 1, "b": "a", "c": True}),
    ({Words("k"): Words("v"), "s": Sum(1.5)}, {"k": "v", "s": 1.5}),
    ({Name.A: 1}, {"a": 1}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (defaultdict(list, {"a": defaultdict(int)}), {"a": {}}),
    ({"a": type("L", (list,), {})([1])}, {"a": [1]}),
    ({"a": -0.0, "b": 1e308, "c": 5e-324}, {"a": -0.0, "b": 1e308, "c": 5e-324}),
    ({"a": 2**63, "b": -(2**63) - 1, "c": 10**4299}, {"a": 2**63, "b": -(2**63) - 1, "c": 10**4299}),
    ({"": "", "\x00": "\x00\x1f\x7f\"\\", "é": "\u20ac\U0001f600"},
     {"": "", "\x00": "\x00\x1f\x7f\"\\", "é": "\u20ac\U0001f600"}),
    ({"a": nested(DEPTH - 1)}, {"a": nested(DEPTH - 1)}),
], ids=range(12))
def test_accepted(given, kept):
    event = Event("T", given)
    assert same(event.payload, kept)
    assert Event.model_validate_json(event.model_dump_json()) == event
    assert Event.model_validate(event.model_dump()) == pickle.loads(pickle.dumps(event)) == event


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="no bound in this Python")
def test_integers_as_long_as_python_prints_them():
    limit = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(640)
        assert fault({"a": 10**640}) == (("a",), "int_parsing_size")
        sys.set_int_max_str_digits(0)
        event = Event("T", {"a": 10**6000})
        assert Event.model_validate_json(event.model_dump_json()) == event
    finally:
        sys.set_int_max_str_digits(limit)


def test_a_mapping_of_ones_own_that_raises():
    class Broken(dict):
        def keys(self):
            raise RuntimeError("no keys today")

        __iter__ = keys
    with pytest.raises(RuntimeError, match="no keys today"):
        Event("T", Broken(a=1))


# --- the size ---


def of_size(size, make):
    """A payload of exactly that many bytes, nearly all of them pieces of one kind."""
    piece = -(-(len(as_json(make(1001)).encode()) - len(as_json(make(1)).encode())) // 1000)
    payload = {"x": make((size - 100) // piece), "fill": ""}
    payload["fill"] = "f" * (size - len(as_json(payload).encode()))
    assert len(as_json(payload).encode()) == size
    return payload


@pytest.mark.parametrize("make", [
    lambda n: "x" * n, lambda n: "\x01" * n, lambda n: "\x01\u00e9\u20ac\U0001f600" * n, lambda n: [-1.2345678901234567e-300] * n,
    lambda n: [1, None, True, False] * n, lambda n: [-(2**62)] * n,
    lambda n: [[[], {}], {"k": ""}] * n, lambda n: {f"k{i:06}": 2**70 for i in range(n)}], ids=range(8))
def test_exactly_a_million_bytes(make):
    event = Event("T", of_size(MAX_PAYLOAD_SIZE, make))
    assert len(as_json(event.payload).encode()) == MAX_PAYLOAD_SIZE
    assert fault(of_size(MAX_PAYLOAD_SIZE + 1, make)) == ((), "too_long")


def test_a_million_and_one_in_every_way_in():
    event = Event("T", {"a": "x" * (MAX_PAYLOAD_SIZE - 8)})
    text = event.model_dump_json()
    assert Event.model_validate_json(text) == event
    larger = {"a": "x" * (MAX_PAYLOAD_SIZE - 7)}
    for make in (lambda: Event.model_validate({"event_type": "T", "payload": larger}),
                 lambda: Event.model_validate_json(text.replace("xx", "xxx", 1)),
                 lambda: event.model_copy(update={"payload": larger})):
        with pytest.raises(ValidationError) as caught:
            make()
        assert caught.value.errors()[0]["loc"] == ("payload",)
        assert "1000000" in caught.value.errors()[0]["msg"]


# --- properties ---

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
numbers = st.integers() | st.integers(-10**50, 10**50) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts


def containers(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4) | \
        st.tuples(inner, inner)


payloads = st.dictionaries(texts, st.recursive(scalars, containers, max_leaves=15), max_size=5)

bad_scalars = st.sampled_from([math.nan, math.inf, -math.inf, b"", object(), 1j, {1}]) | st.text(
    st.characters(whitelist_categories=["Cs"]), min_size=1) | st.just(5000).map(lambda n: 10**n)
any_keys = texts | st.integers() | st.none() | st.text(st.characters(whitelist_categories=["Cs", "Ll"]))


def any_containers(inner):
    return containers(inner) | st.dictionaries(any_keys, inner, max_size=2)


anything = st.dictionaries(any_keys, st.recursive(scalars | bad_scalars, any_containers, max_leaves=8),
                           max_size=3)


def is_strict(value):
    """What the contract allows, said in Python."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_strict(key) and is_strict(item)
                   for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(is_strict, value))
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, int):
        return abs(value) < 10**4300
    return value is None


@rounds
@given(payloads)
def test_kept_as_json_would_bring_it_back(payload):
    event = Event("T", payload)
    assert same(event.payload, json.loads(json.dumps(payload)))


@rounds
@given(anything)
def test_refused_with_a_reason_or_accepted(payload):
    if is_strict(payload):
        assert same(Event("T", payload).payload, json.loads(as_json(payload)))
        return
    place, kind = fault(payload)
    assert kind in ("finite_number", "string_unicode", "string_type", "int_parsing_size", "json_type")
    value = payload
    for step in place:
        value = value[step]
    assert not is_strict(value)


@rounds
@given(texts.filter(str.strip), payloads, st.datetimes(timezones=st.timezones(no_cache=True)))
def test_round_trips(event_type, payload, when):
    try:
        event = Event(event_type, payload, timestamp=when)
    except ValidationError as error:
        assert when.year in (1, 9999) and error.errors()[0]["loc"] == ("timestamp",)
        return
    assert event.event_type == event_type.strip() and event.timestamp == when
    for again in (Event.model_validate_json(event.model_dump_json()), pickle.loads(pickle.dumps(event)),
                  Event.model_validate(event.model_dump()), event.model_copy(), Event(**dict(event))):
        assert again == event and same(again.payload, event.payload) and hash(again) == hash(event)
    assert json.loads(event.model_dump_json()) == event.model_dump(mode="json")


@rounds
@given(st.text(max_size=30) | st.binary(max_size=30) | payloads.map(json.dumps))
def test_any_text_is_an_event_or_an_error(text):
    try:
        event = Event.model_validate_json(text)
    except ValidationError as error:
        assert error.errors()
    else:
        assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_are_read_for_what_they_hold(kind):
    class Endless(kind):
        def __iter__(self):
            yield from range(1000)  # enough to tell
            raise AssertionError("its own __iter__ was asked")

        def __len__(self):
            raise AssertionError("its own __len__ was asked")

        def __getitem__(self, index):
            raise AssertionError("its own __getitem__ was asked")

    assert Event("T", {"a": Endless([1, [2]]), "b": Endless()}).payload == {"a": [1, [2]], "b": []}


def test_payloads_of_events_that_are_gone_leave_no_trace():
    """While many events live, the dicts of those that go are used again, but for what others hold."""
    def many(count):
        return [Event("A", {"n": n, f"k{n % 7}": n, "text": "x" * (n % 3)}) for n in range(count)]

    for odd in (None, Event("B", {"inner": 1}), [], {"a": []}):  # what nobody checks any more
        events = many(3000)
        held = [event.payload for event in events[::50]]
        for event in events[::3]:
            event.payload["odd"] = odd
        expected = [dict(payload) for payload in held]
        events.reverse()
        while events:
            events.pop()
        again = many(3000)
        assert held == expected
        assert [event.payload["n"] for event in again] == list(range(3000))
        assert all(len(event.payload) == 3 for event in again)
        assert len({id(event.payload) for event in again} | set(map(id, held))) == 3000 + len(held)


def test_an_event_in_the_payload_of_another_goes_with_it():
    outer = [Event("A", {"n": n}) for n in range(3000)]
    for event in outer:
        event.payload["inner"] = Event("B", {"n": 1})
    assert all(event.payload["inner"].payload == {"n": 1} for event in outer)
    del event, outer
    assert [Event("A", {"n": n}).payload for n in range(100)] == [{"n": n} for n in range(100)]


def test_a_long_chain_of_events_in_payloads_is_let_go_of():
    others = [Event("A") for _ in range(100)]
    event = Event("A")
    for _ in range(200_000):
        last, event = event, Event("A")
        event.payload["before"] = last
    del last, event
    assert len({other.id for other in others}) == 100
