r"""Tutorial 3: keep state.

What `_state_manager` holds is durable before the answer leaves the station, and survives a restart
or `kill -9`. An object runs one call at a time, so reading, adding and writing loses nothing,
however many clients call at once.

    curl http://127.0.0.1:8001/objects/tutorial_03_counter
    {"count": 0}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_03_counter
    {"count": 1}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_03_counter \
         -H 'Content-Type: application/json' -d '{"by": 10}'
    {"count": 11}

    curl 'http://127.0.0.1:8001/objects/tutorial_03_counter?state=true'
    {"status": "ok", "object_id": "tutorial_03_counter", "state": {"count": 11}}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_03_counter \
         -H 'Content-Type: application/json' -d '{"by": "ten"}'
    {"error": "by must be a whole number"}

    curl -X DELETE http://127.0.0.1:8001/objects/tutorial_03_counter
    {"count": 0}

The state is a file for people too, a few seconds after the last change:

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


# --- tests: they begin with the object's state, and nothing that they write is kept ---


def test_counts():
    before = GET({})["count"]
    assert POST({}) == {"count": before + 1}
    assert POST({"by": 10}) == {"count": before + 11}


def test_refuses_what_is_no_number():
    before = GET({})
    for by in ("ten", 1.5, None, True, [1]):
        assert POST({"by": by})[1] == 400, by
    assert GET({}) == before


def test_starts_again():
    POST({"by": 5})
    assert DELETE({}) == GET({}) == {"count": 0}
