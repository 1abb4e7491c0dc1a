"""Tutorial 1: answer, and use what the caller sent.

`request` is a dict of the call's data: the query parameters of a GET, the JSON body or the form
fields of a POST.

    curl http://127.0.0.1:8001/objects/tutorial_01_hello
    curl 'http://127.0.0.1:8001/objects/tutorial_01_hello?name=Ada'
    curl -X POST http://127.0.0.1:8001/objects/tutorial_01_hello \\
         -H 'Content-Type: application/json' -d '{"name": "Ada"}'

Other methods answer 405, for this file has no function of their name:

    curl -i -X DELETE http://127.0.0.1:8001/objects/tutorial_01_hello
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
