// SPDX-License-Identifier: Apache-2.0
/* links: worker/necrostack/delivery_table.c common/seeded_hash.c -lsodium */
/* Which deliveries are out: by event, the oldest first, and not without bound. */
#include "worker/necrostack/delivery_table.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct delivery_table table;

static void put(unsigned event, uint64_t id, uint32_t attempt)
{
    uint8_t event_id[EVENT_ID_SIZE] = {0};
    struct delivery delivery = {.id = {.high = 1, .low = id}, .attempt = attempt};
    memcpy(event_id, &event, sizeof event);
    ck_assert_int_eq(delivery_table_put(&table, event_id, &delivery), 0);
}

/* "id/attempt" of what is taken, "" when there is nothing. */
static const char *taken(unsigned event)
{
    static char text[32];
    uint8_t event_id[EVENT_ID_SIZE] = {0};
    struct delivery delivery;
    memcpy(event_id, &event, sizeof event);
    text[0] = '\0';
    if (delivery_table_take(&table, event_id, &delivery))
        snprintf(text, sizeof text, "%u/%u", (unsigned)delivery.id.low, delivery.attempt);
    return text;
}

static void teardown(void)
{
    delivery_table_clear(&table);
    ck_assert_uint_eq(table.count, 0);
}

START_TEST(each_event_has_its_own)
{
    put(1, 10, 1);
    put(2, 20, 3);
    ck_assert_str_eq(taken(2), "20/3");
    ck_assert_str_eq(taken(1), "10/1");
    ck_assert_str_eq(taken(1), "");
    ck_assert_str_eq(taken(3), "");
}
END_TEST

START_TEST(of_one_event_the_first_comes_first)
{
    put(1, 10, 1);
    put(2, 20, 1);
    put(1, 11, 1);
    put(1, 12, 1);
    ck_assert_uint_eq(table.count, 4);
    ck_assert_str_eq(taken(1), "10/1");
    ck_assert_str_eq(taken(1), "11/1");
    put(1, 13, 1);
    ck_assert_str_eq(taken(1), "12/1");
    ck_assert_str_eq(taken(1), "13/1");
    ck_assert_str_eq(taken(1), "");
}
END_TEST

START_TEST(a_delivery_that_came_again_is_the_same)
{
    put(1, 10, 1);
    put(1, 11, 1);
    put(1, 10, 2);
    ck_assert_uint_eq(table.count, 2);
    ck_assert_str_eq(taken(1), "10/2");
    ck_assert_str_eq(taken(1), "11/1");
}
END_TEST

START_TEST(the_oldest_are_forgotten)
{
    for (unsigned i = 0; i < DELIVERY_TABLE_MAX + 2; i++)
        put(i, i, 1);
    ck_assert_uint_eq(table.count, DELIVERY_TABLE_MAX);
    ck_assert_str_eq(taken(1), "");
    ck_assert_str_eq(taken(2), "2/1");
    ck_assert_str_ne(taken(DELIVERY_TABLE_MAX + 1), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("delivery_table");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, NULL, teardown);
    tcase_add_test(cases, each_event_has_its_own);
    tcase_add_test(cases, of_one_event_the_first_comes_first);
    tcase_add_test(cases, a_delivery_that_came_again_is_the_same);
    tcase_add_test(cases, the_oldest_are_forgotten);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
