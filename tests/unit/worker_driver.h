// SPDX-License-Identifier: Apache-2.0
/*
 * worker_driver - plays the supervisor towards the real objectd-worker, for tests and benchmarks.
 *
 * The program is that of the environment variable OBJECTD_WORKER, else ./objectd-worker. Functions
 * end the process with a message when the worker does what it never may (a broken frame, silence
 * for ten seconds).
 */
#ifndef TESTS_WORKER_DRIVER_H
#define TESTS_WORKER_DRIVER_H

#include "common/channel.h"
#include "common/shared_page.h"

#include <sys/types.h>

struct driver_nursery {
    pid_t pid;
    struct channel channel;
};

struct driver_worker {
    pid_t pid;
    struct channel channel, answers;
    struct shared_page *page;
    int out, err; /* read ends of stdout and stderr, non-blocking */
    uint64_t next_id;
    bool is_replica; /* what LOAD says */
};

/* One answer of the worker, copied: NUL-terminated, freed by driver_reply_free. */
struct driver_reply {
    uint64_t id;
    uint32_t status;
    enum rpc_outcome outcome;
    bool is_stream;
    char *content_type;
    char *body;
    size_t body_size;
    char *fields; /* "Name: value\n" each */
    char *writes; /* "key=value\n" or "key deleted\n" each, in order */
    uint32_t write_count;
};

struct driver_call {
    const char *method; /* default GET */
    const char *target; /* default "/objects/test" */
    const char *head;   /* default "" */
    const char *body;   /* default "" */
    size_t body_size;   /* 0: strlen(body) */
    bool as_memfd;      /* send the body as a descriptor */
    const char *request_id, *user;
    uint64_t expires_ns;
    bool readonly;
    uint64_t timeout_ns;
};

void driver_start_nursery(struct driver_nursery *n);
void driver_stop_nursery(struct driver_nursery *n);
/* Sends SPAWN for a worker and takes SPAWNED, nothing else. */
void driver_spawn(struct driver_nursery *n, struct driver_worker *w);
/* The same for two whose SPAWN frames arrive together. */
void driver_spawn_two(struct driver_nursery *n, struct driver_worker *a, struct driver_worker *b);
void driver_send_load(struct driver_worker *w, const char *id, const char *path, const char *source,
                      int checkpoint_fd, const struct buf *writes, uint32_t write_count);
/* Waits for a frame of the worker that is no IMPORTS; valid until the next call. False at end of
 * file. */
bool driver_next(struct driver_worker *w, struct frame *f);
/* spawn, LOAD, READY; the metadata JSON, to be freed. */
char *driver_load(struct driver_nursery *n, struct driver_worker *w, const char *source);
/* The same as a replica. */
char *driver_load_replica(struct driver_nursery *n, struct driver_worker *w, const char *source);
/* As driver_load, but expects LOAD_FAILED: its error, to be freed. */
char *driver_load_fails(struct driver_nursery *n, struct driver_worker *w, const char *source,
                        uint32_t *line);

uint64_t driver_send_call(struct driver_worker *w, const struct driver_call *call);
void driver_flush(struct driver_worker *w);
void driver_send_empty(struct driver_worker *w, enum rpc_type type, uint64_t id);
/* The next TURN_DONE; LOG frames before it are appended to `logs` ("LEVEL message fields\n"). */
void driver_wait_reply(struct driver_worker *w, struct driver_reply *r, struct buf *logs);
void driver_parse_reply(struct channel *c, const struct frame *f, struct driver_reply *r);
void driver_parse_writes(struct span writes, struct buf *out);
void driver_send_update(struct driver_worker *w, uint64_t id, const struct buf *writes,
                        uint32_t write_count);
/* send, flush, wait. */
void driver_call(struct driver_worker *w, const struct driver_call *call, struct driver_reply *r);
void driver_reply_free(struct driver_reply *r);
/* Reads into `seen` (NULL: not kept) until that contains `text`. */
bool driver_output_contains(int fd, struct buf *seen, const char *text);
/* Kills, reaps, frees. */
void driver_kill(struct driver_worker *w);
/* Waits for the process to end: its status as of waitpid; frees. */
int driver_wait_exit(struct driver_worker *w);

#endif
