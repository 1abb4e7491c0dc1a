// SPDX-License-Identifier: Apache-2.0
/* links: common/events/event.c common/utf8.c common/buf.c common/codec.c -lsodium */
/* Ids that are fresh in every process, and events in one block. */
#include "common/events/event.h"

#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 2000 /* several pools of random bytes */ };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, EVENT_ID_SIZE);
}

static void make_ids(uint8_t (*ids)[EVENT_ID_SIZE], size_t count)
{
    for (size_t i = 0; i < count; i++)
        event_id_make(ids[i]);
}

static void check_distinct(uint8_t (*ids)[EVENT_ID_SIZE], size_t count)
{
    qsort(ids, count, EVENT_ID_SIZE, compare_ids);
    for (size_t i = 1; i < count; i++)
        ck_assert_int_ne(memcmp(ids[i - 1], ids[i], EVENT_ID_SIZE), 0);
}

START_TEST(ids_are_random_and_of_version_4)
{
    static uint8_t ids[MANY][EVENT_ID_SIZE];
    int ones[128] = {0};
    make_ids(ids, MANY);
    for (size_t i = 0; i < MANY; i++)
        for (int bit = 0; bit < 128; bit++)
            ones[bit] += ids[i][bit / 8] >> (7 - bit % 8) & 1;
    for (int bit = 0; bit < 128; bit++) {
        bool version = bit >= 48 && bit < 52, variant = bit == 64 || bit == 65;
        if (version || variant)
            ck_assert_int_eq(ones[bit], bit == 49 || bit == 64 ? MANY : 0);
        else /* ten standard deviations */
            ck_assert_msg(abs(ones[bit] - MANY / 2) < 230, "bit %d: %d", bit, ones[bit]);
    }
    check_distinct(ids, MANY);
}
END_TEST

/* Without a word to the library, as a server does that forks its workers. */
static void make_ids_in_child(uint8_t (*ids)[EVENT_ID_SIZE], size_t count)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        make_ids(ids, count);
        size_t size = count * EVENT_ID_SIZE;
        _exit(write(ends[1], ids, size) == (ssize_t)size ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(read(ends[0], ids, count * EVENT_ID_SIZE), (ssize_t)(count * EVENT_ID_SIZE));
    close(ends[0]);
    close(ends[1]);
}

START_TEST(forks_do_not_repeat_ids)
{
    static uint8_t ids[3 * 100][EVENT_ID_SIZE];
    uint8_t first[EVENT_ID_SIZE];
    event_id_make(first); /* so that there is something left to share */
    make_ids_in_child(&ids[0], 100);
    make_ids_in_child(&ids[100], 100);
    make_ids(&ids[200], 100);
    check_distinct(ids, 300);
}
END_TEST

START_TEST(id_text_is_read_back)
{
    const char *text = "01234567-89ab-4def-8123-456789abcdef";
    const char *upper = "01234567-89AB-4DEF-8123-456789ABCDEF";
    uint8_t id[EVENT_ID_SIZE], again[EVENT_ID_SIZE];
    char written[EVENT_ID_TEXT_SIZE];
    ck_assert(event_id_parse(span_of(text), id));
    ck_assert_int_eq(id[0], 0x01);
    ck_assert_int_eq(id[15], 0xef);
    event_id_text(id, written);
    ck_assert_str_eq(written, text);
    ck_assert(event_id_parse(span_of(upper), again));
    ck_assert_mem_eq(id, again, EVENT_ID_SIZE);
    event_id_make(id);
    event_id_text(id, written);
    ck_assert(event_id_parse(span_of(written), again));
    ck_assert_mem_eq(id, again, EVENT_ID_SIZE);
}
END_TEST

static const char *const no_ids[] = {
    "",
    "0",
    "0123456789ab4def8123456789abcdef",
    "{01234567-89ab-4def-8123-456789abcdef}",
    "01234567-89ab-4def-8123-456789abcde",
    "01234567-89ab-4def-8123-456789abcdef0",
    " 1234567-89ab-4def-8123-456789abcdef",
    "01234567-89ab-4def-8123-456789abcdeg",
    "01234567-89ab-4def-8123-456789abcde\xe9",
    "01234567-89ab-4def-8123-456789abcdeG",
    "01234567-89ab-4def-8123-456789abcde@",
    "0123456-789ab-4def-8123-456789abcdef",
    "01234567-89ab-4def-81234-56789abcdef",
    "01234567-89ab-4def-81-3-456789abcdef",
    "01234567-89ab-1def-8123-456789abcdef", /* version 1 */
    "01234567-89ab-5def-8123-456789abcdef",
    "01234567-89ab-4def-7123-456789abcdef", /* variants of other families */
    "01234567-89ab-4def-c123-456789abcdef",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
};

START_TEST(other_texts_are_no_ids)
{
    uint8_t id[EVENT_ID_SIZE], before[EVENT_ID_SIZE];
    memset(id, 7, sizeof(id));
    memcpy(before, id, sizeof(id));
    size_t len = strlen(no_ids[_i]);
    char *copy = malloc(len + 1); /* without what follows, so that reading on is seen */
    memcpy(copy, no_ids[_i], len);
    ck_assert_msg(!event_id_parse((struct span){copy, len}, id), "%s", no_ids[_i]);
    ck_assert_mem_eq(id, before, sizeof(id));
    free(copy);
}
END_TEST

START_TEST(an_event_keeps_what_it_was_given)
{
    uint8_t id[EVENT_ID_SIZE];
    char type[] = "ORDER", payload[] = "{\"a\":1}";
    struct span json;
    event_id_make(id);
    struct event *event = event_new(id, -5, span_of(type), span_of(payload));
    memset(type, 'x', 5);
    memset(payload, 'x', 7);
    ck_assert_ptr_eq(event_retain(event), event);
    event_release(event);
    ck_assert_mem_eq(event->id, id, EVENT_ID_SIZE);
    ck_assert_int_eq(event->time_us, -5);
    ck_assert(span_equal(event_type(event), "ORDER"));
    ck_assert_int_eq(event_payload(event, &json), 0);
    ck_assert(span_equal(json, "{\"a\":1}"));
    event_release(event);
    event_release(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tcase = tcase_create("event");
    tcase_add_test(tcase, ids_are_random_and_of_version_4);
    tcase_add_test(tcase, forks_do_not_repeat_ids);
    tcase_add_test(tcase, id_text_is_read_back);
    tcase_add_loop_test(tcase, other_texts_are_no_ids, 0, sizeof(no_ids) / sizeof(no_ids[0]));
    tcase_add_test(tcase, an_event_keeps_what_it_was_given);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
