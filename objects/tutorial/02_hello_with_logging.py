r"""Tutorial 2: write to the object's log.

`_logger` is given to every object. Fields are kept apart from the message, so the log can be
searched by them. print() goes to the same log, with the level STDOUT.

    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?name=Ada'
    {"message": "Hello, Ada!"}

    curl http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging
    {"message": "Hello, World!"}

    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?logs=true'
    {"status": "ok", "object_id": "tutorial_02_hello_with_logging", "logs": […], "count": …}

    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?logs=true&level=WARNING'
    {"status": "ok", "object_id": "tutorial_02_hello_with_logging", "logs":
     [{"timestamp": "…", "level": "WARNING", "message": "nobody named", …}], "count": 1}

    objectctl logs tutorial_02_hello_with_logging -f
"""

__endpoint__ = {
    "name": "tutorial: hello with logging",
    "version": "1.0.0",
    "description": "Says hello and logs whom it greeted",
    "author": "objectd",
}


def GET(request):
    name = request.get("name")
    if name is None:
        _logger.warning("nobody named", method="GET")
        name = "World"
    _logger.info("greeting", name=name)
    print("said hello to", name)
    return {"message": f"Hello, {name}!"}


# --- tests: their lines in the log carry the field test ---


def test_greets_by_name():
    assert GET({"name": "Ada"}) == {"message": "Hello, Ada!"}


def test_greets_whoever_it_is():
    assert GET({}) == {"message": "Hello, World!"}
