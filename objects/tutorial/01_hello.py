r"""Tutorial 1: answer, and use what the caller sent.

`request` is a dict of the call's data: the query parameters of a GET, the JSON body or the form
fields of a POST.

    curl http://127.0.0.1:8001/objects/tutorial_01_hello
    {"message": "Hello, World!"}

    curl 'http://127.0.0.1:8001/objects/tutorial_01_hello?name=Ada'
    {"message": "Hello, Ada!"}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_01_hello \
         -H 'Content-Type: application/json' -d '{"name": "Ada"}'
    {"message": "Hello, Ada!"}

Other methods answer 405, for this file has no function of their name:

    curl -X DELETE http://127.0.0.1:8001/objects/tutorial_01_hello
    {"status": "error", "error": "object tutorial_01_hello has no DELETE"}
"""

__endpoint__ = {
    "name": "tutorial: hello",
    "version": "1.0.0",
    "description": "Answers with the name it was given",
    "author": "objectd",
}


def greeting(request):
    return {"message": f"Hello, {request.get('name', 'World')}!"}


def GET(request):
    return greeting(request)


def POST(request):
    return greeting(request)


# --- tests: GET /objects/tutorial_01_hello?test=true runs them ---


def test_greets_the_world():
    assert GET({}) == {"message": "Hello, World!"}


def test_greets_by_name():
    assert POST({"name": "Ada"}) == GET({"name": "Ada"}) == {"message": "Hello, Ada!"}
