"""Tutorial 2: write to the object's log.

`_logger` is given to every object. Fields are kept apart from the message, so the log can be
searched by them. print() goes to the same log, with the level STDOUT.

    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?name=Ada'
    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?logs=true'
    curl 'http://127.0.0.1:8001/objects/tutorial_02_hello_with_logging?logs=true&level=WARNING'
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
