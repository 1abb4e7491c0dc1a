// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/guard.c supervisor/http/guard_head.c supervisor/http/guard_body.c
 * links: supervisor/http/target.c common/buf.c */
#include "tests/unit/guard_driver.h"

#include <check.h>
#include <stdlib.h>

static const struct guard_limits limits = {
    .head_max = 600, .fields_max = 5, .target_max = 100, .body_max = 50};

#define GET  "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CH   POST "Transfer-Encoding: chunked\r\n\r\n"
#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct vector {
    const char *name, *bytes;
    size_t len; /* 0: up to the NUL */
    size_t complete;
    enum guard_violation bad;
} vectors[] = {
    /* What has to pass. */
    {"simple", GET "\r\n", 0, 1, 0},
    {"two in a row", GET "\r\n" GET "\r\n", 0, 2, 0},
    {"empty line before", "\r\n" GET "\r\n", 0, 1, 0},
    {"two empty lines before", "\r\n\r\n" GET "\r\n", 0, 1, 0},
    {"empty line between", GET "\r\n\r\n" GET "\r\n", 0, 2, 0},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, 1, 0},
    {"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, 1, 0},
    {"close", GET "Connection: close\r\n\r\n", 0, 1, 0},
    {"connection options", GET "Connection: a,close , keep-alive\r\n\r\n", 0, 1, 0},
    {"body", POST "Content-Length: 3\r\n\r\nabc", 0, 1, 0},
    {"body and next", POST "Content-Length: 3\r\n\r\nabc" GET "\r\n", 0, 2, 0},
    {"body of a GET", GET "Content-Length: 3\r\n\r\nabc", 0, 1, 0},
    {"NUL in a body", POST "Content-Length: 3\r\n\r\na\0c", sizeof(POST) - 1 + 24, 1, 0},
    {"length zero", POST "Content-Length: 0\r\n\r\n", 0, 1, 0},
    {"same length twice", POST "Content-Length: 3\r\ncontent-length:3\r\n\r\nabc", 0, 1, 0},
    {"leading zero", POST "Content-Length: 003\r\n\r\nabc", 0, 1, 0},
    {"largest body", POST "Content-Length: 50\r\n\r\n" X10 X10 X10 X10 X10, 0, 1, 0},
    {"chunked", CH "3\r\nabc\r\n0\r\n\r\n", 0, 1, 0},
    {"chunked in capitals", POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", 0, 1, 0},
    {"chunked and next", CH "3\r\nabc\r\n0\r\n\r\n" GET "\r\n", 0, 2, 0},
    {"two chunks", CH "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 0, 1, 0},
    {"chunk extension", CH "3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n", 0, 1, 0},
    {"zeroes before a size", CH "0003\r\nabc\r\n000\r\n\r\n", 0, 1, 0},
    {"trailer", CH "0\r\nX-Sum: 1\r\nB:2\r\n\r\n", 0, 1, 0},
    {"trailer and next", CH "0\r\nX-Sum: 1\r\n\r\n" GET "\r\n", 0, 2, 0},
    {"largest chunked body", CH "32\r\n" X10 X10 X10 X10 X10 "\r\n0\r\n\r\n", 0, 1, 0},
    {"query", "GET /a?b=%00&c=/../ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"escapes", "GET /a%20b%C3%A4 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"dots in names", "GET /a..b/.c/...  HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0,
     GUARD_BAD_target}, /* two spaces */
    {"dots that are no segment", "GET /a..b/.c/... HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"absolute target", "GET http://a/b HTTP/1.1\r\nHost: A\r\n\r\n", 0, 1, 0},
    {"absolute target without a path", "GET http://a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 0, 1, 0},
    {"expect", POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 0, 1, 0},
    {"tab and spaces around a value", GET "X:\t \ty \t\r\n\r\n", 0, 1, 0},
    {"empty value", GET "X:\r\n\r\n", 0, 1, 0},
    {"bytes beyond ASCII in a value", GET "X: \xc3\xa4\r\n\r\n", 0, 1, 0},
    {"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8001\r\n\r\n", 0, 1, 0},
    {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, 1, 0},
    {"most fields", GET "A:1\r\nB:1\r\nC:1\r\nD:1\r\n\r\n", 0, 1, 0},
    {"incomplete head", GET, 0, 0, 0},
    {"incomplete body", POST "Content-Length: 3\r\n\r\nab", 0, 0, 0},
    {"incomplete chunk", CH "3\r\nab", 0, 0, 0},

    /* Line ends and control characters. */
    {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare LF ends the head", GET "\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare LF first", "\n" GET "\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare CR in a value", GET "X: a\rb\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"bare CR in a name", GET "X\rY: a\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"bare CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"CR CR LF", GET "X: a\r\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"NUL in a value", GET "X: a\0b\r\n\r\n", sizeof(GET) + 9, 0, GUARD_BAD_field_value},
    {"NUL in a name", GET "X\0: ab\r\n\r\n", sizeof(GET) + 9, 0, GUARD_BAD_field_name},
    {"NUL in the target", "GET /\0a HTTP/1.1\r\nHost: a\r\n\r\n", 29, 0, GUARD_BAD_target},
    {"NUL first", "\0GET / HTTP/1.1\r\n\r\n", 19, 0, GUARD_BAD_not_http},
    {"escape character in a value", GET "X: a\x1b[m\r\n\r\n", 0, 0, GUARD_BAD_field_value},
    {"DEL in a value", GET "X: a\x7f\r\n\r\n", 0, 0, GUARD_BAD_field_value},
    {"folded field", GET "X: a\r\n b\r\n\r\n", 0, 0, GUARD_BAD_obs_fold},
    {"folded with a tab", GET "X: a\r\n\tb\r\n\r\n", 0, 0, GUARD_BAD_obs_fold},
    {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 0, 0,
     GUARD_BAD_obs_fold},
    {"three empty lines before", "\r\n\r\n\r\n" GET "\r\n", 0, 0, GUARD_BAD_empty_lines},

    /* Field names. */
    {"space before the colon", GET "X : a\r\n\r\n", 0, 0, GUARD_BAD_field_name},
    {"tab before the colon", GET "Content-Length\t: 3\r\n\r\n", 0, 0, GUARD_BAD_field_name},
    {"no colon", GET "X\r\n\r\n", 0, 0, GUARD_BAD_field_name},
    {"no name", GET ": x\r\n\r\n", 0, 0, GUARD_BAD_field_name},
    {"brackets in a name", GET "X(a): x\r\n\r\n", 0, 0, GUARD_BAD_field_name},
    {"bytes beyond ASCII in a name", GET "X\xc3\xa4: x\r\n\r\n", 0, 0, GUARD_BAD_field_name},

    /* Request line. */
    {"TLS", "\x16\x03\x01\x02", 4, 0, GUARD_BAD_not_http},
    {"no version", "GET /\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"one word", "GET\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"no target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"tab instead of a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_version},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_version},
    {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_version},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 0, GUARD_BAD_method},
    {"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_method},
    {"method in small letters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_method},
    {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_method},
    {"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_method},
    {"method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_request_line},

    /* Targets. */
    {"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"bytes beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"escaped NUL", "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"escaped slash", "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"escaped slash, capital", "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0,
     GUARD_BAD_target_encoding},
    {"escaped backslash", "GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0,
     GUARD_BAD_target_encoding},
    {"backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"malformed escape", "GET /a%g0 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"cut escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"dot segments", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"dot segment last", "GET /a/.. HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"single dot", "GET /./a HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"escaped dots", "GET /%2e%2E/a HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_encoding},
    {"half escaped dots", "GET /.%2e?x HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0,
     GUARD_BAD_target_encoding},
    {"other host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_host},
    {"other scheme", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"user in the authority", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0,
     GUARD_BAD_target},
    {"empty authority", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target},
    {"long target", "GET /" X100 " HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, GUARD_BAD_target_long},
    {"endless target", "GET /" X100 X100 X100, 0, 0, GUARD_BAD_target_long},

    /* Host. */
    {"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 0, 0, GUARD_BAD_host_missing},
    {"no field", "GET / HTTP/1.1\r\n\r\n", 0, 0, GUARD_BAD_host_missing},
    {"two Hosts", GET "Host: a\r\n\r\n", 0, 0, GUARD_BAD_host_twice},
    {"two Hosts, HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 0, 0,
     GUARD_BAD_host_twice},
    {"two names in Host", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 0, 0, GUARD_BAD_host_malformed},
    {"path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 0, GUARD_BAD_host_malformed},
    {"user in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 0, 0, GUARD_BAD_host_malformed},
    {"two Origins", GET "Origin: a\r\nOrigin: b\r\n\r\n", 0, 0, GUARD_BAD_origin_twice},

    /* Body framing in the head. */
    {"length and chunked", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0,
     GUARD_BAD_length_and_chunked},
    {"chunked and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 0, 0,
     GUARD_BAD_length_and_chunked},
    {"two lengths", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 0, 0,
     GUARD_BAD_length_differs},
    {"length list", POST "Content-Length: 3, 3\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"negative length", POST "Content-Length: -3\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"length with a sign", POST "Content-Length: +3\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"hexadecimal length", POST "Content-Length: 0x3\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"empty length", POST "Content-Length:\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"fraction", POST "Content-Length: 3.0\r\n\r\n", 0, 0, GUARD_BAD_length_malformed},
    {"length too large", POST "Content-Length: 51\r\n\r\n", 0, 0, GUARD_BAD_body_long},
    {"length beyond 64 bits", POST "Content-Length: 18446744073709551619\r\n\r\n", 0, 0,
     GUARD_BAD_body_long},
    {"other coding", POST "Transfer-Encoding: gzip\r\n\r\n", 0, 0, GUARD_BAD_transfer_encoding},
    {"coding list", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, 0,
     GUARD_BAD_transfer_encoding},
    {"chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0,
     GUARD_BAD_transfer_encoding},
    {"chunked with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n", 0, 0,
     GUARD_BAD_transfer_encoding},
    {"quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 0, 0,
     GUARD_BAD_transfer_encoding},
    {"vertical tab before chunked",
     POST "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n",
     0, 0, GUARD_BAD_field_value},
    {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0,
     GUARD_BAD_transfer_encoding},
    {"unknown expectation", POST "Expect: 200-ok\r\n\r\n", 0, 0, GUARD_BAD_expectation},

    /* Chunk framing. */
    {"no size", CH "\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"malformed size", CH "g\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"size with 0x", CH "0x3\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"space before the size", CH " 3\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"space after the size", CH "3 \r\n", 0, 0, GUARD_BAD_chunk_size},
    {"negative size", CH "-3\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"too many digits", CH "0000000000000003\r\n", 0, 0, GUARD_BAD_chunk_size},
    {"size beyond 63 bits", CH "fffffffffffffff\r\n", 0, 0, GUARD_BAD_body_long},
    {"bare LF after a size", CH "3\nabc\r\n0\r\n\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare CR after a size", CH "3\rabc\r\n0\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"bare LF after an extension", CH "3;a\nabc\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"NUL in an extension", CH "3;\0\r\nabc\r\n", sizeof(CH) + 9, 0, GUARD_BAD_chunk_extension},
    {"long extension", CH "3;" X100 X100 X100 "\r\n", 0, 0, GUARD_BAD_chunk_extension},
    {"chunk too long", CH "3\r\nabcd\r\n0\r\n\r\n", 0, 0, GUARD_BAD_chunk_end},
    {"chunk too short", CH "3\r\nab\r\n0\r\n\r\n", 0, 0, GUARD_BAD_chunk_end},
    {"bare LF after a chunk", CH "3\r\nabc\n0\r\n\r\n", 0, 0, GUARD_BAD_chunk_end},
    {"chunks too large", CH "20\r\n" X10 X10 X10 "xx\r\n13\r\n", 0, 0, GUARD_BAD_body_long},
    {"bare LF ends the body", CH "0\r\n\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare LF in the trailer", CH "0\r\nX: a\n\r\n", 0, 0, GUARD_BAD_bare_lf},
    {"bare CR in the trailer", CH "0\r\nX: a\rb\r\n\r\n", 0, 0, GUARD_BAD_bare_cr},
    {"folded trailer", CH "0\r\n X: a\r\n\r\n", 0, 0, GUARD_BAD_obs_fold},
    {"length in the trailer", CH "0\r\nContent-Length: 3\r\n\r\n", 0, 0, GUARD_BAD_trailer},
    {"coding in the trailer", CH "0\r\ntransfer-encoding: chunked\r\n\r\n", 0, 0,
     GUARD_BAD_trailer},
    {"malformed trailer", CH "0\r\nX a\r\n\r\n", 0, 0, GUARD_BAD_trailer},

    /* Limits. */
    {"too many fields", GET "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\n\r\n", 0, 0, GUARD_BAD_fields_many},
    {"long head", GET "A: " X100 X100 X100 "\r\nB: " X100 X100 X100 "\r\n\r\n", 0, 0,
     GUARD_BAD_head_long},
    {"endless field", GET "A: " X100 X100 X100 X100 X100 X100, 0, 0, GUARD_BAD_head_long},

    /* A good request does not make a bad one after it better. */
    {"good, then bad", GET "\r\n" GET "X : a\r\n\r\n", 0, 1, GUARD_BAD_field_name},
    {"good body, then bad", POST "Content-Length: 1\r\n\r\nx" GET "\n", 0, 1, GUARD_BAD_bare_lf},
    {"good chunks, then bad", CH "0\r\n\r\n\x01", 0, 1, GUARD_BAD_not_http},
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static size_t vector_len(const struct vector *v)
{
    return v->len ? v->len : strlen(v->bytes);
}

/* The transcript of a vector, cut at `split` (0: whole) or fed one byte at a time. */
static char *transcript(const struct vector *v, size_t split, bool bytewise, struct guard_run *run)
{
    size_t len = vector_len(v), n;
    guard_run_begin(run, &limits);
    if (bytewise) {
        for (size_t i = 0; i < len; i++)
            guard_run_receive(run, v->bytes + i, 1);
    } else {
        guard_run_receive(run, v->bytes, split);
        guard_run_receive(run, v->bytes + split, len - split);
    }
    guard_run_verdict(run);
    return buf_take(&run->transcript, &n);
}

START_TEST(verdict)
{
    const struct vector *v = &vectors[_i];
    struct guard_run run;
    char *text = transcript(v, 0, false, &run);
    ck_assert_msg(run.guard.violation == v->bad, "%s: %s instead of %s", v->name,
                  guard_violation_info(run.guard.violation)->name,
                  guard_violation_info(v->bad)->name);
    ck_assert_msg((run.guard.state == GUARD_REJECTED) == (v->bad != GUARD_FINE), "%s", v->name);
    ck_assert_msg(run.complete == v->complete, "%s: %zu requests instead of %zu", v->name,
                  run.complete, v->complete);
    free(text);
    guard_run_end(&run);
}
END_TEST

START_TEST(splitting_changes_nothing)
{
    const struct vector *v = &vectors[_i];
    struct guard_run run;
    char *whole = transcript(v, 0, false, &run);
    guard_run_end(&run);
    for (size_t split = 0; split <= vector_len(v); split++) {
        char *text = transcript(v, split, split == 0, &run);
        ck_assert_msg(strcmp(text, whole) == 0, "%s, cut at %zu:\n%s\ninstead of\n%s", v->name,
                      split, text, whole);
        free(text);
        guard_run_end(&run);
    }
    free(whole);
}
END_TEST

START_TEST(canonical_head_is_all_that_is_handed_on)
{
    static const struct vector v = {
        "canonical",
        "PUT /a?b HTTP/1.1\r\nHost: a\r\nCookie: x=1\r\nConnection: foo, Close\r\n"
        "Content-Length: 03\r\n\r\nabc",
        0, 1, 0};
    struct guard_run run;
    char *text = transcript(&v, 0, false, &run);
    ck_assert_str_eq(text, "PUT / HTTP/1.1\r\nContent-Length:03\r\nConnection:close\r\n\r\nabc"
                           "<PUT /a?b fields=4 host=a>\n=idle\n");
    free(text);
    guard_run_end(&run);
}
END_TEST

START_TEST(recognised_fields)
{
    static const char head[] = "POST http://h:1/x HTTP/1.1\r\nhost:  h:1 \r\nORIGIN: http://o\r\n"
                               "Sec-Fetch-Site: none\r\nX-Request-Id: r-1\r\n\r\n";
    struct guard g;
    size_t room;
    guard_init(&g, &limits);
    memcpy(guard_room(&g, &room), head, sizeof(head) - 1);
    guard_received(&g, sizeof(head) - 1);
    ck_assert_int_eq(guard_parse(&g), GUARD_COMPLETE);
    ck_assert(span_equal(guard_span(&g, g.head.host), "h:1"));
    ck_assert(span_equal(guard_span(&g, g.head.origin), "http://o"));
    ck_assert(span_equal(guard_span(&g, g.head.fetch_site), "none"));
    ck_assert(span_equal(guard_span(&g, g.head.request_id), "r-1"));
    ck_assert(span_equal(guard_span(&g, g.head.authority), "h:1"));
    ck_assert(span_equal(guard_target(&g), "/x"));
    ck_assert(span_equal(guard_span(&g, g.head.fields),
                         "host:  h:1 \r\nORIGIN: http://o\r\nSec-Fetch-Site: none\r\n"
                         "X-Request-Id: r-1\r\n"));
    guard_free(&g);
}
END_TEST

START_TEST(malformed_request_id_is_ignored)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\n\r\n";
    struct guard g;
    size_t room;
    guard_init(&g, &limits);
    memcpy(guard_room(&g, &room), head, sizeof(head) - 1);
    guard_received(&g, sizeof(head) - 1);
    ck_assert_int_eq(guard_parse(&g), GUARD_COMPLETE);
    ck_assert_ptr_null(guard_span(&g, g.head.request_id).data);
    guard_free(&g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tests = tcase_create("guard");
    tcase_add_loop_test(tests, verdict, 0, VECTORS);
    tcase_add_loop_test(tests, splitting_changes_nothing, 0, VECTORS);
    tcase_add_test(tests, canonical_head_is_all_that_is_handed_on);
    tcase_add_test(tests, recognised_fields);
    tcase_add_test(tests, malformed_request_id_is_ignored);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
