// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/cgroup.c supervisor/process/cgroup_find.c common/buf.c common/fd_io.c
 */
/*
 * A made-up tree stands for cgroupfs: its files hold what was written last. (What the kernel makes
 * of it, tests/system/test_limits.py sees, in the hierarchies that the machine has.)
 */
#include "supervisor/process/cgroup_find.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[64];
static char why[512];
static struct cgroups groups;

static char *at(const char *format, ...)
{
    static char path[1024];
    int len = snprintf(path, sizeof(path), "%s/", top);
    va_list ap;
    va_start(ap, format);
    vsnprintf(path + len, sizeof(path) - (size_t)len, format, ap);
    va_end(ap);
    return path;
}

static void file(const char *path, const char *text)
{
    FILE *f = fopen(at("%s", path), "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void folder(const char *path)
{
    ck_assert_int_eq(mkdir(at("%s", path), 0755), 0);
}

/* What was written over the file's first bytes. */
static void check_begins(const char *path, const char *text)
{
    char found[256] = "";
    FILE *f = fopen(at("%s", path), "r");
    ck_assert_msg(f != NULL, "%s", path);
    ck_assert(fgets(found, sizeof(found), f) != NULL || !*text);
    fclose(f);
    ck_assert_msg(strncmp(found, text, strlen(text)) == 0, "%s: %s", path, found);
}

static void set_up(void)
{
    snprintf(top, sizeof(top), "/tmp/test_cgroup.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    groups = (struct cgroups){0};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void tear_down(void)
{
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- where we are --- */

static const struct {
    const char *mountinfo, *self;
    size_t count;
    struct cgroup_root roots[CGROUP_ROOTS_MAX];
} finds[] = {
    {"30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
     "0::/system.slice/objectd.service\n",
     1,
     {{2, 0, "/sys/fs/cgroup/system.slice/objectd.service"}}},
    /* v1, two controllers in one hierarchy, v2 beside it without any: v2 comes first. */
    {"31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
     "32 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
     "33 23 0:29 / /cg/devices rw - cgroup cgroup rw,devices\n"
     "34 23 0:30 / /cg/unified rw - cgroup2 cgroup rw\n",
     "4:memory:/a/b\n3:cpu,cpuacct:/\n2:devices:/x\n1:name=systemd:/y\n0::/\n",
     3,
     {{2, 0, "/cg/unified"},
      {1, 1u << CGROUP_MEMORY, "/cg/memory/a/b"},
      {1, 1u << CGROUP_CPU | 1u << CGROUP_CPU_TIME, "/cg/cpu"}}},
    /* v1, a hierarchy each. */
    {"31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
     "32 23 0:28 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n"
     "33 23 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
     "34 23 0:30 / /cg/pids rw - cgroup cgroup rw,pids\n"
     "35 23 0:31 / /cg/unified rw - cgroup2 cgroup rw\n",
     "5:pids:/p\n4:memory:/m\n3:cpuacct:/t\n2:cpu:/c\n0::/\n",
     5,
     {{2, 0, "/cg/unified"},
      {1, 1u << CGROUP_MEMORY, "/cg/memory/m"},
      {1, 1u << CGROUP_CPU_TIME, "/cg/cpuacct/t"},
      {1, 1u << CGROUP_CPU, "/cg/cpu/c"},
      {1, 1u << CGROUP_PROCESSES, "/cg/pids/p"}}},
    /* A container: the mount shows a part of the hierarchy. */
    {"40 23 0:27 /docker/abc /cg/pids ro - cgroup cgroup rw,pids\n",
     "9:pids:/docker/abc/sub\n",
     1,
     {{1, 1u << CGROUP_PROCESSES, "/cg/pids/sub"}}},
    /* We are outside of what is mounted, or of our namespace. */
    {"40 23 0:27 /docker/abc /cg/pids rw - cgroup cgroup rw,pids\n", "9:pids:/other\n", 0, {{0}}},
    {"40 23 0:27 /docker/abc /cg/pids rw - cgroup cgroup rw,pids\n",
     "9:pids:/docker/abcd\n",
     0,
     {{0}}},
    {"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../other\n", 0, {{0}}},
    {"22 1 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n\n", "0::/\nnonsense\n", 0, {{0}}},
    {"", "", 0, {{0}}},
};

START_TEST(finds_our_own_groups)
{
    cgroup_find(&groups, finds[_i].mountinfo, finds[_i].self);
    ck_assert_uint_eq(groups.count, finds[_i].count);
    for (size_t i = 0; i < groups.count; i++) {
        ck_assert_uint_eq(groups.roots[i].version, finds[_i].roots[i].version);
        ck_assert_uint_eq(groups.roots[i].parts, finds[_i].roots[i].parts);
        ck_assert_str_eq(groups.roots[i].path, finds[_i].roots[i].path);
    }
}
END_TEST

/* --- v2 --- */

static struct cgroups own_v2(void)
{
    struct cgroups own = {.count = 1, .roots = {{.version = 2}}};
    snprintf(own.roots[0].path, CGROUP_PATH_SIZE, "%s", top);
    return own;
}

/* A delegated group with us in it; its controllers are given on, or to be switched on. */
static void make_v2(const char *enabled, const char *processes)
{
    file("cgroup.controllers", "cpuset cpu io memory pids\n");
    file("cgroup.subtree_control", enabled);
    file("cgroup.procs", processes);
    file("cgroup.type", "domain\n");
    folder("st");
    file("st/cgroup.type", "domain\n");
    file("st/cgroup.controllers", "cpu memory pids\n");
    file("st/cgroup.subtree_control", "cpu memory pids\n");
    file("st/cgroup.kill", "");
    file("st/cpu.stat", "usage_usec 0\n");
    folder("st/supervisor");
    file("st/supervisor/cgroup.procs", "");
    file("st/supervisor/cpu.weight", "100\n");
}

START_TEST(v2_has_every_part)
{
    make_v2("cpu memory pids\n", "1\n2\n");
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_str_eq(why, "");
    ck_assert_uint_eq(groups.count, 1);
    for (int part = 0; part < CGROUP_PARTS; part++)
        ck_assert_ptr_eq(cgroup_root_of(&groups, (enum cgroup_part)part), &groups.roots[0]);
    check_begins("st/supervisor/cpu.weight", "1000");
    check_begins("st/supervisor/cgroup.procs", ""); /* no need to move */
}
END_TEST

START_TEST(v2_moves_us_where_nobody_else_is)
{
    char me[32];
    snprintf(me, sizeof(me), "%d\n", (int)getpid());
    make_v2("\n", me);
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    check_begins("st/supervisor/cgroup.procs", "0");
    check_begins("cgroup.subtree_control", "+cpu"); /* the last one asked for */
}
END_TEST

/* The kernel would give on cpu and pids alone, and let no process into the groups below. */
START_TEST(v2_gives_nothing_on_from_where_it_stays)
{
    char me[32];
    snprintf(me, sizeof(me), "%d\n", (int)getpid());
    make_v2("\n", me);
    ck_assert_int_eq(unlink(at("st/supervisor/cgroup.procs")), 0);
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    check_begins("cgroup.subtree_control", "\n");
}
END_TEST

START_TEST(v2_stays_in_the_group_of_all_groups)
{
    make_v2("memory pids\n", "1\n2\n");
    ck_assert_int_eq(unlink(at("cgroup.type")), 0);
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    check_begins("cgroup.subtree_control", "+cpu");
    check_begins("st/supervisor/cgroup.procs", "");
}
END_TEST

START_TEST(v2_is_not_used_where_no_process_may_be)
{
    make_v2("cpu pids\n", "1\n2\n");
    file("st/cgroup.type", "domain invalid\n");
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_uint_eq(groups.count, 0);
    ck_assert_ptr_nonnull(strstr(why, "other processes"));
}
END_TEST

START_TEST(v2_does_not_move_others)
{
    char two[64];
    snprintf(two, sizeof(two), "%d\n77\n", (int)getpid());
    make_v2("\n", two);
    struct cgroups own = own_v2();
    file("st/cgroup.subtree_control", "\n");
    file("st/cgroup.controllers", "\n");
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    check_begins("st/supervisor/cgroup.procs", "");
    check_begins("cgroup.subtree_control", "\n");
    ck_assert_ptr_null(cgroup_root_of(&groups, CGROUP_MEMORY));
    ck_assert_ptr_nonnull(
        cgroup_root_of(&groups, CGROUP_FAMILY)); /* cgroup.kill works all the same */
    ck_assert_ptr_nonnull(cgroup_root_of(&groups, CGROUP_CPU_TIME));
    ck_assert_ptr_nonnull(strstr(why, "other processes"));
}
END_TEST

START_TEST(v2_is_not_used_for_processor_time_alone)
{
    make_v2("\n", "1\n2\n");
    file("st/cgroup.subtree_control", "\n");
    file("st/cgroup.controllers", "\n");
    ck_assert_int_eq(unlink(at("st/cgroup.kill")), 0);
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_uint_eq(groups.count, 0);
}
END_TEST

START_TEST(v2_of_a_kernel_that_does_not_count_processor_time)
{
    make_v2("cpu memory pids\n", "1\n2\n");
    ck_assert_int_eq(unlink(at("st/cpu.stat")), 0);
    struct cgroups own = own_v2();
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_uint_eq(groups.count, 1);
    ck_assert_ptr_null(cgroup_root_of(&groups, CGROUP_CPU_TIME));
    ck_assert_ptr_nonnull(cgroup_root_of(&groups, CGROUP_CPU));
}
END_TEST

START_TEST(what_cannot_be_made_is_said)
{
    struct cgroups own = own_v2();
    snprintf(own.roots[0].path, CGROUP_PATH_SIZE, "/proc/self/nowhere");
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_uint_eq(groups.count, 0);
    ck_assert_str_eq(why, "/proc/self/nowhere/st: No such file or directory");
    own.count = 0;
    cgroup_prepare(&groups, &own, "st", why, sizeof(why));
    ck_assert_str_eq(why, "no control groups are mounted");
}
END_TEST

/* --- groups --- */

static void one_root(unsigned version, unsigned parts)
{
    groups = (struct cgroups){.count = 1, .roots = {{.version = version, .parts = parts}}};
    snprintf(groups.roots[0].path, CGROUP_PATH_SIZE, "%s", top);
}

START_TEST(makes_and_removes)
{
    one_root(1, 1u << CGROUP_MEMORY);
    ck_assert_int_eq(cgroup_make(&groups, "b1-1"), 0);
    ck_assert_int_eq(access(at("b1-1"), F_OK), 0);
    ck_assert_int_eq(cgroup_make(&groups, "b1-1"), -EEXIST);
    ck_assert_int_eq(cgroup_make(&groups, "b1-2"), 0);
    file("b1-2/x", "");
    ck_assert_int_lt(cgroup_remove(&groups, "b1-2"), 0);
    ck_assert_int_eq(cgroup_remove(&groups, "b9-9"), 0); /* it is not there */
    folder("b1-3");
    folder("b1-3/inner");
    folder("b1-3/inner/most");
    folder("b1-3/other");
    ck_assert_int_eq(cgroup_remove(&groups, "b1-3"), 0);
    ck_assert_int_lt(access(at("b1-3"), F_OK), 0);
}
END_TEST

/* The sweeper of the start before may remove the station's folder at any time. */
START_TEST(makes_the_stations_folder_again)
{
    one_root(2, 1u << CGROUP_FAMILY);
    strcat(groups.roots[0].path, "/st");
    ck_assert_int_eq(cgroup_make(&groups, "b1-1"), 0);
    ck_assert_int_eq(access(at("st/b1-1"), F_OK), 0);
}
END_TEST

START_TEST(one_failure_takes_all_back)
{
    one_root(1, 1u << CGROUP_MEMORY);
    groups.count = 2;
    groups.roots[1] = (struct cgroup_root){1, 1u << CGROUP_CPU, "/proc/self/nowhere"};
    ck_assert_int_eq(cgroup_make(&groups, "b1-1"), -ENOENT);
    ck_assert_int_lt(access(at("b1-1"), F_OK), 0);
}
END_TEST

START_TEST(says_how_to_get_in)
{
    struct buf born = BUF_INIT, tasks = BUF_INIT;
    groups = (struct cgroups){
        .count = 3, .roots = {{2, 1u << CGROUP_FAMILY, "/v2"}, {1, 1, "/mem"}, {1, 2, "/pids"}}};
    cgroup_entries(&groups, "g", &born, &tasks);
    ck_assert_str_eq(buf_str(&born), "/v2/g");
    ck_assert_str_eq(buf_str(&tasks), "/mem/g/tasks\n/pids/g/tasks\n");
    buf_free(&born);
    buf_free(&tasks);
}
END_TEST

static void check_oom_kills(uint64_t count)
{
    int fd = cgroup_oom_kills_open(&groups, "g");
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_eq(cgroup_oom_kills(fd), count);
    close(fd);
}

START_TEST(limits_of_v2)
{
    one_root(2, 1u << CGROUP_MEMORY | 1u << CGROUP_PROCESSES);
    folder("g");
    file("g/memory.max", "max      \n");
    file("g/memory.swap.max", "max\n");
    file("g/memory.current", "1000000\n");
    file("g/memory.oom.group", "0\n");
    file("g/memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n");
    file("g/pids.max", "max\n");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 67108864), 0);
    check_begins("g/memory.max", "67108864");
    check_begins("g/memory.swap.max", "0");
    check_begins("g/memory.oom.group", "1");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 999999), -EBUSY);
    check_begins("g/memory.max", "67108864");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 0), 0);
    check_begins("g/memory.max", "max");
    ck_assert_int_eq(cgroup_limit_processes(&groups, "g", 12), 0);
    check_begins("g/pids.max", "12");
    check_oom_kills(2);
    ck_assert_int_eq(cgroup_oom_kills_open(&groups, "none"), -ENOENT);
    ck_assert_uint_eq(cgroup_oom_kills(-1), 0);
}
END_TEST

START_TEST(limits_of_v1)
{
    one_root(1, 1u << CGROUP_MEMORY);
    folder("g");
    file("g/memory.limit_in_bytes", "9223372036854771712\n");
    file("g/memory.usage_in_bytes", "4096\n");
    file("g/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 5000), 0); /* without swap accounting */
    check_begins("g/memory.limit_in_bytes", "5000");
    file("g/memory.memsw.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 6000), 0);
    check_begins("g/memory.memsw.limit_in_bytes", "6000");
    ck_assert_int_eq(cgroup_limit_memory(&groups, "g", 0), 0);
    check_begins("g/memory.limit_in_bytes", "-1");
    check_oom_kills(1);
    ck_assert_int_eq(cgroup_limit_processes(&groups, "g", 5), 0); /* no such part: nothing */
}
END_TEST

static const struct {
    unsigned version;
    const char *file, *limited, *not_limited;
} quotas[] = {{1, "g/cpu.cfs_quota_us", "10000", "-1"}, {2, "g/cpu.max", "10000", "max"}};

START_TEST(limits_the_processor)
{
    one_root(quotas[_i].version, 1u << CGROUP_CPU);
    folder("g");
    ck_assert_int_eq(cgroup_limit_cpu(&groups, "g", 10), -ENOENT); /* a kernel without */
    file(quotas[_i].file, "\n");
    ck_assert_int_eq(cgroup_limit_cpu(&groups, "g", 10), 0);
    check_begins(quotas[_i].file, quotas[_i].limited);
    ck_assert_int_eq(cgroup_idle_cpu(&groups, "g", true), 0); /* a kernel without */
    file("g/cpu.idle", "0\n");
    ck_assert_int_eq(cgroup_idle_cpu(&groups, "g", true), 0);
    check_begins("g/cpu.idle", "1");
    cgroup_kill(&groups, "g"); /* dying needs a processor */
    check_begins(quotas[_i].file, quotas[_i].not_limited);
    check_begins("g/cpu.idle", "0");
    groups.count = 0;
    ck_assert_int_eq(cgroup_limit_cpu(&groups, "g", 10), 0); /* no such part: nothing */
    ck_assert_int_eq(cgroup_idle_cpu(&groups, "g", true), 0);
}
END_TEST

START_TEST(counts_what_was_refused)
{
    one_root(1, 1u << CGROUP_PROCESSES);
    folder("g");
    ck_assert_int_eq(cgroup_refused_open(&groups, "g"), -ENOENT);
    file("g/pids.events", "max 0\n");
    int fd = cgroup_refused_open(&groups, "g");
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_eq(cgroup_refused(fd), 0);
    file("g/pids.events", "max 4711\n");
    ck_assert_uint_eq(cgroup_refused(fd), 4711);
    file("g/pids.events", "none of it\n");
    ck_assert_uint_eq(cgroup_refused(fd), 0);
    close(fd);
    groups.roots[0].parts = 1u << CGROUP_CPU;
    ck_assert_int_eq(cgroup_refused_open(&groups, "g"), -ENOENT);
}
END_TEST

static const struct {
    unsigned version;
    const char *file, *first, *later;
} times[] = {{1, "g/cpuacct.usage", "0\n", "4711000000\n"},
             {2, "g/cpu.stat", "usage_usec 0\nuser_usec 8\nsystem_usec 9\n",
              "usage_usec 4711000\nuser_usec 11\nsystem_usec 4710989\nnice_usec 0\n"}};

START_TEST(counts_processor_time)
{
    one_root(times[_i].version, 1u << CGROUP_CPU_TIME);
    folder("g");
    ck_assert_int_eq(cgroup_cpu_open(&groups, "g"), -ENOENT);
    file(times[_i].file, times[_i].first);
    int fd = cgroup_cpu_open(&groups, "g");
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_eq(cgroup_cpu_ns(fd), 0);
    file(times[_i].file, times[_i].later);
    ck_assert_uint_eq(cgroup_cpu_ns(fd), 4711000000);
    file(times[_i].file, "none of it\n");
    ck_assert_uint_eq(cgroup_cpu_ns(fd), 0);
    close(fd);
    groups.roots[0].parts = 1u << CGROUP_CPU;
    ck_assert_int_eq(cgroup_cpu_open(&groups, "g"), -ENOENT);
}
END_TEST

START_TEST(kills_with_one_write_on_v2)
{
    one_root(2, 1u << CGROUP_FAMILY | 1u << CGROUP_PROCESSES);
    folder("g");
    file("g/cgroup.kill", "");
    file("g/pids.max", "12\n");
    cgroup_kill(&groups, "g");
    check_begins("g/cgroup.kill", "1");
    check_begins("g/pids.max", "12");
}
END_TEST

START_TEST(kills_one_by_one_without)
{
    char pids[64];
    int status;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    one_root(1, 1u << CGROUP_FAMILY | 1u << CGROUP_PROCESSES);
    folder("g");
    snprintf(pids, sizeof(pids), "%d\n%d\n1\n", (int)getpid(), (int)child);
    file("g/cgroup.procs", pids);
    file("g/pids.max", "12\n");
    cgroup_kill(&groups, "g"); /* never ourselves, never init */
    check_begins("g/pids.max", "0");
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
END_TEST

static void count(void *arg, const char *name)
{
    ck_assert_int_eq(strncmp(name, "b7-", 3), 0);
    ++*(size_t *)arg;
}

START_TEST(lists_groups_by_their_beginning)
{
    size_t seen = 0;
    one_root(1, 1u << CGROUP_MEMORY);
    folder("b7-1");
    folder("b7-22");
    folder("b70-1");
    folder("supervisor");
    file("b7-file", "");
    cgroup_each(&groups, "b7-", count, &seen);
    ck_assert_uint_eq(seen, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tc = tcase_create("cgroup");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, finds_our_own_groups, 0, sizeof(finds) / sizeof(finds[0]));
    tcase_add_test(tc, v2_has_every_part);
    tcase_add_test(tc, v2_moves_us_where_nobody_else_is);
    tcase_add_test(tc, v2_gives_nothing_on_from_where_it_stays);
    tcase_add_test(tc, v2_stays_in_the_group_of_all_groups);
    tcase_add_test(tc, v2_is_not_used_where_no_process_may_be);
    tcase_add_test(tc, v2_does_not_move_others);
    tcase_add_test(tc, v2_is_not_used_for_processor_time_alone);
    tcase_add_test(tc, v2_of_a_kernel_that_does_not_count_processor_time);
    tcase_add_test(tc, what_cannot_be_made_is_said);
    tcase_add_test(tc, makes_and_removes);
    tcase_add_test(tc, makes_the_stations_folder_again);
    tcase_add_test(tc, one_failure_takes_all_back);
    tcase_add_test(tc, says_how_to_get_in);
    tcase_add_test(tc, limits_of_v2);
    tcase_add_test(tc, limits_of_v1);
    tcase_add_loop_test(tc, limits_the_processor, 0, sizeof(quotas) / sizeof(quotas[0]));
    tcase_add_test(tc, counts_what_was_refused);
    tcase_add_loop_test(tc, counts_processor_time, 0, sizeof(times) / sizeof(times[0]));
    tcase_add_test(tc, kills_with_one_write_on_v2);
    tcase_add_test(tc, kills_one_by_one_without);
    tcase_add_test(tc, lists_groups_by_their_beginning);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
