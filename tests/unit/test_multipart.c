// SPDX-License-Identifier: Apache-2.0
/* links: common/multipart.c common/head.c common/urlencoded.c common/codec.c common/buf.c */
/* Bodies of multipart/form-data: what parts they give, and which are refused. */
#include "common/multipart.h"

#include "common/buf.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define TYPE       "multipart/form-data; boundary=B"
#define PART(name) "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static const struct {
    const char *type, *body;
    const char *parts; /* "name[filename|type]=content;" each, or "ERROR text" at the end */
} cases[] = {
    {TYPE, PART("a") "1\r\n--B--\r\n", "a=1;"},
    {TYPE, PART("a") "1\r\n--B--", "a=1;"},
    {TYPE, PART("a") "1\r\n" PART("b") "2\r\n3\r\n--B--\r\n", "a=1;b=2\r\n3;"},
    {TYPE, PART("a") "\r\n--B--\r\n", "a=;"},
    {TYPE, "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--B--", "a=;"},
    {TYPE, PART("a") "--B--\r\n", "a=;"}, /* no blank content line: the header's own CR LF */
    {TYPE, "preamble\r\n" PART("a") "1\r\n--B--\r\nepilogue", "a=1;"},
    {TYPE, "--B \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--", "a=1;"},
    {TYPE, PART("a") "\r\n--Bee\r\n--B--", "a=;ERROR a delimiter line holds something else"},
    {TYPE, PART("a") "x--B\r\n--\r\n\r\n--B--", "a=x--B\r\n--\r\n;"},
    {"Multipart/Form-Data;x=y ;  Boundary=\"B\"", PART("a") "1\r\n--B--", "a=1;"},
    {TYPE,
     "--B\r\ncontent-type: text/plain\r\nCONTENT-DISPOSITION: form-data; filename=\"f.txt\"; "
     "name=\"u\"\r\n\r\nhi\r\n--B--",
     "u[f.txt|text/plain]=hi;"},
    {TYPE,
     "--B\r\nContent-Disposition: form-data; name=\"u\"; filename=\"a \\\"b\\\"; c\"\r\n\r\n\r\n"
     "--B--",
     "u[a \\\"b\\\"; c|]=;"},
    {TYPE,
     "--B\r\nContent-Disposition: form-data; name=u; filename*=UTF-8''n%C3%BC; filename=old\r\n"
     "\r\n\r\n--B--",
     "u[n%C3%BC|]*=;"},
    {TYPE, "--B\r\nContent-Disposition: form-data; name=u; filename=\"\"\r\n\r\n\r\n--B--",
     "u[|]=;"},
    {TYPE, "--B--\r\n", ""},
    {TYPE, "", "ERROR the boundary does not occur"},
    {TYPE, "nothing here", "ERROR the boundary does not occur"},
    {TYPE, PART("a") "1\r\n", "ERROR the closing delimiter is missing"},
    {TYPE, PART("a") "1\r\n--B", "a=1;ERROR a delimiter line holds something else"},
    {TYPE, PART("a") "1\r\n--B-", "a=1;ERROR a delimiter line holds something else"},
    {TYPE, "--B\r\n\r\n1\r\n--B--", "ERROR a part without a header"},
    {TYPE, "--B\r\nContent-Type: a/b\r\n\r\n1\r\n--B--", "ERROR a part without a name"},
    {TYPE, "--B\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--B--",
     "ERROR a part without a name"},
    {TYPE, "--B\r\nContent-Disposition: form-data; name=a\r\n",
     "ERROR the header of a part does not end within 8 KiB"},
    {TYPE, "--B\r\nContent-Disposition: form-data; name=a\nX: y\r\n\r\n1\r\n--B--",
     "ERROR a line of a part's header does not end in CR LF"},
    {TYPE, "--B\r\nContent-Disposition: form-data; name=\"a\rb\"\r\n\r\n1\r\n--B--",
     "ERROR a line of a part's header does not end in CR LF"},
    {"multipart/form-data", "--B--", "ERROR no usable boundary"},
    {"multipart/form-data; boundary=", "--B--", "ERROR no usable boundary"},
    {"multipart/form-data; boundary=\"B \"", "--B--", "ERROR no usable boundary"},
    {"multipart/form-data; boundary="
     "0123456789012345678901234567890123456789012345678901234567890123456789x",
     "--B--", "ERROR no usable boundary"},
};

static void put(struct buf *out, struct span s)
{
    buf_append(out, s.data, s.len);
}

static void put_part(struct buf *out, const struct multipart_part *part)
{
    put(out, part->name);
    if (part->has_filename) {
        buf_putc(out, '[');
        put(out, part->filename);
        buf_putc(out, '|');
        put(out, part->content_type);
        buf_puts(out, part->filename_is_encoded ? "]*" : "]");
    }
    buf_putc(out, '=');
    put(out, part->content);
    buf_putc(out, ';');
}

START_TEST(gives_parts)
{
    struct multipart m;
    struct multipart_part part;
    struct buf out = BUF_INIT;
    struct span rest = span_of(cases[_i].body);
    int got = multipart_open(&m, span_of(cases[_i].type));
    if (got == 0)
        while ((got = multipart_next(&m, &rest, &part)) == 1)
            put_part(&out, &part);
    if (got < 0) {
        ck_assert_int_eq(got, -EBADMSG);
        buf_printf(&out, "ERROR %s", m.error);
    }
    ck_assert_str_eq(buf_str(&out), cases[_i].parts);
    buf_free(&out);
}
END_TEST

/* The same cases as they arrive, in pieces of 1, 2, … bytes. */
static void step_through(struct buf *out, const char *type, const char *body, size_t piece)
{
    struct multipart m;
    struct multipart_part part;
    struct buf head = BUF_INIT, content = BUF_INIT;
    size_t len = strlen(body), shown = piece < len ? piece : len, at = 0, used;
    enum multipart_event event = MULTIPART_MORE;
    if (multipart_open(&m, span_of(type)) < 0) {
        buf_printf(out, "ERROR %s", m.error);
        return;
    }
    while (event != MULTIPART_END && event != MULTIPART_BAD) {
        struct span window = {body + at, shown - at};
        event = multipart_step(&m, window, shown == len, &used, &part);
        ck_assert_uint_le(used, window.len);
        at += used;
        ck_assert(event != MULTIPART_MORE || shown < len);
        ck_assert_uint_le(shown - at, MULTIPART_WINDOW_MAX);
        if (event == MULTIPART_MORE)
            shown = shown + piece < len ? shown + piece : len;
        if (event == MULTIPART_PART) {
            buf_reset(&head, SIZE_MAX);
            buf_reset(&content, SIZE_MAX);
            put_part(&head, &part);
            head.len--; /* the ";" */
        }
        if (event == MULTIPART_DATA)
            put(&content, part.content);
        if (event == MULTIPART_PART_END) {
            put(out, (struct span){head.data, head.len});
            put(out, (struct span){content.data, content.len});
            buf_putc(out, ';');
        }
    }
    if (event == MULTIPART_BAD)
        buf_printf(out, "ERROR %s", m.error);
    buf_free(&head);
    buf_free(&content);
}

START_TEST(gives_the_same_in_pieces)
{
    for (size_t piece = 1; piece < 90; piece++) {
        struct buf out = BUF_INIT;
        step_through(&out, cases[_i].type, cases[_i].body, piece);
        ck_assert_str_eq(buf_str(&out), cases[_i].parts);
        buf_free(&out);
    }
}
END_TEST

START_TEST(file_names_are_decoded)
{
    static const struct {
        const char *text;
        bool is_encoded;
        const char *name;
    } names[] = {{"a \\\"b\\\".txt", false, "a \"b\".txt"},
                 {"n%C3%BC+.txt", true, "n\xc3\xbc+.txt"},
                 {"100%", false, "100%"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct multipart_part part = {.filename = span_of(names[i].text),
                                      .filename_is_encoded = names[i].is_encoded};
        struct buf out = BUF_INIT;
        multipart_put_filename(&out, &part);
        ck_assert_str_eq(buf_str(&out), names[i].name);
        buf_free(&out);
    }
}
END_TEST

START_TEST(long_header_is_refused)
{
    struct multipart m;
    struct multipart_part part;
    struct buf body = BUF_INIT;
    buf_puts(&body, "--B\r\nX: ");
    for (int i = 0; i < MULTIPART_HEADER_MAX; i++)
        buf_putc(&body, 'x');
    buf_puts(&body, "\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--");
    struct span rest = {body.data, body.len};
    ck_assert_int_eq(multipart_open(&m, span_of(TYPE)), 0);
    ck_assert_int_eq(multipart_next(&m, &rest, &part), -EBADMSG);
    buf_free(&body);
}
END_TEST

START_TEST(any_byte_in_content)
{
    struct multipart m;
    struct multipart_part part;
    struct buf body = BUF_INIT;
    buf_puts(&body, PART("a"));
    for (int i = 0; i < 256; i++)
        buf_putc(&body, (char)i);
    buf_puts(&body, "\r\n--B--");
    struct span rest = {body.data, body.len};
    ck_assert_int_eq(multipart_open(&m, span_of(TYPE)), 0);
    ck_assert_int_eq(multipart_next(&m, &rest, &part), 1);
    ck_assert_uint_eq(part.content.len, 256);
    for (int i = 0; i < 256; i++)
        ck_assert_int_eq((unsigned char)part.content.data[i], i);
    ck_assert_int_eq(multipart_next(&m, &rest, &part), 0);
    buf_free(&body);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multipart");
    TCase *tcase = tcase_create("multipart");
    tcase_add_loop_test(tcase, gives_parts, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(tcase, gives_the_same_in_pieces, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tcase, file_names_are_decoded);
    tcase_add_test(tcase, long_header_is_refused);
    tcase_add_test(tcase, any_byte_in_content);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
