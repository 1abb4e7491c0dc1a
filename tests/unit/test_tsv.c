// SPDX-License-Identifier: Apache-2.0
/* links: common/tsv.c common/buf.c common/codec.c */
/* Escaped fields: every byte survives, and what others wrote is kept. */
#include "common/tsv.h"

#include <check.h>

static struct buf out;

static void tear_down(void)
{
    buf_free(&out);
}

static const struct {
    const char *plain;
    size_t len;
    const char *escaped;
} pairs[] = {
    {"", 0, ""},
    {"plain", 5, "plain"},
    {"a\tb", 3, "a\\tb"},
    {"\n", 1, "\\n"},
    {"\r\n", 2, "\\r\\n"},
    {"a\0b", 3, "a\\0b"},
    {"\\", 1, "\\\\"},
    {"\\n", 2, "\\\\n"},
    {"\x01\x1f\x7f", 3, "\x01\x1f\x7f"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
};

START_TEST(escapes_both_ways)
{
    const char *plain = pairs[_i].plain, *escaped = pairs[_i].escaped;
    tsv_put(&out, plain, pairs[_i].len);
    ck_assert_uint_eq(out.len, strlen(escaped));
    ck_assert_mem_eq(buf_str(&out), escaped, out.len);
    buf_reset(&out, 0);
    tsv_unescape(&out, span_of(escaped));
    ck_assert_uint_eq(out.len, pairs[_i].len);
    ck_assert_mem_eq(buf_str(&out), plain, out.len);
}
END_TEST

START_TEST(every_byte_survives)
{
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    tsv_put(&out, bytes, sizeof(bytes));
    ck_assert_ptr_null(memchr(out.data, '\t', out.len));
    ck_assert_ptr_null(memchr(out.data, '\n', out.len));
    ck_assert_ptr_null(memchr(out.data, '\r', out.len));
    ck_assert_ptr_null(memchr(out.data, '\0', out.len));
    ck_assert_uint_eq(tsv_unescape_in_place(out.data, out.len), 256);
    ck_assert_mem_eq(out.data, bytes, 256);
}
END_TEST

START_TEST(unknown_escapes_are_kept)
{
    tsv_unescape(&out, span_of("C:\\dir\\x\\"));
    ck_assert_str_eq(buf_str(&out), "C:\\dir\\x\\");
}
END_TEST

START_TEST(unescape_appends)
{
    buf_puts(&out, "\\t");
    tsv_unescape(&out, span_of("\\t"));
    ck_assert_str_eq(buf_str(&out), "\\t\t");
}
END_TEST

START_TEST(split_counts_all_and_stores_some)
{
    struct span fields[3];
    ck_assert_uint_eq(tsv_split(span_of("a\t\tc\td"), fields, 3), 4);
    ck_assert(span_equal(fields[0], "a"));
    ck_assert(span_equal(fields[1], ""));
    ck_assert(span_equal(fields[2], "c"));
    ck_assert_uint_eq(tsv_split(span_of(""), fields, 3), 1);
    ck_assert_uint_eq(fields[0].len, 0);
    ck_assert_uint_eq(tsv_split(span_of("\t"), fields, 3), 2);
    ck_assert_uint_eq(tsv_split((struct span){NULL, 0}, fields, 3), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tsv");
    TCase *tcase = tcase_create("tsv");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_loop_test(tcase, escapes_both_ways, 0, sizeof(pairs) / sizeof(pairs[0]));
    tcase_add_test(tcase, every_byte_survives);
    tcase_add_test(tcase, unknown_escapes_are_kept);
    tcase_add_test(tcase, unescape_appends);
    tcase_add_test(tcase, split_counts_all_and_stores_some);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
