# SPDX-License-Identifier: Apache-2.0
"""Raw requests and what a station must answer.

VECTORS is a list of (name, bytes, statuses). Each is sent on a connection of its own, followed by
SENTINEL in the same write; `statuses` are the allowed status codes of the first answer.

When the first answer is an error (any status of 400 and more) the connection must be closed after
it and the sentinel must never run: no second answer, no turn of the object it addresses. When it is
no error, the sentinel is answered too (CLOSES lists those that close the connection nevertheless).
"""

HOST = b"127.0.0.1"
SENTINEL_PATH = b"/objects/sentinel"
SENTINEL = b"POST " + SENTINEL_PATH + b" HTTP/1.1\r\nHost: " + HOST + b"\r\nContent-Length: 0\r\n\r\n"

H = b"Host: " + HOST + b"\r\n"
GET = b"GET /health HTTP/1.1\r\n" + H
POST = b"POST /objects/none HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def line(target):
    return b"GET " + target + b" HTTP/1.1\r\n" + H + b"\r\n"


VECTORS = [
    # well-formed
    ("plain", GET + b"\r\n", {200}),
    ("empty line before", b"\r\n" + GET + b"\r\n", {200}),
    ("identical lengths", GET + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", {200}),
    ("body of a GET", GET + b"Content-Length: 3\r\n\r\nabc", {200}),
    ("chunked body of a GET", GET + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n", {200}),
    ("absolute target", b"GET http://" + HOST + b"/health HTTP/1.1\r\n" + H + b"\r\n", {200}),
    ("tab around a value", GET + b"X:\t a \t\r\n\r\n", {200}),
    ("head of a reply", b"HEAD /health HTTP/1.1\r\n" + H + b"\r\n", {200}),
    # smuggling: lengths and codings
    ("length and chunked", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("chunked and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", {400}),
    ("two lengths", POST + b"Content-Length: 0\r\nContent-Length: 90\r\n\r\n", {400}),
    ("length list", POST + b"Content-Length: 0, 0\r\n\r\n", {400}),
    ("length with plus", POST + b"Content-Length: +0\r\n\r\n", {400}),
    ("negative length", POST + b"Content-Length: -1\r\n\r\n", {400}),
    ("hexadecimal length", POST + b"Content-Length: 0x0\r\n\r\n", {400}),
    ("length with letters", POST + b"Content-Length: 0a\r\n\r\n", {400}),
    ("empty length", POST + b"Content-Length: \r\n\r\n", {400}),
    ("overflowing length", POST + b"Content-Length: 18446744073709551616\r\n\r\n", {400, 413}),
    ("huge length", POST + b"Content-Length: 99999999999\r\n\r\n", {413}),
    ("coding gzip", POST + b"Transfer-Encoding: gzip\r\n\r\n", {400}),
    ("coding list", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400}),
    ("coding identity", POST + b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", {400}),
    ("chunked twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400}),
    ("vertical tab chunked", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", {400}),
    ("quoted chunked", POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', {400}),
    ("chunked in HTTP/1.0", b"POST /objects/none HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("space before the colon", POST + b"Content-Length : 0\r\n\r\n", {400}),
    ("tab before the colon", POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("folded length", POST + b"X: a\r\n Content-Length: 90\r\n\r\n", {400}),
    ("folded coding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", {400}),
    ("fold before the first field", b"GET /health HTTP/1.1\r\n X: y\r\n" + H + b"\r\n", {400}),
    # chunk framing
    ("no chunk size", CHUNKED + b"\r\n", {400}),
    ("chunk size with 0x", CHUNKED + b"0x0\r\n\r\n", {400}),
    ("chunk size with a space", CHUNKED + b"0 \r\n\r\n", {400}),
    ("chunk size with minus", CHUNKED + b"-1\r\n\r\n", {400}),
    ("overflowing chunk size", CHUNKED + b"10000000000000000\r\n", {400, 413}),
    ("chunk size beyond the limit", CHUNKED + b"7fffffff\r\n", {413}),
    ("bare LF after a chunk size", CHUNKED + b"0\n\r\n", {400}),
    ("bare CR after a chunk size", CHUNKED + b"3\rabc\r\n0\r\n\r\n", {400}),
    ("bare LF after an extension", CHUNKED + b"3;x\nabc\r\n0\r\n\r\n", {400}),
    ("chunk longer than its size", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", {400}),
    ("chunk without its CRLF", CHUNKED + b"3\r\nabc0\r\n\r\n", {400}),
    ("bare LF after the last chunk", CHUNKED + b"0\r\n\n", {400}),
    ("length in the trailer", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", {400}),
    ("folded trailer", CHUNKED + b"0\r\n X: y\r\n\r\n", {400}),
    # line ends and control characters
    ("bare LF everywhere", b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n", {400}),
    ("bare LF after a field", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\n\r\n", {400}),
    ("bare LF ends the head", GET + b"\n", {400}),
    ("bare CR in a value", GET + b"X: a\rContent-Length: 5\r\n\r\n", {400}),
    ("CR CR LF", GET + b"X: a\r\r\n\r\n", {400}),
    ("NUL in a value", GET + b"X: a\0b\r\n\r\n", {400}),
    ("NUL in a name", GET + b"X\0Y: a\r\n\r\n", {400}),
    ("NUL in the target", b"GET /health\0 HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("escape character in a value", GET + b"X: \x1b[2J\r\n\r\n", {400}),
    ("many empty lines before", b"\r\n" * 8 + GET + b"\r\n", {400}),
    # fields and limits
    ("no colon", GET + b"nonsense\r\n\r\n", {400}),
    ("no name", GET + b": x\r\n\r\n", {400}),
    ("two Hosts", GET + H + b"\r\n", {400}),
    ("no Host", b"GET /health HTTP/1.1\r\n\r\n", {400}),
    ("user in Host", b"GET /health HTTP/1.1\r\nHost: x@127.0.0.1\r\n\r\n", {400}),
    ("foreign Host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", {421}),
    ("foreign Origin", b"POST /objects/none HTTP/1.1\r\n" + H + b"Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n", {403}),
    ("cross-site", b"DELETE /objects/none HTTP/1.1\r\n" + H + b"Sec-Fetch-Site: cross-site\r\n\r\n", {403}),
    ("unknown expectation", POST + b"Expect: a-miracle\r\nContent-Length: 0\r\n\r\n", {417}),
    ("too many fields", GET + b"X: y\r\n" * 200 + b"\r\n", {431}),
    ("a field too long", GET + b"X: " + b"y" * 20000 + b"\r\n\r\n", {431}),
    ("many cookies", GET + b"Cookie: " + b"a;" * 6000 + b"\r\n\r\n", {200}),
    # request line and targets
    ("target too long", line(b"/" + b"x" * 9000), {414}),
    ("many parameters", line(b"/health?" + b"&a" * 4000), {200}),
    ("no version", b"GET /health\r\n" + H + b"\r\n", {400}),
    ("two spaces", b"GET  /health HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("space after the version", b"GET /health HTTP/1.1 \r\n" + H + b"\r\n", {400}),
    ("space in the target", line(b"/hea lth"), {400}),
    ("version 2", b"GET /health HTTP/2.0\r\n" + H + b"\r\n", {505}),
    ("version 0.9", b"GET /health HTTP/0.9\r\n" + H + b"\r\n", {505}),
    ("version in small letters", b"GET /health http/1.1\r\n" + H + b"\r\n", {400}),
    ("unknown method", b"BREW /health HTTP/1.1\r\n" + H + b"\r\n", {501}),
    ("method in small letters", b"get /health HTTP/1.1\r\n" + H + b"\r\n", {501}),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
    ("escaped NUL", line(b"/objects/a%00b"), {400}),
    ("escaped slash", line(b"/objects%2fa"), {400}),
    ("escaped backslash", line(b"/objects/%5c"), {400}),
    ("dot segments", line(b"/objects/../health"), {400}),
    ("escaped dot segments", line(b"/objects/%2e%2e/health"), {400}),
    ("malformed escape", line(b"/health%zz"), {400}),
    ("fragment", line(b"/health#x"), {400}),
    ("relative target", line(b"health"), {400}),
    ("other host in the target", line(b"http://evil.example/health"), {400}),
    ("bytes beyond ASCII in the target", line(b"/h\xc3\xa4"), {400}),
]

CLOSES = set()
