// SPDX-License-Identifier: Apache-2.0
/*
 * front - the HTTP side of a station: listeners, connections, libmicrohttpd in external-epoll mode.
 */
#ifndef SUPERVISOR_HTTP_FRONT_H
#define SUPERVISOR_HTTP_FRONT_H

#include "supervisor/config.h"
#include "supervisor/http/exchange.h"
#include "supervisor/loop.h"

struct front;

/*
 * Opens every listener of the configuration and starts to accept; handler(x, arg) gets each
 * complete request. NULL after writing one line to error (address in use: says by whom where it can
 * be seen; an address beyond loopback; a guard that is not in the path).
 */
struct front *front_new(struct loop *loop, const struct config *config,
                        void (*handler)(struct exchange *x, void *arg), void *arg, char *error,
                        size_t error_size);
/*
 * receiver(x, arg of the handler) is called when a POST with a form begins whose body may be
 * looked at while it arrives; see exchange_receive().
 */
void front_set_receiver(struct front *front, void (*receiver)(struct exchange *x, void *arg));
/* "127.0.0.1:8001", with the port that was bound; NULL beyond the last listener. */
const char *front_listener_name(const struct front *front, size_t i);
/*
 * A new configuration, in two steps. Prepared: addresses are opened and the token is read, what
 * fails is told in one line. Then front_commit(), once the configuration given to front_new() has
 * changed, uses all that and closes addresses that are not named any more; or front_abandon().
 */
int front_prepare(struct front *front, const struct config *config, char *error, size_t error_size);
void front_commit(struct front *front);
void front_abandon(struct front *front);
/* Stops accepting; requests under way go on, and each reply says that its connection closes. */
void front_stop_accepting(struct front *front);
/* Exchanges handed to the handler and not yet answered, streams included. */
size_t front_open_exchanges(const struct front *front);
/* Is a reply not yet written out to its client? */
bool front_is_sending(const struct front *front);
/*
 * Sends what is queued for at most grace_ns and closes every connection. Exchanges that are not yet
 * answered live on without a client.
 */
void front_close(struct front *front, uint64_t grace_ns);
/* Frees those too: nobody may answer any more. */
void front_free(struct front *front);

struct access;
/* The rules that it applies, for management routes. */
const struct access *front_access(const struct front *front);

/* One JSON object; metric lines. */
void front_status(const struct front *front, struct buf *json);
void front_metrics(const struct front *front, struct buf *text);

#endif
