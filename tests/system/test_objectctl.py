# SPDX-License-Identifier: Apache-2.0
"""objectctl: what people and scripts see of a station."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
from station import BUILD, PATIENCE, REPOSITORY, wait_until

COUNTER = ("def GET(request):\n    return {'n': _state_manager.get('n', 0), 'q': dict(request)}\n"
           "def POST(request):\n    _logger.info('counted', by=request.get('by'))\n"
           "    return {'n': _state_manager.increment('n', int(request.get('by', 1)))}\n"
           "def PUT(request):\n    return {'json': request.json}\n"
           "def DELETE(request):\n    raise ValueError('never')\n")


@pytest.fixture
def counter(station):
    station.deploy("basics/counter.py", COUNTER)
    return station


def test_status(counter):
    counter.post("/objects/basics_counter")
    done = counter.objectctl("status")
    assert done.returncode == 0 and str(counter.pid) in done.stdout, done
    done = counter.objectctl("status", "--json")
    assert done.returncode == 0 and isinstance(json.loads(done.stdout), dict)


def test_objects(counter):
    done = counter.objectctl("objects")
    assert done.returncode == 0 and "basics_counter" in done.stdout
    done = counter.objectctl("objects", "--json")
    assert [o["object_id"] for o in json.loads(done.stdout)["objects"]] == ["basics_counter"]


def test_call(counter):
    done = counter.objectctl("call", "basics_counter")
    assert done.returncode == 0 and json.loads(done.stdout)["n"] == 0, done
    done = counter.objectctl("call", "basics_counter", "POST", "by=5")
    assert done.returncode == 0 and json.loads(done.stdout)["n"] == 5, done
    done = counter.objectctl("call", "basics_counter", "GET", "a=b c", "ü=€")
    assert json.loads(done.stdout)["q"] == {"a": "b c", "ü": "€"}, done
    done = counter.objectctl("call", "basics_counter", "PUT", "--json", '{"a": [1, null]}')
    assert json.loads(done.stdout) == {"json": {"a": [1, None]}}, done


def test_call_failures_have_meaningful_codes(counter):
    for code, arguments in ((66, ["call", "nothing"]), (1, ["call", "basics_counter", "DELETE"]),
                            (65, ["call", "basics_counter", "PATCH"]), (66, ["state", "nothing"]),
                            (66, ["logs", "nothing"]), (66, ["deploy", "no/such/file.py"])):
        done = counter.objectctl(*arguments)
        assert done.returncode == code and done.stderr.strip(), done
    for arguments in (["logs", "basics_counter", "--level", "foo"],
                      ["logs", "basics_counter", "--level", "ERROR,"],
                      ["logs", "basics_counter", "-n", "many"], ["logs", "basics_counter", "name"],
                      ["logs", "basics_counter", "-f", "--until", "1"],
                      ["diff", "basics_counter", "first"], ["diff", "basics_counter"],
                      ["rollback", "basics_counter"], ["deploy"], ["deploy", "-"],
                      ["deploy", "a.py", "b.py", "--id", "x"], ["files", "x", "eat", "y"],
                      ["files", "x", "put"], ["status", "now", "then"], ["--url", "ftp://x", "status"],
                      ["versions", "x", "-n", "-1"], ["source", "x", "y"], ["start"], ["test"]):
        done = counter.objectctl(*arguments)
        assert done.returncode == 64 and done.stderr.strip() and not done.stdout, done
    assert "ValueError" in counter.objectctl("call", "basics_counter", "DELETE").stderr + \
        counter.objectctl("call", "basics_counter", "DELETE").stdout
    assert counter.objectctl("nonsense").returncode == 64
    assert counter.objectctl().returncode == 64
    assert counter.objectctl("call").returncode == 64
    assert counter.objectctl("--help").returncode == 0
    assert counter.objectctl("--version").returncode == 0


def test_state(counter):
    counter.post("/objects/basics_counter?by=7")
    done = counter.objectctl("state", "basics_counter", "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer.get("state", answer) == {"n": 7}
    done = counter.objectctl("state", "basics_counter", "n")
    assert done.returncode == 0 and done.stdout.strip() == "7"
    assert counter.objectctl("state", "basics_counter", "none").returncode == 66
    done = counter.objectctl("state", "basics_counter")
    assert "n" in done.stdout and "7" in done.stdout


def test_logs(counter):
    counter.post("/objects/basics_counter?by=3")
    wait_until(lambda: "counted" in counter.objectctl("logs", "basics_counter").stdout)
    done = counter.objectctl("logs", "basics_counter", "--json")
    assert any(e["message"] == "counted" for e in json.loads(done.stdout)["logs"]), done
    done = counter.objectctl("logs", "basics_counter", "--level", "ERROR")
    assert done.returncode == 0 and "counted" not in done.stdout


@pytest.fixture
def follower(counter):
    """objectctl logs -f, and what it has printed so far."""
    env = {**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{counter.port}"}
    process = subprocess.Popen([str(counter.build / "objectctl"), "logs", "basics_counter", "-f"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                               stdin=subprocess.DEVNULL)
    process.seen, process.said = bytearray(), bytearray()
    for pipe in (process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)

    def printed(pattern):
        process.seen.extend(process.stdout.read() or b"")
        process.said.extend(process.stderr.read() or b"")
        assert process.poll() is None, process.said
        return len(re.findall(pattern, process.seen))

    process.printed = printed
    yield process
    process.terminate()
    process.wait(20 * PATIENCE)
    process.stdout.close()
    process.stderr.close()


def test_logs_follow(counter, follower):
    """Old lines, new ones as they come, and none missed or doubled when the station restarts."""
    for by in range(1, 4):
        counter.post(f"/objects/basics_counter?by={by}")
    wait_until(lambda: follower.printed(rb"counted.* by=3"), what=lambda: follower.seen)
    counter.restart()
    for by in range(4, 7):
        counter.post(f"/objects/basics_counter?by={by}")
    wait_until(lambda: follower.printed(rb"counted.* by=6"), what=lambda: follower.seen + follower.said)
    assert [follower.printed(rb"counted.* by=%d\b" % by) for by in range(1, 7)] == [1] * 6
    assert b"waiting" in follower.said and b"back" in follower.said


def test_logs_follow_outlives_a_killed_station(counter, follower):
    counter.post("/objects/basics_counter?by=1")
    wait_until(lambda: follower.printed(rb"counted.* by=1"), what=lambda: follower.seen)
    counter.kill9()
    wait_until(lambda: follower.printed(rb"x*") and b"waiting" in follower.said, what=lambda: follower.said)
    counter.start()
    counter.post("/objects/basics_counter?by=2")
    wait_until(lambda: follower.printed(rb"counted.* by=2"), what=lambda: follower.seen + follower.said)
    assert follower.printed(rb"counted.* by=1\b") == 1


def test_logs_follow_as_json(counter):
    """A document a line, for programs."""
    counter.post("/objects/basics_counter?by=3")
    env = {**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{counter.port}"}
    with subprocess.Popen([str(counter.build / "objectctl"), "--json", "logs", "basics_counter", "-f"],
                          stdout=subprocess.PIPE, text=True, env=env, stdin=subprocess.DEVNULL) as process:
        line = json.loads(process.stdout.readline())
        process.terminate()
    assert (line["message"], line["by"]) == ("counted", "3")


def test_logs_filters(counter):
    for by in (1, 2, 2):
        counter.post(f"/objects/basics_counter?by={by}")
    assert len(counter.objectctl("logs", "basics_counter", "by=2").stdout.splitlines()) == 2
    assert counter.objectctl("logs", "basics_counter", "by=2", "-n", "1").stdout.count("counted") == 1
    assert "counted" in counter.objectctl("logs", "basics_counter", "--since", "10m").stdout
    assert not counter.objectctl("logs", "basics_counter", "--until", "10m").stdout
    assert not counter.objectctl("logs", "basics_counter", "--since", "2126-01-01T00:00:00Z").stdout
    done = counter.objectctl("logs", "basics_counter", "--since", "yesterday")
    assert done.returncode == 64 and "--since" in done.stderr
    for form in ("2026-11-21T14:00:00Z", "seconds since 1970", "10m"):
        assert form in done.stderr, done
    assert counter.objectctl("logs", "basics_counter", "--until", "-1").returncode == 64
    assert counter.objectctl("logs", "nothing", "-f").returncode == 66


@pytest.mark.parametrize("station", [{"config": {"log": {"search_max": 65536}}}], indirect=True)
def test_logs_say_that_they_are_not_whole(counter):
    counter.deploy("much.py", "def GET(request):\n    for i in range(3000):\n"
                              "        _logger.info('x' * 100, i=i)\n    return 1\n")
    counter.get("/objects/much")
    done = counter.objectctl("logs", "much", "i=0")
    assert done.returncode == 0 and not done.stdout, done
    until = re.search(r"--until (\S+)", done.stderr).group(1)
    assert counter.objectctl("logs", "much", "--until", until).returncode == 0


def test_versions_diff_rollback_deploy(counter):
    path = counter.folder / "objects" / "basics" / "counter.py"
    other = COUNTER.replace("'counted'", "'COUNTED'")
    wait_until(lambda: counter.get("/objects/basics_counter").status == 200)
    new = counter.folder / "work" / "objects" / "basics" / "counter.py"
    new.parent.mkdir(parents=True)
    new.write_text(other)
    done = counter.objectctl("deploy", str(new), "-m", "louder", "-a", "Ada")
    assert done.returncode == 0 and "basics_counter: " in done.stdout, done
    assert path.read_text() == other
    rows = [line.split("\t") for line in counter.objectctl("versions", "basics_counter").stdout.splitlines()]
    assert rows[0] == ["VERSION", "TIME", "AUTHOR", "STATUS", "HASH", "MESSAGE"]
    assert [row[0] for row in rows[1:]] == ["2", "1"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[1][1])
    assert rows[1][2] == "Ada" and rows[1][5] == "louder" and len(rows[1][4]) == 12
    assert counter.objectctl("versions", "basics_counter", "-n", "1").stdout.count("\n") == 2
    document = json.loads(counter.objectctl("versions", "basics_counter", "--json").stdout)
    assert len(document["versions"][0]["hash"]) == 64
    done = counter.objectctl("diff", "basics_counter", "1")
    assert done.returncode == 1 and "+    _logger.info('COUNTED'" in done.stdout, done
    assert done.stdout.startswith("--- basics_counter version 1\n+++ basics_counter\n")
    assert counter.objectctl("diff", "basics_counter", "2").returncode == 0
    document = json.loads(counter.objectctl("diff", "basics_counter", "1", "2", "--json").stdout)
    assert document["differs"] is True and document["from"] == "1" and "COUNTED" in document["diff"]
    assert counter.objectctl("diff", "basics_counter", "9").returncode == 66
    env = {"PATH": str(counter.folder)}
    done = counter.objectctl("diff", "basics_counter", "1", env=env)
    assert done.returncode == 71 and "diffutils" in done.stderr, done
    assert counter.objectctl("source", "basics_counter", "1").stdout == COUNTER
    assert counter.objectctl("source", "basics_counter").stdout == other
    done = counter.objectctl("rollback", "basics_counter", "1", "-m", "quieter")
    assert done.returncode == 0 and done.stdout.startswith("basics_counter: ") and "3" in done.stdout
    assert path.read_text() == COUNTER
    assert counter.objectctl("rollback", "basics_counter", "77").returncode == 66
    assert complete(counter, "objectctl diff basics_counter ") == ["3", "2", "1"]


def test_deploy_refused(counter):
    counter.allow("does not load|rejected")
    for name, text in (("good", "def GET(request):\n    return 1\n"), ("bad", "def GET(:\n")):
        (counter.folder / f"{name}.py").write_text(text)
    done = counter.objectctl("deploy", "bad.py", "good.py")
    assert done.returncode == 65 and "bad.py" in done.stderr and "line" in done.stderr, done
    assert counter.get("/objects/good").json() == 1
    done = counter.objectctl("--json", "deploy", "bad.py", "--id", "basics_counter", "-m", "in haste")
    assert done.returncode == 65 and json.loads(done.stdout)["status"] == "error"
    assert counter.get("/objects/basics_counter").status == 200
    newest = counter.objectctl("versions", "basics_counter").stdout.splitlines()[1].split("\t")
    assert newest[3] == "rejected" and newest[5].startswith("in haste (line 1: SyntaxError"), newest


def test_tests_and_actions(counter):
    counter.deploy("t.py", "def test_a():\n    pass\ndef test_b():\n    assert 1 == 2, 'one is not two'\n"
                           "def start(request):\n    return 'begun'\n")
    done = counter.objectctl("test", "t")
    assert done.returncode == 1 and "one is not two" in done.stdout, done
    assert "t: fail, 1 passed, 1 failed, 0 skipped" in done.stdout
    assert counter.objectctl("test", "basics_counter").returncode == 0
    assert counter.objectctl("test", "basics_counter", "nothing", "t").returncode == 66
    assert json.loads(counter.objectctl("test", "t", "--json").stdout)["failed"] == 1
    assert "begun" in counter.objectctl("start", "t", "--json").stdout
    assert counter.objectctl("start", "t").stdout.startswith("t: ")
    done = counter.objectctl("stop", "nothing")
    assert done.returncode == 66 and "ordinary POST" not in done.stderr
    counter.deploy("still.py", "def GET(request):\n    return 1\n")
    done = counter.objectctl("stop", "still")
    assert done.returncode == 65 and "calls the object's stop()" in done.stderr, done


def test_check(counter):
    counter.post("/objects/basics_counter")
    counter.stop()
    done = counter.objectctl("check", str(counter.data))
    assert done.returncode == 0, done
    state = counter.data / "state" / "basics_counter" / "state.tsv"
    good = state.read_bytes()
    state.write_bytes(good + b"zzz\tnot json\t1.0\n")
    done = counter.objectctl("check", str(counter.data))
    assert done.returncode != 0 and "state.tsv:3" in done.stdout + done.stderr, done
    state.write_bytes(good)
    assert counter.objectctl("check", str(counter.folder / "no-such-folder")).returncode != 0


def test_no_station(new_station):
    station = new_station()
    station.port = 1  # nobody listens there
    done = station.objectctl("status")
    assert done.returncode == 69 and "127.0.0.1:1" in done.stderr, done
    done = station.objectctl("--url", "http://127.0.0.1:1", "objects")
    assert done.returncode not in (0, 64), done


def test_files(counter):
    def ctl(*arguments):
        return counter.objectctl("files", "basics_counter", *arguments)

    big = os.urandom(3 << 20)
    (counter.folder / "big.bin").write_bytes(big)
    (counter.folder / "sub").mkdir()
    (counter.folder / "sub" / "ä b.txt").write_text("text")
    (counter.folder / "empty").write_text("")
    done = ctl("put", "big.bin", "sub/ä b.txt", "empty")
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == ["NAME\tSIZE", f"big.bin\t{len(big)}", "ä b.txt\t4", "empty\t0"]
    rows = [line.split("\t") for line in ctl().stdout.splitlines()]
    assert rows[0] == ["NAME", "SIZE", "MODIFIED"]
    assert sorted(row[:2] for row in rows[1:]) == [["big.bin", str(len(big))], ["empty", "0"], ["ä b.txt", "4"]]
    assert json.loads(ctl("--json").stdout)["count"] == 3
    assert complete(counter, "objectctl files basics_counter get b") == ["big.bin"]
    assert ctl("get", "big.bin", "-o", "copy").returncode == 0
    assert (counter.folder / "copy").read_bytes() == big
    assert ctl("get", "empty", "-o", "nothing").returncode == 0
    assert (counter.folder / "nothing").read_bytes() == b""
    (counter.folder / "sub" / "ä b.txt").unlink()
    assert ctl("get", "ä b.txt").returncode == 0 and (counter.folder / "ä b.txt").read_text() == "text"
    assert ctl("get", "ä b.txt", "-o", "-").stdout == "text"
    assert ctl("get", "none").returncode == 66 and not (counter.folder / "none").exists()
    done = ctl("get", "big.bin", "-o", "no/such/folder/x")
    assert done.returncode == 73 and "no/such/folder" in done.stderr, done
    assert not list(counter.folder.glob("*.part"))
    assert ctl("put", "no-such-file").returncode == 66
    assert ctl("get", "../x").returncode == 64 and ctl("get", "../x", "-o", "x").returncode in (65, 66)
    done = ctl("rm", "none", "big.bin", "ä b.txt")
    assert done.returncode == 66 and "none" in done.stderr, done
    assert [line.split("\t")[0] for line in ctl().stdout.splitlines()] == ["NAME", "empty"]


@pytest.mark.parametrize("station", [{"config": {"security": {"management": "token"}}}], indirect=True)
def test_token(station):
    station.deploy("basics/counter.py", COUNTER)
    assert station.objectctl("call", "basics_counter").returncode == 0
    done = station.objectctl("status")
    assert done.returncode == 77 and "token" in done.stderr, done
    token = (station.data / "admin.token").read_text().strip()
    assert station.objectctl("status", env={"OBJECTD_TOKEN": token}).returncode == 0
    assert station.objectctl("status", env={"OBJECTD_TOKEN": "x" + token}).returncode == 77
    assert station.objectctl("status", env={"OBJECTD_DATA": str(station.data)}).returncode == 0


def test_status_watch(counter):
    """Shown again, also when the station was away for a moment."""
    env = {**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{counter.port}"}
    with open(counter.folder / "watched", "w+") as out:
        process = subprocess.Popen([str(counter.build / "objectctl"), "status", "--watch"], stdout=out,
                                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=env)

        def boots():
            return set(re.findall(r"^boot +(\d+)", (counter.folder / "watched").read_text(), re.M))

        try:
            wait_until(lambda: boots() == {"1"})
            counter.restart()
            wait_until(lambda: boots() == {"1", "2"})
        finally:
            process.terminate()
            process.wait(20 * PATIENCE)


# --- what people read about it agrees with what it does ---


def commands_of_help():
    text = run_alone("--help").stdout
    return re.findall(r"^  ([a-z]+) +[a-z]", text, re.M)


def run_alone(*arguments):
    return subprocess.run([str(BUILD / "objectctl"), *arguments], capture_output=True, text=True,
                          timeout=60)


def test_every_command_and_option_is_in_manual_and_completion():
    manual = (REPOSITORY / "packaging/man/objectctl.1").read_text().replace("\\-", "-")
    completion = (REPOSITORY / "packaging/completion/objectctl").read_text()
    commands = commands_of_help()
    assert len(commands) >= 15
    assert f'commands="{" ".join(commands)}"' in completion
    for command in commands:
        assert re.search(rf"^\.BR {command}\b|, \" {command} ", manual, re.M), command
        done = run_alone(command, "--help")
        assert done.returncode == 0, done
        for option in re.findall(r"--[a-z]+", done.stdout):
            assert option in manual and option in completion, (command, option)


def test_every_exit_code_is_in_manual_and_help():
    header = (REPOSITORY / "supervisor/ctl/command.h").read_text()
    manual = (REPOSITORY / "packaging/man/objectctl.1").read_text()
    codes = re.findall(r"^    CTL_[A-Z_]+ = (\d+)", header, re.M)
    assert len(codes) >= 10
    for code in codes:
        assert f"\n.B {code}\n" in manual, code
        assert re.search(rf"\b{code} [a-z]", run_alone("--help").stdout), code


def complete(station, line, **env):
    """What bash offers behind this line, which it has split at blanks, colons and equals signs."""
    words = [word for word in re.split(r"\s+|([:=])", line) if word]
    words = [str(station.build / "objectctl"), *words[1:], *([""] if line.endswith(" ") else [])]
    script = (f'. {REPOSITORY}/packaging/completion/objectctl; COMP_WORDS=("$@"); '
              'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _objectctl; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *words],
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{station.port}", **env})
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.split()


def test_completion(counter):
    counter.post("/objects/basics_counter")
    assert "versions" in complete(counter, "objectctl ")
    assert complete(counter, "objectctl ver") == ["versions"]
    assert complete(counter, "objectctl --vers") == ["--version"]
    assert complete(counter, "objectctl logs --f") == ["--follow"]
    assert complete(counter, "objectctl logs --level W") == ["WARNING"]
    for command in ("call", "logs", "state", "diff", "test", "files", "start"):
        assert complete(counter, f"objectctl {command} bas") == ["basics_counter"]
    assert complete(counter, "objectctl --json call basics_counter P") == ["POST", "PUT", "PATCH"]
    assert complete(counter, "objectctl state basics_counter ") == ["n"]
    assert complete(counter, "objectctl files basics_counter ") == ["get", "put", "rm"]
    assert complete(counter, "objectctl status x") == []
    url = f"http://127.0.0.1:{counter.port}"
    for option in (f"--url {url}", f"--url={url}"):
        assert complete(counter, f"objectctl {option} call bas", OBJECTD_URL="http://127.0.0.1:1") == \
            ["basics_counter"]
    assert complete(counter, "objectctl call bas", OBJECTD_URL="http://127.0.0.1:1") == []


def test_errors_as_json(counter):
    done = counter.objectctl("--json", "state", "nothing")
    assert done.returncode == 66 and json.loads(done.stdout)["status"] == "error", done


def on_terminal(station, *arguments, columns=60):
    """What a person sees: stdout is a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        done = subprocess.run([str(station.build / "objectctl"), *arguments], stdin=subprocess.DEVNULL,
                              stdout=slave, stderr=subprocess.PIPE, timeout=60,
                              env={**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{station.port}"})
        os.set_blocking(master, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                text += os.read(master, 65536)
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 0, done
    return text.decode().replace("\r\n", "\n")


def test_tables_fit_a_terminal_and_are_separated_by_tabs_elsewhere(counter):
    counter.allow("does not load")
    counter.put("bad.py", "import nothing_of_this_name_exists_anywhere_at_all_in_the_world\n")
    wait_until(lambda: counter.get("/objects/bad").status == 500)
    lines = on_terminal(counter, "objects", columns=60).splitlines()
    assert all(len(line) <= 60 for line in lines) and any("…" in line for line in lines), lines
    assert {line.find("basics/") for line in lines[1:]} - {-1} == {lines[0].index("FILE")}, lines
    rows = [line.split("\t") for line in counter.objectctl("objects").stdout.splitlines()]
    assert rows[0] == ["ID", "STATE", "TURNS", "FILE", "REMARK"]
    assert {row[0] for row in rows[1:]} == {"bad", "basics_counter"}
    assert any("nothing_of_this_name" in row[4] for row in rows), rows


def test_versions_on_a_terminal_show_when_and_why(counter):
    new = counter.folder / "counter.py"
    new.write_text(COUNTER.replace("'counted'", "'COUNTED'"))
    message = "counts louder than before, and says so in its log"
    counter.objectctl("deploy", str(new), "--id", "basics_counter", "-m", message, "-a", "Ada")
    line = on_terminal(counter, "versions", "basics_counter", columns=80).splitlines()[1]
    assert len(line) <= 80 and message[:20] in line, line
    assert re.search(r" 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ .* [0-9a-f]{8}  counts", line), line
    line = on_terminal(counter, "versions", "basics_counter", columns=130).splitlines()[1]
    assert message in line and re.search(r" [0-9a-f]{12}  counts", line), line


def test_json_is_indented_on_a_terminal_only(counter):
    assert "\n" in on_terminal(counter, "call", "basics_counter").strip()
    assert "\n" not in counter.objectctl("--json", "call", "basics_counter").stdout.strip()


def test_text_of_an_object_cannot_steer_the_terminal(counter):
    counter.deploy("evil.py", "def GET(request):\n    return 'a\\x1b[2J\\nb'\n")
    assert "\x1b" not in on_terminal(counter, "call", "evil")
    assert counter.objectctl("call", "evil").stdout == "a\x1b[2J\nb"
