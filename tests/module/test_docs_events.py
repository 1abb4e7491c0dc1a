# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/events are true: their programs and commands are run as they are printed, without a
station (tests/system/doc_page.py says how a block is marked). A page that says 127.0.0.1:6379 gets a
Redis of its own there; a block "conf" is what that Redis is told by CONFIG SET."""

import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest
from doc_page import Page, Shell, blocks_of, lines_of
from station import BUILD, REPOSITORY

pytestmark = pytest.mark.same_everywhere

PAGES = sorted((REPOSITORY / "docs/events").glob("*.md"))
CONFTEST = """# A busy machine is no finding of a property test.
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
"""
REDIS = "127.0.0.1:6379"


class ModulePage(Page):
    def __init__(self, path, folder, redis):
        self.path, self.folder, self.blocks = path, folder, blocks_of(path)
        self.port = redis.port if redis else None
        self.addresses = [(REDIS, f"127.0.0.1:{self.port}")] if redis else []

    def run(self):
        """python3 is the one that runs the tests, redis-cli talks to the page's own server."""
        programs = self.folder / "programs"
        programs.mkdir()
        for name, command in (("python3", sys.executable), ("redis-cli", f"/usr/bin/redis-cli -p {self.port}")):
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o755)
        if "hypothesis" in self.path.read_text():
            (self.folder / "conftest.py").write_text(CONFTEST)
        os.symlink(BUILD, self.folder / "build")
        os.symlink(REPOSITORY / "worker", self.folder / "worker")
        env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        self.run_blocks(Shell(self.folder, env, self.addresses))

    def check_configuration(self, block):
        for line in lines_of(block.text):
            name, value = line.split(maxsplit=1)
            done = subprocess.run([self.folder / "programs/redis-cli", "config", "set", name, value],
                                  capture_output=True, text=True, timeout=60)
            assert done.stdout == "OK\n", f"{block.where}: {line}: {done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_as_printed(page, tmp_path, request):
    redis = request.getfixturevalue("new_redis")() if REDIS in page.read_text() else None
    ModulePage(page, tmp_path, redis).run()


# --- the reference knows every public name ---

MODULES = ["necrostack.core.event", "necrostack.core.organ", "necrostack.core.spine", "necrostack.core.logging",
           "necrostack.backends.base", "necrostack.backends.inmemory", "necrostack.backends.redis_backend"]


def reference():
    """{module: {name: what is said of it}}; "" is what stands before the first name."""
    text = (REPOSITORY / "docs/events/reference.md").read_text()
    found = {}
    for chapter in re.split(r"^## ", text, flags=re.M)[1:]:
        module, _, rest = chapter.partition("\n")
        parts = re.split(r"^### (\w+)\n", rest, flags=re.M)
        found[module] = {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}
    return found


def members_of(thing):
    """What a class has itself; an exception's attributes are its own business."""
    if not inspect.isclass(thing):
        return []
    return [name for name in vars(thing) if not name.startswith("_")]


def says(text, name):
    return re.search(rf"`(?:await |async |Event\.)*{name}\b", text) is not None


@pytest.mark.parametrize("module", MODULES)
def test_reference_is_whole(module):
    chapter = reference()[module]
    public = importlib.import_module(module)
    for name in public.__all__:
        assert name in chapter or says(chapter[""], name), name
        for member in members_of(getattr(public, name)) if name in chapter else ():
            assert says(chapter[name], member), f"{name}.{member}"


@pytest.mark.parametrize("module", MODULES)
def test_reference_has_nothing_that_is_gone(module):
    public = importlib.import_module(module)
    for name, text in reference()[module].items():
        assert not name or hasattr(public, name), name


DEFAULTS = {  # what is shown is made from them
    "consumer_name": lambda name: None if name else name,
    "dlq_stream": lambda name: None if name == "necrostack:events:dlq" else name,
    "failed_event_store": lambda store: None if len(store) == 0 else store,
    "timeout": lambda _: 5.0,
}


@pytest.mark.parametrize("name, made", [
    ("Spine", lambda n: n.Spine([], n.InMemoryBackend())),
    ("RedisBackend", lambda n: n.RedisBackend("redis://127.0.0.1")),
])
def test_defaults_of_the_reference(name, made):
    """As the object shows them that was made without."""
    package = importlib.import_module("necrostack")
    text = (REPOSITORY / "docs/events/reference.md").read_text()
    call = re.search(rf"^{name}\(.*?\)$", text, re.M | re.S).group()
    for key, default in re.findall(r"(\w+)=([^,)]+)", call):
        said, there = eval(default, vars(package)), getattr(made(package), key, None)
        if key in DEFAULTS:
            there = DEFAULTS[key](there)
        assert said == there, (key, said, there)


def test_program_of_the_readme(tmp_path):
    [program] = [b.text for b in blocks_of(REPOSITORY / "README.md") if "necrostack" in b.text]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("Welcome, Ada\n", "")
