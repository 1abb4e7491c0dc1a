# SPDX-License-Identifier: Apache-2.0
"""Events copied and pickled; subclasses of Event; and its errors."""

import copy
import gc
import pickle
import sys
import threading
import weakref
from typing import Generic, TypeVar

import pytest
from necrostack.core.event import Event, ValidationError
from test_event import ID, WHEN, known, places, refused

# --- copies and pickles ---


def test_model_copy():
    event = known()
    assert event.model_copy() == event.copy() == event and event.model_copy() is not event
    assert event.model_copy(deep=True).payload["k"] is not event.payload["k"]
    changed = event.model_copy(update={"event_type": " U ", "timestamp": "2026-11-22T05:30:00Z"})
    assert (changed.event_type, changed.id, changed.payload) == ("U", ID, {"k": [1]})
    assert changed.timestamp == WHEN.replace(microsecond=0)
    assert set(places(event.model_copy, update={"payload": 1, "colour": 2})) == {("payload",), ("colour",)}
    with pytest.raises(TypeError):
        event.model_copy(update=[("id", ID)])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    event = known(payload={"k": ["ö", None, 10**30, {"x": 1.5}]})
    again = pickle.loads(pickle.dumps(event, protocol))
    assert again == event and type(again) is Event


def test_copy_and_deepcopy():
    event = known()
    for again in (copy.copy(event), copy.deepcopy(event)):
        assert again == event and again is not event
        again.payload["k"].append(2)
        assert event.payload == {"k": [1]}
    a, b = copy.deepcopy([event, event])
    assert a is b


def test_a_foreign_state_is_refused():
    for state in (None, 1, (), ({}, None), ({"event_type": 1}, None), ("x", None),
                  ({"event_type": "T"}, 5), ({"event_type": "T"}, (None, 5))):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            Event.__new__(Event).__setstate__(state)


def test_errors_pickle_and_tell():
    with pytest.raises(ValidationError) as caught:
        Event("", {"a": [float("nan")]}, colour="red")
    error = caught.value
    assert error.error_count() == 3 and error.title == "Event"
    assert str(error).splitlines()[0] == "3 validation errors for Event"
    assert "payload.a.0\n  Number should be finite [type=finite_number, input_value=nan, " \
           "input_type=float]" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and type(again) is ValidationError
    assert "input" not in error.errors(include_input=False)[0]
    error.errors()[0].clear()
    assert error.errors()[0]
    assert str(ValidationError("plain")) == "plain" and ValidationError("plain").errors() == []


def test_an_input_that_cannot_show_itself():
    class Shy:
        def __repr__(self):
            raise RuntimeError("no")
    with pytest.raises(ValidationError) as caught:
        Event("T", {"a": Shy()})
    assert "Shy" in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        Event("T", id="x" * 1000)
    assert len(str(caught.value)) < 200


# --- subclasses ---

T = TypeVar("T")


class Plain(Event):
    pass


class Paid(Event):
    """Its own arguments and attributes, a field with a default, and one that is only its own."""

    event_type: str = "PAID"
    currency = "EUR"

    def __init__(self, amount, **fields):
        super().__init__(payload={"amount": amount}, **fields)
        self.amount = amount

    @property
    def half(self):
        return self.amount / 2


class Slotted(Event):
    __slots__ = ("note",)


class Typed(Event, Generic[T]):
    payload = {"default": [1]}


def test_a_subclass_with_its_own_init():
    event = Paid(4, id=ID, timestamp=WHEN)
    assert (event.event_type, event.payload, event.amount, event.half) == ("PAID", {"amount": 4}, 4, 2)
    assert Paid.currency == event.currency == "EUR"
    event.amount = 5
    assert places(setattr, event, "payload", {}) == [("payload",)]
    assert places(Paid, 1, payloads={}) == [("payloads",)]
    assert repr(event).startswith("Paid(id=")
    assert Paid(4, event_type="REFUNDED").event_type == "REFUNDED"
    assert event != Event("PAID", {"amount": 4}, ID, WHEN)
    again = Paid.model_validate({"amount": 3})
    assert (again.payload, again.amount) == ({"amount": 3}, 3)


def test_a_subclass_without_more():
    event = Plain("T", {"k": [1]}, ID, WHEN)
    assert isinstance(event, Event) and event == Plain.model_validate(known().model_dump())
    assert Event.model_validate(event) is event
    assert refused(Plain.model_validate, known())[0]["loc"] == ()
    assert type(Plain.model_validate_json(event.model_dump_json())) is Plain


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_subclasses_pickle_with_their_attributes(protocol):
    paid = pickle.loads(pickle.dumps(Paid(4), protocol))
    assert (type(paid), paid.amount, paid.payload) == (Paid, 4, {"amount": 4})
    if sys.version_info >= (3, 11) and protocol >= 2:
        slotted = Slotted("T")
        slotted.note = "n"
        assert pickle.loads(pickle.dumps(slotted, protocol)).note == "n"


def test_subclasses_copy_with_their_attributes():
    paid = Paid([1])
    for again in (copy.copy(paid), copy.deepcopy(paid), paid.model_copy()):
        assert again == paid and again.amount == [1]
    assert copy.deepcopy(paid).amount is not paid.amount
    assert paid.model_copy(update={"event_type": "X"}).amount == [1]


def test_declared_defaults():
    assert Typed("T").payload == {"default": [1]}
    Typed("T").payload["default"].append(2)
    assert Typed("T").payload == {"default": [1]} == Typed[int]("T").payload
    assert Typed.__parameters__ == (T,)

    class Child(Paid):
        event_type = "CHILD"
    assert Child(1).event_type == "CHILD" and Paid(1).event_type == "PAID"

    class Wrong(Event):
        event_type = 5
    assert places(Wrong) == [("event_type",)]

    class Computed(Event):
        @property
        def payload(self):
            return "computed"
    assert Computed("T").payload == "computed"


def test_a_subclass_that_never_calls_super():
    class Lazy(Event):
        def __init__(self):
            pass
    event = Lazy()
    for name in ("id", "timestamp", "event_type", "payload"):
        with pytest.raises(AttributeError):
            getattr(event, name)
    for ask in (hash, dict, pickle.dumps, Event.model_dump, Event.model_dump_json, Event.model_copy):
        with pytest.raises(AttributeError):
            ask(event)
    assert "without values" in repr(event) and event == event and event != Lazy()


def test_code_that_runs_while_an_event_is_made():
    """Somebody's own dict, which looks at the event that it is given to, or even makes it."""
    class Curious(dict):
        def __init__(self, event, look):
            super().__init__(k=1)
            self.event, self.look = event, look

        def keys(self):
            self.look(self.event)
            return ["k"]

        def __iter__(self):
            return iter(self.keys())

    class Nosy(Event):
        def __init__(self, look):
            super().__init__("T", Curious(self, look))

    seen = []
    assert Nosy(lambda event: seen.append(repr(event))).payload == {"k": 1}
    assert "without values" in seen[0]
    with pytest.raises(AttributeError):
        Nosy(lambda event: event.payload)
    with pytest.raises(TypeError, match="does not change"):
        Nosy(lambda event: Event.__init__(event, "U"))


def test_attributes_in_a_cycle_are_collected():
    ended = threading.Event()

    class Watched:
        def __del__(self):
            ended.set()

    event = Plain("T")
    event.itself, event.watched = event, Watched()
    del event
    gc.collect()
    assert ended.is_set()


class Emptying(dict):
    """A value of a payload that empties a dict when it is read, and takes the room that gets free."""

    def __init__(self, fields):
        super().__init__(k=1)
        self.fields = fields

    def keys(self):
        self.fields.clear()
        self.since = [f"{n:08x}" + ID[8:] for n in range(200)]
        return ["k"]

    def __iter__(self):
        return iter(self.keys())


def set_state_of(fields):
    event = Event.__new__(Event)
    event.__setstate__((fields, None))
    return event


@pytest.mark.parametrize("made", [
    Event.model_validate, set_state_of, lambda fields: Event("T").model_copy(update=fields)],
    ids=["validate", "setstate", "copy"])
def test_a_dict_that_is_emptied_while_it_is_read(made):
    fields = {"event_type": "T"}
    fields.update(payload={"a": Emptying(fields)}, id=f"{ID} "[:-1],  # that nobody else keeps
                  timestamp="+".join(["2024-01-02T03:04:05", "00:00"]))
    event = made(fields)
    assert fields == {} and event.payload == {"a": {"k": 1}}
    assert event.id == ID and event.timestamp.isoformat() == "2024-01-02T03:04:05+00:00"


def test_a_default_that_goes_while_it_is_read():
    class Mine(Event):
        payload = {"n": 1}

    class Keys:
        def __iter__(self):
            defaults.clear()
            alive.append(payload() is not None)
            return iter(["k"])

    class Unusual(dict):
        def keys(self):
            return Keys()

        __iter__ = None  # so that the keys are asked for

    alive, defaults = [], Mine.__event_defaults__
    defaults["payload"] = Unusual(k=1)
    payload = weakref.ref(defaults["payload"])
    assert Mine("T").payload == {"k": 1}
    assert alive == [True] and payload() is None
