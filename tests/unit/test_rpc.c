// SPDX-License-Identifier: Apache-2.0
/* links: common/rpc.c common/file_store.c common/utf8.c common/codec.c common/buf.c */
/* The message table, and every payload: round trip, every truncation, bytes left over. */
#include "common/rpc.h"

#include <check.h>
#include <stdlib.h>

static struct span span_of_buf(const struct buf *b)
{
    return (struct span){b->data ? b->data : "", b->len};
}

START_TEST(every_message_has_a_name_a_number_of_its_own_and_a_sender)
{
    static const struct {
        uint16_t number;
        unsigned senders;
    } rows[] = {
#define RPC_MESSAGE(name, number, sender, fds, meaning) {number, sender},
#include "common/rpc_messages.def"
#undef RPC_MESSAGE
    };
    size_t count = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_ne(rpc_name(rows[i].number), "?");
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(rows[i].number, rows[j].number);
        for (unsigned sender = 1; sender < RPC_FROM_ANY; sender <<= 1)
            ck_assert_int_eq(rpc_message_allowed(rows[i].number, (enum rpc_sender)sender, 0),
                             (rows[i].senders & sender) != 0);
        ck_assert(!rpc_message_allowed(rows[i].number, RPC_FROM_ANY, RPC_FDS_MAX + 1));
    }
    ck_assert_str_eq(rpc_name(999), "?");
    ck_assert(!rpc_message_allowed(999, RPC_FROM_WORKER, 0));
}
END_TEST

/* Decodes every proper prefix and one byte more of a payload: all must be refused. */
#define ASSERT_ONLY_WHOLE(type, out)                                                 \
    do {                                                                             \
        struct rpc_##type again;                                                     \
        ck_assert(buf_ok(&(out)));                                                   \
        for (size_t cut = 0; cut < (out).len; cut++) {                               \
            char *copy = malloc(cut ? cut : 1); /* exact size: overreads are seen */ \
            memcpy(copy, (out).data, cut);                                           \
            ck_assert(!rpc_##type##_decode((struct span){copy, cut}, &again));       \
            free(copy);                                                              \
        }                                                                            \
        buf_putc(&(out), 'b');                                                       \
        ck_assert(!rpc_##type##_decode(span_of_buf(&(out)), &again));                \
        (out).len--;                                                                 \
        ck_assert(rpc_##type##_decode(span_of_buf(&(out)), &again));                 \
    } while (0)

static struct buf two_writes(void)
{
    struct buf writes = BUF_INIT;
    struct rpc_write set = {RPC_WRITE_SET, span_of("k\0y"), span_of("{\"a\":1}")};
    struct rpc_write del = {RPC_WRITE_DELETE, span_of("gone"), {"", 0}};
    rpc_write_encode(&writes, &set);
    rpc_write_encode(&writes, &del);
    return writes;
}

static struct buf two_files(void)
{
    struct buf files = BUF_INIT;
    struct rpc_file put = {RPC_FILE_PUT, span_of("a.txt"), span_of("w1-2-3"), 9};
    struct rpc_file del = {RPC_FILE_DELETE, span_of("b.txt"), span_of("w1-2-4"), 0};
    rpc_file_encode(&files, &put);
    rpc_file_encode(&files, &del);
    return files;
}

START_TEST(call_round_trip)
{
    struct buf out = BUF_INIT;
    struct rpc_call m = {.kind = RPC_CALL_OBJECT,
                         .caller = span_of("blog"),
                         .method = span_of("GET"),
                         .target = span_of("/objects/a?x=1"),
                         .path_skip = 10,
                         .head = span_of("Host: a\r\n"),
                         .body = span_of("{}"),
                         .remote_addr = span_of("::1"),
                         .request_id = span_of("r1"),
                         .user = span_of(""),
                         .management = 403},
                    got;
    rpc_call_encode(&out, &m);
    ck_assert(rpc_call_decode(span_of_buf(&out), &got));
    ck_assert(span_equal(got.method, "GET") && span_equal(got.target, "/objects/a?x=1"));
    ck_assert(span_equal(got.head, "Host: a\r\n") && span_equal(got.body, "{}"));
    ck_assert(span_equal(got.remote_addr, "::1") && span_equal(got.request_id, "r1"));
    ck_assert_uint_eq(got.path_skip, 10);
    ck_assert_uint_eq(got.management, 403);
    ck_assert(got.kind == RPC_CALL_OBJECT && span_equal(got.caller, "blog"));
    ASSERT_ONLY_WHOLE(call, out);
    buf_free(&out);
}
END_TEST

START_TEST(call_refuses_contradictions)
{
    struct buf out = BUF_INIT;
    struct rpc_call got, m = {.method = span_of("GET"), .target = span_of("/a"), .path_skip = 3};
    rpc_call_encode(&out, &m);
    ck_assert(!rpc_call_decode(span_of_buf(&out), &got)); /* path_skip beyond the target */
    buf_reset(&out, 0);
    m.path_skip = 1;
    m.body = span_of("x");
    m.body_size = 1;
    rpc_call_encode(&out, &m);
    ck_assert(!rpc_call_decode(span_of_buf(&out), &got)); /* two bodies */
    buf_reset(&out, 0);
    m.body_size = 0;
    m.management = 200;
    rpc_call_encode(&out, &m);
    ck_assert(!rpc_call_decode(span_of_buf(&out), &got)); /* refuses with success */
    buf_free(&out);
}
END_TEST

START_TEST(ask_and_answer_round_trip)
{
    struct buf out = BUF_INIT;
    struct rpc_ask ask, m = {.number = 7,
                             .kind = RPC_ASK_CALL,
                             .object = span_of("basics_counter"),
                             .method = span_of("PUT"),
                             .query = span_of(""),
                             .body_kind = RPC_ASK_JSON,
                             .body = span_of("{}"),
                             .timeout_ns = 5};
    rpc_ask_encode(&out, &m);
    ck_assert(rpc_ask_decode(span_of_buf(&out), &ask));
    ck_assert(ask.number == 7 && ask.kind == RPC_ASK_CALL && ask.timeout_ns == 5);
    ck_assert(span_equal(ask.object, "basics_counter") && span_equal(ask.method, "PUT"));
    ck_assert(ask.body_kind == RPC_ASK_JSON && span_equal(ask.body, "{}"));
    ASSERT_ONLY_WHOLE(ask, out);
    buf_reset(&out, 0);
    struct rpc_answer answer, a = {.status = 503,
                                   .by_station = true,
                                   .content_type = span_of("application/json"),
                                   .body_size = 99};
    rpc_answer_encode(&out, &a);
    ck_assert(rpc_answer_decode(span_of_buf(&out), &answer));
    ck_assert(answer.status == 503 && answer.by_station && answer.body_size == 99);
    ASSERT_ONLY_WHOLE(answer, out);
    buf_free(&out);
}
END_TEST

static bool ask_is_taken(const struct rpc_ask *m)
{
    struct buf out = BUF_INIT;
    struct rpc_ask got;
    rpc_ask_encode(&out, m);
    bool taken = rpc_ask_decode(span_of_buf(&out), &got);
    buf_free(&out);
    return taken;
}

START_TEST(ask_refuses_contradictions)
{
    struct rpc_ask good = {.number = 1, .object = span_of("a"), .method = span_of("GET")}, m;
    ck_assert(ask_is_taken(&good));
    m = good;
    m.number = 0;
    ck_assert(!ask_is_taken(&m));
    m = good;
    m.kind = RPC_ASK_KINDS;
    ck_assert(!ask_is_taken(&m));
    m = good;
    m.body = span_of("x"); /* of no kind */
    ck_assert(!ask_is_taken(&m));
    m.body_kind = RPC_ASK_TEXT;
    ck_assert(ask_is_taken(&m));
    m.body_size = 1; /* two bodies */
    ck_assert(!ask_is_taken(&m));
}
END_TEST

START_TEST(turn_done_round_trip)
{
    struct buf out = BUF_INIT, writes = two_writes(), fields = BUF_INIT;
    struct rpc_field field = {span_of("X-A"), span_of("")};
    rpc_field_encode(&fields, &field);
    struct rpc_turn_done got, m = {.status = 201,
                                   .outcome = RPC_OUTCOME_OK,
                                   .content_type = span_of("text/plain"),
                                   .field_count = 1,
                                   .fields = span_of_buf(&fields),
                                   .body = span_of("hi"),
                                   .write_count = 2,
                                   .writes = span_of_buf(&writes)};
    rpc_turn_done_encode(&out, &m);
    ck_assert(rpc_turn_done_decode(span_of_buf(&out), &got));
    ck_assert_uint_eq(got.status, 201);
    ck_assert(span_equal(got.body, "hi"));
    struct codec_reader r = codec_reader_of(got.writes.data, got.writes.len);
    struct rpc_write w;
    ck_assert(rpc_write_next(&r, &w) && w.op == RPC_WRITE_SET && span_equal(w.value, "{\"a\":1}"));
    ck_assert(rpc_write_next(&r, &w) && w.op == RPC_WRITE_DELETE && span_equal(w.key, "gone"));
    ck_assert(!rpc_write_next(&r, &w) && codec_finish(&r));
    ASSERT_ONLY_WHOLE(turn_done, out);
    buf_free(&out);
    buf_free(&writes);
    buf_free(&fields);
}
END_TEST

static bool turn_done_accepts(struct rpc_turn_done m)
{
    struct buf out = BUF_INIT;
    struct rpc_turn_done got;
    rpc_turn_done_encode(&out, &m);
    bool ok = rpc_turn_done_decode(span_of_buf(&out), &got);
    buf_free(&out);
    return ok;
}

START_TEST(turn_done_refuses_contradictions)
{
    struct buf writes = two_writes();
    struct span w = span_of_buf(&writes);
    ck_assert(turn_done_accepts((struct rpc_turn_done){.status = 200}));
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 199}));
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 600}));
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 200, .outcome = RPC_OUTCOMES}));
    ck_assert(!turn_done_accepts(
        (struct rpc_turn_done){.status = 200, .stream = true, .body = span_of("x")}));
    ck_assert(!turn_done_accepts(
        (struct rpc_turn_done){.status = 200, .body = span_of("x"), .body_size = 1}));
    ck_assert(
        !turn_done_accepts((struct rpc_turn_done){.status = 200, .write_count = 1, .writes = w}));
    ck_assert(
        !turn_done_accepts((struct rpc_turn_done){.status = 200, .write_count = 3, .writes = w}));
    ck_assert(!turn_done_accepts((struct rpc_turn_done){
        .status = 500, .outcome = RPC_OUTCOME_RAISED, .write_count = 2, .writes = w}));
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 200, .field_count = 1}));
    struct buf files = two_files();
    struct rpc_files f = {2, span_of_buf(&files)};
    ck_assert(turn_done_accepts((struct rpc_turn_done){.status = 200, .files = f}));
    struct buf schedules = BUF_INIT;
    rpc_schedule_encode(&schedules, &(struct rpc_schedule){.op = RPC_SCHEDULE_SET,
                                                           .function = span_of("tick"),
                                                           .payload = span_of("[1]"),
                                                           .when = span_of("30"),
                                                           .misfire = RPC_MISFIRE_ALL});
    struct rpc_schedules t = {1, span_of_buf(&schedules)};
    ck_assert(turn_done_accepts((struct rpc_turn_done){.status = 200, .schedules = t}));
    ck_assert(!turn_done_accepts(
        (struct rpc_turn_done){.status = 500, .outcome = RPC_OUTCOME_RAISED, .schedules = t}));
    t.count = 2;
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 200, .schedules = t}));
    buf_free(&schedules);
    ck_assert(!turn_done_accepts(
        (struct rpc_turn_done){.status = 500, .outcome = RPC_OUTCOME_RAISED, .files = f}));
    f.count = 3;
    ck_assert(!turn_done_accepts((struct rpc_turn_done){.status = 200, .files = f}));
    buf_free(&files);
    buf_free(&writes);
}
END_TEST

START_TEST(writes_refuse_what_makes_no_sense)
{
    static const struct rpc_write bad[] = {
        {(enum rpc_write_op)9, {"k", 1}, {"1", 1}},
        {RPC_WRITE_SET, {"", 0}, {"1", 1}},
        {RPC_WRITE_SET, {"k", 1}, {"", 0}},
        {RPC_WRITE_DELETE, {"k", 1}, {"1", 1}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out = BUF_INIT;
        struct rpc_write w;
        rpc_write_encode(&out, &bad[i]);
        struct codec_reader r = codec_reader_of(out.data, out.len);
        ck_assert(!rpc_write_next(&r, &w) && r.failed);
        buf_free(&out);
    }
}
END_TEST

START_TEST(files_refuse_what_makes_no_sense)
{
    static const struct rpc_file bad[] = {
        {(enum rpc_file_op)3, {"a", 1}, {"t", 1}, 0}, {RPC_FILE_DELETE, {"a", 1}, {"t", 1}, 5},
        {RPC_FILE_PUT, {"", 0}, {"t", 1}, 5},         {RPC_FILE_PUT, {"a/b", 3}, {"t", 1}, 5},
        {RPC_FILE_PUT, {"..", 2}, {"t", 1}, 5},       {RPC_FILE_PUT, {"a\0b", 3}, {"t", 1}, 5},
        {RPC_FILE_PUT, {"\xff", 1}, {"t", 1}, 5},     {RPC_FILE_PUT, {"a", 1}, {"../t", 4}, 5},
        {RPC_FILE_PUT, {"a", 1}, {"", 0}, 5},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out = BUF_INIT;
        struct rpc_file f;
        rpc_file_encode(&out, &bad[i]);
        struct codec_reader r = codec_reader_of(out.data, out.len);
        ck_assert_msg(!rpc_file_next(&r, &f) && r.failed, "case %zu", i);
        buf_free(&out);
    }
}
END_TEST

START_TEST(load_and_reset_round_trip)
{
    struct buf out = BUF_INIT, writes = two_writes(), files = two_files();
    struct rpc_load got, m = {.object_id = span_of("a"),
                              .path = span_of("/o/a.py"),
                              .source = span_of("x = 1\n"),
                              .settings = span_of("{}"),
                              .state = {true, 2, span_of_buf(&writes), {2, span_of_buf(&files)}}};
    rpc_load_encode(&out, &m);
    ck_assert(rpc_load_decode(span_of_buf(&out), &got));
    ck_assert(got.state.has_checkpoint && span_equal(got.source, "x = 1\n"));
    ASSERT_ONLY_WHOLE(load, out);
    buf_reset(&out, 0);
    struct rpc_reset reset = {.state = m.state};
    rpc_reset_encode(&out, &reset);
    ASSERT_ONLY_WHOLE(reset, out);
    reset.state.write_count = 7;
    buf_reset(&out, 0);
    rpc_reset_encode(&out, &reset);
    ck_assert(!rpc_reset_decode(span_of_buf(&out), &reset));
    buf_reset(&out, 0);
    reset = (struct rpc_reset){.state = m.state};
    reset.state.files.count = 1;
    rpc_reset_encode(&out, &reset);
    ck_assert(!rpc_reset_decode(span_of_buf(&out), &reset));
    buf_free(&files);
    buf_free(&out);
    buf_free(&writes);
}
END_TEST

START_TEST(small_payloads_only_whole)
{
    struct buf out = BUF_INIT, writes = two_writes();
    rpc_hello_encode(&out, &(struct rpc_hello){RPC_VERSION, RPC_FROM_WORKER});
    ASSERT_ONLY_WHOLE(hello, out);
    buf_reset(&out, 0);
    rpc_ready_encode(&out, &(struct rpc_ready){span_of("{}"), true, false, 7});
    ASSERT_ONLY_WHOLE(ready, out);
    buf_reset(&out, 0);
    rpc_load_failed_encode(&out, &(struct rpc_load_failed){span_of("e"), span_of("t"), 3});
    ASSERT_ONLY_WHOLE(load_failed, out);
    buf_reset(&out, 0);
    rpc_stream_chunk_encode(&out, &(struct rpc_stream_chunk){span_of("abc"), 0});
    ASSERT_ONLY_WHOLE(stream_chunk, out);
    buf_reset(&out, 0);
    rpc_stream_end_encode(&out, &(struct rpc_stream_end){span_of("")});
    ASSERT_ONLY_WHOLE(stream_end, out);
    buf_reset(&out, 0);
    rpc_log_encode(&out, &(struct rpc_log){span_of("INFO"), 1, span_of("m"), span_of("{}")});
    ASSERT_ONLY_WHOLE(log, out);
    buf_reset(&out, 0);
    rpc_outside_writes_encode(&out, &(struct rpc_outside_writes){2, span_of_buf(&writes)});
    ASSERT_ONLY_WHOLE(outside_writes, out);
    buf_reset(&out, 0);
    struct buf files = two_files();
    rpc_files_applied_encode(&out, &(struct rpc_files_applied){{2, span_of_buf(&files)}});
    ASSERT_ONLY_WHOLE(files_applied, out);
    buf_reset(&out, 0);
    rpc_update_encode(&out,
                      &(struct rpc_update){2, span_of_buf(&writes), {2, span_of_buf(&files)}});
    ASSERT_ONLY_WHOLE(update, out);
    buf_free(&files);
    buf_reset(&out, 0);
    rpc_spawn_encode(&out, &(struct rpc_spawn){.slot = 1, .generation = 2});
    ASSERT_ONLY_WHOLE(spawn, out);
    buf_reset(&out, 0);
    rpc_spawned_encode(&out, &(struct rpc_spawned){1, 2, 3});
    ASSERT_ONLY_WHOLE(spawned, out);
    buf_reset(&out, 0);
    rpc_spawn_failed_encode(&out, &(struct rpc_spawn_failed){1, 2, 3});
    ASSERT_ONLY_WHOLE(spawn_failed, out);
    ck_assert(rpc_empty_decode((struct span){"", 0}));
    ck_assert(!rpc_empty_decode((struct span){"x", 1}));
    buf_free(&out);
    buf_free(&writes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc");
    TCase *tc = tcase_create("messages");
    tcase_add_test(tc, every_message_has_a_name_a_number_of_its_own_and_a_sender);
    tcase_add_test(tc, call_round_trip);
    tcase_add_test(tc, call_refuses_contradictions);
    tcase_add_test(tc, ask_and_answer_round_trip);
    tcase_add_test(tc, ask_refuses_contradictions);
    tcase_add_test(tc, turn_done_round_trip);
    tcase_add_test(tc, turn_done_refuses_contradictions);
    tcase_add_test(tc, writes_refuse_what_makes_no_sense);
    tcase_add_test(tc, files_refuse_what_makes_no_sense);
    tcase_add_test(tc, load_and_reset_round_trip);
    tcase_add_test(tc, small_payloads_only_whole);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
