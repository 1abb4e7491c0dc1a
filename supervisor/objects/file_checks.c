// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/file_checks.h"

#include <stdlib.h>
#include <utlist.h>

struct file_checks {
    struct loop *loop;
    struct loop_timer timer;
    struct file_check *list;
    uint64_t round_ns; /* which round `spent_ns` is of */
    uint64_t spent_ns;
};

struct file_checks *file_checks_new(struct loop *loop)
{
    struct file_checks *checks = calloc(1, sizeof(*checks));
    if (checks)
        checks->loop = loop;
    return checks;
}

void file_checks_free(struct file_checks *checks)
{
    if (!checks)
        return;
    while (checks->list)
        file_checks_drop(checks->list);
    loop_timer_cancel(&checks->timer);
    free(checks);
}

void file_checks_drop(struct file_check *check)
{
    if (!check->fn)
        return;
    DL_DELETE(check->checks->list, check);
    check->fn = NULL;
}

static bool has_time(struct file_checks *checks)
{
    if (checks->round_ns != loop_now(checks->loop)) {
        checks->round_ns = loop_now(checks->loop);
        checks->spent_ns = 0;
    }
    return checks->spent_ns < FILE_CHECKS_NS;
}

static void run(struct file_checks *checks, void (*fn)(void *arg), void *arg)
{
    uint64_t begin_ns = clock_mono_ns();
    fn(arg);
    checks->spent_ns += clock_mono_ns() - begin_ns;
}

static void on_round(void *arg)
{
    struct file_checks *checks = arg;
    while (checks->list && has_time(checks)) {
        struct file_check *check = checks->list;
        void (*fn)(void *arg) = check->fn;
        file_checks_drop(check); /* first: it may ask again, or its owner go */
        run(checks, fn, check->arg);
    }
    if (checks->list)
        loop_timer_set(checks->loop, &checks->timer, 0, on_round, checks);
}

void file_checks_ask(struct file_checks *checks, struct file_check *check, void (*fn)(void *arg),
                     void *arg)
{
    if (check->fn) {
        check->fn = fn;
        check->arg = arg;
        return;
    }
    if (!checks->list && has_time(checks)) {
        run(checks, fn, arg);
        return;
    }
    *check = (struct file_check){.fn = fn, .arg = arg, .checks = checks};
    DL_APPEND(checks->list, check);
    if (!loop_timer_armed(&checks->timer))
        loop_timer_set(checks->loop, &checks->timer, 0, on_round, checks);
}
