// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/schedules/schedule_heap.c supervisor/schedules/schedule.c
 * supervisor/schedules/schedule_row.c common/rpc.c common/when.c common/cron.c common/seeded_hash.c
 * -lxxhash */
/* The earliest first, against a walk through all of them; and the tables of schedules. */
#include "supervisor/schedules/schedule_heap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 300 };

static struct schedule all[COUNT];
static struct schedule_heap heap;
static struct schedule_table table;

static void teardown(void)
{
    schedule_heap_free(&heap);
    schedule_table_free(&table);
    table = (struct schedule_table){0};
}

static int64_t earliest(void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < COUNT; i++)
        if (all[i].heap_at && all[i].due_us < least)
            least = all[i].due_us;
    return least;
}

START_TEST(as_a_walk_finds_it)
{
    srandom(7);
    ck_assert_ptr_null(schedule_heap_first(&heap));
    ck_assert_int_eq(schedule_heap_reserve(&heap, COUNT), 0);
    for (int step = 0; step < 20000; step++) {
        struct schedule *s = &all[random() % COUNT];
        if (random() % 3 == 0) {
            schedule_heap_take(&heap, s);
            ck_assert_uint_eq(s->heap_at, 0);
        } else {
            s->due_us = random() % 1000;
            schedule_heap_put(&heap, s);
        }
        const struct schedule *first = schedule_heap_first(&heap);
        ck_assert_int_eq(first ? first->due_us : INT64_MAX, earliest());
    }
    size_t left = heap.count;
    int64_t before = INT64_MIN;
    for (struct schedule *s; (s = schedule_heap_first(&heap)); left--) {
        ck_assert_int_ge(s->due_us, before);
        before = s->due_us;
        schedule_heap_take(&heap, s);
    }
    ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(room_grows)
{
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(schedule_heap_reserve(&heap, i + 1), 0);
        all[i] = (struct schedule){.due_us = COUNT - (int64_t)i};
        schedule_heap_put(&heap, &all[i]);
    }
    ck_assert_ptr_eq(schedule_heap_first(&heap), &all[COUNT - 1]);
}
END_TEST

/* --- the tables --- */

static struct schedule_row row_of(const char *function, const char *when, const char *payload)
{
    return (struct schedule_row){.function = span_of(function),
                                 .when = span_of(when),
                                 .payload = span_of(payload),
                                 .status = {"", 0},
                                 .suspended = {"", 0}};
}

static struct schedule *add(const char *object_id, struct schedule_row row)
{
    static uint64_t last_id;
    return schedule_add(&table, schedule_group_get(&table, object_id), ++last_id, &row);
}

START_TEST(what_is_the_same)
{
    struct schedule_row tick = row_of("tick", "30", ""), other = row_of("tick", "30", "1"),
                        later = row_of("tick", "90", ""),
                        once = row_of("tick", "2099-01-01T00:00:00Z", ""),
                        again = row_of("tick", "2099-01-01T01:00:00+01:00", ""),
                        next = row_of("tick", "2099-01-02T00:00:00Z", "");
    struct schedule *s = add("a", tick);
    ck_assert_ptr_nonnull(s);
    ck_assert_ptr_eq(schedule_find(&table, "a", &tick), s);
    ck_assert_ptr_eq(schedule_find(&table, "a", &later), s);
    ck_assert_ptr_null(schedule_find(&table, "b", &tick));
    ck_assert_ptr_null(schedule_find(&table, "a", &other));
    tick.origin = SCHEDULE_BY_DEPLOY;
    ck_assert_ptr_null(schedule_find(&table, "a", &tick));
    ck_assert_ptr_null(add("a", later)); /* it is there */
    ck_assert_ptr_nonnull(add("a", once));
    ck_assert_ptr_nonnull(schedule_find(&table, "a", &again)); /* the same moment */
    ck_assert_ptr_null(schedule_find(&table, "a", &next));
    ck_assert_uint_eq(table.count, 2);
}
END_TEST

START_TEST(removed)
{
    struct schedule *s = add("a", row_of("tick", "30", "")),
                    *busy = add("a", row_of("f", "30", ""));
    struct schedule_row row = row_of("f", "30", "");
    schedule_remove(&table, s);
    busy->tick = (struct schedule_tick *)busy; /* anything: it holds it */
    schedule_remove(&table, busy);
    ck_assert(busy->is_dead);
    ck_assert_ptr_null(schedule_find(&table, "a", &row));
    ck_assert_uint_eq(table.count, 0);
    ck_assert_uint_eq(schedule_group_find(&table, "a")->count, 0);
    schedule_free(busy);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule_heap");
    TCase *t = tcase_create("schedule_heap");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, as_a_walk_finds_it);
    tcase_add_test(t, room_grows);
    tcase_add_test(t, what_is_the_same);
    tcase_add_test(t, removed);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
