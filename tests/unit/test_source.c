// SPDX-License-Identifier: Apache-2.0
/* links: common/sha256.c -lsodium */
/* The file itself is included, so that the way without openat2 is tested too. */
#include "supervisor/objects/source.c"

#include <check.h>

static char dir[] = "/tmp/objectd-source-XXXXXX";
static char inside[PATH_MAX], outside[PATH_MAX];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void setup(void)
{
    strcpy(dir, "/tmp/objectd-source-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(inside, sizeof(inside), "%s/objects", dir);
    snprintf(outside, sizeof(outside), "%s/secret.py", dir);
    ck_assert_int_eq(mkdir(inside, 0700), 0);
    write_file(outside, "secret");
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/a.py", inside);
    write_file(path, "x = 1\n");
    snprintf(path, sizeof(path), "%s/link.py", inside);
    ck_assert_int_eq(symlink("a.py", path), 0);
    snprintf(path, sizeof(path), "%s/escape.py", inside);
    ck_assert_int_eq(symlink("../secret.py", path), 0);
    snprintf(path, sizeof(path), "%s/folder.py", inside);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/pipe.py", inside);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void teardown(void)
{
    static const char *const names[] = {"a.py", "link.py", "escape.py", "pipe.py"};
    char path[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", inside, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/folder.py", inside);
    rmdir(path);
    rmdir(inside);
    unlink(outside);
    rmdir(dir);
}

static int open_err(int (*open_fn)(const char *, const char *), const char *file)
{
    int fd = open_fn(inside, file);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

START_TEST(both_ways_stay_in_the_folder)
{
    int (*ways[])(const char *, const char *) = {open_beneath, open_resolved};
    ck_assert_int_eq(open_err(ways[_i], "a.py"), 0);
    ck_assert_int_eq(open_err(ways[_i], "link.py"), 0);
    ck_assert_int_eq(open_err(ways[_i], "escape.py"), -EXDEV);
    ck_assert_int_eq(open_err(ways[_i], "../secret.py"), -EXDEV);
    ck_assert_int_eq(open_err(ways[_i], "none.py"), -ENOENT);
}
END_TEST

START_TEST(reads_with_hash_and_limit)
{
    int err;
    struct source *a = source_read(inside, "a.py", 100, &err);
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(a->text, "x = 1\n");
    struct source *same = source_read(inside, "link.py", 6, &err);
    ck_assert_ptr_nonnull(same);
    ck_assert(sha256_equal(a->hash, same->hash));
    ck_assert_ptr_null(source_read(inside, "a.py", 5, &err));
    ck_assert_int_eq(err, -EFBIG);
    ck_assert_ptr_eq(source_ref(a), a);
    source_unref(a);
    ck_assert_str_eq(a->text, "x = 1\n"); /* one reference is left */
    source_unref(a);
    source_unref(same);
    source_unref(NULL);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    int err;
    ck_assert_ptr_null(source_read(inside, "folder.py", 100, &err));
    ck_assert_int_eq(err, -EINVAL);
    ck_assert_ptr_null(source_read(inside, "pipe.py", 100, &err)); /* and does not block */
    ck_assert_int_eq(err, -EINVAL);
    ck_assert_ptr_null(source_read("/nonexistent", "a.py", 100, &err));
    ck_assert_int_eq(err, -ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("source");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, both_ways_stay_in_the_folder, 0, 2);
    tcase_add_test(tc, reads_with_hash_and_limit);
    tcase_add_test(tc, what_is_no_file_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
