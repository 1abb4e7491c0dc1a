// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/timer_image.c supervisor/state/journal_reader.c
 * supervisor/state/segment.c supervisor/state/record.c common/tsv.c common/buf.c common/codec.c
 * common/rpc.c common/fd_io.c common/file_store.c common/seeded_hash.c common/log.c common/clock.c
 * common/utf8.c -lxxhash */
/* schedules.tsv: what is read is what was written, and what is damaged is named by its line. */
#include "supervisor/state/timer_image.h"

#include "tests/unit/data_folder.h"

#include <check.h>
#include <errno.h>
#include <string.h>

static struct timer_image *image;
static char error[256];

static void setup(void)
{
    data_folder_make();
    image = NULL;
}

static void teardown(void)
{
    timer_image_free(image);
    data_folder_remove();
}

static void put_text(const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/" TIMER_IMAGE_FILE, data_dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static const char *columns_of(uint64_t id)
{
    struct timer_row *row;
    HASH_FIND(hh, image->rows, &id, sizeof(id), row);
    return row ? row->columns : NULL;
}

static void apply(uint64_t seq, bool is_put, uint64_t id, const char *columns)
{
    struct segment_turn turn = {.seq = seq, .object_id = span_of("a")};
    struct segment_timer timer = {.is_put = is_put, .id = id, .columns = span_of(columns)};
    ck_assert_int_eq(timer_image_apply(image, &turn, &timer, 1), 0);
}

static void load(void)
{
    ck_assert_msg(timer_image_load(&image, data_dir, error, sizeof(error)) == 0, "%s", error);
}

START_TEST(no_file_is_an_empty_one)
{
    load();
    ck_assert_uint_eq(image->seq, 0);
    ck_assert_ptr_null(image->rows);
}
END_TEST

START_TEST(written_and_read)
{
    load();
    apply(5, true, 12, "x\ty");
    apply(6, true, 3, "z");
    apply(7, true, 12, "newer\t\\t");
    apply(8, true, 13, "gone");
    apply(9, false, 13, "");
    ck_assert_uint_eq(image->oldest, 5);
    ck_assert_int_eq(timer_image_write(image, data_dir, 9), 0);
    timer_image_free(image);
    load();
    ck_assert_uint_eq(image->seq, 9);
    ck_assert_uint_eq(HASH_COUNT(image->rows), 2);
    ck_assert_str_eq(columns_of(12), "newer\t\\t");
    ck_assert_str_eq(columns_of(3), "z");
    ck_assert_uint_eq(image->rows->id, 3); /* sorted */
    ck_assert_uint_eq(image->last_id, 12);
}
END_TEST

START_TEST(what_it_has_is_not_taken_again)
{
    put_text("#objectd-schedules 1 seq=9\n1\ta\tnew\n");
    load();
    apply(9, true, 1, "old");
    apply(8, true, 2, "removed since");
    ck_assert_str_eq(columns_of(1), "new");
    ck_assert_ptr_null(columns_of(2));
    ck_assert_uint_eq(image->oldest, 0);
    apply(10, true, 1, "newest");
    ck_assert_str_eq(columns_of(1), "newest");
}
END_TEST

static const struct {
    const char *text, *why;
} damaged[] = {
    {"", ":0: it is empty"},
    {"#objectd-schedules 2 seq=9\n", ":1: it does not begin"},
    {"#objectd-schedules 1 seq=\n", ":1: malformed number"},
    {"#objectd-schedules 1 seq=9x\n", ":1: malformed number"},
    {"1\ta\tb\n", ":1: it does not begin"},
    {"#objectd-schedules 1 seq=9\n1\ta\n", ":2: no schedule"},
    {"#objectd-schedules 1 seq=9\n0\ta\tb\n", ":2: no schedule"},
    {"#objectd-schedules 1 seq=9\nx\ta\tb\n", ":2: no schedule"},
    {"#objectd-schedules 1 seq=9\n1\ta\tb\n1\ta\tc\n", ":3: the same schedule again"},
    {"#objectd-schedules 1 seq=9\n1\ta\tb\n2\ta", ":3: a line without its end"},
};

START_TEST(damage_is_named)
{
    put_text(damaged[_i].text);
    ck_assert_int_eq(timer_image_load(&image, data_dir, error, sizeof(error)), -EBADMSG);
    ck_assert_ptr_null(image);
    ck_assert_msg(strstr(error, damaged[_i].why) != NULL, "%s", error);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("timer_image");
    TCase *t = tcase_create("timer_image");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, no_file_is_an_empty_one);
    tcase_add_test(t, written_and_read);
    tcase_add_test(t, what_it_has_is_not_taken_again);
    tcase_add_loop_test(t, damage_is_named, 0, (int)(sizeof(damaged) / sizeof(damaged[0])));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
