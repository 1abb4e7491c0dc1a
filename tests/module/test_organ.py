# SPDX-License-Identifier: Apache-2.0
"""Organ: what it is called, what it listens to, and what a Spine refuses to take for one."""

import asyncio
import enum

import pytest
from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine


class Plain(Organ):
    listens_to = ["A"]

    def handle(self, event):
        return None


def spine(*organs):
    return Spine(organs=list(organs), backend=InMemoryBackend())


def test_it_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Organ()

    class Half(Organ):
        listens_to = ["A"]

    with pytest.raises(TypeError, match="handle"):
        Half()


def test_the_name_is_that_of_the_class_unless_it_is_given():
    assert Plain().name == "Plain"
    assert Plain("mine").name == "mine"
    assert Plain(name="mine").name == "mine"


def test_a_subclass_names_itself():
    class Named(Plain):
        name = "of the class"

    class Late(Plain):
        def __init__(self):
            self.name = "of the instance"

    assert Named().name == "of the class"
    assert Late().name == "of the instance"


def test_subclasses_that_do_not_call_init_work():
    class Counter(Organ):
        listens_to = ["A"]

        def __init__(self):
            self.seen = []

        def handle(self, event):
            self.seen.append(event)

    organ, event = Counter(), Event("A")
    assert organ.name == "Counter"
    asyncio.run(spine(organ).run(event))
    assert organ.seen == [event]


def test_one_without_listens_to_listens_to_nothing():
    class Deaf(Organ):
        def handle(self, event):
            raise AssertionError("nobody asked it")

    stats = asyncio.run(spine(Deaf()).run(Event("A")))
    assert (stats.events_processed, stats.handler_errors) == (1, 0)


@pytest.mark.parametrize("wrong", ["A", ("A",), {"A"}, None, 3, [1], ["A", None], [b"A"]])
def test_listens_to_that_is_no_list_of_strings_is_refused(wrong):
    organ = Plain()
    organ.listens_to = wrong
    with pytest.raises(TypeError, match=r"Plain\.listens_to must be a list of strings"):
        spine(organ)


def test_what_is_no_organ_is_refused():
    with pytest.raises(TypeError, match="not the class Plain"):
        spine(Plain)
    with pytest.raises(TypeError, match="int has no method handle"):
        spine(3)
    for wrong in (None, Plain(), InMemoryBackend()):
        with pytest.raises(TypeError, match=f"organs must be a list of organs, not .*{type(wrong).__name__}"):
            Spine(organs=wrong, backend=InMemoryBackend())


def test_a_class_is_no_backend():
    with pytest.raises(TypeError, match="not the class .*InMemoryBackend"):
        Spine(organs=[], backend=InMemoryBackend)


def test_an_object_with_the_same_methods_is_as_good():
    class Duck:
        listens_to = ["A"]
        seen = 0

        def handle(self, event):
            Duck.seen += 1

    asyncio.run(spine(Duck()).run(Event("A")))
    assert Duck.seen == 1


def test_listens_to_is_read_once():
    organ = Plain()
    organ.listens_to = ["A"]
    one = spine(organ)
    organ.listens_to.append("B")
    organ.handle = lambda event: Event("B") if event.event_type == "A" else 1 / 0
    assert asyncio.run(one.run(Event("A"))).handler_errors == 0


def test_a_type_of_a_subclass_of_str_counts_by_its_text():
    class Kind(str, enum.Enum):  # its hash is that of its name
        PLACED = "order.placed"

    class Treacherous(str):
        def __hash__(self):
            organ.listens_to.clear()
            return hash(object())

    organ = Plain()
    organ.listens_to = [Kind.PLACED, Treacherous("B"), Treacherous("C"), Kind.PLACED]
    seen = []
    organ.handle = lambda event: seen.append(event.event_type)
    one = spine(organ)
    for event_type in ("order.placed", "B", "C", Kind.PLACED):
        asyncio.run(one.run(Event(event_type)))
    assert seen == ["order.placed", "B", "C", "order.placed"] and len(organ.listens_to) == 4


def test_a_name_that_fails_to_be_text_is_that_of_the_class(caplog):
    class Nameless:
        def __str__(self):
            raise ValueError("no text")

    class Shy:
        listens_to = ["A"]
        name = Nameless()

        def handle(self, event):
            raise KeyError("not handled")

    caplog.set_level("INFO", "necrostack.spine")
    assert asyncio.run(spine(Shy()).run(Event("A"))).handler_errors == 1
    assert {record.organ for record in caplog.records if hasattr(record, "organ")} == {"Shy"}
