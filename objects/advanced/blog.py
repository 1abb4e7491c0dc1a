r"""A blog: posts with tags, search and pages; who writes is asked of advanced_auth.

Reading needs no account. For writing, log in there first (see auth.py):

    curl -s -o /dev/null -X POST http://127.0.0.1:8001/objects/advanced_auth \
         -H 'Content-Type: application/json' \
         -d '{"action": "register", "email": "ada@example.org", "password": "correct horse", "name": "Ada"}'

    TOKEN=$(curl -s -X POST http://127.0.0.1:8001/objects/advanced_auth \
         -H 'Content-Type: application/json' \
         -d '{"action": "login", "email": "ada@example.org", "password": "correct horse"}' \
         | sed 's/.*"token": "\([^"]*\)".*/\1/')

    curl -X POST http://127.0.0.1:8001/objects/advanced_blog -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' \
         -d '{"title": "Notes on the engine", "body": "It weaves numbers.", "tags": ["Engines", "maths"]}'
    {"post": {"id": 1, "title": "Notes on the engine", "body": "It weaves numbers.",
     "tags": ["engines", "maths"], "author": {"id": …, "name": "Ada"}, "created": "…", "changed": "…"}}

    curl -X POST http://127.0.0.1:8001/objects/advanced_blog -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' -d '{"title": "A walk", "body": "It rained."}'
    {"post": {"id": 2, "title": "A walk", …}}

    curl -X POST http://127.0.0.1:8001/objects/advanced_blog \
         -H 'Content-Type: application/json' -d '{"title": "Spam", "body": "Buy!"}'
    {"error": "log in first"}

Newest first, a page at a time, by tag, or by words:

    curl 'http://127.0.0.1:8001/objects/advanced_blog?per_page=1'
    {"posts": [{"id": 2, "title": "A walk", …}], "total": 2, "page": 1, "pages": 2}

    curl 'http://127.0.0.1:8001/objects/advanced_blog?tag=maths'
    {"posts": [{"id": 1, …}], "total": 1, "page": 1, "pages": 1}

    curl 'http://127.0.0.1:8001/objects/advanced_blog?q=numbers+engine'
    {"posts": [{"id": 1, …}], "total": 1, "page": 1, "pages": 1}

    curl http://127.0.0.1:8001/objects/advanced_blog/tags
    {"tags": {"engines": 1, "maths": 1}}

    curl http://127.0.0.1:8001/objects/advanced_blog/1
    {"post": {"id": 1, "title": "Notes on the engine", …}}

A post belongs to its author:

    curl -X PUT http://127.0.0.1:8001/objects/advanced_blog/2 -H "Authorization: Bearer $TOKEN" \
         -H 'Content-Type: application/json' -d '{"title": "A long walk"}'
    {"post": {"id": 2, "title": "A long walk", "body": "It rained.", …}}

    curl -X DELETE http://127.0.0.1:8001/objects/advanced_blog/2
    {"error": "log in first"}

    curl -X DELETE http://127.0.0.1:8001/objects/advanced_blog/2 -H "Authorization: Bearer $TOKEN"
    {"deleted": 2}

A list shows the first words of each post. It is read from a small index, one record a post, so that
a long blog costs no more than what is shown.
"""

import re
from datetime import datetime, timezone

__endpoint__ = {
    "name": "blog",
    "version": "1.0.0",
    "description": "Posts with tags, search and pages, written by accounts of advanced_auth",
    "author": "objectd",
    "depends": ["advanced_auth"],
}

AUTH = "advanced_auth"
PER_PAGE, PER_PAGE_MAX = 10, 100
TITLE_MAX, BODY_MAX, TAGS_MAX = 200, 100_000, 10
EXCERPT = 160


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


# --- who writes ---


def validate(token):
    """The user of a token, or None. The one place that asks another object."""
    try:
        return _runtime.call_object(AUTH, "POST", {"action": "validate", "token": token})["user"]
    except Exception as error:
        if getattr(error, "status", None) == 401:
            return None
        _logger.error("advanced_auth does not answer", error=str(error))
        raise Refused(503, "accounts cannot be checked now") from error


def author_of(request):
    header = request.get_header("Authorization", "")
    token = header[7:].strip() if header.lower().startswith("bearer ") else ""
    user = validate(token) if token else None
    if not user:
        raise Refused(401, "log in first")
    return {"id": user["id"], "name": user["name"]}


# --- what was sent ---


def text(data, name, most):
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"{name} is missing")
    if len(value) > most:
        raise Refused(400, f"{name} is longer than {most} characters")
    return value.strip()


def tags_of(data):
    tags = data.get("tags", [])
    if isinstance(tags, str):  # as a form sends them
        tags = [t for t in tags.split(",") if t.strip()]
    if not isinstance(tags, list) or not all(isinstance(t, str) and t.strip() for t in tags):
        raise Refused(400, "tags must be a list of words")
    if len(tags) > TAGS_MAX:
        raise Refused(400, f"a post has at most {TAGS_MAX} tags")
    return sorted({t.strip().lower()[:50] for t in tags})


def number(data, name, default, most):
    value = str(data.get(name, default))
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= most):
        raise Refused(400, f"{name} must be a number from 1 to {most}")
    return int(value)


def post_id(parts):
    if len(parts) != 1 or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) < 9):
        raise Refused(404, "no such post")
    return int(parts[0])


# --- posts, and an index that is read for lists ---


def now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def words(*texts):
    return sorted({w for t in texts for w in re.findall(r"\w+", t.lower())})


def save(post):
    key = f"{post['id']:08d}"
    shown = {k: post[k] for k in ("id", "title", "tags", "author", "created")}
    shown["excerpt"] = post["body"] if len(post["body"]) <= EXCERPT else post["body"][:EXCERPT] + "…"
    _state_manager.set("post:" + key, post)
    _state_manager.set("list:" + key, shown)
    _state_manager.set("words:" + key, words(post["title"], post["body"], *post["tags"]))
    return {"post": post}


def find(number_of_post):
    post = _state_manager.get(f"post:{number_of_post:08d}")
    if not post:
        raise Refused(404, f"no post {number_of_post}")
    return post


def newest_first():
    return [key[len("list:"):] for key in reversed(_state_manager.keys("list:"))]


def matches(key, tag, wanted):
    if tag and tag not in _state_manager.get("list:" + key)["tags"]:
        return False
    return not wanted or wanted <= set(_state_manager.get("words:" + key))


def search(data):
    page, per_page = number(data, "page", 1, 10**6), number(data, "per_page", PER_PAGE, PER_PAGE_MAX)
    tag, wanted = str(data.get("tag", "")).lower(), set(words(str(data.get("q", ""))))
    found = newest_first()
    if tag or wanted:
        found = [key for key in found if matches(key, tag, wanted)]
    start = (page - 1) * per_page
    return {"posts": [_state_manager.get("list:" + k) for k in found[start:start + per_page]],
            "total": len(found), "page": page, "pages": max(1, -(-len(found) // per_page))}


def count_tags():
    counts = {}
    for key in newest_first():
        for tag in _state_manager.get("list:" + key)["tags"]:
            counts[tag] = counts.get(tag, 0) + 1
    return {"tags": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))}


# --- what can be done ---


def write(data, author):
    created = now()
    post = {"id": _state_manager.get("last_id", 0) + 1, "title": text(data, "title", TITLE_MAX),
            "body": text(data, "body", BODY_MAX), "tags": tags_of(data), "author": author,
            "created": created, "changed": created}
    _state_manager.set("last_id", post["id"])
    _logger.info("written", post=post["id"], author=author["id"])
    return save(post)


def own(number_of_post, author):
    post = find(number_of_post)
    if post["author"]["id"] != author["id"]:
        raise Refused(403, "only its author may change a post")
    return post


def rewrite(number_of_post, data, author):
    post = own(number_of_post, author)
    if "title" in data:
        post["title"] = text(data, "title", TITLE_MAX)
    if "body" in data:
        post["body"] = text(data, "body", BODY_MAX)
    if "tags" in data:
        post["tags"] = tags_of(data)
    return save({**post, "changed": now()})


def remove(number_of_post, author):
    own(number_of_post, author)
    for part in ("post", "list", "words"):
        _state_manager.delete(f"{part}:{number_of_post:08d}")
    return {"deleted": number_of_post}


def answering(function, *arguments):
    try:
        return function(*arguments)
    except Refused as refused:
        return {"error": str(refused)}, refused.status


def read(request):
    parts = request.path_parts
    if not parts:
        return search(request)
    return count_tags() if parts == ["tags"] else {"post": find(post_id(parts))}


def GET(request):
    return answering(read, request)


def POST(request):
    answer = answering(lambda: write(request, author_of(request)))
    return (answer, 201) if isinstance(answer, dict) else answer


def PUT(request):
    return answering(lambda: rewrite(post_id(request.path_parts), request, author_of(request)))


def DELETE(request):
    return answering(lambda: remove(post_id(request.path_parts), author_of(request)))


# --- tests: they call no other object, so they bring their own answer for it ---

ADA, BOB = {"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob"}


def fresh(*titles):
    for key in _state_manager.keys():
        _state_manager.delete(key)
    return [write({"title": t, "body": f"about {t}", "tags": ["all", t[0]]}, ADA)["post"]["id"]
            for t in titles]


def status_of(function, *arguments):
    answer = answering(function, *arguments)
    return answer[1] if isinstance(answer, tuple) else 200


def test_newest_first_in_pages():
    ids = fresh("one", "two", "three", "four", "five")
    pages = [search({"page": str(n), "per_page": "2"}) for n in (1, 2, 3, 4)]
    assert [p["id"] for page in pages for p in page["posts"]] == ids[::-1]
    assert all(page["total"] == 5 and page["pages"] == 3 for page in pages)


def test_by_tag_and_by_words():
    one, two, three = fresh("one", "two", "three")
    assert [p["id"] for p in search({"tag": "T"})["posts"]] == [three, two]
    assert [p["id"] for p in search({"q": "About TWO"})["posts"]] == [two]
    assert search({"q": "one two"})["total"] == 0
    assert search({"tag": "t", "q": "three"})["total"] == 1
    assert count_tags()["tags"] == {"all": 3, "t": 2, "o": 1}


def test_a_post_belongs_to_its_author():
    (one,) = fresh("one")
    assert status_of(rewrite, one, {"title": "mine"}, BOB) == 403
    assert status_of(remove, one, BOB) == 403
    assert rewrite(one, {"title": "still mine"}, ADA)["post"]["title"] == "still mine"
    assert search({"q": "still"})["total"] == 1 and search({"q": "one"})["total"] == 1
    assert remove(one, ADA) == {"deleted": one}
    assert status_of(find, one) == 404 and search({})["total"] == 0


def test_numbers_are_not_used_again():
    (one,) = fresh("one")
    remove(one, ADA)
    assert write({"title": "next", "body": "x"}, ADA)["post"]["id"] == one + 1


def test_refuses_bad_posts():
    for data in ({}, {"title": "x"}, {"title": " ", "body": "x"}, {"title": 5, "body": "x"},
                 {"title": "x" * 201, "body": "x"}, {"title": "x", "body": "x", "tags": 7},
                 {"title": "x", "body": "x", "tags": [1]},
                 {"title": "x", "body": "x", "tags": ["t"] * 11}):
        assert status_of(write, data, ADA) == 400, data


def test_refuses_bad_pages():
    for data in ({"page": "0"}, {"page": "x"}, {"page": "-1"}, {"per_page": "101"}):
        assert status_of(search, data) == 400, data


class Asked(dict):
    def get_header(self, name, default=None):
        return "Bearer good" if self.get("token") else default


def test_writing_needs_a_token():
    global validate
    validate = {"good": {"id": 7, "name": "Eve", "email": "e"}}.get
    assert author_of(Asked(token=True)) == {"id": 7, "name": "Eve"}
    assert status_of(author_of, Asked()) == 401
    assert POST(Asked(title="x", body="y"))[1] == 401
    assert POST(Asked(title="x", body="y", token=True))[1] == 201


def test_without_accounts():
    class Down:
        def call_object(self, *arguments):
            raise RuntimeError("nobody there")
    global _runtime
    kept, _runtime = _runtime, Down()
    try:
        assert status_of(validate_again, "x") == 503
    finally:
        _runtime = kept


validate_again = validate
