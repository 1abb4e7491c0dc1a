# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: --leak-rounds N runs each test N times more and fails it when every one of these
rounds left references or memory behind. References are counted by a debug Python only; the memory
is that of Python's allocator and of malloc. tests/module/check_leaks uses it.
"""

import array

import pytest
from _pytest.runner import runtestprotocol
from memory_usage import FIGURES, growth, usage

WARM_UP = 3  # rounds in which caches fill
ONCE = {  # what is in the ids of tests that are run once, and why
    "test_leaks": "repeat for themselves",
    "test_docs_events": "run programs",
    "test_examples_events": "run programs",
    "test_module.py": "run programs",
    "test_interpreter": "run programs",
    "test_typing": "run programs",
    "test_fastapi_takes_and_gives": "use FastAPI, which keeps memory without an event too",
}


def pytest_addoption(parser):
    parser.addoption("--leak-rounds", type=int, default=0, metavar="N",
                     help="run each test N times more and look for what it leaves behind")


def finalizers(session):
    """pytest's own lists that grow with every use of a fixture of a wider scope than the test."""
    for definitions in session._fixturemanager._arg2fixturedefs.values():
        yield from (definition._finalizers for definition in definitions)
    yield from (kept for kept, _ in session._setupstate.stack.values())


def drop_repeated(session, lengths):
    """Back to the lengths that these lists had, by their ids."""
    for kept in finalizers(session):
        del kept[lengths.get(id(kept), len(kept)):]


def run_again(item, nextitem):
    item._initrequest()
    del item._report_sections[:]  # what it printed and logged the last time
    return runtestprotocol(item, log=False, nextitem=nextitem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    rounds = item.config.option.leak_rounds
    if not rounds or any(part in item.nodeid for part in ONCE):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = run_again(item, nextitem)
    if all(report.passed for report in reports):
        reports = look_for_growth(item, nextitem, rounds, reports)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter, config):
    """What no verdict was given for."""
    for part, reason in ONCE.items() if config.option.leak_rounds else ():
        if any(part in report.nodeid for report in terminalreporter.stats.get("passed", ())):
            terminalreporter.write_line(f"not repeated: tests of {part}, which {reason}")


def look_for_growth(item, nextitem, rounds, reports):
    """The reports to show: of a round that failed, else the first with the verdict in it."""
    figures = array.array("q", bytes(8 * FIGURES * (rounds + 1)))  # no objects of its own
    lengths = {id(kept): len(kept) for kept in finalizers(item.session)}
    for number in range(WARM_UP + rounds):
        again = run_again(item, nextitem)
        if not all(report.passed for report in again):
            return again
        del again
        drop_repeated(item.session, lengths)
        if number >= WARM_UP - 1:
            place = FIGURES * (number - WARM_UP + 1)
            figures[place:place + FIGURES] = array.array("q", usage())
    references, blocks, allocated = growth(figures)
    if references > 0 or blocks > 0 or allocated > 256:
        call = next(report for report in reports if report.when == "call")
        call.outcome = "failed"
        call.longrepr = (f"each of {rounds} rounds left at least {references} references, {blocks} "
                         f"blocks of Python's, {allocated} bytes of malloc's\n{figures.tolist()}")
    return reports
