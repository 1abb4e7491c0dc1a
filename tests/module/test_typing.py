# SPDX-License-Identifier: Apache-2.0
"""The types of necrostack as mypy --strict sees them, and whether they are those of the module."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from station import BUILD

pytestmark = [pytest.mark.same_everywhere,
              pytest.mark.skipif(not shutil.which("mypy"), reason="mypy is not installed")]

PACKAGE = BUILD / "python/necrostack"
PROGRAMS = Path(__file__).parent / "typed"


def lines_of(arguments, **environment):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "MYPYPATH": str(BUILD / "python"), **environment})
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def errors_of_mypy():
    """{file: {line: kinds of the errors}} of the package and of both programs, in one run."""
    errors = {}
    for line in lines_of(["mypy", "--strict", "--cache-dir=/dev/null", "--no-error-summary",
                          "--show-error-codes", PACKAGE, *sorted(PROGRAMS.glob("*.py"))]):
        about = re.match(r"(.+?):(\d+): error: .*\[([\w-]+)\]$", line)
        if about:
            kinds = errors.setdefault(Path(about[1]).name, {}).setdefault(int(about[2]), {})
            kinds.setdefault(about[3], line)
        elif ": note: " not in line:
            errors.setdefault("mypy", {})[len(errors)] = {"": line}
    return errors


def test_right_uses_are_accepted_and_wrong_ones_are_told():
    found = errors_of_mypy()
    wrong = [line for name, lines in found.items() if name != "wrong.py"
             for kinds in lines.values() for line in kinds.values()]
    assert not wrong, "\n".join(wrong)
    lines = (PROGRAMS / "wrong.py").read_text().splitlines()
    marked = {n: line.rpartition("  # ")[2] for n, line in enumerate(lines, 1) if "  # " in line}
    assert len(marked) > 15
    assert {n: sorted(kinds) for n, kinds in found.get("wrong.py", {}).items()} == \
        {n: [kind] for n, kind in marked.items()}


def test_the_stub_is_that_of_the_module():
    """As mypy's stubtest compares them: names, signatures, defaults."""
    told = lines_of(["stubtest", "--concise", "necrostack._necrostack"],
                    PYTHONPATH=str(BUILD / "python"))
    assert not [line for line in told if not line.startswith("Success")], "\n".join(told)


def test_it_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
