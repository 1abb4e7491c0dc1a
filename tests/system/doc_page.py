# SPDX-License-Identifier: Apache-2.0
"""A page of documentation as a test: its fenced blocks are run in order against one station.

The word behind the fence says what a block is:

    python objects/NAME.py   saved under this name; the test waits until the station serves it
    python objects/NAME.py broken    likewise, until the station has said that it does not load
    python NAME.py           a program that sh blocks run, saved under this name
    python                   a fragment; it has to compile
    sh                       run in one bash for the whole page; no command may fail. Behind one that
                             writes objects/NAME.py the test waits, as for python
    sh fails                 the last command fails
    sh eventually            run again until its output is the one that is shown
    sh terminal              what somebody does in another terminal: see TERMINAL
    sh by-hand               for people: needs root, a browser or another machine
    text, json               what the sh block before it prints; "…" stands for anything
    conf                     a configuration that objectd --check accepts
    none                     anything else

Text of a page in an HTML comment "<!-- test: allow REGEX -->" names lines that may be in the
station's log. The station answers on 127.0.0.1:8001 for the page, whatever its port is; curl ends
its output with a newline.
"""

import os
import re
import shlex
import shutil
import subprocess
import threading
import uuid
from queue import Empty, Queue

from station import BUILD, PATIENCE, REPOSITORY, run_daemon, wait_until

FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.M | re.S)
ALLOW = re.compile(r"<!-- test: allow (.*?) -->")
KINDS = ("python", "sh", "text", "json", "conf", "none")
TERMINAL = ("packaging/quickstart",)  # the station starts, or starts again
ADDRESS = "127.0.0.1:8001"


class Block:
    def __init__(self, page, text, match):
        self.line = text[: match.start()].count("\n") + 1
        self.where = f"{page.name}:{self.line}"
        words = match.group(2).split()
        self.kind, self.words = (words[0], words[1:]) if words else ("", [])
        indent = match.group(1)
        self.text = "".join(line[len(indent):] if line.startswith(indent) else line
                            for line in match.group(3).splitlines(True))


def blocks_of(page):
    text = page.read_text()
    return [Block(page, text, match) for match in FENCE.finditer(text)]


def with_addresses(text, addresses):
    for printed, meant in addresses:
        text = text.replace(printed, meant)
    return text


class Shell:
    """One bash for a page; a failed command of a block is seen. `addresses` are pairs of what is
    printed and what is meant."""

    def __init__(self, folder, env, addresses):
        home = folder / "home"
        home.mkdir(exist_ok=True)
        (home / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n"\n')
        env = {**env, "HOME": str(home), "LC_ALL": "C.UTF-8", "USER": "ada",
               "PATH": f"{BUILD}:{env['PATH']}"}
        self.addresses = addresses
        self.errors = open(folder / "shell-errors", "w+")
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=env, cwd=folder)
        self.lines = Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.run("trap 'failed=1' ERR; set -o pipefail")

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def run(self, text):
        """What it prints, and whether a command failed."""
        mark = uuid.uuid4().hex
        text = with_addresses(text, self.addresses)
        self.process.stdin.write(f"failed=0\n{text}\nprintf '\\n%s %s\\n' {mark} $failed\n")
        self.process.stdin.flush()
        seen = []
        while True:
            try:
                line = self.lines.get(timeout=60 * PATIENCE)
            except Empty:
                raise AssertionError(f"no end of: {text}\nso far: {seen}") from None
            if line is None:
                raise AssertionError(f"the shell ended in: {text}\n{self.said()}")
            if line.startswith(mark):
                break
            seen.append(line)
        out = "".join(seen)
        for printed, meant in self.addresses:
            out = out.replace(meant, printed)
        return out, line.split()[1] != "0"

    def said(self):
        self.errors.seek(0)
        return self.errors.read()[-2000:]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60 * PATIENCE)
        self.reader.join(60 * PATIENCE)
        self.process.stdout.close()
        self.errors.close()


def lines_of(text):
    return [line.rstrip() for line in text.strip().splitlines() if line.strip()]


def shows(expected, printed):
    """Whether the printed lines are the expected ones; "…" is anything, also several lines."""
    pattern = re.escape("\n".join(lines_of(expected))).replace("…", r"(?:.|\n)*?")
    return re.fullmatch(pattern, "\n".join(lines_of(printed))) is not None


def is_hidden(name):
    """Such files are no objects."""
    return re.search(r"(^|/)[_.]", name) is not None


class Page:
    def __init__(self, path, station):
        self.path, self.station, self.folder = path, station, station.folder
        self.addresses = []
        self.blocks = blocks_of(path)
        for pattern in ALLOW.findall(path.read_text()):
            station.allow(pattern)

    def run(self):
        shutil.copytree(REPOSITORY / "objects", self.station.objects, dirs_exist_ok=True)
        os.symlink(BUILD, self.station.folder / "build")
        self.station.start()
        address = f"127.0.0.1:{self.station.port}"
        env = {**self.station.environment(), "OBJECTD_URL": f"http://{address}"}
        self.addresses.append((ADDRESS, address))
        self.run_blocks(Shell(self.folder, env, self.addresses))

    def run_blocks(self, shell):
        try:
            for i, block in enumerate(self.blocks):
                self.run_block(block, self.expected_of(i), shell)
        finally:
            shell.close()

    def expected_of(self, index):
        follower = self.blocks[index + 1] if index + 1 < len(self.blocks) else None
        return follower.text if follower and follower.kind in ("text", "json") else None

    def run_block(self, block, expected, shell):
        if block.kind == "python" and block.words:
            self.save(block)
        elif block.kind == "python":
            compile(block.text, block.where, "exec")
        elif block.kind == "conf":
            self.check_configuration(block)
        elif block.kind == "sh" and "terminal" in block.words:
            self.other_terminal(block)
        elif block.kind == "sh" and "by-hand" not in block.words:
            self.run_shell(block, expected, shell)

    def save(self, block):
        if "/" not in block.words[0]:
            (self.folder / block.words[0]).write_text(with_addresses(block.text, self.addresses))
            return
        name = re.fullmatch(r"objects/(\S+\.py)", block.words[0])
        assert name, f"{block.where}: {block.words}"
        object_id = name.group(1)[:-3].replace("/", "_")
        self.station.put(name.group(1), block.text)
        if "broken" in block.words:
            self.station.allow("does not load|rejected")
            wait_until(lambda: self.refused(object_id), what=block.where)
            return
        if not is_hidden(name.group(1)):
            self.wait_served(block, name.group(1), block.text)

    def wait_served(self, block, name, source):
        object_id = name[:-3].replace("/", "_")
        wait_until(lambda: self.serves(object_id, source),
                   what=lambda: f"{block.where}: {name} is not served\n{self.station.log_tail(5)}")

    def refused(self, object_id):
        """The station has said that the file does not load (a new one is loaded by its first call)."""
        self.station.get(f"/objects/{object_id}")
        return self.station.logged("does not load|rejected")

    def serves(self, object_id, source):
        """Loaded, and with this source (a first call loads it)."""
        reply = self.station.get(f"/objects/{object_id}?source=true")
        if reply.status != 200 or reply.json()["source"] != source:
            return False
        reply = self.station.get(f"/objects/{object_id}?metadata=true")
        return reply.status == 200 and not reply.json()["metadata"].get("load_error")

    def check_configuration(self, block):
        path = self.station.folder / "documented.conf"
        path.write_text(block.text)
        done = run_daemon(self.station.folder, "--check", "-c", path, "--objects", self.station.objects)
        assert done.returncode == 0, f"{block.where}: {done}"

    def other_terminal(self, block):
        for line in lines_of(block.text):
            assert shlex.split(line, comments=True)[0] in TERMINAL, block.where
        if not self.station.alive():
            self.station.start()

    def run_shell(self, block, expected, shell):
        killed = "kill -9 $(cat data/objectd.lock)" in block.text
        if killed:
            self.station.allow("torn tail")
            self.station.ended_by_test = True
        printed, failed = shell.run(block.text)
        if "eventually" in block.words:
            def repeated():
                nonlocal printed, failed
                printed, failed = shell.run(block.text)
                return shows(expected, printed)

            wait_until(repeated, what=lambda: f"{block.where}: {printed}")
        if killed:
            self.station.wait()
        for name in re.findall(r"> *objects/(\S+\.py)", block.text):
            if not is_hidden(name):
                self.wait_served(block, name, (self.station.objects / name).read_text())
        assert failed == ("fails" in block.words), \
            f"{block.where}: {'no' if not failed else 'a'} command failed\n{printed}\n{shell.said()}"
        assert expected is None or shows(expected, printed), \
            f"{block.where} prints\n{printed}\ninstead of\n{expected}\n{shell.said()}"
