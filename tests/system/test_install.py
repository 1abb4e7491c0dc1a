# SPDX-License-Identifier: Apache-2.0
"""make install: where the Python module goes, that it works there, and that uninstall takes it away."""

import re
import subprocess

import pytest
from station import BUILD
from test_necrostack import made_venv, where  # noqa: F401 - a fixture

pytestmark = pytest.mark.same_everywhere


def variable(name):
    return re.search(rf"^{name} = (.*)$", (BUILD / "Makefile").read_text(), re.M)[1]


def make(*arguments):
    done = subprocess.run(["make", "-s", "-C", str(BUILD), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root of the file system with an installation."""
    folder = tmp_path_factory.mktemp("root")
    make("install", f"DESTDIR={folder}")
    return folder


@pytest.fixture(scope="module")
def package(root):
    found = list(root.rglob("necrostack/__init__.py"))
    assert len(found) == 1
    return found[0].parent


def run_python(package, *arguments):
    done = subprocess.run([variable("PYTHON_PROGRAM"), *arguments], capture_output=True, text=True,
                          env={"PYTHONPATH": str(package.parent), "PATH": "/usr/bin:/bin"}, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_goes_where_that_python_looks(root, package):
    code = "import site; print(*site.getsitepackages(), sep='\\n')"
    folders = run_python(package, "-c", code).splitlines()
    if any(folder.startswith(variable("prefix") + "/lib") for folder in folders):
        assert "/" + str(package.parent.relative_to(root)) in folders


def test_nothing_is_missing(package):
    built = BUILD / "python/necrostack"
    names = {str(path.relative_to(built)) for path in built.rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}
    there = {str(path.relative_to(package)) for path in package.rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}
    assert names == there and "py.typed" in names
    compiled = list(package.rglob("__pycache__/*.pyc"))
    assert len(compiled) == len([name for name in names if name.endswith(".py")])


def test_a_program_finds_it(package):
    code = "import necrostack; print(necrostack.__file__, necrostack.__version__)"
    assert run_python(package, "-c", code).split() == [f"{package}/__init__.py", variable("VERSION")]


def test_objects_of_an_installed_station_find_it(new_station, made_venv, root, package):  # noqa: F811
    """Also where an environment hides the folder that it is installed in."""
    program = next(root.rglob("sbin/objectd"))
    # The tests look for it beside the daemon.
    program.with_name("objectctl").symlink_to(next(root.rglob("bin/objectctl")))
    station = new_station(build=program.parent, config={"workers": {"venv": made_venv}}).start()
    assert where(station) == f"{package}/__init__.py"


def test_another_prefix_and_back(tmp_path):
    settings = [f"DESTDIR={tmp_path}", "prefix=/opt/other", "sysconfdir=/etc", "localstatedir=/var"]
    make("install", *settings)
    below = [path.relative_to(tmp_path) for path in tmp_path.rglob("necrostack")]
    assert [str(path).split("/")[:2] for path in below] == [["opt", "other"]]
    (tmp_path / below[0] / "core/__pycache__/old.cpython-311.pyc").write_bytes(b"")
    make("uninstall", *settings)
    assert not list(tmp_path.rglob("*necrostack*"))
