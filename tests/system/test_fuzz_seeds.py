# SPDX-License-Identifier: Apache-2.0
"""The seeds of the fuzzers reach every branch of the decoders of the station's own messages."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from station import REPOSITORY

pytestmark = pytest.mark.same_everywhere

FUZZ = REPOSITORY / "tests" / "fuzz"
sys.path.insert(0, str(FUZZ))

import seeds_rpc  # noqa: E402

# What reads input, a regular expression over function names per file.
DECODERS = {
    "common/codec.c": r"take_field|codec_u\d+|codec_bytes|codec_finish",
    "common/rpc.c": r"(?!.*_encode$|put_span$|rpc_name$).*",
    "common/channel.c": r"check_header|greet|channel_next|read_spilled|claim_.*|protocol_error",
    "common/memfd.c": r"memfd_verify",
    "supervisor/scribe/scribe_rpc.c": r"(?!.*_encode$|put_span$).*",
}
# What no input can cause: pieces of lines, and how many of their branches that are never taken.
UNREACHABLE = {
    "err = c->spilled ? memfd_read": 1,       # out of memory
    "ALL_SEALS || fstat(fd, &st) < 0": 1,     # fstat of an open memfd
    "return m ? m->name": 2,                  # names are for logs
}


def test_every_message_has_a_seed():
    missing = sorted(set(seeds_rpc.NUMBERS) - set(seeds_rpc.PAYLOADS))
    assert not missing, f"give each of them a row in PAYLOADS of tests/fuzz/seeds_rpc.py: {missing}"
    assert not set(seeds_rpc.PAYLOADS) - set(seeds_rpc.NUMBERS)


def links(source):
    """The sources that a test names in its links comment."""
    comment = re.search(r"/\*\s*links:(.*?)\*/", source.read_text(), re.S)
    return re.findall(r"[\w/]+\.c", comment.group(1))


def run(folder, *command):
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def untaken(report):
    """Lines of decoders with the number of branches that were never taken, beyond those excused."""
    wrong = []
    for file in report["files"]:
        name = re.sub(r".*/(?=(common|supervisor)/)", "", file["file"])
        if name not in DECODERS:
            continue
        text = (REPOSITORY / name).read_text().splitlines()
        for line in file["lines"]:
            if not re.fullmatch(DECODERS[name], line.get("function_name", "")):
                continue
            code = text[line["line_number"] - 1]
            missed = sum(b["count"] == 0 for b in line["branches"]) or line["count"] == 0
            excused = next((n for piece, n in UNREACHABLE.items() if piece in code), 0)
            if missed > excused:
                wrong.append(f"{name}:{line['line_number']}: {missed} of {len(line['branches'])} "
                             f"branches never taken: {code.strip()}")
    return wrong


@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("gcov"), reason="no gcc")
def test_seeds_reach_every_branch_of_the_decoders(tmp_path):
    """gcov counts what the seeds alone reach, each input run once."""
    seeds_rpc.main(tmp_path / "seeds")
    sources = [FUZZ / "fuzz_rpc.c", FUZZ / "replay.c",
               *(REPOSITORY / name for name in links(FUZZ / "fuzz_rpc.c"))]
    run(tmp_path, "gcc", "--coverage", "-O0", "-std=gnu11", "-D_GNU_SOURCE", f"-I{REPOSITORY}", "-o",
        "replay", *sources)
    run(tmp_path, "./replay", *sorted((tmp_path / "seeds").iterdir()))
    wrong = []
    for notes in tmp_path.glob("*.gcno"):
        report = run(tmp_path, "gcov", "-b", "--json-format", "--stdout", notes)
        wrong += untaken(json.loads(report))
    assert not wrong, "seeds are missing in tests/fuzz/seeds_rpc.py:\n" + "\n".join(wrong)
