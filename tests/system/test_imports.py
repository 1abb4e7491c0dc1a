# SPDX-License-Identifier: Apache-2.0
"""Files that objects import from the objects folder: a change of one loads its users again."""

import itertools
import os

import pytest
from station import wait_until


numbers = itertools.count()


def versions(station, object_id):
    return station.get(f"/objects/{object_id}?versions=true").json()["versions"]


def value_of(station, object_id):
    reply = station.get(f"/objects/{object_id}")
    return reply.json().get("value") if reply.status == 200 else None


def wait_value(station, object_id, value):
    wait_until(lambda: value_of(station, object_id) == value, what=lambda: (
        f"{object_id} is {value_of(station, object_id)!r}, not {value!r}"))


def helper(value):
    return f"VALUE = {value!r}\n"


def user(module, late=False):
    load = f"from {module} import VALUE"
    if late:
        return f"def GET(request):\n    {load}\n    return {{'value': VALUE}}\n"
    return f"{load}\ndef GET(request):\n    return {{'value': VALUE}}\n"


def generation(station, object_id):
    return station.get(f"/objects/{object_id}?metadata=true").json()["metadata"]["worker"]["generation"]


@pytest.mark.parametrize("late", [False, True], ids=["at load", "in a call"])
@pytest.mark.parametrize("file,module", [
    ("_helper.py", "_helper"), ("_lib/deep.py", "_lib.deep"), ("lib/__init__.py", "lib"),
    ("lib/plain.py", "lib.plain"), ("sub/_near.py", "_near"), ("_lib/a/b.py", "_lib.a.b")])
def test_a_changed_helper(shared, file, module, late):
    shared.put(file, helper(1))
    object_id = shared.deploy(f"sub/user{next(numbers)}.py", user(module, late))
    wait_value(shared, object_id, 1)
    for value in (2, 3):
        shared.put(file, helper(value))
        wait_value(shared, object_id, value)
    shared.allow("cannot import name")  # a load that meets the file half written, and is repeated
    (shared.objects / file).write_text(helper("in place"))
    wait_value(shared, object_id, "in place")
    assert len(versions(shared, object_id)) == 1  # its own source is what it was
    (shared.objects / f"sub/{object_id[4:]}.py").unlink()
    wait_until(lambda: object_id not in shared.object_ids())


def test_one_load_for_many_files(station):
    names = [f"_h{n}" for n in range(10)]
    for name in names:
        station.put(f"{name}.py", helper(1))
    lines = "".join(f"import {name}\n" for name in names)
    total = " + ".join(f"{name}.VALUE" for name in names)
    station.deploy("user.py", f"{lines}def GET(request):\n    return {{'value': {total}}}\n")
    wait_value(station, "user", 10)
    values = itertools.count(2)

    def few_loads():
        """A busy machine may take so long to write them that some are loaded before the others."""
        before, value = generation(station, "user"), next(values)
        for name in names:
            (station.objects / f"{name}.py").write_text(helper(value))
        wait_value(station, "user", 10 * value)
        return generation(station, "user") - before <= 3

    wait_until(few_loads)


def test_all_users_and_nobody_else(station):
    station.put("_shared.py", helper(1))
    for name in ("a", "b"):
        station.deploy(f"{name}.py", user("_shared"))
        wait_value(station, name, 1)
    station.deploy("c.py", "def GET(request):\n    return {'value': 'c'}\n")
    wait_value(station, "c", "c")
    alone = generation(station, "c")
    station.put("_shared.py", helper(2))
    wait_value(station, "a", 2)
    wait_value(station, "b", 2)
    assert generation(station, "c") == alone


def test_the_same_content_does_nothing(station):
    station.put("_helper.py", helper(1))
    old = os.stat(station.objects / "_helper.py")
    os.utime(station.objects / "_helper.py", (old.st_atime - 100, old.st_mtime - 100))
    station.deploy("user.py", user("_helper"))
    wait_value(station, "user", 1)
    before = generation(station, "user")
    (station.objects / "_helper.py").write_text(helper(1))
    station.put("_helper.py", helper(1))
    station.deploy("other.py", "def GET(request):\n    return {'value': 1}\n")
    wait_value(station, "other", 1)
    assert generation(station, "user") == before


def test_an_object_that_is_imported(station):
    """A file may be an object and a helper."""
    station.deploy("base.py", helper(1) + "def GET(request):\n    return {'value': VALUE}\n")
    station.deploy("user.py", user("base"))
    wait_value(station, "base", 1)
    wait_value(station, "user", 1)
    station.put("base.py", helper(2) + "def GET(request):\n    return {'value': VALUE}\n")
    wait_value(station, "user", 2)
    wait_value(station, "base", 2)
    assert len(versions(station, "base")) == 2 and len(versions(station, "user")) == 1


def test_a_broken_helper_does_not_replace(station):
    station.allow("does not load")
    station.put("_helper.py", helper(1))
    station.deploy("user.py", user("_helper"))
    wait_value(station, "user", 1)
    station.put("_helper.py", "VALUE = (\n")
    wait_until(lambda: "load_error" in station.get("/objects/user?metadata=true").json()["metadata"])
    assert value_of(station, "user") == 1
    station.put("_helper.py", helper(2))
    wait_value(station, "user", 2)
    assert "load_error" not in station.get("/objects/user?metadata=true").json()["metadata"]
    assert len(versions(station, "user")) == 1


@pytest.mark.parametrize("broken", [None, "VALUE = (\n", "raise RuntimeError('x')\n"],
                         ids=["missing", "syntax", "raises"])
def test_the_helper_comes_after_its_user(station, broken):
    """As rsync and git write files: the object first, what it imports a moment later."""
    station.allow("does not load")
    if broken:
        station.put("_helper.py", broken)
    station.deploy("user.py", user("_helper"))
    assert station.get("/objects/user").status == 500
    station.put("_helper.py", helper(1))
    wait_value(station, "user", 1)
    station.put("user.py", user("_other"))
    wait_until(lambda: versions(station, "user")[0]["status"] == "rejected")
    assert value_of(station, "user") == 1
    station.put("_other.py", helper(2))
    wait_value(station, "user", 2)
    assert [v["status"] for v in versions(station, "user")][0] == "accepted"


def test_a_helper_changes_while_the_newest_file_is_rejected(station):
    station.allow("does not load")
    station.put("_helper.py", helper(1))
    station.deploy("user.py", user("_helper"))
    wait_value(station, "user", 1)
    station.put("user.py", "def GET(request:\n")
    wait_until(lambda: len(versions(station, "user")) == 2)
    station.put("_helper.py", helper(2))
    wait_value(station, "user", 2)
    assert len(versions(station, "user")) == 2


def test_a_folder_of_helpers_is_exchanged(station):
    for where, value in (("_lib", 1), (".next", 2)):
        folder = station.objects / where
        folder.mkdir()
        (folder / "deep.py").write_text(helper(value))
    station.deploy("user.py", user("_lib.deep"))
    wait_value(station, "user", 1)
    os.rename(station.objects / "_lib", station.objects / ".old")
    os.rename(station.objects / ".next", station.objects / "_lib")
    wait_value(station, "user", 2)
    (station.objects / "_lib/deep.py").write_text(helper(3))
    wait_value(station, "user", 3)


def test_state_and_calls_survive(station):
    station.put("_step.py", "STEP = 1\n")
    station.deploy("n.py", "from _step import STEP\ndef POST(request):\n"
                           "    return {'n': _state_manager.increment('n'), 'step': STEP}\n")
    seen = []
    for step in (1, 2, 3):
        station.put("_step.py", f"STEP = {step}\n")
        def counted(step=step):
            seen.append(station.post("/objects/n").json())
            return seen[-1]["step"] == step
        wait_until(counted)
    assert [s["n"] for s in seen] == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("station", [{"config": {"limits": {"imports_object_max": 1}}}], indirect=True)
def test_the_limit(station):
    for name in ("_a", "_b"):
        station.put(f"{name}.py", helper(1))
    station.deploy("user.py", "import _a, _b\ndef GET(request):\n"
                              "    return {'value': [_a.VALUE, _b.VALUE]}\n")
    wait_value(station, "user", [1, 1])
    station.put("_b.py", helper(2))
    station.put("_a.py", helper(2))
    wait_value(station, "user", [2, 2])
