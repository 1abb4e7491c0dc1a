// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/worker_memory.c common/clock.c */
/* Whose memory is asked for, and what the answers make of it; table and scribe are played here. */
#include "supervisor/process/worker_memory.h"

#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define MIB (1024 * 1024ull)

enum { WORKERS = 10 };

static struct worker workers[WORKERS];
static bool is_gone[WORKERS];
static struct station station;
static struct worker_memory memory;
static int told;

static struct question {
    int count;
    pid_t pids[WORKER_MEMORY_BATCH];
    size_t pid_count;
    scribe_measured_fn done;
    void *arg;
} asked;

void worker_each(struct worker_table *table, void (*fn)(struct worker *w, void *arg), void *arg)
{
    (void)table;
    for (size_t i = 0; i < WORKERS; i++)
        if (!is_gone[i])
            fn(&workers[i], arg);
}

struct worker *worker_get(struct worker_table *table, struct worker_ref ref)
{
    (void)table;
    return is_gone[ref.slot] ? NULL : &workers[ref.slot];
}

void scribe_measure(struct scribe *scribe, const pid_t *pids, size_t count, scribe_measured_fn done,
                    void *arg)
{
    (void)scribe;
    asked = (struct question){asked.count + 1, {0}, count, done, arg};
    memcpy(asked.pids, pids, count * sizeof(*pids));
}

static void on_measured(void *arg)
{
    (void)arg;
    told++;
}

static void set_up(void)
{
    memset(workers, 0, sizeof(workers));
    memset(is_gone, 0, sizeof(is_gone));
    asked.count = told = 0;
    memory = (struct worker_memory){.station = &station, .measured = on_measured};
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i].ref = (struct worker_ref){i, i + 1};
        workers[i].pid = (pid_t)(100 + i);
        workers[i].state = WORKER_READY;
    }
}

static void answer(int err, uint64_t bytes)
{
    uint64_t figures[WORKER_MEMORY_BATCH];
    for (size_t i = 0; i < WORKER_MEMORY_BATCH; i++)
        figures[i] = bytes;
    asked.done(asked.arg, err, err ? NULL : figures);
}

START_TEST(the_oldest_first_and_no_more_than_fit)
{
    workers[0].pid = 0; /* not forked */
    workers[1].state = WORKER_DRAINING;
    worker_memory_measure(&memory);
    ck_assert_uint_eq(asked.pid_count, WORKER_MEMORY_BATCH);
    for (size_t i = 0; i < asked.pid_count; i++)
        ck_assert_int_eq(asked.pids[i], 102 + (int)i);
    answer(0, MIB);
    workers[0].pid = 100;
    workers[1].state = WORKER_READY;
    worker_memory_measure(&memory);
    ck_assert_int_eq(asked.pids[0], 100);
    ck_assert_int_eq(asked.pids[1], 101);
    ck_assert_int_eq(asked.pids[2], 102);
}
END_TEST

START_TEST(each_once_in_a_round)
{
    for (size_t i = 3; i < WORKERS; i++)
        is_gone[i] = true;
    worker_memory_measure(&memory);
    ck_assert_uint_eq(asked.pid_count, 3);
}
END_TEST

START_TEST(nobody_is_no_question)
{
    for (size_t i = 0; i < WORKERS; i++)
        is_gone[i] = true;
    worker_memory_measure(&memory);
    ck_assert_int_eq(asked.count, 0);
    ck_assert_uint_eq(worker_memory_bytes(&station), 0);
}
END_TEST

START_TEST(one_question_at_a_time)
{
    for (int i = 0; i < 3; i++)
        worker_memory_measure(&memory);
    ck_assert_int_eq(asked.count, 1);
    answer(0, MIB);
    worker_memory_measure(&memory);
    ck_assert_int_eq(asked.count, 2);
    answer(-EPIPE, 0);
    worker_memory_measure(&memory);
    ck_assert_int_eq(asked.count, 3);
}
END_TEST

START_TEST(figures_stay_until_there_are_others)
{
    worker_memory_measure(&memory);
    ck_assert_uint_eq(worker_memory_bytes(&station), 0);
    answer(0, MIB); /* two were not asked for, and count as much as the others */
    ck_assert_uint_eq(worker_memory_bytes(&station), WORKERS * MIB);
    ck_assert_int_eq(told, 1);
    worker_memory_measure(&memory);
    ck_assert_uint_eq(worker_memory_bytes(&station), WORKERS * MIB);
    answer(-EPIPE, 0);
    ck_assert_uint_eq(worker_memory_bytes(&station), WORKERS * MIB);
    ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(who_is_gone_meanwhile_is_left_out)
{
    worker_memory_measure(&memory);
    is_gone[2] = true;
    answer(0, MIB);
    ck_assert_uint_eq(workers[2].memory_bytes, 0);
    ck_assert_uint_eq(worker_memory_bytes(&station), (WORKERS - 1) * MIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker_memory");
    TCase *tc = tcase_create("worker_memory");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, the_oldest_first_and_no_more_than_fit);
    tcase_add_test(tc, each_once_in_a_round);
    tcase_add_test(tc, nobody_is_no_question);
    tcase_add_test(tc, one_question_at_a_time);
    tcase_add_test(tc, figures_stay_until_there_are_others);
    tcase_add_test(tc, who_is_gone_meanwhile_is_left_out);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
