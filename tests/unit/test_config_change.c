// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/config_change.c supervisor/config.c supervisor/config_file.c
 * supervisor/config_value.c supervisor/install_paths.c common/buf.c common/clock.c common/log.c
 * common/json_text.c common/utf8.c -lconfuse -lm */
/* Every key of the table, changed alone: it is found, and a FIXED one keeps its value. */
#include "supervisor/config_change.h"
#include "supervisor/config_value.h"
#include "supervisor/options.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config present, fresh;
static struct config_changes changes;

static void set_up(void)
{
    struct options options = {0};
    char error[512];
    ck_assert_int_eq(clearenv(), 0);
    ck_assert_int_eq(config_load(&present, &options, error, sizeof(error)), 0);
    ck_assert_int_eq(config_load(&fresh, &options, error, sizeof(error)), 0);
}

static void tear_down(void)
{
    config_free(&present);
    config_free(&fresh);
    config_change_free(&changes);
}

/* A text that the key takes and that is not its value. */
static bool set_another(const struct config_key *key)
{
    static const char *const texts[] = {"false", "true",  "interval", "debug", "text",       "json",
                                        "off",   "token", "/x",       "x",     "127.0.0.1:1"};
    char why[512], least[32], most[32];
    const char *values[sizeof(texts) / sizeof(texts[0]) + 2];
    size_t count = 0;
    snprintf(least, sizeof(least), "%.12g", key->min);
    snprintf(most, sizeof(most), "%.0f", key->max);
    values[count++] = least;
    values[count++] = most;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        values[count++] = texts[i];
    for (size_t i = 0; i < count; i++)
        if (config_value_set(&fresh, key, &values[i], 1, NULL, why, sizeof(why)) == 0 &&
            !config_value_equal(&fresh, &present, key))
            return true;
    return false;
}

START_TEST(a_key_that_changed_is_found)
{
    const struct config_key *key = &config_keys[_i];
    struct buf json = BUF_INIT;
    char name[128];
    if (!set_another(key)) { /* takes only what is on this machine */
        ck_assert_msg(strcmp(key->name, "venv") == 0, "%s.%s", key->section, key->name);
        return;
    }
    ck_assert_int_eq(config_change_find(&fresh, &present, &changes), 0);
    ck_assert_uint_eq(changes.count, 1);
    ck_assert_ptr_eq(changes.items[0].key, key);
    ck_assert_str_ne(changes.items[0].from, changes.items[0].to);
    ck_assert_uint_eq(changes.fixed, key->is_fixed);
    ck_assert_int_eq(config_value_equal(&fresh, &present, key), key->is_fixed);
    snprintf(name, sizeof(name), "{\"key\":\"%s.%s\",\"from\":", key->section, key->name);
    config_change_put(&changes, key->is_fixed, &json);
    ck_assert_ptr_nonnull(strstr(buf_str(&json), name));
    buf_free(&json);
    config_change_put(&changes, !key->is_fixed, &json);
    ck_assert_str_eq(buf_str(&json), "[]");
    buf_free(&json);
}
END_TEST

START_TEST(nothing_has_changed)
{
    ck_assert_int_eq(config_change_find(&fresh, &present, &changes), 0);
    ck_assert_uint_eq(changes.count, 0);
}
END_TEST

/* All of it would change to the defaults. */
START_TEST(a_file_that_is_gone_is_told)
{
    ck_assert_ptr_null(config_change_lost_file(&fresh, &present));
    fresh.file = strdup("/etc/new.conf");
    ck_assert_ptr_null(config_change_lost_file(&fresh, &present));
    present.file = strdup("/etc/old.conf");
    ck_assert_ptr_null(config_change_lost_file(&fresh, &present));
    ck_assert_str_eq(config_change_lost_file(&(struct config){0}, &present), "/etc/old.conf");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_change");
    TCase *tcase = tcase_create("config_change");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_key_that_changed_is_found, 0, (int)config_key_count);
    tcase_add_test(tcase, nothing_has_changed);
    tcase_add_test(tcase, a_file_that_is_gone_is_told);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
