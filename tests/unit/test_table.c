// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/ctl/table.c supervisor/ctl/printable.c common/buf.c common/utf8.c -ljansson */
/* Tables of objectctl: columns line up, and nothing reaches the terminal that could steer it. */
#include "supervisor/ctl/printable.h"
#include "supervisor/ctl/table.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;

static const struct {
    const char *given, *printed;
    size_t len; /* 0: strlen(given) */
} texts[] = {
    {"plain", "plain", 0},
    {"zwölf €", "zwölf €", 0},
    {"two\nlines\tand\r", "two\\nlines\\tand\\r", 0},
    {"\033[2J", "\\x1b[2J", 0},
    {"a\0b", "a\\x00b", 3},
    {"\x7f", "\\x7f", 0},
    {"\xc2\x9b"
     "1m",
     "\\x9b1m", 0}, /* CSI as one character */
    {"\xc2\xa0", "\xc2\xa0", 0},
    {"\xff\xc3", "\\xff\\xc3", 0},
    {"\xe2\x80\xaegnp.exe", "\\u202egnp.exe", 0}, /* turns the direction of writing */
    {"\xef\xbb\xbf", "\\ufeff", 0},
    {"", "", 0},
};

START_TEST(text_is_printable)
{
    FILE *out = open_memstream(&text, &size);
    printable_put(out, texts[_i].given, texts[_i].len ? texts[_i].len : strlen(texts[_i].given));
    fclose(out);
    ck_assert_str_eq(text, texts[_i].printed);
    free(text);
}
END_TEST

START_TEST(columns_line_up)
{
    struct table *table = table_new((const char *[]){"ID", "STATE", "FILE"}, 3);
    table_add(table, (const char *[]){"grün", NULL, "a.py"});
    table_add(table, (const char *[]){"x\n", "serving", ""});
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, 1, 0);
    fclose(out);
    ck_assert_str_eq(text, " ID    STATE    FILE\n"
                           " grün           a.py\n"
                           " x\\n   serving  \n");
    free(text);
    table_free(table);
}
END_TEST

/* Characters of two columns, and of none. */
START_TEST(widths_are_those_of_the_terminal)
{
    struct table *table = table_new((const char *[]){"A", "B"}, 2);
    table_add(table, (const char *[]){"日本", "x"});
    table_add(table, (const char *[]){"e\xcc\x81", "y"});
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, 0, 0);
    fclose(out);
    ck_assert_str_eq(text, "A     B\n"
                           "日本  x\n"
                           "e\xcc\x81     y\n");
    free(text);
    table_free(table);
}
END_TEST

static const struct {
    size_t width;
    const char *printed;
} narrow[] = {
    {0, "short  a long cell of text  日本語日本語\n"},
    {40, "short  a long cell of text  日本語日本語\n"},
    {39, "short  a long cell of te…  日本語日本語\n"},
    {30, "short  a long ce…  日本語日本…\n"},
    {27, "short  a long c…  日本語日…\n"},
    {1, "short  a long …  日本語…\n"}, /* readable rather than fitting */
};

static const struct {
    size_t width;
    const char *printed;
} kept[] = {
    {0, "2026-11-21T14:00:00Z  a long cell of text\n"},
    {36, "2026-11-21T14:00:00Z  a long cell o…\n"},
    {30, "2026-11-21T14:00:00Z  a long …\n"},
    {24, "2026-11-21T14…  a long …\n"},
};

START_TEST(a_kept_column_is_cut_last)
{
    struct table *table =
        table_new((const char *[]){"2026-11-21T14:00:00Z", "a long cell of text"}, 2);
    table_keep(table, 0);
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, 0, kept[_i].width);
    fclose(out);
    ck_assert_str_eq(text, kept[_i].printed);
    free(text);
    table_free(table);
}
END_TEST

START_TEST(wide_rows_are_cut)
{
    struct table *table =
        table_new((const char *[]){"short", "a long cell of text", "日本語日本語"}, 3);
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, 0, narrow[_i].width);
    fclose(out);
    ck_assert_str_eq(text, narrow[_i].printed);
    free(text);
    table_free(table);
}
END_TEST

START_TEST(for_programs_cells_are_separated_by_tabs)
{
    struct table *table = table_new((const char *[]){"ID", "FILE"}, 2);
    table_add(table, (const char *[]){"a\tb", NULL});
    FILE *out = open_memstream(&text, &size);
    table_print_tsv(table, out);
    fclose(out);
    ck_assert_str_eq(text, "ID\tFILE\na\\tb\t\n");
    free(text);
    table_free(table);
}
END_TEST

START_TEST(lines_stay_lines)
{
    FILE *out = open_memstream(&text, &size);
    printable_put_lines(out, "one\n\033two\n", 9, 2);
    fclose(out);
    ck_assert_str_eq(text, "one\n  \\x1btwo");
    free(text);
}
END_TEST

START_TEST(many_rows)
{
    struct table *table = table_new((const char *[]){"N"}, 1);
    for (int i = 0; i < 1000; i++)
        table_add(table, (const char *[]){"row"});
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, 1, 0);
    fclose(out);
    ck_assert_uint_eq(size, 3 + 1000 * 5);
    free(text);
    table_free(table);
}
END_TEST

static const struct {
    const char *json, *cell;
} cells[] = {{"\"bare\"", "bare"}, {"null", ""},        {"true", "true"},
             {"12", "12"},         {"[1, 2]", "[1,2]"}, {"{\"a\": null}", "{\"a\":null}"},
             {"1.5", "1.5"},       {"\"\"", ""}};

START_TEST(cell_of_a_value)
{
    json_t *value = json_loads(cells[_i].json, JSON_DECODE_ANY, NULL);
    char *cell = table_cell(value);
    ck_assert_str_eq(cell, cells[_i].cell);
    free(cell);
    json_decref(value);
    cell = table_cell(NULL);
    ck_assert_str_eq(cell, "");
    free(cell);
}
END_TEST

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    Suite *suite = suite_create("table");
    TCase *tc = tcase_create("table");
    tcase_add_loop_test(tc, text_is_printable, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(tc, columns_line_up);
    tcase_add_test(tc, widths_are_those_of_the_terminal);
    tcase_add_loop_test(tc, a_kept_column_is_cut_last, 0, sizeof(kept) / sizeof(kept[0]));
    tcase_add_loop_test(tc, wide_rows_are_cut, 0, sizeof(narrow) / sizeof(narrow[0]));
    tcase_add_test(tc, for_programs_cells_are_separated_by_tabs);
    tcase_add_test(tc, lines_stay_lines);
    tcase_add_test(tc, many_rows);
    tcase_add_loop_test(tc, cell_of_a_value, 0, sizeof(cells) / sizeof(cells[0]));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
