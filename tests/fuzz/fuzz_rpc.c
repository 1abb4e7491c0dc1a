// SPDX-License-Identifier: Apache-2.0
/* links: common/channel.c common/rpc.c common/file_store.c common/utf8.c common/codec.c
 * common/buf.c common/memfd.c common/fd_io.c supervisor/scribe/scribe_rpc.c */
/*
 * Both ends of every RPC socket against arbitrary bytes. The first byte says what the rest is:
 *   0x00-0x3f  wire number of a message (one byte), then a payload for its decoder; what decodes
 *              must encode to the same bytes
 *   0x40-0x7f  a stream of frames to a channel whose other end is a supervisor, worker, nursery or
 *              scribe (low two bits); bit 2: after a good HELLO; bit 3: a descriptor rides
 *              along (bits 4 and 5: enum rider)
 *   0x80-0xff  the unsent rest of a dead worker's outbox
 * tests/fuzz/seeds_rpc.py makes inputs that reach every branch of the decoders.
 */
#include "common/channel.h"
#include "common/memfd.h"
#include "supervisor/scribe/scribe_rpc.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 2 * RPC_INLINE_MAX };

/* A row a message: its struct, decoder and encoder have one name. */
#define MESSAGES(PAYLOAD, EMPTY)                         \
    PAYLOAD(HELLO, rpc_hello)                            \
    PAYLOAD(LOAD, rpc_load)                              \
    PAYLOAD(RESET, rpc_reset)                            \
    PAYLOAD(CALL, rpc_call)                              \
    PAYLOAD(READY, rpc_ready)                            \
    PAYLOAD(LOAD_FAILED, rpc_load_failed)                \
    PAYLOAD(TURN_DONE, rpc_turn_done)                    \
    PAYLOAD(ASK, rpc_ask)                                \
    PAYLOAD(ANSWER, rpc_answer)                          \
    PAYLOAD(STREAM_CHUNK, rpc_stream_chunk)              \
    PAYLOAD(STREAM_END, rpc_stream_end)                  \
    PAYLOAD(LOG, rpc_log)                                \
    PAYLOAD(OUTSIDE_WRITES, rpc_outside_writes)          \
    PAYLOAD(UPDATE, rpc_update)                          \
    PAYLOAD(FILES_APPLIED, rpc_files_applied)            \
    PAYLOAD(IMPORTS, rpc_imports)                        \
    PAYLOAD(SPAWN, rpc_spawn)                            \
    PAYLOAD(BURY, rpc_bury)                              \
    PAYLOAD(SPAWNED, rpc_spawned)                        \
    PAYLOAD(SPAWN_FAILED, rpc_spawn_failed)              \
    PAYLOAD(CHECKPOINT, scribe_rpc_checkpoint)           \
    PAYLOAD(CHECKPOINTED, scribe_rpc_checkpointed)       \
    PAYLOAD(DUMP, scribe_rpc_dump)                       \
    PAYLOAD(SEARCH, scribe_rpc_search)                   \
    PAYLOAD(DOCUMENT, scribe_rpc_document)               \
    PAYLOAD(VERSION_WRITE, scribe_rpc_version_write)     \
    PAYLOAD(VERSION_WRITTEN, scribe_rpc_version_written) \
    PAYLOAD(VERSION_LIST, scribe_rpc_version_list)       \
    PAYLOAD(VERSION_READ, scribe_rpc_version_read)       \
    PAYLOAD(CRASH_WRITE, scribe_rpc_crash_write)         \
    PAYLOAD(CRASH_READ, scribe_rpc_crash_read)           \
    PAYLOAD(FILES, scribe_rpc_files)                     \
    PAYLOAD(FILES_DONE, scribe_rpc_files_done)           \
    PAYLOAD(LIST, scribe_rpc_list)                       \
    PAYLOAD(SCHEDULES, scribe_rpc_schedules)             \
    PAYLOAD(LOG_COUNT, scribe_rpc_log_count)             \
    PAYLOAD(LOG_KEEP, scribe_rpc_log_keep)               \
    PAYLOAD(LOG_SETUP, scribe_rpc_log_setup)             \
    PAYLOAD(LOG_REMOVED, scribe_rpc_log_removed)         \
    PAYLOAD(TREE_SCAN, scribe_rpc_tree_scan)             \
    PAYLOAD(TREE_FOUND, scribe_rpc_tree_found)           \
    PAYLOAD(MEASURE, scribe_rpc_measure)                 \
    PAYLOAD(MEASURED, scribe_rpc_measured)               \
    PAYLOAD(NUMBER, scribe_rpc_number)                   \
    EMPTY(STREAM_PULL)                                   \
    EMPTY(STREAM_CANCEL)                                 \
    EMPTY(EXIT)                                          \
    EMPTY(RESET_DONE)                                    \
    EMPTY(CANCEL)                                        \
    EMPTY(PROMOTE)

#define DECODE_AND_ENCODE(NAME, message)                               \
    static void try_##NAME(struct span payload)                        \
    {                                                                  \
        struct message m;                                              \
        struct buf out = BUF_INIT;                                     \
        if (!message##_decode(payload, &m))                            \
            return;                                                    \
        message##_encode(&out, &m);                                    \
        if (!buf_ok(&out) || out.len != payload.len ||                 \
            (out.len && memcmp(out.data, payload.data, out.len) != 0)) \
            abort();                                                   \
        buf_free(&out);                                                \
    }
#define NOTHING(NAME)
MESSAGES(DECODE_AND_ENCODE, NOTHING)

static void try_empty(struct span payload)
{
    rpc_empty_decode(payload);
}

static const struct {
    uint16_t type;
    void (*try)(struct span payload);
} decoders[] = {
#define PAYLOAD_ROW(NAME, message) {RPC_##NAME, try_##NAME},
#define EMPTY_ROW(NAME)            {RPC_##NAME, try_empty},
    MESSAGES(PAYLOAD_ROW, EMPTY_ROW)};
enum { DECODERS = sizeof(decoders) / sizeof(decoders[0]) };

enum {
    MESSAGES_IN_TABLE = 0
#define RPC_MESSAGE(name, number, sender, fds, meaning) +1
#include "common/rpc_messages.def"
#undef RPC_MESSAGE
};
static_assert(DECODERS == MESSAGES_IN_TABLE, "every message is fuzzed");

static void try_payload(uint16_t type, struct span payload)
{
    for (size_t i = 0; i < DECODERS; i++)
        if (decoders[i].type == type)
            decoders[i].try(payload);
}

/* All whole frames of what was received; false when the peer broke the protocol. */
static bool try_frames(struct channel *c)
{
    const char *reason;
    struct frame f;
    int got;
    while ((got = channel_next(c, &f, &reason)) > 0) {
        try_payload(f.type, f.payload);
        if (f.fd_count && f.id % 2)
            close(channel_take_fd(c, 0));
    }
    return got == 0;
}

enum rider { SECOND_HALF, NOTHING_IN_IT, NOT_SEALED, NO_MEMFD };

static int rider_new(enum rider rider, struct span bytes)
{
    size_t half = bytes.len / 2;
    switch (rider) {
    case SECOND_HALF:
        return memfd_of("fuzz", bytes.data + half, bytes.len - half);
    case NOTHING_IN_IT:
        return memfd_of("fuzz", "", 0);
    case NOT_SEALED:
        return memfd_new("fuzz");
    default:
        return dup(STDERR_FILENO);
    }
}

static void send_with_rider(int fd, enum rider rider, struct span bytes)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    int rider_fd = rider_new(rider, bytes);
    struct iovec iov = {(void *)bytes.data, bytes.len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &rider_fd, sizeof(int));
    if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
        abort();
    close(rider_fd);
}

static void try_channel(uint8_t mode, struct span bytes)
{
    enum rpc_sender peer = (enum rpc_sender)(1u << (mode & 3));
    enum rpc_sender self = peer == RPC_FROM_SUPERVISOR ? RPC_FROM_WORKER : RPC_FROM_SUPERVISOR;
    struct channel reader, hello;
    int sockets[2];
    if (bytes.len == 0 || bytes.len > 32768 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) < 0)
        return;
    channel_init(&reader, sockets[0], self, peer, PAYLOAD_MAX);
    if (mode & 4) {
        channel_init(&hello, sockets[1], peer, self, PAYLOAD_MAX);
        channel_flush(&hello);
        hello.fd = -1;
        channel_free(&hello);
    }
    if (mode & 8)
        send_with_rider(sockets[1], (enum rider)(mode >> 4 & 3), bytes);
    else if (write(sockets[1], bytes.data, bytes.len) < 0)
        abort();
    close(sockets[1]);
    while (try_frames(&reader) && channel_receive(&reader) > 0)
        ;
    channel_free(&reader);
}

/* As worker.c does with it: the channel is greeted, nothing but these bytes will come. */
static void try_outbox(struct span rest)
{
    struct channel reader;
    channel_init(&reader, -1, RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, PAYLOAD_MAX);
    reader.greeted = true;
    buf_append(&reader.in, rest.data, rest.len);
    try_frames(&reader);
    channel_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    if (data[0] < 0x40 && size > 1)
        try_payload(data[1], (struct span){(const char *)data + 2, size - 2});
    else if (data[0] >= 0x40 && data[0] < 0x80)
        try_channel(data[0], rest);
    else if (data[0] >= 0x80)
        try_outbox(rest);
    return 0;
}
