// SPDX-License-Identifier: Apache-2.0
/* links: common/channel.c common/rpc.c common/codec.c common/buf.c common/memfd.c
 * supervisor/scribe/scribe_rpc.c */
/*
 * Both ends of every RPC socket against arbitrary bytes. The first byte says what the rest is:
 *   0x00-0x3f  one payload for the decoder of that number; what decodes must encode to the same
 * bytes 0x40-0x7f  a stream of frames to a channel whose other end is a supervisor, worker, nursery
 * or scribe (low two bits); bit 2: after a good HELLO; bit 3: a sealed memfd rides along 0x80-0xff
 * a region of a dead worker's outbox
 */
#include "common/channel.h"
#include "common/memfd.h"
#include "supervisor/scribe/scribe_rpc.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DECODE_AND_ENCODE(prefix, name)                                \
    static void try_##name(struct span payload)                        \
    {                                                                  \
        struct prefix##_##name m;                                      \
        struct buf out = BUF_INIT;                                     \
        if (!prefix##_##name##_decode(payload, &m))                    \
            return;                                                    \
        prefix##_##name##_encode(&out, &m);                            \
        if (!buf_ok(&out) || out.len != payload.len ||                 \
            (out.len && memcmp(out.data, payload.data, out.len) != 0)) \
            abort();                                                   \
        buf_free(&out);                                                \
    }

DECODE_AND_ENCODE(rpc, hello)
DECODE_AND_ENCODE(rpc, load)
DECODE_AND_ENCODE(rpc, reset)
DECODE_AND_ENCODE(rpc, call)
DECODE_AND_ENCODE(rpc, ready)
DECODE_AND_ENCODE(rpc, load_failed)
DECODE_AND_ENCODE(rpc, turn_done)
DECODE_AND_ENCODE(rpc, stream_chunk)
DECODE_AND_ENCODE(rpc, stream_end)
DECODE_AND_ENCODE(rpc, log)
DECODE_AND_ENCODE(rpc, outside_writes)
DECODE_AND_ENCODE(rpc, spawn)
DECODE_AND_ENCODE(rpc, spawned)
DECODE_AND_ENCODE(rpc, spawn_failed)
DECODE_AND_ENCODE(scribe_rpc, checkpoint)
DECODE_AND_ENCODE(scribe_rpc, checkpointed)
DECODE_AND_ENCODE(scribe_rpc, dump)
DECODE_AND_ENCODE(scribe_rpc, search)
DECODE_AND_ENCODE(scribe_rpc, document)

static void (*const payloads[])(struct span payload) = {
    try_hello,          try_load,      try_reset,        try_call,         try_ready,
    try_load_failed,    try_turn_done, try_stream_chunk, try_stream_end,   try_log,
    try_outside_writes, try_spawn,     try_spawned,      try_spawn_failed, try_checkpoint,
    try_checkpointed,   try_dump,      try_search,       try_document,
};
enum { PAYLOADS = sizeof(payloads) / sizeof(payloads[0]) };

static void try_payload(unsigned which, struct span payload)
{
    payloads[which % PAYLOADS](payload);
    rpc_empty_decode(payload);
}

static void read_all(struct channel *c)
{
    const char *reason;
    struct frame f;
    for (;;) {
        int got = channel_next(c, &f, &reason);
        if (got < 0)
            return;
        if (got > 0) {
            if (f.fd_count && f.id % 2)
                close(channel_take_fd(c, 0));
            continue;
        }
        if (channel_receive(c) <= 0)
            return;
    }
}

static void send_with_memfd(int fd, struct span bytes)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    int memfd = memfd_of("fuzz", bytes.data, bytes.len / 2);
    struct iovec iov = {(void *)bytes.data, bytes.len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &memfd, sizeof(int));
    if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
        abort();
    close(memfd);
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
    channel_init(&reader, sockets[0], self, peer, 65536);
    if (mode & 4) {
        channel_init(&hello, sockets[1], peer, self, 65536);
        channel_flush(&hello);
        hello.fd = -1;
        channel_free(&hello);
    }
    if (mode & 8)
        send_with_memfd(sockets[1], bytes);
    else if (write(sockets[1], bytes.data, bytes.len) < 0)
        abort();
    close(sockets[1]);
    read_all(&reader);
    channel_free(&reader);
}

static void try_region(struct span region)
{
    struct frame f;
    const char *reason;
    while (frame_parse(&region, RPC_FROM_WORKER, &f, &reason) > 0)
        for (unsigned i = 0; i < PAYLOADS; i++)
            payloads[i](f.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    if (data[0] < 0x40)
        try_payload(data[0], rest);
    else if (data[0] < 0x80)
        try_channel(data[0], rest);
    else
        try_region(rest);
    return 0;
}
