r"""Tutorial 4: check what was sent, answer with the right status, and test it.

The values of a query are text, those of a JSON body have their type: number() takes both. A handler
that returns (body, status) sets the status; without one it is 200.

    curl 'http://127.0.0.1:8001/objects/tutorial_04_calculator?op=multiply&a=6&b=7'
    {"op": "multiply", "a": 6, "b": 7, "result": 42}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_04_calculator \
         -H 'Content-Type: application/json' -d '{"op": "divide", "a": 1, "b": 4}'
    {"op": "divide", "a": 1, "b": 4, "result": 0.25}

    curl 'http://127.0.0.1:8001/objects/tutorial_04_calculator?op=divide&a=1&b=0'
    {"error": "division by zero"}

    curl 'http://127.0.0.1:8001/objects/tutorial_04_calculator?op=power&a=two&b=3'
    {"error": "a must be a number"}

Functions named test_… are the object's own tests. They run on a copy of its state, and nothing of
what they do is kept:

    curl 'http://127.0.0.1:8001/objects/tutorial_04_calculator?test=true'
    {"status": "pass", "object_id": "tutorial_04_calculator", "test_count": 4, "passed": 4,
     "failed": 0, "skipped": 0, "results": […]}
"""

import math

__endpoint__ = {
    "name": "tutorial: calculator",
    "version": "1.0.0",
    "description": "Computes with two numbers, and tests itself",
    "author": "objectd",
}

OPERATIONS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: float(a) ** b,
}


class BadInput(Exception):
    """What the caller sent cannot be computed; its text is for the caller."""


def number(request, name):
    value = request.get(name)
    try:
        if isinstance(value, str):
            value = float(value) if any(c in value for c in ".eE") else int(value)
    except ValueError:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{name} must be a number")
    return value


def compute(op, a, b):
    if op not in OPERATIONS:
        raise BadInput("op must be one of " + ", ".join(OPERATIONS))
    try:
        result = OPERATIONS[op](a, b)
    except ZeroDivisionError:
        raise BadInput("division by zero") from None
    except OverflowError:
        raise BadInput("the result is too large") from None
    if isinstance(result, complex):
        raise BadInput("the result is no real number")
    return result


def answer(request):
    try:
        op, a, b = request.get("op"), number(request, "a"), number(request, "b")
        return {"op": op, "a": a, "b": b, "result": compute(op, a, b)}
    except BadInput as problem:
        return {"error": str(problem)}, 400


def GET(request):
    return answer(request)


def POST(request):
    return answer(request)


# --- tests ---


def test_computes():
    assert compute("add", 2, 3) == 5
    assert compute("subtract", 2, 3) == -1
    assert compute("power", 2, 10) == 1024


def test_takes_text_and_numbers():
    assert GET({"op": "add", "a": "1", "b": "2.5"})["result"] == 3.5
    assert POST({"op": "add", "a": 1, "b": 2})["result"] == 3


def test_refuses_what_is_no_number():
    for wrong in (None, "", "two", True, [1], {}, "nan", float("inf")):
        body, status = POST({"op": "add", "a": wrong, "b": 1})
        assert status == 400 and "a must be a number" in body["error"], wrong


def test_refuses_what_cannot_be_computed():
    for op, a, b in (("divide", 1, 0), ("root", 1, 2), ("power", 10, 10**6), ("power", -8, 0.5)):
        assert POST({"op": op, "a": a, "b": b})[1] == 400, op
