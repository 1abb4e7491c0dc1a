// SPDX-License-Identifier: Apache-2.0
/*
 * object - one object of the station, and the table of all of them by id.
 *
 * A removed object is GONE and hidden, and comes back with its file. Its entry is freed, a second
 * later, only when nothing was ever asked of it (object_use()): one that was used lives as long as
 * the station, and may be pointed to. Mechanism only; lifecycle.h decides.
 */
#ifndef SUPERVISOR_OBJECTS_OBJECT_H
#define SUPERVISOR_OBJECTS_OBJECT_H

#include "common/seeded_hash.h"
#include "supervisor/objects/endpoint.h"
#include "supervisor/objects/file_checks.h"
#include "supervisor/objects/history.h"
#include "supervisor/objects/object_fsm.h"
#include "supervisor/objects/outage.h"
#include "supervisor/objects/probation.h"
#include "supervisor/objects/replicas.h"
#include "supervisor/objects/source.h"
#include "supervisor/objects/waiters.h"
#include "supervisor/objects/warming.h"
#include "supervisor/process/worker.h"
#include "supervisor/turn/call_queue.h"

enum { OBJECT_ID_MAX = 200 /* bytes; a file name holds it with room for a suffix */ };

/* What a changed import asks for. */
enum object_reload {
    OBJECT_RELOAD_NONE,
    OBJECT_RELOAD_FILE,     /* the file again, though it was rejected; then what serves */
    OBJECT_RELOAD_ACCEPTED, /* what serves */
};

/* How far a candidate has come. */
enum candidate_stage {
    CANDIDATE_LOADING,
    CANDIDATE_CHECKED,   /* its health() runs */
    CANDIDATE_FIT,       /* its version is stored, it waits for its turn */
    CANDIDATE_MIGRATING, /* its migrate_state() runs */
};

struct object {
    struct station *station;
    char *id;
    char *file;                 /* path below the objects folder: "basics/counter.py" */
    char *conflict;             /* path of another file with the same id; NULL: none */
    uint32_t seen;              /* the scan that found its file last (tree_scan.c) */
    enum object_phase phase;    /* object_set_phase() */
    struct object_state *state; /* NULL until object_use() */
    struct object_log *log;     /* the same */
    struct object_files *files; /* NULL: no change of its files was made yet */

    struct worker_ref worker;    /* the owner: takes the turns, alone those that write */
    struct replicas replicas;    /* take turns that only read */
    struct worker_ref candidate; /* loads the next source */
    bool frozen;                 /* the candidate is ready; the worker finishes */
    uint64_t candidate_seq;      /* newest record that the candidate's state holds */
    enum candidate_stage stage;  /* how far the candidate has come */
    struct handover *handover;   /* its migrate_state() is under way, or committed next; NULL */
    struct warming warming;

    struct source *accepted;  /* what serves; NULL: nothing loaded yet */
    struct source *loading;   /* what the candidate loads */
    uint64_t loading_version; /* its number; 0: it is to become a version */
    bool loading_is_retry;    /* the file was rejected before; what it imports has changed */
    bool loading_is_fallback; /* the file itself cannot be loaded */
    struct history history;
    struct probation *probation;
    uint64_t migrated;     /* the version that migrated the state since the start; 0 */
    struct deploy *deploy; /* the candidate loads what is to become a version */
    struct deploy *orders; /* the next, oldest first */
    struct loop_timer deploy_timer, store_timer;
    struct import_link *imports; /* what its workers have imported (imports.h) */
    size_t import_count;
    struct loop_timer import_timer;
    enum object_reload reload;
    bool file_changed; /* it is to be compared with what serves */
    struct file_check file_check;
    struct loop_timer settle_timer; /* its file was written just now */
    uint64_t settle_ns;             /* since when; monotonic */
    bool is_emptied;                /* it is waited for content */
    bool store_failed; /* the file's content cannot be stored now: the accepted version serves */
    char *load_error;  /* why nothing serves, or why the newest file does not; NULL */
    char *load_traceback, *load_crash_id; /* NULL: none */
    uint32_t load_line;
    uint64_t version;              /* what serves: its number in the history; 0: nothing yet */
    struct endpoint endpoint;      /* of what serves */
    struct endpoint next_endpoint; /* of the candidate, once it is ready */

    struct call_queue queue;                  /* not yet sent to a worker */
    struct object *next_queued, *prev_queued; /* list of objects with a queue */
    bool in_queued;
    bool in_gone;
    struct object *next_gone;                   /* list of those that may be freed */
    struct object *next_waiting, *prev_waiting; /* list of objects that wait for a slot */
    bool waits_for_slot;
    uint64_t waits_since_ns; /* or since those who waited were told; monotonic */
    bool is_lent;            /* a turn waits for its start: it needs no slot (slots.h) */
    struct outage *outage;
    struct loop_timer retry_timer;   /* end of the backoff; then of the probe */
    struct loop_timer removal_timer; /* the file is missing */
    struct waiter *waiters;          /* lifecycle_when_loaded */
    struct waiter *renewals;         /* renew_object */
    struct needs *needs;             /* NULL: it never had to wait for another object */
    uint64_t used_ns;                /* monotonic, last dispatch */

    uint64_t turns, errors, crashes, restarts;
    uint64_t memory_kills; /* process/memory_kills.h */
    UT_hash_handle hh;
};

struct object_table;
struct object_table *object_table_new(struct station *station);
void object_table_free(struct object_table *table);
/* NULL when there is none; GONE objects are found too. */
struct object *object_find(struct object_table *table, const char *id, size_t len);
/* Finds or makes. NULL when memory is short. The file path is copied. */
struct object *object_add(struct station *station, const char *id, const char *file);
/*
 * Makes what only an object that is used has: its place in the store, its log. 0 or -ENOMEM. To be
 * called before a request is shown to it and before a worker is started for it; most objects of a
 * large station need neither in one run.
 */
int object_use(struct object *o);
/* Every object, GONE ones included, in no order. fn must not add any. */
void object_each(struct object_table *table, void (*fn)(struct object *o, void *arg), void *arg);
/* Those that are not GONE. */
size_t object_count(const struct object_table *table);
/* A worker of it died: one more for the object, and for object_restarts(), those of all. */
void object_count_restart(struct object *o);
uint64_t object_restarts(const struct object_table *table);
void object_set_phase(struct object *o, enum object_phase phase);

struct object_index;
/* The same in the order of their ids. */
struct object_index *object_order(struct object_table *table);

/* A line of the station in the object's own log. */
void object_note(struct object *o, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Objects with queued calls, for queue deadlines. */
void object_mark_queued(struct object_table *table, struct object *o, bool queued);
struct object *object_first_queued(const struct object_table *table);

/*
 * Object id of a path below the objects folder, into id (OBJECT_ID_MAX + 1 bytes). False when the
 * path is no object: not *.py, a part begins with '_' or '.', it lies in a virtual environment, a
 * character that ids do not have.
 */
bool object_id_of_path(const char *path, char *id);
/* Is it made of [A-Za-z0-9_.-], 1..OBJECT_ID_MAX bytes? */
bool object_id_valid(const char *id, size_t len);

#endif
