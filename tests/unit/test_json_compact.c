// SPDX-License-Identifier: Apache-2.0
/* links: common/json_compact.c common/json_scan.c common/utf8.c common/buf.c common/codec.c */
/* JSON made compact, and strings without their escapes. */
#include "common/json_compact.h"
#include "common/json_scan.h"

#include <check.h>
#include <stdlib.h>

/* The same text where nothing follows it, so that reading on is seen. */
static struct span alone(const char *text)
{
    struct span copy = {NULL, strlen(text)};
    char *bytes = malloc(copy.len);
    memcpy(bytes, text, copy.len);
    copy.data = bytes;
    ck_assert(json_scan_valid(copy));
    return copy;
}

static const struct {
    const char *value, *compact;
    unsigned depth;
} values[] = {
    {"1.50", "1.50", 0},
    {" null\n", "null", 0},
    {"\"a b\\\\\"", "\"a b\\\\\"", 0},
    {"{}", "{}", 1},
    {"{ }", "{}", 1},
    {"[[],[{}]]", "[[],[{}]]", 3},
    {"{ \"a\" : [ 1 ,\t2 ] ,\r\n\"b\": \"x y\" }", "{\"a\":[1,2],\"b\":\"x y\"}", 2},
    {"[\"{[\",\"\\\"[{\"]", "[\"{[\",\"\\\"[{\"]", 1},
    {"{\"\\u0061\":\"\\u00e9\\u20AC\\ud83d\\uDE00\"}",
     "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}", 1},
    {"\"\\/ \\b\\f\\n\\r\\t\\u0000\\u001F\\u0022\\u005c\\u007f\"",
     "\"/ \\b\\f\\n\\r\\t\\u0000\\u001F\\u0022\\u005c\x7f\"", 0},
    {"\"\\uFFFF\\ud7ff\\ue000\\u07ff\\u0800\"",
     "\"\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xdf\xbf\xe0\xa0\x80\"", 0},
    {"\"\\udbff\\udfff\\ud800\\udc00\"", "\"\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\"", 0},
};

START_TEST(a_value_becomes_compact)
{
    struct span value = alone(values[_i].value), again;
    struct buf out = BUF_INIT;
    struct json_form form = json_form_of(value);
    ck_assert_uint_eq(form.depth, values[_i].depth);
    ck_assert(!form.compact || strcmp(values[_i].value, values[_i].compact) == 0);
    ck_assert(form.compact || strpbrk(values[_i].value, " \\\n\t\r"));
    ck_assert(json_compact(value, &out));
    ck_assert_str_eq(buf_str(&out), values[_i].compact);
    again = alone(values[_i].compact);
    ck_assert_uint_eq(json_form_of(again).depth, values[_i].depth);
    free((char *)again.data);
    free((char *)value.data);
    buf_free(&out);
}
END_TEST

START_TEST(space_in_strings_is_compact)
{
    ck_assert(json_form_of(span_of("{\"a b\":\"\xc3\xa9 c\"}")).compact);
    ck_assert(!json_form_of(span_of("{\"a b\": \"\xc3\xa9 c\"}")).compact);
    ck_assert(!json_form_of(span_of("{\"a\\n\":1}")).compact);
}
END_TEST

static const struct {
    const char *quoted, *text;
    size_t len;
} strings[] = {
    {"\"\"", "", 0},
    {"\"a b\"", "a b", 3},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
    {"\"a\\u0000b\"", "a\0b", 3},
    {"\"\\u00E9\\uD83d\\ude00!\"", "\xc3\xa9\xf0\x9f\x98\x80!", 7},
};

START_TEST(a_string_has_a_text)
{
    struct span quoted = alone(strings[_i].quoted);
    struct buf out = BUF_INIT;
    ck_assert(json_string_text(quoted, &out));
    ck_assert_uint_eq(out.len, strings[_i].len);
    ck_assert_int_eq(memcmp(buf_str(&out), strings[_i].text, out.len), 0);
    free((char *)quoted.data);
    buf_free(&out);
}
END_TEST

static const char *const lone[] = {
    "\"\\ud800\"",        "\"\\udc00\\udc00\"", "\"\\udfff\"",
    "\"\\udbffx\"",       "\"\\ud83d\\n\"",     "\"\\ud83d\\ud83d\"",
    "\"\\ude00\\ud83d\"", "\"\\ud83d\\u0041\"", "\"\\ud83d\\ue000\"",
};

START_TEST(lone_surrogates_are_refused)
{
    struct span value = alone(lone[_i]);
    struct buf out = BUF_INIT;
    ck_assert(!json_string_text(value, &out));
    ck_assert(!json_compact(value, &out));
    ck_assert(!json_form_of(value).compact); /* so that who asks first looks closer */
    free((char *)value.data);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_compact");
    TCase *tcase = tcase_create("json_compact");
    tcase_add_loop_test(tcase, a_value_becomes_compact, 0, sizeof(values) / sizeof(values[0]));
    tcase_add_test(tcase, space_in_strings_is_compact);
    tcase_add_loop_test(tcase, a_string_has_a_text, 0, sizeof(strings) / sizeof(strings[0]));
    tcase_add_loop_test(tcase, lone_surrogates_are_refused, 0, sizeof(lone) / sizeof(lone[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
