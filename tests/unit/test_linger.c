// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/linger.c supervisor/loop.c common/clock.c common/log.c common/json_text.c
 * links: common/utf8.c common/buf.c */
#include "supervisor/http/linger.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A local socket that is closed with unread input makes its other end see ECONNRESET where the end
 * would be, as a TCP one does.
 */
static struct lingers lingers;
static int ends[2]; /* ours, the client's */

static void setup(void)
{
    lingers_init(&lingers, loop_new());
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void teardown(void)
{
    struct loop *loop = lingers.loop;
    lingers_free(&lingers);
    close(ends[1]);
    loop_free(loop);
}

static void client_sends(size_t len)
{
    char request[4096];
    memset(request, 'x', sizeof(request));
    for (size_t sent = 0; sent < len; sent += sizeof(request))
        ck_assert_int_eq(write(ends[1], request, sizeof(request)), sizeof(request));
}

static void client_reads_answer_and_end(void)
{
    char got[16];
    ck_assert_int_eq(read(ends[1], got, sizeof(got)), 6);
    ck_assert_mem_eq(got, "answer", 6);
    ck_assert_int_eq(read(ends[1], got, sizeof(got)), 0);
}

START_TEST(what_comes_later_is_read)
{
    ck_assert_int_eq(write(ends[0], "answer", 6), 6);
    linger_start(&lingers, ends[0]);
    ck_assert_uint_eq(lingers.count, 1);
    client_sends(8192);
    lingers_free(&lingers);
    ck_assert_uint_eq(lingers.count, 0);
    client_reads_answer_and_end();
}
END_TEST

START_TEST(where_no_more_can_linger_what_has_come_is_read)
{
    client_sends(40960);
    ck_assert_int_eq(write(ends[0], "answer", 6), 6);
    lingers.count = LINGERS_MAX;
    linger_start(&lingers, ends[0]);
    ck_assert_uint_eq(lingers.count, LINGERS_MAX);
    lingers.count = 0;
    client_reads_answer_and_end();
}
END_TEST

START_TEST(the_last_ones_linger_all)
{
    ck_assert_int_eq(write(ends[0], "answer", 6), 6);
    lingers.count = LINGERS_MAX;
    lingers_are_last(&lingers);
    linger_start(&lingers, ends[0]);
    ck_assert_uint_eq(lingers.count, LINGERS_MAX + 1);
    client_sends(8192);
    lingers_free(&lingers);
    ck_assert_uint_eq(lingers.count, LINGERS_MAX);
    client_reads_answer_and_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linger");
    TCase *tc = tcase_create("linger");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_comes_later_is_read);
    tcase_add_test(tc, where_no_more_can_linger_what_has_come_is_read);
    tcase_add_test(tc, the_last_ones_linger_all);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
