// SPDX-License-Identifier: Apache-2.0
/* links: see test_redis_backend.c */
/* The Redis backend at a server that is killed, stopped, full, flushed, locked: nothing is lost,
 * what was not answered is not done twice, errors are clear, and work goes on by itself. */
#include "tests/unit/redis_driver.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/events/redis_private.h"

static void must_work(struct backend *b, int n)
{
    ck_assert_int_eq(redis_driver_enqueue(b, n, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), n);
    redis_driver_finish(b);
}

static void reset(void)
{
    redis_driver_command("FLUSHALL");
    redis_driver_command("CONFIG SET requirepass %s", "");
    redis_driver_command("CONFIG SET maxmemory 0");
}

/* --- killed and stopped --------------------------------------------------------------------- */

START_TEST(a_restart_is_survived)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct backend_health health;
    must_work(b, 1);
    redis_driver_kill();
    ck_assert_int_eq(redis_driver_health(b, &health), -ENOTCONN);
    ck_assert(!health.healthy);
    ck_assert_ptr_nonnull(strstr(health.error, "Redis at /tmp/"));
    redis_driver_start();
    must_work(b, 2);
    ck_assert_uint_eq(b->counters.reconnections, 1);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 1); /* the server has no memory */
    backend_close(b);
}
END_TEST

START_TEST(without_a_server_calls_end)
{
    struct backend *b = redis_driver_open(
        (struct redis_driver_options){.url = "redis://127.0.0.1:1", .timeout_ns = 50 * NS_PER_MS});
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), -ENOTCONN);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, 5 * NS_PER_MS), -ENOTCONN);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, 0), -ENOTCONN);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, UINT64_MAX), -ENOTCONN);
    ck_assert_str_eq(backend_error(b), "Redis at 127.0.0.1:1/0: Connection refused");
    backend_close(b);
}
END_TEST

START_TEST(names_and_both_families_are_tried)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){
        .url = "redis://:secret@localhost:1", .timeout_ns = 50 * NS_PER_MS});
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), -ENOTCONN);
    ck_assert_str_eq(backend_error(b), "Redis at localhost:1/0: Connection refused");
    backend_close(b);
}
END_TEST

START_TEST(a_stopped_server_times_out)
{
    struct backend *b =
        redis_driver_open((struct redis_driver_options){.timeout_ns = 100 * NS_PER_MS});
    must_work(b, 1);
    kill(driver.pid, SIGSTOP);
    ck_assert_int_eq(redis_driver_enqueue(b, 2, 1), -ENOTCONN);
    int result = 0;
    for (uint64_t until = clock_mono_ns() + WAIT; result == 0;) {
        ck_assert_uint_lt(clock_mono_ns(), until);
        result = redis_driver_pull(b, &driver.got, 20 * NS_PER_MS);
    }
    ck_assert_int_eq(result, -ENOTCONN);
    kill(driver.pid, SIGCONT);
    while (redis_driver_enqueue(b, 3, 1) != 0)
        ;
    int n = redis_driver_next(b); /* the one that timed out may have happened */
    redis_driver_finish(b);
    if (n == 2) {
        n = redis_driver_next(b);
        redis_driver_finish(b);
    }
    ck_assert_int_eq(n, 3);
    backend_close(b);
}
END_TEST

/* --- sent and not answered ------------------------------------------------------------------ */

/* Sends to a stopped server, and loses the connection before the answer; the server, when it goes
 * on, executes what it was sent (executed) or has lost its client before. */
static void lose_the_answer(struct backend *b, bool executed)
{
    struct redis_connection *work = &redis_backend_of(b)->work;
    backend_progress(b);
    ck_assert_ptr_nonnull(work->sent);
    if (executed)
        kill(driver.pid, SIGCONT);
    else
        redis_driver_kill();
    if (executed)
        while (redis_driver_number("XLEN s") < 2)
            ;
    redis_connection_drop(work, clock_mono_ns(), "for a test");
    if (!executed)
        redis_driver_start();
}

START_TEST(an_enqueue_without_answer_is_done_once)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":2}");
    struct driven_call call;
    driven_call_init(&call);
    must_work(b, 1);
    kill(driver.pid, SIGSTOP);
    int result = backend_enqueue(b, &event, 1, &call.call);
    lose_the_answer(b, _i == 0);
    ck_assert_int_eq(driven_call_wait(b, &call, result), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), _i == 0 ? 2 : 1);
    ck_assert_int_eq(redis_driver_next(b), 2);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, 0), 0);
    ck_assert_uint_eq(b->counters.enqueued, 2);
    event_release(event);
    backend_close(b);
}
END_TEST

START_TEST(an_acknowledgement_without_answer_is_done_once)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":2}");
    struct driven_call call;
    driven_call_init(&call);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    kill(driver.pid, SIGSTOP);
    int result = backend_ack(b, &driver.got, 1, &event, 1, &call.call);
    lose_the_answer(b, true);
    ck_assert_int_eq(driven_call_wait(b, &call, result), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 2);
    event_release(driver.got.event);
    ck_assert_int_eq(redis_driver_next(b), 2);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, 0), 0);
    event_release(event);
    backend_close(b);
}
END_TEST

/* It was sent, and the server ended the client before it read it. */
START_TEST(an_acknowledgement_that_was_not_executed_is_repeated)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":2}");
    struct driven_call call;
    driven_call_init(&call);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_command("CLIENT KILL TYPE normal");
    ck_assert_int_eq(
        driven_call_wait(b, &call, backend_ack(b, &driver.got, 1, &event, 1, &call.call)), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 2);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    ck_assert_uint_ge(b->counters.reconnections, 1);
    event_release(driver.got.event);
    ck_assert_int_eq(redis_driver_next(b), 2);
    redis_driver_finish(b);
    event_release(event);
    backend_close(b);
}
END_TEST

START_TEST(a_read_without_answer_does_not_count)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct redis_connection *work = &redis_backend_of(b)->work;
    struct driven_pull pull;
    must_work(b, 1);
    ck_assert_int_eq(redis_driver_enqueue(b, 2, 1), 0);
    kill(driver.pid, SIGSTOP);
    int result = driven_pull_start(b, &pull, &driver.got, WAIT);
    backend_progress(b);
    ck_assert(redis_backend_of(b)->reading.direct);
    kill(driver.pid, SIGCONT);
    while (redis_driver_pending("a:ahead") < 1)
        ;
    redis_connection_drop(work, clock_mono_ns(), "for a test");
    ck_assert_int_eq(driven_pull_wait(b, &pull, result), 1);
    ck_assert_int_eq(redis_driver_n(&driver.got), 2);
    ck_assert_uint_eq(driver.got.attempt, 1);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, 0), 0);
    backend_close(b);
}
END_TEST

enum { CHAINS = 12, STEPS = 20 };

/* Every event but the last of its chain emits the next. Acknowledgements are under way many at a
 * time when the server ends the connections, sometimes before and sometimes after it executed them.
 */
START_TEST(chains_survive_a_connection_that_is_cut_all_the_time)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct driven_call calls[CHAINS * STEPS];
    int results[CHAINS * STEPS], handled = 0, times[CHAINS * STEPS] = {0};
    struct event *emitted[CHAINS * STEPS];
    unsigned seed = 1;
    char payload[32];
    ck_assert_int_eq(redis_driver_enqueue(b, 0, CHAINS), 0);
    while (handled < CHAINS * STEPS) {
        int n = redis_driver_next(b);
        ck_assert_int_lt(n, CHAINS * STEPS);
        ck_assert_uint_eq(driver.got.attempt, 1);
        times[n]++;
        snprintf(payload, sizeof(payload), "{\"n\":%d}", n + CHAINS);
        emitted[handled] = redis_driver_event(payload);
        driven_call_init(&calls[handled]);
        results[handled] = backend_ack(b, &driver.got, 1, &emitted[handled],
                                       n + CHAINS < CHAINS * STEPS, &calls[handled].call);
        if (rand_r(&seed) % 3 == 0)
            backend_progress(b);
        if (rand_r(&seed) % 6 == 0)
            redis_driver_command("CLIENT KILL TYPE normal");
        event_release(driver.got.event);
        handled++;
    }
    for (int i = 0; i < handled; i++) {
        ck_assert_int_eq(driven_call_wait(b, &calls[i], results[i]), 0);
        ck_assert_int_eq(times[i], 1);
        event_release(emitted[i]);
    }
    ck_assert_int_eq(redis_driver_number("XLEN s"), CHAINS * STEPS);
    ck_assert_int_eq(redis_driver_command("XPENDING s g")->element[0]->integer, 0);
    ck_assert_uint_gt(b->counters.reconnections, 5);
    backend_close(b);
}
END_TEST

/* --- full, flushed, locked ------------------------------------------------------------------ */

START_TEST(a_full_server_refuses_all_or_nothing)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":2}");
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_command("CONFIG SET maxmemory 1");
    ck_assert_int_eq(redis_driver_enqueue(b, 2, 1), -ENOBUFS);
    ck_assert_int_eq(redis_driver_enqueue(b, 2, 5), -ENOBUFS);
    ck_assert_int_eq(redis_driver_ack(b, &driver.got, event), -ENOBUFS);
    ck_assert_ptr_nonnull(strstr(backend_error(b), "OOM"));
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 1);
    redis_driver_command("CONFIG SET maxmemory 0");
    ck_assert_int_eq(redis_driver_ack(b, &driver.got, event), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 2);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    event_release(driver.got.event);
    event_release(event);
    backend_close(b);
}
END_TEST

static const char *const removals[] = {"FLUSHALL", "DEL s", "XGROUP DESTROY s g"};

START_TEST(what_vanishes_is_made_again)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct driven_pull pull;
    must_work(b, 1);
    int result = driven_pull_start(b, &pull, &driver.got, WAIT);
    redis_driver_run(b, 5 * NS_PER_MS);
    redis_driver_command(removals[_i]);
    redis_driver_command("XADD s * event %s", "{\"event_type\":\"T\",\"payload\":{\"n\":9}}");
    ck_assert_int_eq(driven_pull_wait(b, &pull, result), 1);
    if (_i == 2) { /* it is still in the stream, and nobody knows that it was acknowledged */
        ck_assert_int_eq(redis_driver_n(&driver.got), 1);
        redis_driver_finish(b);
        redis_driver_next(b);
    }
    ck_assert_int_eq(redis_driver_n(&driver.got), 9);
    redis_driver_command(removals[_i]);
    ck_assert_int_eq(redis_driver_ack(b, &driver.got, NULL), 0);
    event_release(driver.got.event);
    backend_close(b);
}
END_TEST

START_TEST(passwords_are_needed_and_not_shown)
{
    char url[256];
    struct backend_health health;
    redis_driver_command("CONFIG SET requirepass sesame");
    snprintf(url, sizeof(url), "unix://:%s@%s", _i == 0 ? "wrongone" : "ses%61me",
             driver.url + strlen("unix://"));
    struct backend *b = redis_driver_open((struct redis_driver_options){.url = url});
    struct backend *none = redis_driver_open((struct redis_driver_options){0});
    if (_i == 0) {
        ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), -EACCES);
        ck_assert_int_eq(redis_driver_pull(b, &driver.got, WAIT), -EACCES);
        ck_assert_int_eq(redis_driver_health(b, &health), -EACCES);
        ck_assert_ptr_nonnull(strstr(backend_error(b), "WRONGPASS"));
        ck_assert_ptr_null(strstr(backend_error(b), "wrongone"));
        ck_assert_int_eq(redis_driver_enqueue(none, 1, 1), -EACCES);
        ck_assert_ptr_nonnull(strstr(backend_error(none), "NOAUTH"));
    } else {
        must_work(b, 1);
    }
    redis_driver_command("CONFIG SET requirepass %s", "");
    must_work(none, 2);
    backend_close(none);
    backend_close(b);
}
END_TEST

START_TEST(a_read_only_server_is_waited_for)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":2}");
    struct driven_call call, acked;
    driven_call_init(&call);
    driven_call_init(&acked);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_command("REPLICAOF 127.0.0.1 1");
    int result = backend_enqueue(b, &event, 1, &call.call);
    int ack = backend_ack(b, &driver.got, 1, &event, 1, &acked.call);
    redis_driver_run(b, 30 * NS_PER_MS);
    ck_assert(!call.done);
    ck_assert_ptr_nonnull(strstr(backend_error(b), "READONLY"));
    redis_driver_command("REPLICAOF NO ONE");
    ck_assert_int_eq(driven_call_wait(b, &call, result), 0);
    ck_assert_int_eq(driven_call_wait(b, &acked, ack), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 3);
    event_release(driver.got.event);
    event_release(event);
    backend_close(b);
}
END_TEST

/* What is handed out is told where no refusal is heard. */
START_TEST(what_a_read_only_server_was_told_counts)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct redis_backend *redis = redis_backend_of(b);
    struct driven_call acked;
    char owner[64] = "";
    uint64_t until = clock_mono_ns() + WAIT;
    driven_call_init(&acked);
    redis_driver_read_ahead(b, 100);
    redis->reading.ahead_full = false; /* nothing more is asked for */
    while (!redis_connection_is_quiet(&redis->work)) {
        redis_driver_run(b, NS_PER_MS);
        ck_assert_uint_lt(clock_mono_ns(), until);
    }
    struct delivery first = driver.got;
    redis_driver_command("REPLICAOF 127.0.0.1 1");
    ck_assert_int_eq(redis->tell.state, REDIS_TELL_SILENT);
    redis_driver_next(b);
    ck_assert(redis_connection_is_quiet(&redis->work));
    uint64_t losses = redis->work.lost;
    int ack = backend_ack(b, &first, 1, NULL, 0, &acked.call);
    while (redis->work.lost == losses) {
        redis_driver_run(b, NS_PER_MS);
        ck_assert_uint_lt(clock_mono_ns(), until);
    }
    ck_assert_ptr_nonnull(strstr(backend_error(b), "READONLY"));
    redis_driver_command("REPLICAOF NO ONE");
    ck_assert_int_eq(driven_call_wait(b, &acked, ack), 0);
    while (redis_driver_deliveries(&driver.got, owner, sizeof(owner)) != 1 || strcmp(owner, "a")) {
        redis_driver_run(b, NS_PER_MS);
        ck_assert_msg(clock_mono_ns() < until, "it is %s's", owner);
    }
    event_release(first.event);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    backend_close(b);
}
END_TEST

START_TEST(a_key_of_another_kind_is_an_error)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    redis_driver_command("SET s text");
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), -EPROTO);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 3), -EPROTO);
    ck_assert_ptr_nonnull(strstr(backend_error(b), "WRONGTYPE"));
    ck_assert_int_eq(redis_driver_pull(b, &driver.got, WAIT), -EPROTO);
    redis_driver_command("DEL s");
    must_work(b, 4);
    backend_close(b);
}
END_TEST

START_TEST(dead_letters_are_not_lost_in_a_key_of_another_kind)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct driven_call call;
    driven_call_init(&call);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_command("SET s:dlq text");
    ck_assert_int_eq(driven_call_wait(b, &call, backend_nack(b, &driver.got, 1, "no", &call.call)),
                     -EPROTO);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    redis_driver_command("DEL s:dlq");
    driven_call_init(&call);
    ck_assert_int_eq(driven_call_wait(b, &call, backend_nack(b, &driver.got, 1, "no", &call.call)),
                     0);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s:dlq"), 1);
    ck_assert_uint_eq(b->counters.dead_lettered, 1);
    event_release(driver.got.event);
    backend_close(b);
}
END_TEST

START_TEST(the_same_event_again_is_another_entry)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":1}");
    for (int i = 0; i < 2; i++) {
        struct driven_call call;
        driven_call_init(&call);
        int result = backend_enqueue(b, &event, 1, &call.call);
        if (i == 1)
            redis_driver_command("CLIENT KILL TYPE normal");
        ck_assert_int_eq(driven_call_wait(b, &call, result), 0);
    }
    ck_assert_int_eq(redis_driver_number("XLEN s"), 2);
    event_release(event);
    backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_faults");
    TCase *tests = tcase_create("a server in trouble");
    TCase *killed = tcase_create("a server that is killed");
    tcase_set_timeout(tests, 240);
    tcase_set_timeout(killed, 240);
    tcase_add_unchecked_fixture(tests, redis_driver_start, redis_driver_stop);
    tcase_add_checked_fixture(tests, reset, NULL);
    tcase_add_test(tests, without_a_server_calls_end);
    tcase_add_test(tests, names_and_both_families_are_tried);
    tcase_add_test(tests, a_stopped_server_times_out);
    tcase_add_loop_test(tests, an_enqueue_without_answer_is_done_once, 0, 1);
    tcase_add_test(tests, an_acknowledgement_without_answer_is_done_once);
    tcase_add_test(tests, an_acknowledgement_that_was_not_executed_is_repeated);
    tcase_add_test(tests, a_read_without_answer_does_not_count);
    tcase_add_test(tests, chains_survive_a_connection_that_is_cut_all_the_time);
    tcase_add_test(tests, a_full_server_refuses_all_or_nothing);
    tcase_add_loop_test(tests, what_vanishes_is_made_again, 0, 3);
    tcase_add_loop_test(tests, passwords_are_needed_and_not_shown, 0, 2);
    tcase_add_test(tests, a_read_only_server_is_waited_for);
    tcase_add_test(tests, what_a_read_only_server_was_told_counts);
    tcase_add_test(tests, a_key_of_another_kind_is_an_error);
    tcase_add_test(tests, dead_letters_are_not_lost_in_a_key_of_another_kind);
    tcase_add_test(tests, the_same_event_again_is_another_entry);
    tcase_add_checked_fixture(killed, redis_driver_start, redis_driver_stop);
    tcase_add_test(killed, a_restart_is_survived);
    tcase_add_loop_test(killed, an_enqueue_without_answer_is_done_once, 1, 2);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, killed);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
