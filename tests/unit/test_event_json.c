// SPDX-License-Identifier: Apache-2.0
/* links: common/events/event_json.c common/events/event.c common/events/event_time.c
 * common/json_compact.c common/json_scan.c common/json_text.c common/clock.c common/utf8.c
 * common/buf.c common/codec.c -lsodium */
/* Events as they stand in a stream: what is read, what is refused and why, what is written. */
#include "common/clock.h"
#include "common/events/event_json.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ID   "0b5ae1c2-7d3f-4e6a-9c1b-2f8e7d6c5b4a"
#define TIME "2026-11-22T05:30:00.123456Z"
static const int64_t time_us = 1795325400123456;

/* Texts with one member each that is special. */
#define WITH_ID(x)      "{\"id\":" x ",\"timestamp\":\"" TIME "\",\"event_type\":\"A\",\"payload\":{}}"
#define WITH_TIME(x)    "{\"id\":\"" ID "\",\"timestamp\":" x ",\"event_type\":\"A\",\"payload\":{}}"
#define WITH_TYPE(x)    "{\"id\":\"" ID "\",\"timestamp\":\"" TIME "\",\"event_type\":" x "}"
#define WITH_PAYLOAD(x) "{\"event_type\":\"A\",\"payload\":" x "}"

static struct event *read_alone(struct span text, enum event_json_fault *fault)
{
    char *copy = malloc(text.len ? text.len : 1); /* so that reading on is seen */
    memcpy(copy, text.data, text.len);
    struct event *event = event_json_read((struct span){copy, text.len}, fault);
    free(copy);
    return event;
}

static struct event *read_good(const char *text)
{
    enum event_json_fault fault;
    struct event *event = read_alone(span_of(text), &fault);
    ck_assert_msg(event && fault == EVENT_JSON_OK, "%s: %s", text, event_json_fault_text(fault));
    return event;
}

static void check_written(struct event *event, const char *expected)
{
    struct buf out = BUF_INIT;
    ck_assert_int_eq(event_json_write(&out, event), 0);
    ck_assert_str_eq(buf_str(&out), expected);
    buf_free(&out);
}

/* --- what is read ------------------------------------------------------------------------- */

START_TEST(an_event_is_read_and_written)
{
    const char *text =
        "{\"id\":\"" ID "\",\"timestamp\":\"" TIME
        "\",\"event_type\":\"ORDER\",\"payload\":{\"n\":1e400,\"s\":[\"\xc3\xa9\"]}}";
    char id[EVENT_ID_TEXT_SIZE];
    struct event *event = read_good(text);
    event_id_text(event->id, id);
    ck_assert_str_eq(id, ID);
    ck_assert_int_eq(event->time_us, time_us);
    ck_assert(span_equal(event_type(event), "ORDER"));
    check_written(event, text);
    event_release(event);
}
END_TEST

static const char *const same[] = {
    "{\"payload\":{\"a\":1},\"event_type\":\"A\",\"timestamp\":\"" TIME "\",\"id\":\"" ID "\"}",
    " {\n \"id\" : \"" ID "\" ,\t\"timestamp\" : \"" TIME
    "\" , \"event_type\" : \"A\", \"payload\" : { \"a\" : 1 } }\r\n",
    "{\"\\u0069d\":\"\\u0030b5ae1c2-7d3f-4e6a-9c1b-2f8e7d6c5b4a\","
    "\"timestamp\":\"2026\\u002d11-22T05:30:00.123456Z\",\"event\\u005ftype\":\"\\u0041\","
    "\"\\u0070ayload\":{\"\\u0061\":1}}",
    "{\"id\":\"0B5AE1C2-7D3F-4E6A-9C1B-2F8E7D6C5B4A\",\"timestamp\":\"2026-11-22T07:30:00.123456+"
    "02:00\""
    ",\"event_type\":\"\\n\xe2\x80\x83 A\\u00a0\\u3000\",\"payload\":{\"a\": 1}}",
};

START_TEST(other_spellings_are_the_same_event)
{
    struct event *event = read_good(same[_i]);
    check_written(event, "{\"id\":\"" ID "\",\"timestamp\":\"" TIME
                         "\",\"event_type\":\"A\",\"payload\":{\"a\":1}}");
    event_release(event);
}
END_TEST

START_TEST(what_is_missing_is_made)
{
    int64_t before = (int64_t)clock_wall_us();
    struct event *one = read_good("{\"event_type\":\"A\"}"), *two = read_good(WITH_PAYLOAD("{}"));
    struct span payload;
    uint8_t id[EVENT_ID_SIZE];
    char text[EVENT_ID_TEXT_SIZE];
    event_id_text(one->id, text);
    ck_assert(event_id_parse(span_of(text), id));
    ck_assert_int_ne(memcmp(one->id, two->id, EVENT_ID_SIZE), 0);
    ck_assert_int_ge(one->time_us, before);
    ck_assert_int_le(one->time_us, (int64_t)clock_wall_us());
    ck_assert_int_eq(event_payload(one, &payload), 0);
    ck_assert(span_equal(payload, "{}"));
    event_release(one);
    event_release(two);
}
END_TEST

START_TEST(any_text_may_be_a_type)
{
    struct event *event =
        read_good(WITH_TYPE("\" \\u0000\\ud83d\\ude00\\\"\\u0085\\u0001 \\u001f\""));
    struct span type = event_type(event);
    ck_assert_uint_eq(type.len, 9);
    ck_assert_int_eq(memcmp(type.data, "\0\xf0\x9f\x98\x80\"\xc2\x85\x01", 9), 0);
    check_written(event,
                  WITH_TYPE("\"\\u0000\xf0\x9f\x98\x80\\\"\xc2\x85\\u0001\",\"payload\":{}"));
    event_release(event);
}
END_TEST

/* Every white space of Python's str.isspace(), and some that look alike. */
START_TEST(white_space_of_unicode_is_stripped)
{
    static const struct {
        unsigned first, last;
        bool stripped;
    } ranges[] = {
        {0x01, 0x08, false},     {0x09, 0x0d, true},      {0x0e, 0x1b, false},
        {0x1c, 0x20, true},      {0x21, 0x21, false},     {0x84, 0x84, false},
        {0x85, 0x85, true},      {0xa0, 0xa0, true},      {0xad, 0xad, false},
        {0x1680, 0x1680, true},  {0x180e, 0x180e, false}, {0x2000, 0x200a, true},
        {0x200b, 0x200d, false}, {0x2028, 0x2029, true},  {0x202f, 0x202f, true},
        {0x205f, 0x205f, true},  {0x2060, 0x2060, false}, {0x3000, 0x3000, true},
        {0xfeff, 0xfeff, false},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        for (unsigned c = ranges[i].first; c <= ranges[i].last; c++) {
            char text[128];
            snprintf(text, sizeof(text), "{\"event_type\":\"\\u%04x\\u%04xA\\u%04x\"}", c, c, c);
            struct event *event = read_good(text);
            ck_assert_msg((event_type(event).len == 1) == ranges[i].stripped, "U+%04X", c);
            event_release(event);
        }
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum event_json_fault fault;
} refused[] = {
    {"", EVENT_JSON_SYNTAX},
    {"null", EVENT_JSON_SYNTAX},
    {"[]", EVENT_JSON_SYNTAX},
    {"\"{}\"", EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{}") "{}", EVENT_JSON_SYNTAX},
    {"\xef\xbb\xbf" WITH_PAYLOAD("{}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{\"a\":NaN}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{\"a\":Infinity}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{\"a\":-Infinity}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{1:2}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{\"a\":\"\xff\"}"), EVENT_JSON_SYNTAX},
    {WITH_PAYLOAD("{\"a\":\"\xed\xa0\x80\"}"), EVENT_JSON_SYNTAX},
    {WITH_ID("null"), EVENT_JSON_ID},
    {WITH_ID("1"), EVENT_JSON_ID},
    {WITH_ID("\"\""), EVENT_JSON_ID},
    {WITH_ID("\"0b5ae1c2-7d3f-1e6a-9c1b-2f8e7d6c5b4a\""), EVENT_JSON_ID},
    {WITH_TIME("null"), EVENT_JSON_TIMESTAMP},
    {WITH_TIME("1795325400"), EVENT_JSON_TIMESTAMP},
    {WITH_TIME("\"2026-11-22T05:30:00\""), EVENT_JSON_TIMESTAMP},
    {WITH_TIME("\"2026-02-30T05:30:00Z\""), EVENT_JSON_TIMESTAMP},
    {"{}", EVENT_JSON_TYPE},
    {"{\"payload\":{}}", EVENT_JSON_TYPE},
    {WITH_TYPE("null"), EVENT_JSON_TYPE},
    {WITH_TYPE("[\"A\"]"), EVENT_JSON_TYPE},
    {WITH_TYPE("\"\""), EVENT_JSON_TYPE},
    {WITH_TYPE("\" \\t\xc2\xa0\\u2003\xe3\x80\x80\""), EVENT_JSON_TYPE},
    {WITH_PAYLOAD("null"), EVENT_JSON_PAYLOAD},
    {WITH_PAYLOAD("[]"), EVENT_JSON_PAYLOAD},
    {WITH_PAYLOAD("\"{}\""), EVENT_JSON_PAYLOAD},
    {"{\"event_type\":\"A\",\"more\":1}", EVENT_JSON_UNKNOWN},
    {"{\"event_type\":\"A\",\"Id\":\"" ID "\"}", EVENT_JSON_UNKNOWN},
    {"{\"event_type\":\"A\",\"\":1}", EVENT_JSON_UNKNOWN},
    {"{\"event_type\":\"A\",\"id\\u0000\":\"" ID "\"}", EVENT_JSON_UNKNOWN},
    {"{\"event_type\":\"A\",\"event_type\":\"A\"}", EVENT_JSON_UNKNOWN},
    {"{\"event_type\":\"A\",\"payload\":{},\"p\\u0061yload\":{}}", EVENT_JSON_UNKNOWN},
    {WITH_ID("\"\\ud800\""), EVENT_JSON_SURROGATE},
    {WITH_TYPE("\"A\\udc00\""), EVENT_JSON_SURROGATE},
    {WITH_PAYLOAD("{\"a\":[\"\\ud83dx\"]}"), EVENT_JSON_SURROGATE},
    {WITH_PAYLOAD("{\"\\ud83d\":1}"), EVENT_JSON_SURROGATE},
    {"{\"event_type\":\"A\",\"\\udfff\":1}", EVENT_JSON_SURROGATE},
};

START_TEST(damage_is_refused_with_its_reason)
{
    enum event_json_fault fault;
    ck_assert_ptr_null(read_alone(span_of(refused[_i].text), &fault));
    ck_assert_msg(fault == refused[_i].fault, "%s: %s", refused[_i].text,
                  event_json_fault_text(fault));
    ck_assert_str_ne(event_json_fault_text(fault), "");
}
END_TEST

START_TEST(cut_anywhere_is_refused)
{
    const char *text = WITH_TYPE("\"\\u00e9\",\"payload\":{\"a\":[1, \"\xc3\xa9\"]}");
    enum event_json_fault fault;
    for (size_t len = 0; len < strlen(text); len++) {
        ck_assert_ptr_null(read_alone((struct span){text, len}, &fault));
        ck_assert_int_eq(fault, EVENT_JSON_SYNTAX);
    }
}
END_TEST

/* {"a":"<unit>…"} with `count` units, then `tail` bytes more. */
static enum event_json_fault read_large(const char *unit, size_t count, size_t tail)
{
    struct buf text = BUF_INIT;
    enum event_json_fault fault;
    buf_puts(&text, "{\"event_type\":\"A\",\"payload\": {  \"a\" :\n\"");
    for (size_t i = 0; i < count; i++)
        buf_puts(&text, unit);
    for (size_t i = 0; i < tail; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"   } }");
    event_release(event_json_read((struct span){text.data, text.len}, &fault));
    buf_free(&text);
    return fault;
}

START_TEST(the_size_is_that_of_the_compact_payload)
{
    size_t room = EVENT_PAYLOAD_MAX - strlen("{\"a\":\"\"}");
    ck_assert_int_eq(read_large("x", room, 0), EVENT_JSON_OK);
    ck_assert_int_eq(read_large("x", room, 1), EVENT_JSON_TOO_LARGE);
    ck_assert_int_eq(read_large("\\u20ac", room / 3, room % 3), EVENT_JSON_OK);
    ck_assert_int_eq(read_large("\\u20ac", room / 3, room % 3 + 1), EVENT_JSON_TOO_LARGE);
    ck_assert_int_eq(read_large("\\n", room / 2, room % 2), EVENT_JSON_OK);
    ck_assert_int_eq(read_large("\\n", room / 2, room % 2 + 1), EVENT_JSON_TOO_LARGE);
}
END_TEST

static enum event_json_fault read_nested(unsigned depth)
{
    struct buf text = BUF_INIT;
    enum event_json_fault fault;
    buf_puts(&text, "{\"event_type\":\"A\",\"payload\":");
    for (unsigned i = 0; i < depth; i++)
        buf_puts(&text, "{\"a\":");
    buf_puts(&text, "0");
    for (unsigned i = 0; i <= depth; i++)
        buf_putc(&text, '}');
    event_release(event_json_read((struct span){text.data, text.len}, &fault));
    buf_free(&text);
    return fault;
}

START_TEST(the_depth_is_bounded)
{
    ck_assert_int_eq(read_nested(EVENT_DEPTH_MAX), EVENT_JSON_OK);
    ck_assert_int_eq(read_nested(EVENT_DEPTH_MAX + 1), EVENT_JSON_TOO_DEEP);
    ck_assert_int_eq(read_nested(1000000), EVENT_JSON_SYNTAX);
}
END_TEST

/* --- parts, writing ----------------------------------------------------------------------- */

START_TEST(parts_are_borrowed_where_they_can_be)
{
    const char *text = WITH_TYPE("\" A\",\"payload\":{\"a b\":1}");
    struct buf scratch = BUF_INIT;
    struct event_parts parts;
    ck_assert_int_eq(event_json_parts(span_of(text), &scratch, &parts), EVENT_JSON_OK);
    ck_assert_ptr_null(scratch.data);
    ck_assert(span_equal(parts.type, "A"));
    ck_assert(span_equal(parts.payload, "{\"a b\":1}"));
    ck_assert(parts.type.data > text && parts.type.data < text + strlen(text));
    text = "{\"payload\":{\"\\u0061\": "
           "1},\"event_type\":\"\\u0042\",\"id\":\"\\u0030b5ae1c2-7d3f-4e6a-"
           "9c1b-2f8e7d6c5b4a\"}";
    ck_assert_int_eq(event_json_parts(span_of(text), &scratch, &parts), EVENT_JSON_OK);
    ck_assert(span_equal(parts.type, "B"));
    ck_assert(span_equal(parts.payload, "{\"a\":1}"));
    buf_free(&scratch);
}
END_TEST

START_TEST(parts_stay_while_more_is_unescaped)
{
    enum { LONG = 300000 };
    struct buf text = BUF_INIT, scratch = BUF_INIT;
    struct event_parts parts;
    buf_puts(&text, "{\"event_type\":\"\\u0041BCD\",\"payload\":{\"\\u0061\":\"");
    for (int i = 0; i < LONG; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"}}");
    ck_assert_int_eq(event_json_parts((struct span){text.data, text.len}, &scratch, &parts),
                     EVENT_JSON_OK);
    ck_assert(span_equal(parts.type, "ABCD"));
    ck_assert_uint_eq(parts.payload.len, LONG + strlen("{\"a\":\"\"}"));
    ck_assert_ptr_eq(parts.type.data, scratch.data);
    buf_free(&scratch);
    buf_free(&text);
}
END_TEST

static struct span type_of_broken(const struct event *event)
{
    (void)event;
    return span_of("A");
}

static int no_payload(struct event *event, struct span *json)
{
    (void)event;
    (void)json;
    return -EILSEQ;
}

START_TEST(a_payload_that_cannot_be_made_is_told)
{
    static const struct event_ops ops = {.type = type_of_broken, .payload = no_payload};
    struct event event = {.ops = &ops};
    struct buf out = BUF_INIT;
    ck_assert_int_eq(event_json_write(&out, &event), -EILSEQ);
    ck_assert_uint_eq(out.len, 0);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_json");
    TCase *tcase = tcase_create("event_json");
    tcase_add_test(tcase, an_event_is_read_and_written);
    tcase_add_loop_test(tcase, other_spellings_are_the_same_event, 0,
                        sizeof(same) / sizeof(same[0]));
    tcase_add_test(tcase, what_is_missing_is_made);
    tcase_add_test(tcase, any_text_may_be_a_type);
    tcase_add_test(tcase, white_space_of_unicode_is_stripped);
    tcase_add_loop_test(tcase, damage_is_refused_with_its_reason, 0,
                        sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(tcase, cut_anywhere_is_refused);
    tcase_add_test(tcase, the_size_is_that_of_the_compact_payload);
    tcase_add_test(tcase, the_depth_is_bounded);
    tcase_add_test(tcase, parts_are_borrowed_where_they_can_be);
    tcase_add_test(tcase, parts_stay_while_more_is_unescaped);
    tcase_add_test(tcase, a_payload_that_cannot_be_made_is_told);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
