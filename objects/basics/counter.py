r"""A counter: increment() reads, adds and writes in one call.

    curl http://127.0.0.1:8001/objects/basics_counter
    {"count": 0}

    curl -X POST http://127.0.0.1:8001/objects/basics_counter
    {"count": 1}

    curl -X PUT http://127.0.0.1:8001/objects/basics_counter \
         -H 'Content-Type: application/json' -d '{"value": 100}'
    {"count": 100}

    curl -X POST http://127.0.0.1:8001/objects/basics_counter
    {"count": 101}

    curl -X DELETE http://127.0.0.1:8001/objects/basics_counter
    {"count": 0}

A handler names what it wants as parameters, or uses the same names as globals.
"""

__endpoint__ = {
    "name": "counter",
    "version": "1.0.0",
    "description": "A durable counter",
    "author": "objectd",
}


def GET(request, _state_manager):
    return {"count": _state_manager.get("count", 0)}


def POST(request, _state_manager, _logger):
    count = _state_manager.increment("count")
    if count % 1000 == 0:
        _logger.info("another thousand", count=count)
    return {"count": count}


def PUT(request, _state_manager):
    value = request.get("value")
    if not isinstance(value, int) or isinstance(value, bool):
        return {"error": "value must be a whole number"}, 400
    _state_manager.set("count", value)
    return {"count": value}


def DELETE(request, _state_manager):
    _state_manager.delete("count")
    return {"count": 0}


def test_counts_from_what_was_put(_state_manager, _logger):
    PUT({"value": 999}, _state_manager)
    assert POST({}, _state_manager, _logger) == {"count": 1000}
    assert GET({}, _state_manager) == {"count": 1000}


def test_refuses_what_is_no_number(_state_manager):
    for value in ("100", 1.5, True, None):
        assert PUT({"value": value}, _state_manager)[1] == 400, value


def test_delete_starts_again(_state_manager):
    _state_manager.set("count", 5)
    assert DELETE({}, _state_manager) == GET({}, _state_manager) == {"count": 0}
