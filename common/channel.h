// SPDX-License-Identifier: Apache-2.0
/*
 * channel - frames over one stream socket, in batches, with descriptors.
 *
 * Writing: channel_begin(), codec_put_…(&c->out, …), channel_end(); many frames gather in one
 * buffer and channel_flush() sends them with few sendmsg. A payload above RPC_INLINE_MAX is moved
 * into a sealed memfd by channel_end(). Descriptors given to channel_end() belong to the channel
 * from then on and are closed once sent (or when the channel is freed).
 *
 * Reading: channel_receive() does one recvmsg; channel_next() yields each whole frame. A frame's
 * payload and descriptors are borrowed until the next call of either; channel_take_fd() takes one,
 * the rest is closed.
 *
 * The socket may be blocking or not. One thread.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include "common/rpc.h"

#include <sys/types.h>

struct channel_fd {
    int fd;
    size_t offset; /* in `out`: the descriptor may be sent with any byte up to here, not later */
};

enum { CHANNEL_FDS_MAX = 64 /* received and not yet claimed by a frame */ };

struct channel {
    int fd;
    enum rpc_sender peer; /* what the other end is */
    size_t payload_max;   /* bytes; a longer frame is a protocol error */
    /* Of a peer that is not trusted and sends descriptors only with the first byte of their own
     * frame: how many one may have, a spilled payload's among them; others are a protocol error. 0:
     * of any peer. */
    size_t own_fds_max;
    bool greeted;   /* the other end's HELLO was seen */
    struct buf out; /* encoded, not yet sent */
    struct channel_fd *out_fds;
    size_t out_fd_count, out_fd_cap;
    uint64_t received; /* bytes, since the start */
    struct buf in;     /* received; frames are parsed in place */
    size_t in_pos;     /* start of the next frame in `in` */
    int in_fds[CHANNEL_FDS_MAX];
    size_t in_fd_count;
    char *spilled; /* payload of the current frame when it came as a memfd */
    int frame_fds[RPC_FDS_MAX];
    size_t frame_fd_count;
};

struct frame {
    enum rpc_type type;
    uint64_t id;
    struct span payload;
    size_t fd_count;
};

/* Takes the socket over. Queues our HELLO as the first frame. */
void channel_init(struct channel *c, int fd, enum rpc_sender self, enum rpc_sender peer,
                  size_t payload_max);
/* Closes the socket and every descriptor held. */
void channel_free(struct channel *c);

/* Returns the offset to hand to channel_end. */
size_t channel_begin(struct channel *c, enum rpc_type type, uint64_t id);
/*
 * Finishes the frame and queues it with its descriptors, which are closed on failure too. 0 or
 * -ENOMEM or another -errno of making the memfd; on failure the frame is gone without a trace.
 */
int channel_end(struct channel *c, size_t frame, const int *fds, size_t fd_count);
/*
 * Sends what is queued: 0 when all is gone, -EAGAIN when the socket is full (the rest stays), else
 * -errno: the channel is dead.
 */
int channel_flush(struct channel *c);
static inline bool channel_has_output(const struct channel *c)
{
    return c->out.len > 0;
}

/* One recvmsg: bytes received, 0 at end of file, -EAGAIN, or another -errno. */
ssize_t channel_receive(struct channel *c);
/* The same without waiting, on a blocking socket too. */
ssize_t channel_receive_now(struct channel *c);
/*
 * 1: *f is the next frame. 0: no whole frame is left. -EPROTO: the other end breaks the protocol
 * (*reason says how, a static string); -ENOMEM.
 */
int channel_next(struct channel *c, struct frame *f, const char **reason);
/* Takes descriptor i of the frame last returned by channel_next; the caller closes it. */
int channel_take_fd(struct channel *c, size_t i);

#endif
