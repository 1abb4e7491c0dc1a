# SPDX-License-Identifier: Apache-2.0
"""The module of the build tree for every test here; fixtures that several files use.

A module built with ASan needs the sanitizer's runtime in the process before anything else. Where it
is not, all files together are one test: a pytest of its own, with the runtime preloaded.
"""

import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import station
from redis_server import new_redis, redis, redis_pool  # noqa: F401 - fixtures

MODULE_PATH = station.BUILD / "python"
sys.path.insert(0, str(MODULE_PATH))
# What tests start finds it too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(MODULE_PATH), *filter(None, [os.environ.get("PYTHONPATH")])])
# Where hypothesis keeps its tables of characters: not in the folder that one stands in.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(station.BUILD / "hypothesis"))

if not (MODULE_PATH / "necrostack").exists():  # tests/conftest.py says that nothing is built
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def spine_logger():
    """As a test found it: its level and handlers are of the whole process."""
    logger = logging.getLogger("necrostack.spine")
    before = logger.level, logger.propagate, logger.handlers[:]
    yield logger
    logger.setLevel(before[0])
    logger.propagate, logger.handlers[:] = before[1:]


def sanitizer_runtime():
    """Of the compiler that built the module. clang finds that of gcc too, so its own come first."""
    compiler = re.search(r"^CC = (.*)$", (station.BUILD / "Makefile").read_text(), re.M)[1].split()
    for name in ("libclang_rt.asan-x86_64.so", "libclang_rt.asan-aarch64.so",
                 "libclang_rt.asan.so", "libasan.so"):
        path = Path(subprocess.run([*compiler, f"-print-file-name={name}"], text=True, check=True,
                                   capture_output=True).stdout.strip())
        if path.is_absolute():
            return path
    raise AssertionError(f"{compiler} has no shared runtime of ASan")


def lacks_runtime():
    return station.SANITIZED and "LD_PRELOAD" not in os.environ


def sanitized_environment():
    """For a Python that imports the module; what Python keeps for good is no leak."""
    options = [os.environ.get("ASAN_OPTIONS", ""), "detect_leaks=0"]
    return {**os.environ, "LD_PRELOAD": str(sanitizer_runtime()), "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": ":".join(filter(None, options))}


def without_the_good(output):
    """What a verbose pytest printed but for the lines of tests that passed; one that it began and did not
    end, because the process died, stays."""
    return re.sub(r"^\S+::.* (PASSED|SKIPPED|XFAIL)\b.*\n", "", output, flags=re.M)


class UnderSanitizer(pytest.Item):
    """Stands for the tests of a file, the first one in the end for those of all files."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.paths = [str(self.path)]

    def runtest(self):
        """A test that takes minutes says where it stands; a failure shows whatever was said."""
        chosen = self.config.option.markexpr
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            try:
                code = subprocess.run(
                    [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist",
                     "--color=no", "--tb=short", "--durations=10", "-o", "faulthandler_timeout=240",
                     *(["-m", chosen] if chosen else []), *self.paths],
                    stdout=said, stderr=subprocess.STDOUT, env=sanitized_environment(), timeout=1200).returncode
            except subprocess.TimeoutExpired as late:
                code = f"not ended after {late.timeout} s"
            said.seek(0)
            output = without_the_good(said.read())
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            pytest.skip("no test of these files is chosen")
        if code != 0:
            raise AssertionError(f"{output}\nthe pytest that ran them: {code}")

    def repr_failure(self, excinfo):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, 0, self.name


class FileUnderSanitizer(pytest.Module):
    def collect(self):
        yield UnderSanitizer.from_parent(self, name="under_sanitizer")


def pytest_pycollect_makemodule(module_path, parent):
    return FileUnderSanitizer.from_parent(parent, path=module_path) if lacks_runtime() else None


def pytest_collection_modifyitems(items):
    """A Python under ASan takes longer to start than many a file of tests to run."""
    files = [item for item in items if isinstance(item, UnderSanitizer)]
    for item in files[1:]:
        files[0].paths += item.paths
        items.remove(item)
