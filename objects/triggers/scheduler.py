r"""Tasks for later: every so many seconds, by a time table, or once, made and removed over HTTP.

    curl -X POST http://127.0.0.1:8001/objects/triggers_scheduler \
         -H 'Content-Type: application/json' \
         -d '{"task": "weekly report", "when": "0 9 * * mon"}'
    {"id": 1, "task": "weekly report", "when": "0 9 * * mon", "status": "planned", "runs": 0}

    curl -X POST http://127.0.0.1:8001/objects/triggers_scheduler \
         -H 'Content-Type: application/json' \
         -d '{"task": "happy new year", "when": "2099-01-01T00:00:00"}'
    {"id": 2, "task": "happy new year", "when": "2099-01-01T00:00:00", "status": "planned",
     "runs": 0}

    curl -X POST http://127.0.0.1:8001/objects/triggers_scheduler \
         -H 'Content-Type: application/json' -d '{"task": "oops", "when": "61 * * * *"}'
    {"error": "_schedule: when is '61 * * * *': its minute is not made of numbers from 0 to 59"}

    curl http://127.0.0.1:8001/objects/triggers_scheduler
    {"tasks": [{"id": 1, …}, {"id": 2, …}], "count": 2}

One task, with what it did when it ran last:

    curl 'http://127.0.0.1:8001/objects/triggers_scheduler?id=2'
    {"id": 2, "task": "happy new year", … "results": []}

    curl -X DELETE 'http://127.0.0.1:8001/objects/triggers_scheduler?id=1'
    {"removed": 1}

    curl -X DELETE 'http://127.0.0.1:8001/objects/triggers_scheduler?id=1'
    {"error": "no task 1"}

Times without a zone are those of the station. A task that was due while the station was down runs
once when it is up again.
"""

import datetime

__endpoint__ = {
    "name": "scheduler",
    "version": "1.0.0",
    "description": "Runs tasks later: at intervals, by time tables, or once",
    "author": "objectd",
}

RESULTS_KEPT = 20
ONCE = "-"  # of "2099-01-01…", behind the year


def key_of(number):
    return f"task:{number:08d}"


def find(request):
    try:
        return _state_manager.get(key_of(int(request.get("id"))))
    except (TypeError, ValueError):
        return None


def shown(task):
    return {k: v for k, v in task.items() if k != "results"}


def is_once(when):
    return isinstance(when, str) and when[4:5] == ONCE


def run(payload):
    """What is due: the station calls it as a turn, with what was given to _schedule()."""
    task = _state_manager.get(key_of(payload["id"]))
    if task is None:
        return
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    task["runs"] += 1
    task["results"] = (task["results"] + [{"at": now, "result": work(task)}])[-RESULTS_KEPT:]
    if is_once(task["when"]):
        task["status"] = "done"
    _state_manager.set(key_of(task["id"]), task)


def work(task):
    """Here a real one would send a mail, or call another object with _runtime.call_object()."""
    _logger.info("task runs", task=task["task"])
    return f"{task['task']}: done"


def GET(request):
    if "id" in request:
        task = find(request)
        return task or ({"error": f"no task {request['id']}"}, 404)
    tasks = [shown(_state_manager.get(key)) for key in _state_manager.keys("task:")]
    return {"tasks": tasks, "count": len(tasks)}


def POST(request):
    name, when = request.get("task"), request.get("when")
    if not isinstance(name, str) or not name:
        return {"error": "task is a text that says what to do"}, 400
    number = _state_manager.get("last_id", 0) + 1
    try:
        _schedule(when, "run", {"id": number})
    except (TypeError, ValueError) as error:
        return {"error": str(error)}, 400
    _state_manager.set("last_id", number)
    task = {"id": number, "task": name, "when": when, "status": "planned", "runs": 0, "results": []}
    _state_manager.set(key_of(number), task)
    return shown(task), 201


def DELETE(request):
    task = find(request)
    if not task:
        return {"error": f"no task {request.get('id')}"}, 404
    _unschedule("run", payload={"id": task["id"]})
    _state_manager.delete(key_of(task["id"]))
    return {"removed": task["id"]}


def test_create_list_and_delete():
    before = GET({})["count"]
    task, status = POST({"task": "t", "when": "*/5 * * * *"})
    assert status == 201 and task["status"] == "planned"
    assert GET({})["count"] == before + 1
    assert GET({"id": task["id"]})["results"] == []
    assert DELETE({"id": task["id"]}) == {"removed": task["id"]}
    assert GET({"id": task["id"]})[1] == 404


def test_results_are_kept():
    once, _ = POST({"task": "t", "when": "2099-01-01T00:00"})
    often, _ = POST({"task": "u", "when": 60})
    for _ in range(RESULTS_KEPT + 5):
        run({"id": often["id"]})
    run({"id": once["id"]})
    assert GET({"id": once["id"]})["status"] == "done"
    often = GET({"id": often["id"]})
    assert often["status"] == "planned" and often["runs"] == RESULTS_KEPT + 5
    assert len(often["results"]) == RESULTS_KEPT and often["results"][0]["result"] == "u: done"


def test_what_cannot_be_planned():
    for wrong in ({"task": "t", "when": "soon"}, {"task": "t", "when": 0}, {"task": "t"},
                  {"when": 60}, {"task": 7, "when": 60}):
        assert POST(wrong)[1] == 400, wrong
    assert DELETE({"id": "none"})[1] == 404


def test_a_task_that_was_removed_does_nothing():
    run({"id": 10**6})
    assert _state_manager.get(key_of(10**6)) is None
