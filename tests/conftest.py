# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests. Run with: /usr/bin/python3 -m pytest tests/

OBJECTD_BUILD_DIR       folder of the built programs (default: build, else the repository)
OBJECTD_TEST_SCALE      size of the heavy parts, 1 is the default run; 0.2 under a sanitizer
OBJECTD_TEST_PATIENCE   factor for every time limit
OBJECTD_LONG=1          the long mode: 200 kill cycles, every n-th fault
OBJECTD_FAILPOINT_BUILD folder of programs built with failpoints; those tests are skipped without
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "system"))
sys.dont_write_bytecode = True

import station as station_module  # noqa: E402

# pytest takes seconds for its view of the tests, in each of its processes: it is kept, outside of the tree.
for _folder in (station_module.REPOSITORY / "build", station_module.BUILD):
    if _folder.is_dir():
        sys.pycache_prefix, sys.dont_write_bytecode = str(_folder / "pycache"), False
        break


STATIONS = pytest.StashKey()  # those that a test uses


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: takes long or much memory")
    config.addinivalue_line("markers", "failpoints: needs a build with failpoints")
    config.addinivalue_line("markers", "same_everywhere: tells the same of every build")


def pytest_collection_modifyitems(items):
    if not (station_module.BUILD / "objectd").exists():
        skip = pytest.mark.skip(reason=f"no built objectd in {station_module.BUILD}")
        for item in items:
            item.add_marker(skip)
    if not station_module.FAILPOINT_BUILD:
        skip = pytest.mark.skip(reason="OBJECTD_FAILPOINT_BUILD names no build with failpoints")
        for item in items:
            if item.get_closest_marker("failpoints"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures see whether the test itself passed; a failure shows the end of the daemons' logs."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, "report_" + report.when, report)
    for subject in item.stash.get(STATIONS, ()) if report.failed else ():
        report.sections.append((f"log of {subject.folder.name}", subject.log_tail(40)))


def passed(request):
    report = getattr(request.node, "report_call", None)
    return report is not None and report.passed


@pytest.fixture
def new_station(tmp_path, request):
    """Makes stations that are verified and ended after the test; not started yet."""
    made = request.node.stash.setdefault(STATIONS, [])

    def make(**kw):
        folder = kw.pop("folder", tmp_path / f"station{len(made) or ''}")
        made.append(station_module.Station(folder, **kw))
        return made[-1]

    yield make
    try:
        if passed(request):
            for subject in made:
                subject.verify()
    finally:
        for subject in made:
            subject.close()


@pytest.fixture
def station(new_station, request):
    """A running station of the test's own. @pytest.mark.parametrize("station", [{"config": …}],
    indirect=True) gives it other settings."""
    return new_station(**getattr(request, "param", {})).start()


@pytest.fixture(scope="module")
def module_settings():
    """What the shared station of a module is made with: a module may say it by a fixture of its own."""
    return {}


@pytest.fixture(scope="module")
def module_station(tmp_path_factory, module_settings):
    subject = station_module.Station(tmp_path_factory.mktemp("shared"), **module_settings)
    subject.failures = 0
    subject.start()
    yield subject
    try:
        if subject.failures == 0:
            subject.verify()
    finally:
        subject.close()


@pytest.fixture
def shared(module_station, request):
    """One station for all tests of a module that only read or use objects of their own; its
    invariants are checked after each of them all the same."""
    request.node.stash[STATIONS] = [module_station]
    yield module_station
    if passed(request):
        module_station.verify_running()
        lines = module_station.unexpected_log_lines()
        assert not lines, f"unexpected lines in the daemon's log: {lines[:20]}"
        module_station.log_accepted()
    else:
        module_station.failures += 1
