# SPDX-License-Identifier: Apache-2.0
"""The one-line JSON object as a WSGI application: what gunicorn and uWSGI run beside the station."""

BODY = b'{"message": "Hello, World!"}'
FIELDS = [
    ("Content-Type", "application/json; charset=utf-8"),
    ("Content-Length", str(len(BODY))),
]


def application(environ, start_response):
    start_response("200 OK", FIELDS)
    return [BODY]
