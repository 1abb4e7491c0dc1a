#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs for fuzz_rpc that reach every branch of the decoders.

Usage: tests/fuzz/seeds_rpc.py FOLDER    writes a file a seed

A new message needs a row in PAYLOADS: a list of payloads, each a list of fields. Every payload is
also cut off in each field, gets a wrong tag in each field, and a byte too many; so a row needs one
good payload, and one for every rule that its decoder has beyond the types of its fields.
tests/system/test_fuzz_seeds.py fails for a message without a row and for a branch not reached.
"""

import re
import struct
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = {name: int(number) for name, number in
           re.findall(r"^RPC_MESSAGE\((\w+), (\d+)",
                      (REPOSITORY / "common" / "rpc_messages.def").read_text(), re.M)}


def u8(value):
    return b"b" + struct.pack("=B", value)


def u32(value):
    return b"w" + struct.pack("=I", value)


def u64(value):
    return b"q" + struct.pack("=Q", value)


def text(value):
    return b"s" + struct.pack("=I", len(value)) + value


def write(op=1, key=b"k", value=b"1"):
    return u8(op) + text(key) + text(value)


def field(name=b"X-A", value=b"1"):
    return text(name) + text(value)


def broken_writes(before, after=()):
    """Payloads with a group of writes that makes no sense, each for another reason."""
    groups = [(1, write(op=9)), (1, write(op=1, value=b"")), (1, write(op=2)),
              (1, write(key=b"")), (2, write()), (1, write() + b"b")]
    return [[*before, u32(count), text(group), *after] for count, group in groups]


TWO_WRITES = [u32(2), text(write() + write(op=2, value=b""))]
NO_WRITES = [u32(0), text(b"")]


def file(op=1, name=b"a.txt", token=b"w1-2-3", size=9):
    return u8(op) + text(name) + text(token) + u64(size)


NO_FILES = [u32(0), text(b"")]
TWO_FILES = [u32(2), text(file() + file(op=2, size=0))]


def broken_files(before, after=()):
    groups = [(1, file(op=3)), (1, file(op=2)), (1, file(name=b"../x")), (1, file(name=b"")),
              (1, file(token=b".x")), (2, file()), (1, file() + b"s")]
    return [[*before, u32(count), text(group), *after] for count, group in groups]


def state(has_checkpoint=1, writes=TWO_WRITES, files=NO_FILES):
    return [u8(has_checkpoint), *writes, *files]


def broken_fields(before, after=()):
    groups = [(1, field(name=b"")), (2, field()), (1, field() + b"s")]
    return [[*before, u32(count), text(group), *after] for count, group in groups]


def call(path_skip=8, body=b"{}", body_size=0, management=0, readonly=0, kind=0):
    return [u8(kind), text(b"GET"), text(b"/objects/a?x=1"), u32(path_skip), text(b"Host: a\r\n"),
            text(body), u64(body_size), text(b"::1"), text(b"r1"), text(b"ann"), text(b"blog"),
            u64(5), u32(management), u8(readonly), u64(0)]


def ask(number=7, kind=0, body_kind=1, body=b"{}", body_size=0):
    return [u64(number), u8(kind), text(b"counter"), text(b"PUT"), text(b""), u8(body_kind),
            text(body), u64(body_size), u64(5)]


def answer(by_station=1, outcome=0, body=b"{}", body_size=0):
    return [u32(503), u8(by_station), u8(outcome), text(b"application/json"), text(body),
            u64(body_size)]


def schedule(op=1, function=b"tick", payload=b"{}", when=b"30", misfire=0):
    return u8(op) + text(function) + text(payload) + text(when) + u8(misfire)


NO_SCHEDULES = [u32(0), text(b"")]
TWO_SCHEDULES = [u32(2), text(schedule() + schedule(op=2, function=b"", when=b""))]


def broken_schedules(before):
    wrong = [schedule(op=0), schedule(op=4), schedule(misfire=3), schedule(when=b""),
             schedule(op=2), schedule(function=b""), schedule(op=3, function=b"", when=b""),
             schedule() + b"s"]
    return [[*before, u32(1), text(one)] for one in wrong] + [[*before, u32(2), text(schedule())]]


def turn_done(status=200, outcome=0, stream=0, body=b"hi", body_size=0, writes=TWO_WRITES,
              files=NO_FILES, schedules=NO_SCHEDULES):
    return [u32(status), u8(outcome), u8(stream), text(b"text/plain"), u32(1), text(field()),
            text(body), u64(body_size), *writes, *files, *schedules]


def imported(path=b"_a.py"):
    return text(path) + u64(7)


def tree_entry(kind=0, watch=0, error=0, path=b"a.py"):
    return u8(kind) + u32(watch) + u32(error) + text(path)


def version_write(object_id=b"a", rejected=1, expect=2, hash_size=32):
    return [text(object_id), text(b"ann"), text(b"why"), text(b"x = 1\n"), u64(1), u32(rejected),
            text(b"SyntaxError"), text(b"/objects"), text(b"a.py"), u32(expect),
            text(bytes(hash_size))]


LOAD = [text(b"a"), text(b"/a.py"), text(b"x = 1\n"), text(b"{}")]
DUMP = [text(b"a"), text(b"k"), text(b"{"), text(b"}")]
UPTO = [u8(1), u64(7), u64(9)]
SEARCH = [text(b"a"), u32(0), u32(1), u64(100), u64(0), u64(1), u64(2), *UPTO, u64(9), u64(9)]
FILES = [u32(0), text(b"a"), text(b"w1-2-"), u64(9), u64(9)]
ONE_OBJECT = text(b"a") + u64(1) + u64(9)

WRONG_TREE_ENTRIES = [(0, 0, 0, b"a/"), (1, 1, 0, b"a"), (0, 0, 0, b"a\0"), (0, 0, 0, b"a" * 4096),
                      (1, 0x80000000, 0, b"a/"), (2, 0, 4096, b"a/")]

PAYLOADS = {
    "HELLO": [[u32(1), u32(2)]],
    "LOAD": [[*LOAD, *state()], [*LOAD, *state(has_checkpoint=2)],
             *broken_writes([*LOAD, u8(0)], NO_FILES)],
    "RESET": [state(), state(files=TWO_FILES), state(writes=NO_WRITES), state(has_checkpoint=2),
              *broken_writes([u8(1)], NO_FILES), *broken_files([u8(1), *NO_WRITES])],
    "CALL": [call(), call(path_skip=99), call(body_size=9), call(body=b"", body_size=9),
             call(management=403), call(management=399), call(management=500), call(kind=3), call(kind=4),
             call(kind=5), call(kind=6),
             call(readonly=1), call(readonly=2)],
    "ASK": [ask(), ask(number=0), ask(kind=2), ask(body_kind=4), ask(body_size=9),
            ask(body=b"", body_size=9), ask(body=b"", body_kind=0), ask(body_kind=0),
            ask(body=b"", body_size=9, body_kind=0)],
    "ANSWER": [answer(), answer(by_station=2), answer(outcome=9), answer(body_size=9),
               answer(body=b"", body_size=9)],
    "STREAM_PULL": [[]],
    "STREAM_CANCEL": [[]],
    "EXIT": [[]],
    "READY": [[text(b'{"endpoint":{},"methods":["GET"]}'), u8(health), u8(migrate), u64(7)]
              for health, migrate in ((0, 1), (2, 0), (0, 2))],
    "LOAD_FAILED": [[text(b"SyntaxError: x"), text(b"line 1"), u32(1)]],
    "TURN_DONE": [turn_done(), turn_done(status=199), turn_done(status=600), turn_done(outcome=5),
                  turn_done(outcome=1), turn_done(outcome=1, writes=NO_WRITES),
                  turn_done(outcome=1, stream=1, body=b"", writes=NO_WRITES),
                  turn_done(stream=2), turn_done(stream=1), turn_done(stream=1, body=b""),
                  turn_done(stream=1, body=b"", body_size=9), turn_done(body_size=9),
                  turn_done(body=b"", body_size=9),
                  *broken_fields(turn_done()[:4], turn_done()[6:]),
                  turn_done(files=TWO_FILES),
                  turn_done(outcome=1, writes=NO_WRITES, files=TWO_FILES),
                  turn_done(schedules=TWO_SCHEDULES),
                  turn_done(outcome=1, writes=NO_WRITES, schedules=TWO_SCHEDULES),
                  *broken_schedules(turn_done()[:12]),
                  *broken_files(turn_done()[:10], NO_SCHEDULES),
                  *broken_writes(turn_done()[:8], NO_FILES + NO_SCHEDULES)],
    "STREAM_CHUNK": [[text(b"abc"), u64(0)], [text(b""), u64(9)], [text(b"abc"), u64(9)]],
    "STREAM_END": [[text(b"ValueError: x")]],
    "LOG": [[text(b"INFO"), u64(1), text(b"hello"), text(b'{"a":1}')]],
    "OUTSIDE_WRITES": [TWO_WRITES, *broken_writes([])],
    "RESET_DONE": [[]],
    "UPDATE": [[*TWO_WRITES, *TWO_FILES], [*NO_WRITES, *NO_FILES], *broken_writes([], NO_FILES),
               *broken_files(NO_WRITES)],
    "PROMOTE": [[]],
    "CANCEL": [[]],
    "FILES_APPLIED": [TWO_FILES, NO_FILES, *broken_files([])],
    "FILES": [[*FILES, *TWO_FILES], [u32(4), *FILES[1:], *NO_FILES],
              [u32(0), text(b""), *FILES[2:], *NO_FILES], *broken_files(FILES)],
    "FILES_DONE": [[u32(0), u32(0)], [u32(122), u32(2)], [u32(4096), u32(0)], [u32(1), u32(3)]],
    "LIST": [[text(b"a")], [text(b"")]],
    "SCHEDULES": [[u64(7)], [u64(0)]],
    "IMPORTS": [[u32(2), text(imported() + imported(b"p/_a.py"))], [u32(2), text(imported())],
                [u32(1), text(imported(b""))], [u32(1), text(imported() + b"s")]],
    "SPAWN": [[u32(1), u64(2), u64(3), u64(4), u32(5), u32(6), text(b"/g"), text(b"/t\n")]],
    "BURY": [[u64(7)]],
    "SPAWNED": [[u32(1), u64(2), u32(3)]],
    "SPAWN_FAILED": [[u32(1), u64(2), u32(12)]],
    "CHECKPOINT": [[u32(1), text(ONE_OBJECT)], [u32(2), text(ONE_OBJECT)],
                   [u32(1), text(ONE_OBJECT + b"s")], [u32(1), text(text(b"") + u64(1) + u64(9))]],
    "CHECKPOINTED": [[u32(0), u32(5), u64(9)], [u32(0), u32(4096), u64(9)]],
    "DUMP": [[*DUMP, *TWO_WRITES], [text(b""), *DUMP[1:], *TWO_WRITES], *broken_writes(DUMP)],
    "SEARCH": [[*SEARCH, u32(1), text(field())], [text(b""), *SEARCH[1:], u32(0), text(b"")],
               [text(b"a"), u32(2), *SEARCH[2:], u32(0), text(b"")],
               [*SEARCH[:7], u8(2), *SEARCH[8:], u32(0), text(b"")],
               *broken_fields(SEARCH)],
    "LOG_COUNT": [[text(b"a"), *UPTO], [text(b""), *UPTO], [text(b"a"), u8(2), *UPTO[1:]]],
    "LOG_SETUP": [[u32(0), u32(1)], [u32(1), u32(3)], [u32(2), u32(1)], [u32(0), u32(4)]],
    "LOG_KEEP": [[text(b"a"), u64(10), u64(60)], [text(b""), u64(0), u64(0)]],
    "LOG_REMOVED": [[text(b"a"), u64(1), u64(60)], [text(b""), u64(1), u64(0)]],
    "NUMBER": [[u32(0), u64(9)], [u32(4096), u64(9)]],
    "MEASURE": [[u32(2), u32(70), u32(71)], [u32(0)], [u32(9), *[u32(70)] * 8]],
    "MEASURED": [[u32(0), u32(2), u64(0), u64(9)], [u32(4096), u32(0)], [u32(0), u32(9), *[u64(9)] * 8]],
    "TREE_SCAN": [[text(b"/o"), text(b"a/")], [text(b""), text(b"")]],
    "TREE_FOUND": [[u32(2), text(tree_entry() + tree_entry(1, 7, 0, b"a/"))],
                   [u32(2), text(tree_entry(1, 0, 28, b"") + tree_entry(4))],
                   *([u32(1), text(tree_entry(*entry))] for entry in WRONG_TREE_ENTRIES),
                   [u32(2), text(tree_entry())], [u32(1), text(tree_entry() + b"s")]],
    "DOCUMENT": [[u32(0), u64(9)], [u32(4096), u64(9)]],
    "VERSION_WRITE": [version_write(), version_write(object_id=b""), version_write(rejected=2),
                      version_write(expect=3), version_write(hash_size=31)],
    "VERSION_WRITTEN": [[u32(0), u32(0), u64(9)], [u32(28), u32(1), u64(0)],
                        [u32(4096), u32(0), u64(0)], [u32(0), u32(0), u64(0)]],
    "VERSION_LIST": [[text(b"a"), u64(10), u64(0), u64(0)], [text(b""), u64(1), u64(0), u64(0)]],
    "VERSION_READ": [[text(b"a"), u64(1), u32(0)], [text(b""), u64(1), u32(0)],
                     [text(b"a"), u64(1), u32(2)]],
    "CRASH_WRITE": [[text(b"a"), text(b"id"), u64(20), u64(99), u64(50), *UPTO, text(b"{")],
                    [text(b""), text(b"id"), u64(20), u64(99), u64(50), *UPTO, text(b"{")],
                    [text(b"a"), text(b""), u64(20), u64(99), u64(50), *UPTO, text(b"{")]],
    "CRASH_READ": [[text(b"a"), text(b"id"), u64(1)], [text(b""), text(b""), u64(1)]],
}


def variants(fields):
    """A payload, and what is wrong with it in every way that its fields' types allow."""
    yield b"".join(fields)
    yield b"".join(fields) + b"b"
    for i, each in enumerate(fields):
        before = b"".join(fields[:i])
        yield before
        yield before + each[:-1]
        yield before + each[:1]
        yield before + b"?" + each[1:] + b"".join(fields[i + 1:])


PEERS = {"supervisor": 0, "worker": 1, "nursery": 2, "scribe": 3}
GREETED, WITH_MEMFD = 4, 8
EMPTY_MEMFD, UNSEALED_MEMFD, NO_MEMFD = 16, 32, 48  # instead of the second half of the input
SPILLED = 1


def frame(name, payload=b"", flags=0, fds=0, number=1, length=None):
    length = len(payload) if length is None else length
    return struct.pack("=IHBBQ", length, NUMBERS.get(name, 999), fds, flags, number) + payload


def hello(version=1, role=2):
    return frame("HELLO", u32(version) + u32(role))


def spilled(name, size, **more):
    """A frame whose payload is the memfd: the second half of the whole input."""
    head = frame(name, flags=SPILLED, length=size, **more)
    return head + b"\0" * (2 * size - len(head))


def channels():
    log, chunk = b"".join(PAYLOADS["LOG"][0]), b"".join(PAYLOADS["STREAM_CHUNK"][1])
    greeted = PEERS["worker"] | GREETED
    with_memfd = greeted | WITH_MEMFD
    yield PEERS["worker"], hello() + frame("LOG", log)
    for wrong in (hello(version=2), hello(role=1), frame("HELLO", b"w"), frame("LOG", log)):
        yield PEERS["worker"], wrong
    for peer, number in PEERS.items():
        yield number | GREETED, frame("HELLO") + peer.encode()
        for name in NUMBERS:
            yield number | GREETED, frame(name, b"".join(PAYLOADS.get(name, [[]])[0]))
    yield greeted, frame("unknown")
    yield greeted, frame("LOG", log, fds=9)
    yield greeted, frame("LOG", log, flags=2)
    yield greeted, frame("LOG", length=200000)
    yield greeted, frame("LOG", length=100000)
    yield greeted, frame("LOG", length=9)
    yield greeted, frame("LOG", log)[:9]
    yield greeted, frame("LOG", log) * 3
    yield greeted, frame("LOG", flags=SPILLED, length=100)
    yield greeted, frame("STREAM_CHUNK", chunk, fds=1)
    for number in (1, 2):
        yield with_memfd, frame("STREAM_CHUNK", chunk, fds=1, number=number)
    yield with_memfd, spilled("LOG", 64)
    yield with_memfd, spilled("LOG", 64)[:-2]
    yield with_memfd, spilled("STREAM_CHUNK", 64, fds=1)
    for other in (EMPTY_MEMFD, UNSEALED_MEMFD, NO_MEMFD):
        yield with_memfd | other, frame("RESET_DONE", flags=SPILLED)


def outboxes():
    log, chunk = b"".join(PAYLOADS["LOG"][0]), b"".join(PAYLOADS["STREAM_CHUNK"][1])
    yield frame("LOG", log) + frame("STREAM_CHUNK", chunk)
    yield frame("LOG", log) + frame("STREAM_CHUNK", chunk, fds=1)
    yield frame("LOG", log)[:-1]


def seeds():
    """Pairs of a name and the bytes."""
    for name, payloads in PAYLOADS.items():
        unique = dict.fromkeys(v for fields in payloads for v in variants(fields))
        for i, payload in enumerate(unique):
            yield f"{name.lower()}-{i}", bytes([0, NUMBERS[name]]) + payload
    for i, (mode, sent) in enumerate(channels()):
        yield f"channel-{i}", bytes([0x40 | mode]) + sent
    for i, rest in enumerate(outboxes()):
        yield f"outbox-{i}", b"\x80" + rest


def main(folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (Path(folder) / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1])
