// SPDX-License-Identifier: Apache-2.0
/* links: common/state_file.c common/tsv.c common/buf.c common/codec.c common/json_text.c
 * common/utf8.c */
/* Checkpoint files: written and read back, those of the earlier system, and damaged ones. */
#include "common/state_file.h"
#include "tests/unit/data_folder.h"

#include <errno.h>

static struct state_file file;
static struct state_file_entry entry;
static int fd = -1;

static void set_up(void)
{
    data_folder_make();
}

static void tear_down(void)
{
    state_file_close(&file);
    close(fd);
    data_folder_remove();
}

static int open_bytes(const char *bytes, size_t len)
{
    data_write("state.tsv", bytes, len);
    fd = data_open("state.tsv");
    return state_file_open(&file, fd);
}

static int open_text(const char *text)
{
    return open_bytes(text, strlen(text));
}

static void expect(const char *key, const char *value, const char *timestamp)
{
    ck_assert_int_eq(state_file_next(&file, &entry), 1);
    ck_assert_msg(span_equal(entry.key, key), "key %.*s", (int)entry.key.len, entry.key.data);
    ck_assert_msg(span_equal(entry.value, value), "value %.*s of %s", (int)entry.value.len,
                  entry.value.data, key);
    ck_assert(span_equal(entry.timestamp, timestamp));
}

static struct state_file_writer begin_write(uint64_t watermark)
{
    struct state_file_writer w;
    fd = open(data_path("state.tsv"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    state_file_write_begin(&w, fd, watermark);
    return w;
}

START_TEST(reads_what_it_wrote)
{
    struct state_file_writer w = begin_write(18446744073709551615ull);
    state_file_write_entry(&w, span_of("a"), span_of("1"), span_of("1.000000"));
    state_file_write_entry(&w, span_of("b"), span_of("\"x\\ny\""), span_of("2.000000"));
    state_file_write_entry(&w, span_of("gone"), span_of(""), span_of("3.000000"));
    ck_assert_int_eq(state_file_write_end(&w), 0);
    data_expect("state.tsv", "#objectd-state 1 seq=18446744073709551615\na\t1\t1.000000\n"
                             "b\t\"x\\\\ny\"\t2.000000\ngone\t\t3.000000\n");
    ck_assert_int_eq(state_file_open(&file, fd), 0);
    ck_assert(!file.is_legacy);
    ck_assert_uint_eq(file.watermark, 18446744073709551615ull);
    expect("a", "1", "1.000000");
    expect("b", "\"x\\ny\"", "2.000000");
    ck_assert(!entry.is_tombstone);
    expect("gone", "", "3.000000");
    ck_assert(entry.is_tombstone);
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
}
END_TEST

START_TEST(every_character_in_a_key)
{
    struct state_file_writer w = begin_write(1);
    char key[2] = "k";
    for (int c = 0; c < 128; c++) {
        key[1] = (char)c;
        state_file_write_entry(&w, (struct span){key, 2}, span_of("null"), span_of("1"));
    }
    ck_assert_int_eq(state_file_write_end(&w), 0);
    ck_assert_int_eq(state_file_open(&file, fd), 0);
    for (int c = 0; c < 128; c++) {
        ck_assert_int_eq(state_file_next(&file, &entry), 1);
        ck_assert_uint_eq(entry.key.len, 2);
        ck_assert_int_eq(entry.key.data[1], c);
    }
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
}
END_TEST

START_TEST(many_keys_and_long_values)
{
    enum { KEYS = 100000, LONG = 3000000 };
    char key[32], *big = malloc(LONG);
    memset(big, '7', LONG);
    struct state_file_writer w = begin_write(5);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key%07d\t", i);
        struct span value = i == KEYS / 2 ? (struct span){big, LONG} : span_of(key + 3);
        state_file_write_entry(&w, span_of(key), value, span_of("1"));
    }
    ck_assert_int_eq(state_file_write_end(&w), 0);
    ck_assert_uint_eq(w.entries, KEYS);
    ck_assert_int_eq(state_file_open(&file, fd), 0);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key%07d\t", i);
        ck_assert_int_eq(state_file_next(&file, &entry), 1);
        ck_assert(span_equal(entry.key, key));
        if (i == KEYS / 2)
            ck_assert(entry.value.len == LONG && memcmp(entry.value.data, big, LONG) == 0);
        else
            ck_assert(span_equal(entry.value, key + 3));
    }
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
    ck_assert_uint_eq(file.line, KEYS + 1);
    free(big);
}
END_TEST

START_TEST(further_columns_and_words_are_ignored)
{
    ck_assert_int_eq(open_text("#objectd-state 1 seq=7 later=1\na\t1\t2\tstation\tmore\n"), 0);
    ck_assert_uint_eq(file.watermark, 7);
    expect("a", "1", "2");
}
END_TEST

START_TEST(legacy_file)
{
    ck_assert_int_eq(open_text("key\tvalue\ttimestamp\ncount\t42\t1700000000.5\n"
                               "name\tAda \"x\"\\tL\t1700000001\n\nempty\t\t1\nbare\ttrue\r\n"
                               "last\t1.5\t9"),
                     0);
    ck_assert(file.is_legacy);
    ck_assert_uint_eq(file.watermark, 0);
    expect("count", "42", "1700000000.5");
    expect("name", "\"Ada \\\"x\\\"\\tL\"", "1700000001");
    expect("empty", "\"\"", "1");
    ck_assert(!entry.is_tombstone);
    expect("bare", "\"true\"", "");
    expect("last", "1.5", "9");
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
}
END_TEST

START_TEST(legacy_file_without_header)
{
    ck_assert_int_eq(open_text("z\t1\n#a\t-2\n"), 0);
    ck_assert(file.is_legacy);
    expect("z", "1", "");
    expect("#a", "-2", "");
    ck_assert_uint_eq(file.line, 2);
}
END_TEST

START_TEST(a_first_line_without_end_is_not_read_to_its_end)
{
    enum { SIZE = 4 << 20 };
    static const char ours[] = "#objectd-state 1 seq=7 ";
    char *bytes = malloc(SIZE);
    memset(bytes, 'x', SIZE);
    ck_assert_int_eq(open_bytes(bytes, SIZE), 0);
    ck_assert(file.is_legacy && file.end < SIZE / 4);
    state_file_close(&file);
    close(fd);
    memcpy(bytes, ours, strlen(ours));
    ck_assert_int_eq(open_bytes(bytes, SIZE), -EBADMSG);
    ck_assert(file.end < SIZE / 4 && file.line == 1);
    ck_assert_str_eq(file.error, "line too long");
    free(bytes);
}
END_TEST

START_TEST(empty_file_has_no_entries)
{
    ck_assert_int_eq(open_text(""), 0);
    ck_assert(file.is_legacy);
    ck_assert_int_eq(state_file_next(&file, &entry), 0);
}
END_TEST

static const struct {
    const char *text;
    bool is_number;
} numbers[] = {
    {"0", true},
    {"-1", true},
    {"42", true},
    {"123456789012345678901234567890", true},
    {"1.5", true},
    {"-0.25", true},
    {"0.0", true},
    {"100.0", true},
    {"1e+16", true},
    {"1e-05", true},
    {"0.0001", true},
    {"1.7976931348623157e+308", true},
    {"5e-324", true},
    {"0.1", true},
    {"0.30000000000000004", true},
    {"1234567890.123456", true},
    {"9007199254740993.0", false},
    {"", false},
    {"-", false},
    {"-0", false},
    {"007", false},
    {"1.50", false},
    {"1.", false},
    {".5", false},
    {"+1", false},
    {"1e5", false},
    {"1E+16", false},
    {"1e16", false},
    {"0x10", false},
    {"1_000", false},
    {" 1", false},
    {"1 ", false},
    {"NaN", false},
    {"inf", false},
    {"Infinity", false},
    {"1e+999", false},
    {"1,5", false},
    {"0.00001", false},
    {"-0.0", true},
    {"12345678901234567.0", false},
};

START_TEST(which_text_is_a_number)
{
    const char *text = numbers[_i].text;
    ck_assert_msg(state_file_is_number(text, strlen(text)) == numbers[_i].is_number, "%s", text);
}
END_TEST

static const struct {
    const char *text;
    uint64_t line;
    const char *error;
} damaged[] = {
    {"#objectd-state 1 seq=7", 1, "cut off"},
    {"#objectd-state 2 seq=7\n", 1, "not a version of this file that is known here"},
    {"#objectd-state 1 seq=\n", 1, "not a version of this file that is known here"},
    {"#objectd-state 1 seq=x\n", 1, "malformed sequence number"},
    {"#objectd-state 1 seq=7x\n", 1, "malformed sequence number"},
    {"#objectd-state 1 seq=18446744073709551616\n", 1, "sequence number out of range"},
    {"#objectd-state 1 seq=7\na\t1\t2\nb\t1", 3, "cut off"},
    {"#objectd-state 1 seq=7\na\t1\t2\nb\t1\t3", 3, "cut off"},
    {"#objectd-state 1 seq=7\na\n", 2, "no value column"},
    {"#objectd-state 1 seq=7\n\n", 2, "no value column"},
    {"#objectd-state 1 seq=7\na\t1\n", 2, "no timestamp column"},
    {"#objectd-state 1 seq=7\n\t1\t2\n", 2, "empty key"},
    {"#objectd-state 1 seq=7\na\xff\t1\t2\n", 2, "not UTF-8"},
    {"#objectd-state 1 seq=7\na\t1\t2\r\n", 2, "unescaped NUL or carriage return"},
    {"a\t1\t2\nb\n", 2, "no value column"},
    {"a\t\xc3\t2\n", 1, "not UTF-8"},
};

START_TEST(damage_is_named_with_its_line)
{
    int got = open_text(damaged[_i].text);
    while (got == 0 || got == 1)
        if ((got = state_file_next(&file, &entry)) == 0)
            break;
    ck_assert_int_eq(got, -EBADMSG);
    ck_assert_uint_eq(file.line, damaged[_i].line);
    ck_assert_str_eq(file.error, damaged[_i].error);
}
END_TEST

START_TEST(zeroed_block_is_damage)
{
    char text[] = "#objectd-state 1 seq=7\na\t\"xxxxxxxx\"\t2\n";
    memset(text + 28, 0, 4);
    ck_assert_int_eq(open_bytes(text, sizeof(text) - 1), 0);
    ck_assert_int_eq(state_file_next(&file, &entry), -EBADMSG);
    ck_assert_uint_eq(file.line, 2);
}
END_TEST

START_TEST(goes_on_behind_a_bad_line)
{
    ck_assert_int_eq(open_text("#objectd-state 1 seq=7\nbad\nb\t1\t2\n"), 0);
    ck_assert_int_eq(state_file_next(&file, &entry), -EBADMSG);
    expect("b", "1", "2");
}
END_TEST

START_TEST(truncated_anywhere_never_invents)
{
    static const char whole[] = "#objectd-state 1 seq=7\nalpha\t\"a\\\\n\"\t2\nbeta\t22\t3\n";
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        int got = open_bytes(whole, len), entries = 0;
        while (got == 0 && (got = state_file_next(&file, &entry)) == 1) {
            got = 0;
            entries++;
            if (file.is_legacy) /* the first line itself was cut to something else */
                continue;
            ck_assert(span_equal(entry.value, "\"a\\n\"") || span_equal(entry.value, "22"));
        }
        bool at_line_end = len > 0 && whole[len - 1] == '\n';
        if (len > strlen("#objectd-state "))
            ck_assert_msg((got == 0) == at_line_end, "cut at %zu: %d", len, got);
        ck_assert_int_le(entries, 2);
        state_file_close(&file);
        close(fd);
    }
    open_text("");
}
END_TEST

START_TEST(write_error_is_reported)
{
    struct state_file_writer w;
    fd = open("/dev/full", O_WRONLY);
    state_file_write_begin(&w, fd, 1);
    ck_assert_int_eq(state_file_write_end(&w), -ENOSPC);
}
END_TEST

START_TEST(timestamp_has_six_decimals)
{
    char text[STATE_FILE_TIMESTAMP_SIZE];
    ck_assert_uint_eq(state_file_timestamp(1700000000000042ull, text), strlen(text));
    ck_assert_str_eq(text, "1700000000.000042");
    state_file_timestamp(UINT64_MAX, text);
    ck_assert_str_eq(text, "18446744073709.551615");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_file");
    TCase *tcase = tcase_create("state_file");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, reads_what_it_wrote);
    tcase_add_test(tcase, every_character_in_a_key);
    tcase_add_test(tcase, many_keys_and_long_values);
    tcase_add_test(tcase, further_columns_and_words_are_ignored);
    tcase_add_test(tcase, legacy_file);
    tcase_add_test(tcase, legacy_file_without_header);
    tcase_add_test(tcase, a_first_line_without_end_is_not_read_to_its_end);
    tcase_add_test(tcase, empty_file_has_no_entries);
    tcase_add_loop_test(tcase, which_text_is_a_number, 0, sizeof(numbers) / sizeof(numbers[0]));
    tcase_add_loop_test(tcase, damage_is_named_with_its_line, 0,
                        sizeof(damaged) / sizeof(damaged[0]));
    tcase_add_test(tcase, zeroed_block_is_damage);
    tcase_add_test(tcase, goes_on_behind_a_bad_line);
    tcase_add_test(tcase, truncated_anywhere_never_invents);
    tcase_add_test(tcase, write_error_is_reported);
    tcase_add_test(tcase, timestamp_has_six_decimals);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
