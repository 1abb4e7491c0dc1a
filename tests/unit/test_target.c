// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/target.c common/buf.c */
#include "supervisor/http/target.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *path;
    bool clean;
} paths[] = {
    {"/", true},        {"/a/b", true},      {"//", true},      {"/a//b", true},
    {"/.hidden", true}, {"/...", true},      {"/..a", true},    {"/a..", true},
    {"/a%20b", true},   {"/%41", true},      {"/a%2Eb", true},  {"/%ff", true},
    {"*", true},        {"", true},          {"/.", false},     {"/..", false},
    {"/./a", false},    {"/../a", false},    {"/a/.", false},   {"/a/../b", false},
    {"/%2e", false},    {"/%2e%2e/", false}, {"/.%2E", false},  {"/a/%2e", false},
    {"/%00", false},    {"/a%2fb", false},   {"/a%2Fb", false}, {"/a%5Cb", false},
    {"/a\\b", false},   {"/%", false},       {"/%2", false},    {"/%zz", false},
    {"/%2g", false},    {"/%%41", false},    {"/%252f", true},  {"/%u0041", false},
};

START_TEST(path_cleanness)
{
    ck_assert_msg(target_path_is_clean(span_of(paths[_i].path)) == paths[_i].clean, "%s",
                  paths[_i].path);
}
END_TEST

START_TEST(split)
{
    struct span path, query;
    target_split(span_of("/a?b?c"), &path, &query);
    ck_assert(span_equal(path, "/a"));
    ck_assert(span_equal(query, "b?c"));
    target_split(span_of("/a"), &path, &query);
    ck_assert(span_equal(path, "/a"));
    ck_assert_ptr_null(query.data);
    target_split(span_of("/a?"), &path, &query);
    ck_assert_uint_eq(query.len, 0);
}
END_TEST

static const struct {
    const char *text, *decoded;
    bool plus;
} escapes[] = {
    {"abc", "abc", false},   {"a%20b", "a b", false}, {"a+b", "a+b", false},
    {"a+b", "a b", true},    {"%41%42", "AB", false}, {"%c3%A4", "\xc3\xa4", false},
    {"100%", "100%", false}, {"%4", "%4", false},     {"%zz", "%zz", false},
    {"%%41", "%A", false},   {"%2541", "%41", false}, {"", "", false},
};

START_TEST(decode)
{
    char out[64];
    size_t n = target_decode(span_of(escapes[_i].text), escapes[_i].plus, out);
    ck_assert_msg(n == strlen(escapes[_i].decoded) && memcmp(out, escapes[_i].decoded, n) == 0,
                  "%s", escapes[_i].text);
}
END_TEST

static const struct {
    const char *query, *name, *value; /* NULL: absent */
} queries[] = {
    {"a=1", "a", "1"},
    {"a=1&b=2", "b", "2"},
    {"a=1&a=2", "a", "1"},
    {"a", "a", ""},
    {"a=", "a", ""},
    {"b=1", "a", NULL},
    {"", "a", NULL},
    {"ab=1", "a", NULL},
    {"a=1", "ab", NULL},
    {"&&a=x", "a", "x"},
    {"a=x%20y+z", "a", "x y z"},
    {"%61=1", "a", "1"},
    {"a=b=c", "a", "b=c"},
    {"a%00b=1", "a", NULL},
    {"=1", "", "1"},
    {"a+b=1", "a b", "1"},
};

START_TEST(query_parameter)
{
    struct buf value = BUF_INIT;
    bool found = target_query(span_of(queries[_i].query), queries[_i].name, &value);
    ck_assert_msg(found == (queries[_i].value != NULL), "%s in %s", queries[_i].name,
                  queries[_i].query);
    if (found)
        ck_assert_str_eq(buf_str(&value), queries[_i].value);
    buf_free(&value);
}
END_TEST

START_TEST(escaped_nul_in_a_value_is_kept)
{
    struct buf value = BUF_INIT;
    ck_assert(target_query(span_of("a=x%00y"), "a", &value));
    ck_assert_uint_eq(value.len, 3);
    ck_assert_mem_eq(value.data, "x\0y", 3);
    buf_free(&value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target");
    TCase *tests = tcase_create("target");
    tcase_add_loop_test(tests, path_cleanness, 0, sizeof(paths) / sizeof(paths[0]));
    tcase_add_test(tests, split);
    tcase_add_loop_test(tests, decode, 0, sizeof(escapes) / sizeof(escapes[0]));
    tcase_add_loop_test(tests, query_parameter, 0, sizeof(queries) / sizeof(queries[0]));
    tcase_add_test(tests, escaped_nul_in_a_value_is_kept);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
