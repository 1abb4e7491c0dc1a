// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/crashes/crash_id.c supervisor/crashes/crash_text.c
 * supervisor/crashes/crash_stacks.c common/json_scan.c common/buf.c common/codec.c common/utf8.c */
#include "common/stack_marks.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/crashes/crash_stacks.h"
#include "supervisor/crashes/crash_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ID "20261122-022344-1-0000002a"

/* --- ids --- */

START_TEST(ids)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {ID, true},
        {"20261122-022344-ffffffffffffffff-ffffffffffffffff", true},
        {"", false},
        {"..", false},
        {"20261122-022344-1-", false},
        {"20261122-022344--2a", false},
        {"20261122-02234-1-2a", false},
        {"20261122-0223444-1-2a", false},
        {"20261122-022344-1-2A", false},
        {"20261122-022344-1-2g", false},
        {"20261122-022344-1-2a ", false},
        {"20261122-022344-1-2a-", false},
        {"20261122-022344-1-2a/", false},
        {"20261122-022344-11111111111111111-2a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(crash_id_valid(rows[i].text, strlen(rows[i].text)) == rows[i].valid, "%s",
                      rows[i].text);
    ck_assert(!crash_id_valid(ID "\0x", sizeof(ID) + 1));
    ck_assert(!crash_id_valid("2026\0", 5));
}
END_TEST

START_TEST(made_ids_are_valid_and_sort)
{
    char id[CRASH_ID_SIZE], later[CRASH_ID_SIZE], name[CRASH_NAME_SIZE], back[CRASH_ID_SIZE];
    crash_id_make(id, 1763778224000000ull, 1, 0x2a);
    ck_assert_str_eq(id, "20251122-022344-1-0000002a");
    crash_id_make(later, 1763778224000000ull, 1, 0x100);
    ck_assert_int_lt(crash_id_compare(id, later), 0);
    crash_id_make(later, 1763778225000000ull, 1, 1);
    ck_assert_int_lt(crash_id_compare(id, later), 0);
    ck_assert(crash_id_valid(later, strlen(later)));
    crash_id_file(later, name);
    ck_assert(crash_id_of_file(name, back));
    ck_assert_str_eq(back, later);
    ck_assert(!crash_id_of_file(".json", back));
    ck_assert(!crash_id_of_file("notes.txt", back));
    ck_assert(!crash_id_of_file(ID, back));
    ck_assert(!crash_id_of_file(ID ".json.new", back));
}
END_TEST

START_TEST(a_later_boot_is_later)
{
    char now[CRASH_ID_SIZE], then[CRASH_ID_SIZE], now_file[CRASH_NAME_SIZE],
        then_file[CRASH_NAME_SIZE];
    crash_id_make(then, 1763778224000000ull, 9, 0x2a);
    crash_id_make(now, 1763770000000000ull, 10, 3); /* the clock was set back in between */
    ck_assert_int_lt(crash_id_compare(then, now), 0);
    crash_id_file(now, now_file);
    crash_id_file(then, then_file);
    ck_assert_int_gt(crash_id_compare(now_file, then_file), 0);
    ck_assert_int_eq(crash_id_compare(now, now), 0);
}
END_TEST

/* --- the text of a report --- */

static struct span span_of_text(const char *text)
{
    return (struct span){text, strlen(text)};
}

START_TEST(reports)
{
    static const struct {
        const char *text;
        bool is_sound;
        const char *head; /* NULL: none */
    } rows[] = {
        {"{\"crash_id\":\"" ID "\",\"a\":1,\n\"b\":2}\n", true,
         "{\"crash_id\":\"" ID "\",\"a\":1}"},
        {"{\"crash_id\":\"" ID "\",\"a\":1}", true, NULL},
        {"{\"crash_id\":\"" ID "\",\"a\":1,\n\"b\":", false, "{\"crash_id\":\"" ID "\",\"a\":1}"},
        {"{\"crash_id\":\"" ID "\",\"a\":,\n\"b\":2}", false, NULL},
        {"{\"crash_id\":\"other\",\"a\":1,\n\"b\":2}", false, NULL},
        {"\n", false, NULL},
        {",\n", false, NULL},
        {"", false, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf text = BUF_INIT;
        buf_puts(&text, rows[i].text);
        ck_assert_int_eq(crash_text_is_sound(span_of_text(rows[i].text), ID), rows[i].is_sound);
        ck_assert_int_eq(crash_text_take_head(&text, ID), rows[i].head != NULL);
        if (rows[i].head)
            ck_assert_str_eq(buf_str(&text), rows[i].head);
        buf_free(&text);
    }
}
END_TEST

/* --- stacks --- */

#define C(pid)      STACK_MARK_C pid STACK_MARK_TAIL
#define PYTHON(pid) STACK_MARK_PYTHON pid STACK_MARK_TAIL
#define END(pid)    STACK_MARK_END pid STACK_MARK_TAIL

START_TEST(stacks)
{
    static const struct {
        const char *text, *c, *python;
        bool has_ended;
    } rows[] = {
        {"", "", "", false},
        {"only words\n", "", "", false},
        {"words\n" C("7") "frame\n" PYTHON("7") "line\n", "frame\n", "line\n", false},
        {C("7") "frame\n" PYTHON("7") "line\n" END("7") "words\n", "frame\n", "line\n", true},
        {C("7") "old\n" PYTHON("7") "old\n" END("7") C("7") "new\n" PYTHON("7") "line\n", "new\n",
         "line\n", false},
        {C("7") "frame\n", "frame\n", "", false},
        {C("7") "frame\n" END("7"), "frame\n", "", true},
        {PYTHON("7") "line\n" END("7"), "", "", false},
        {C("8") "a child's\n" PYTHON("8") "line\n" END("8"), "", "", false},
        {C("77") "another's\n", "", "", false},
        {C("7") "frame\n" C("8") "a child's\n" PYTHON("7") "line\n", "frame\n" C("8") "a child's\n",
         "line\n", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct crash_stacks s = crash_stacks_find(span_of_text(rows[i].text), 7);
        ck_assert_msg(span_equal(s.c, rows[i].c), "row %zu: C %.*s", i, (int)s.c.len, s.c.data);
        ck_assert_msg(span_equal(s.python, rows[i].python), "row %zu: Python", i);
        ck_assert_int_eq(s.has_ended, rows[i].has_ended);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crash_text");
    TCase *tc = tcase_create("text");
    tcase_add_test(tc, ids);
    tcase_add_test(tc, made_ids_are_valid_and_sort);
    tcase_add_test(tc, a_later_boot_is_later);
    tcase_add_test(tc, reports);
    tcase_add_test(tc, stacks);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
