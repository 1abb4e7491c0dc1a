// SPDX-License-Identifier: Apache-2.0
/*
 * redis_backend - events in a Redis stream (6.0 or later), shared by a consumer group.
 *
 * An entry has one field `event` with the JSON of event_json.h. Entries that hold no event go to
 * the dead letters (fields original_id, event, reason, failed_at) at once, with the reason. The
 * password is in no message.
 *
 * Operations only queue what they want sent; backend_progress() sends it, all in one write, and
 * backend_deadline() is in the past until then. So an ack with emitted events (one MULTI/EXEC) and
 * the pull after it are one round trip. Only a pull that finds something fetched ahead returns 0 at
 * once, after one write that tells Redis, also what was acknowledged meanwhile; whether that is
 * done is asked for many at a time. backend_fd() is an epoll set over three connections: one for
 * all that does not wait, one for reading that does, and one that tells what is handed out and
 * handled and is not answered (CLIENT REPLY OFF).
 *
 * Attempts are hand-outs: a delivery counts when a pull returns it, whatever was fetched ahead and
 * whenever the process dies, also if Redis had not yet read what it was sent, or its answers were
 * not. What is fetched belongs to the consumer "NAME:ahead" until then. No NAME ends so, for a
 * delivery of such a consumer counts as none. Where the server does not allow CLIENT REPLY, it is
 * told on the first connection: then the last hand-out of a process that is killed (SIGKILL) may
 * not count, for a server that cannot write an answer forgets what it has not read.
 * A pull of many counts all of them, so who wants attempts exact in a crash pulls one at a time,
 * which costs nothing else. At most about 20 ms worth of work are fetched ahead, and not more than
 * read_ahead deliveries; slow handlers leave the rest to other consumers. Names of consumers must
 * be unique: two processes with the same one take each other's events.
 *
 * What was handed out and not acknowledged within claim_min_idle_ns belongs to whoever claims it
 * (looked for every quarter of that, 10 ms to 1 s, while somebody pulls), or to the dead letters if
 * it was handed out max_retries times. A handler that takes longer has its event run again
 * elsewhere. What was fetched ahead is looked after as long as somebody pulls, and given to others
 * at once by backend_close().
 *
 * Groups and streams that vanish are made again; a group begins with the oldest entry of the
 * stream, for what was acknowledged went with it: entries that are still there are delivered again.
 *
 * Connections are made on first use and again after a loss, with pauses from 20 ms doubling to 2 s,
 * each shortened by chance. Resolving a host name may block (getaddrinfo). What was sent and not
 * answered: the server is made to forget the lost connection, then
 *   an acknowledgement is repeated;
 *   an acknowledgement with emitted events is repeated if its delivery is pending still, so the
 *     events are added once;
 *   enqueued events are looked for among the newest 10,000 entries added since, and added again if
 *     they are not there;
 *   reads are repeated, and what the lost answer brought is fetched again, without counting.
 * A call that ended with -ENOTCONN may have happened if it had been sent; an event is then neither
 * lost nor known to be there. -ENOBUFS (maxmemory), -EACCES: nothing happened, neither emitted
 * events nor the acknowledgement. (Unless MULTI alone is not allowed to the user.) Loading,
 * read-only and busy servers are tried again like lost connections.
 *
 * health.waiting is the length of the stream, acknowledged entries included.
 */
#ifndef COMMON_EVENTS_REDIS_BACKEND_H
#define COMMON_EVENTS_REDIS_BACKEND_H

#include "common/events/backend.h"

struct redis_settings {
    const char *url; /* redis_url.h; rediss:// is refused, this hiredis has no TLS */
    const char *stream, *group, *consumer, *dead_letters;
    uint32_t max_retries; /* at least 1 */
    uint64_t claim_min_idle_ns;
    uint64_t timeout_ns; /* the patience of a call without a deadline, and with an answer; 0: 5 s */
    size_t read_ahead;   /* deliveries fetched before they are asked for, at most; 0: 512 */
};

/* Copies the settings. NULL: they are wrong, or memory is short; `error` then says which. */
struct backend *redis_backend_open(const struct redis_settings *settings, char *error, size_t size);

/* Deletes a stream with its groups (NULL: that of the settings; copied); no error when there is
 * none. As any operation of backend.h. */
int redis_backend_delete(struct backend *backend, const char *stream, struct backend_call *call);

#endif
