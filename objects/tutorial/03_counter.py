"""Tutorial 3: keep state.

What `_state_manager` holds is durable before the answer leaves the station, and survives a restart
or `kill -9`. An object runs one call at a time, so reading, adding and writing loses nothing,
however many clients call at once.

    curl http://127.0.0.1:8001/objects/tutorial_03_counter
    curl -X POST http://127.0.0.1:8001/objects/tutorial_03_counter
    curl -X POST http://127.0.0.1:8001/objects/tutorial_03_counter \\
         -H 'Content-Type: application/json' -d '{"by": 10}'
    curl -X DELETE http://127.0.0.1:8001/objects/tutorial_03_counter
    curl 'http://127.0.0.1:8001/objects/tutorial_03_counter?state=true'
    cat data/state/tutorial_03_counter/state.tsv
"""

__endpoint__ = {
    "name": "tutorial: counter",
    "version": "1.0.0",
    "description": "Counts, and remembers",
    "author": "objectd",
}


def GET(request):
    return {"count": _state_manager.get("count", 0)}


def POST(request):
    by = request.get("by", 1)
    if not isinstance(by, int) or isinstance(by, bool):
        return {"error": "by must be a whole number"}, 400
    count = _state_manager.get("count", 0)
    _state_manager.set("count", count + by)
    return {"count": count + by}


def DELETE(request):
    _state_manager.delete("count")
    return {"count": 0}
