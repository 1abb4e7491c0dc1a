// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/backoff.c common/clock.c */
#include "supervisor/process/backoff.h"

#include <check.h>
#include <stdlib.h>

#define MS      1000000ull
#define S       (1000 * MS)
#define MINUTE  (60 * S)
#define AT      (1000 * S) /* when the last of a history happens */
#define SECONDS 30

enum kind { END, DIED, FAILED, RESET };

struct event {
    enum kind kind;
    uint64_t lived_ns;
};

/* The histories, what is asked so long after their end, and the wait without jitter. */
static const struct {
    const char *name;
    struct event events[12];
    uint64_t after_ns;
    uint64_t delay_ns;
} rows[] = {
    {"nothing happened", {{END, 0}}, 0, 0},
    {"the first death, after an hour", {{DIED, 60 * MINUTE}}, 0, 0},
    {"the first death, after a moment", {{DIED, MS}}, 0, 0},
    {"the first failure", {{FAILED, 0}}, 0, 100 * MS},
    {"the second failure", {{FAILED, 0}, {FAILED, 0}}, 0, 200 * MS},
    {"the second death", {{DIED, MS}, {DIED, MS}}, 0, 100 * MS},
    {"the third death", {{DIED, MS}, {DIED, MS}, {DIED, MS}}, 0, 200 * MS},
    {"death, then no start", {{DIED, MINUTE}, {FAILED, 0}}, 0, 100 * MS},
    {"no start, then death", {{FAILED, 0}, {DIED, S}}, 0, 200 * MS},
    {"some of it has passed", {{FAILED, 0}}, 40 * MS, 60 * MS},
    {"all of it has passed", {{FAILED, 0}}, 100 * MS, 0},
    {"long ago", {{FAILED, 0}}, 60 * MINUTE, 0},
    {"just not stable", {{DIED, S}, {DIED, MINUTE - 1}}, 0, 100 * MS},
    {"a stable minute forgets", {{FAILED, 0}, {FAILED, 0}, {DIED, MINUTE}}, 0, 0},
    {"and counts itself", {{FAILED, 0}, {FAILED, 0}, {DIED, MINUTE}, {DIED, S}}, 0, 100 * MS},
    {"a reset forgets", {{DIED, S}, {DIED, S}, {DIED, S}, {RESET, 0}}, 0, 0},
    {"then the first again", {{DIED, S}, {DIED, S}, {RESET, 0}, {DIED, S}}, 0, 0},
    {"the tenth death is at the last",
     {{DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S},
      {DIED, S}},
     0,
     SECONDS *S},
};

static struct backoff history(const struct event *events)
{
    struct backoff b = {0};
    for (; events->kind != END; events++) {
        if (events->kind == DIED)
            backoff_died(&b, AT, events->lived_ns);
        else if (events->kind == FAILED)
            backoff_failed(&b, AT);
        else
            backoff_reset(&b);
    }
    return b;
}

/* Of a spread around the wait: at its ends and between, never negative, never beyond the last. */
static void check_spread(const struct backoff *b, uint64_t nominal, uint64_t after)
{
    for (uint64_t jitter = 0; jitter <= UINT32_MAX; jitter += 98765431u) {
        uint64_t delay = backoff_delay(b, AT + after, (uint32_t)jitter) + after;
        ck_assert_uint_ge(delay, nominal - nominal / 4);
        ck_assert_uint_le(delay, nominal + nominal / 4);
        ck_assert_uint_le(delay, BACKOFF_LAST_NS);
    }
}

START_TEST(delay_of_a_history)
{
    struct backoff b = history(rows[_i].events);
    uint64_t after = rows[_i].after_ns, delay = rows[_i].delay_ns;
    uint32_t middle = (uint32_t)((delay + after) / 4 % UINT32_MAX); /* adds nothing */
    if (delay == 0) {
        ck_assert_msg(backoff_delay(&b, AT + after, 0) == 0, "%s", rows[_i].name);
        return;
    }
    if ((delay + after) / 4 < UINT32_MAX / 2) /* this jitter adds nothing */
        ck_assert_msg(backoff_delay(&b, AT + after, middle) == delay, "%s: %llu", rows[_i].name,
                      (unsigned long long)backoff_delay(&b, AT + after, middle));
    if (after == 0)
        check_spread(&b, delay, after);
}
END_TEST

START_TEST(doubles_to_the_last_and_stays)
{
    struct backoff b = {0};
    uint64_t expected = BACKOFF_FIRST_NS;
    for (int i = 0; i < 100; i++) {
        backoff_failed(&b, AT);
        check_spread(&b, expected, 0);
        expected = expected * 2 > BACKOFF_LAST_NS ? BACKOFF_LAST_NS : expected * 2;
    }
}
END_TEST

START_TEST(the_count_does_not_wrap)
{
    struct backoff b = {.failures = UINT32_MAX - 1};
    backoff_failed(&b, AT);
    backoff_died(&b, AT, 0);
    backoff_died(&b, AT, 0);
    ck_assert_uint_ge(backoff_delay(&b, AT, 0), BACKOFF_LAST_NS / 2);
}
END_TEST

START_TEST(jitter_is_random)
{
    uint32_t first = backoff_jitter();
    int same = 0;
    for (int i = 0; i < 20; i++)
        same += backoff_jitter() == first;
    ck_assert_int_lt(same, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tc = tcase_create("delays");
    tcase_add_loop_test(tc, delay_of_a_history, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tc, doubles_to_the_last_and_stays);
    tcase_add_test(tc, the_count_does_not_wrap);
    tcase_add_test(tc, jitter_is_random);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
