r"""A profile: one record that is read, replaced, changed and emptied; as JSON, or as a page.

    curl -X PUT http://127.0.0.1:8001/objects/basics_user_profile \
         -H 'Content-Type: application/json' \
         -d '{"name": "Ada Lovelace", "email": "ada@example.org", "interests": ["looms", "numbers"]}'
    {"name": "Ada Lovelace", "email": "ada@example.org", "bio": "", "interests": ["looms", "numbers"],
     "changed": "…"}

    curl -X PATCH http://127.0.0.1:8001/objects/basics_user_profile \
         -H 'Content-Type: application/json' -d '{"bio": "Wrote the first program."}'
    {"name": "Ada Lovelace", "email": "ada@example.org", "bio": "Wrote the first program.",
     "interests": ["looms", "numbers"], "changed": "…"}

    curl http://127.0.0.1:8001/objects/basics_user_profile
    {"name": "Ada Lovelace", "email": "ada@example.org", "bio": "Wrote the first program.",
     "interests": ["looms", "numbers"], "changed": "…"}

    curl -H 'Accept: text/html' http://127.0.0.1:8001/objects/basics_user_profile
    <!doctype html>…<h1>Ada Lovelace</h1>…

    curl -X PATCH http://127.0.0.1:8001/objects/basics_user_profile \
         -H 'Content-Type: application/json' -d '{"shoe_size": 38}'
    {"error": "a profile has no shoe_size"}

    curl -X DELETE http://127.0.0.1:8001/objects/basics_user_profile
    {"name": "", "email": "", "bio": "", "interests": []}

In a browser the page has a form, whose POST changes the same profile.
"""

import html
from datetime import datetime, timezone

__endpoint__ = {
    "name": "user profile",
    "version": "1.0.0",
    "description": "One person's profile, as JSON or as a page with a form",
    "author": "objectd",
}

EMPTY = {"name": "", "email": "", "bio": "", "interests": []}
LENGTH_MAX = 1000

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34em; margin: 3em auto }}
label {{ display: block; margin: .7em 0 }} input, textarea {{ width: 100%; font: inherit }}</style>
<h1>{name}</h1>
<p>{bio}</p>
<p>{interests}</p>
<form method="post">
<label>Name <input name="name" value="{name}"></label>
<label>E-mail <input name="email" value="{email}"></label>
<label>About <textarea name="bio" rows="3">{bio}</textarea></label>
<label>Interests, separated by commas <input name="interests" value="{interests}"></label>
<button>Save</button>
</form></html>
"""


def profile():
    return _state_manager.get("profile", EMPTY)


def page():
    shown = dict(profile(), interests=", ".join(profile()["interests"]))
    return PAGE.format(**{k: html.escape(v) for k, v in shown.items()})


def problem_with(changes):
    for field, value in changes.items():
        if field not in EMPTY:
            return f"a profile has no {field}"
        values = value if field == "interests" else [value]
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            return f"{field} must be " + ("a list of text" if field == "interests" else "text")
        if sum(map(len, values)) > LENGTH_MAX:
            return f"{field} is longer than {LENGTH_MAX} characters"
    if changes.get("email") and "@" not in changes["email"]:
        return "email has no @"
    return None


def change(old, changes):
    problem = problem_with(changes)
    if problem:
        return {"error": problem}, 400
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _state_manager.set("profile", {**old, **changes, "changed": now})
    return profile()


def wants_page(request):
    return "text/html" in request.get_header("Accept", "")


def GET(request):
    return page() if wants_page(request) else profile()


def PUT(request):
    return change(EMPTY, dict(request))


def PATCH(request):
    return change(profile(), dict(request))


def POST(request):
    """The form of the page."""
    fields = dict(request)
    if isinstance(fields.get("interests"), str):
        fields["interests"] = [i.strip() for i in fields["interests"].split(",") if i.strip()]
    saved = change(profile(), fields)
    return page() if isinstance(saved, dict) and wants_page(request) else saved


def DELETE(request):
    _state_manager.delete("profile")
    return profile()


# --- tests ---


def test_put_replaces_and_patch_changes():
    PUT({"name": "One", "bio": "long ago"})
    assert PATCH({"name": "Two"})["bio"] == "long ago"
    assert PUT({"name": "Three"})["bio"] == ""


def test_what_it_refuses_changes_nothing():
    PUT({"name": "One"})
    for wrong in ({"shoe_size": 38}, {"name": 5}, {"interests": "looms"}, {"interests": [1]},
                  {"email": "nowhere"}, {"bio": "x" * 1001}):
        assert PATCH(wrong)[1] == 400, wrong
    assert profile()["name"] == "One"


def test_the_page_is_safe(request):
    PUT({"name": "<script>alert(1)</script>", "bio": '"quoted"'})
    assert "<script>" not in page() and "&quot;quoted&quot;" in page()


def test_delete_empties_it():
    PUT({"name": "One"})
    assert DELETE({}) == EMPTY
