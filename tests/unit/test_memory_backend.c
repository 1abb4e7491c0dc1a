// SPDX-License-Identifier: Apache-2.0
/* links: common/events/memory_backend.c common/events/event.c common/clock.c common/utf8.c
 * common/buf.c common/codec.c -lsodium */
/* A queue in memory: order, bound, pulls that wait, references. */
#include "common/clock.h"
#include "common/events/memory_backend.h"

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/* --- events that can be counted ----------------------------------------------------------- */

static int references;

static void count_up(struct event *event)
{
    (void)event;
    references++;
}

static void count_down(struct event *event)
{
    (void)event;
    references--;
}

static const struct event_ops counted_ops = {.retain = count_up, .release = count_down};
enum { MANY = 5000 };
static struct event events[MANY];
static struct event *pointers[MANY];

/* What a pull brought, and how often it was told so. */
struct puller {
    struct pull_call pull;
    struct delivery got[4];
    int result, told;
    void (*then)(struct puller *p);
};

static struct backend *backend;

static void note(struct backend_call *call, int result)
{
    struct puller *p = (struct puller *)call;
    p->result = result;
    p->told++;
    if (p->then)
        p->then(p);
}

static int pull(struct puller *p, size_t room, uint64_t wait_ns)
{
    p->pull =
        (struct pull_call){.call.done = note, .into = p->got, .room = room, .wait_ns = wait_ns};
    p->pull.count = 99;
    return backend_pull(backend, &p->pull);
}

/* The next event, by its number; -1 when there is none. */
static int take(void)
{
    struct puller p = {0};
    ck_assert_int_eq(pull(&p, 1, 0), 0);
    ck_assert_int_eq(p.told, 0);
    if (p.pull.count == 0)
        return -1;
    ck_assert_uint_eq(p.pull.count, 1);
    ck_assert_uint_eq(p.got[0].attempt, 1);
    ck_assert_uint_eq(p.got[0].id.high | p.got[0].id.low, 0);
    event_release(p.got[0].event);
    return (int)(p.got[0].event - events);
}

static int enqueue(size_t first, size_t count)
{
    struct backend_call call = {0};
    return backend_enqueue(backend, pointers + first, count, &call);
}

static void setup(void)
{
    references = 0;
    for (size_t i = 0; i < MANY; i++) {
        events[i].ops = &counted_ops;
        pointers[i] = &events[i];
    }
    backend = memory_backend_open(0);
}

static void setup_of_three(void)
{
    setup();
    backend_close(backend);
    backend = memory_backend_open(3);
}

static void teardown(void)
{
    backend_close(backend);
    ck_assert_int_eq(references, 0);
}

/* --- the queue ---------------------------------------------------------------------------- */

START_TEST(first_in_is_first_out)
{
    int put = 0, taken = 0;
    for (int round = 0; round < 60; round++) { /* the ring goes round, grows and shrinks */
        int n = round < 30 ? 7 * round : 3;
        ck_assert_int_eq(enqueue((size_t)put, (size_t)n), 0);
        put += n;
        for (int i = 0; i < (round < 30 ? n / 2 : 100) && taken < put; i++)
            ck_assert_int_eq(take(), taken++);
        ck_assert_uint_eq(memory_backend_size(backend), (size_t)(put - taken));
        ck_assert_int_eq(references, put - taken);
    }
    ck_assert_int_eq(taken, put);
    ck_assert_int_eq(take(), -1);
    ck_assert_uint_eq(backend->counters.enqueued, (uint64_t)put);
    ck_assert_uint_eq(backend->counters.pulled, (uint64_t)put);
}
END_TEST

START_TEST(a_pull_takes_what_it_has_room_for)
{
    struct puller p = {0};
    ck_assert_int_eq(enqueue(0, 6), 0);
    ck_assert_int_eq(pull(&p, 4, NS_PER_S), 0);
    ck_assert_uint_eq(p.pull.count, 4);
    ck_assert_ptr_eq(p.got[3].event, &events[3]);
    ck_assert_int_eq(pull(&p, 4, 0), 0);
    ck_assert_uint_eq(p.pull.count, 2);
    ck_assert_int_eq(pull(&p, 0, NS_PER_S), 0); /* nothing to wait for */
    ck_assert_uint_eq(p.pull.count, 0);
    ck_assert_int_eq(references, 6);
    references = 0;
}
END_TEST

START_TEST(close_releases_what_is_left)
{
    ck_assert_int_eq(enqueue(0, 50), 0);
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(references, 49);
}
END_TEST

START_TEST(a_full_queue_takes_all_or_none)
{
    ck_assert_int_eq(enqueue(0, 2), 0);
    ck_assert_int_eq(enqueue(2, 2), -ENOBUFS);
    ck_assert_uint_eq(memory_backend_size(backend), 2);
    ck_assert_int_eq(references, 2);
    ck_assert_int_eq(enqueue(2, 1), 0);
    ck_assert_int_eq(enqueue(3, 1), -ENOBUFS);
    ck_assert_int_eq(enqueue(3, 0), 0);
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(enqueue(3, 1), 0);
    for (int i = 1; i <= 3; i++)
        ck_assert_int_eq(take(), i);
    ck_assert_uint_eq(backend->counters.enqueued, 4);
}
END_TEST

START_TEST(ack_and_emitted_are_both_or_neither)
{
    struct delivery handled[2] = {{.event = pointers[0]}, {.event = pointers[1]}};
    struct backend_call call = {0};
    ck_assert_int_eq(backend_ack(backend, handled, 2, pointers + 2, 2, &call), 0);
    ck_assert_uint_eq(backend->counters.acked, 2);
    ck_assert_int_eq(backend_ack(backend, handled, 2, pointers + 4, 2, &call), -ENOBUFS);
    ck_assert_uint_eq(backend->counters.acked, 2);
    ck_assert_int_eq(references, 2); /* those of the deliveries are the caller's */
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), 3);
    ck_assert_int_eq(take(), -1);
    ck_assert_int_eq(backend_nack(backend, handled, 2, "why", &call), 0);
    ck_assert_uint_eq(backend->counters.failed, 2);
    ck_assert_int_eq(take(), -1);
}
END_TEST

START_TEST(what_is_given_back_comes_first)
{
    struct puller p = {0}, waiting = {0};
    struct backend_call call = {0};
    ck_assert_int_eq(enqueue(0, 3), 0); /* full */
    ck_assert_int_eq(pull(&p, 2, 0), 0);
    ck_assert_int_eq(enqueue(3, 2), 0); /* full again */
    backend_give_back(backend, &p.got[1]);
    backend_give_back(backend, &p.got[0]);
    /* More than max_size: who emits nothing is not refused for that. */
    ck_assert_int_eq(backend_ack(backend, p.got, 1, NULL, 0, &call), 0);
    event_release(p.got[0].event);
    event_release(p.got[1].event);
    ck_assert_uint_eq(backend->counters.pulled, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take(), i);
    ck_assert_int_eq(pull(&waiting, 1, UINT64_MAX), -EINPROGRESS);
    backend_give_back(backend, &(struct delivery){.event = pointers[7]});
    ck_assert_int_eq(waiting.told, 1);
    ck_assert_ptr_eq(waiting.got[0].event, pointers[7]);
    event_release(waiting.got[0].event);
}
END_TEST

START_TEST(it_is_healthy)
{
    struct health_call call = {.health.error = "x"};
    ck_assert_int_eq(enqueue(0, 3), 0);
    ck_assert_int_eq(backend_health(backend, &call), 0);
    ck_assert(call.health.healthy);
    ck_assert_uint_eq(call.health.waiting, 3);
    ck_assert_ptr_null(call.health.error);
    ck_assert_str_eq(backend_error(backend), "");
    ck_assert_int_eq(backend_fd(backend), -1);
}
END_TEST

/* --- pulls that wait ---------------------------------------------------------------------- */

START_TEST(who_waits_first_is_served_first)
{
    struct puller a = {0}, b = {0}, c = {0};
    ck_assert_int_eq(pull(&a, 4, UINT64_MAX), -EINPROGRESS);
    ck_assert_int_eq(pull(&b, 4, UINT64_MAX), -EINPROGRESS);
    ck_assert_int_eq(pull(&c, 4, UINT64_MAX), -EINPROGRESS);
    ck_assert_uint_eq(backend_deadline(backend), UINT64_MAX);
    ck_assert_int_eq(enqueue(0, 6), 0);
    ck_assert_int_eq(a.told, 1);
    ck_assert_uint_eq(a.pull.count, 4);
    ck_assert_ptr_eq(a.got[0].event, &events[0]);
    ck_assert_int_eq(b.told, 1);
    ck_assert_uint_eq(b.pull.count, 2);
    ck_assert_ptr_eq(b.got[0].event, &events[4]);
    ck_assert_int_eq(c.told, 0);
    struct backend_call call = {0};
    ck_assert_int_eq(backend_ack(backend, b.got, 1, pointers + 6, 1, &call), 0);
    ck_assert_int_eq(c.told, 1);
    ck_assert_int_eq(c.result, 0);
    ck_assert_ptr_eq(c.got[0].event, &events[6]);
    ck_assert_int_eq(references, 7);
    references = 0;
}
END_TEST

START_TEST(a_wait_in_vain_ends_with_nothing)
{
    struct puller soon = {0}, later = {0};
    uint64_t before = clock_mono_ns();
    ck_assert_int_eq(pull(&later, 1, 3600 * NS_PER_S), -EINPROGRESS);
    ck_assert_int_eq(pull(&soon, 1, NS_PER_MS), -EINPROGRESS);
    ck_assert_uint_ge(backend_deadline(backend), before + NS_PER_MS);
    while (clock_mono_ns() < backend_deadline(backend))
        ck_assert_int_eq(soon.told, 0);
    backend_progress(backend);
    ck_assert_int_eq(soon.told, 1);
    ck_assert_int_eq(soon.result, 0);
    ck_assert_uint_eq(soon.pull.count, 0);
    ck_assert_int_eq(later.told, 0);
    ck_assert_uint_ge(backend_deadline(backend), before + 3600 * NS_PER_S);
    ck_assert_uint_ne(backend_deadline(backend), UINT64_MAX);
    backend_progress(backend);
    ck_assert_int_eq(later.told, 0);
    ck_assert_int_eq(enqueue(0, 1), 0);
    ck_assert_int_eq(later.told, 1);
    ck_assert_int_eq(soon.told, 1);
    references = 0;
}
END_TEST

START_TEST(who_is_forgotten_is_not_told)
{
    struct puller a = {0}, b = {0};
    ck_assert_int_eq(pull(&a, 1, NS_PER_MS), -EINPROGRESS);
    ck_assert_int_eq(pull(&b, 1, UINT64_MAX), -EINPROGRESS);
    backend_forget(backend, &a.pull.call);
    ck_assert_int_eq(enqueue(0, 1), 0);
    ck_assert_int_eq(b.told, 1);
    while (clock_mono_ns() < backend_deadline(backend) && backend_deadline(backend) != UINT64_MAX)
        continue;
    backend_progress(backend);
    ck_assert_int_eq(a.told, 0);
    ck_assert_uint_eq(backend_deadline(backend), UINT64_MAX);
    references = 0;
}
END_TEST

START_TEST(close_ends_waits)
{
    struct puller a = {0};
    struct backend *last = backend;
    ck_assert_int_eq(pull(&a, 1, UINT64_MAX), -EINPROGRESS);
    backend = memory_backend_open(0);
    backend_close(last);
    ck_assert_int_eq(a.told, 1);
    ck_assert_int_eq(a.result, -ESHUTDOWN);
    backend_close(NULL);
}
END_TEST

static void handle_and_wait(struct puller *p)
{
    if (p->result)
        return;
    ck_assert_uint_eq(p->pull.count, 1);
    size_t n = (size_t)(p->got[0].event - events);
    event_release(p->got[0].event);
    ck_assert_int_eq(pull(p, 1, UINT64_MAX), -EINPROGRESS);
    if (n < 9)
        ck_assert_int_eq(enqueue(n + 1, 1), 0); /* within the one that brought this */
}

static void try_everything(struct puller *p)
{
    struct health_call health;
    struct backend_call call;
    struct puller again = {0};
    ck_assert_int_eq(p->result, -ESHUTDOWN);
    ck_assert_int_eq(pull(&again, 1, NS_PER_S), -ESHUTDOWN);
    ck_assert_int_eq(enqueue(0, 1), -ESHUTDOWN);
    ck_assert_int_eq(backend_ack(backend, again.got, 1, NULL, 0, &call), -ESHUTDOWN);
    ck_assert_int_eq(backend_nack(backend, again.got, 1, "", &call), -ESHUTDOWN);
    ck_assert_int_eq(backend_health(backend, &health), -ESHUTDOWN);
}

START_TEST(done_may_start_calls)
{
    struct puller p = {.then = handle_and_wait};
    ck_assert_int_eq(pull(&p, 1, UINT64_MAX), -EINPROGRESS);
    ck_assert_int_eq(enqueue(0, 1), 0);
    ck_assert_int_eq(p.told, 10);
    p.then = try_everything;
    struct backend *last = backend;
    backend_close(last);
    ck_assert_int_eq(p.told, 11);
    backend = NULL;
}
END_TEST

/* --- memory ------------------------------------------------------------------------------- */

START_TEST(memory_per_queued_event_is_small)
{
    enum { COUNT = 40000, PAYLOAD = 64 };
    char payload[PAYLOAD];
    uint8_t id[EVENT_ID_SIZE] = {0};
    struct backend_call call = {0};
    memset(payload, ' ', sizeof(payload));
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < COUNT; i++) {
        struct event *event =
            event_new(id, i, span_of("ORDER_PLACED"), (struct span){payload, sizeof(payload)});
        ck_assert_int_eq(backend_enqueue(backend, &event, 1, &call), 0);
        event_release(event);
    }
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    ck_assert_uint_le(used, COUNT * (PAYLOAD + 100ul)); /* 250 are allowed */
    for (int i = 0; i < COUNT; i++) {
        struct puller p = {0};
        ck_assert_int_eq(pull(&p, 1, 0), 0);
        event_release(p.got[0].event);
    }
    ck_assert_uint_le(mallinfo2().uordblks + mallinfo2().hblkhd,
                      before + 65536); /* malloc keeps some */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_backend");
    TCase *free_size = tcase_create("without a bound"), *three = tcase_create("of three");
    tcase_add_checked_fixture(free_size, setup, teardown);
    tcase_add_checked_fixture(three, setup_of_three, teardown);
    tcase_add_test(free_size, first_in_is_first_out);
    tcase_add_test(free_size, a_pull_takes_what_it_has_room_for);
    tcase_add_test(free_size, close_releases_what_is_left);
    tcase_add_test(three, a_full_queue_takes_all_or_none);
    tcase_add_test(three, ack_and_emitted_are_both_or_neither);
    tcase_add_test(three, what_is_given_back_comes_first);
    tcase_add_test(three, it_is_healthy);
    tcase_add_test(free_size, who_waits_first_is_served_first);
    tcase_add_test(free_size, a_wait_in_vain_ends_with_nothing);
    tcase_add_test(free_size, who_is_forgotten_is_not_told);
    tcase_add_test(free_size, close_ends_waits);
    tcase_add_test(free_size, done_may_start_calls);
    tcase_add_test(free_size, memory_per_queued_event_is_small);
    suite_add_tcase(suite, free_size);
    suite_add_tcase(suite, three);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
