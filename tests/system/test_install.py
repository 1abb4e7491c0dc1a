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


def package_below(root):
    found = list(root.rglob("necrostack/__init__.py"))
    assert len(found) == 1
    return found[0].parent


def run_python(package, *arguments):
    done = subprocess.run([variable("PYTHON_PROGRAM"), *arguments], capture_output=True, text=True,
                          env={"PYTHONPATH": str(package.parent), "PATH": "/usr/bin:/bin"}, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def verify_folder(root, package):
    """It is where that Python looks, if that is below the prefix at all."""
    code = "import site; print(*site.getsitepackages(), sep='\\n')"
    folders = run_python(package, "-c", code).splitlines()
    if any(folder.startswith(variable("prefix") + "/lib") for folder in folders):
        assert "/" + str(package.parent.relative_to(root)) in folders


def files_of(package):
    return {str(path.relative_to(package)) for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}


def verify_files(package):
    names = files_of(package)
    assert names == files_of(BUILD / "python/necrostack") and "py.typed" in names
    compiled = list(package.rglob("__pycache__/*.pyc"))
    assert len(compiled) == len([name for name in names if name.endswith(".py")])


def verify_programs(package):
    code = "import necrostack; print(necrostack.__file__, necrostack.__version__)"
    assert run_python(package, "-c", code).split() == [f"{package}/__init__.py", variable("VERSION")]
    assert "fades." in run_python(package, "-m", "necrostack.apps.seance.main")


def test_an_installation(tmp_path, new_station, made_venv):  # noqa: F811
    """Its objects find the module also where an environment hides the folder that it is in."""
    root = tmp_path / "root"
    make("install", f"DESTDIR={root}")
    package = package_below(root)
    verify_folder(root, package)
    verify_files(package)
    verify_programs(package)
    program = next(root.rglob("sbin/objectd"))
    # The tests look for it beside the daemon.
    program.with_name("objectctl").symlink_to(next(root.rglob("bin/objectctl")))
    station = new_station(build=program.parent, config={"workers": {"venv": made_venv}}).start()
    assert where(station) == f"{package}/__init__.py"


def test_another_prefix_and_back(tmp_path):
    settings = [f"DESTDIR={tmp_path}", "prefix=/opt/other", "sysconfdir=/etc", "localstatedir=/var"]
    make("install", *settings)
    package = package_below(tmp_path)
    assert str(package.relative_to(tmp_path)).startswith("opt/other/lib/")
    (package / "core/__pycache__/old.cpython-311.pyc").write_bytes(b"")
    make("uninstall", *settings)
    assert not package.exists()
