r"""A gallery: pictures are uploaded, kept among the object's files, and shown on a page.

With a picture of yours in the folder, say cat.png:

    curl http://127.0.0.1:8001/objects/basics_image_gallery -F image=@cat.png -F title='A cat'
    {"id": "1.png", "title": "A cat", "type": "image/png", "size": …, "added": "…"}

    curl http://127.0.0.1:8001/objects/basics_image_gallery
    {"pictures": [{"id": "1.png", "title": "A cat", "type": "image/png", "size": …, "added": "…"}]}

    curl -s -o copy.png http://127.0.0.1:8001/objects/basics_image_gallery/1.png

    curl http://127.0.0.1:8001/objects/basics_image_gallery -F 'image=not a picture;filename=x.png'
    {"error": "x.png is no PNG, JPEG, GIF or WebP picture"}

    curl -H 'Accept: text/html' http://127.0.0.1:8001/objects/basics_image_gallery
    <!doctype html>…<img src="…/1.png" alt="A cat">…

    curl -X DELETE http://127.0.0.1:8001/objects/basics_image_gallery/1.png
    {"deleted": "1.png"}

In a browser the page has a form to upload with. Titles are state and pictures are files: what one
turn changes of both becomes durable together, or not at all.

The object handles uploads itself, so it says so in __endpoint__; without that the station stores what
is posted under the names that the client gives.
"""

import html
from datetime import datetime, timezone

__endpoint__ = {
    "name": "image gallery",
    "version": "1.0.0",
    "description": "Uploads pictures and shows them on a page",
    "author": "objectd",
    "uploads": True,
}

SIZE_MAX = 5 * 1024 * 1024
TITLE_MAX = 100
PICTURES_MAX = 500
KINDS = (  # what a file begins with: its ending, its type
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"GIF8", "gif", "image/gif"),
    (b"RIFF", "webp", "image/webp"),
)

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gallery</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
main {{ display: grid; gap: 1em; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)) }}
figure {{ margin: 0; border: 1px solid #d0d7de; border-radius: 8px; overflow: hidden }}
img {{ width: 100%; height: 160px; object-fit: cover; display: block; background: #f6f8fa }}
figcaption {{ padding: .4em .7em }}
form {{ margin: 1.5em 0; display: flex; gap: .7em; flex-wrap: wrap; align-items: center }}
</style>
<h1>Gallery</h1>
<form method="post" enctype="multipart/form-data">
<input type="file" name="image" accept="image/*" required>
<input name="title" placeholder="Title" maxlength="100"> <button>Upload</button>
</form>
<main>{figures}</main>
</html>
"""


class Refused(Exception):
    """What was sent is not taken; its text is for the sender."""


def key_of(name):
    return "picture:" + name.rjust(16, "0")  # so that keys sort like numbers


def pictures():
    """Newest first."""
    return [_state_manager.get(key) for key in reversed(_state_manager.keys("picture:"))]


def kind_of(content, name):
    if len(content) > SIZE_MAX:
        raise Refused(f"{name} is larger than {SIZE_MAX // 2**20} MB")
    for begin, ending, content_type in KINDS:
        if content.startswith(begin) and (ending != "webp" or content[8:12] == b"WEBP"):
            return ending, content_type
    raise Refused(f"{name} is no PNG, JPEG, GIF or WebP picture")


def add(content, name, title):
    if len(_state_manager.keys("picture:")) >= PICTURES_MAX:
        raise Refused(f"the gallery is full: it holds {PICTURES_MAX} pictures")
    ending, content_type = kind_of(content, name)
    # A name of our own: what the client calls its file is only shown.
    own = f"{_state_manager.increment('last_number')}.{ending}"
    picture = {"id": own, "title": (title.strip() or name)[:TITLE_MAX], "type": content_type,
               "size": len(content), "added": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    _files.put(own, content)
    _state_manager.set(key_of(own), picture)
    return picture


def find(request):
    """The picture that the path names, or None."""
    name = "/".join(request.path_parts)
    return _state_manager.get(key_of(name)) if name else None


def page(base):
    figures = [f'<figure><img src="{base}/{p["id"]}" alt="{html.escape(p["title"])}">'
               f'<figcaption>{html.escape(p["title"])}</figcaption></figure>' for p in pictures()]
    return PAGE.format(figures="".join(figures) or "<p>No pictures yet.</p>")


def wants_page(request):
    return "text/html" in request.get_header("Accept", "")


def GET(request):
    if not request.path_parts:
        base = "/objects/" + _runtime.object_id
        return page(base) if wants_page(request) else {"pictures": pictures()}
    picture = find(request)
    if not picture:
        return {"error": "no such picture"}, 404
    headers = {"Content-Type": picture["type"], "X-Content-Type-Options": "nosniff",
               "Cache-Control": "max-age=86400"}  # a number is never used for another picture
    return 200, headers, _files.get(picture["id"])


def POST(request):
    upload = request.files.get("image")
    if not upload:
        return {"error": "send a picture as the form field image"}, 400
    try:
        picture = add(upload.content, upload.filename, str(request.get("title", "")))
    except Refused as refused:
        return {"error": str(refused)}, 400
    _logger.info("added", picture=picture["id"])
    return page("/objects/" + _runtime.object_id) if wants_page(request) else (picture, 201)


def DELETE(request):
    picture = find(request)
    if not picture:
        return {"error": "no such picture"}, 404
    _files.delete(picture["id"])
    _state_manager.delete(key_of(picture["id"]))
    return {"deleted": picture["id"]}


# --- tests: files, like state, are a copy, and nothing of it is kept ---

PNG, GIF = b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"GIF89a" + b"x" * 20


def test_a_picture_and_its_file():
    picture = add(PNG, "cat.png", "A cat")
    assert picture["type"] == "image/png" and picture["size"] == len(PNG)
    assert _files.get(picture["id"]) == PNG
    assert pictures()[0] == picture


def test_newest_first():
    names = [add(GIF, f"{n}.gif", "")["title"] for n in range(12)]
    assert [p["title"] for p in pictures()][:12] == names[::-1]


def test_only_pictures():
    for content in (b"", b"<svg>", b"<script>", b"RIFF....WAVE", b"\x89PN"):
        try:
            add(content, "x.png", "")
        except Refused as refused:
            assert "x.png is no" in str(refused)
        else:
            raise AssertionError(content)


def test_not_too_large():
    try:
        add(PNG + b"x" * SIZE_MAX, "big.png", "")
    except Refused as refused:
        assert "larger than 5 MB" in str(refused)
    else:
        raise AssertionError("it was taken")


def test_the_page_is_safe():
    add(PNG, "x.png", '<script>"')
    shown = page("/objects/g")
    assert "<script>" not in shown and "&lt;script&gt;" in shown
