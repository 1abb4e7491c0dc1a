# SPDX-License-Identifier: Apache-2.0
"""The objects that ship: each says how to call it, and what it says is so.

A docstring shows commands, indented by four, and below each what it answers. They are run as they
are printed, one file after the other in one shell, against a station of the file's own; only the
address is the station's. In an answer "…" stands for anything, and blanks do not count. What begins
with neither curl nor NAME= (objectctl, cat) is not run.
"""

import ast
import re
import subprocess

import pytest
from station import REPOSITORY, serving, wait_until

pytestmark = pytest.mark.same_everywhere

OBJECTS = REPOSITORY / "objects"
EXAMPLES = sorted(p.relative_to(OBJECTS) for p in OBJECTS.rglob("*.py") if p.name[0] not in "_.")
ADDRESS = "127.0.0.1:8001"
PROMISED = [
    "hello.py", "tutorial/01_hello.py", "tutorial/02_hello_with_logging.py", "tutorial/03_counter.py",
    "tutorial/04_calculator.py", "tutorial/05_user_registry.py", "tutorial/06_task_queue.py",
    "basics/counter.py", "basics/user_profile.py", "basics/image_gallery.py",
    "basics/counter_image.py", "basics/ticker.py", "triggers/scheduler.py", "advanced/auth.py", "advanced/blog.py", "config/environment.py",
]


def object_id(path):
    return str(path)[:-3].replace("/", "_")


def tree(path):
    return ast.parse((OBJECTS / path).read_text())


def commands_of(path):
    """[(command, expected answer or "")] of a file's docstring."""
    found = []
    lines = ast.get_docstring(tree(path), clean=False).splitlines()
    while lines:
        line = lines.pop(0)
        if not re.match(r"    (curl |[A-Z]+=)", line):
            continue
        while line.endswith("\\"):
            line += "\n" + lines.pop(0)
        answer = []
        while lines and re.match(r" {4}(?!curl |objectctl |cat |[A-Z]+=)", lines[0]):
            answer.append(lines.pop(0).strip())
        found.append((line.strip(), "\n".join(answer)))
    return found


def pattern_of(expected):
    """Without blanks, "…" for anything."""
    parts = re.sub(r"\s+", "", expected).split("…")
    return ".*".join(re.escape(part) for part in parts)


def run_shell(commands, folder, port):
    """Runs them in one bash, in order; the output of each."""
    end = "===== the end of a command ====="
    script = "".join(f"{c.replace(ADDRESS, f'127.0.0.1:{port}')}\necho\necho '{end}'\n" for c in commands)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"},
                          check=False)
    return done.stdout.split(end)[:-1], done.stderr


@pytest.fixture
def shipped(new_station):
    """A station that serves the shipped objects where they are."""
    subject = new_station(objects=OBJECTS).start()
    wait_until(lambda: len(subject.object_ids()) >= len(EXAMPLES), what="examples are not listed")
    return subject


@pytest.fixture(scope="module")
def shipped_once(tmp_path_factory):
    """One for all tests that change nothing."""
    with serving(tmp_path_factory.mktemp("shipped"), objects=OBJECTS) as subject:
        wait_until(lambda: len(subject.object_ids()) >= len(EXAMPLES), what="examples are not listed")
        yield subject


def test_everything_promised_ships():
    assert set(PROMISED) <= {str(p) for p in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_commands_as_printed(shipped, path, tmp_path):
    commands = commands_of(path)
    assert commands, "its docstring shows no curl line"
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "cat.png").write_bytes(PNG)
    outputs, errors = run_shell([c for c, _ in commands], folder, shipped.port)
    assert len(outputs) == len(commands), errors
    for (command, expected), output in zip(commands, outputs):
        if expected:
            got = re.sub(r"\s+", "", output)
            assert re.fullmatch(pattern_of(expected), got), \
                f"{command}\nshould answer\n{expected}\nand answers\n{output.strip()}"
    assert any(expected for _, expected in commands), "no answer is printed"
    for copy in folder.glob("copy.*"):
        assert copy.read_bytes() == PNG


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_its_own_tests_pass(shipped_once, path):
    name = object_id(path)

    def ticks():
        return sum(s["runs"] for s in shipped_once.get(f"/objects/{name}?status=true").json()["schedules"])

    def leave_no_trace():
        """A tick of its own may come at any time, and then it cannot be told."""
        ticked, before = ticks(), shipped_once.state(name)
        reply = shipped_once.get(f"/objects/{name}?test=true")
        assert reply.status == 200, reply
        body = reply.json()
        failed = [r for r in body["results"] if r["status"] != "pass"]
        assert body["status"] == "pass" and body["test_count"] > 0 and not failed, failed
        after = shipped_once.state(name)
        if ticks() != ticked:
            return False
        assert after == before and (ticked or before == {})
        return True

    wait_until(leave_no_trace)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_it_is_described(shipped_once, path):
    metadata = shipped_once.get(f"/objects/{object_id(path)}?metadata=true").json()["metadata"]
    for key in ("name", "version", "description", "author"):
        assert metadata[key], key
    assert metadata["version"] != "0.0.0" and metadata["methods"]
    assert ast.get_docstring(tree(path)).splitlines()[0].strip()


def test_the_readme_lists_them():
    text = (OBJECTS / "README.md").read_text()
    missing = [str(path) for path in EXAMPLES if f"`{path}`" not in text]
    assert not missing


def test_they_are_installed():
    makefile = (REPOSITORY / "Makefile.am").read_text()
    missing = [str(path) for path in EXAMPLES if f"\tobjects/{path}" not in makefile]
    assert not missing


# The smallest PNG: one transparent pixel.
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000"
                    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
                    "0000000049454e44ae426082")
