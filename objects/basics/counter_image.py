r"""A hit counter as a picture: every time it is shown it counts, and draws the number as SVG.

    curl 'http://127.0.0.1:8001/objects/basics_counter_image?page=home'
    <svg …>…000001…</svg>

    curl 'http://127.0.0.1:8001/objects/basics_counter_image?page=home&digits=4&style=paper'
    <svg …>…0002…</svg>

    curl http://127.0.0.1:8001/objects/basics_counter_image/counts
    {"counts": {"home": 2}}

    curl 'http://127.0.0.1:8001/objects/basics_counter_image?page=home&digits=900'
    {"error": "digits must be a number from 1 to 12"}

    curl -X DELETE 'http://127.0.0.1:8001/objects/basics_counter_image?page=home'
    {"page": "home", "removed": true}

In a page of yours:

    <img src="http://127.0.0.1:8001/objects/basics_counter_image?page=home" alt="visitors">

http://127.0.0.1:8001/objects/basics_counter_image/demo shows how that looks.
"""

import html
import re

__endpoint__ = {
    "name": "counter image",
    "version": "1.0.0",
    "description": "A hit counter that draws itself as SVG",
    "author": "objectd",
}

STYLES = {  # tile, edge, digit
    "night": ("#1d2430", "#3a465a", "#7ee787"),
    "paper": ("#fdf6e3", "#d5c9a4", "#5b4636"),
    "brass": ("#5a3e1b", "#c9a227", "#ffe9a8"),
}
WIDTH, HEIGHT, GAP = 26, 38, 3
FRESH = {"Cache-Control": "no-store", "Content-Type": "image/svg+xml; charset=utf-8"}

DEMO = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A hit counter</title>
<style>
body { font: 17px/1.6 system-ui, sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em;
       color: #24292f; background: #f6f8fa }
figure { margin: 1.5em 0; padding: 1.2em 1.5em; background: #fff; border: 1px solid #d0d7de;
         border-radius: 10px; display: flex; align-items: center; gap: 1.5em }
figcaption { font-family: ui-monospace, monospace; font-size: 14px; color: #57606a }
</style>
<h1>A hit counter</h1>
<p>Each picture below was drawn by the object when this page asked for it. Load the page again:
they count on.</p>
<figure><img src="?page=demo" alt="visits"><figcaption>?page=demo</figcaption></figure>
<figure><img src="?page=demo-paper&amp;style=paper&amp;digits=4" alt="visits">
<figcaption>?page=demo-paper&amp;style=paper&amp;digits=4</figcaption></figure>
<figure><img src="?page=demo-brass&amp;style=brass&amp;label=visitors" alt="visits">
<figcaption>?page=demo-brass&amp;style=brass&amp;label=visitors</figcaption></figure>
</html>
"""


def tile(place, digit, colours):
    fill, edge, ink = colours
    x = place * (WIDTH + GAP)
    return (f'<rect x="{x}" y="0" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="{fill}" '
            f'stroke="{edge}"/><line x1="{x}" y1="{HEIGHT / 2}" x2="{x + WIDTH}" '
            f'y2="{HEIGHT / 2}" stroke="{edge}" stroke-opacity=".6"/>'
            f'<text x="{x + WIDTH / 2}" y="{HEIGHT * .74}" fill="{ink}">{digit}</text>')


def draw(count, digits=6, style="night", label=""):
    """The picture. The number stands in its title too, for readers and for tests."""
    number = f"{count:0{digits}d}"
    width = len(number) * (WIDTH + GAP) - GAP
    height = HEIGHT + (20 if label else 0)
    caption = (f'<text x="{width / 2}" y="{HEIGHT + 16}" style="font: 13px sans-serif" '
               f'fill="#57606a">{html.escape(label)}</text>' if label else "")
    tiles = "".join(tile(i, d, STYLES[style]) for i, d in enumerate(number))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2}" height="{height + 2}" '
            f'viewBox="-1 -1 {width + 2} {height + 2}" role="img" text-anchor="middle" '
            f'style="font: bold 26px ui-monospace, monospace"><title>{number}</title>'
            f"{tiles}{caption}</svg>")


def key_of(page):
    return "hits:" + page


def page_of(request):
    return request.get("page", "index")


def problem_with(request):
    page, digits = page_of(request), str(request.get("digits", "6"))
    if not isinstance(page, str) or not re.fullmatch(r"[\w./-]{1,100}", page):
        return "page must be 1 to 100 letters, digits, and . _ / -"
    if not (digits.isascii() and digits.isdigit() and len(digits) < 3 and 1 <= int(digits) <= 12):
        return "digits must be a number from 1 to 12"
    if request.get("style", "night") not in STYLES:
        return "style must be one of " + ", ".join(STYLES)
    if len(str(request.get("label", ""))) > 40:
        return "label must be at most 40 characters"
    return None


def picture(request, counts):
    problem = problem_with(request)
    if problem:
        return {"error": problem}, 400
    key = key_of(page_of(request))
    count = _state_manager.increment(key) if counts else _state_manager.get(key, 0)
    return 200, FRESH, draw(count, int(request.get("digits", 6)), request.get("style", "night"),
                            str(request.get("label", "")))


def GET(request):
    part = "/".join(request.path_parts)
    if part == "":
        return picture(request, counts=request.method == "GET")
    if part == "counts":
        return {"counts": {key[len("hits:"):]: count for key, count in _state_manager.items()}}
    if part == "demo":
        return DEMO.replace('src="?', f'src="/objects/{_runtime.object_id}?')
    return {"error": f"nothing at /{part}: there are /counts and /demo"}, 404


def DELETE(request):
    page = page_of(request)
    return {"page": page, "removed": _state_manager.delete(key_of(page))}


# --- tests ---


def test_counts_each_page_by_itself():
    for n in range(1, 4):
        assert f"<title>00000{n}</title>" in picture({"page": "test-a"}, counts=True)[2]
    assert "<title>000001</title>" in picture({"page": "test-b"}, counts=True)[2]


def test_looking_does_not_count():
    before = picture({"page": "test"}, counts=False)[2]
    assert picture({"page": "test"}, counts=False)[2] == before


def test_it_is_xml():
    from xml.etree import ElementTree
    for style in STYLES:
        root = ElementTree.fromstring(draw(42, 4, style, label="<b> & \"co\""))
        assert root.find("{*}title").text == "0042"


def test_a_large_number_has_more_digits():
    assert "<title>1234567</title>" in draw(1234567, digits=3)


def test_refuses():
    for wrong in ({"page": ""}, {"page": "a b"}, {"page": "x" * 101}, {"page": "<script>"},
                  {"digits": "0"}, {"digits": "13"}, {"digits": "-1"}, {"digits": "six"},
                  {"style": "neon"}, {"label": "x" * 41}):
        assert picture(wrong, counts=True)[1] == 400, wrong


def test_is_never_cached():
    status, headers, _ = picture({}, counts=True)
    assert status == 200 and headers["Cache-Control"] == "no-store"
