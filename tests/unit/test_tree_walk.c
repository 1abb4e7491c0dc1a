// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/tree_walk.c supervisor/scribe/scribe_rpc.c common/rpc.c common/buf.c
 * common/codec.c common/clock.c */
/* What is found in an objects folder, in which order, and what is watched. */
#include "supervisor/scribe/tree_walk.h"

#include "common/clock.h"
#include "tests/unit/data_folder.h"

#include <errno.h>

static int inotify_fd;
static char told[8192];
static unsigned batches, steps;

static void set_up(void)
{
    data_folder_make();
    inotify_fd = inotify_init1(IN_NONBLOCK);
    ck_assert_int_ge(inotify_fd, 0);
    told[0] = '\0';
    batches = steps = 0;
}

static void tear_down(void)
{
    close(inotify_fd);
    data_folder_remove();
}

static void on_found(void *arg, uint64_t job, const struct scribe_rpc_tree_found *found)
{
    struct codec_reader r = codec_reader_of(found->entries.data, found->entries.len);
    struct scribe_rpc_tree_entry e;
    uint32_t seen = 0;
    ck_assert_ptr_eq(arg, told);
    ck_assert_uint_eq(job, 7);
    batches++;
    for (; scribe_rpc_tree_entry_next(&r, &e); seen++) {
        size_t len = strlen(told);
        snprintf(told + len, sizeof(told) - len, "%c%.*s%s ", "fdux"[e.kind], (int)e.path.len,
                 e.path.data,
                 e.error == ENOSPC ? "!"
                 : e.error         ? "?"
                                   : "");
        if (e.kind == SCRIBE_TREE_FOLDER && !e.error)
            ck_assert_int_eq(inotify_rm_watch(inotify_fd, (int)e.watch), 0); /* it is one */
    }
    ck_assert_uint_eq(seen, found->count);
    ck_assert(codec_finish(&r));
}

/* slice_ns 0: a step at a time that is over before it begins finds nothing, and loses nothing. */
static int walk(const char *prefix, uint64_t slice_ns)
{
    struct scribe_rpc_tree_scan ask = {span_of(data_dir), span_of(prefix)};
    struct tree_walk *w = tree_walk_new(&ask, dup(inotify_fd), 7, on_found, told);
    int got;
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(tree_walk_step(w, 0), 1);
    while ((got = tree_walk_step(w, clock_mono_ns() + slice_ns)) == 1)
        steps++;
    got = got ? got : (int)tree_walk_count(w);
    tree_walk_free(w);
    return got;
}

START_TEST(in_the_order_of_names_with_folders_in_their_place)
{
    data_write_text("basics_counter.py", "");
    data_write_text("basics/counter.py", "");
    data_write_text("basics/more/deep.py", "");
    data_write_text("a.py", "");
    data_write_text("z.py", "");
    ck_assert_int_eq(walk("", NS_PER_S), 8);
    ck_assert_str_eq(told, "d fa.py dbasics/ fbasics/counter.py dbasics/more/ "
                           "fbasics/more/deep.py fbasics_counter.py fz.py ");
    ck_assert_uint_eq(batches, 1);
}
END_TEST

START_TEST(only_what_can_be_an_object)
{
    data_write_text("_lib/a.py", "");
    data_write_text(".git/a.py", "");
    data_write_text("in/venv/a.py", "");
    data_write_text("_a.py", "");
    data_write_text("notes.txt", "");
    data_write_text(".py", "");
    data_write_text("in/b.py", "");
    ck_assert_int_eq(symlink("in", data_path("link")), 0);
    ck_assert_int_eq(symlink("in", data_path("folder.py")), 0); /* an object that cannot be read */
    ck_assert_int_eq(walk("", NS_PER_S), 4);
    ck_assert_str_eq(told, "d ffolder.py din/ fin/b.py ");
}
END_TEST

START_TEST(one_folder_and_what_is_below)
{
    data_write_text("x/y/a.py", "");
    data_write_text("x/b.py", "");
    data_write_text("c.py", "");
    ck_assert_int_eq(walk("x/", NS_PER_S), 4);
    ck_assert_str_eq(told, "dx/ fx/b.py dx/y/ fx/y/a.py ");
}
END_TEST

START_TEST(a_folder_that_is_gone_is_nothing)
{
    ck_assert_int_eq(walk("none/", NS_PER_S), 0);
    data_write_text("file", "");
    ck_assert_int_eq(walk("file/", NS_PER_S), 0);
    ck_assert_int_eq(symlink("file", data_path("link")), 0);
    ck_assert_int_eq(walk("link/", NS_PER_S), 0);
    ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(not_deeper_than_allowed)
{
    char path[256] = "";
    for (int i = 0; i < TREE_DEPTH_MAX + 2; i++)
        strcat(path, "d/");
    strcat(path, "a.py");
    data_write_text(path, "");
    ck_assert_int_eq(walk("", NS_PER_S), TREE_DEPTH_MAX + 2);
    ck_assert_ptr_nonnull(strstr(told, " xd/d/"));
    ck_assert_ptr_null(strstr(told, "a.py"));
    told[0] = '\0'; /* what was made folder by folder, and a walk begins below */
    ck_assert_int_eq(walk("d/d/d/", NS_PER_S), TREE_DEPTH_MAX - 1);
    ck_assert_ptr_nonnull(strstr(told, " xd/d/"));
    ck_assert_ptr_null(strstr(told, "a.py"));
}
END_TEST

START_TEST(many_in_slices_and_batches)
{
    enum { MANY = 1000 };
    for (int i = 0; i < MANY; i++) {
        char path[64];
        snprintf(path, sizeof(path), "many/with_a_name_of_some_length_%06d.py", i);
        data_write_text(path, "");
    }
    ck_assert_int_eq(walk("many/", 20000), MANY + 1);
    ck_assert_uint_gt(steps, 1);
    ck_assert_uint_gt(batches, 3);
}
END_TEST

START_TEST(what_cannot_be_watched_is_told_with_why)
{
    data_write_text("in/a.py", "");
    close(inotify_fd);
    inotify_fd = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(walk("", NS_PER_S), 3);
    ck_assert_str_eq(told, "d? din/? fin/a.py ");
}
END_TEST

START_TEST(given_up_in_the_middle)
{
    struct scribe_rpc_tree_scan ask = {span_of(data_dir), {"", 0}};
    data_write_text("in/a.py", "");
    struct tree_walk *w = tree_walk_new(&ask, dup(inotify_fd), 7, on_found, told);
    tree_walk_step(w, clock_mono_ns() + 1);
    tree_walk_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree_walk");
    TCase *tcase = tcase_create("tree_walk");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, in_the_order_of_names_with_folders_in_their_place);
    tcase_add_test(tcase, only_what_can_be_an_object);
    tcase_add_test(tcase, one_folder_and_what_is_below);
    tcase_add_test(tcase, a_folder_that_is_gone_is_nothing);
    tcase_add_test(tcase, not_deeper_than_allowed);
    tcase_add_test(tcase, many_in_slices_and_batches);
    tcase_add_test(tcase, what_cannot_be_watched_is_told_with_why);
    tcase_add_test(tcase, given_up_in_the_middle);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
