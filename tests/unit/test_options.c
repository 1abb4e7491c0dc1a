// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/options.c */
/* The command line of objectd. */
#include "supervisor/options.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

static struct options options;

/* Parses the words of a text; what is printed goes nowhere. */
static enum options_result parse(const char *text)
{
    static char copy[4096];
    char *argv[ARGUMENTS_MAX + 1] = {"objectd"};
    int argc = 1;
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
    strcpy(copy, text);
    for (char *word = strtok(copy, " "); word && argc < ARGUMENTS_MAX; word = strtok(NULL, " "))
        argv[argc++] = word;
    return options_parse(argc, argv, &options);
}

START_TEST(nothing_given)
{
    ck_assert_int_eq(parse(""), OPTIONS_RUN);
    ck_assert_ptr_null(options.config_file);
    ck_assert_uint_eq(options.listen_count, 0);
    ck_assert(!options.check);
}
END_TEST

START_TEST(everything_given)
{
    ck_assert_int_eq(parse("-c f --objects o --data=d --listen 127.0.0.1:1 --listen unix:/x "
                           "--station s --log-level debug --check"),
                     OPTIONS_RUN);
    ck_assert_str_eq(options.config_file, "f");
    ck_assert_str_eq(options.objects, "o");
    ck_assert_str_eq(options.data, "d");
    ck_assert_str_eq(options.station, "s");
    ck_assert_str_eq(options.log_level, "debug");
    ck_assert_uint_eq(options.listen_count, 2);
    ck_assert_str_eq(options.listen[1], "unix:/x");
    ck_assert(options.check);
    ck_assert_int_eq(parse("--config=g"), OPTIONS_RUN); /* a second parse begins anew */
    ck_assert_str_eq(options.config_file, "g");
    ck_assert(!options.check);
}
END_TEST

static const struct {
    const char *line;
    enum options_result result;
} lines[] = {
    {"--help", OPTIONS_DONE},        {"-h", OPTIONS_DONE},        {"--version", OPTIONS_DONE},
    {"--nonsense", OPTIONS_USAGE},   {"-x", OPTIONS_USAGE},       {"--data", OPTIONS_USAGE},
    {"--check=yes", OPTIONS_USAGE},  {"argument", OPTIONS_USAGE}, {"--", OPTIONS_RUN},
    {"--data d more", OPTIONS_USAGE}};

START_TEST(line_has_its_result)
{
    ck_assert_int_eq(parse(lines[_i].line), lines[_i].result);
}
END_TEST

START_TEST(too_many_addresses)
{
    char text[1024] = "";
    for (int i = 0; i < CONFIG_LISTEN_MAX; i++)
        strcat(text, "--listen 127.0.0.1:1 ");
    ck_assert_int_eq(parse(text), OPTIONS_RUN);
    strcat(text, "--listen 127.0.0.1:1 ");
    ck_assert_int_eq(parse(text), OPTIONS_USAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");
    tcase_add_test(tc, nothing_given);
    tcase_add_test(tc, everything_given);
    tcase_add_loop_test(tc, line_has_its_result, 0, sizeof(lines) / sizeof(lines[0]));
    tcase_add_test(tc, too_many_addresses);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
