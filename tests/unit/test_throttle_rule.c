// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/throttle_rule.c */
#include "supervisor/process/throttle_rule.h"

#include <check.h>
#include <stdlib.h>

#define MS          1000000ull
#define S           (1000 * MS)
#define START       (5000 * S) /* a machine that is up for a while */
#define CALM        THROTTLE_CALM_NS
#define MEMORY_CALM THROTTLE_MEMORY_CALM_NS
#define CALM_MAX    THROTTLE_CALM_MAX_NS
#define AGAIN       THROTTLE_AGAIN_NS
#define ALL         THROTTLE_REFUSALS
#define LINES       THROTTLE_DROPS

enum { LOOKS_MAX = 10 };

struct look {
    uint64_t at_ns;
    uint64_t refused, dropped, deaths; /* all so far */
    enum throttle_step step;
    enum throttle_reason reason; /* then */
    uint64_t percent;            /* 0: 10 */
    uint64_t killed;
};

#define OFF                         UINT64_MAX
#define KEEP(reason)                THROTTLE_KEEP, THROTTLE_##reason, 0, 0
#define BEGIN(reason)               THROTTLE_BEGIN, THROTTLE_##reason, 0, 0
#define KILLED(step, reason, count) THROTTLE_##step, THROTTLE_##reason, 0, count
#define END                         THROTTLE_END, THROTTLE_NONE, 0, 0

static const struct {
    const char *name;
    struct look looks[LOOKS_MAX]; /* up to the first without a time */
} rows[] = {
    {"nothing", {{1, 0, 0, 0, KEEP(NONE)}, {S, 0, 0, 0, KEEP(NONE)}}},
    {"a fork bomb, at its first look", {{1, ALL, 0, 0, BEGIN(PROCESSES)}}},
    {"one less is none", {{1, ALL - 1, 0, 0, KEEP(NONE)}, {S / 2, ALL - 1, 0, 0, KEEP(NONE)}}},
    {"looks of one second add up",
     {{1, 1, 0, 0, KEEP(NONE)},
      {S / 2, ALL - 1, 0, 0, KEEP(NONE)},
      {S, ALL, 0, 0, BEGIN(PROCESSES)}}},
    {"those of several do not",
     {{1, ALL - 1, 0, 0, KEEP(NONE)},
      {1 + S, 2 * ALL - 2, 0, 0, KEEP(NONE)},
      {1 + 2 * S, 3 * ALL - 3, 0, 0, KEEP(NONE)}}},
    {"what came since a look of a second ago counts",
     {{1, 7, 0, 0, KEEP(NONE)}, {10 * S, ALL + 7, 0, 0, BEGIN(PROCESSES)}}},
    {"lines without end", {{1, 0, 1, 0, KEEP(NONE)}, {S / 4, 0, LINES, 0, BEGIN(OUTPUT)}}},
    {"one line less", {{1, 0, 1, 0, KEEP(NONE)}, {S / 4, 0, LINES - 1, 0, KEEP(NONE)}}},
    {"each limit has its own count", {{1, ALL - 1, LINES - 1, 1, KEEP(NONE)}}},
    {"one death by memory", {{1, 0, 0, 1, KEEP(NONE)}}},
    {"two", {{1, 0, 0, 2, BEGIN(MEMORY)}}},
    {"they count once",
     {{1, 0, 0, 2, BEGIN(MEMORY)},
      {MEMORY_CALM, 0, 0, 2, KEEP(MEMORY)},
      {MEMORY_CALM + 1, 0, 0, 2, END},
      {MEMORY_CALM + 2, 0, 0, 2, KEEP(NONE)},
      {MEMORY_CALM + 2 * S, 0, 0, 2, KEEP(NONE)}}},
    {"processes killed by memory", {{1, 0, 0, 0, KILLED(BEGIN, KILLED, THROTTLE_KILLS)}}},
    {"one less, and they are no deaths", {{1, 0, 0, 1, KILLED(KEEP, NONE, THROTTLE_KILLS - 1)}}},
    {"to be killed takes longer when throttled",
     {{1, 0, 0, 0, KILLED(BEGIN, KILLED, THROTTLE_KILLS)},
      {CALM + 1, 0, 0, 0, KILLED(KEEP, KILLED, THROTTLE_KILLS)},
      {MEMORY_CALM, 0, 0, 0, KILLED(KEEP, KILLED, THROTTLE_KILLS)},
      {MEMORY_CALM + 1, 0, 0, 0, KILLED(END, NONE, THROTTLE_KILLS)}}},
    {"it lasts until it was calm for long enough",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)},
      {S, ALL + 1, 0, 0, KEEP(PROCESSES)},
      {S + CALM - 1, ALL + 1, 0, 0, KEEP(PROCESSES)},
      {S + CALM, ALL + 1, 0, 0, END}}},
    {"a line that is dropped is no calm either",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)},
      {CALM, ALL, 1, 0, KEEP(PROCESSES)},
      {CALM + S, ALL, 1, 0, KEEP(PROCESSES)},
      {2 * CALM, ALL, 1, 0, END}}},
    {"it begins again, and what was before does not count",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)},
      {1 + CALM, ALL, 0, 0, END},
      {2 + CALM, 2 * ALL - 1, 0, 0, KEEP(NONE)},
      {3 + CALM, 2 * ALL, 0, 0, BEGIN(PROCESSES)}}},
    {"soon again, and it takes twice as long",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)},
      {1 + CALM, ALL, 0, 0, END},
      {CALM + AGAIN, 2 * ALL, 0, 0, BEGIN(PROCESSES)},
      {CALM + AGAIN + 2 * CALM - 1, 2 * ALL, 0, 0, KEEP(PROCESSES)},
      {CALM + AGAIN + 2 * CALM, 2 * ALL, 0, 0, END}}},
    {"not so soon, and it does not",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)},
      {1 + CALM, ALL, 0, 0, END},
      {1 + CALM + AGAIN, 2 * ALL, 0, 0, BEGIN(PROCESSES)},
      {1 + CALM + AGAIN + CALM, 2 * ALL, 0, 0, END}}},
    {"at most so long",
     {{1, 0, 0, 2, BEGIN(MEMORY)},
      {1 + MEMORY_CALM, 0, 0, 2, END},
      {2 + MEMORY_CALM, 0, 0, 4, BEGIN(MEMORY)},
      {2 + 3 * MEMORY_CALM, 0, 0, 4, END},
      {3 + 3 * MEMORY_CALM, 0, 0, 6, BEGIN(MEMORY)},
      {3 + 7 * MEMORY_CALM, 0, 0, 6, END},
      {4 + 7 * MEMORY_CALM, 0, 0, 8, BEGIN(MEMORY)},
      {3 + 7 * MEMORY_CALM + CALM_MAX, 0, 0, 8, KEEP(MEMORY)},
      {4 + 7 * MEMORY_CALM + CALM_MAX, 0, 0, 8, END}}},
    {"switched off it never begins",
     {{1, 9 * ALL, LINES, 9, THROTTLE_KEEP, THROTTLE_NONE, OFF, 0}}},
    {"switched off it ends at once",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)}, {2, 2 * ALL, 0, 0, THROTTLE_END, THROTTLE_NONE, OFF, 0}}},
    {"a count that cannot be read is no news",
     {{1, ALL, 0, 0, BEGIN(PROCESSES)}, {2, 0, 0, 0, KEEP(PROCESSES)}, {1 + CALM, 0, 0, 0, END}}},
};

START_TEST(steps)
{
    struct throttle_rule rule = {0};
    for (const struct look *look = rows[_i].looks; look->at_ns; look++) {
        struct throttle_seen seen = {
            START + look->at_ns,
            look->percent == OFF ? 0 : 10,
            {[THROTTLE_PROCESSES] = look->refused,
             [THROTTLE_OUTPUT] = look->dropped,
             [THROTTLE_MEMORY] = look->deaths,
             [THROTTLE_KILLED] = look->killed},
        };
        int number = (int)(look - rows[_i].looks);
        ck_assert_msg(throttle_rule_step(&rule, &seen) == look->step, "%s: look %d", rows[_i].name,
                      number);
        ck_assert_msg(rule.reason == look->reason, "%s: look %d", rows[_i].name, number);
        if (look->step == THROTTLE_BEGIN)
            ck_assert_uint_eq(rule.since_ns, START + look->at_ns);
    }
}
END_TEST

START_TEST(every_reason_has_a_name)
{
    ck_assert_str_eq(throttle_reason_name(THROTTLE_NONE), "");
    ck_assert_str_eq(throttle_reason_name(THROTTLE_PROCESSES), "processes");
    ck_assert_str_eq(throttle_reason_name(THROTTLE_OUTPUT), "output");
    ck_assert_str_eq(throttle_reason_name(THROTTLE_MEMORY), "memory");
    ck_assert_str_eq(throttle_reason_name(THROTTLE_KILLED), "memory");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("throttle_rule");
    TCase *tc = tcase_create("throttle_rule");
    tcase_add_loop_test(tc, steps, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tc, every_reason_has_a_name);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
