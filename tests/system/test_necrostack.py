# SPDX-License-Identifier: Apache-2.0
"""The event framework inside objects: necrostack is there, and a spine runs within a turn."""

import re
import shutil
import subprocess

import pytest
from station import BUILD

PACKAGE = str(BUILD / "python/necrostack/__init__.py")
WHERE = """
import necrostack
def GET(request):
    return {"file": necrostack.__file__}
"""


def where(station, name="where"):
    station.deploy(f"{name}.py", WHERE)
    return station.get("/objects/" + name.replace("/", "_")).json()["file"]


@pytest.fixture(scope="module")
def made_venv(tmp_path_factory):
    """Of the Python that the workers embed, without its packages."""
    makefile = (BUILD / "Makefile").read_text()
    program = re.search(r"^PYTHON_PROGRAM = (.*)$", makefile, re.M)[1]
    folder = tmp_path_factory.mktemp("made") / "venv"
    subprocess.run([program, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def test_it_is_that_of_the_build_tree(shared):
    assert where(shared) == PACKAGE


def test_in_an_environment_of_the_station(new_station, made_venv):
    station = new_station(config={"workers": {"venv": made_venv}}).start()
    assert where(station) == PACKAGE


def test_in_an_environment_of_a_folder(shared, made_venv):
    shutil.copytree(made_venv, shared.objects / "own/venv", symlinks=True)
    assert where(shared, "own/where") == PACKAGE


def test_nothing_else_of_its_folder_is_seen(shared):
    shared.deploy("path.py", "import sys\ndef GET(request):\n    return sys.path\n")
    assert str(BUILD / "python") not in shared.get("/objects/path").json()
