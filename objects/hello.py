"""The smallest object: a function named after the HTTP method.

    curl http://127.0.0.1:8001/objects/hello
    {"message": "Hello, World!"}
"""

__endpoint__ = {
    "name": "hello",
    "version": "1.0.0",
    "description": "Says hello",
    "author": "objectd",
}


def GET(request):
    return {"message": "Hello, World!"}


def test_says_hello():
    assert GET({}) == {"message": "Hello, World!"}
