// SPDX-License-Identifier: Apache-2.0
/*
 * worker - the child table: one entry a worker process, identified by slot and generation.
 *
 * This file owns the table; everybody else holds a struct worker_ref and looks it up, so a late
 * frame or callback of an earlier generation finds nothing. Mechanism only: which object gets a
 * worker and what it is sent is decided in objects/ and turn/; they are told through worker_hooks.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_H
#define SUPERVISOR_PROCESS_WORKER_H

#include "common/channel.h"
#include "common/sha256.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/loop.h"
#include "supervisor/process/family.h"
#include "supervisor/process/output_tail.h"
#include "supervisor/process/worker_fsm.h"

#include <sys/resource.h>
#include <sys/types.h>

struct station;
struct object;
struct call;
struct shared_page;
struct object_log;

struct worker_ref {
    uint32_t slot;
    uint64_t generation; /* 0: none */
};

/* Why the supervisor ended a worker; shown to people and decides the status of the running call. */
enum worker_blame {
    WORKER_BLAME_NONE,      /* it died by itself */
    WORKER_BLAME_PROTOCOL,  /* it broke the RPC protocol */
    WORKER_BLAME_DEADLINE,  /* a turn ran past its deadline and grace */
    WORKER_BLAME_CPU,       /* a turn used more than limits.cpu_seconds */
    WORKER_BLAME_MEMORY,    /* the kernel ended it: limits.memory_mb was used up */
    WORKER_BLAME_LOAD_TIME, /* the import took longer than start_timeout */
    WORKER_BLAME_LAG,       /* a replica that did not follow the object's writes */
    WORKER_BLAME_NURSERY,   /* it was asked for and the nursery died: never forked, or lost */
    WORKER_BLAME_UNWANTED,  /* it is not needed any more */
};

struct call_list {
    struct call *head, *tail;
    size_t count;
};

struct worker {
    struct station *station;
    struct object *object; /* lives longer than every worker of it */
    struct worker_ref ref;
    enum worker_state state;
    enum worker_blame blame;
    const char *protocol_reason;  /* with WORKER_BLAME_PROTOCOL */
    pid_t pid;                    /* 0 until the nursery told it */
    bool has_health, has_migrate; /* what READY said that its object has */
    uint64_t migrated;            /* and which version last migrated the state */
    struct family family;         /* what it has started, and its limits */
    bool is_replica;              /* not the owner of its object, which alone writes state */
    uint32_t concurrent;          /* turns that it runs at once */
    struct worker *next_of_pid;   /* in its bucket of the table */
    uint64_t born_ns;
    struct channel channel;
    struct loop_source *channel_source; /* NULL after end of file */
    struct channel answers;             /* to what its turns ask; it says nothing there */
    struct loop_source *answers_source; /* while that socket is full; else NULL */
    size_t answers_queued;              /* since they all were sent */
    struct loop_source *output_source[2];
    struct loop_timer output_window; /* runs while output_bytes is not 0 */
    uint64_t output_bytes;           /* that were read of both in this window */
    int output_fd[2];                /* its stdout and stderr, -1 when closed */
    struct output_tail stderr_tail;
    struct shared_page *page;
    struct sha256 source_hash; /* of what it was told to load */
    uint64_t version;          /* its number in the history; 0: none yet */
    struct loop_timer timer;   /* start-up or exit deadline */
    struct worker *next_dirty;
    bool exit_sent;
    bool is_dirty; /* has frames to flush at the end of the round */
    bool is_test;  /* runs the tests of its object and nothing else (turn/test_run.h) */

    /* turn/ */
    struct call_list inflight; /* sent, unanswered, in the order of their ids */
    struct call_list streams;  /* answered, their chunks still come */
    struct call *test_call;    /* of is_test, until it was sent */
    struct call *trial;        /* of a candidate (turn/trial.h); also in inflight */
    uint64_t last_sent_id;
    uint64_t refuse_through; /* answers up to this id are of a poisoned copy */
    int refuse_error;        /* -errno of the refusal */
    uint64_t reset_id;       /* of the RESET not yet confirmed; 0 none */
    uint64_t seen_seq;       /* newest record of another object that its turns were shown */
    uint64_t progress_ns;    /* when it last answered, or got a call while it had none */
    size_t gated_streams;    /* streams whose head waits for the gate */
    uint64_t deadline_id;    /* call that was told its deadline */
    uint64_t deadline_ns;    /* when; monotonic */
    uint64_t dumped_ns;      /* its stacks were asked for; 0: not */

    uint64_t turn_ns; /* average of its turns; 0: none has ended */

    uint64_t memory_bytes; /* as measured (worker_memory.h) */
    uint64_t measure_ns;   /* when that was asked for last */
    bool is_measured;      /* it was answered at least once */

    /* objects/replicas.c */
    uint64_t update_id;     /* of the UPDATE queued last: the bytes of all up to it */
    uint64_t applied_seen;  /* how far the page said it had come */
    uint64_t progressed_ns; /* since when; monotonic */

    enum worker_state last_state; /* before it was killed or reaped */
    /* once it has ended */
    struct rusage usage;
    char crash_id[CRASH_ID_SIZE]; /* empty: it ended as it was meant to */

    uint64_t turns;
    struct worker *next_busy, *prev_busy; /* list of BUSY workers, for deadlines */
};

/* How the rest of the supervisor hears of workers. */
struct worker_hooks {
    void (*ready)(struct worker *w, const struct rpc_ready *ready);
    void (*load_failed)(struct worker *w, const struct rpc_load_failed *why);
    /* A frame for turn/: TURN_DONE, ASK, STREAM_CHUNK, STREAM_END, OUTSIDE_WRITES, RESET_DONE.
     * False: it breaks the protocol (*reason). */
    bool (*frame)(struct worker *w, const struct frame *f, const char **reason);
    /* The process is gone and reaped; its unsent frames were handled. Answer what is outstanding.
     */
    void (*dead)(struct worker *w, int wait_status);
};

struct worker_table *worker_table_new(struct station *station, const struct worker_hooks *hooks);
void worker_table_free(struct worker_table *table);

/*
 * Asks the nursery for a worker of this object and queues its LOAD, made by fill(). Returns a ref
 * with generation 0 and sets *error to -errno when it cannot even be asked for.
 */
struct worker_ref worker_spawn(struct worker_table *table, struct object *object, bool is_replica,
                               int (*fill)(struct worker *w), int *error);
/* NULL when that generation is gone. */
struct worker *worker_get(struct worker_table *table, struct worker_ref ref);
static inline bool worker_ref_set(struct worker_ref ref)
{
    return ref.generation != 0;
}
static inline bool worker_ref_is(struct worker_ref ref, const struct worker *w)
{
    return ref.generation == w->ref.generation && ref.slot == w->ref.slot;
}

/*
 * Feeds an event to the state machine and does what it says; ANNOUNCE and REPORT are left to the
 * caller, who has the content. Returns the action.
 */
enum worker_action worker_event(struct worker *w, enum worker_event event);
/* A worker that was never forked is gone on return. */
void worker_kill(struct worker *w, enum worker_blame blame);
/* To be called after frames were put into w->channel or w->answers: they are flushed at the end of
 * the round. */
void worker_touch(struct worker *w);
/* To be called when a stream began or ended: a draining worker with nothing left gets its EXIT. */
void worker_settle(struct worker *w);
/* Reads what its stdout and stderr pipes hold now, so that a log query sees it. */
void worker_read_output(struct worker *w);

/* The nursery's answers. */
void worker_spawned(struct worker_table *table, struct worker_ref ref, pid_t pid);
void worker_spawn_failed(struct worker_table *table, struct worker_ref ref, int error);
/* The nursery died and owed this one: another is to be asked for. */
void worker_spawn_lost(struct worker_table *table, struct worker_ref ref);

/* For the reaper: the worker with that pid, or NULL. */
struct worker *worker_by_pid(struct worker_table *table, pid_t pid);
/* usage: NULL for one that was never forked. */
void worker_exited(struct worker *w, int wait_status, const struct rusage *usage);

/* Calls fn for every living worker; fn may end it. */
void worker_each(struct worker_table *table, void (*fn)(struct worker *w, void *arg), void *arg);
/* Those that were forked and are not yet reaped. */
size_t worker_count(const struct worker_table *table);
struct worker *worker_first_busy(const struct worker_table *table);

#endif
