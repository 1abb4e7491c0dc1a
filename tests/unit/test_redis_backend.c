// SPDX-License-Identifier: Apache-2.0
/* links: tests/unit/redis_driver.c common/buf.c common/clock.c common/codec.c
 * common/events/event.c common/events/event_json.c common/events/event_time.c
 * common/events/redis_ahead.c common/events/redis_backend.c common/events/redis_command.c
 * common/events/redis_connection.c common/events/redis_entry.c common/events/redis_error.c
 * common/events/redis_greeting.c common/events/redis_lost.c common/events/redis_owner.c
 * common/events/redis_pending.c common/events/redis_pull.c common/events/redis_read.c
 * common/events/redis_settle.c common/events/redis_socket.c common/events/redis_task.c
 * common/events/redis_tell.c common/events/redis_url.c common/json_compact.c common/json_scan.c
 * common/json_text.c common/seeded_hash.c common/time_text.c common/urlencoded.c common/utf8.c */
/* The Redis backend at a server that works: what it promises about deliveries and attempts. */
#include "tests/unit/redis_driver.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/events/redis_private.h"

#define IDLE_NS (3600 * NS_PER_S) /* claimed after that; nothing waits for it, see age() */
#define IDLE_MS (2 * 3600 * 1000ul)

static void flush(void)
{
    kill(driver.pid, SIGCONT);
    redis_driver_command("FLUSHALL");
}

START_TEST(an_event_goes_through)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":7}");
    struct driven_call call;
    char id[EVENT_ID_TEXT_SIZE], owner[64];
    event_id_text(event->id, id);
    driven_call_init(&call);
    ck_assert_int_eq(driven_call_wait(b, &call, backend_enqueue(b, &event, 1, &call.call)), 0);
    redisReply *entry = redis_driver_command("XRANGE s - +")->element[0]->element[1];
    ck_assert_uint_eq(entry->elements, 2);
    ck_assert_str_eq(entry->element[0]->str, "event");
    char text[256];
    snprintf(text, sizeof(text),
             "{\"id\":\"%s\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\",\"event_type\":\"TEST\","
             "\"payload\":{\"n\":7}}",
             id);
    ck_assert_str_eq(entry->element[1]->str, text);
    ck_assert_int_eq(redis_driver_next(b), 7);
    ck_assert_mem_eq(driver.got.event->id, event->id, EVENT_ID_SIZE);
    ck_assert_int_eq(driver.got.event->time_us, event->time_us);
    ck_assert_uint_eq(driver.got.attempt, 1);
    ck_assert_int_eq(redis_driver_deliveries(&driver.got, owner, sizeof(owner)), 1);
    ck_assert_str_eq(owner, "a");
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_deliveries(&driver.got, owner, sizeof(owner)), -1);
    ck_assert_uint_eq(b->counters.enqueued, 1);
    ck_assert_uint_eq(b->counters.pulled, 1);
    ck_assert_uint_eq(b->counters.acked, 1);
    ck_assert_str_eq(backend_error(b), "");
    event_release(event);
    backend_close(b);
}
END_TEST

START_TEST(order_is_kept_and_a_batch_is_one_transaction)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    long long before = redis_driver_number("XLEN s");
    ck_assert_int_eq(redis_driver_enqueue(b, 0, 300), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s"), before + 300);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(redis_driver_next(b), i);
        ck_assert_uint_eq(driver.got.attempt, 1);
        redis_driver_finish(b);
    }
    ck_assert_uint_eq(b->counters.acked, 300);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    ck_assert_int_eq(redis_driver_pending("a:ahead"), 0);
    backend_close(b);
}
END_TEST

START_TEST(an_acknowledgement_adds_what_was_emitted)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *emitted = redis_driver_event("{\"n\":2}");
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    ck_assert_int_eq(redis_driver_ack(b, &driver.got, emitted), 0);
    event_release(driver.got.event);
    ck_assert_int_eq(redis_driver_number("XLEN s"), 2);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    ck_assert_int_eq(redis_driver_next(b), 2);
    redis_driver_finish(b);
    ck_assert_uint_eq(b->counters.enqueued, 2);
    event_release(emitted);
    backend_close(b);
}
END_TEST

/* What settles one event and what asks for the next go out together. */
START_TEST(a_chain_takes_one_write_an_event)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *emitted = redis_driver_event("{\"n\":1}");
    struct delivery handled, following;
    struct driven_call call;
    struct driven_pull pull;
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 2), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_next(b), 2);
    handled = driver.got;
    struct redis_connection *work = &redis_backend_of(b)->work;
    driven_call_init(&call);
    ck_assert_int_eq(backend_ack(b, &handled, 1, &emitted, 1, &call.call), -EINPROGRESS);
    ck_assert_int_eq(driven_pull_start(b, &pull, &following, WAIT), -EINPROGRESS);
    ck_assert_uint_eq(backend_deadline(b), 0);
    ck_assert_uint_eq(work->waiting->replies, 4); /* MULTI XADD XACK EXEC */
    backend_progress(b);
    ck_assert_ptr_null(work->waiting);
    ck_assert_uint_eq(work->out.len, 0);
    ck_assert_int_eq(driven_call_wait(b, &call, -EINPROGRESS), 0);
    ck_assert_int_eq(driven_pull_wait(b, &pull, -EINPROGRESS), 1);
    driver.got = following;
    redis_driver_finish(b);
    event_release(handled.event);
    event_release(emitted);
    backend_close(b);
}
END_TEST

START_TEST(a_pull_waits_as_long_as_it_says)
{
    struct backend *a = redis_driver_open((struct redis_driver_options){0});
    struct backend *b = redis_driver_open((struct redis_driver_options){.consumer = "b"});
    struct driven_pull pull;
    ck_assert_int_eq(redis_driver_pull(a, &driver.got, 0), 0);
    uint64_t begun = clock_mono_ns();
    ck_assert_int_eq(redis_driver_pull(a, &driver.got, 30 * NS_PER_MS), 0);
    ck_assert_uint_ge(clock_mono_ns() - begun, 30 * NS_PER_MS);
    ck_assert_int_eq(driven_pull_start(a, &pull, &driver.got, UINT64_MAX), -EINPROGRESS);
    redis_driver_run(a, 5 * NS_PER_MS);
    ck_assert(redis_backend_of(a)->reading.blocked);
    ck_assert_int_eq(redis_driver_enqueue(b, 5, 1), 0);
    ck_assert_int_eq(driven_pull_wait(a, &pull, -EINPROGRESS), 1);
    ck_assert_int_eq(redis_driver_n(&driver.got), 5);
    ck_assert_uint_eq(driver.got.attempt, 1);
    redis_driver_finish(a);
    backend_close(a);
    backend_close(b);
}
END_TEST

START_TEST(a_pull_is_given_so_many_at_once)
{
    static struct delivery into[2 * REDIS_AT_ONCE];
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct driven_pull pull;
    ck_assert_int_eq(redis_driver_enqueue(b, 0, REDIS_AT_ONCE + 50), 0);
    ck_assert_int_eq(driven_pull_start(b, &pull, into, WAIT), -EINPROGRESS);
    pull.pull.room = 2 * REDIS_AT_ONCE;
    ck_assert_int_eq(driven_pull_wait(b, &pull, -EINPROGRESS), REDIS_AT_ONCE);
    for (int i = 0; i < REDIS_AT_ONCE; i++) {
        ck_assert_int_eq(redis_driver_n(&into[i]), i);
        event_release(into[i].event);
    }
    backend_close(b);
}
END_TEST

/* Redis knows it at once; whether it is done is asked when there is time, however late. */
START_TEST(what_was_handled_is_told_with_the_next)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct redis_backend *redis = redis_backend_of(b);
    struct delivery handled, following;
    struct driven_call call;
    struct driven_pull pull;
    redis_driver_read_ahead(b, 100);
    handled = driver.got;
    driven_call_init(&call);
    ck_assert_int_eq(backend_ack(b, &handled, 1, NULL, 0, &call.call), -EINPROGRESS);
    ck_assert_int_eq(driven_pull_start(b, &pull, &following, WAIT), 0);
    ck_assert_int_eq(redis_driver_n(&following), redis_driver_n(&handled) + 1);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    ck_assert(!call.done);
    ck_assert_uint_eq(backend_deadline(b), 0);
    redis->acks->expires_ns = redis->next_expiry_ns = 1; /* a handler took long */
    redis_driver_freeze();
    redis_driver_run(b, 5 * NS_PER_MS);
    ck_assert(!call.done);
    kill(driver.pid, SIGCONT);
    ck_assert_int_eq(driven_call_wait(b, &call, -EINPROGRESS), 0);
    event_release(handled.event);
    driver.got = following;
    redis_driver_finish(b);
    backend_close(b);
}
END_TEST

START_TEST(what_is_read_ahead_does_not_count)
{
    struct backend *a = redis_driver_open((struct redis_driver_options){0});
    char owner[64];
    redis_driver_read_ahead(a, 200);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    ck_assert_int_gt(redis_driver_pending("a:ahead"), 4);
    ck_assert_int_eq(redis_driver_deliveries(&driver.got, owner, sizeof(owner)), 1);
    ck_assert_str_eq(owner, "a");
    event_release(driver.got.event);
    backend_close(a);
}
END_TEST

/* --- what is no event ----------------------------------------------------------------------- */

START_TEST(foreign_entries_are_dead_letters)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    redis_driver_command("XADD s 1-1 colour blue size 5");
    redis_driver_command("XADD s 1-2 event {\"id\":");
    redis_driver_command("XADD s 1-3 event %s",
                         "{\"id\":\"no\",\"event_type\":\"T\",\"payload\":{}}");
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_finish(b);
    redis_driver_run(b, 20 * NS_PER_MS);
    redisReply *dead = redis_driver_command("XRANGE s:dlq - +");
    ck_assert_uint_eq(dead->elements, 3);
    redisReply *foreign = dead->element[0]->element[1], *damaged = dead->element[1]->element[1];
    ck_assert_str_eq(foreign->element[1]->str, "1-1");
    ck_assert_str_eq(foreign->element[3]->str, "{\"colour\":\"blue\",\"size\":\"5\"}");
    ck_assert_str_eq(foreign->element[5]->str, "the entry has no field event");
    ck_assert_str_eq(damaged->element[3]->str, "{\"id\":");
    ck_assert_uint_gt(strlen(damaged->element[5]->str), 5);
    ck_assert_int_eq(redis_driver_command("XPENDING s g")->element[0]->integer, 0);
    ck_assert_uint_eq(b->counters.dead_lettered, 3);
    ck_assert_uint_eq(b->counters.failed, 3);
    backend_close(b);
}
END_TEST

START_TEST(refused_events_are_dead_letters)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct driven_call call;
    driven_call_init(&call);
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    redis_driver_next(b);
    ck_assert_int_eq(
        driven_call_wait(b, &call, backend_nack(b, &driver.got, 1, "too late", &call.call)), 0);
    event_release(driver.got.event);
    redisReply *dead = redis_driver_command("XRANGE s:dlq - +");
    ck_assert_uint_eq(dead->elements, 1);
    ck_assert_str_eq(dead->element[0]->element[1]->element[5]->str, "too late");
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    ck_assert_uint_eq(b->counters.acked, 0);
    backend_close(b);
}
END_TEST

/* --- keeping and giving back ---------------------------------------------------------------- */

START_TEST(given_back_is_as_if_never_taken)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    char owner[64];
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 2), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    backend_give_back(b, &driver.got);
    event_release(driver.got.event);
    redis_driver_run(b, 5 * NS_PER_MS);
    ck_assert_int_eq(redis_driver_deliveries(&driver.got, owner, sizeof(owner)), 1);
    ck_assert_str_eq(owner, "a:ahead");
    ck_assert_int_eq(redis_driver_next(b), 1);
    ck_assert_uint_eq(driver.got.attempt, 1);
    ck_assert_str_eq(owner, "a:ahead");
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_next(b), 2);
    redis_driver_finish(b);
    backend_close(b);
}
END_TEST

START_TEST(unacknowledged_comes_again)
{
    struct backend *b =
        redis_driver_open((struct redis_driver_options){.claim_min_idle_ns = IDLE_NS});
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        ck_assert_int_eq(redis_driver_next(b), 1);
        ck_assert_uint_eq(driver.got.attempt, attempt);
        event_release(driver.got.event);
        ck_assert_int_eq(redis_driver_pull(b, &driver.got, NS_PER_MS), 0);
        redis_driver_age(IDLE_MS);
        redis_backend_of(b)->pending.next_ns = 0;
    }
    while (b->counters.dead_lettered == 0)
        ck_assert_int_eq(redis_driver_pull(b, &driver.got, 20 * NS_PER_MS), 0);
    ck_assert_int_eq(redis_driver_number("XLEN s:dlq"), 1);
    backend_close(b);
}
END_TEST

START_TEST(closing_leaves_what_was_read_ahead_to_others)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    struct backend *a = redis_driver_open(options);
    redis_driver_read_ahead(a, 200);
    redis_driver_finish(a);
    int left = 200 - (int)a->counters.acked;
    backend_close(a);
    options.consumer = "b";
    struct backend *b = redis_driver_open(options);
    for (int i = 0; i < left; i++) {
        redis_driver_next(b);
        ck_assert_uint_eq(driver.got.attempt, 1);
        redis_driver_finish(b);
    }
    ck_assert_int_eq(redis_driver_command("XPENDING s g")->element[0]->integer, 0);
    backend_close(b);
}
END_TEST

START_TEST(what_waits_here_is_nobody_elses)
{
    struct backend *b =
        redis_driver_open((struct redis_driver_options){.claim_min_idle_ns = IDLE_NS});
    struct redis_backend *redis = redis_backend_of(b);
    redis_driver_read_ahead(b, 40);
    redis_driver_age(IDLE_MS);
    redis->refresh_ns = 1; /* it is time */
    redis_driver_run(b, NS_PER_MS);
    size_t here = redis->ahead.count;
    ck_assert_uint_gt(here, 0);
    for (uint64_t until = clock_mono_ns() + WAIT;; redis_driver_run(b, NS_PER_MS)) {
        redisReply *idle = redis_driver_command("XPENDING s g IDLE %lu - + 100 a:ahead", IDLE_MS);
        if (idle->elements == 0)
            break;
        ck_assert_uint_lt(clock_mono_ns(), until);
    }
    ck_assert_int_eq(redis_driver_pending("a:ahead"), (long long)here);
    redis_driver_finish(b);
    backend_close(b);
}
END_TEST

START_TEST(what_nobody_pulls_is_given_away)
{
    struct redis_driver_options options = {.claim_min_idle_ns = 4 * NS_PER_S};
    struct backend *a = redis_driver_open(options);
    struct redis_backend *redis = redis_backend_of(a);
    redis_driver_read_ahead(a, 40);
    redis_driver_finish(a);
    redis->reading.pulled_ns -= 10 * NS_PER_S;
    redis->refresh_ns = 1;
    redis_driver_run(a, NS_PER_MS);
    ck_assert_uint_eq(redis->ahead.count, 0);
    int left = 40 - (int)a->counters.acked;
    options.consumer = "b";
    struct backend *b = redis_driver_open(options);
    for (int i = 0; i < left; i++) {
        redis_driver_next(b);
        ck_assert_uint_eq(driver.got.attempt, 1);
        redis_driver_finish(b);
    }
    backend_close(a);
    backend_close(b);
}
END_TEST

/* --- the rest ------------------------------------------------------------------------------- */

START_TEST(a_forgotten_call_is_not_told)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":1}");
    struct driven_call call, pulled;
    struct delivery into;
    driven_call_init(&call);
    driven_call_init(&pulled);
    struct pull_call pull = {.call = pulled.call, .into = &into, .room = 1, .wait_ns = WAIT};
    ck_assert_int_eq(backend_enqueue(b, &event, 1, &call.call), -EINPROGRESS);
    ck_assert_int_eq(backend_pull(b, &pull), -EINPROGRESS);
    backend_forget(b, &call.call);
    backend_forget(b, &pull.call);
    redis_driver_run(b, 20 * NS_PER_MS);
    ck_assert(!call.done);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_finish(b);
    event_release(event);
    backend_close(b);
}
END_TEST

START_TEST(health_tells_how_long_the_stream_is)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct backend_health health;
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 3), 0);
    ck_assert_int_eq(redis_driver_health(b, &health), 0);
    ck_assert(health.healthy);
    ck_assert_ptr_null(health.error);
    ck_assert_uint_eq(health.waiting, 3);
    ck_assert_uint_gt(health.latency_ns, 0);
    backend_close(b);
}
END_TEST

START_TEST(closing_ends_what_is_under_way)
{
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct event *event = redis_driver_event("{\"n\":1}");
    struct driven_call call;
    driven_call_init(&call);
    ck_assert_int_eq(backend_enqueue(b, &event, 1, &call.call), -EINPROGRESS);
    backend_close(b);
    ck_assert(call.done);
    ck_assert_int_eq(call.result, -ESHUTDOWN);
    event_release(event);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_backend");
    TCase *tests = tcase_create("a server that works");
    tcase_set_timeout(tests, 240);
    tcase_add_unchecked_fixture(tests, redis_driver_start, redis_driver_stop);
    tcase_add_checked_fixture(tests, flush, NULL);
    tcase_add_test(tests, an_event_goes_through);
    tcase_add_test(tests, order_is_kept_and_a_batch_is_one_transaction);
    tcase_add_test(tests, an_acknowledgement_adds_what_was_emitted);
    tcase_add_test(tests, a_chain_takes_one_write_an_event);
    tcase_add_test(tests, a_pull_waits_as_long_as_it_says);
    tcase_add_test(tests, a_pull_is_given_so_many_at_once);
    tcase_add_test(tests, what_was_handled_is_told_with_the_next);
    tcase_add_test(tests, what_is_read_ahead_does_not_count);
    tcase_add_test(tests, foreign_entries_are_dead_letters);
    tcase_add_test(tests, refused_events_are_dead_letters);
    tcase_add_test(tests, given_back_is_as_if_never_taken);
    tcase_add_test(tests, unacknowledged_comes_again);
    tcase_add_test(tests, closing_leaves_what_was_read_ahead_to_others);
    tcase_add_test(tests, what_waits_here_is_nobody_elses);
    tcase_add_test(tests, what_nobody_pulls_is_given_away);
    tcase_add_test(tests, a_forgotten_call_is_not_told);
    tcase_add_test(tests, health_tells_how_long_the_stream_is);
    tcase_add_test(tests, closing_ends_what_is_under_way);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
