// SPDX-License-Identifier: Apache-2.0
/*
 * redis_private - the Redis backend as its own files see it: redis_backend.c, redis_task.c,
 * redis_settle.c, redis_pull.c, redis_read.c, redis_owner.c, redis_tell.c, redis_pending.c,
 * redis_lost.c.
 *
 * Who owns an entry of the group says whether it was handed out. What is fetched belongs to the
 * consumer "NAME:ahead", and Redis has counted one delivery more than there were attempts. The
 * moment it is handed out it passes to the consumer "NAME", with the count as it is: then both are
 * equal. So attempts are exact whenever a process dies, whatever it had fetched ahead. It is told
 * so without waiting, where Redis reads it for sure (redis_tell.c).
 */
#ifndef COMMON_EVENTS_REDIS_PRIVATE_H
#define COMMON_EVENTS_REDIS_PRIVATE_H

#include "common/events/redis_ahead.h"
#include "common/events/redis_backend.h"
#include "common/events/redis_connection.h"
#include "common/events/redis_entry.h"

enum {
    REDIS_PAGE = 64,                /* entries looked at in one step of the recovery */
    REDIS_TOLD = 1024,              /* as many may be told and not read */
    REDIS_AT_ONCE = REDIS_TOLD / 2, /* handed out, at most */
    REDIS_ERROR_SIZE = 512,
    REDIS_REASON_SIZE = 256
};

#define REDIS_AHEAD_SUFFIX ":ahead"

struct redis_backend;

/* A request with the calls that it serves and what it needs to know later. */
struct redis_task {
    struct redis_request request; /* first */
    struct redis_task *all_next, *all_previous;
    struct backend_call *calls;
    uint64_t expires_ns;              /* of the calls */
    struct buf ids;                   /* struct delivery_id each */
    uint8_t event_id[EVENT_ID_SIZE];  /* of the first event added */
    struct delivery_id after, before; /* between which a check looks for it */
    unsigned pages;
    size_t added, dead; /* events, dead letters */
    size_t told;        /* of the ids: on the connection that is not answered */
    uint32_t attempts;  /* of the entries claimed */
    uint64_t losses;    /* of its connection, when it was put */
    bool looked;        /* the dead letters can be added to */
    bool finding;       /* part of redis_lost.c */
};

/* What is read, by whom, how much ahead (redis_read.c). */
struct redis_reading {
    struct backend_call *pulls;
    bool ask;                    /* a pull has come since the last answer */
    bool direct, ahead, blocked; /* requests under way */
    bool ahead_full;             /* there was as much as asked for */
    bool group_missing;
    unsigned skip, skip_next; /* direct reads without one ahead */
    size_t window;            /* how many to fetch ahead */
    size_t handed;            /* since window_ns */
    uint64_t window_ns, pulled_ns;
    size_t entry_bytes; /* on average */
};

/* Calls that are being told of their end. */
struct redis_ending {
    struct backend_call *calls;
    struct redis_ending *outer;
};

struct redis_pending_state {
    bool busy;    /* a list is under way */
    bool no_idle; /* Redis below 6.2 */
    uint64_t next_ns;
};

/* One line of XPENDING. */
struct redis_pending_line {
    struct delivery_id id;
    uint32_t attempts;
    uint64_t idle_ms;
};

/* An answer with entries for us was lost, or the connection on which Redis is told what is handed
 * out: nothing is read or handed out until it is known who has which. */
struct redis_lost_state {
    bool any;
    bool failed;       /* has to begin again */
    unsigned requests; /* under way */
};

enum redis_tell_state {
    REDIS_TELL_NEW,
    REDIS_TELL_ASKED,  /* whether it may be silent */
    REDIS_TELL_SILENT, /* it is not answered */
    REDIS_TELL_REFUSED /* for good */
};

/* The connection on which Redis is told what is handed out, and what it was told last. */
struct redis_tell {
    struct redis_connection connection;
    enum redis_tell_state state;
    struct delivery_id told[REDIS_TOLD]; /* a ring; zeros: none */
    size_t next;
};

struct redis_backend {
    struct backend backend; /* first */
    struct redis_url url;
    char *stream, *group, *consumer, *ahead_consumer, *dead_letters;
    uint32_t max_retries;
    uint64_t claim_min_idle_ns, timeout_ns;
    size_t read_ahead;
    int epoll_fd;
    struct redis_connection work, wait;
    struct redis_tell tell;
    struct redis_ahead ahead;
    struct redis_reading reading;
    struct redis_pending_state pending;
    struct redis_lost_state lost;
    struct redis_task *tasks, *spare;
    struct redis_task *acks; /* still gathers; not put yet */
    struct redis_ending *endings;
    uint64_t next_expiry_ns;
    struct delivery_id newest; /* of the stream, as far as known */
    uint64_t refresh_ns;       /* when those fetched are looked after again; 0: there are none */
    struct buf scratch;
    bool refreshing;       /* what was fetched ahead is being made sure of */
    bool closing, touched; /* touched: something may have to be sent */
    bool unread;           /* the last progress sent, and left what had come to the next */
    char error[REDIS_ERROR_SIZE];
};

static inline struct redis_backend *redis_backend_of(struct backend *b)
{
    return (struct redis_backend *)b;
}

static inline struct redis_task *redis_task_of(struct redis_request *request)
{
    return (struct redis_task *)request;
}

/* --- redis_backend.c --- */

/* The server, if it is this run of it, ends the connection with this number, so that it reads and
 * gives nothing more. */
void redis_backend_end_connection(struct redis_backend *b, long long number, const char *run);

/* --- redis_task.c --- */

/* An empty one; NULL: memory is short. */
struct redis_task *redis_task_new(struct redis_backend *b, const struct redis_request_kind *kind);
/* Ends its calls, if there are any, and keeps it for the next. */
void redis_task_end(struct redis_backend *b, struct redis_task *task, int result);
void redis_task_add_call(struct redis_backend *b, struct redis_task *task,
                         struct backend_call *call);
void redis_task_add_id(struct redis_task *task, struct delivery_id id);
size_t redis_task_id_count(const struct redis_task *task);
const struct delivery_id *redis_task_ids(const struct redis_task *task);
/* For an operation: puts it on the connection for work, with its call or NULL. What the operation
 * returns; where that is an error, `result` (of making it) or -ENOMEM, the task has gone. */
int redis_task_ask(struct redis_backend *b, struct redis_task *task, struct backend_call *call,
                   int result);
/* Puts it on a connection; when memory was short for its bytes it ends with -ENOMEM. */
int redis_task_put(struct redis_backend *b, struct redis_connection *c, struct redis_task *task);
void redis_task_forget(struct redis_backend *b, struct backend_call *call);
/* It is not sent if it was not yet; otherwise nobody hears of its end. */
void redis_task_abandon(struct redis_backend *b, struct redis_task *task);
/* Ends the calls whose time is over. */
void redis_task_expire(struct redis_backend *b, uint64_t now);
/* Ends all calls. */
void redis_task_fail_all(struct redis_backend *b, int result);
void redis_task_free_all(struct redis_backend *b);

/* --- redis_settle.c: what changes the stream --- */

int redis_settle_enqueue(struct redis_backend *b, struct event *const *events, size_t count,
                         struct backend_call *call);
int redis_settle_ack(struct redis_backend *b, const struct delivery *handled, size_t count,
                     struct event *const *emitted, size_t emitted_count, struct backend_call *call);
int redis_settle_nack(struct redis_backend *b, const struct delivery *refused, size_t count,
                      const char *reason, struct backend_call *call);
/* An entry that was never an event, or failed too often. */
void redis_settle_bury(struct redis_backend *b, const struct redis_entry *entry,
                       const char *reason);
/* Puts the acknowledgements gathered. */
void redis_settle_flush(struct redis_backend *b);
/* Puts those gathered on the connection that is not answered; whether they are done is asked with
 * the next redis_settle_flush(). */
void redis_settle_tell(struct redis_backend *b);

/* --- redis_pull.c: who waits for events, and what is handed out --- */

int redis_pull(struct redis_backend *b, struct pull_call *pull);
void redis_pull_give_back(struct redis_backend *b, const struct delivery *unhandled);
/* Hands out what is there, and ends the pulls whose time is over. */
void redis_pull_serve(struct redis_backend *b, uint64_t now);
void redis_pull_end(struct redis_backend *b, struct pull_call *pull, int result);
/* Nothing is there: the end of those that do not wait, if they began before it was asked. */
void redis_pull_end_polls(struct redis_backend *b, uint64_t asked_ns);
void redis_pull_fail(struct redis_backend *b, int result);
/* False: it is no pull under way. */
bool redis_pull_forget(struct redis_backend *b, struct backend_call *call);
/* Keeps what was fetched ours, or gives it away. */
void redis_pull_plan(struct redis_backend *b, uint64_t now);
uint64_t redis_pull_deadline(const struct redis_backend *b);

/* --- redis_read.c: fetching --- */

/* How many it is given at once. */
size_t redis_read_most(const struct pull_call *pull);
/* Asks for what the pulls want. */
void redis_read_plan(struct redis_backend *b, uint64_t now);
/* Keeps what was claimed or fetched; buries what is no event. */
void redis_read_keep(struct redis_backend *b, const redisReply *list, uint32_t attempts,
                     uint64_t owned_ns);

/* --- redis_owner.c: whose an entry is --- */

/* The first `count` of those fetched pass to the handler. NULL: memory is short. */
struct redis_task *redis_owner_hand_over(struct redis_backend *b, size_t count);
/* The same on the connection that is not answered. False: memory is short. */
bool redis_owner_tell(struct redis_backend *b, size_t count);
/* These were told, and not read. */
void redis_owner_tell_again(struct redis_backend *b, const struct delivery_id *ids, size_t count);
/* Some that were handed out were not after all: add their ids between the two. */
struct redis_task *redis_owner_begin_return(struct redis_backend *b);
/* was_told: that they were handed out, on the connection that is not answered. */
void redis_owner_return(struct redis_backend *b, struct redis_task *task, bool was_told);
/* All those fetched stay ours, */
void redis_owner_refresh(struct redis_backend *b);
/* or are forgotten, and whoever wants may claim them at once. */
void redis_owner_release(struct redis_backend *b);

/* --- redis_tell.c: telling Redis what is handed out --- */

void redis_tell_plan(struct redis_backend *b);
/* Redis can be told now. */
bool redis_tell_may(const struct redis_backend *b);
/* It is worth waiting for. */
bool redis_tell_is_coming(const struct redis_backend *b);
/* The first `count` of those fetched pass to the handler. False: it is not known whether. */
bool redis_tell_hand_over(struct redis_backend *b, size_t count, uint64_t now);
bool redis_tell_has_told(struct redis_backend *b, struct delivery_id id);
/* It is not with the handler any more. True: Redis was told here that it is. */
bool redis_tell_take_back(struct redis_backend *b, struct delivery_id id);
/* The connection was lost. */
void redis_tell_note_loss(struct redis_backend *b);
/* Gives the connection up, if there is one. */
void redis_tell_hang_up(struct redis_backend *b);

/* --- redis_pending.c: what nobody finished --- */

void redis_pending_plan(struct redis_backend *b, uint64_t now);
bool redis_pending_parse(const redisReply *line, struct redis_pending_line *pending);
/* Claims them, or buries those with max_retries attempts; `finding` as in the task. */
void redis_pending_claim(struct redis_backend *b, struct redis_pending_line *lines, size_t count,
                         uint64_t min_idle_ns, bool finding);
uint64_t redis_pending_deadline(const struct redis_backend *b);

/* --- redis_lost.c: who has which entry, after a loss --- */

void redis_lost_plan(struct redis_backend *b, uint64_t now);
void redis_lost_note(struct redis_backend *b);
/* A claim with `finding` has ended. */
void redis_lost_step(struct redis_backend *b, bool done);

#endif
