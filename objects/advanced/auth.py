r"""Accounts: register, log in, tokens, change of e-mail and password, log out.

What to do stands in the data, so that other objects can ask for it too:

    curl -X POST http://127.0.0.1:8001/objects/advanced_auth \
         -H 'Content-Type: application/json' \
         -d '{"action": "register", "email": "ada@example.org", "password": "correct horse", "name": "Ada"}'
    {"user": {"id": 1, "email": "ada@example.org", "name": "Ada"}}

    curl -X POST http://127.0.0.1:8001/objects/advanced_auth \
         -H 'Content-Type: application/json' \
         -d '{"action": "login", "email": "ada@example.org", "password": "wrong guess"}'
    {"error": "e-mail address or password is wrong"}

Logging in gives a token, which the next requests carry:

    TOKEN=$(curl -s -X POST http://127.0.0.1:8001/objects/advanced_auth \
         -H 'Content-Type: application/json' \
         -d '{"action": "login", "email": "ada@example.org", "password": "correct horse"}' \
         | sed 's/.*"token": "\([^"]*\)".*/\1/')

    curl http://127.0.0.1:8001/objects/advanced_auth -H "Authorization: Bearer $TOKEN"
    {"user": {"id": 1, "email": "ada@example.org", "name": "Ada"}}

    curl -X POST http://127.0.0.1:8001/objects/advanced_auth -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' \
         -d '{"action": "change_email", "email": "ada@example.com", "password": "correct horse"}'
    {"user": {"id": 1, "email": "ada@example.com", "name": "Ada"}}

A new password ends all other sessions:

    curl -X POST http://127.0.0.1:8001/objects/advanced_auth -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' \
         -d '{"action": "change_password", "password": "correct horse", "new_password": "battery staple"}'
    {"user": {"id": 1, "email": "ada@example.com", "name": "Ada"}, "sessions_ended": 0}

    curl -X POST http://127.0.0.1:8001/objects/advanced_auth -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' -d '{"action": "logout"}'
    {"logged_out": true}

    curl http://127.0.0.1:8001/objects/advanced_auth -H "Authorization: Bearer $TOKEN"
    {"error": "log in first"}

Another object finds out who somebody is with

    _runtime.call_object("advanced_auth", "POST", {"action": "validate", "token": token})["user"]

Passwords are kept as scrypt hashes, tokens as SHA-256: the state holds nothing to log in with.
Several wrong passwords for one address make it wait.
"""

import hashlib
import hmac
import re
import secrets
import time

__endpoint__ = {
    "name": "auth",
    "version": "1.0.0",
    "description": "Accounts with hashed passwords and tokens",
    "author": "objectd",
}

SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and some hundredths of a second
SESSION_SECONDS = 7 * 24 * 3600
PASSWORD_MIN, PASSWORD_MAX = 10, 1000
GUESSES_MAX, GUESSES_SECONDS = 5, 300


class Refused(Exception):
    """No, and why: for the caller."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


# --- secrets ---


def hash_password(password, salt=None):
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)
    return f"scrypt${salt.hex()}${digest.hex()}"


NOBODY = hash_password("nobody has this", b"\0" * 16)  # so that guessing addresses takes as long


def password_fits(password, stored):
    salt = bytes.fromhex(stored.split("$")[1])
    return hmac.compare_digest(hash_password(password, salt), stored)


def token_key(token):
    return "token:" + hashlib.sha256(token.encode()).hexdigest()


# --- what was sent ---


def text(request, name):
    value = request.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"{name} is missing")
    return value


def address(request):
    email = text(request, "email").strip().lower()
    if len(email) > 254 or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise Refused(400, "that is no e-mail address")
    return email


def new_password(request, name):
    password = text(request, name)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Refused(400, f"{name} must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    return password


def given_token(request):
    """In the data, or as HTTP has it."""
    if isinstance(request.get("token"), str):
        return request["token"]
    header = request.get_header("Authorization", "") if hasattr(request, "get_header") else ""
    return header[7:].strip() if header.lower().startswith("bearer ") else ""


# --- users and sessions ---


def user_key(email):
    return "user:" + email


def public(user):
    return {"id": user["id"], "email": user["email"], "name": user["name"]}


def session(request, now):
    """(token key, user) of a request that is logged in."""
    key = token_key(given_token(request))
    found = _state_manager.get(key)
    if not found or found["expires"] <= now:
        raise Refused(401, "log in first")
    return key, _state_manager.get(user_key(found["email"]))


def sessions_of(email):
    return [k for k in _state_manager.keys("token:") if _state_manager.get(k)["email"] == email]


def check_password(email, password, now):
    """The user; a wrong password counts as a guess."""
    key = "guesses:" + email
    guesses = [t for t in _state_manager.get(key, []) if t > now - GUESSES_SECONDS]
    if len(guesses) >= GUESSES_MAX:
        raise Refused(429, "too many wrong passwords: try again later")
    user = _state_manager.get(user_key(email))
    fits = password_fits(password, user["password"] if user else NOBODY)
    if user and fits:
        _state_manager.delete(key)
        return user
    _state_manager.set(key, guesses + [now])
    _logger.warning("wrong password", email=email)
    raise Refused(401, "e-mail address or password is wrong")


# --- actions ---


def register(request, now):
    email, password = address(request), new_password(request, "password")
    if user_key(email) in _state_manager:
        raise Refused(409, "there is an account with that address")
    user = {"id": _state_manager.increment("last_id"), "email": email, "created": now,
            "name": str(request.get("name") or email.partition("@")[0])[:100],
            "password": hash_password(password)}
    _state_manager.set(user_key(email), user)
    _logger.info("registered", user=user["id"])
    return {"user": public(user)}, 201


def login(request, now):
    user = check_password(address(request), text(request, "password")[:PASSWORD_MAX], now)
    for key in _state_manager.keys("token:"):
        if _state_manager.get(key)["expires"] <= now:
            _state_manager.delete(key)
    token = secrets.token_urlsafe(32)
    expires = now + SESSION_SECONDS
    _state_manager.set(token_key(token), {"email": user["email"], "expires": expires})
    return {"token": token, "expires": expires, "user": public(user)}


def validate(request, now):
    return {"user": public(session(request, now)[1])}


def change_email(request, now):
    _, user = session(request, now)
    old, new = user["email"], address(request)
    check_password(old, text(request, "password"), now)
    if new != old and user_key(new) in _state_manager:
        raise Refused(409, "there is an account with that address")
    _state_manager.delete(user_key(old))
    user["email"] = new
    _state_manager.set(user_key(new), user)
    for key in sessions_of(old):
        _state_manager.set(key, {**_state_manager.get(key), "email": new})
    return {"user": public(user)}


def change_password(request, now):
    own, user = session(request, now)
    password = new_password(request, "new_password")
    check_password(user["email"], text(request, "password"), now)
    user["password"] = hash_password(password)
    _state_manager.set(user_key(user["email"]), user)
    others = [key for key in sessions_of(user["email"]) if key != own]
    for key in others:
        _state_manager.delete(key)
    return {"user": public(user), "sessions_ended": len(others)}


def logout(request, now):
    key, _ = session(request, now)
    _state_manager.delete(key)
    return {"logged_out": True}


ACTIONS = {f.__name__: f for f in (register, login, validate, change_email, change_password, logout)}


def act(name, request, now):
    try:
        if name not in ACTIONS:
            raise Refused(400, "action must be one of " + ", ".join(ACTIONS))
        return ACTIONS[name](request, now)
    except Refused as refused:
        # Returned, not raised: what was noted, such as a wrong guess, shall stay.
        return {"error": str(refused)}, refused.status


def GET(request):
    return act("validate", request, time.time())


def POST(request):
    name = request.get("action")
    return act(name if isinstance(name, str) else "", request, time.time())


# --- tests ---

ADA = {"email": "Ada@Test.invalid", "password": "correct horse", "name": "Ada"}


def made(action, now=0, **data):
    answer = act(action, data, now)
    assert isinstance(answer, dict) or answer[1] < 400, answer
    return answer if isinstance(answer, dict) else answer[0]


def refused(action, now=0, **data):
    return act(action, data, now)[1]


def logged_in(now=0):
    made("register", **ADA)
    return made("login", now, **ADA)["token"]


def test_register_once():
    assert made("register", **ADA)["user"]["email"] == "ada@test.invalid"
    assert refused("register", **ADA) == 409


def test_a_token_is_valid_until_it_expires():
    token = logged_in()
    assert made("validate", token=token)["user"]["name"] == "Ada"
    assert refused("validate", SESSION_SECONDS, token=token) == 401
    assert refused("validate", token="no" + token) == 401
    assert refused("validate") == 401


def test_nothing_in_the_state_logs_in():
    token = logged_in()
    kept = repr(_state_manager.get_all())
    assert ADA["password"] not in kept and token not in kept


def test_change_of_address_keeps_the_session():
    token = logged_in()
    made("change_email", token=token, email="new@test.invalid", password=ADA["password"])
    assert made("validate", token=token)["user"]["email"] == "new@test.invalid"
    assert refused("login", **ADA) == 401
    made("login", email="new@test.invalid", password=ADA["password"])


def test_an_address_of_somebody_else():
    made("register", email="bob@test.invalid", password="0123456789")
    token = logged_in()
    assert refused("change_email", token=token, email="bob@test.invalid",
                   password=ADA["password"]) == 409


def test_change_of_password_ends_other_sessions():
    token = logged_in()
    other = made("login", **ADA)["token"]
    answer = made("change_password", token=token, password=ADA["password"],
                  new_password="battery staple")
    assert answer["sessions_ended"] == 1
    assert refused("validate", token=other) == 401
    assert refused("login", **ADA) == 401
    made("validate", token=token)


def test_changes_need_the_password():
    token = logged_in()
    assert refused("change_email", token=token, email="x@test.invalid", password="wrong wrong") == 401
    assert refused("change_password", token=token, password="wrong wrong",
                   new_password="battery staple") == 401


def test_logout():
    token = logged_in()
    made("logout", token=token)
    assert refused("validate", token=token) == 401


def test_guessing_has_to_wait():
    made("register", **ADA)
    for n in range(GUESSES_MAX):
        assert refused("login", n, email=ADA["email"], password="guess") == 401
    assert refused("login", 10, **ADA) == 429
    made("login", GUESSES_SECONDS + 10, **ADA)


def test_refuses_bad_input():
    for data in ({}, {"email": "x"}, {"email": "a@b"}, {"email": "a@b", "password": "short"},
                 {"email": "a@b", "password": 5}, {"email": "no", "password": "0123456789"},
                 {"email": "a b@c", "password": "0123456789"}):
        assert refused("register", **data) == 400, data
    assert refused("fly") == 400
    assert POST({"action": ["register"]})[1] == 400
