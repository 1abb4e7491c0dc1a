// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/turn/call_queue.c supervisor/turn/call.c */
/* Which call a worker gets: the oldest that it may run, also when what is declared has changed. */
#include "supervisor/turn/call_queue.h"

#include "supervisor/objects/object.h"
#include "supervisor/turn/call.h"

#include <check.h>

static struct object object;
static struct call_queue queue;

/* Without an exchange, a call is what it was sent as. */
static struct call call_at(uint64_t arrived_ns, bool readonly)
{
    return (struct call){.object = &object, .arrived_ns = arrived_ns, .readonly = readonly};
}

static void setup(void)
{
    queue = (struct call_queue){0};
}

START_TEST(oldest_that_a_worker_may_run)
{
    struct call write1 = call_at(1, false), read2 = call_at(2, true), write3 = call_at(3, false),
                read4 = call_at(4, true);
    call_queue_append(&queue, &write1);
    call_queue_append(&queue, &read2);
    call_queue_append(&queue, &write3);
    call_queue_append(&queue, &read4);
    ck_assert_uint_eq(call_queue_count(&queue), 4);
    ck_assert_ptr_eq(call_queue_oldest(&queue), &write1);
    ck_assert_ptr_eq(call_queue_pop(&queue, false), &read2);
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &write1);
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &write3);
    ck_assert_ptr_eq(call_queue_oldest(&queue), &read4);
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &read4);
    ck_assert_ptr_null(call_queue_pop(&queue, true));
    ck_assert_ptr_null(call_queue_pop(&queue, false));
    ck_assert_ptr_null(call_queue_oldest(&queue));
}
END_TEST

START_TEST(a_replica_gets_no_write)
{
    struct call write = call_at(1, false);
    call_queue_append(&queue, &write);
    ck_assert_ptr_null(call_queue_pop(&queue, false));
    ck_assert_uint_eq(call_queue_count(&queue), 1);
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &write);
}
END_TEST

START_TEST(what_comes_back_goes_first)
{
    struct call read2 = call_at(2, true), read1 = call_at(1, true);
    call_queue_append(&queue, &read2);
    call_queue_prepend(&queue, &read1);
    ck_assert_ptr_eq(call_queue_pop(&queue, false), &read1);
    ck_assert_ptr_eq(call_queue_pop(&queue, false), &read2);
}
END_TEST

START_TEST(sorted_anew)
{
    struct call calls[] = {call_at(1, false), call_at(2, false), call_at(3, true)};
    for (int i = 0; i < 3; i++)
        call_queue_append(&queue, &calls[i]);
    calls[0].readonly = true; /* as another source declares it */
    calls[2].readonly = false;
    call_queue_sort(&queue);
    ck_assert_ptr_eq(call_queue_pop(&queue, false), &calls[0]);
    ck_assert_ptr_null(call_queue_pop(&queue, false));
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &calls[1]);
    ck_assert_ptr_eq(call_queue_pop(&queue, true), &calls[2]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("call_queue");
    TCase *t = tcase_create("call_queue");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, oldest_that_a_worker_may_run);
    tcase_add_test(t, a_replica_gets_no_write);
    tcase_add_test(t, what_comes_back_goes_first);
    tcase_add_test(t, sorted_anew);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
