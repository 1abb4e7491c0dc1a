// SPDX-License-Identifier: Apache-2.0
/* links: common/venv.c common/codec.c common/buf.c */
#include "common/venv.h"

#include "common/build.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char problem[VENV_PROBLEM_SIZE];

static void set_up(void)
{
    strcpy(folder, "/tmp/objectd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *below(const char *name)
{
    static char path[2][PATH_MAX];
    static int turn;
    turn = !turn;
    snprintf(path[turn], PATH_MAX, "%s/%s", folder, name);
    return path[turn];
}

static void make_folder(const char *name)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof(command), "mkdir -p %s", below(name));
    ck_assert_int_eq(system(command), 0);
}

static void make_file(const char *name, const char *text)
{
    FILE *f = fopen(below(name), "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_venv(const char *version)
{
    char text[128];
    make_folder("v/lib/python" OBJECTD_PYTHON_VERSION "/site-packages");
    make_folder("v/bin");
    ck_assert_int_eq(symlink("/bin/sh", below("v/bin/python3")), 0);
    snprintf(text, sizeof(text), "home = /usr/bin\n%s\n", version);
    make_file("v/pyvenv.cfg", text);
}

static bool check(void)
{
    problem[0] = 0;
    return venv_check(below("v"), problem, sizeof(problem));
}

static void told(const char *text)
{
    ck_assert_msg(strstr(problem, text), "not told \"%s\": %s", text, problem);
    ck_assert_msg(strstr(problem, OBJECTD_PYTHON " -m venv"), "no way out: %s", problem);
}

static const struct {
    const char *text, *version;
    bool sees_system;
} files[] = {
    {"", "", true},
    {"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n", "3.11", false},
    {"include-system-site-packages = TRUE\r\nversion = 3.9.18\r\n", "3.9", true},
    {"version_info = 3.12.1.final.0\ninclude-system-site-packages = no", "3.12", false},
    {"Version=3.13", "3.13", true},
    {"version = 3", "", true},
    {"version = three.eleven", "", true},
    {"version = 3.", "", true},
    {"version = 3.111111111111111111111111", "", true},
    {"= = =\n\n=\nversion", "", true},
};

START_TEST(what_a_file_says)
{
    struct venv_facts facts = venv_parse(span_of(files[_i].text));
    ck_assert_str_eq(facts.version, files[_i].version);
    ck_assert(facts.sees_system == files[_i].sees_system);
}
END_TEST

START_TEST(a_whole_one)
{
    make_venv("version = " OBJECTD_PYTHON_VERSION ".2");
    ck_assert_msg(check(), "%s", problem);
}
END_TEST

START_TEST(a_version_that_is_not_said_is_the_one_of_its_folder)
{
    make_venv("");
    ck_assert_msg(check(), "%s", problem);
}
END_TEST

START_TEST(none)
{
    ck_assert(!check());
    told("is no folder");
}
END_TEST

START_TEST(an_ordinary_folder)
{
    make_folder("v");
    ck_assert(!check());
    told("is no virtual environment");
}
END_TEST

START_TEST(another_python)
{
    make_venv("version = 3.9.2");
    ck_assert(!check());
    told("of Python 3.9, and the workers of this station run Python " OBJECTD_PYTHON_VERSION);
}
END_TEST

START_TEST(no_packages)
{
    make_venv("");
    ck_assert_int_eq(rmdir(below("v/lib/python" OBJECTD_PYTHON_VERSION "/site-packages")), 0);
    ck_assert(!check());
    told("lib/python" OBJECTD_PYTHON_VERSION "/site-packages is missing");
}
END_TEST

START_TEST(its_python_is_gone)
{
    make_venv("version = " OBJECTD_PYTHON_VERSION ".2");
    ck_assert_int_eq(unlink(below("v/bin/python3")), 0);
    ck_assert_int_eq(symlink("/nowhere/python3", below("v/bin/python3")), 0);
    ck_assert(!check());
    told("bin/python3 is missing or leads nowhere");
}
END_TEST

static bool find(const char *file)
{
    static char found[PATH_MAX];
    bool is_there = venv_find(below("o"), below(file), found, sizeof(found));
    snprintf(problem, sizeof(problem), "%s", is_there ? found + strlen(folder) + 1 : "");
    return is_there;
}

START_TEST(the_nearest)
{
    make_folder("o/a/b");
    ck_assert(!find("o/a/b/x.py"));
    make_folder("venv"); /* above the objects folder: not theirs */
    ck_assert(!find("o/a/b/x.py"));
    make_folder("o/venv");
    ck_assert(find("o/a/b/x.py"));
    ck_assert_str_eq(problem, "o/venv");
    make_file("o/a/b/venv", "a file\n");
    make_folder("o/a/venv");
    ck_assert(find("o/a/b/x.py"));
    ck_assert_str_eq(problem, "o/a/venv");
    ck_assert(find("o/y.py"));
    ck_assert_str_eq(problem, "o/venv");
    ck_assert(!find("other/y.py"));
}
END_TEST

START_TEST(a_link)
{
    make_folder("o");
    ck_assert_int_eq(symlink("../v", below("o/venv")), 0);
    ck_assert(find("o/y.py"));
    ck_assert(!venv_check(below("o/venv"), problem, sizeof(problem)));
    told("o/venv is a link that leads nowhere");
    make_venv("version = " OBJECTD_PYTHON_VERSION);
    ck_assert(find("o/y.py"));
    ck_assert_msg(venv_check(below("o/venv"), problem, sizeof(problem)), "%s", problem);
}
END_TEST

START_TEST(inside)
{
    ck_assert(venv_holds("venv/lib/x.py"));
    ck_assert(venv_holds("a/venv/x.py"));
    ck_assert(venv_holds("a/venv/"));
    ck_assert(!venv_holds("venv"));
    ck_assert(!venv_holds("a/venv"));
    ck_assert(!venv_holds("a/venv2/x.py"));
    ck_assert(!venv_holds("a/myvenv/x.py"));
    ck_assert(!venv_holds("venv.py"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("venv");
    TCase *tc = tcase_create("texts");
    tcase_add_loop_test(tc, what_a_file_says, 0, (int)(sizeof(files) / sizeof(files[0])));
    tcase_add_test(tc, inside);
    suite_add_tcase(suite, tc);
    tc = tcase_create("folders");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_whole_one);
    tcase_add_test(tc, a_version_that_is_not_said_is_the_one_of_its_folder);
    tcase_add_test(tc, none);
    tcase_add_test(tc, an_ordinary_folder);
    tcase_add_test(tc, another_python);
    tcase_add_test(tc, no_packages);
    tcase_add_test(tc, its_python_is_gone);
    tcase_add_test(tc, the_nearest);
    tcase_add_test(tc, a_link);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
