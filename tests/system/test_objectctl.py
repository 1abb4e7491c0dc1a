# SPDX-License-Identifier: Apache-2.0
"""objectctl: what people and scripts see of a station."""

import json
import os
import subprocess

import pytest
from station import PATIENCE, wait_until

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
    for arguments in (["call", "nothing"], ["call", "basics_counter", "DELETE"],
                      ["call", "basics_counter", "PATCH"]):
        done = counter.objectctl(*arguments)
        assert done.returncode != 0 and (done.stderr.strip() or done.stdout.strip()), done
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
    assert counter.objectctl("state", "basics_counter", "none").returncode != 0
    done = counter.objectctl("state", "basics_counter")
    assert "n" in done.stdout and "7" in done.stdout


def test_logs(counter):
    counter.post("/objects/basics_counter?by=3")
    wait_until(lambda: "counted" in counter.objectctl("logs", "basics_counter").stdout)
    done = counter.objectctl("logs", "basics_counter", "--json")
    assert any(e["message"] == "counted" for e in json_lines(done.stdout)), done
    done = counter.objectctl("logs", "basics_counter", "--level", "ERROR")
    assert done.returncode == 0 and "counted" not in done.stdout


def json_lines(text):
    try:
        answer = json.loads(text)
        return answer["logs"] if isinstance(answer, dict) and "logs" in answer else answer
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def test_logs_follow(counter):
    """New lines arrive while it runs; it ends on a signal."""
    env = {**os.environ, "OBJECTD_URL": f"http://127.0.0.1:{counter.port}"}
    process = subprocess.Popen([str(counter.build / "objectctl"), "logs", "basics_counter", "-f"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                               stdin=subprocess.DEVNULL)
    try:
        os.set_blocking(process.stdout.fileno(), False)
        seen = bytearray()

        def arrived(word):
            piece = process.stdout.read()
            if piece:
                seen.extend(piece)
            return word in seen

        def counted(by, word):
            counter.post(f"/objects/basics_counter?by={by}")
            return arrived(word)

        wait_until(lambda: counted(1, b"counted"), what=lambda: bytes(seen))
        seen.clear()
        wait_until(lambda: counted(2, b"counted"), what=lambda: bytes(seen))
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(20 * PATIENCE)
        process.stdout.close()


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
    assert done.returncode not in (0, 64) and "127.0.0.1:1" in done.stderr, done
    done = station.objectctl("--url", "http://127.0.0.1:1", "objects")
    assert done.returncode not in (0, 64), done
