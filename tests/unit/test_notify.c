// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/notify.c common/log.c common/buf.c common/clock.c common/json_text.c
 * common/utf8.c */
/* What systemd is told, over a path and over an abstract name. */
#include "common/clock.h"
#include "supervisor/notify.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager = -1;
static char name[64];
static char message[1024];

static void listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0;
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    notify_setup();
}

/* The next message; "" when there is none. */
static const char *heard(void)
{
    ssize_t n = recv(manager, message, sizeof(message) - 1, MSG_DONTWAIT);
    message[n > 0 ? n : 0] = 0;
    return message;
}

static void tear_down(void)
{
    if (manager >= 0)
        close(manager);
    manager = -1;
    if (name[0] == '/')
        unlink(name);
}

/* 0: a path, 1: an abstract name. */
START_TEST(every_message)
{
    snprintf(name, sizeof(name), _i ? "@objectd-test-%d" : "/tmp/objectd-test-%d", (int)getpid());
    listen_at(name);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    unsigned long long us;
    notify_ready("serving");
    ck_assert_str_eq(heard(), "READY=1\nSTATUS=serving");
    notify_reloading();
    ck_assert_int_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading", &us), 1);
    ck_assert_uint_le(us, clock_mono_ns() / 1000);
    ck_assert_uint_gt(us, clock_mono_ns() / 1000 - 10000000);
    notify_stopping();
    ck_assert_str_eq(heard(), "STOPPING=1\nSTATUS=stopping");
    notify_watchdog();
    ck_assert_str_eq(heard(), "WATCHDOG=1");
    ck_assert_str_eq(heard(), "");
}
END_TEST

static const char *const useless[] = {NULL, "", "@", "relative", "/nonexistent/notify"};

START_TEST(nobody_to_tell)
{
    if (useless[_i])
        setenv("NOTIFY_SOCKET", useless[_i], 1);
    else
        unsetenv("NOTIFY_SOCKET");
    notify_setup();
    notify_ready("serving");
    notify_stopping();
    char long_name[300] = "/";
    memset(long_name + 1, 'a', 298);
    long_name[299] = 0;
    setenv("NOTIFY_SOCKET", long_name, 1);
    notify_setup();
    notify_ready("serving");
}
END_TEST

/* WATCHDOG_USEC and WATCHDOG_PID ("own" stands for ours), and the interval. */
static const struct {
    const char *usec, *pid;
    uint64_t interval;
} watchdogs[] = {
    {NULL, NULL, 0},
    {"2000000", NULL, NS_PER_S},
    {"2000000", "own", NS_PER_S},
    {"2000000", "1", 0},
    {"0", NULL, 0},
    {"-1", NULL, 0},
    {"20x", NULL, 0},
    {"", NULL, 0},
    {"2000000", "mine", 0},
    {"18446744073709551615", NULL, 0},
};

START_TEST(watchdog_interval)
{
    char own[16];
    snprintf(own, sizeof(own), "%d", (int)getpid());
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (watchdogs[_i].usec)
        setenv("WATCHDOG_USEC", watchdogs[_i].usec, 1);
    if (watchdogs[_i].pid)
        setenv("WATCHDOG_PID", strcmp(watchdogs[_i].pid, "own") ? watchdogs[_i].pid : own, 1);
    notify_setup();
    ck_assert_uint_eq(notify_watchdog_interval(), watchdogs[_i].interval);
    ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tc = tcase_create("notify");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_loop_test(tc, every_message, 0, 2);
    tcase_add_loop_test(tc, nobody_to_tell, 0, sizeof(useless) / sizeof(useless[0]));
    tcase_add_loop_test(tc, watchdog_interval, 0, sizeof(watchdogs) / sizeof(watchdogs[0]));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
