r"""A function that runs by itself: every ten seconds, whoever calls or not.

    curl http://127.0.0.1:8001/objects/basics_ticker
    {"ticks": …, "last": …, "recent": …}

The station starts the object for its ticks, also after it was stopped in between. What runs when, and
how it went, is shown without starting anything:

    curl 'http://127.0.0.1:8001/objects/basics_ticker?status=true'
    {"status": "ok", "object_id": "basics_ticker", … "schedules": [{"method": "tick",
     "kind": "interval", "interval": 10, "next_run": … "misfire": "once", "declared": true, …}]}

A second, faster one can be switched on and off; both call the same function:

    curl -X POST http://127.0.0.1:8001/objects/basics_ticker \
         -H 'Content-Type: application/json' -d '{"action": "start"}'
    {"status": "ok", "message": "basics_ticker started", "object_id": "basics_ticker",
     "result": {"every": 1}}

    curl -X POST http://127.0.0.1:8001/objects/basics_ticker \
         -H 'Content-Type: application/json' -d '{"action": "stop"}'
    {"status": "ok", "message": "basics_ticker stopped", "object_id": "basics_ticker",
     "result": {"every": 10}}

    curl -X DELETE http://127.0.0.1:8001/objects/basics_ticker
    {"ticks": 0, "last": null, "recent": []}
"""

import datetime

__endpoint__ = {
    "name": "ticker",
    "version": "1.0.0",
    "description": "Ticks every ten seconds",
    "author": "objectd",
    "schedule": {"tick": 10},
}

KEPT = 10


def tick():
    """One turn, like a call: exclusive, and committed together with the time of the next one."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    _state_manager.increment("ticks")
    _state_manager.set("recent", (_state_manager.get("recent", []) + [now])[-KEPT:])


def GET(request):
    recent = _state_manager.get("recent", [])
    return {"ticks": _state_manager.get("ticks", 0), "last": recent[-1] if recent else None,
            "recent": recent}


def DELETE(request):
    _state_manager.delete("ticks")
    _state_manager.delete("recent")
    return GET(request)


def start(request):
    _schedule(1, "tick", misfire="skip")
    return {"every": 1}


def stop(request):
    _unschedule("tick")
    return {"every": __endpoint__["schedule"]["tick"]}


def test_ticks_are_counted():
    DELETE({})
    for _ in range(KEPT + 2):
        tick()
    answer = GET({})
    assert answer["ticks"] == KEPT + 2 and len(answer["recent"]) == KEPT
    assert answer["last"] == answer["recent"][-1]


def test_start_and_stop():
    assert start({}) == {"every": 1} and stop({}) == {"every": 10}
