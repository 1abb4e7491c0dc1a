# SPDX-License-Identifier: Apache-2.0
"""Actions: a POST of {"action": "start"} or "stop" calls the object's function of that name."""

import itertools

import pytest

numbers = itertools.count()

SOURCE = """
def start(request, _state_manager):
    _state_manager.set("running", True)
    return {"was": "start", "asked": dict(request)}

async def stop(request):
    _state_manager.delete("running")
    _logger.info("stopping")
    return "bye"

def POST(request):
    return {"posted": dict(request), "json": request.json}
"""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}


def make(station, source=SOURCE):
    return "/objects/" + station.deploy(f"a{next(numbers)}.py", source)


def part(name, value, filename=None):
    extra = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'


def test_start_by_json(shared):
    path = make(shared)
    reply = shared.post(path, {"action": "start"})
    object_id = path.rpartition("/")[2]
    assert reply.status == 200
    assert reply.json() == {"status": "ok", "message": f"{object_id} started", "object_id": object_id,
                            "result": {"was": "start", "asked": {"action": "start"}}}
    assert shared.state(object_id) == {"running": True}, "the action is a turn: it commits"
    assert "x-commit-seq" in reply.headers


def test_stop_is_async_and_returns_text(shared):
    path = make(shared)
    shared.post(path, {"action": "start"})
    reply = shared.post(path, {"action": "stop"})
    assert reply.status == 200 and reply.json()["result"] == "bye"
    assert reply.json()["message"].endswith(" stopped")
    object_id = path.rpartition("/")[2]
    assert shared.state(object_id) == {}
    assert [e["message"] for e in shared.object_logs(object_id, "&level=INFO")].count("stopping") == 1


@pytest.mark.parametrize("body,headers,query", [
    (None, None, "?action=start"),
    ("action=start", FORM, ""),
    (part("action", "start") + "--b--\r\n", BOUNDARY, ""),
], ids=["query", "form", "multipart"])
def test_start_otherwise(shared, body, headers, query):
    reply = shared.post(make(shared) + query, body, headers=headers)
    assert reply.status == 200 and reply.json()["result"]["was"] == "start"


@pytest.mark.parametrize("body,headers,query", [
    ({"action": "start", "name": "x"}, None, ""),
    ({"action": "begin"}, None, ""),
    ({"action": "START"}, None, ""),
    ({"action": None}, None, ""),
    ({"action": ["start"]}, None, ""),
    ({"action": {"start": 1}}, None, ""),
    ({"start": "action"}, None, ""),
    ({}, None, ""),
    ([{"action": "start"}], None, ""),
    ({"name": "x"}, None, "?action=start"),
    ("plain", {"Content-Type": "text/plain"}, "?action=start"),
    (None, None, "?action=start&x=1"),
    (None, None, "?action=start&action=start"),
    ("action=start&action=stop", FORM, ""),
    ("action=start&x=", FORM, ""),
    (part("action", "start") + part("f", "x", "f.txt") + "--b--\r\n", BOUNDARY, ""),
], ids=str)
def test_data_of_the_object_stays_its_own(shared, body, headers, query):
    own_uploads = "__endpoint__ = {'uploads': True}\n"
    reply = shared.post(make(shared, own_uploads + SOURCE) + query, body, headers=headers)
    assert reply.status == 200 and "posted" in reply.json(), reply


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
def test_only_a_post_is_an_action(shared, method):
    path = make(shared, SOURCE + f"\ndef {method}(request):\n    return {{'was': '{method}'}}\n")
    assert shared.request(method, path + "?action=start").json() == {"was": method}


@pytest.mark.parametrize("source", [
    "", "start = 5\nstop = {}\n", "class start:\n    pass\n",
    "def start(host, port):\n    raise ValueError\n",
], ids=["none", "values", "class", "helper"])
def test_without_such_a_function_it_is_an_ordinary_post(shared, source):
    path = make(shared, source + "\ndef POST(request):\n    return {'posted': request['action']}\n")
    assert shared.post(path, {"action": "start"}).json() == {"posted": "start"}
    assert shared.post(path, {"action": "stop"}).json() == {"posted": "stop"}


def test_with_start_alone_stop_is_an_ordinary_post(shared):
    path = make(shared, "def start():\n    return 1\ndef POST(request):\n    return request['action']\n")
    assert shared.post(path, {"action": "start"}).json()["result"] == 1
    assert shared.post(path, {"action": "stop"}).text == "stop"


def test_an_object_of_actions_only(shared):
    path = make(shared, "def start():\n    return None\n")
    assert shared.post(path, {"action": "start"}).json()["result"] is None
    for body in ({"action": "stop"}, {"x": 1}, None):
        reply = shared.post(path, body)
        assert reply.status == 405 and "has no handlers" in reply.json()["error"]
    assert shared.get(path).status == 405


def test_raw_query_keeps_the_query(shared):
    path = make(shared, "__endpoint__ = {'raw_query': True}\n" + SOURCE)
    assert "posted" in shared.post(path + "?action=start").json()
    assert shared.post(path, {"action": "start"}).json()["result"]["was"] == "start"


@pytest.mark.parametrize("returned,status,result", [
    ("{'why': 'tired'}, 409", 409, {"why": "tired"}),
    ("409, {'X-Why': 'tired'}, 'no'", 409, "no"),
    ("{'a': 1}, 202", 202, {"a": 1}),
    ("1, 2, 3, 4", 200, [1, 2, 3, 4]),
    ("'a', 'b'", 200, ["a", "b"]),
], ids=str)
def test_status_of_a_result(shared, returned, status, result):
    reply = shared.post(make(shared, f"def start():\n    return {returned}\n"), {"action": "start"})
    assert reply.status == status and reply.json()["result"] == result
    assert reply.json()["status"] == ("ok" if status < 400 else "error")
    assert ("tired" == reply.headers.get("x-why")) == ("X-Why" in returned)


def test_an_action_that_raises_commits_nothing(shared):
    path = make(shared, "def start():\n    _state_manager.set('a', 1)\n    1 / 0\n")
    reply = shared.post(path, {"action": "start"})
    assert reply.status == 500 and reply.json()["error_type"] == "ZeroDivisionError"
    assert "1 / 0" in reply.json()["traceback"]
    assert shared.state(path.rpartition("/")[2]) == {}


@pytest.mark.parametrize("returned", ["object()", "(x for x in 'ab')", "b'bytes'", "float('nan')",
                                      "({}, 10**30)", "({}, 99)"])
def test_what_cannot_be_a_result(shared, returned):
    path = make(shared, f"def start():\n    _state_manager.set('a', 1)\n    return {returned}\n")
    reply = shared.post(path, {"action": "start"})
    assert reply.status == 500 and reply.json()["error"]
    assert shared.state(path.rpartition("/")[2]) == {}


def test_body_that_is_no_json(shared):
    reply = shared.post(make(shared), "{\"action\":", headers={"Content-Type": "application/json"})
    assert reply.status == 400


@pytest.mark.parametrize("management,status", [("token", 401), ("off", 403)])
def test_actions_are_management(new_station, management, status):
    station = new_station(config={"security": {"management": management}}).start()
    path = make(station)
    for body, query in (({"action": "start"}, ""), (None, "?action=stop")):
        reply = station.post(path + query, body)
        assert reply.status == status and "management" in reply.json()["error"]
    assert "posted" in station.post(path, {"action": "start", "x": 1}).json()
    token = station.data / "admin.token"
    if management == "token":
        headers = {"Authorization": "Bearer " + token.read_text().strip()}
        reply = station.post(path, {"action": "start"}, headers=headers)
        assert reply.status == 200 and reply.json()["result"]["was"] == "start"


GATEWAY = "def POST(request):\n    return _runtime.call_object(%r, 'POST', dict(request))\n"


def test_a_call_of_an_object_can_be_an_action(shared):
    path = make(shared)
    gateway = make(shared, GATEWAY % path.rpartition("/")[2])
    assert shared.post(gateway, {"action": "start"}).json()["result"]["was"] == "start"
    assert "posted" in shared.post(gateway, {"action": "start", "x": 1}).json()


@pytest.mark.parametrize("depth", [1, 2])
def test_an_object_lends_nobody_its_rights(new_station, depth):
    station = new_station(config={"security": {"management": "token"}}).start()
    inner = make(station)
    gateway = inner
    for _ in range(depth):
        gateway = make(station, GATEWAY % gateway.rpartition("/")[2])
    reply = station.post(gateway, {"action": "start"})
    assert reply.status >= 400 and "management" in reply.text, reply
    assert "posted" in station.post(gateway, {"action": "start", "x": 1}).json()
    token = {"Authorization": "Bearer " + (station.data / "admin.token").read_text().strip()}
    assert station.post(gateway, {"action": "start"}, headers=token).json()["result"]["was"] == "start"
