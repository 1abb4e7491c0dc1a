# SPDX-License-Identifier: Apache-2.0
"""The module and the process it is in: its end, its children, other interpreters, no memory left."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.same_everywhere

BEGIN = """
import asyncio, atexit, logging, os, sys, threading, time
from necrostack import *

class Calling(Organ):
    listens_to = ["A"]
    def __init__(self, function):
        super().__init__()
        self.handle = function
    def handle(self, event):
        raise NotImplementedError

def spine(function, **settings):
    return Spine([Calling(function)], InMemoryBackend(), **settings)

def again(event):
    return Event("A", {"n": event.payload.get("n", 0) + 1})

def spin(event):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass

logging.getLogger("necrostack.spine").setLevel(logging.CRITICAL)
"""


def program(text):
    return subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", BEGIN + text], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


ENDS = {
    "sys.exit() in a handler": """
asyncio.run(spine(lambda event: sys.exit(7)).run(Event("A")))
""",
    "os._exit() in a handler": """
asyncio.run(spine(lambda event: os._exit(7)).run(Event("A")))
""",
    "daemon threads that run": """
def run(function):
    asyncio.run(spine(function, max_steps=10**9, handler_timeout=0.02).run(Event("A")))
for function in (again, again, spin, lambda event: started.set() or time.sleep(60)):
    started = threading.Event()
    threading.Thread(target=run, args=(function,), daemon=True).start()
started.wait()
sys.exit(7)
""",
    "a loop closed with a run in it": """
async def wait(event):
    await asyncio.sleep(60)
loop = asyncio.new_event_loop()
kept = loop.create_task(spine(wait).run(Event("A"))), loop.create_task(spine(again).run_forever())
loop.run_until_complete(asyncio.sleep(0.01))
loop.close()
sys.exit(7)
""",
    "used by atexit and by a finalizer": """
class Last:
    def __del__(self, Event=Event):
        Event.model_validate_json(Event("A", {"n": 1}).model_dump_json()).timestamp
sys.last = Last()
def late():
    stats = asyncio.run(spine(again, max_steps=3).run(Event("A")))
def bounded():
    assert asyncio.run(spine(spin, handler_timeout=0.05).run(Event("A"))).handler_errors == 1
    os.write(1, b"bounded")
atexit.register(bounded)
sys.exit(7)
""",
}


def test_a_process_that_ends_says_what_it_was_told():
    running = {name: program(text) for name, text in ENDS.items()}
    results = {name: result(process) for name, process in running.items()}
    assert {name: code for name, (code, _, _) in results.items()} == dict.fromkeys(ENDS, 7), results
    assert results["used by atexit and by a finalizer"][1:] == ("bounded", "")


def test_a_child_of_a_handler_may_use_it():
    """Its parent's watchdog is not there: a run of its own starts another."""
    code, out, err = result(program("""
def fork(event):
    child = os.fork()
    if not child:
        stats = []
        run = lambda: stats.append(asyncio.run(spine(spin, handler_timeout=0.05).run(Event("A"))))
        thread = threading.Thread(target=run)  # where no loop runs
        thread.start()
        thread.join()
        os._exit(stats[0].handler_errors)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

print(asyncio.run(spine(fork).run(Event("A"))).handler_errors)
"""))
    assert (code, out) == (0, "1\n0\n"), err


def test_another_interpreter_is_refused():
    """Also where the main one has forgotten it, which gets the same again."""
    pytest.importorskip("_xxsubinterpreters")
    code, out, err = result(program("""
import _xxsubinterpreters as interpreters
def attempt():
    other = interpreters.create()
    try:
        interpreters.run_string(other, "import necrostack")
    except interpreters.RunFailedError as error:
        print("ImportError" in str(error) and "main interpreter" in str(error))
    interpreters.destroy(other)

mine = Event
for name in [name for name in sys.modules if name.startswith("necrostack")]:
    del sys.modules[name]
attempt()
import necrostack
attempt()
print(necrostack.Event is mine, asyncio.run(spine(lambda event: None).run(Event("A"))).events_processed)
"""))
    assert (code, out) == (0, "True\nTrue\nTrue 1\n"), err


NO_MEMORY = """
import _testcapi, json

def step(event):
    handled.append(event.payload["n"])
    return Event("A", {"n": event.payload["n"] - 1}) if event.payload["n"] else None

def run():
    for turn in Spine([Calling(step)], InMemoryBackend(), failed_event_store=store,
                      handler_failure_mode=HandlerFailureMode.STORE).run(start).__await__():
        assert turn is None

def refuse():
    try:
        Event.model_validate_json('{"event_type": "A", "more": 1, "payload": [], "id": "x"}')
    except ValidationError:
        pass

class Store:
    def store(self, event, error):
        handled.append(event.payload["n"])

handled, store, start = [], Store(), Event("A", {"n": 2, "text": "x" * 50, "deep": [[{}]]})
text = start.model_dump_json()
logger = logging.getLogger("necrostack.spine")
logger.propagate = False
logging.raiseExceptions = False
sys.unraisablehook = lambda _: None
OPERATIONS = {
    "make": lambda: Event("A", {"a": [1, {"b": None}]}),
    "write": lambda: (start.model_dump_json(), start.id, start.timestamp, repr(start)),
    "read": lambda: Event.model_validate_json(text),
    "refuse": refuse,
    "run": run,
    "run with a log": run,
}

def attempt(operation, n):
    _testcapi.set_nomemory(n, n + 1)
    try:
        operation()
    except MemoryError:
        return False
    finally:
        _testcapi.remove_mem_hooks()
    return True

loop = asyncio.new_event_loop()
asyncio._set_running_loop(loop)
for name, operation in OPERATIONS.items():
    logger.setLevel(logging.DEBUG if "log" in name else logging.CRITICAL)
    logger.handlers[:] = [logging.StreamHandler(open(os.devnull, "w"))]
    operation()
    passed = failed = 0
    for n in range(1, 400):
        handled.clear()
        done = attempt(operation, n)
        passed, failed = (passed + 1, failed) if done else (0, failed + 1)
        if done and operation is run:  # an event is handled, or stored with all that would come of it
            assert handled and sorted(handled)[0] + len(set(handled)) == 3, (n, handled)
        if passed == 100:
            break
    assert failed >= 3 and passed >= 100, (name, failed, passed)
print("survived")
"""


def test_each_allocation_may_fail():
    """MemoryError and nothing else; no SystemError, no crash, and no event goes lost on the way."""
    pytest.importorskip("_testcapi")
    code, out, err = result(program(NO_MEMORY))
    assert (code, out) == (0, "survived\n"), err
