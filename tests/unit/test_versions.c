// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/versions/object_file.c supervisor/versions/version_line.c
 * supervisor/versions/version_list.c supervisor/versions/version_log.c
 * supervisor/versions/version_store.c supervisor/objects/source.c supervisor/objects/history.c
 * supervisor/scribe/tail_reader.c supervisor/scribe/document.c common/sha256.c common/tsv.c
 * common/buf.c common/codec.c common/json_text.c common/json_scan.c common/utf8.c common/memfd.c
 * common/log.c common/clock.c common/failpoint.c -lsodium */
/* Histories of sources: lines of both kinds of file, a torn end, appending, reading back. */
#include "common/memfd.h"
#include "supervisor/objects/history.h"
#include "supervisor/versions/object_file.h"
#include "supervisor/versions/version_list.h"
#include "supervisor/versions/version_log.h"
#include "supervisor/versions/version_store.h"
#include "tests/unit/data_folder.h"

#include <errno.h>
#include <limits.h>

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OLD_HEADER "version_id\ttimestamp\tauthor\tmessage\thash\n"

static uint64_t append(const char *content, const char *file, int *err)
{
    uint64_t id = 0;
    bool in_objects;
    struct scribe_rpc_version_write m = {
        .object_id = span_of("a"),
        .author = span_of("ann\tb"),
        .message = span_of("line\nline"),
        .content = span_of(content),
        .wall_us = 1700000000000001,
        .objects_dir = span_of(data_dir),
        .file = span_of(file),
        .reason = {"", 0},
    };
    *err = version_store_append(data_dir, &m, &id, &in_objects);
    ck_assert(*err == 0 || id == 0);
    return id;
}

static struct history know(void)
{
    struct history h = {0};
    ck_assert_int_eq(history_know(&h, data_dir, "a"), 0);
    return h;
}

START_TEST(lines_go_out_and_come_back)
{
    struct version_columns c;
    struct version_line v;
    struct buf line = BUF_INIT;
    struct version_facts facts = {.id = 12,
                                  .wall_us = 1700000000000001,
                                  .author = {"a\tb", 3},
                                  .message = {"x\0y", 3},
                                  .hash = sha256_of("", 0),
                                  .is_rejected = true,
                                  .reason = {"no\n", 3}};
    ck_assert(version_columns_parse(&c, span_of(VERSION_HEADER)));
    version_line_put(&line, &c, &facts);
    ck_assert_str_eq(buf_str(&line),
                     "12\t1700000000.000001\ta\\tb\tx\\0y\t" EMPTY_HASH "\trejected\tno\\n\n");
    ck_assert(version_line_parse(&c, (struct span){line.data, line.len - 1}, &v));
    ck_assert_uint_eq(v.id, 12);
    ck_assert(v.has_hash && sha256_equal(v.hash, facts.hash) && !v.is_accepted);
    ck_assert(span_equal(v.field[VERSION_REASON], "no\\n"));
    buf_free(&line);
}
END_TEST

/* Another order, a column nobody knows, no status: what is appended fits all the same. */
START_TEST(columns_are_found_by_name)
{
    struct version_columns c;
    struct version_line v;
    struct buf line = BUF_INIT;
    struct version_facts facts = {.id = 3, .hash = sha256_of("", 0), .author = {"ann", 3}};
    ck_assert(version_columns_parse(&c, span_of("hash\tsize\tversion_id\tauthor")));
    ck_assert(version_line_parse(&c, span_of(EMPTY_HASH "\t99\t2\tbob"), &v));
    ck_assert(v.id == 2 && v.is_accepted && span_equal(v.field[VERSION_AUTHOR], "bob"));
    facts.is_rejected = true;
    facts.reason = span_of("why");
    version_line_put(&line, &c, &facts);
    ck_assert_str_eq(buf_str(&line), EMPTY_HASH "\t\t3\tann\trejected\twhy\n");
    ck_assert(version_line_parse(&c, (struct span){line.data, line.len - 1}, &v));
    ck_assert(!v.is_accepted && span_equal(v.field[VERSION_REASON], "why"));
    buf_free(&line);
}
END_TEST

START_TEST(what_is_no_version)
{
    static const char *const lines[] = {
        "",           "1",          ("0\t1\ta\tm\t" EMPTY_HASH),       "-1\t\t\t\tx",
        "x\t\t\t\tx", "1\t1\ta\tm", "1234567890123456789\t1\ta\tm\tx", " 1\t1\ta\tm\tx"};
    struct version_columns c;
    struct version_line v;
    version_columns_parse(&c, span_of(VERSION_HEADER));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_msg(!version_line_parse(&c, span_of(lines[i]), &v), "%s", lines[i]);
    ck_assert(!version_columns_parse(&c, span_of("1\t2\t3")) && c.count == VERSION_FIELDS);
}
END_TEST

START_TEST(versions_are_appended_and_known)
{
    int err;
    struct history h = know();
    ck_assert(h.newest == 0 && h.accepted == 0);
    ck_assert_uint_eq(append("one\n", "", &err), 1);
    ck_assert_uint_eq(append("two\n", "o.py", &err), 2);
    data_expect("versions/a/v1.txt", "one\n");
    data_expect("o.py", "two\n");
    history_forget(&h);
    h = know();
    ck_assert(h.newest == 2 && h.accepted == 2 && !h.is_rejected);
    ck_assert(sha256_equal(h.accepted_hash, sha256_of("two\n", 4)));
    struct source *s = history_source(&h, data_dir, "a", &err);
    ck_assert_str_eq(s->text, "two\n");
    source_unref(s);
    data_write_text("versions/a/v2.txt", "twq\n");
    ck_assert_ptr_null(history_source(&h, data_dir, "a", &err));
    ck_assert_int_eq(err, -EBADMSG);
    history_forget(&h);
}
END_TEST

#define HASH_OF_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

static void write_history(const char *reason_of_4)
{
    char text[1024];
    snprintf(text, sizeof(text),
             VERSION_HEADER "\n1\t1.0\tx\t\t" EMPTY_HASH "\taccepted\t\n2\t1.0\tx\t\t" EMPTY_HASH
                            "\taccepted\t\n3\t1.0\tx\t\t" HASH_OF_A
                            "\trejected\tbad\n4\t1.0\tx\t\t" EMPTY_HASH "\taccepted\t%s\n",
             reason_of_4);
    data_write_text("versions/a/metadata.tsv", text);
}

START_TEST(the_version_before_and_what_failed)
{
    int err;
    struct sha256 a = sha256_of("a", 1), b = sha256_of("b", 1);
    append("one\n", "", &err); /* makes the folder */
    write_history("");
    struct history h = know();
    ck_assert(h.newest == 4 && h.accepted == 4 && h.previous == 2);
    ck_assert(!history_rejects(&h, a)); /* the newest is no rejected one */
    history_add(&h, 5, a, "bad");
    ck_assert(h.accepted == 4 && h.previous == 2 && history_rejects(&h, a));
    history_add(&h, 6, b, NULL);
    ck_assert(h.accepted == 6 && h.previous == 4 && !history_rejects(&h, a));
    history_ban(&h, a);
    ck_assert(history_rejects(&h, a) && !history_rejects(&h, b) && !history_is_rejected(&h));
    history_add(&h, 7, a, NULL); /* deployed all the same */
    ck_assert(!history_rejects(&h, a));
    history_forget(&h);
    write_history(HISTORY_REJECTS HASH_OF_A ": 4 of 4 calls failed");
    h = know();
    ck_assert(h.accepted == 4 && h.previous == 2 && history_rejects(&h, a));
    history_forget(&h);
    static const char *const other[] = {HISTORY_REJECTS, HISTORY_REJECTS "abc",
                                        "rejected " HASH_OF_A, HISTORY_REJECTS "x" HASH_OF_A};
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        write_history(other[i]);
        h = know();
        ck_assert(h.accepted == 4 && !history_rejects(&h, a));
        history_forget(&h);
    }
}
END_TEST

/* A crash in the middle of a line, at every byte. */
START_TEST(a_torn_line_is_cut_off)
{
    int err;
    append("one\n", "", &err);
    append("two\n", "", &err);
    char *whole = data_read("versions/a/metadata.tsv");
    char *last = strstr(whole, "\n2\t") + 1;
    for (size_t cut = 1; cut < strlen(last); cut++) {
        char *torn = strndup(whole, (size_t)(last - whole) + cut);
        data_write_text("versions/a/metadata.tsv", torn);
        struct history h = know();
        ck_assert_msg(h.newest == 1, "%zu: %llu", cut, (unsigned long long)h.newest);
        history_forget(&h);
        free(torn);
    }
    ck_assert_uint_eq(append("three\n", "", &err), 2);
    data_expect("versions/a/v2.txt", "three\n");
    struct history h = know();
    ck_assert(h.newest == 2 && sha256_equal(h.newest_hash, sha256_of("three\n", 6)));
    history_forget(&h);
    free(whole);
}
END_TEST

START_TEST(the_earlier_system_left_the_newline_out)
{
    int err;
    data_write_text("versions/a/metadata.tsv", OLD_HEADER "1\tlately\td\tm\t" EMPTY_HASH);
    data_write_text("versions/a/v1.txt", "");
    struct history h = know();
    ck_assert(h.newest == 1 && h.accepted == 1);
    ck_assert_uint_eq(append("two\n", "", &err), 2);
    char *text = data_read("versions/a/metadata.tsv");
    ck_assert_ptr_nonnull(strstr(text, EMPTY_HASH "\n2\t"));
    free(text);
    history_forget(&h);
    h = know();
    ck_assert(h.newest == 2 && h.accepted == 2);
    history_forget(&h);
}
END_TEST

START_TEST(nothing_changes_when_a_step_fails)
{
    int err;
    append("one\n", "o.py", &err);
    char *before = data_read("versions/a/metadata.tsv");
    ck_assert_uint_eq(append("two\n", "no/such/folder.py", &err), 0);
    ck_assert_int_eq(err, -ENOENT);
    ck_assert_uint_eq(append("two\n", "../out.py", &err), 0);
    ck_assert_int_eq(err, -EXDEV);
    data_expect("versions/a/metadata.tsv", before);
    data_expect("o.py", "one\n");
    free(before);
    ck_assert_uint_eq(append("two\n", "o.py", &err), 2);
}
END_TEST

START_TEST(a_file_is_replaced_as_expected)
{
    struct sha256 none = {0}, old = sha256_of("old", 3);
    data_write_text("f/o.py", "old");
    struct span text = span_of("new");
    ck_assert_int_eq(object_file_write(data_dir, "f/o.py", text, OBJECT_FILE_NONE, none), -EEXIST);
    ck_assert_int_eq(object_file_write(data_dir, "f/o.py", text, OBJECT_FILE_HASH, none), -ESTALE);
    data_expect("f/o.py", "old");
    ck_assert_int_eq(object_file_write(data_dir, "f/o.py", text, OBJECT_FILE_HASH, old), 0);
    data_expect("f/o.py", "new");
    /* again, as after the death of whoever wrote it: it is there already */
    ck_assert_int_eq(object_file_write(data_dir, "f/o.py", text, OBJECT_FILE_HASH, old), 0);
    ck_assert_int_eq(object_file_write(data_dir, "f/new.py", text, OBJECT_FILE_NONE, none), 0);
    static const char *const bad[] = {"", "/o.py", "f//o.py", "f/../o.py", "./o.py", "f/", ".."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(object_file_write(data_dir, bad[i], text, OBJECT_FILE_ANY, none), -EXDEV);
}
END_TEST

START_TEST(links_among_the_folders_are_refused)
{
    char target[PATH_MAX], link[PATH_MAX + 8];
    snprintf(target, sizeof(target), "%s/real", data_dir);
    snprintf(link, sizeof(link), "%s/link", data_dir);
    data_write_text("real/o.py", "old");
    ck_assert_int_eq(symlink(target, link), 0);
    ck_assert_int_eq(object_file_write(data_dir, "link/o.py", span_of("new"), OBJECT_FILE_ANY,
                                       (struct sha256){0}),
                     -EXDEV);
    data_expect("real/o.py", "old");
    unlink(link);
}
END_TEST

static char *document(int fd, const uint64_t *size)
{
    ck_assert_int_ge(fd, 0);
    char *text = calloc(1, *size + 1);
    ck_assert_int_eq(memfd_read(fd, text, *size), 0);
    close(fd);
    return text;
}

START_TEST(pages_and_single_versions)
{
    int err;
    uint64_t size;
    for (int i = 0; i < 5; i++)
        append("x\n", "", &err);
    struct scribe_rpc_version_list page = {span_of("a"), 2, 1, 5};
    char *text = document(version_list(data_dir, &page, &size), &size);
    ck_assert_ptr_nonnull(strstr(text, "\"version_id\":3,\"timestamp\":1700000000.000001"));
    ck_assert_ptr_nonnull(strstr(text, "\"version_id\":2"));
    ck_assert_ptr_nonnull(strstr(text, "\"author\":\"ann\\tb\""));
    ck_assert_ptr_nonnull(strstr(text, "],\"count\":2}"));
    free(text);
    struct scribe_rpc_version_read bare = {span_of("a"), 4, 1}, never = {span_of("a"), 6, 0};
    text = document(version_show(data_dir, &bare, &size), &size);
    ck_assert_str_eq(text, "x\n");
    free(text);
    ck_assert_int_eq(version_show(data_dir, &never, &size), -ENOENT);
    never.object_id = span_of("nobody");
    ck_assert_int_eq(version_show(data_dir, &never, &size), -ENOENT);
    never.object_id = span_of("../a");
    ck_assert_int_eq(version_show(data_dir, &never, &size), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("versions");
    TCase *lines = tcase_create("lines"), *files = tcase_create("files");
    tcase_add_test(lines, lines_go_out_and_come_back);
    tcase_add_test(lines, columns_are_found_by_name);
    tcase_add_test(lines, what_is_no_version);
    suite_add_tcase(suite, lines);
    tcase_add_checked_fixture(files, data_folder_make, data_folder_remove);
    tcase_set_timeout(files, 60);
    tcase_add_test(files, versions_are_appended_and_known);
    tcase_add_test(files, the_version_before_and_what_failed);
    tcase_add_test(files, a_torn_line_is_cut_off);
    tcase_add_test(files, the_earlier_system_left_the_newline_out);
    tcase_add_test(files, nothing_changes_when_a_step_fails);
    tcase_add_test(files, a_file_is_replaced_as_expected);
    tcase_add_test(files, links_among_the_folders_are_refused);
    tcase_add_test(files, pages_and_single_versions);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
