// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/object_index.c */
/* Objects in the order of their ids, however they come. */
#include "supervisor/objects/object_index.h"

#include "supervisor/objects/object.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 1000 };

static struct object objects[MANY];
static char ids[MANY][16];
static struct object_index order;

static void add(size_t i, unsigned number)
{
    snprintf(ids[i], sizeof(ids[i]), "o%06u", number);
    objects[i].id = ids[i];
    ck_assert(object_index_add(&order, &objects[i]));
}

static void ck_in_order(size_t count)
{
    for (size_t i = 1; i < count; i++)
        ck_assert_str_lt(object_index_at(&order, i - 1)->id, object_index_at(&order, i)->id);
    ck_assert_ptr_nonnull(object_index_at(&order, count - 1));
    ck_assert_ptr_null(object_index_at(&order, count));
    object_index_free(&order);
}

START_TEST(empty)
{
    ck_assert_ptr_null(object_index_at(&order, 0));
    ck_assert_uint_eq(object_index_find(&order, "a"), 0);
}
END_TEST

START_TEST(in_order_as_they_come)
{
    for (unsigned i = 0; i < MANY; i++)
        add(i, i);
    ck_assert_uint_eq(order.sorted, MANY);
    ck_in_order(MANY);
}
END_TEST

START_TEST(in_any_order)
{
    for (unsigned i = 0; i < MANY; i++)
        add(i, (i * 7919u) % MANY); /* 7919 is prime: each number once */
    ck_in_order(MANY);
}
END_TEST

START_TEST(late_comers_between_looks)
{
    for (unsigned i = 0; i < MANY; i++) {
        add(i, (i * 7919u) % MANY);
        if (i % 37 == 0)
            ck_assert_ptr_nonnull(object_index_at(&order, 0));
    }
    ck_in_order(MANY);
}
END_TEST

START_TEST(removed_in_one_go)
{
    size_t places[MANY / 2];
    for (unsigned i = 0; i < MANY; i++)
        add(i, (i * 7919u) % MANY);
    for (unsigned i = 0; i < MANY / 2; i++)
        places[i] = object_index_find(&order, objects[i * 2].id);
    object_index_remove(&order, places, 0);
    ck_assert_uint_eq(order.count, MANY);
    object_index_remove(&order, places, MANY / 2);
    for (unsigned i = 0; i < MANY; i++) {
        const struct object *o = object_index_at(&order, object_index_find(&order, objects[i].id));
        ck_assert(i % 2 ? o == &objects[i] : o != &objects[i]);
    }
    add(0, MANY + 1);
    ck_in_order(MANY / 2 + 1);
}
END_TEST

START_TEST(find_is_the_first_not_smaller)
{
    for (unsigned i = 0; i < 10; i++)
        add(i, i * 10);
    ck_assert_uint_eq(object_index_find(&order, ""), 0);
    ck_assert_uint_eq(object_index_find(&order, "o000000"), 0);
    ck_assert_uint_eq(object_index_find(&order, "o000001"), 1);
    ck_assert_uint_eq(object_index_find(&order, "o000010"), 1);
    ck_assert_uint_eq(object_index_find(&order, "o00001"), 1);
    ck_assert_uint_eq(object_index_find(&order, "o000090x"), 10);
    ck_assert_uint_eq(object_index_find(&order, "z"), 10);
    ck_in_order(10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_index");
    TCase *t = tcase_create("object_index");
    tcase_add_test(t, empty);
    tcase_add_test(t, in_order_as_they_come);
    tcase_add_test(t, in_any_order);
    tcase_add_test(t, late_comers_between_looks);
    tcase_add_test(t, removed_in_one_go);
    tcase_add_test(t, find_is_the_first_not_smaller);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
