// SPDX-License-Identifier: Apache-2.0
/*
 * call - one call of an object on its way: queued, sent to a worker, held by the output gate,
 * streaming. It is on exactly one list at a time and owns its held reply; the exchange belongs to
 * the front until it is answered.
 */
#ifndef SUPERVISOR_TURN_CALL_H
#define SUPERVISOR_TURN_CALL_H

#include "supervisor/http/exchange.h"
#include "supervisor/process/worker.h"

enum { CALL_FIELDS_MAX = 64 /* reply fields that a handler may set */ };

/* A reply that waits for the gate. All strings are in `text`, one allocation. */
struct held_reply {
    unsigned status;
    const char *content_type; /* NULL: none; static or in text */
    struct exchange_field *fields;
    size_t field_count;
    char *text;
    char *body;
    size_t body_size;
    int body_fd; /* -1: none */
    bool is_stream;
};

struct ask;
struct schedule_tick;

/* Where a call comes from; zeroed but for the path: a client's. */
struct call_origin {
    enum rpc_call_kind kind;
    uint32_t path_skip;         /* bytes of the target that name the object */
    struct ask *ask;            /* of the turn that asks; NULL: a client, or inside.h */
    struct schedule_tick *tick; /* of a schedule; NULL: none */
    unsigned depth;             /* turns that wait for it, one for another */
    uint64_t deadline_ns;       /* of the chain: no turn of it runs longer; monotonic, 0: none */
};

struct call {
    struct call *next, *prev;
    struct exchange *exchange; /* NULL once answered, or its client gone */
    struct object *object;
    struct call_origin origin;
    struct ask *asks; /* that its turn waits for */
    size_t ask_count;
    bool in_search;    /* wait_graph.c */
    uint64_t began_ns; /* of its turn, known when it asks; 0 before */
    struct worker_ref worker;
    uint64_t id;                   /* rising; 0 until sent */
    uint64_t arrived_ns;           /* monotonic */
    uint64_t sent_ns, answered_ns; /* by its worker */
    uint64_t gate_seq;             /* the reply may go once this is durable */
    uint64_t commit_seq;           /* of its own record; 0: nothing committed */
    struct held_reply reply;
    bool readonly;       /* sent as one that may write no state */
    bool started_stream; /* exchange_stream_begin was called */
    bool pulled;         /* the front wants a chunk and the worker was asked */
    bool stream_over;    /* no chunk will come any more */
};

struct call *call_new(struct exchange *x, struct object *o, const struct call_origin *origin);
void call_free(struct call *call);
/* May a call with that method not write, by what the object declares now? */
bool call_reads_only(const struct object *o, struct span method);
bool call_is_readonly(const struct call *call);
/* What a forced stop leaves; their exchanges belong to the front. */
void call_list_free(struct call_list *list);

void call_list_append(struct call_list *list, struct call *call);
void call_list_prepend(struct call_list *list, struct call *call);
void call_list_remove(struct call_list *list, struct call *call);
struct call *call_list_pop(struct call_list *list);
/* NULL when no call has that id. */
struct call *call_list_find(const struct call_list *list, uint64_t id);

enum { OBJECT_REQUEST_ID_SIZE = 300 };
/* X-Request-Id of the client, or "<station>-<boot>-<id>". */
void call_request_id(const struct call *call, char *out, size_t size);
/* X-Request-Id of the client; empty when it sent none, or the exchange is gone. */
struct span call_client_request_id(const struct call *call);

#endif
