# SPDX-License-Identifier: Apache-2.0
"""The module as a whole: it comes from the build tree, and says which version it is."""

import os
import shutil
import subprocess
import sys

import necrostack
import pytest
from station import BUILD


def test_it_is_the_one_of_the_build_tree():
    assert necrostack.__file__ == str(BUILD / "python/necrostack/__init__.py")
    assert necrostack.__version__ == necrostack._necrostack.version


@pytest.mark.parametrize("others, said", [([], "only its Python files"),
                                          (["_necrostack.cpython-39.so"], "only _necrostack.cpython-39.so")])
def test_another_python_is_told_so(tmp_path, others, said):
    """Rather than that there is no module of a name that nobody has heard of."""
    shutil.copytree(BUILD / "python/necrostack", tmp_path / "necrostack", ignore=shutil.ignore_patterns("*.so"))
    for name in others:
        (tmp_path / "necrostack" / name).touch()
    done = subprocess.run([sys.executable, "-c", "import necrostack"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: necrostack is not there for this Python") and said in last
    assert "--with-python" in last
