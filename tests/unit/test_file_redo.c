// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/file_redo.c supervisor/state/segment.c supervisor/state/record.c
 * common/file_store.c common/utf8.c common/rpc.c common/codec.c common/buf.c common/tsv.c -lxxhash
 */
/* Changes of files in the journal: written, read back, and what of them is done again. */
#include "supervisor/state/file_redo.h"

#include "common/clock.h"

#include <check.h>
#include <stdlib.h>
#include <utlist.h>

static struct segment_file change(enum segment_file_op op, const char *name, const char *token,
                                  uint64_t number)
{
    return (struct segment_file){op, span_of(name), span_of(token), number};
}

static void add(struct file_redo *redo, const char *object, uint64_t seq, struct segment_file file)
{
    ck_assert_int_eq(file_redo_add(redo, span_of(object), seq, &file), 0);
}

/* "object/name=token" or "object/name-", a blank between */
static void assert_left(const struct file_redo *redo, const char *expected)
{
    struct buf out = BUF_INIT;
    const struct file_redo_change *c;
    DL_FOREACH (redo->changes, c)
        buf_printf(&out, "%s%s/%s%s%s", out.len ? " " : "", c->object_id, c->name,
                   c->is_delete ? "-" : "=", c->is_delete ? "" : c->token);
    ck_assert_str_eq(buf_str(&out), expected);
    buf_free(&out);
}

START_TEST(the_last_change_of_a_name_counts)
{
    struct file_redo *redo = file_redo_new();
    add(redo, "a", 1, change(SEGMENT_FILE_PUT, "x", "t1", 5));
    add(redo, "a", 2, change(SEGMENT_FILE_DELETE, "x", "t2", 0));
    add(redo, "b", 3, change(SEGMENT_FILE_PUT, "x", "t3", 5));
    assert_left(redo, "a/x- b/x=t3");
    add(redo, "a", 4, change(SEGMENT_FILE_PUT, "x", "t4", 5));
    assert_left(redo, "b/x=t3 a/x=t4");
    file_redo_free(redo);
}
END_TEST

START_TEST(what_is_visible_is_left_out)
{
    struct file_redo *redo = file_redo_new();
    add(redo, "a", 1, change(SEGMENT_FILE_DELETE, "x", "t1", 0));
    add(redo, "a", 3, change(SEGMENT_FILE_PUT, "y", "t2", 5));
    add(redo, "b", 2, change(SEGMENT_FILE_DELETE, "x", "t3", 0));
    add(redo, "a", 5, change(SEGMENT_FILE_DONE, "", "", 2));
    assert_left(redo, "a/y=t2 b/x-");
    add(redo, "a", 6, change(SEGMENT_FILE_DONE, "", "", 3));
    assert_left(redo, "b/x-");
    file_redo_free(redo);
}
END_TEST

START_TEST(what_we_never_write_is_left_out)
{
    struct file_redo *redo = file_redo_new();
    add(redo, "a", 1, change(SEGMENT_FILE_PUT, "../x", "t1", 5));
    add(redo, "a", 2, change(SEGMENT_FILE_PUT, "x", "../t1", 5));
    add(redo, "a", 3, change(SEGMENT_FILE_DELETE, "", "t1", 0));
    assert_left(redo, "");
    file_redo_free(redo);
}
END_TEST

/* A segment with one turn in it, as the journal writes it. */
static struct buf segment_of(const struct record_turn *turn)
{
    struct buf out = BUF_INIT;
    struct record_control header = {.boot = 1, .station = {"s", 1}};
    record_put_header(&out, (struct record_stamp){1, US_PER_S}, &header);
    record_put_turn(&out, record_seeds_of(1, 1).turn, (struct record_stamp){1, US_PER_S}, turn);
    ck_assert(buf_ok(&out));
    return out;
}

START_TEST(the_journal_keeps_changes)
{
    static const char name[] = "tab\\ and \xc3\xbc.txt";
    struct buf files = BUF_INIT;
    rpc_file_encode(&files, &(struct rpc_file){RPC_FILE_PUT, span_of(name), span_of("t-1"), 77});
    rpc_file_encode(&files, &(struct rpc_file){RPC_FILE_DELETE, span_of("y"), span_of("t-2"), 0});
    struct record_turn turn = {.object_id = span_of("a"),
                               .request_id = {"", 0},
                               .writes = {"", 0},
                               .files = {2, {files.data, files.len}},
                               .files_done = 9};
    struct buf text = segment_of(&turn);
    struct segment_scan scan;
    const struct segment_file *found;
    size_t count;
    segment_scan_init(&scan, (struct span){text.data, text.len}, 1);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_CONTROL);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_TURN);
    ck_assert_int_eq(segment_scan_files(&scan, &found, &count), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert(found[0].op == SEGMENT_FILE_PUT && span_equal(found[0].name, name) &&
              span_equal(found[0].token, "t-1") && found[0].number == 77);
    ck_assert(found[1].op == SEGMENT_FILE_DELETE && span_equal(found[1].name, "y"));
    ck_assert(found[2].op == SEGMENT_FILE_DONE && found[2].number == 9);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_END);
    segment_scan_free(&scan);
    buf_free(&text);
    buf_free(&files);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file_redo");
    TCase *tcase = tcase_create("changes");
    tcase_add_test(tcase, the_last_change_of_a_name_counts);
    tcase_add_test(tcase, what_is_visible_is_left_out);
    tcase_add_test(tcase, what_we_never_write_is_left_out);
    tcase_add_test(tcase, the_journal_keeps_changes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
