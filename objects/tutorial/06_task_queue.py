r"""Tutorial 6: a queue of tasks for workers that fetch them over HTTP, and can be paused.

POST puts a task in, PUT with {"take": true} hands out the most urgent one, PUT with its number says
how it went. A task that is not finished within its time is handed out again.

    curl -X POST http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"task": "send the newsletter"}'
    {"id": 1, "task": "send the newsletter", "priority": 0, "status": "waiting", "tries": 0}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"task": "put out the fire", "priority": 9}'
    {"id": 2, "task": "put out the fire", "priority": 9, "status": "waiting", "tries": 0}

    curl -X PUT http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"take": true}'
    {"id": 2, "task": "put out the fire", "priority": 9, "status": "running", "tries": 1, "until": …}

    curl -X PUT http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"id": 2, "status": "done"}'
    {"id": 2, "task": "put out the fire", "priority": 9, "status": "done", "tries": 1}

    curl http://127.0.0.1:8001/objects/tutorial_06_task_queue
    {"paused": false, "counts": {"waiting": 1, "running": 0, "done": 1, "failed": 0}}

    curl 'http://127.0.0.1:8001/objects/tutorial_06_task_queue?status=waiting'
    {"tasks": [{"id": 1, "task": "send the newsletter", "priority": 0, "status": "waiting",
                "tries": 0}], "count": 1}

An object with functions start and stop can be told to, by a POST that says nothing else:

    curl -X POST http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"action": "stop"}'
    {"status": "ok", "message": "tutorial_06_task_queue stopped",
     "object_id": "tutorial_06_task_queue", "result": {"paused": true}}

    curl -X PUT http://127.0.0.1:8001/objects/tutorial_06_task_queue \
         -H 'Content-Type: application/json' -d '{"take": true}'
    {"error": "the queue is paused"}

    curl -X POST 'http://127.0.0.1:8001/objects/tutorial_06_task_queue?action=start'
    {"status": "ok", "message": "tutorial_06_task_queue started",
     "object_id": "tutorial_06_task_queue", "result": {"paused": false}}

    curl -X DELETE http://127.0.0.1:8001/objects/tutorial_06_task_queue
    {"removed": 1}

DELETE forgets what is finished.
"""

import time

__endpoint__ = {
    "name": "tutorial: task queue",
    "version": "1.0.0",
    "description": "Hands out tasks, the most urgent first, and takes back what was not finished",
    "author": "objectd",
}

STATUSES = ("waiting", "running", "done", "failed")
SECONDS_TO_FINISH = 300
TRIES_MAX = 3


def key_of(number):
    return f"task:{number:08d}"


def tasks(status=None):
    found = [_state_manager.get(key) for key in _state_manager.keys("task:")]
    return [t for t in found if status is None or t["status"] == status]


def save(task):
    _state_manager.set(key_of(task["id"]), task)
    return task


def is_paused():
    return _state_manager.get("paused", False)


def give_up_late(now):
    """What was not finished in time waits again, or has failed after a few tries."""
    for task in tasks("running"):
        if task["until"] <= now:
            del task["until"]
            task["status"] = "waiting" if task["tries"] < TRIES_MAX else "failed"
            _logger.warning("not finished in time", task=task["id"], tries=task["tries"])
            save(task)


def take(now):
    if is_paused():
        return {"error": "the queue is paused"}, 503
    give_up_late(now)
    waiting = tasks("waiting")
    if not waiting:
        return {"error": "nothing to do"}, 404
    task = min(waiting, key=lambda t: (-t["priority"], t["id"]))
    return save({**task, "status": "running", "tries": task["tries"] + 1,
                 "until": round(now + SECONDS_TO_FINISH, 3)})


def finish(number, status):
    task = _state_manager.get(key_of(number)) if isinstance(number, int) else None
    if not task:
        return {"error": f"no task {number}"}, 404
    if status not in ("done", "failed"):
        return {"error": "status must be done or failed"}, 400
    if task["status"] != "running":
        return {"error": f"task {number} is {task['status']}, not running"}, 409
    del task["until"]
    return save({**task, "status": status})


def GET(request):
    give_up_late(time.time())
    status = request.get("status")
    if status is None:
        return {"paused": is_paused(), "counts": {s: len(tasks(s)) for s in STATUSES}}
    if status not in STATUSES:
        return {"error": "status must be one of " + ", ".join(STATUSES)}, 400
    found = tasks(status)
    return {"tasks": found, "count": len(found)}


def POST(request):
    text, priority = request.get("task"), request.get("priority", 0)
    if not isinstance(text, str) or not text.strip():
        return {"error": "task must say what is to be done"}, 400
    if not isinstance(priority, int) or isinstance(priority, bool):
        return {"error": "priority must be a whole number"}, 400
    number = _state_manager.increment("last_number")
    return save({"id": number, "task": text, "priority": priority, "status": "waiting",
                 "tries": 0}), 201


def PUT(request):
    if request.get("take") is True:
        return take(time.time())
    return finish(request.get("id"), request.get("status"))


def DELETE(request):
    finished = tasks("done") + tasks("failed")
    for task in finished:
        _state_manager.delete(key_of(task["id"]))
    return {"removed": len(finished)}


def start(request):
    _state_manager.set("paused", False)
    return {"paused": False}


def stop(request):
    _state_manager.set("paused", True)
    return {"paused": True}


# --- tests ---


def fresh():
    for key in _state_manager.keys():
        _state_manager.delete(key)


def test_the_most_urgent_first_then_the_oldest():
    fresh()
    for text, priority in (("a", 0), ("b", 5), ("c", 5)):
        POST({"task": text, "priority": priority})
    assert [take(0)["task"] for _ in range(3)] == ["b", "c", "a"]
    assert take(0)[1] == 404


def test_what_is_not_finished_comes_back_a_few_times():
    fresh()
    POST({"task": "hard"})
    for n in range(TRIES_MAX):
        assert take(n * SECONDS_TO_FINISH)["tries"] == n + 1
    assert take(TRIES_MAX * SECONDS_TO_FINISH)[1] == 404
    assert tasks("failed")[0]["task"] == "hard"


def test_a_paused_queue_hands_out_nothing():
    fresh()
    POST({"task": "x"})
    stop({})
    assert take(0)[1] == 503
    start({})
    assert take(0)["task"] == "x"


def test_only_what_runs_can_be_finished():
    fresh()
    number = POST({"task": "x"})[0]["id"]
    assert finish(number, "done")[1] == 409
    take(0)
    assert finish(number, "perhaps")[1] == 400
    assert finish(number, "done")["status"] == "done"
    assert finish(number, "done")[1] == 409
    assert finish(None, "done")[1] == 404
    assert DELETE({}) == {"removed": 1}


def test_refuses_bad_tasks():
    for task in ({}, {"task": ""}, {"task": 5}, {"task": "x", "priority": "high"},
                 {"task": "x", "priority": True}):
        assert POST(task)[1] == 400, task
