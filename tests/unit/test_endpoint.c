// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/endpoint.c supervisor/objects/depends.c common/when.c common/cron.c
 * supervisor/objects/object.c -ljansson */
#include "supervisor/objects/endpoint.h"

#include <check.h>
#include <stdio.h>

static const struct config config = {.timeout_ns = 30000000000,
                                     .idle_timeout_ns = 600000000000,
                                     .metadata_max = 16384,
                                     .workers_object_max = 8,
                                     .concurrent_max = 16};
static char problem[ENDPOINT_PROBLEM_SIZE];
static struct endpoint parsed;

static void teardown(void)
{
    endpoint_free(&parsed);
}

/* endpoint: the members of the dict, without braces. */
static bool parse(const char *endpoint, const char *methods)
{
    char text[2048];
    snprintf(text, sizeof(text), "{\"endpoint\":{%s},\"methods\":[%s]}", endpoint, methods);
    return endpoint_parse(&parsed, &config, span_of(text), problem, sizeof(problem));
}

static void accept(const char *endpoint)
{
    ck_assert_msg(parse(endpoint, "\"GET\""), "%s: %s", endpoint, problem);
}

START_TEST(defaults)
{
    accept("");
    ck_assert_uint_eq(parsed.timeout_ns, config.timeout_ns);
    ck_assert_uint_eq(parsed.idle_timeout_ns, config.idle_timeout_ns);
    ck_assert_uint_eq(parsed.workers, 1);
    ck_assert_uint_eq(parsed.concurrent, 1);
    ck_assert(!parsed.stateless && !parsed.raw_query && !parsed.uploads && !parsed.readonly);
    ck_assert(parsed.auto_rollback);
    ck_assert_uint_eq(parsed.limits.memory_mb, 0);
}
END_TEST

START_TEST(everything)
{
    accept("\"stateless\":true,\"workers\":8,\"concurrent\":16,\"timeout\":0.5,"
           "\"idle_timeout\":7,\"uploads\":true,\"raw_query\":true,\"auto_rollback\":false,"
           "\"schedule\":{\"tick\":"
           "\"*/5 * * * *\",\"tock\":1.5},\"limits\":{\"memory_mb\":64,\"cpu_seconds\":2,"
           "\"open_files\":32,\"processes\":3},\"depends\":[\"a_b\",\"c\"],"
           "\"subscribe\":{\"order.placed\":\"on_order\"},\"colour\":\"r\\u0000d\"");
    ck_assert(parsed.stateless && parsed.raw_query && parsed.uploads && !parsed.auto_rollback);
    ck_assert_uint_eq(parsed.workers, 8);
    ck_assert_uint_eq(parsed.concurrent, 16);
    ck_assert_uint_eq(parsed.timeout_ns, 500000000);
    ck_assert_uint_eq(parsed.idle_timeout_ns, 7000000000);
    ck_assert_uint_eq(parsed.limits.memory_mb, 64);
    ck_assert_uint_eq(parsed.limits.cpu_seconds, 2);
    ck_assert_uint_eq(parsed.limits.open_files, 32);
    ck_assert_uint_eq(parsed.limits.processes, 3);
    ck_assert(strstr(parsed.metadata, "colour") != NULL);
}
END_TEST

/* What is wrong, and the whole message. */
static const struct {
    const char *endpoint, *message;
} wrong[] = {
    {"\"stateless\":1", "__endpoint__[\"stateless\"] is 1: it must be True or False"},
    {"\"stateless\":null", "__endpoint__[\"stateless\"] is null: it must be True or False"},
    {"\"raw_query\":\"yes\"", "__endpoint__[\"raw_query\"] is \"yes\": it must be True or False"},
    {"\"auto_rollback\":1", "__endpoint__[\"auto_rollback\"] is 1: it must be True or False"},
    {"\"uploads\":[]", "__endpoint__[\"uploads\"] is []: it must be True or False"},
    {"\"workers\":0", "__endpoint__[\"workers\"] is 0: it must be a whole number from 1 to 8 "
                      "(limits.workers_object_max)"},
    {"\"workers\":9", "__endpoint__[\"workers\"] is 9: it must be a whole number from 1 to 8 "
                      "(limits.workers_object_max)"},
    {"\"workers\":-1", "__endpoint__[\"workers\"] is -1: it must be a whole number from 1 to 8 "
                       "(limits.workers_object_max)"},
    {"\"workers\":2.0", "__endpoint__[\"workers\"] is 2.0: it must be a whole number from 1 to 8 "
                        "(limits.workers_object_max)"},
    {"\"workers\":true", "__endpoint__[\"workers\"] is true: it must be a whole number from 1 to 8 "
                         "(limits.workers_object_max)"},
    {"\"workers\":4294967297", "__endpoint__[\"workers\"] is 4294967297: it must be a whole number "
                               "from 1 to 8 (limits.workers_object_max)"},
    {"\"workers\":2", "__endpoint__[\"workers\"] above 1 needs \"stateless\": True, or "
                      "\"readonly\" with the methods that write no state"},
    {"\"workers\":2,\"readonly\":[]",
     "__endpoint__[\"workers\"] above 1 needs \"stateless\": True, "
     "or \"readonly\" with the methods that write no state"},
    {"\"concurrent\":17,\"stateless\":true",
     "__endpoint__[\"concurrent\"] is 17: it must be a whole number from 1 to 16 "
     "(limits.concurrent_max)"},
    {"\"concurrent\":2", "__endpoint__[\"concurrent\"] above 1 needs \"stateless\": True"},
    {"\"stateless\":true,\"readonly\":[\"GET\"]",
     "__endpoint__ has \"stateless\": True and \"readonly\": no turn of a stateless object writes"},
    {"\"readonly\":\"GET\"", "__endpoint__[\"readonly\"] is \"GET\": it must be a list of HTTP "
                             "methods such as [\"GET\"]"},
    {"\"readonly\":[\"get\"]", "__endpoint__[\"readonly\"] is [\"get\"]: it must be a list of HTTP "
                               "methods such as [\"GET\"]"},
    {"\"readonly\":[1]", "__endpoint__[\"readonly\"] is [1]: it must be a list of HTTP methods "
                         "such as [\"GET\"]"},
    {"\"timeout\":\"soon\"",
     "__endpoint__[\"timeout\"] is \"soon\": it must be a number of seconds "
     "from 0.001 to 86400"},
    {"\"timeout\":0", "__endpoint__[\"timeout\"] is 0: it must be a number of seconds from 0.001 "
                      "to 86400"},
    {"\"timeout\":1e300", "__endpoint__[\"timeout\"] is 1e300: it must be a number of seconds from "
                          "0.001 to 86400"},
    {"\"idle_timeout\":-5", "__endpoint__[\"idle_timeout\"] is -5: it must be a number of seconds "
                            "from 0.001 to 31536000"},
    {"\"schedule\":[]",
     "__endpoint__[\"schedule\"] is []: it must be a dict of function name to five cron fields "
     "(\"*/5 * * * *\") or to a number of seconds from 0.01 to 31536000"},
    {"\"schedule\":{\"a\":\"soon\"}", "__endpoint__[\"schedule\"][\"a\"] is \"soon\": it has 1 "
                                      "field, not five: minute, hour, day of "
                                      "the month, month, day of the week"},
    {"\"schedule\":{\"a\":\"2026-01-01\"}",
     "__endpoint__[\"schedule\"] is {\"a\":\"2026-01-01\"}: it must be a dict of function name to "
     "five "
     "cron fields (\"*/5 * * * *\") or to a number of seconds from 0.01 to 31536000"},
    {"\"schedule\":{\"1a\":5}",
     "__endpoint__[\"schedule\"] is {\"1a\":5}: it must be a dict of function name to five "
     "cron fields (\"*/5 * * * *\") or to a number of seconds from 0.01 to 31536000"},
    {"\"limits\":7", "__endpoint__[\"limits\"] is 7: it must be a dict"},
    {"\"limits\":{\"memory_mb\":\"64M\"}",
     "__endpoint__[\"limits\"][\"memory_mb\"] is \"64M\": it must be a whole number from 16 to "
     "1048576"},
    {"\"limits\":{\"memory\":64}", "__endpoint__[\"limits\"][\"memory\"]: there is no such limit; "
                                   "there are memory_mb, cpu_seconds, "
                                   "open_files and processes"},
    {"\"limits\":{\"cpu_seconds\":0.5}",
     "__endpoint__[\"limits\"][\"cpu_seconds\"] is 0.5: it must "
     "be a whole number from 1 to 31536000"},
    {"\"limits\":{\"open_files\":1}", "__endpoint__[\"limits\"][\"open_files\"] is 1: it must be a "
                                      "whole number from 16 to 1048576"},
    {"\"limits\":{\"processes\":0}", "__endpoint__[\"limits\"][\"processes\"] is 0: it must be a "
                                     "whole number from 1 to 1048576"},
    {"\"depends\":\"a\"", "__endpoint__[\"depends\"] is \"a\": it must be a list of object ids "
                          "such as [\"shop_stock\"]"},
    {"\"depends\":[\"a/b\"]",
     "__endpoint__[\"depends\"] is [\"a/b\"]: it must be a list of object ids "
     "such as [\"shop_stock\"]"},
    {"\"subscribe\":{\"a\":\"b c\"}",
     "__endpoint__[\"subscribe\"] is {\"a\":\"b c\"}: it must be a "
     "dict of event type to function name"},
    {"\"subscribe\":{\"\":\"b\"}", "__endpoint__[\"subscribe\"] is {\"\":\"b\"}: it must be a dict "
                                   "of event type to function name"},
    {"\"subscribe\":[\"b\"]", "__endpoint__[\"subscribe\"] is [\"b\"]: it must be a dict of event "
                              "type to function name"},
    {"\"huge\":1000000000000000000000000", "__endpoint__ cannot be kept: too big integer"},
};

START_TEST(each_wrong_value)
{
    accept("\"timeout\":3");
    ck_assert(!parse(wrong[_i].endpoint, ""));
    ck_assert_str_eq(problem, wrong[_i].message);
    ck_assert_uint_eq(parsed.timeout_ns, 3000000000); /* as it was */
}
END_TEST

START_TEST(long_values_are_cut)
{
    ck_assert(!parse("\"workers\":\"üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü\"", ""));
    ck_assert_msg(strstr(problem, "üüü…: it must be") != NULL, "%s", problem);
}
END_TEST

START_TEST(more_than_it_may_say)
{
    char text[16385];
    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"endpoint\":{}}", 15);
    ck_assert(endpoint_parse(&parsed, &config, (struct span){text, sizeof(text) - 1}, problem,
                             sizeof(problem)));
    ck_assert(!endpoint_parse(&parsed, &config, (struct span){text, sizeof(text)}, problem,
                              sizeof(problem)));
    ck_assert_str_eq(problem, "__endpoint__ and what else it says about itself are 16385 bytes of "
                              "JSON, the limit is 16384 (limits.metadata_max)");
}
END_TEST

START_TEST(text_that_is_no_metadata)
{
    static const char *const texts[] = {"", "[]", "7", "{}", "{\"endpoint\":[]}", "{\"endpoint\":"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(
            !endpoint_parse(&parsed, &config, span_of(texts[i]), problem, sizeof(problem)), "%s",
            texts[i]);
}
END_TEST

static bool is_readonly(const char *method)
{
    return endpoint_is_readonly(&parsed, span_of(method));
}

START_TEST(readonly_methods)
{
    ck_assert(parse("\"readonly\":[\"GET\"],\"workers\":2", "\"GET\",\"POST\""));
    ck_assert(is_readonly("GET") && is_readonly("HEAD"));
    ck_assert(!is_readonly("POST") && !is_readonly("OPTIONS") && !is_readonly("BREW"));
    ck_assert(parse("\"readonly\":[\"GET\",\"PUT\"]", "\"GET\",\"HEAD\",\"PUT\""));
    ck_assert(is_readonly("GET") && is_readonly("PUT") && !is_readonly("HEAD"));
    ck_assert(parse("\"stateless\":true", "\"GET\""));
    ck_assert(is_readonly("POST"));
    ck_assert(parse("", "\"GET\""));
    ck_assert(!is_readonly("GET"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("endpoint");
    TCase *t = tcase_create("endpoint");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, defaults);
    tcase_add_test(t, everything);
    tcase_add_loop_test(t, each_wrong_value, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    tcase_add_test(t, long_values_are_cut);
    tcase_add_test(t, more_than_it_may_say);
    tcase_add_test(t, text_that_is_no_metadata);
    tcase_add_test(t, readonly_methods);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
