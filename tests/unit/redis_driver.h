// SPDX-License-Identifier: Apache-2.0
/*
 * redis_driver - a redis-server of the test's own, and the Redis backend driven as a loop would.
 *
 * The server listens on a socket in a folder of its own and dies with its parent. Each call waits
 * for its end, for PATIENCE at most.
 */
#ifndef TESTS_UNIT_REDIS_DRIVER_H
#define TESTS_UNIT_REDIS_DRIVER_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "common/clock.h"
#include "common/events/redis_backend.h"

#define PATIENCE_NS (60 * NS_PER_S)
#define WAIT        (20 * NS_PER_S) /* of a pull that gets something */

struct redis_driver {
    pid_t pid;
    char folder[64], url[160];
    redisContext
        *context; /* for commands of the test; made when first needed, one for each process */
    pid_t context_of;
    struct delivery got; /* by redis_driver_next() */
};

extern struct redis_driver driver;

/* With default settings; starts it again after redis_driver_kill(). */
void redis_driver_start(void);
/* SIGKILL, and waits for its end. */
void redis_driver_kill(void);
/* SIGSTOP, and waits for it; until SIGCONT nothing is read. */
void redis_driver_freeze(void);
/* Ends it and removes the folder. */
void redis_driver_stop(void);

/* A command of the test and its answer, freed by the next one; the test fails on an error. */
redisReply *redis_driver_command(const char *format, ...);
long long redis_driver_number(const char *format, ...);
/* The second number of the line of XPENDING, or -1: how often `id` was delivered; its owner. */
long long redis_driver_deliveries(const struct delivery *delivery, char *owner, size_t size);
long long redis_driver_idle_ms(const struct delivery *delivery);
/* How many entries a consumer has pending. */
long long redis_driver_pending(const char *consumer);

/* Lets everything pending seem to have been idle for so long. */
void redis_driver_age(uint64_t idle_ms);

struct redis_driver_options {
    const char *url, *consumer;
    uint32_t max_retries;
    uint64_t claim_min_idle_ns, timeout_ns;
};
/* On the stream "s", the group "g", dead letters "s:dlq". What is 0 or NULL has its default. */
struct backend *redis_driver_open(struct redis_driver_options options);

/* Goes on for so long, or until the call is done. */
void redis_driver_run(struct backend *b, uint64_t ns);

struct driven_call {
    struct backend_call call;
    bool done;
    int result;
};
void driven_call_init(struct driven_call *call);
/* The end of what returned `result`. */
int driven_call_wait(struct backend *b, struct driven_call *call, int result);

/* A pull of one under way. */
struct driven_pull {
    struct pull_call pull;
    bool done;
    int result;
};
int driven_pull_start(struct backend *b, struct driven_pull *pull, struct delivery *into,
                      uint64_t wait_ns);
/* Its count (0 or 1) or the error. */
int driven_pull_wait(struct backend *b, struct driven_pull *pull, int result);
int redis_driver_health(struct backend *b, struct backend_health *health);

struct event *redis_driver_event(const char *payload);
/* Adds {"n":first} and so on, in one call. */
int redis_driver_enqueue(struct backend *b, int first, size_t count);
/* One delivery; its count (0 or 1) or the error. */
int redis_driver_pull(struct backend *b, struct delivery *delivery, uint64_t wait_ns);
int redis_driver_ack(struct backend *b, const struct delivery *delivery, struct event *emitted);
/* The n of its payload. */
int redis_driver_n(const struct delivery *delivery);
/* The n of the next one, which is waited for. */
int redis_driver_next(struct backend *b);
/* Acknowledges and releases that one. */
void redis_driver_finish(struct backend *b);
/* Many quick ones are enqueued and some finished, until it reads ahead; that one is in hand. */
void redis_driver_read_ahead(struct backend *b, int events);

#endif
