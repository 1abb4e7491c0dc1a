// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/ctl/event_stream.c common/buf.c */
/* Server-sent events: whatever the pieces in which they arrive. */
#include "supervisor/ctl/event_stream.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char seen[4096];
static size_t events;

static void take(void *arg, const char *event, const char *data, size_t len)
{
    ck_assert_ptr_eq(arg, seen);
    size_t at = strlen(seen);
    snprintf(seen + at, sizeof(seen) - at, "[%s|%.*s]", event, (int)(len < 100 ? len : 100), data);
    events++;
}

static const struct {
    const char *text, *events;
} streams[] = {
    {"data: a\n\n", "[|a]"},
    {"data:a\n\ndata: b\n\n", "[|a][|b]"},
    {"data: a\r\n\r\n", "[|a]"},
    {"data: a\ndata: b\n\n", "[|a\nb]"},
    {"data:  two blanks\n\n", "[| two blanks]"},
    {"event: end\ndata: {\"reason\":1}\n\n", "[end|{\"reason\":1}]"},
    {"event: end\n\ndata: a\n\n", "[|a]"}, /* no data, no event; its name is forgotten */
    {": a comment\n\nid: 7\nretry: 1\ndata: a\n\n", "[|a]"},
    {"data\n\n", "[|]"},
    {"database: x\n\n", ""},
    {"data: half", ""},
    {"\n\n\n", ""},
    {"", ""},
};

START_TEST(events_come_out_whole)
{
    for (size_t piece = 1; piece <= 8; piece++) {
        struct event_stream s;
        const char *text = streams[_i].text;
        size_t len = strlen(text);
        seen[0] = 0;
        event_stream_init(&s, take, seen);
        for (size_t at = 0; at < len; at += piece)
            event_stream_feed(&s, text + at, piece < len - at ? piece : len - at);
        event_stream_free(&s);
        ck_assert_str_eq(seen, streams[_i].events);
    }
}
END_TEST

START_TEST(another_connection_begins_anew)
{
    struct event_stream s;
    seen[0] = 0;
    event_stream_init(&s, take, seen);
    event_stream_feed(&s, "event: x\ndata: a\ndata: b", 24);
    event_stream_reset(&s);
    event_stream_feed(&s, "data: c\n\n", 9);
    ck_assert_str_eq(seen, "[|c]");
    event_stream_free(&s);
}
END_TEST

START_TEST(what_is_too_large_is_dropped)
{
    struct event_stream s;
    static char block[1 << 20];
    memset(block, 'x', sizeof(block));
    seen[0] = 0;
    events = 0;
    event_stream_init(&s, take, seen);
    event_stream_feed(&s, "data: ", 6);
    for (int i = 0; i < 20; i++)
        event_stream_feed(&s, block, sizeof(block));
    event_stream_feed(&s, "\n\ndata: a\n\n", 11);
    ck_assert_uint_eq(events, 1);
    ck_assert_str_eq(seen, "[|a]");
    ck_assert_uint_eq(s.dropped, 1);
    event_stream_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_stream");
    TCase *tc = tcase_create("event_stream");
    tcase_add_loop_test(tc, events_come_out_whole, 0, sizeof(streams) / sizeof(streams[0]));
    tcase_add_test(tc, another_connection_begins_anew);
    tcase_add_test(tc, what_is_too_large_is_dropped);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
