// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/recovery.c supervisor/state/journal.c supervisor/state/journal_batch.c
 * supervisor/state/journal_segments.c supervisor/state/committer.c
 * supervisor/state/journal_reader.c supervisor/state/segment.c supervisor/state/record.c
 * supervisor/loop.c common/buf.c common/clock.c common/codec.c common/failpoint.c
 * common/json_text.c common/log.c common/rpc.c common/file_store.c common/tsv.c common/utf8.c -lxxhash -lpthread */
/*
 * A real journal, cut and damaged in every way: what comes out is always a prefix of what went in,
 * and never a shorter one than was known to be durable.
 */
#include "common/failpoint.h"
#include "data_folder.h"
#include "journal_fixture.h"

#include <errno.h>
#include <inttypes.h>

enum { TURNS_MAX = 4096 };

/* The journal as it was written: one segment in memory, and where its turns end. */
static struct {
    struct buf text;
    uint64_t first_seq;
    size_t used;            /* bytes before the unused space */
    size_t ends[TURNS_MAX]; /* offset behind each turn */
    size_t turns;
    size_t idle_line; /* where the last batch line starts, the one without records */
} original;

static uint64_t last_seen;

static int check_turn(void *arg, const struct journal_reader_turn *turn)
{
    (void)arg;
    char key[32], value[32];
    snprintf(key, sizeof(key), "key\t%" PRIu64, turn->seq);
    snprintf(value, sizeof(value), "\"%" PRIu64 "\\n\"", turn->seq * 7);
    ck_assert_uint_eq(turn->seq, last_seen + 1);
    ck_assert(span_equal(turn->object_id, "object"));
    ck_assert_uint_eq(turn->write_count, 1);
    ck_assert(span_equal(turn->writes[0].key, key));
    ck_assert(span_equal(turn->writes[0].value, value));
    last_seen = turn->seq;
    return 0;
}

static int scan(struct recovery *r)
{
    static const struct journal_reader_sink sink = {.turn = check_turn};
    last_seen = 0;
    fixture.error[0] = '\0';
    return recovery_scan(fixture.folder_fd, fixture.folder, &sink, r, fixture.error,
                         sizeof(fixture.error));
}

static void append_numbered(void)
{
    char key[32], value[32];
    uint64_t seq = journal_last(fixture.journal) + 1;
    snprintf(key, sizeof(key), "key\t%" PRIu64, seq);
    snprintf(value, sizeof(value), "\"%" PRIu64 "\\n\"", seq * 7);
    ck_assert_uint_eq(fixture_append(key, value), seq);
}

static void write_journal(unsigned batches, unsigned turns_each)
{
    fixture_open();
    for (unsigned b = 0; b < batches; b++) {
        for (unsigned t = 0; t < turns_each; t++)
            append_numbered();
        journal_flush(fixture.journal);
    }
    fixture_close(); /* the idle line comes with it */
}

static void load_original(void)
{
    original.first_seq = 1;
    original.turns = 0;
    ck_assert_int_eq(segment_load(fixture.folder_fd, 1, &original.text), 0);
    struct segment_scan s;
    segment_scan_init(&s, (struct span){original.text.data, original.text.len}, 1);
    enum segment_item item;
    size_t before = 0;
    while ((item = segment_scan_next(&s)) != SEGMENT_END) {
        if (item == SEGMENT_TURN)
            original.ends[original.turns++] = s.pos;
        else
            original.idle_line = before;
        ck_assert(item == SEGMENT_TURN || item == SEGMENT_CONTROL);
        before = s.pos;
    }
    original.used = s.pos;
    segment_scan_free(&s);
}

static void setup_one(void)
{
    fixture_setup();
    fixture.segment_size = 8 * 1024; /* written and read thousands of times */
    write_journal(5, 3);
    load_original();
    ck_assert_uint_eq(original.turns, 15);
    ck_assert_uint_lt(original.ends[14], original.used);
}

static void teardown_one(void)
{
    buf_free(&original.text);
    fixture_teardown();
}

static void put_file(const char *bytes, size_t len)
{
    data_write("journal/000000000001.tsv", bytes, len);
}

/* Turns that lie wholly before this byte. */
static size_t turns_before(size_t offset)
{
    size_t n = 0;
    while (n < original.turns && original.ends[n] <= offset)
        n++;
    return n;
}

static void expect_refusal(struct recovery *r)
{
    ck_assert_int_eq(scan(r), -EBADMSG);
    ck_assert_msg(strstr(fixture.error, "/journal/000000000001.tsv:") != NULL, "%s", fixture.error);
    ck_assert_msg(strstr(fixture.error, "durable") != NULL, "%s", fixture.error);
}

START_TEST(an_unharmed_journal_comes_back_whole)
{
    struct recovery r;
    ck_assert_msg(scan(&r) == 0, "%s", fixture.error);
    ck_assert_uint_eq(last_seen, 15);
    ck_assert_uint_eq(r.records, 15);
    ck_assert_uint_eq(r.last_seq, 15);
    ck_assert_uint_eq(r.floor_seq, 15);
    ck_assert_uint_eq(r.max_boot, 1);
    ck_assert_uint_eq(r.torn_bytes, 0);
    ck_assert_uint_eq(r.segment_count, 1);
    ck_assert_uint_eq(r.end.offset, original.used);
    recovery_free(&r);
}
END_TEST

/* Without what came after it a cut is a torn tail: nothing says that more had been durable. */
START_TEST(truncated_at_every_byte_of_the_last_three_turns)
{
    for (size_t size = original.ends[11]; size <= original.used; size++) {
        struct recovery r;
        put_file(original.text.data, size);
        ck_assert_msg(scan(&r) == 0, "at %zu: %s", size, fixture.error);
        ck_assert_uint_eq(last_seen, turns_before(size));
        if (last_seen < 15) {
            size_t kept = r.end.offset;
            ck_assert_uint_le(r.torn_bytes, size - kept);
            ck_assert_uint_ge(r.torn_bytes + 1, size - kept); /* a last newline is no loss */
            ck_assert_uint_ge(kept, original.ends[last_seen - 1]);
        }
        recovery_free(&r);
    }
}
END_TEST

/* Cut, then written on, then read: the cut must have left a clean end. */
START_TEST(a_cut_journal_goes_on)
{
    for (size_t size = original.ends[13]; size < original.ends[14]; size += 29) {
        unlinkat(fixture.folder_fd, "000000000015.tsv", 0);
        put_file(original.text.data, size);
        ck_assert_msg(fixture_recover() == 0, "%s", fixture.error);
        ck_assert_uint_eq(fixture.found.last_seq, 14);
        fixture_open();
        append_numbered();
        fixture_close();
        struct recovery r;
        ck_assert_msg(scan(&r) == 0, "%s", fixture.error);
        ck_assert_uint_eq(last_seen, 15);
        ck_assert_uint_eq(r.torn_bytes, 0);
        ck_assert_uint_eq(r.segment_count, 2);
        recovery_free(&r);
    }
}
END_TEST

/* The line written when the station went idle says that all turns were durable. */
START_TEST(every_bit_of_the_turns_counts)
{
    for (size_t at = 0; at < original.idle_line; at++) {
        /* All bits of the last three turns, one of each earlier byte. */
        int bits = at >= original.ends[11] ? 8 : 1;
        for (int i = 0; i < bits; i++) {
            int bit = bits == 8 ? i : (int)(at * 5 % 8);
            struct recovery r;
            original.text.data[at] ^= (char)(1 << bit);
            put_file(original.text.data, original.text.len);
            original.text.data[at] ^= (char)(1 << bit);
            expect_refusal(&r);
            ck_assert_uint_le(last_seen, turns_before(at));
            recovery_free(&r);
        }
    }
}
END_TEST

/* Only the idle line itself can be lost, and no turn with it. */
START_TEST(a_flip_in_the_idle_line_loses_no_turn)
{
    for (size_t bit = original.idle_line * 8; bit < (original.used + 64) * 8; bit++) {
        struct recovery r;
        original.text.data[bit / 8] ^= (char)(1 << bit % 8);
        put_file(original.text.data, original.text.len);
        original.text.data[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert_msg(scan(&r) == 0, "%s", fixture.error);
        ck_assert_uint_eq(last_seen, 15);
        ck_assert_uint_gt(r.torn_bytes, 0);
        recovery_free(&r);
    }
}
END_TEST

START_TEST(zeroed_blocks)
{
    enum { BLOCK = 512 };
    char saved[BLOCK];
    for (size_t at = 0; at < original.used; at += BLOCK) {
        struct recovery r;
        memcpy(saved, original.text.data + at, BLOCK);
        memset(original.text.data + at, 0, BLOCK);
        put_file(original.text.data, original.text.len);
        memcpy(original.text.data + at, saved, BLOCK);
        int err = scan(&r);
        /* Torn only when the block took every line that names a later durable position. */
        if (err == 0)
            ck_assert_uint_gt(at + BLOCK, original.idle_line);
        else
            ck_assert_int_eq(err, -EBADMSG);
        ck_assert_uint_le(last_seen, turns_before(at));
        recovery_free(&r);
    }
}
END_TEST

START_TEST(a_missing_block_before_the_last_batch_is_damage)
{
    struct recovery r;
    memset(original.text.data + original.ends[3], '\n', original.ends[7] - original.ends[3]);
    put_file(original.text.data, original.text.len);
    expect_refusal(&r);
    recovery_free(&r);
}
END_TEST

START_TEST(a_renamed_segment_is_not_cut)
{
    struct recovery r;
    ck_assert_int_eq(
        rename(data_path("journal/000000000001.tsv"), data_path("journal/000000000002.tsv")), 0);
    ck_assert_int_eq(scan(&r), -EBADMSG);
    ck_assert_msg(strstr(fixture.error, "another name") != NULL, "%s", fixture.error);
    recovery_free(&r);
}
END_TEST

START_TEST(an_empty_folder_and_an_empty_file)
{
    struct recovery r;
    ck_assert_int_eq(unlinkat(fixture.folder_fd, "000000000001.tsv", 0), 0);
    ck_assert_int_eq(scan(&r), 0);
    ck_assert_uint_eq(r.records, 0);
    recovery_free(&r);
    put_file("", 0);
    ck_assert_int_eq(scan(&r), 0);
    ck_assert_uint_eq(r.torn_bytes, 0);
    ck_assert_uint_eq(r.keep, 0);
    recovery_free(&r);
}
END_TEST

START_TEST(other_files_are_no_segments)
{
    struct recovery r;
    static const char *const names[] = {"journal/1.tsv",
                                        "journal/0000000000001.tsv",
                                        "journal/000000000001.tsv~",
                                        "journal/00000000000x.tsv",
                                        "journal/spare.tmp",
                                        "journal/notes.txt"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        data_write_text(names[i], "not a journal\n");
    ck_assert_msg(scan(&r) == 0, "%s", fixture.error);
    ck_assert_uint_eq(r.file_count, 1);
    ck_assert_uint_eq(r.last_seq, 15);
    recovery_free(&r);
}
END_TEST

/* --- more than one segment --- */

static uint64_t *files;
static size_t file_count;

static void setup_many(void)
{
    fixture_setup();
    write_journal(60, 20);
    write_journal(10, 3);
    ssize_t count = segment_list(fixture.folder_fd, &files);
    ck_assert_int_ge(count, 4);
    file_count = (size_t)count;
}

static void teardown_many(void)
{
    free(files);
    fixture_teardown();
}

static const char *file_name(size_t i)
{
    static char name[SEGMENT_NAME_SIZE];
    segment_name(name, files[i]);
    return name;
}

START_TEST(segments_and_starts_follow_each_other)
{
    struct recovery r;
    ck_assert_msg(scan(&r) == 0, "%s", fixture.error);
    ck_assert_uint_eq(last_seen, 1230);
    ck_assert_uint_eq(r.max_boot, 2);
    ck_assert_uint_eq(r.segment_count, file_count);
    for (size_t i = 1; i < r.segment_count; i++)
        ck_assert_uint_eq(r.segments[i].first_seq, r.segments[i - 1].last_seq + 1);
    recovery_free(&r);
}
END_TEST

START_TEST(a_missing_segment_is_damage)
{
    for (size_t i = 1; i + 1 < file_count; i++) {
        struct recovery r;
        ck_assert_int_eq(renameat(fixture.folder_fd, file_name(i), fixture.folder_fd, "away"), 0);
        ck_assert_int_eq(scan(&r), -EBADMSG);
        ck_assert_uint_eq(last_seen, files[i] - 1);
        recovery_free(&r);
        ck_assert_int_eq(renameat(fixture.folder_fd, "away", fixture.folder_fd, file_name(i)), 0);
    }
}
END_TEST

START_TEST(a_missing_first_segment_was_trimmed)
{
    struct recovery r;
    ck_assert_int_eq(unlinkat(fixture.folder_fd, file_name(0), 0), 0);
    const struct journal_reader_sink sink = {.turn = fixture_count_turn};
    fixture.replayed = 0;
    ck_assert_int_eq(recovery_scan(fixture.folder_fd, fixture.folder, &sink, &r, fixture.error,
                                   sizeof(fixture.error)),
                     0);
    ck_assert_uint_eq(r.last_seq, 1230);
    ck_assert_uint_eq(fixture.replayed, 1230 - (files[1] - 1));
    recovery_free(&r);
}
END_TEST

START_TEST(a_shortened_segment_is_damage)
{
    for (size_t i = 0; i + 1 < file_count; i++) {
        struct recovery r;
        struct buf content = BUF_INIT;
        ck_assert_int_eq(segment_load(fixture.folder_fd, files[i], &content), 0);
        char path[64];
        snprintf(path, sizeof(path), "journal/%s", file_name(i));
        data_write(path, content.data, content.len / 3);
        ck_assert_int_eq(scan(&r), -EBADMSG);
        recovery_free(&r);
        data_write(path, content.data, content.len);
        buf_free(&content);
    }
}
END_TEST

START_TEST(the_reader_yields_exactly_the_range)
{
    static const struct journal_reader_sink sink = {.turn = check_turn};
    for (uint64_t after = 0; after < 1230; after += 111) {
        uint64_t upto = after + 200 < 1230 ? after + 200 : 1230;
        last_seen = after;
        int err =
            journal_read(fixture.folder, after, upto, &sink, fixture.error, sizeof(fixture.error));
        ck_assert_msg(err == 0, "%s", fixture.error);
        ck_assert_uint_eq(last_seen, upto);
    }
    ck_assert_int_eq(journal_read(fixture.folder, 1300, 1231, &sink, fixture.error, 512), 0);
    last_seen = 1229;
    ck_assert_int_eq(journal_read(fixture.folder, 1229, 1231, &sink, fixture.error, 512), -EBADMSG);
}
END_TEST

START_TEST(the_reader_may_start_behind_what_was_trimmed)
{
    static const struct journal_reader_sink sink = {.turn = check_turn};
    ck_assert_int_eq(unlinkat(fixture.folder_fd, file_name(0), 0), 0);
    last_seen = files[1] - 1;
    ck_assert_int_eq(journal_read(fixture.folder, 0, 1230, &sink, fixture.error, 512), 0);
    ck_assert_uint_eq(last_seen, 1230);
}
END_TEST

START_TEST(the_reader_refuses_a_hole)
{
    static const struct journal_reader_sink sink = {.turn = check_turn};
    ck_assert_int_eq(unlinkat(fixture.folder_fd, file_name(2), 0), 0);
    last_seen = 0;
    ck_assert_int_eq(journal_read(fixture.folder, 0, 1230, &sink, fixture.error, 512), -EBADMSG);
    ck_assert_uint_eq(last_seen, files[2] - 1);
    ck_assert_msg(strstr(fixture.error, "missing") != NULL, "%s", fixture.error);
}
END_TEST

#ifdef OBJECTD_FAILPOINTS
START_TEST(a_cut_that_fails_says_so)
{
    static const char *const points[] = {"recovery-cut=eio", "recovery-cut-done=eio"};
    failpoint_arm(points[_i]);
    ck_assert_int_eq(fixture_recover(), -EIO);
    ck_assert_msg(strstr(fixture.error, "cannot be cut") != NULL, "%s", fixture.error);
    failpoint_arm(NULL);
    ck_assert_int_eq(fixture_recover(), 0);
}
END_TEST
#endif

static void add_case(Suite *suite, const char *name, void (*setup)(void), void (*teardown)(void),
                     const TTest *const *tests, size_t count)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
#ifdef OBJECTD_FAILPOINTS
    tcase_add_loop_test(tc, a_cut_that_fails_says_so, 0, 2);
#endif
    suite_add_tcase(suite, tc);
}

int main(void)
{
    const TTest *const one[] = {an_unharmed_journal_comes_back_whole,
                                truncated_at_every_byte_of_the_last_three_turns,
                                a_cut_journal_goes_on,
                                every_bit_of_the_turns_counts,
                                a_flip_in_the_idle_line_loses_no_turn,
                                zeroed_blocks,
                                a_missing_block_before_the_last_batch_is_damage,
                                a_renamed_segment_is_not_cut,
                                an_empty_folder_and_an_empty_file,
                                other_files_are_no_segments};
    const TTest *const many[] = {segments_and_starts_follow_each_other,
                                 a_missing_segment_is_damage,
                                 a_missing_first_segment_was_trimmed,
                                 a_shortened_segment_is_damage,
                                 the_reader_yields_exactly_the_range,
                                 the_reader_may_start_behind_what_was_trimmed,
                                 the_reader_refuses_a_hole};
    Suite *suite = suite_create("recovery");
    add_case(suite, "one segment", setup_one, teardown_one, one, sizeof(one) / sizeof(one[0]));
    add_case(suite, "many", setup_many, teardown_many, many, sizeof(many) / sizeof(many[0]));
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
