// SPDX-License-Identifier: Apache-2.0
/* links: common/buf.c common/codec.c common/events/redis_command.c common/events/redis_error.c
 * common/events/redis_url.c common/urlencoded.c */
/* Where Redis is, the bytes of commands, the meaning of errors: the pure parts of the backend. */
#include "common/events/redis_url.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "common/events/redis_command.h"
#include "common/events/redis_error.h"

static const struct {
    const char *text;
    const char *user, *password, *host, *port, *path;
    int db;
    const char *shown;
} good[] = {
    {"redis://", NULL, NULL, "localhost", "6379", NULL, 0, "localhost:6379/0"},
    {"redis://localhost", NULL, NULL, "localhost", "6379", NULL, 0, "localhost:6379/0"},
    {"REDIS://h:7000/3", NULL, NULL, "h", "7000", NULL, 3, "h:7000/3"},
    {"redis://h/?db=4", NULL, NULL, "h", "6379", NULL, 4, "h:6379/4"},
    {"redis://h?socket_timeout=5&db=2", NULL, NULL, "h", "6379", NULL, 2, "h:6379/2"},
    {"redis://:secret@h", NULL, "secret", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://bob:secret@h:1", "bob", "secret", "h", "1", NULL, 0, "h:1/0"},
    {"redis://bob@h", "bob", "", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://h/0?username=b%40b&password=s%3f", "b@b", "s?", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://a:old@h?password=new", "a", "new", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://h?username=bob", "bob", "", "h", "6379", NULL, 0, "h:6379/0"},
    {"unix:///s?password=pw", NULL, "pw", NULL, "", "/s", 0, "/s/0"},
    {"redis://b%40b:s%3a%2f%25%20@h", "b@b", "s:/% ", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://:p@ss:w@rd@h", NULL, "p@ss:w@rd", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://:a+b@h", NULL, "a+b", "h", "6379", NULL, 0, "h:6379/0"},
    {"redis://[::1]", NULL, NULL, "::1", "6379", NULL, 0, "[::1]:6379/0"},
    {"redis://:x@[fe80::1]:65535/15", NULL, "x", "fe80::1", "65535", NULL, 15,
     "[fe80::1]:65535/15"},
    {"unix:///run/redis.sock", NULL, NULL, NULL, "", "/run/redis.sock", 0, "/run/redis.sock/0"},
    {"unix://:pw@/run/a%20b?db=7", NULL, "pw", NULL, "", "/run/a b", 7, "/run/a b/7"},
};

static const struct {
    const char *text, *error;
} bad[] = {
    {"", "redis_url: not redis:// nor unix://"},
    {"localhost:6379", "redis_url: not redis:// nor unix://"},
    {"http://h", "redis_url: not redis:// nor unix://"},
    {"rediss://:secret@h", "redis_url: rediss:// needs a hiredis with TLS, and this one has none"},
    {"redis://h:0", "redis_url: the port is not a number from 1 to 65535"},
    {"redis://h:65536", "redis_url: the port is not a number from 1 to 65535"},
    {"redis://h:secret", "redis_url: the port is not a number from 1 to 65535"},
    {"redis://h:6379x", "redis_url: the port is not a number from 1 to 65535"},
    {"redis://[::1", "redis_url: the host has no closing bracket"},
    {"redis://[::1]secret", "redis_url: what follows the host is no port"},
    {"redis://:secret@h/one", "redis_url: the database is not a number"},
    {"redis://:secret@h/?db=-1", "redis_url: the database is not a number"},
    {"redis://:sec%00ret@h", "redis_url: a NUL in user or password"},
    {"redis://h?password=sec%00ret", "redis_url: a NUL in user or password"},
    {"redis://h%00", "redis_url: a NUL in the host"},
    {"unix://secret", "redis_url: unix:// needs the path of a socket"},
    {"unix://secret/path", "redis_url: unix:// needs the path of a socket"},
    {"unix:///a%00", "redis_url: a NUL in the path"},
};

static void same(const char *what, const char *is, const char *should)
{
    ck_assert_msg((is == NULL) == (should == NULL), "%s: NULL or not", what);
    if (is)
        ck_assert_str_eq(is, should);
}

START_TEST(urls_are_read)
{
    struct redis_url url;
    char text[128];
    ck_assert_int_eq(redis_url_parse(&url, good[_i].text, text, sizeof(text)), 0);
    same("user", url.user, good[_i].user);
    same("password", url.password, good[_i].password);
    same("host", url.host, good[_i].host);
    same("path", url.path, good[_i].path);
    ck_assert_str_eq(url.port, good[_i].port);
    ck_assert_int_eq(url.db, good[_i].db);
    redis_url_show(&url, text, sizeof(text));
    ck_assert_str_eq(text, good[_i].shown);
    redis_url_free(&url);
    ck_assert_ptr_null(url.password);
}
END_TEST

START_TEST(wrong_urls_are_refused_without_secrets)
{
    struct redis_url url;
    char error[128];
    ck_assert_int_eq(redis_url_parse(&url, bad[_i].text, error, sizeof(error)), -EINVAL);
    ck_assert_str_eq(error, bad[_i].error);
    ck_assert_ptr_null(strstr(error, "secret"));
    ck_assert_ptr_null(url.host);
}
END_TEST

START_TEST(commands_are_arrays_of_words)
{
    struct buf out = BUF_INIT;
    redis_command_put(&out, "PING", "a b", NULL);
    redis_command_start(&out, 2);
    redis_command_number(&out, 0);
    redis_command_id(&out, (struct delivery_id){UINT64_MAX, 12});
    ck_assert_str_eq(buf_str(&out), "*2\r\n$4\r\nPING\r\n$3\r\na b\r\n"
                                    "*2\r\n$1\r\n0\r\n$23\r\n18446744073709551615-12\r\n");
    buf_free(&out);
}
END_TEST

START_TEST(ids_are_two_numbers)
{
    static const char *const wrong[] = {
        "", "1", "-", "1-", "-1", "1-1x", "1 -1", "18446744073709551616-0", "a-b"};
    struct delivery_id id, other = {5, 8};
    ck_assert(redis_command_parse_id(span_of("5-7"), &id));
    ck_assert_uint_eq(id.high, 5);
    ck_assert_uint_eq(id.low, 7);
    ck_assert_int_eq(redis_command_compare_ids(id, other), -1);
    ck_assert_int_eq(redis_command_compare_ids(other, id), 1);
    ck_assert_int_eq(redis_command_compare_ids(other, other), 0);
    ck_assert_int_eq(redis_command_compare_ids(other, (struct delivery_id){6, 0}), -1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!redis_command_parse_id(span_of(wrong[i]), &id), "%s", wrong[i]);
}
END_TEST

static const struct {
    const char *text;
    int number;
} errors[] = {
    {"OOM command not allowed when used memory > 'maxmemory'.", -ENOBUFS},
    {"WRONGPASS invalid username-password pair or user is disabled.", -EACCES},
    {"NOAUTH Authentication required.", -EACCES},
    {"NOPERM this user has no permissions", -EACCES},
    {"ERR AUTH <password> called without any password configured", -EACCES},
    {"LOADING Redis is loading the dataset in memory", -ENOTCONN},
    {"READONLY You can't write against a read only replica.", -ENOTCONN},
    {"BUSY Redis is busy running a script.", -ENOTCONN},
    {"BUSYGROUP Consumer Group name already exists", -EPROTO},
    {"WRONGTYPE Operation against a key", -EPROTO},
    {"OO", -EPROTO},
    {"", -EPROTO},
};

START_TEST(errors_have_a_meaning)
{
    ck_assert_int_eq(redis_error_number(redis_error_of(span_of(errors[_i].text))),
                     errors[_i].number);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_url");
    TCase *tests = tcase_create("pure");
    tcase_add_loop_test(tests, urls_are_read, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(tests, wrong_urls_are_refused_without_secrets, 0,
                        sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tests, commands_are_arrays_of_words);
    tcase_add_test(tests, ids_are_two_numbers);
    tcase_add_loop_test(tests, errors_have_a_meaning, 0, sizeof(errors) / sizeof(errors[0]));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
