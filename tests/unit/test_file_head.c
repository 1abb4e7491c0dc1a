// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/rest/file_head.c supervisor/rest/byte_range.c common/buf.c common/codec.c */
/* Ranges, tags, types and dispositions of files. */
#include "supervisor/rest/file_head.h"

#include "supervisor/rest/byte_range.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *field;
    uint64_t size;
    enum byte_range_verdict verdict;
    uint64_t first, length;
} ranges[] = {
    {"bytes=0-0", 10, BYTE_RANGE_PART, 0, 1},
    {"bytes=0-9", 10, BYTE_RANGE_PART, 0, 10},
    {"bytes=0-10", 10, BYTE_RANGE_PART, 0, 10},
    {"BYTES=4-", 10, BYTE_RANGE_PART, 4, 6},
    {"bytes=-3", 10, BYTE_RANGE_PART, 7, 3},
    {"bytes=-30", 10, BYTE_RANGE_PART, 0, 10},
    {"bytes=18446744073709551615-", 10, BYTE_RANGE_NONE, 0, 0},
    {"bytes=0-18446744073709551616", 10, BYTE_RANGE_PART, 0, 10},
    {"bytes=10-", 10, BYTE_RANGE_NONE, 0, 0},
    {"bytes=-0", 10, BYTE_RANGE_NONE, 0, 0},
    {"bytes=0-", 0, BYTE_RANGE_NONE, 0, 0},
    {"bytes=-1", 0, BYTE_RANGE_NONE, 0, 0},
    {"bytes=3-2", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes=-", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes=", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes=1", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes=1-2,4-5", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes= 1-2", 10, BYTE_RANGE_ALL, 0, 0},
    {"bytes=1-2x", 10, BYTE_RANGE_ALL, 0, 0},
    {"items=1-2", 10, BYTE_RANGE_ALL, 0, 0},
    {"", 10, BYTE_RANGE_ALL, 0, 0},
};

START_TEST(range_fields)
{
    struct byte_range range = {0, 0};
    ck_assert_int_eq(byte_range_parse(span_of(ranges[_i].field), ranges[_i].size, &range),
                     ranges[_i].verdict);
    if (ranges[_i].verdict == BYTE_RANGE_PART) {
        ck_assert_uint_eq(range.first, ranges[_i].first);
        ck_assert_uint_eq(range.length, ranges[_i].length);
    }
}
END_TEST

START_TEST(no_range_field)
{
    struct byte_range range;
    ck_assert_int_eq(byte_range_parse((struct span){NULL, 0}, 10, &range), BYTE_RANGE_ALL);
}
END_TEST

static const struct {
    const char *list;
    bool matches;
} lists[] = {
    {"\"a-1\"", true},
    {"W/\"a-1\"", true},
    {"\"x\", \"a-1\"", true},
    {"\"x\",W/\"a-1\"", true},
    {"*", true},
    {"\"a-1", false},
    {"a-1", false},
    {"\"a-12\"", false},
    {"\"x\", \"y\"", false},
    {"", false},
    {",,,", false},
    {"W/", false},
    {" \t\"a-1\" \t", true},
};

START_TEST(if_none_match)
{
    ck_assert(file_head_matches(span_of(lists[_i].list), "\"a-1\"") == lists[_i].matches);
}
END_TEST

static const struct {
    const char *name, *type, *disposition;
} files[] = {
    {"a.PNG", "image/png", "inline; filename=\"a.PNG\""},
    {"a.tar.gz", "application/gzip", "attachment; filename=\"a.tar.gz\""},
    {".png", "image/png", "inline; filename=\".png\""},
    {"png", "application/octet-stream", "attachment; filename=\"png\""},
    {"a.", "application/octet-stream", "attachment; filename=\"a.\""},
    {"a\"b\\.txt", "text/plain; charset=utf-8",
     "attachment; filename=\"a_b_.txt\"; filename*=UTF-8''a%22b%5C.txt"},
    {"\xc3\xbc%.txt", "text/plain; charset=utf-8",
     "attachment; filename=\"___.txt\"; filename*=UTF-8''%C3%BC%25.txt"},
};

START_TEST(types_and_dispositions)
{
    struct buf out = BUF_INIT;
    ck_assert_str_eq(file_head_type(files[_i].name), files[_i].type);
    file_head_disposition(&out, files[_i].name);
    ck_assert_str_eq(buf_str(&out), files[_i].disposition);
    buf_free(&out);
}
END_TEST

START_TEST(tags_tell_contents_apart)
{
    struct stat st = {.st_ino = 1, .st_size = 2, .st_mtim = {3, 4}}, other = st;
    struct buf a = BUF_INIT, b = BUF_INIT;
    file_head_etag(&a, &st);
    other.st_mtim.tv_nsec++;
    file_head_etag(&b, &other);
    ck_assert_str_ne(buf_str(&a), buf_str(&b));
    ck_assert(file_head_matches(span_of(buf_str(&a)), buf_str(&a)));
    buf_free(&a);
    buf_reset(&b, SIZE_MAX);
    st.st_mtim.tv_sec = 0;
    file_head_date(&b, &st);
    ck_assert_str_eq(buf_str(&b), "Thu, 01 Jan 1970 00:00:00 GMT");
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file_head");
    TCase *tcase = tcase_create("fields");
    tcase_add_loop_test(tcase, range_fields, 0, sizeof(ranges) / sizeof(ranges[0]));
    tcase_add_test(tcase, no_range_field);
    tcase_add_loop_test(tcase, if_none_match, 0, sizeof(lists) / sizeof(lists[0]));
    tcase_add_loop_test(tcase, types_and_dispositions, 0, sizeof(files) / sizeof(files[0]));
    tcase_add_test(tcase, tags_tell_contents_apart);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
