// SPDX-License-Identifier: Apache-2.0
#include "common/channel.h"

#include "common/memfd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECEIVE_CHUNK = 64 * 1024,
    OUT_KEEP_CAP = 256 * 1024, /* what an idle channel keeps allocated */
    SEND_FDS_MAX = 32,         /* descriptors of one sendmsg */
    KERNEL_FDS_MAX = 253,      /* what one recvmsg may bring: the kernel closes none of them */
};

void channel_init(struct channel *c, int fd, enum rpc_sender self, enum rpc_sender peer,
                  size_t payload_max)
{
    *c = (struct channel){.fd = fd, .peer = peer, .payload_max = payload_max};
    size_t frame = channel_begin(c, RPC_HELLO, 0);
    rpc_hello_encode(&c->out, &(struct rpc_hello){.version = RPC_VERSION, .role = self});
    channel_end(c, frame, NULL, 0); /* lack of memory shows at the next frame */
}

static void close_frame_fds(struct channel *c)
{
    for (size_t i = 0; i < c->frame_fd_count; i++)
        if (c->frame_fds[i] >= 0)
            memfd_drop(c->frame_fds[i]);
    c->frame_fd_count = 0;
}

static void drop_unclaimed_fds(struct channel *c)
{
    for (size_t i = 0; i < c->in_fd_count; i++)
        memfd_drop(c->in_fds[i]);
    c->in_fd_count = 0;
}

/* What was sent and not read the kernel would close, in our time too. */
static void drop_unread(struct channel *c)
{
    shutdown(c->fd, SHUT_RDWR); /* nothing more comes */
    do {
        c->in.len = c->in_pos = 0;
        drop_unclaimed_fds(c);
    } while (channel_receive_now(c) > 0);
}

void channel_free(struct channel *c)
{
    close_frame_fds(c);
    drop_unclaimed_fds(c);
    if (c->fd >= 0 && c->own_fds_max)
        drop_unread(c);
    for (size_t i = 0; i < c->out_fd_count; i++)
        close(c->out_fds[i].fd);
    if (c->fd >= 0)
        close(c->fd);
    free(c->out_fds);
    free(c->spilled);
    buf_free(&c->in);
    buf_free(&c->out);
    *c = (struct channel){.fd = -1};
}

size_t channel_begin(struct channel *c, enum rpc_type type, uint64_t id)
{
    struct rpc_header header = {.type = (uint16_t)type, .id = id};
    size_t frame = c->out.len;
    buf_append(&c->out, &header, sizeof(header));
    return frame;
}

static int queue_fd(struct channel *c, int fd, size_t offset)
{
    if (c->out_fd_count == c->out_fd_cap) {
        size_t cap = c->out_fd_cap ? c->out_fd_cap * 2 : 8;
        struct channel_fd *grown = realloc(c->out_fds, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        c->out_fds = grown;
        c->out_fd_cap = cap;
    }
    c->out_fds[c->out_fd_count++] = (struct channel_fd){fd, offset};
    return 0;
}

/* Moves the payload of the frame at the end of `out` into a memfd. */
static int spill_payload(struct channel *c, size_t frame)
{
    size_t payload = frame + sizeof(struct rpc_header);
    int fd = memfd_of("rpc-payload", c->out.data + payload, c->out.len - payload);
    if (fd < 0)
        return fd;
    int err = queue_fd(c, fd, frame);
    if (err) {
        close(fd);
        return err;
    }
    c->out.len = payload;
    return 0;
}

static int finish_frame(struct channel *c, size_t frame, size_t fd_count)
{
    if (!buf_ok(&c->out) || c->out.len < frame + sizeof(struct rpc_header))
        return -ENOMEM;
    size_t length = c->out.len - frame - sizeof(struct rpc_header);
    if (length > UINT32_MAX || fd_count > RPC_FDS_MAX)
        return -EMSGSIZE;
    struct rpc_header header;
    memcpy(&header, c->out.data + frame, sizeof(header));
    header.length = (uint32_t)length;
    header.fds = (uint8_t)fd_count;
    if (length > RPC_INLINE_MAX) {
        int err = spill_payload(c, frame);
        if (err)
            return err;
        header.flags |= RPC_FLAG_SPILLED;
    }
    memcpy(c->out.data + frame, &header, sizeof(header));
    return 0;
}

static void forget_frame(struct channel *c, size_t frame, size_t fd_mark)
{
    while (c->out_fd_count > fd_mark)
        close(c->out_fds[--c->out_fd_count].fd);
    c->out.len = c->out.len > frame ? frame : c->out.len;
    c->out.failed = false;
}

int channel_end(struct channel *c, size_t frame, const int *fds, size_t fd_count)
{
    size_t fd_mark = c->out_fd_count, queued = 0;
    int err = finish_frame(c, frame, fd_count);
    while (!err && queued < fd_count) {
        err = queue_fd(c, fds[queued], frame);
        queued += err ? 0 : 1;
    }
    if (err) {
        forget_frame(c, frame, fd_mark);
        for (size_t i = queued; i < fd_count; i++)
            close(fds[i]);
    }
    return err;
}

/* Bytes that may go with the first `fds` descriptors: up to the frame of the one after them. */
static size_t sendable(const struct channel *c, size_t fds)
{
    return fds < c->out_fd_count ? c->out_fds[fds].offset : c->out.len;
}

static void drop_sent_fds(struct channel *c, size_t bytes, size_t fds)
{
    if (c->out_fd_count == 0)
        return;
    for (size_t i = 0; i < fds; i++)
        close(c->out_fds[i].fd);
    c->out_fd_count -= fds;
    memmove(c->out_fds, c->out_fds + fds, c->out_fd_count * sizeof(*c->out_fds));
    for (size_t i = 0; i < c->out_fd_count; i++)
        c->out_fds[i].offset -= c->out_fds[i].offset < bytes ? c->out_fds[i].offset : bytes;
}

static void drop_sent(struct channel *c, size_t bytes, size_t fds)
{
    drop_sent_fds(c, bytes, fds);
    if (bytes == c->out.len)
        buf_reset(&c->out, OUT_KEEP_CAP);
    else
        buf_consume(&c->out, bytes);
}

static ssize_t send_some(struct channel *c, size_t *fds)
{
    char control[CMSG_SPACE(sizeof(int) * SEND_FDS_MAX)] = {0};
    *fds = c->out_fd_count < SEND_FDS_MAX ? c->out_fd_count : SEND_FDS_MAX;
    /* Several frames may share an offset only when it is their own: never cut before frame one. */
    while (*fds < c->out_fd_count && sendable(c, *fds) == 0)
        (*fds)++;
    struct iovec iov = {c->out.data, sendable(c, *fds)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (*fds > SEND_FDS_MAX)
        return -EMSGSIZE;
    if (*fds > 0) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * *fds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * *fds);
        for (size_t i = 0; i < *fds; i++)
            memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &c->out_fds[i].fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int channel_flush(struct channel *c)
{
    while (c->out.len > 0) {
        size_t fds;
        ssize_t n = send_some(c, &fds);
        if (n < 0)
            return (int)n;
        drop_sent(c, (size_t)n, fds);
    }
    return 0;
}

static void store_fds(struct channel *c, struct msghdr *msg)
{
    for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
            if (c->in_fd_count < CHANNEL_FDS_MAX)
                c->in_fds[c->in_fd_count++] = fd;
            else
                memfd_drop(fd); /* its frame will find it missing: a protocol error */
        }
    }
}

static ssize_t receive(struct channel *c, int flags)
{
    if (c->in_pos > 0) {
        buf_consume(&c->in, c->in_pos);
        c->in_pos = 0;
    }
    if (c->in.len == 0)
        buf_reset(&c->in, OUT_KEEP_CAP);
    if (!buf_reserve(&c->in, RECEIVE_CHUNK)) {
        c->in.failed = false;
        return -ENOMEM;
    }
    char control[CMSG_SPACE(sizeof(int) * KERNEL_FDS_MAX)];
    struct iovec iov = {c->in.data + c->in.len, c->in.cap - c->in.len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    store_fds(c, &msg);
    c->in.len += (size_t)n;
    c->received += (uint64_t)n;
    return n;
}

ssize_t channel_receive(struct channel *c)
{
    return receive(c, 0);
}

ssize_t channel_receive_now(struct channel *c)
{
    return receive(c, MSG_DONTWAIT);
}

static int protocol_error(const char **reason, const char *text)
{
    *reason = text;
    return -EPROTO;
}

static int claim_fd(struct channel *c)
{
    if (c->in_fd_count == 0)
        return -1;
    int fd = c->in_fds[0];
    c->in_fd_count--;
    memmove(c->in_fds, c->in_fds + 1, c->in_fd_count * sizeof(int));
    return fd;
}

static int read_spilled(struct channel *c, const struct rpc_header *h, const char **reason)
{
    int fd = claim_fd(c);
    if (fd < 0)
        return protocol_error(reason, "spilled payload without its descriptor");
    int err = memfd_verify(fd, h->length);
    if (!err) {
        c->spilled = malloc(h->length ? h->length : 1);
        err = c->spilled ? memfd_read(fd, c->spilled, h->length) : -ENOMEM;
    }
    memfd_drop(fd);
    if (err == -EBADMSG)
        return protocol_error(reason, "spilled payload is not a sealed memfd of its length");
    return err;
}

static int claim_frame_fds(struct channel *c, size_t count, const char **reason)
{
    for (size_t i = 0; i < count; i++) {
        int fd = claim_fd(c);
        if (fd < 0)
            return protocol_error(reason, "frame without its descriptors");
        c->frame_fds[c->frame_fd_count++] = fd;
    }
    return 0;
}

/* Checks what both kinds of input have in common; the payload must still be there. */
static int check_header(const struct rpc_header *h, enum rpc_sender peer, size_t payload_max,
                        const char **reason)
{
    if (!rpc_message_allowed(h->type, peer, h->fds))
        return protocol_error(reason, "unknown message, or not for this sender to send");
    if (h->flags & ~RPC_FLAG_SPILLED)
        return protocol_error(reason, "unknown flags");
    if (h->length > payload_max)
        return protocol_error(reason, "payload above the limit");
    if (!(h->flags & RPC_FLAG_SPILLED) && h->length > RPC_INLINE_MAX)
        return protocol_error(reason, "inline payload above RPC_INLINE_MAX");
    return 0;
}

static int greet(struct channel *c, const struct frame *f, const char **reason)
{
    struct rpc_hello hello;
    if ((f->type == RPC_HELLO) == c->greeted)
        return protocol_error(reason, c->greeted ? "second HELLO" : "first frame is no HELLO");
    if (c->greeted)
        return 0;
    if (!rpc_hello_decode(f->payload, &hello) || hello.version != RPC_VERSION)
        return protocol_error(reason, "other protocol version");
    if (hello.role != (uint32_t)c->peer)
        return protocol_error(reason, "HELLO of another role");
    c->greeted = true;
    return 0;
}

/* No whole frame is left, but perhaps the beginning of one. */
static int at_rest(const struct channel *c, size_t left, const char **reason)
{
    if (c->own_fds_max && c->in_fd_count > (left ? c->own_fds_max : 0))
        return protocol_error(reason, "descriptors of no frame");
    return 0;
}

int channel_next(struct channel *c, struct frame *f, const char **reason)
{
    close_frame_fds(c);
    free(c->spilled);
    c->spilled = NULL;
    struct rpc_header h;
    size_t left = c->in.len - c->in_pos;
    if (left < sizeof(h))
        return at_rest(c, left, reason);
    memcpy(&h, c->in.data + c->in_pos, sizeof(h));
    int err = check_header(&h, c->peer, c->payload_max, reason);
    if (err)
        return err;
    bool is_spilled = h.flags & RPC_FLAG_SPILLED;
    size_t whole = sizeof(h) + (is_spilled ? 0 : h.length);
    if (left < whole)
        return at_rest(c, left, reason);
    if (is_spilled)
        err = read_spilled(c, &h, reason);
    if (!err)
        err = claim_frame_fds(c, h.fds, reason);
    if (err)
        return err;
    const char *payload = is_spilled ? c->spilled : c->in.data + c->in_pos + sizeof(h);
    *f = (struct frame){h.type, h.id, {payload, h.length}, h.fds};
    c->in_pos += whole;
    err = greet(c, f, reason);
    if (err)
        return err;
    return f->type == RPC_HELLO ? channel_next(c, f, reason) : 1;
}

int channel_take_fd(struct channel *c, size_t i)
{
    if (i >= c->frame_fd_count)
        return -1;
    int fd = c->frame_fds[i];
    c->frame_fds[i] = -1;
    return fd;
}
