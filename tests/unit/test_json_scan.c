// SPDX-License-Identifier: Apache-2.0
/* links: common/json_scan.c common/time_text.c common/buf.c common/codec.c */
/* JSON without a tree, and points in time. */
#include "common/json_scan.h"
#include "common/time_text.h"

#include <check.h>
#include <stdlib.h>

static const char *const valid[] = {
    "0",
    "-1",
    "1.5e+10",
    "1E9",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
    "\"\xc3\xa9\"",
    "{}",
    "[]",
    " [ ] ",
    "{\"a\":1}",
    "[1,2,[3,{\"b\":[]}],{}]",
    "{\"a\":{\"b\":[1,{}]},\"c\":null}",
    "\t{ \"a\" : [ 1 , 2 ] }\n",
};
static const char *const invalid[] = {
    "",          " ",        "01",      "-",        "1.",         ".5",       "1e",
    "+1",        "tru",      "nulls",   "\"",       "\"\\\"",     "\"\\x\"",  "\"\\u12g4\"",
    "\"\\u12",   "\"a\nb\"", "{",       "}",        "[",          "]",        "[1,]",
    "[,1]",      "[1 2]",    "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",    "{1:2}",
    "{\"a\":1]", "[1}",      "1 2",     "[] []",    "NaN",        "Infinity", "'a'",
    "{\"a\" 1}", "{,}",      "nul",
};

START_TEST(accepts)
{
    ck_assert_msg(json_scan_valid(span_of(valid[_i])), "%s", valid[_i]);
}
END_TEST

START_TEST(refuses)
{
    ck_assert_msg(!json_scan_valid(span_of(invalid[_i])), "%s", invalid[_i]);
}
END_TEST

START_TEST(cut_anywhere_is_refused)
{
    const char *text = "{\"a\":[1,{\"b\":\"c\\n\"}],\"d\":-1.5e-7}";
    for (size_t len = 0; len < strlen(text); len++) {
        char *copy = malloc(len + 1); /* of its own, so that reading on is seen */
        memcpy(copy, text, len);
        ck_assert_msg(!json_scan_valid((struct span){copy, len}), "%zu", len);
        free(copy);
    }
    ck_assert(json_scan_valid(span_of(text)));
}
END_TEST

START_TEST(depth_is_limited)
{
    enum { TOO_DEEP = JSON_SCAN_DEPTH_MAX + 2 };
    char text[2 * TOO_DEEP];
    memset(text, '[', TOO_DEEP);
    memset(text + TOO_DEEP, ']', TOO_DEEP);
    ck_assert(!json_scan_valid((struct span){text, 2 * TOO_DEEP}));
    ck_assert(json_scan_valid((struct span){text + 2, 2 * TOO_DEEP - 4}));
}
END_TEST

START_TEST(members)
{
    struct json_scan scan =
        json_scan_object(span_of(" { \"a\" : 1 , \"b\\u0020\":[1,{\"x\":2}], \"c\":\"}\" } "));
    struct span name, value;
    ck_assert(json_scan_member(&scan, &name, &value));
    ck_assert(span_equal(name, "\"a\"") && span_equal(value, "1"));
    ck_assert(json_scan_member(&scan, &name, &value));
    ck_assert(span_equal(name, "\"b\\u0020\"") && span_equal(value, "[1,{\"x\":2}]"));
    ck_assert(json_scan_member(&scan, &name, &value));
    ck_assert(span_equal(name, "\"c\"") && span_equal(value, "\"}\""));
    ck_assert(!json_scan_member(&scan, &name, &value));
    ck_assert(!json_scan_member(&scan, &name, &value));
}
END_TEST

START_TEST(no_members)
{
    static const char *const texts[] = {"", "{}", "[1]", "1", "{\"a\":}", "null"};
    struct span name, value;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json_scan scan = json_scan_object(span_of(texts[i]));
        ck_assert_msg(!json_scan_member(&scan, &name, &value), "%s", texts[i]);
    }
}
END_TEST

static const struct {
    const char *text;
    uint64_t us; /* 0: refused */
} times[] = {
    {"1700000000", 1700000000000000ull},
    {"1700000000.5", 1700000000500000ull},
    {"1700000000.1234567", 1700000000123456ull},
    {"2023-11-14T22:13:20Z", 1700000000000000ull},
    {"2023-11-14T22:13:20.25", 1700000000250000ull},
    {"2023-11-14 22:13:20", 1700000000000000ull},
    {"2023-11-14T23:13:20+01:00", 1700000000000000ull},
    {"2023-11-14T21:43:20-0030", 1700000000000000ull},
    {"2023-11-14T22:13", 1699999980000000ull},
    {"2023-11-14", 1699920000000000ull},
    {"2024-02-29", 1709164800000000ull},
    {"", 0},
    {"x", 0},
    {"-1", 0},
    {"1700000000.", 0},
    {"1700000000 ", 0},
    {"99999999999999999999", 0},
    {"2023-11-14T", 0},
    {"2023-13-01", 0},
    {"2023-02-29", 0},
    {"2023-11-14T24:00", 0},
    {"2023-11-14T22:13:60", 0},
    {"2023-11-14T22:13:20+25:00", 0},
    {"2023-11-14T22:13:20Zx", 0},
    {"1969-12-31", 0},
    {"20231114", 20231114000000ull},
};

START_TEST(points_in_time)
{
    uint64_t us = 0;
    bool ok = time_text_parse(times[_i].text, strlen(times[_i].text), &us);
    ck_assert_msg(ok == (times[_i].us != 0), "%s", times[_i].text);
    if (ok)
        ck_assert_msg(us == times[_i].us, "%s: %llu", times[_i].text, (unsigned long long)us);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_scan");
    TCase *tcase = tcase_create("json_scan");
    tcase_add_loop_test(tcase, accepts, 0, sizeof(valid) / sizeof(valid[0]));
    tcase_add_loop_test(tcase, refuses, 0, sizeof(invalid) / sizeof(invalid[0]));
    tcase_add_test(tcase, cut_anywhere_is_refused);
    tcase_add_test(tcase, depth_is_limited);
    tcase_add_test(tcase, members);
    tcase_add_test(tcase, no_members);
    tcase_add_loop_test(tcase, points_in_time, 0, sizeof(times) / sizeof(times[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
