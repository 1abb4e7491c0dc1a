# SPDX-License-Identifier: Apache-2.0
"""The shape of the source tree: who may include whom, and what every file begins with."""

import os
import re
import subprocess

import pytest
from station import BUILD, REPOSITORY

pytestmark = pytest.mark.same_everywhere

SPDX = "SPDX-License-Identifier: Apache-2.0"
SIDES = ("common", "supervisor", "worker")
FORBIDDEN = {"common": ("supervisor", "worker"), "supervisor": ("worker",), "worker": ("supervisor",)}


def sources(*folders, suffixes=(".c", ".h", ".def")):
    return sorted(p for folder in folders for p in (REPOSITORY / folder).rglob("*")
                  if p.suffix in suffixes)


def includes(path):
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M)


def test_there_is_something_to_check():
    for side in SIDES:
        assert len(sources(side)) > 5, side


@pytest.mark.parametrize("side", SIDES)
def test_no_side_includes_what_it_may_not(side):
    wrong = [f"{path.relative_to(REPOSITORY)} includes {name}" for path in sources(side)
             for name in includes(path) if name.split("/")[0] in FORBIDDEN[side]]
    assert not wrong


def test_includes_name_the_path_from_the_root():
    wrong = [f"{path.relative_to(REPOSITORY)} includes {name}" for path in sources(*SIDES)
             for name in includes(path) if not (REPOSITORY / name).is_file()]
    assert not wrong


def test_python_is_seen_by_py_files_only():
    wrong = [path.name for path in sources(*SIDES) if not path.name.startswith("py_")
             and re.search(r"#\s*include\s+[<\"]Python\.h", path.read_text())]
    assert not wrong


def test_each_source_includes_its_own_header_first():
    """Python.h may precede it, for it must precede the C library's headers."""
    wrong = []
    for path in sources(*SIDES, suffixes=(".c",)):
        header = path.with_suffix(".h")
        if header.exists():
            names = re.findall(r'^\s*#\s*include\s+[<"]([^">]+)', path.read_text(), re.M)
            names = [name for name in names if name != "Python.h"]
            if not names or names[0] != str(header.relative_to(REPOSITORY)):
                wrong.append(str(path.relative_to(REPOSITORY)))
    assert not wrong


def test_every_header_begins_with_licence_and_contract():
    wrong = []
    for path in sources(*SIDES, suffixes=(".h",)):
        lines = path.read_text().splitlines()
        about = lines[2] if len(lines) > 2 else ""
        if lines[0] != f"// {SPDX}" or lines[1] != "/*" or \
                not about.startswith(f" * {path.stem} - "):
            wrong.append(str(path.relative_to(REPOSITORY)))
    assert not wrong


def test_every_file_of_code_names_its_licence():
    files = sources(*SIDES, "tests", "packaging", suffixes=(".c", ".h", ".def", ".py", ".sh"))
    files += [REPOSITORY / name for name in
              ("bootstrap", "configure.ac", "Makefile.am", "packaging/quickstart",
               "packaging/selftest", ".ci/run") if (REPOSITORY / name).exists()]
    wrong = [str(path.relative_to(REPOSITORY)) for path in files
             if SPDX not in "\n".join(path.read_text().splitlines()[:3])]
    assert not wrong


def test_every_source_is_in_the_makefile():
    """Both ways: a file that is not listed is not built, a line without its file breaks the build."""
    listed = set(re.findall(r"^\t((?:common|supervisor|worker)/\S+\.(?:c|h|def)|tests/\S+_\S+)",
                            (REPOSITORY / "Makefile.am").read_text(), re.M))
    listed |= {"supervisor/main.c", "supervisor/ctl/objectctl.c", "worker/main.c"}
    there = {str(path.relative_to(REPOSITORY)) for path in sources(*SIDES)}
    there |= {str(path.relative_to(REPOSITORY).with_suffix("")) for folder, pattern in
              (("unit", "test_*.c"), ("fuzz", "fuzz_*.c"))
              for path in (REPOSITORY / "tests" / folder).glob(pattern)}
    assert sorted(there - listed) == []
    assert sorted(listed - there) == []


def test_each_top_folder_has_a_short_readme():
    for folder in ("common", "supervisor", "worker", "objects", "tests", "packaging", "data"):
        readme = REPOSITORY / folder / "README.md"
        assert readme.exists(), folder
        assert len(readme.read_text().splitlines()) <= 10, readme


def test_nothing_is_left_to_do():
    word = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    files = sources(*SIDES, "tests", "packaging", suffixes=(".c", ".h", ".def", ".sh"))
    wrong = [str(path.relative_to(REPOSITORY)) for path in files if word.search(path.read_text())]
    assert not wrong


def test_the_daemon_interposes_recv():
    """libmicrohttpd calls the executable's recv only when the dynamic linker can see it."""
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(BUILD / "objectd")],
                             capture_output=True, text=True, check=True).stdout
    assert re.search(r" [TW] recv$", symbols, re.M)


def test_programs_answer_for_their_version():
    for program in ("objectd", "objectctl", "objectd-worker"):
        done = subprocess.run([str(BUILD / program), "--version"], capture_output=True, text=True,
                              timeout=60, env={**os.environ})
        assert done.returncode == 0 and done.stdout.startswith(program + " "), done
