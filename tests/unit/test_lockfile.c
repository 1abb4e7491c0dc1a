// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/lockfile.c */
/* One supervisor a data folder. */
#include "supervisor/lockfile.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char data[128];
static char error[512];

static void set_up(void)
{
    strcpy(folder, "/tmp/objectd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(data, sizeof(data), "%s/a/data", folder);
    error[0] = 0;
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(takes_and_makes_the_folder)
{
    char path[256], text[32] = "";
    struct stat st;
    int fd = lockfile_take(data, error, sizeof(error));
    ck_assert_msg(fd >= 0, "%s", error);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(stat(data, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    snprintf(path, sizeof(path), "%s/objectd.lock", data);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
    ck_assert_int_eq(atoi(text), getpid());
    lockfile_release(fd);
    fd = lockfile_take(data, error, sizeof(error)); /* again, over the file that stays */
    ck_assert_int_ge(fd, 0);
    lockfile_release(fd);
}
END_TEST

START_TEST(second_one_is_told_who_holds_it)
{
    char pid[16];
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t holder = fork();
    if (holder == 0) {
        int fd = lockfile_take(data, error, sizeof(error));
        if (fd < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char byte;
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(lockfile_take(data, error, sizeof(error)), -EWOULDBLOCK);
    snprintf(pid, sizeof(pid), "process %d", (int)holder);
    ck_assert_msg(strstr(error, pid) != NULL, "%s", error);
    ck_assert_msg(strstr(error, "test_lockfile") != NULL, "%s", error);
    /* The lock goes with its owner, even when that is killed. */
    kill(holder, SIGKILL);
    ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
    int fd = lockfile_take(data, error, sizeof(error));
    ck_assert_msg(fd >= 0, "%s", error);
    lockfile_release(fd);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

START_TEST(trouble_is_told)
{
    char path[256];
    ck_assert_int_eq(lockfile_take("/proc/objectd-test/data", error, sizeof(error)), -ENOENT);
    ck_assert_ptr_nonnull(strstr(error, "/proc/objectd-test/data"));
    /* A link in place of the lock file is not followed. */
    snprintf(path, sizeof(path), "%s/objectd.lock", folder);
    ck_assert_int_eq(symlink("/tmp/objectd-test-elsewhere", path), 0);
    ck_assert_int_eq(lockfile_take(folder, error, sizeof(error)), -ELOOP);
    ck_assert_int_ne(access("/tmp/objectd-test-elsewhere", F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lockfile");
    TCase *tc = tcase_create("lockfile");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, takes_and_makes_the_folder);
    tcase_add_test(tc, second_one_is_told_who_holds_it);
    tcase_add_test(tc, trouble_is_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
