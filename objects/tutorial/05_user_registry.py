r"""Tutorial 5: many records in one object, each under a key of its own.

A path behind the object's id reaches the handler as request.path_parts, so every user has an
address of its own. _state_manager.keys("user:") are the keys that begin so.

    curl -X POST http://127.0.0.1:8001/objects/tutorial_05_user_registry \
         -H 'Content-Type: application/json' -d '{"name": "Ada", "email": "ada@example.org"}'
    {"id": 1, "name": "Ada", "email": "ada@example.org"}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_05_user_registry \
         -d name=Grace -d email=grace@example.org
    {"id": 2, "name": "Grace", "email": "grace@example.org"}

    curl http://127.0.0.1:8001/objects/tutorial_05_user_registry
    {"users": [{"id": 1, "name": "Ada", "email": "ada@example.org"},
               {"id": 2, "name": "Grace", "email": "grace@example.org"}], "count": 2}

    curl http://127.0.0.1:8001/objects/tutorial_05_user_registry/2
    {"id": 2, "name": "Grace", "email": "grace@example.org"}

    curl -X PUT http://127.0.0.1:8001/objects/tutorial_05_user_registry/2 \
         -H 'Content-Type: application/json' -d '{"name": "Grace Hopper"}'
    {"id": 2, "name": "Grace Hopper", "email": "grace@example.org"}

    curl -X POST http://127.0.0.1:8001/objects/tutorial_05_user_registry \
         -d name=Another -d email=ada@example.org
    {"error": "ada@example.org is registered already"}

    curl -X DELETE http://127.0.0.1:8001/objects/tutorial_05_user_registry/1
    {"deleted": 1}

    curl http://127.0.0.1:8001/objects/tutorial_05_user_registry/1
    {"error": "no user 1"}

One turn runs at a time, so looking for the e-mail address and then writing needs no lock.
"""

__endpoint__ = {
    "name": "tutorial: user registry",
    "version": "1.0.0",
    "description": "Users by number: create, read, change, delete",
    "author": "objectd",
}


def key_of(number):
    return f"user:{number:08d}"  # with zeros, so that keys sort like numbers


def all_users():
    return [_state_manager.get(key) for key in _state_manager.keys("user:")]


def asked_for(request):
    """The number behind the id of the object; None: there is none."""
    parts = getattr(request, "path_parts", [])
    return int(parts[0]) if len(parts) == 1 and parts[0].isascii() and parts[0].isdigit() else None


def problem_with(user):
    """What is wrong with it, or None."""
    for field in ("name", "email"):
        if not isinstance(user.get(field), str) or not user[field].strip():
            return f"{field} is missing"
    if "@" not in user["email"]:
        return "email has no @"
    others = (u["id"] for u in all_users() if u["email"] == user["email"])
    if any(number != user["id"] for number in others):
        return f"{user['email']} is registered already"
    return None


def save(user):
    problem = problem_with(user)
    if problem:
        return {"error": problem}, 409 if "already" in problem else 400
    _state_manager.set(key_of(user["id"]), user)
    return user


def find(number):
    return _state_manager.get(key_of(number)) if number is not None else None


def missing(number):
    return {"error": f"no user {number}" if number is not None else "which user?"}, 404


def GET(request):
    if not getattr(request, "path_parts", None):
        users = all_users()
        return {"users": users, "count": len(users)}
    number = asked_for(request)
    return find(number) or missing(number)


def POST(request):
    number = _state_manager.get("last_number", 0) + 1
    saved = save({"id": number, "name": request.get("name"), "email": request.get("email")})
    if isinstance(saved, dict):
        _state_manager.set("last_number", number)  # numbers are never used again
        _logger.info("registered", user=number)
        return saved, 201
    return saved


def PUT(request):
    number = asked_for(request)
    user = find(number)
    if not user:
        return missing(number)
    return save({**user, **{f: request[f] for f in ("name", "email") if f in request}})


def DELETE(request):
    number = asked_for(request)
    if not find(number):
        return missing(number)
    _state_manager.delete(key_of(number))
    return {"deleted": number}


# --- tests: each begins with the object's own state, and leaves nothing behind ---


def test_a_new_user_is_listed():
    user, status = POST({"name": "Test", "email": "test@test.invalid"})
    assert status == 201
    assert user in GET({})["users"]


def test_an_address_is_taken_once():
    POST({"name": "One", "email": "same@test.invalid"})
    body, status = POST({"name": "Two", "email": "same@test.invalid"})
    assert status == 409 and "already" in body["error"]


def test_numbers_are_not_used_again():
    first, _ = POST({"name": "One", "email": "one@test.invalid"})
    _state_manager.delete(key_of(first["id"]))
    second, _ = POST({"name": "Two", "email": "two@test.invalid"})
    assert second["id"] == first["id"] + 1


def test_refuses_incomplete_users():
    for user in ({}, {"name": "x"}, {"name": "", "email": "a@b"}, {"name": "x", "email": 5},
                 {"name": "x", "email": "nowhere"}):
        assert POST(user)[1] == 400, user


def test_an_unknown_user():
    assert find(10**9) is None
    assert missing(7) == ({"error": "no user 7"}, 404)
