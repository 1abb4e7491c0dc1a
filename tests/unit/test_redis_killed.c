// SPDX-License-Identifier: Apache-2.0
/* links: see test_redis_backend.c */
/* Consumers of Redis that are killed: others take over, and attempts are what was handed out,
 * whatever Redis had read of them when they died. */
#include "tests/unit/redis_driver.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/events/redis_private.h"

#define IDLE_NS (3600 * NS_PER_S) /* claimed after that; nothing waits for it, see age() */
#define IDLE_MS (2 * 3600 * 1000ul)

enum { POISON_EVENTS = 60, POISON_EACH = 20, POISON_RETRIES = 3 };

static int *handled; /* how often each was handed out; shared with the consumers */

static void reset(void)
{
    handled = mmap(NULL, POISON_EVENTS * sizeof(*handled), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(handled, MAP_FAILED);
    kill(driver.pid, SIGCONT);
    redis_driver_command("FLUSHALL");
}

static void release(void)
{
    munmap(handled, POISON_EVENTS * sizeof(*handled));
}

/* Runs what a consumer does in a process of its own, which kills itself. */
static void run_and_die(void (*consume)(struct backend *), struct redis_driver_options options)
{
    pid_t child = fork();
    int status;
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct backend *b = redis_driver_open(options);
        consume(b);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                      (WIFEXITED(status) && WEXITSTATUS(status) == 0),
                  "the consumer ended with status %d", status);
}

static void read_ahead_and_die(struct backend *b)
{
    redis_driver_read_ahead(b, 100);
    kill(getpid(), SIGKILL);
}

START_TEST(another_takes_over_with_exact_attempts)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    run_and_die(read_ahead_and_die, options);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    int ahead = (int)redis_driver_pending("a:ahead");
    ck_assert_int_gt(ahead, 4);
    redis_driver_age(IDLE_MS);
    options.consumer = "b";
    struct backend *b = redis_driver_open(options);
    if (_i == 1) /* Redis below 6.2 */
        redis_backend_of(b)->pending.no_idle = true;
    int left = (int)redis_driver_pending("a") + ahead, again = 0;
    for (bool last = false; !last;) { /* the last one is new */
        last = redis_driver_next(b) == 99;
        again += driver.got.attempt == 2;
        ck_assert_uint_le(driver.got.attempt, 2);
        redis_driver_finish(b);
    }
    for (uint64_t until = clock_mono_ns() + WAIT; b->counters.recovered < (uint64_t)left;) {
        ck_assert_uint_lt(clock_mono_ns(), until);
        if (redis_driver_pull(b, &driver.got, 20 * NS_PER_MS) != 1)
            continue;
        again += driver.got.attempt == 2;
        redis_driver_finish(b);
    }
    while (redis_driver_pull(b, &driver.got, 20 * NS_PER_MS) == 1) {
        again += driver.got.attempt == 2;
        redis_driver_finish(b);
    }
    ck_assert_int_eq(again, 1);
    ck_assert_uint_eq(b->counters.recovered, (uint64_t)left);
    ck_assert_int_eq(redis_driver_command("XPENDING s g")->element[0]->integer, 0);
    backend_close(b);
}
END_TEST

/* --- poison --------------------------------------------------------------------------------- */

static void consume_poison(struct backend *b)
{
    redis_backend_of(b)->read_ahead = 64;
    for (;;) {
        redis_backend_of(b)->reading.window_ns = clock_mono_ns();
        int count = redis_driver_pull(b, &driver.got, 50 * NS_PER_MS);
        if (count != 1)
            return;
        int n = redis_driver_n(&driver.got);
        if ((uint32_t)++handled[n] != driver.got.attempt)
            _exit(3);
        if (n % POISON_EACH == 5)
            kill(getpid(), SIGKILL);
        redis_driver_ack(b, &driver.got, NULL);
        event_release(driver.got.event);
    }
}

START_TEST(poison_dies_after_exactly_max_retries)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS,
                                           .max_retries = POISON_RETRIES};
    struct backend *b = redis_driver_open(options);
    ck_assert_int_eq(redis_driver_enqueue(b, 0, POISON_EVENTS), 0);
    int poison = 0, lives = 0;
    for (int n = 0; n < POISON_EVENTS; n++)
        poison += n % POISON_EACH == 5;
    while (redis_driver_number("EXISTS s:dlq") == 0 || redis_driver_number("XLEN s:dlq") < poison) {
        run_and_die(consume_poison, options);
        redis_driver_age(IDLE_MS);
        ck_assert_int_lt(++lives, 200);
    }
    for (int n = 0; n < POISON_EVENTS; n++)
        ck_assert_int_eq(handled[n], n % POISON_EACH == 5 ? POISON_RETRIES : 1);
    redisReply *dead = redis_driver_command("XRANGE s:dlq - +");
    ck_assert_uint_eq(dead->elements, (size_t)poison);
    redisReply *fields = dead->element[0]->element[1];
    ck_assert_uint_eq(fields->elements, 8);
    static const char *const names[] = {"original_id", "event", "reason", "failed_at"};
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(fields->element[2 * i]->str, names[i]);
    ck_assert_str_eq(fields->element[5]->str, "delivered 3 times and never acknowledged");
    ck_assert_ptr_nonnull(strstr(fields->element[3]->str, "\"payload\":{\"n\":5}"));
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    backend_close(b);
}
END_TEST

/* --- what Redis has not read yet ------------------------------------------------------------- */

static size_t count_clients(void)
{
    size_t count = 0;
    for (const char *at = redis_driver_command("CLIENT LIST")->str; (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

/* Until Redis has seen the end of its connections, and read what it ever will of them. */
static void run_and_die_frozen(void (*consume)(struct backend *))
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    size_t clients = count_clients();
    run_and_die(consume, options);
    kill(driver.pid, SIGCONT);
    for (uint64_t until = clock_mono_ns() + WAIT; count_clients() != clients;)
        ck_assert_uint_lt(clock_mono_ns(), until);
}

static uint32_t attempt_of_the_next(int n)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS, .consumer = "b"};
    redis_driver_age(IDLE_MS);
    struct backend *b = redis_driver_open(options);
    int got;
    while ((got = redis_driver_next(b)) != n) {
        ck_assert_int_lt(got, 1000);
        redis_driver_finish(b);
    }
    uint32_t attempt = driver.got.attempt;
    redis_driver_finish(b);
    backend_close(b);
    return attempt;
}

static void wait_for_an_answer_and_die(struct backend *b)
{
    struct driven_pull pull;
    struct delivery into;
    ck_assert_int_eq(redis_driver_enqueue(b, 1, 1), 0);
    ck_assert_int_eq(redis_driver_next(b), 1);
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_enqueue(b, 2, 1), 0);
    redis_driver_freeze();
    ck_assert_int_eq(driven_pull_start(b, &pull, &into, WAIT), -EINPROGRESS);
    backend_progress(b);
    ck_assert(redis_backend_of(b)->reading.direct);
    kill(getpid(), SIGKILL);
}

/* Its answer brought an event to a consumer that was dead: no handler ever got it. */
START_TEST(an_answer_that_nobody_reads_does_not_count)
{
    run_and_die_frozen(wait_for_an_answer_and_die);
    ck_assert_int_eq(redis_driver_pending("a") + redis_driver_pending("a:ahead"), 1);
    ck_assert_uint_eq(attempt_of_the_next(2), 1);
}
END_TEST

/* The server reads 16 KiB at a time. The answer to the first of them finds nobody: then it forgets
 * the rest. */
static void take_one_behind_much_and_die(struct backend *b)
{
    enum { MUCH = 100 * 1024 };
    char *payload = malloc(MUCH);
    struct event *small = redis_driver_event("{\"n\":1000}"), *large;
    struct driven_call calls[2];
    snprintf(payload, MUCH, "{\"n\":1001,\"much\":\"%0*d\"}", MUCH - 64, 0);
    large = redis_driver_event(payload);
    redis_driver_read_ahead(b, 100);
    redis_driver_finish(b);
    driven_call_init(&calls[0]);
    driven_call_init(&calls[1]);
    redis_driver_freeze();
    ck_assert_int_eq(backend_enqueue(b, &small, 1, &calls[0].call), -EINPROGRESS);
    ck_assert_int_eq(backend_enqueue(b, &large, 1, &calls[1].call), -EINPROGRESS);
    backend_progress(b);
    handled[0] = redis_driver_next(b);
    kill(getpid(), SIGKILL);
}

START_TEST(what_was_handed_out_counts_though_redis_has_not_read_it)
{
    run_and_die_frozen(take_one_behind_much_and_die);
    ck_assert_int_gt(handled[0], 0);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    ck_assert_uint_eq(attempt_of_the_next(handled[0]), 2);
}
END_TEST

/* --- the connection on which it is told ------------------------------------------------------ */

/* Redis reads this before all that is sent after it. */
static void send_first(redisContext *context, long long number)
{
    int done = 0;
    ck_assert_int_eq(redisAppendCommand(context, "CLIENT KILL ID %lld", number), REDIS_OK);
    while (!done)
        ck_assert_int_eq(redisBufferWrite(context, &done), REDIS_OK);
}

START_TEST(what_was_not_read_is_told_again)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    struct backend *b = redis_driver_open(options);
    struct redis_connection *tell = &redis_backend_of(b)->tell.connection;
    char owner[64];
    redis_driver_read_ahead(b, 100);
    redis_driver_finish(b);
    uint64_t losses = tell->lost;
    redisContext *other = redisConnectUnix(driver.url + strlen("unix://"));
    freeReplyObject(redisCommand(other, "PING"));
    redis_driver_freeze();
    send_first(other, tell->id);
    int n = redis_driver_next(b);
    struct delivery taken = driver.got;
    kill(driver.pid, SIGCONT);
    for (uint64_t until = clock_mono_ns() + WAIT; tell->lost == losses;) {
        redis_driver_run(b, NS_PER_MS);
        ck_assert_uint_lt(clock_mono_ns(), until);
    }
    ck_assert_int_eq(redis_driver_next(b), n + 1);
    ck_assert_int_eq(redis_driver_deliveries(&taken, owner, sizeof(owner)), 1);
    ck_assert_str_eq(owner, "a");
    ck_assert_uint_eq(redis_driver_pending("a"), 2);
    redis_driver_finish(b);
    driver.got = taken;
    redis_driver_finish(b);
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    redisFree(other);
    backend_close(b);
}
END_TEST

static void wait_for_owner(const struct delivery *delivery, const char *name)
{
    char owner[64] = "";
    uint64_t until = clock_mono_ns() + WAIT;
    while (redis_driver_deliveries(delivery, owner, sizeof(owner)) != 1 || strcmp(owner, name) != 0)
        ck_assert_msg(clock_mono_ns() < until, "it is %s's", owner);
}

/* Given back, it is with nobody: it is not told again. */
START_TEST(what_was_given_back_is_not_told_again)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    struct backend *b = redis_driver_open(options);
    struct redis_connection *tell = &redis_backend_of(b)->tell.connection;
    redis_driver_read_ahead(b, 100);
    int n = redis_driver_n(&driver.got);
    wait_for_owner(&driver.got, "a");
    backend_give_back(b, &driver.got);
    wait_for_owner(&driver.got, "a:ahead");
    event_release(driver.got.event);
    redis_owner_release(redis_backend_of(b));
    redis_connection_drop(tell, clock_mono_ns(), "for a test");
    ck_assert_int_eq(redis_driver_next(b), n);
    ck_assert_uint_eq(driver.got.attempt, 1);
    redis_driver_finish(b);
    backend_close(b);
}
END_TEST

/* Handed out and given back is told in this order, though Redis reads another connection first. */
START_TEST(what_was_given_back_is_left_to_others_at_the_end)
{
    struct redis_driver_options options = {.claim_min_idle_ns = IDLE_NS};
    size_t clients = count_clients();
    struct backend *b = redis_driver_open(options);
    struct event *event = redis_driver_event("{\"n\":1000}");
    struct driven_call call;
    char owner[64];
    driven_call_init(&call);
    redis_driver_read_ahead(b, 100);
    redis_driver_finish(b);
    redis_driver_freeze();
    ck_assert_int_eq(backend_enqueue(b, &event, 1, &call.call), -EINPROGRESS);
    backend_progress(b);
    ck_assert_ptr_nonnull(redis_backend_of(b)->work.sent);
    redis_driver_next(b);
    struct delivery taken = driver.got;
    backend_give_back(b, &taken);
    event_release(taken.event);
    backend_close(b);
    kill(driver.pid, SIGCONT);
    for (uint64_t until = clock_mono_ns() + WAIT; count_clients() != clients;)
        ck_assert_uint_lt(clock_mono_ns(), until);
    ck_assert_int_eq(redis_driver_deliveries(&taken, owner, sizeof(owner)), 1);
    ck_assert_str_eq(owner, "a:ahead");
    ck_assert_int_ge(redis_driver_idle_ms(&taken), (long long)(IDLE_NS / NS_PER_MS));
    ck_assert_int_eq(redis_driver_pending("a"), 0);
    event_release(event);
}
END_TEST

/* As behind a proxy that takes the command for itself. */
START_TEST(works_where_silence_is_not_kept)
{
    static const char loud[] = "CLIENT REPLY ON\r\n";
    struct backend *b = redis_driver_open((struct redis_driver_options){0});
    struct redis_tell *tell = &redis_backend_of(b)->tell;
    redis_driver_read_ahead(b, 100);
    redis_driver_finish(b);
    ck_assert_int_eq(tell->state, REDIS_TELL_SILENT);
    ck_assert_int_eq(send(tell->connection.fd, loud, strlen(loud), 0), strlen(loud));
    for (uint64_t until = clock_mono_ns() + WAIT; tell->state == REDIS_TELL_SILENT;) {
        redis_driver_run(b, NS_PER_MS);
        ck_assert_uint_lt(clock_mono_ns(), until);
    }
    ck_assert_int_eq(tell->state, REDIS_TELL_REFUSED);
    for (int i = 0; i < 3; i++) {
        redis_driver_next(b);
        ck_assert_int_eq(tell->connection.state, REDIS_CONNECTION_PAUSED);
        ck_assert_int_eq(redis_driver_pending("a"), 1);
        redis_driver_finish(b);
    }
    ck_assert_uint_eq(tell->connection.made, 1);
    backend_close(b);
}
END_TEST

START_TEST(works_where_silence_is_not_allowed)
{
    char url[256];
    redis_driver_command("ACL SETUSER loud on >pw ~* +@all -client");
    snprintf(url, sizeof(url), "unix://loud:pw@%s", driver.url + strlen("unix://"));
    struct backend *b = redis_driver_open((struct redis_driver_options){.url = url});
    redis_driver_read_ahead(b, 100);
    ck_assert_int_eq(redis_backend_of(b)->tell.state, REDIS_TELL_REFUSED);
    ck_assert_int_eq(redis_backend_of(b)->tell.connection.state, REDIS_CONNECTION_PAUSED);
    ck_assert_int_eq(redis_driver_pending("a"), 1);
    redis_driver_finish(b);
    backend_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_killed");
    TCase *tests = tcase_create("a consumer that is killed");
    tcase_set_timeout(tests, 60);
    tcase_add_unchecked_fixture(tests, redis_driver_start, redis_driver_stop);
    tcase_add_checked_fixture(tests, reset, release);
    tcase_add_loop_test(tests, another_takes_over_with_exact_attempts, 0, 2);
    tcase_add_test(tests, poison_dies_after_exactly_max_retries);
    tcase_add_test(tests, an_answer_that_nobody_reads_does_not_count);
    tcase_add_test(tests, what_was_handed_out_counts_though_redis_has_not_read_it);
    tcase_add_test(tests, what_was_not_read_is_told_again);
    tcase_add_test(tests, what_was_given_back_is_not_told_again);
    tcase_add_test(tests, what_was_given_back_is_left_to_others_at_the_end);
    tcase_add_test(tests, works_where_silence_is_not_allowed);
    tcase_add_test(tests, works_where_silence_is_not_kept);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
