# SPDX-License-Identifier: Apache-2.0
"""The one-line JSON object as a raw ASGI application: what uvicorn runs beside the station."""

BODY = b'{"message": "Hello, World!"}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(BODY)).encode()),
    ],
}


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send(START)
    await send({"type": "http.response.body", "body": BODY})
