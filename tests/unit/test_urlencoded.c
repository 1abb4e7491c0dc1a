// SPDX-License-Identifier: Apache-2.0
/* links: common/urlencoded.c common/head.c common/codec.c common/buf.c */
/* Pairs of query strings and forms, header fields with their parameters, cookies. */
#include "common/urlencoded.h"

#include "common/buf.h"
#include "common/head.h"

#include <check.h>
#include <stdlib.h>

static void put(struct buf *out, struct span s)
{
    buf_append(out, s.data, s.len);
}

static void put_pair(struct buf *out, struct span name, struct span value)
{
    put(out, name);
    buf_putc(out, '=');
    put(out, value);
    buf_putc(out, ';');
}

static const struct {
    const char *text, *pairs;
} queries[] = {
    {"", ""},          {"a=1", "a=1;"},          {"a=1&b=2", "a=1;b=2;"},
    {"a", "a=;"},      {"a=&=b", "a=;=b;"},      {"&&a=1&&", "a=1;"},
    {"a==b", "a==b;"}, {"a=1&a=2", "a=1;a=2;"},  {"a;b=1", "a;b=1;"},
    {"=", "=;"},       {"a=%26&b", "a=%26;b=;"},
};

START_TEST(pairs)
{
    struct urlencoded u = {span_of(queries[_i].text)};
    struct span name, value;
    struct buf out = BUF_INIT;
    while (urlencoded_next(&u, &name, &value))
        put_pair(&out, name, value);
    ck_assert_str_eq(buf_str(&out), queries[_i].pairs);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *text;
    bool plus;
    const char *decoded;
    size_t len;
} decodings[] = {
    {"", true, "", 0},
    {"plain", true, "plain", 5},
    {"a+b", true, "a b", 3},
    {"a+b", false, "a+b", 3},
    {"%41%62", true, "Ab", 2},
    {"%4a%4A", true, "JJ", 2},
    {"%", true, "%", 1},
    {"%4", true, "%4", 2},
    {"%zz", true, "%zz", 3},
    {"%00x", true, "\0x", 2},
    {"%2B+", true, "+ ", 2},
    {"%%41", true, "%A", 2},
    {"%C3%BC", true, "\xc3\xbc", 2},
};

START_TEST(decodes)
{
    char out[64];
    struct span text = span_of(decodings[_i].text);
    size_t len = urlencoded_decode(text, decodings[_i].plus, out);
    ck_assert_uint_eq(len, decodings[_i].len);
    ck_assert_mem_eq(out, decodings[_i].decoded, len);
    if (urlencoded_is_plain(text, decodings[_i].plus)) {
        ck_assert_uint_eq(len, text.len);
        ck_assert_mem_eq(out, text.data, len);
    }
}
END_TEST

static const struct {
    const char *head, *fields;
} heads[] = {
    {"", ""},
    {"A: b\r\n", "A=b;"},
    {"A:b\r\nC:  d \t\r\n", "A=b;C=d;"},
    {"A:\r\n", "A=;"},
    {"no colon\r\n: no name\r\nA: b", "A=b;"},
    {"A: b:c\n", "A=b:c;"},
};

START_TEST(head_fields)
{
    struct span rest = span_of(heads[_i].head), name, value;
    struct buf out = BUF_INIT;
    while (head_next(&rest, &name, &value))
        put_pair(&out, name, value);
    ck_assert_str_eq(buf_str(&out), heads[_i].fields);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *value, *type, *parameters;
} typed[] = {
    {"text/html", "text/html", ""},
    {" text/html ; charset=utf-8", "text/html", "charset=utf-8;"},
    {"a;b=c;d=\"e;f\\\"g\";h=i", "a", "b=c;d=e;f\\\"g;h=i;"},
    {"a; b; c = d ", "a", "c=d;"},
    {"a; =x; b=\"", "a", "b=;"},
    {"a; b=\"open", "a", "b=open;"},
    {"a; b=\"\\", "a", "b=\\;"},
    {"", "", ""},
};

START_TEST(parameters)
{
    struct span rest = span_of(typed[_i].value), name, value;
    struct span type = head_media_type(rest);
    struct buf out = BUF_INIT;
    ck_assert(span_equal(type, typed[_i].type));
    while (head_next_parameter(&rest, &name, &value))
        put_pair(&out, name, value);
    ck_assert_str_eq(buf_str(&out), typed[_i].parameters);
    buf_free(&out);
}
END_TEST

static const struct {
    const char *line, *cookies;
} cookie_lines[] = {
    {"", ""},
    {"a=b", "a=b;"},
    {"a=b; c=d;e=f ", "a=b;c=d;e=f;"},
    {"a=\"b\"; c=\"", "a=b;c=\";"},
    {"novalue; =x; a=b=c", "a=b=c;"},
};

START_TEST(cookies)
{
    struct span rest = span_of(cookie_lines[_i].line), name, value;
    struct buf out = BUF_INIT;
    while (head_next_cookie(&rest, &name, &value))
        put_pair(&out, name, value);
    ck_assert_str_eq(buf_str(&out), cookie_lines[_i].cookies);
    buf_free(&out);
}
END_TEST

START_TEST(finds_and_unquotes)
{
    struct span head = span_of("A: 1\r\nx-b: 2\r\nX-B: 3\r\n"), value;
    char out[16];
    ck_assert(head_find(head, "X-B", &value) && span_equal(value, "2"));
    ck_assert(!head_find(head, "X", &value));
    ck_assert_uint_eq(head_unquote(span_of("a\\\"b\\\\\\"), out), 5);
    ck_assert_mem_eq(out, "a\"b\\\\", 5);
}
END_TEST

#define ADD_TABLE(test, table) \
    tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("urlencoded");
    TCase *tcase = tcase_create("urlencoded");
    ADD_TABLE(pairs, queries);
    ADD_TABLE(decodes, decodings);
    ADD_TABLE(head_fields, heads);
    ADD_TABLE(parameters, typed);
    ADD_TABLE(cookies, cookie_lines);
    tcase_add_test(tcase, finds_and_unquotes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
