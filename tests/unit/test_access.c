// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/access.c */
#include "supervisor/http/access.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];
static struct config config;
static struct access *station_access;
static char error[256];

static struct span span_or_none(const char *text)
{
    return text ? span_of(text) : (struct span){NULL, 0};
}

static void open_with(enum management management)
{
    config = (struct config){.data_dir = folder, .management = management};
    config.hosts[0] = "station.example";
    config.host_count = 1;
    station_access = access_new(&config, error, sizeof(error));
}

static void set_up(void)
{
    strcpy(folder, "/tmp/test_access.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/admin.token", folder);
    error[0] = '\0';
}

static void tear_down(void)
{
    access_free(station_access);
    station_access = NULL;
    unlink(path);
    rmdir(folder);
}

static const struct {
    const char *host;
    bool known;
} hosts[] = {
    {NULL, true},
    {"localhost", true},
    {"LocalHost:8001", true},
    {"127.0.0.1", true},
    {"127.0.0.1:1", true},
    {"[::1]", true},
    {"[::1]:8001", true},
    {"127.0.0.9:8001", true}, /* listened on */
    {"[fe80::1]:8001", true}, /* likewise */
    {"station.example", true},
    {"Station.Example:443", true},
    {"", false},
    {"127.0.0.2", false},
    {"localhost.evil.example", false},
    {"evil.example", false},
    {"localhost:8001:1", false},
    {"localhost:x", false},
    {"[::1", false},
    {"[::1]x", false},
    {"::1", false},
    {"station.example.", false},
};

START_TEST(known_hosts)
{
    open_with(MANAGEMENT_LOOPBACK);
    ck_assert(access_add_address(station_access, "127.0.0.9"));
    ck_assert(access_add_address(station_access, "fe80::1"));
    ck_assert_msg(access_host_is_known(station_access, span_or_none(hosts[_i].host)) ==
                      hosts[_i].known,
                  "%s", hosts[_i].host);
}
END_TEST

static const struct {
    const char *host, *origin, *fetch_site;
    bool foreign;
} pages[] = {
    {"localhost:8001", NULL, NULL, false},
    {"localhost:8001", NULL, "none", false},
    {"localhost:8001", NULL, "same-origin", false},
    {"localhost:8001", NULL, "cross-site", true},
    {"localhost:8001", NULL, "Cross-Site", true},
    {"localhost:8001", "http://localhost:8001", NULL, false},
    {"localhost:8001", "http://LOCALHOST:8001", "same-origin", false},
    {"localhost:8001", "http://localhost:8001", "cross-site", true},
    {"localhost:8001", "http://localhost:3000", "same-site", true},
    {"localhost:8001", "http://localhost", NULL, true},
    {"localhost:8001", "http://127.0.0.1:8001", NULL, true},
    {"localhost:8001", "http://evil.example", NULL, true},
    {"localhost:8001", "null", NULL, true},
    {"localhost:8001", "", NULL, true},
    {"localhost:8001", "localhost:8001", NULL, true},
    {"localhost:8001", "file://localhost:8001", NULL, true},
    {"a.example", "https://a.example", NULL, false},
    {"a.example", "https://a.example:443", NULL, false},
    {"a.example:443", "https://a.example", NULL, false},
    {"a.example:80", "http://a.example", NULL, false},
    {"a.example", "http://a.example:443", NULL, true},
    {NULL, "http://a.example", NULL, true},
    {NULL, NULL, NULL, false},
};

START_TEST(foreign_pages)
{
    ck_assert_msg(access_is_foreign(span_or_none(pages[_i].host), span_or_none(pages[_i].origin),
                                    span_or_none(pages[_i].fetch_site)) == pages[_i].foreign,
                  "case %d", _i);
}
END_TEST

static unsigned manage(bool is_local, bool is_unix, const char *authorization)
{
    const char *why = NULL;
    unsigned status =
        access_management(station_access, is_local, is_unix, span_or_none(authorization), &why);
    ck_assert_ptr_nonnull(why);
    return status;
}

START_TEST(management_from_loopback)
{
    open_with(MANAGEMENT_LOOPBACK);
    ck_assert_uint_eq(manage(true, false, NULL), 0);
    ck_assert_uint_eq(manage(false, false, NULL), 403);
    struct stat st;
    ck_assert_int_ne(stat(path, &st), 0); /* no token is made without need */
}
END_TEST

START_TEST(management_switched_off)
{
    open_with(MANAGEMENT_OFF);
    ck_assert_uint_eq(manage(true, false, NULL), 403);
    ck_assert_uint_eq(manage(true, true, NULL), 403);
}
END_TEST

static void read_token(char *token, size_t size)
{
    FILE *in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(fgets(token, (int)size, in));
    token[strcspn(token, "\n")] = '\0';
    fclose(in);
}

START_TEST(management_by_token)
{
    char token[200], header[300];
    open_with(MANAGEMENT_TOKEN);
    ck_assert_msg(station_access != NULL, "%s", error);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    read_token(token, sizeof(token));
    ck_assert_uint_eq(strlen(token), 64);
    ck_assert_uint_eq(manage(true, false, NULL), 401);
    ck_assert_uint_eq(manage(true, true, NULL), 0);
    snprintf(header, sizeof(header), "Bearer %s", token);
    ck_assert_uint_eq(manage(true, false, header), 0);
    header[0] = 'b';
    ck_assert_uint_eq(manage(true, false, header), 0);
    header[strlen(header) - 1] ^= 1;
    ck_assert_uint_eq(manage(true, false, header), 401);
    header[strlen(header) - 1] = '\0';
    ck_assert_uint_eq(manage(true, false, header), 401);
    snprintf(header, sizeof(header), "Bearer %sx", token);
    ck_assert_uint_eq(manage(true, false, header), 401);
    snprintf(header, sizeof(header), "Basic %s", token);
    ck_assert_uint_eq(manage(true, false, header), 401);
    ck_assert_uint_eq(manage(true, false, "Bearer "), 401);
    ck_assert_uint_eq(manage(true, false, "Bearer"), 401);
}
END_TEST

START_TEST(token_is_kept)
{
    char first[200], second[200];
    open_with(MANAGEMENT_TOKEN);
    read_token(first, sizeof(first));
    access_free(station_access);
    open_with(MANAGEMENT_TOKEN);
    read_token(second, sizeof(second));
    ck_assert_str_eq(first, second);
}
END_TEST

static void write_token(const char *text, mode_t mode)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
    ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(readable_token_is_refused)
{
    write_token("0123456789012345678901234567890123456789\n", 0644);
    open_with(MANAGEMENT_TOKEN);
    ck_assert_ptr_null(station_access);
    ck_assert_ptr_nonnull(strstr(error, "chmod"));
}
END_TEST

START_TEST(short_token_is_refused)
{
    write_token("secret\n", 0600);
    open_with(MANAGEMENT_TOKEN);
    ck_assert_ptr_null(station_access);
    ck_assert_ptr_nonnull(strstr(error, "no usable token"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *tests = tcase_create("access");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, known_hosts, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_loop_test(tests, foreign_pages, 0, sizeof(pages) / sizeof(pages[0]));
    tcase_add_test(tests, management_from_loopback);
    tcase_add_test(tests, management_switched_off);
    tcase_add_test(tests, management_by_token);
    tcase_add_test(tests, token_is_kept);
    tcase_add_test(tests, readable_token_is_refused);
    tcase_add_test(tests, short_token_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
