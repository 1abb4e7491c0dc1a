// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/similar.c supervisor/objects/object.c supervisor/objects/object_index.c
 */
/* The distance between two ids. Which objects are offered is seen at a running station. */
#include "supervisor/objects/similar.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *a, *b;
    unsigned distance;
} pairs[] = {
    {"", "", 0},
    {"a", "", 1},
    {"", "abcd", 4},
    {"hello", "hello", 0},
    {"hello", "HELLO", 0},
    {"helo", "hello", 1},
    {"helllo", "hello", 1},
    {"hallo", "hello", 1},
    {"hlelo", "hello", 1},
    {"ehllo", "hello", 1},
    {"helol", "hello", 1},
    {"kitten", "sitting", 3},
    {"counter", "countre", 1},
    {"user_profile", "user_porfile", 1},
    {"user_profile", "userprofile", 1},
    {"user_profile", "usr_profle", 2},
    {"abcd", "efgh", 4},
};

START_TEST(distance)
{
    struct span a = span_of(pairs[_i].a), b = span_of(pairs[_i].b);
    for (unsigned most = 0; most <= 4; most++) {
        unsigned expected = pairs[_i].distance <= most ? pairs[_i].distance : most + 1;
        ck_assert_uint_eq(similar_distance(a, b, most), expected);
        ck_assert_uint_eq(similar_distance(b, a, most), expected);
    }
}
END_TEST

/* The whole table, as the textbook has it. */
static unsigned plain_distance(const char *a, const char *b)
{
    unsigned d[32][32];
    size_t m = strlen(a), n = strlen(b);
    for (size_t i = 0; i <= m; i++)
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[m][n];
}

static void random_id(char *id)
{
    size_t len = (size_t)rand() % 12;
    for (size_t i = 0; i < len; i++)
        id[i] = (char)('a' + rand() % 3);
    id[len] = '\0';
}

START_TEST(same_as_the_textbook)
{
    char a[16], b[16];
    srand(1);
    for (int i = 0; i < 50000; i++) {
        unsigned most = (unsigned)rand() % 5;
        random_id(a);
        random_id(b);
        unsigned expected = plain_distance(a, b);
        ck_assert_uint_eq(similar_distance(span_of(a), span_of(b), most),
                          expected <= most ? expected : most + 1);
    }
}
END_TEST

START_TEST(longest_ids)
{
    char a[OBJECT_ID_MAX + 2], b[OBJECT_ID_MAX + 2];
    memset(a, 'a', sizeof(a));
    memset(b, 'a', sizeof(b));
    b[100] = 'b';
    ck_assert_uint_eq(
        similar_distance((struct span){a, OBJECT_ID_MAX}, (struct span){b, OBJECT_ID_MAX}, 4), 1);
    ck_assert_uint_eq(similar_distance((struct span){a, OBJECT_ID_MAX + 1},
                                       (struct span){b, OBJECT_ID_MAX + 1}, 4),
                      5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("similar");
    TCase *t = tcase_create("similar");
    tcase_add_loop_test(t, distance, 0, sizeof(pairs) / sizeof(pairs[0]));
    tcase_add_test(t, same_as_the_textbook);
    tcase_add_test(t, longest_ids);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
