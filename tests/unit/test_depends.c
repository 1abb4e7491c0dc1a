// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/depends.c common/seeded_hash.c common/buf.c */
#include "supervisor/objects/depends.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN = 100000 };

/* "a: b c; b: c" as the objects and what they depend on; an object that is not in it does not
 * exist. */
static struct depends lists[8];
static char names[8][8];
static size_t known;
static struct depends order;
static struct buf cycle;

static void set_up(void)
{
    known = 0;
    order = (struct depends){0};
    cycle = (struct buf)BUF_INIT;
}

static void tear_down(void)
{
    for (size_t i = 0; i < known; i++)
        depends_free(&lists[i]);
    depends_free(&order);
    buf_free(&cycle);
}

static void read_graph(const char *text)
{
    char copy[256], *rest, *more;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *row = strtok_r(copy, ";", &rest); row; row = strtok_r(NULL, ";", &rest)) {
        char *name = strtok_r(row, " :", &more);
        lists[known] = (struct depends){0};
        snprintf(names[known], sizeof(names[known]), "%s", name);
        for (char *id = strtok_r(NULL, " :", &more); id; id = strtok_r(NULL, " :", &more))
            ck_assert_int_eq(depends_add(&lists[known], id), 0);
        known++;
    }
}

static const struct depends *in_graph(void *arg, const char *id)
{
    (void)arg;
    for (size_t i = 0; i < known; i++)
        if (strcmp(names[i], id) == 0)
            return &lists[i];
    return NULL;
}

static const char *ordered(void)
{
    static char text[256];
    text[0] = 0;
    for (const char *id = depends_next(&order, NULL); id; id = depends_next(&order, id))
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] ? " " : "", id);
    return text;
}

static const struct {
    const char *graph, *order;
} orders[] = {
    {"a:", "a"},
    {"a: b; b:", "b a"},
    {"a: b c; b: c; c:", "c b a"},
    {"a: c b; b: c; c:", "c b a"},
    {"a: b b; b:", "b a"},
    {"a: b c; b: d; c: d; d:", "d b c a"},
    {"a: gone b; b: lost", "gone lost b a"},
    {"x: a; a:", "a"},
    {"x: y; y: x; a:", "a"}, /* a circle that it has no part in */
};

START_TEST(each_behind_what_it_depends_on)
{
    read_graph(orders[_i].graph);
    ck_assert_int_eq(depends_order("a", in_graph, NULL, &order, &cycle), 0);
    ck_assert_str_eq(ordered(), orders[_i].order);
    ck_assert_uint_eq(cycle.len, 0);
}
END_TEST

static const struct {
    const char *graph, *cycle;
} circles[] = {
    {"a: a", "a -> a"},
    {"a: b; b: a", "a -> b -> a"},
    {"a: c b; b: d; c:; d: b", "b -> d -> b"},
    {"a: b; b: c; c: d; d: a", "a -> b -> c -> d -> a"},
};

START_TEST(a_circle_is_named)
{
    read_graph(circles[_i].graph);
    ck_assert_int_eq(depends_order("a", in_graph, NULL, &order, &cycle), -ELOOP);
    ck_assert_str_eq(buf_str(&cycle), circles[_i].cycle);
}
END_TEST

/* n1 depends on n2, that on n3, …; the last on the first when arg is set. */
static const struct depends *in_chain(void *arg, const char *id)
{
    static struct depends *all;
    int n = atoi(id + 1);
    if (!all)
        all = calloc(CHAIN + 1, sizeof(*all));
    if (!all[n].ids && (n < CHAIN || arg)) {
        char next[16];
        snprintf(next, sizeof(next), "n%d", n < CHAIN ? n + 1 : 1);
        ck_assert_int_eq(depends_add(&all[n], next), 0);
    }
    return &all[n];
}

START_TEST(a_long_chain)
{
    ck_assert_int_eq(depends_order("n1", in_chain, NULL, &order, &cycle), 0);
    ck_assert_uint_eq(order.count, CHAIN);
    ck_assert_str_eq(order.ids, "n100000");
}
END_TEST

START_TEST(a_long_circle)
{
    ck_assert_int_eq(depends_order("n1", in_chain, &order, &order, &cycle), -ELOOP);
    ck_assert_uint_lt(cycle.len, 200);
    ck_assert_ptr_nonnull(strstr(buf_str(&cycle), "n1 -> n2 -> "));
    ck_assert_ptr_nonnull(strstr(buf_str(&cycle), "… -> n1"));
}
END_TEST

START_TEST(a_list)
{
    ck_assert_ptr_null(depends_next(&order, NULL));
    ck_assert(!depends_has(&order, "a"));
    ck_assert_int_eq(depends_add(&order, "ab"), 0);
    ck_assert_int_eq(depends_add(&order, "c"), 0);
    ck_assert(depends_has(&order, "ab") && depends_has(&order, "c"));
    ck_assert(!depends_has(&order, "b") && !depends_has(&order, "a") && !depends_has(&order, ""));
    ck_assert_str_eq(ordered(), "ab c");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("depends");
    TCase *tc = tcase_create("order");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, each_behind_what_it_depends_on, 0,
                        (int)(sizeof(orders) / sizeof(orders[0])));
    tcase_add_loop_test(tc, a_circle_is_named, 0, (int)(sizeof(circles) / sizeof(circles[0])));
    tcase_add_test(tc, a_long_chain);
    tcase_add_test(tc, a_long_circle);
    tcase_add_test(tc, a_list);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
