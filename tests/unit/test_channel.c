// SPDX-License-Identifier: Apache-2.0
/* links: common/channel.c common/rpc.c common/file_store.c common/utf8.c common/codec.c
 * common/buf.c common/memfd.c */
/* Frames over a real socket pair: batches, descriptors, spilled payloads, and what is refused. */
#include "common/channel.h"
#include "common/memfd.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 1 << 20 };

static struct channel supervisor, worker;

static unsigned open_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void connect_ends(void)
{
    int sockets[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    channel_init(&supervisor, sockets[0], RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, PAYLOAD_MAX);
    channel_init(&worker, sockets[1], RPC_FROM_WORKER, RPC_FROM_SUPERVISOR, PAYLOAD_MAX);
}

static void free_ends(void)
{
    channel_free(&supervisor);
    channel_free(&worker);
}

static int put_chunk(struct channel *c, uint64_t id, const void *bytes, size_t len, uint64_t size,
                     int fd)
{
    size_t frame = channel_begin(c, RPC_STREAM_CHUNK, id);
    rpc_stream_chunk_encode(&c->out, &(struct rpc_stream_chunk){{bytes, len}, size});
    return channel_end(c, frame, &fd, fd >= 0 ? 1 : 0);
}

/* The next frame at the supervisor, receiving as often as needed; the result of channel_next. */
static int next_frame(struct frame *f, const char **reason)
{
    for (;;) {
        int got = channel_next(&supervisor, f, reason);
        if (got != 0)
            return got;
        channel_flush(&worker);
        ssize_t n = channel_receive(&supervisor);
        if (n <= 0)
            return 0;
    }
}

START_TEST(a_batch_arrives_in_order)
{
    struct frame f;
    const char *reason;
    for (uint64_t id = 1; id <= 5000; id++)
        ck_assert_int_eq(put_chunk(&worker, id, "abc", 3, 0, -1), 0);
    for (uint64_t id = 1; id <= 5000; id++) {
        struct rpc_stream_chunk m;
        ck_assert_int_eq(next_frame(&f, &reason), 1);
        ck_assert_uint_eq(f.id, id);
        ck_assert(rpc_stream_chunk_decode(f.payload, &m) && span_equal(m.bytes, "abc"));
    }
    ck_assert_int_eq(next_frame(&f, &reason), 0);
}
END_TEST

START_TEST(descriptors_stay_with_their_frames)
{
    struct frame f;
    const char *reason;
    for (uint64_t id = 1; id <= 100; id++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", (int)id);
        int fd = id % 3 ? memfd_of("t", text, (size_t)n) : -1;
        ck_assert_int_eq(put_chunk(&worker, id, "", 0, fd < 0 ? 0 : (uint64_t)n, fd), 0);
    }
    for (uint64_t id = 1; id <= 100; id++) {
        char text[16] = "";
        ck_assert_int_eq(next_frame(&f, &reason), 1);
        ck_assert_uint_eq(f.fd_count, id % 3 ? 1 : 0);
        if (f.fd_count && id % 2) { /* the others are left for the channel to close */
            int fd = channel_take_fd(&supervisor, 0);
            ck_assert_int_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
            ck_assert_int_eq(atoi(text), (int)id);
            close(fd);
        }
    }
}
END_TEST

START_TEST(a_large_payload_is_spilled)
{
    struct frame f;
    const char *reason;
    size_t len = RPC_INLINE_MAX * 3;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)i;
    int body = memfd_of("body", "xyz", 3);
    size_t frame = channel_begin(&worker, RPC_STREAM_CHUNK, 7);
    rpc_stream_chunk_encode(&worker.out, &(struct rpc_stream_chunk){{bytes, len}, 0});
    ck_assert_int_eq(channel_end(&worker, frame, &body, 1), 0);
    ck_assert_int_eq(put_chunk(&worker, 8, "z", 1, 0, -1), 0);
    ck_assert_uint_lt(worker.out.len, 200);
    struct rpc_stream_chunk m;
    ck_assert_int_eq(next_frame(&f, &reason), 1);
    ck_assert(rpc_stream_chunk_decode(f.payload, &m));
    ck_assert_uint_eq(m.bytes.len, len);
    ck_assert_mem_eq(m.bytes.data, bytes, len);
    ck_assert_uint_eq(f.fd_count, 1);
    ck_assert_int_eq(next_frame(&f, &reason), 1);
    ck_assert_uint_eq(f.id, 8);
    free(bytes);
}
END_TEST

static void send_raw(const struct rpc_header *h, const void *payload, size_t len)
{
    channel_flush(&worker);
    ck_assert_int_eq(write(worker.fd, h, sizeof(*h)), sizeof(*h));
    if (len)
        ck_assert_int_eq(write(worker.fd, payload, len), (ssize_t)len);
}

static void assert_refused(const struct rpc_header *h, const char *why)
{
    struct frame f;
    const char *reason = NULL;
    char zeros[16] = {0};
    send_raw(h, zeros, h->length < sizeof(zeros) ? h->length : 0);
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, why);
}

START_TEST(hostile_headers_are_refused)
{
    static const struct {
        struct rpc_header header;
        const char *why;
    } cases[] = {
        {{.type = 999}, "unknown message, or not for this sender to send"},
        {{.type = RPC_CALL}, "unknown message, or not for this sender to send"},
        {{.type = RPC_READY, .fds = 1}, "unknown message, or not for this sender to send"},
        {{.type = RPC_READY, .flags = 0x80}, "unknown flags"},
        {{.type = RPC_READY, .length = PAYLOAD_MAX + 1}, "payload above the limit"},
        {{.type = RPC_READY, .length = RPC_INLINE_MAX + 1}, "inline payload above RPC_INLINE_MAX"},
        {{.type = RPC_READY, .length = 8, .flags = RPC_FLAG_SPILLED},
         "spilled payload without its descriptor"},
        {{.type = RPC_STREAM_CHUNK, .fds = 1}, "frame without its descriptors"},
        {{.type = RPC_HELLO, .length = 0}, "second HELLO"},
    };
    assert_refused(&cases[_i].header, cases[_i].why);
}
END_TEST

START_TEST(an_unsealed_memfd_is_refused)
{
    struct frame f;
    const char *reason;
    int fd = memfd_new("open");
    ck_assert_int_eq(memfd_write(fd, "12345678", 8), 0);
    ck_assert_int_eq(memfd_verify(fd, 8), -EBADMSG);
    ck_assert_int_eq(memfd_seal(fd), 0);
    ck_assert_int_eq(memfd_verify(fd, 8), 0);
    ck_assert_int_eq(memfd_verify(fd, 7), -EBADMSG);
    int null_fd = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(memfd_verify(null_fd, 0), -EBADMSG);
    close(null_fd);
    /* A header that claims another length than its memfd has. */
    struct rpc_header h = {
        .type = RPC_STREAM_CHUNK, .length = 9, .flags = RPC_FLAG_SPILLED, .fds = 0};
    put_chunk(&worker, 1, "", 0, 0, fd);
    memcpy(worker.out.data + worker.out.len - (16 + 5 + 9), &h, sizeof(h));
    worker.out.len -= 5 + 9;
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, "spilled payload is not a sealed memfd of its length");
}
END_TEST

/* Queues a frame of 30 bytes with a descriptor that its header does not name. */
static void put_surplus(void)
{
    put_chunk(&worker, 1, "", 0, 0, open("/dev/null", O_RDONLY));
    worker.out.data[worker.out.len - (16 + 5 + 9) + offsetof(struct rpc_header, fds)] = 0;
}

START_TEST(descriptors_of_no_frame_are_refused)
{
    struct frame f;
    const char *reason;
    supervisor.own_fds_max = 2;
    ck_assert_int_eq(put_chunk(&worker, 1, "", 0, 0, memfd_of("t", "x", 1)), 0);
    ck_assert_int_eq(next_frame(&f, &reason), 1);
    ck_assert_int_eq(next_frame(&f, &reason), 0);
    put_surplus();
    ck_assert_int_eq(next_frame(&f, &reason), 1);
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, "descriptors of no frame");
}
END_TEST

START_TEST(more_descriptors_than_a_frame_has_are_refused)
{
    struct frame f;
    const char *reason;
    supervisor.own_fds_max = 2;
    put_chunk(&worker, 1, "", 0, 0, open("/dev/null", O_RDONLY));
    worker.out.len -= 9; /* the rest of it comes later */
    ck_assert_int_eq(next_frame(&f, &reason), 0);
    put_surplus();
    worker.out.len = 1;
    ck_assert_int_eq(next_frame(&f, &reason), 0);
    put_surplus();
    worker.out.len = 1;
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, "descriptors of no frame");
}
END_TEST

/* A socket that would hold its last owner in close(), and a second descriptor of it. */
static int lingering(int *kept)
{
    static const struct linger armed = {.l_onoff = 1, .l_linger = 60};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &armed, sizeof(armed)), 0);
    *kept = dup(fd);
    return fd;
}

static void assert_disarmed(int kept)
{
    struct linger l;
    socklen_t size = sizeof(l);
    ck_assert_int_eq(getsockopt(kept, SOL_SOCKET, SO_LINGER, &l, &size), 0);
    ck_assert_int_eq(l.l_onoff, 0);
    close(kept);
}

START_TEST(a_socket_that_lingers_holds_up_nobody)
{
    enum { OF_FRAME = 3, ALL };
    struct frame f;
    const char *reason;
    int kept[ALL];
    supervisor.own_fds_max = 1;
    put_chunk(&worker, 1, "", 0, 0, lingering(&kept[0])); /* one that nobody takes */
    ck_assert_int_eq(next_frame(&f, &reason), 1);
    ck_assert_int_eq(next_frame(&f, &reason), 0);
    int fds[RPC_FDS_MAX] = {lingering(&kept[1]), lingering(&kept[2])};
    size_t frame = channel_begin(&worker, RPC_STREAM_CHUNK, 2); /* more than it may have */
    rpc_stream_chunk_encode(&worker.out, &(struct rpc_stream_chunk){{"", 0}, 0});
    ck_assert_int_eq(channel_end(&worker, frame, fds, 2), 0);
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    put_chunk(&worker, 3, "", 0, 0, lingering(&kept[OF_FRAME])); /* never read */
    ck_assert_int_eq(channel_flush(&worker), 0);
    channel_free(&supervisor);
    for (int i = 0; i < ALL; i++)
        assert_disarmed(kept[i]);
}
END_TEST

START_TEST(a_payload_that_lingers_holds_up_nobody)
{
    struct rpc_header h = {.type = RPC_STREAM_CHUNK, .length = 9, .flags = RPC_FLAG_SPILLED};
    struct frame f;
    const char *reason;
    int kept;
    put_chunk(&worker, 1, "", 0, 0, lingering(&kept));
    memcpy(worker.out.data + worker.out.len - (16 + 5 + 9), &h, sizeof(h));
    worker.out.len -= 5 + 9;
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, "spilled payload is not a sealed memfd of its length");
    assert_disarmed(kept);
}
END_TEST

START_TEST(the_first_frame_must_be_our_hello)
{
    struct frame f;
    const char *reason;
    buf_reset(&worker.out, 0); /* drop the queued HELLO */
    put_chunk(&worker, 1, "", 0, 0, -1);
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, "first frame is no HELLO");
}
END_TEST

START_TEST(another_version_or_role_is_refused)
{
    static const struct rpc_hello hellos[] = {{RPC_VERSION + 1, RPC_FROM_WORKER},
                                              {RPC_VERSION, RPC_FROM_NURSERY}};
    static const char *const why[] = {"other protocol version", "HELLO of another role"};
    struct frame f;
    const char *reason;
    buf_reset(&worker.out, 0);
    size_t frame = channel_begin(&worker, RPC_HELLO, 0);
    rpc_hello_encode(&worker.out, &hellos[_i]);
    channel_end(&worker, frame, NULL, 0);
    ck_assert_int_eq(next_frame(&f, &reason), -EPROTO);
    ck_assert_str_eq(reason, why[_i]);
}
END_TEST

START_TEST(a_full_socket_keeps_the_rest)
{
    struct frame f;
    const char *reason;
    static char bytes[RPC_INLINE_MAX / 2];
    size_t count = 0, seen = 0;
    do
        ck_assert_int_eq(put_chunk(&worker, ++count, bytes, sizeof(bytes), 0, -1), 0);
    while (channel_flush(&worker) == 0);
    ck_assert(channel_has_output(&worker));
    while (seen < count && next_frame(&f, &reason) == 1)
        ck_assert_uint_eq(f.id, ++seen);
    ck_assert_uint_eq(seen, count);
    ck_assert(!channel_has_output(&worker));
}
END_TEST

START_TEST(nothing_leaks)
{
    unsigned before = open_fds();
    connect_ends();
    struct frame f;
    const char *reason;
    for (uint64_t id = 1; id <= 10; id++)
        put_chunk(&worker, id, "", 0, 1, memfd_of("t", "x", 1));
    ck_assert_int_eq(next_frame(&f, &reason), 1); /* the others are received, never claimed */
    put_chunk(&worker, 11, "", 0, 1, memfd_of("t", "x", 1)); /* never sent */
    free_ends();
    ck_assert_uint_eq(open_fds(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel");
    TCase *tc = tcase_create("ends");
    tcase_add_checked_fixture(tc, connect_ends, free_ends);
    tcase_add_test(tc, a_batch_arrives_in_order);
    tcase_add_test(tc, descriptors_stay_with_their_frames);
    tcase_add_test(tc, a_large_payload_is_spilled);
    tcase_add_loop_test(tc, hostile_headers_are_refused, 0, 9);
    tcase_add_test(tc, an_unsealed_memfd_is_refused);
    tcase_add_test(tc, descriptors_of_no_frame_are_refused);
    tcase_add_test(tc, more_descriptors_than_a_frame_has_are_refused);
    tcase_add_test(tc, a_socket_that_lingers_holds_up_nobody);
    tcase_add_test(tc, a_payload_that_lingers_holds_up_nobody);
    tcase_add_test(tc, the_first_frame_must_be_our_hello);
    tcase_add_loop_test(tc, another_version_or_role_is_refused, 0, 2);
    tcase_add_test(tc, a_full_socket_keeps_the_rest);
    suite_add_tcase(suite, tc);
    TCase *leaks = tcase_create("leaks");
    tcase_add_test(leaks, nothing_leaks);
    suite_add_tcase(suite, leaks);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
