# SPDX-License-Identifier: Apache-2.0
"""The log of the Spine: JSON lines, written from C where nobody could tell, records everywhere else."""

import asyncio
import contextlib
import io
import json
import logging
import re
import sys
import threading
from datetime import datetime, timezone

import pytest
from necrostack.backends import InMemoryBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.logging import JSONFormatter, configure_spine_logger, get_logger

LOGGER = logging.getLogger("necrostack.spine")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class First(Organ):
    listens_to = ["A"]

    def handle(self, event):
        return [Event("B"), Event("C")]


class Second(Organ):
    listens_to = ["B"]

    def handle(self, event):
        raise ValueError("100% wrong")


class Named(Organ):
    """Any name, any type emitted."""

    listens_to = ["A"]

    def __init__(self, name, emits):
        super().__init__(name)
        self.emits = emits

    def handle(self, event):
        return Event(self.emits)


def run(*organs, event=None):
    event = event or Event("A")
    asyncio.run(Spine(list(organs) or [First(), Second()], InMemoryBackend()).run(event))
    return event


@pytest.fixture(autouse=True)
def clean():
    """The logger as it was, whatever a test does to it; and pytest's handlers on the root out of reach."""
    kept = (LOGGER.handlers[:], LOGGER.level, LOGGER.filters[:], LOGGER.disabled)
    own = set(vars(LOGGER))
    LOGGER.propagate = False
    yield
    LOGGER.handlers[:], LOGGER.level, LOGGER.filters[:], LOGGER.disabled = kept
    LOGGER.propagate = True
    for name in set(vars(LOGGER)) - own:
        delattr(LOGGER, name)
    logging.disable(logging.NOTSET)


@pytest.fixture
def stream():
    text = io.StringIO()
    configure_spine_logger(logging.DEBUG, text)
    return text


def lines(stream):
    text = stream.getvalue()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def logging_calls(*organs):
    """The functions of the logging module that a run calls (and none that asyncio does around it)."""
    called = []

    def watch(frame, what, arg):
        if what == "call" and frame.f_code.co_filename == logging.__file__:
            called.append(frame.f_code.co_name)

    async def watched():
        spine = Spine(list(organs) or [First(), Second()], InMemoryBackend())
        sys.setprofile(watch)
        try:
            await spine.run(Event("A"))
        finally:
            sys.setprofile(None)

    asyncio.run(watched())
    return called


# --- what a line says ---


def test_lines(stream):
    event = run()
    start, emitted, second, raised, unheard = lines(stream)
    assert list(start) == ["timestamp", "level", "message", "logger", "event_id", "event_type", "organ"]
    assert UTC.fullmatch(start.pop("timestamp"))
    assert start == {"level": "INFO", "message": "Dispatching A to First", "logger": "necrostack.spine",
                     "event_id": event.id, "event_type": "A", "organ": "First"}
    assert (emitted["message"], emitted["emitted"]) == ("Handler First emitted events", ["B", "C"])
    assert emitted["event_id"] == event.id and emitted["level"] == "INFO"
    assert (second["message"], second["event_type"]) == ("Dispatching B to Second", "B")
    assert (raised["level"], raised["organ"]) == ("ERROR", "Second")
    assert raised["message"] == "Handler Second raised exception: 100% wrong"
    assert raised["exception"].startswith("Traceback") and "ValueError" in raised["exception"]
    assert (unheard["level"], unheard["event_type"]) == ("DEBUG", "C")
    assert "organ" not in unheard and "emitted" not in unheard


@pytest.mark.parametrize("name, emits", [
    ("Plain", "T"), ("100%s %d", "%(x)s"), ('"quoted\\"', "new\nline\x01\x7f"), ("Übel", "\u20ac\U0001f600"),
    ("a", "\u20ac"), ("", "x" * 5000)])
def test_the_same_line_either_way(stream, name, emits):
    event = Event("A")
    run(Named(name, emits), event=event)
    LOGGER.addFilter(lambda record: True)
    run(Named(name, emits), event=event)
    told = lines(stream)
    assert len(told) == 6
    for line in told:
        assert line.pop("timestamp")
        if line["event_type"] == emits.strip():
            line.pop("event_id")
    assert told[:3] == told[3:]
    assert told[0]["message"] == f"Dispatching A to {told[0]['organ']}"


def test_an_exception_that_cannot_speak(stream):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    class Fails(Organ):
        listens_to = ["A"]

        def handle(self, event):
            raise Mute

    with contextlib.redirect_stderr(io.StringIO()) as errors:
        run(Fails())
    assert [line["message"] for line in lines(stream)] == ["Dispatching A to Fails"]
    assert "Logging error" in errors.getvalue()


# --- which way it goes ---


def test_nothing_is_asked_when_off(stream):
    LOGGER.setLevel(logging.CRITICAL)
    run()
    assert logging_calls() == []
    assert stream.getvalue() == ""


def test_written_without_records(stream):
    run(First())
    assert set(logging_calls(First())) == {"isEnabledFor", "getLogRecordFactory"}
    assert len(lines(stream)) == 8


def test_written_to_a_file_without_records(tmp_path):
    path = tmp_path / "log"
    handler = logging.FileHandler(path, delay=True)
    configure_spine_logger(logging.INFO, handler=handler)
    assert "makeRecord" in logging_calls(First())
    assert "makeRecord" not in logging_calls(First())
    handler.close()
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message"] for line in told] == 2 * ["Dispatching A to First", "Handler First emitted events"]


class Collecting(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


class OwnFormatter(JSONFormatter):
    def format(self, record):
        return "own " + super().format(record)


def own_handler(stream, monkeypatch, seen):
    LOGGER.addHandler(handler := Collecting())
    return lambda: len(handler.records)


def root_handler(stream, monkeypatch, seen):
    LOGGER.propagate = True
    handler = Collecting()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    return lambda: len(handler.records)


def parent_handler(stream, monkeypatch, seen):
    LOGGER.propagate = True
    handler = Collecting()
    monkeypatch.setattr(logging.getLogger("necrostack"), "handlers", [handler])
    monkeypatch.setattr(logging.getLogger("necrostack"), "propagate", False)
    return lambda: len(handler.records)


def logger_filter(stream, monkeypatch, seen):
    LOGGER.addFilter(lambda record: seen.append(record) or True)


def handler_filter(stream, monkeypatch, seen):
    LOGGER.handlers[0].filters.append(lambda record: seen.append(record) or True)


def factory(stream, monkeypatch, seen):
    plain = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "_logRecordFactory", plain)

    def make(*args, **kwargs):
        seen.append(args)
        return plain(*args, **kwargs)
    logging.setLogRecordFactory(make)


def formatter(stream, monkeypatch, seen):
    LOGGER.handlers[0].setFormatter(OwnFormatter())
    return lambda: stream.getvalue().count("own ")


def patched(owner, name):
    def disturb(stream, monkeypatch, seen):
        target = owner()
        plain = getattr(target, name)

        def replaced(*args, **kwargs):
            seen.append(args)
            return plain(*args, **kwargs)
        monkeypatch.setattr(target, name, replaced)
    disturb.__name__ = f"patched_{name}"
    return disturb


def handler_class(stream, monkeypatch, seen):
    class Own(logging.StreamHandler):
        def emit(self, record):
            seen.append(record)
            super().emit(record)
    configure_spine_logger(logging.DEBUG, handler=Own(stream))


def class_terminator(stream, monkeypatch, seen):
    monkeypatch.setattr(logging.StreamHandler, "terminator", "\r\n")
    return lambda: stream.getvalue().count("\r\n")


def terminator(stream, monkeypatch, seen):
    LOGGER.handlers[0].terminator = " |\n"
    return lambda: stream.getvalue().count(" |\n")


disturbances = [
    own_handler, root_handler, parent_handler, logger_filter, handler_filter, factory, formatter, handler_class,
    class_terminator, terminator, patched(lambda: logging.StreamHandler, "emit"),
    patched(lambda: logging.StreamHandler, "format"), patched(lambda: logging.Handler, "handle"),
    patched(lambda: logging.Logger, "makeRecord"), patched(lambda: logging.Logger, "handle"),
    patched(lambda: LOGGER.handlers[0], "emit"), patched(lambda: LOGGER.handlers[0].formatter, "format"),
    patched(lambda: LOGGER, "callHandlers"), patched(lambda: JSONFormatter, "format")]


@pytest.mark.parametrize("disturb", disturbances, ids=lambda disturb: disturb.__name__)
def test_whoever_looks_sees_records(stream, monkeypatch, disturb):
    assert "makeRecord" not in logging_calls(First())
    stream.truncate(stream.seek(0))
    seen = []
    count = disturb(stream, monkeypatch, seen) or (lambda: len(seen))
    run(First())
    assert count() == 4
    assert stream.getvalue().count("Dispatching A") == 1


def test_a_handler_of_a_higher_level(stream):
    LOGGER.handlers[0].setLevel(logging.ERROR)
    run()
    assert [line["level"] for line in lines(stream)] == ["ERROR"]


@pytest.mark.parametrize("silence", [
    lambda: logging.disable(logging.CRITICAL), lambda: setattr(LOGGER, "disabled", True),
    lambda: LOGGER.setLevel(logging.CRITICAL), lambda: LOGGER.addFilter(lambda record: False),
    lambda: LOGGER.handlers[0].addFilter(lambda record: False)], ids=range(5))
def test_silenced_in_any_way(stream, silence):
    run(First())
    before = stream.getvalue()
    silence()
    run(First())
    assert stream.getvalue() == before


def test_switched_on_again(stream):
    logging.disable(logging.CRITICAL)
    run(First())
    logging.disable(logging.NOTSET)
    run(First())
    assert len(lines(stream)) == 4


def test_caplog_sees_records(caplog):
    LOGGER.propagate = True
    with caplog.at_level(logging.DEBUG, logger="necrostack.spine"):
        event = run()
    assert caplog.messages[:2] == ["Dispatching A to First", "Handler First emitted events"]
    first, emitted, _, raised, unheard = caplog.records
    assert (first.event_id, first.event_type, first.organ) == (event.id, "A", "First")
    assert emitted.emitted == ["B", "C"] and not hasattr(first, "emitted")
    assert (first.name, first.levelname, first.args) == ("necrostack.spine", "INFO", ("A", "First"))
    assert raised.exc_info[0] is ValueError and "100% wrong" in caplog.text
    assert unheard.levelname == "DEBUG"


def test_a_logger_of_ones_own_class():
    """setLoggerClass() before the first import: such a logger decides by its own rules."""
    import subprocess
    code = """if True:
        import asyncio, io, logging
        asked = []
        class Own(logging.Logger):
            def isEnabledFor(self, level):
                asked.append(level)
                return level >= logging.ERROR
        logging.setLoggerClass(Own)
        from necrostack.core import Event, Organ, Spine
        from necrostack.core.logging import configure_spine_logger
        from necrostack.backends import InMemoryBackend
        class Fails(Organ):
            listens_to = ["A"]
            def handle(self, event):
                1 / 0
        configure_spine_logger(stream=(stream := io.StringIO()))
        asyncio.run(Spine([Fails()], InMemoryBackend()).run(Event("A")))
        assert {20, 40} <= set(asked), asked
        print(stream.getvalue().count("raised"), stream.getvalue().count("Dispatching"))
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1 0\n", done.stderr


# --- what handlers do wrong ---


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_stream_that_fails_is_told_of_as_ever():
    configure_spine_logger(logging.INFO, Full())
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        run(First())
    told = errors.getvalue()
    assert told.count("--- Logging error ---") == 2 and told.count("OSError: [Errno 28]") == 2
    assert "Message: 'Dispatching %s to %s'" in told


def closed_stream():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("make, error", [
    (closed_stream, "ValueError: I/O operation on closed file"),
    (object, "AttributeError: 'object' object has no attribute 'write'")])
def test_a_stream_that_nothing_can_be_written_to(make, error):
    """What C raises has no traceback; handleError() asks it where the line comes from."""
    configure_spine_logger(logging.INFO, make())
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        run(First())
    told = errors.getvalue()
    assert told.count("--- Logging error ---") == told.count(error) == 2
    assert "Call stack:" in told


def test_a_handler_that_handles_its_own_errors(monkeypatch):
    seen = []
    monkeypatch.setattr(logging.StreamHandler, "handleError",
                        lambda self, record: seen.append((sys.exc_info(), record.getMessage())))
    configure_spine_logger(logging.INFO, closed_stream())
    run(First())
    (kind, error, traceback), message = seen[0]
    assert kind is ValueError and error.__traceback__ is traceback is not None
    assert message == "Dispatching A to First"


def test_a_stream_that_interrupts():
    class Interrupts(io.StringIO):
        def write(self, text):
            raise KeyboardInterrupt
    configure_spine_logger(logging.INFO, Interrupts())
    with pytest.raises(KeyboardInterrupt):
        run(First())
    assert LOGGER.handlers[0].lock.acquire(blocking=False)
    LOGGER.handlers[0].lock.release()


def test_a_handler_that_raises_is_not_hidden():
    class Raises(logging.Handler):
        def emit(self, record):
            raise LookupError("of the handler")
    configure_spine_logger(handler=Raises())
    with pytest.raises(LookupError, match="of the handler"):
        run(First())


def test_stop_iteration_of_a_handler_is_not_what_the_run_gives():
    class Stops(logging.Handler):
        def emit(self, record):
            raise StopIteration(7)
    configure_spine_logger(handler=Stops())
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as raised:
        run(First())
    assert type(raised.value.__cause__) is StopIteration
    assert raised.value.__context__ is raised.value.__cause__


def test_lines_of_threads_stay_whole(tmp_path):
    path = tmp_path / "log"
    with open(path, "w") as file:
        configure_spine_logger(logging.INFO, file)
        threads = [threading.Thread(target=lambda: [run(First()) for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4 * 10 * 2


# --- necrostack.core.logging ---


def test_get_logger():
    assert get_logger() is LOGGER and get_logger("mine") is logging.getLogger("mine")


def test_configured_again_it_replaces_its_own():
    LOGGER.addHandler(other := logging.NullHandler())
    assert configure_spine_logger() is LOGGER
    first = LOGGER.handlers[-1]
    assert type(first) is logging.StreamHandler and first.stream is sys.stderr
    assert LOGGER.level == logging.INFO
    configure_spine_logger("DEBUG", handler=(own := logging.StreamHandler(io.StringIO())))
    assert other in LOGGER.handlers and own in LOGGER.handlers and first not in LOGGER.handlers
    assert LOGGER.level == logging.DEBUG and type(own.formatter) is JSONFormatter
    with pytest.raises(ValueError, match="not both"):
        configure_spine_logger(stream=sys.stdout, handler=own)
    with pytest.raises(ValueError):
        configure_spine_logger("LOUD")


def test_importing_sets_nothing_up():
    import subprocess
    code = ("import logging, necrostack; l = logging.getLogger('necrostack.spine');"
            "print(l.handlers, l.level, l.propagate, logging.getLogger().handlers)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] 0 True []\n", done.stderr


def test_the_formatter_alone():
    record = logging.LogRecord("mine", logging.WARNING, "file", 1, "%s is %d", ("x", 1), None)
    record.created = datetime(2026, 11, 22, 5, 30, 0, 250000, timezone.utc).timestamp()
    assert JSONFormatter().format(record) == (
        '{"timestamp":"2026-11-22T05:30:00.250000Z","level":"WARNING","message":"x is 1","logger":"mine"}')
    record.organ, record.emitted, record.exc_text = object, {1}, "a traceback"
    line = json.loads(JSONFormatter().format(record))
    assert line["organ"] == str(object) and line["emitted"] == "{1}" and line["exception"] == "a traceback"
