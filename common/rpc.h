// SPDX-License-Identifier: Apache-2.0
/*
 * rpc - the messages of a station's processes: header, payload structs, their encoders and
 * decoders.
 *
 * Encoders append a payload to a buf (check buf_ok once, after channel_end). Decoders validate the
 * whole payload, repeated groups included, and return false for anything malformed; what they
 * return is borrowed from the payload. Host order throughout: both ends run on one machine. Neither
 * end trusts the other's lengths or counts; the supervisor does not trust a worker's content at
 * all.
 */
#ifndef COMMON_RPC_H
#define COMMON_RPC_H

#include "common/codec.h"

#include <assert.h>

enum {
    RPC_VERSION = 1,
    RPC_INLINE_MAX = 64 * 1024, /* a larger payload or body travels as a sealed memfd */
    RPC_FDS_MAX = 5,            /* descriptors of one frame, besides a spilled payload */
};

enum rpc_sender {
    RPC_FROM_SUPERVISOR = 1,
    RPC_FROM_WORKER = 2,
    RPC_FROM_NURSERY = 4,
    RPC_FROM_SCRIBE = 8,
    RPC_FROM_SWEEPER = 16,
    RPC_FROM_ANY = 31,
};

enum rpc_type {
#define RPC_MESSAGE(name, number, sender, fds, meaning) RPC_##name = number,
#include "common/rpc_messages.def"
#undef RPC_MESSAGE
};

/* The fixed header of a frame. */
struct rpc_header {
    uint32_t length; /* of the payload, in bytes, wherever it travels */
    uint16_t type;   /* enum rpc_type */
    uint8_t fds;     /* descriptors of this frame, besides a spilled payload */
    uint8_t flags;   /* RPC_FLAG_… */
    uint64_t id;     /* call id, or 0 */
};
static_assert(sizeof(struct rpc_header) == 16, "the header is frozen");
static_assert(offsetof(struct rpc_header, id) == 8, "the header is frozen");

enum { RPC_FLAG_SPILLED = 1 /* the payload is a sealed memfd, sent before the frame's own fds */ };

/* Name for logs; "?" for a number that is not in the table. */
const char *rpc_name(uint16_t type);
/* May `sender` send a frame of this type with that many descriptors? */
bool rpc_message_allowed(uint16_t type, enum rpc_sender sender, unsigned fds);

/* --- payloads: either end --- */

struct rpc_hello {
    uint32_t version; /* RPC_VERSION */
    uint32_t role;    /* enum rpc_sender, one bit */
};
void rpc_hello_encode(struct buf *out, const struct rpc_hello *m);
bool rpc_hello_decode(struct span payload, struct rpc_hello *m);

/* --- state as it travels --- */

enum rpc_write_op { RPC_WRITE_SET = 1, RPC_WRITE_DELETE = 2 };

struct rpc_write {
    enum rpc_write_op op;
    struct span key;
    struct span value; /* JSON text; empty for a delete */
};
enum { RPC_WRITE_MIN = 2 + 5 + 5 };
void rpc_write_encode(struct buf *out, const struct rpc_write *w);
/* The next of a validated sequence. False at its end or when it is malformed (r->failed tells). */
bool rpc_write_next(struct codec_reader *r, struct rpc_write *w);

/* --- changes of an object's files as they travel --- */

enum rpc_file_op { RPC_FILE_PUT = 1, RPC_FILE_DELETE = 2 };

struct rpc_file {
    enum rpc_file_op op;
    struct span name;  /* file_store_name_problem() has nothing against it */
    struct span token; /* names the change; of a put, also the staged file */
    uint64_t size;     /* of that file; 0 for a delete */
};
void rpc_file_encode(struct buf *out, const struct rpc_file *f);
/* As rpc_write_next(). */
bool rpc_file_next(struct codec_reader *r, struct rpc_file *f);

struct rpc_files {
    uint32_t count;
    struct span files; /* encoded rpc_file */
};
/* As part of another payload. */
void rpc_files_encode(struct buf *out, const struct rpc_files *m);
bool rpc_files_decode(struct codec_reader *r, struct rpc_files *m);

/* --- changes of an object's schedules as they travel --- */

enum rpc_schedule_op {
    RPC_SCHEDULE_SET = 1,
    RPC_SCHEDULE_DELETE = 2,     /* all of a function; without a function: all */
    RPC_SCHEDULE_DELETE_ONE = 3, /* that of the function with this payload */
};
enum rpc_misfire { RPC_MISFIRE_ONCE, RPC_MISFIRE_SKIP, RPC_MISFIRE_ALL, RPC_MISFIRES };
extern const char *const rpc_misfire_names[RPC_MISFIRES];

struct rpc_schedule {
    enum rpc_schedule_op op;
    struct span function;
    struct span payload; /* JSON text; empty: None */
    struct span when;    /* of SET: see when.h */
    enum rpc_misfire misfire;
};
void rpc_schedule_encode(struct buf *out, const struct rpc_schedule *s);
/* As rpc_write_next(). */
bool rpc_schedule_next(struct codec_reader *r, struct rpc_schedule *s);

struct rpc_schedules {
    uint32_t count;
    struct span schedules; /* encoded rpc_schedule */
};

/*
 * The accepted state of an object: the checkpoint file (the frame's descriptor, when
 * has_checkpoint) and over it, in order, the writes that are newer. The checkpoint is read with
 * state_file.h.
 */
struct rpc_state {
    bool has_checkpoint;
    uint32_t write_count;
    struct span writes;     /* encoded rpc_write, write_count of them */
    struct rpc_files files; /* accepted changes that are not visible in its folder yet, in order */
};

/* --- supervisor to worker --- */

struct rpc_load {
    struct span object_id;
    struct span path;     /* of the source file, for __file__ and tracebacks */
    struct span source;   /* Python text */
    struct span settings; /* JSON object: objects_dir, station_id, boot, expose_tracebacks, … */
    struct rpc_state state;
};
void rpc_load_encode(struct buf *out, const struct rpc_load *m);
bool rpc_load_decode(struct span payload, struct rpc_load *m);

struct rpc_reset {
    struct rpc_state state;
};
void rpc_reset_encode(struct buf *out, const struct rpc_reset *m);
bool rpc_reset_decode(struct span payload, struct rpc_reset *m);

struct rpc_update {
    uint32_t write_count;
    struct span writes;     /* encoded rpc_write */
    struct rpc_files files; /* accepted too, and not visible yet */
};
void rpc_update_encode(struct buf *out, const struct rpc_update *m);
bool rpc_update_decode(struct span payload, struct rpc_update *m);

enum rpc_call_kind {
    RPC_CALL_HTTP,    /* a request of a client */
    RPC_CALL_OBJECT,  /* of a turn of another object: the reply does not stream */
    RPC_CALL_TEST,    /* self-tests */
    RPC_CALL_HEALTH,  /* health() of a candidate: TURN_DONE with status 200, or why not */
    RPC_CALL_MIGRATE, /* its migrate_state(); body: the number of the version before */
    RPC_CALL_TIMER,   /* a schedule is due: `method` is the function, the body its payload */
    RPC_CALL_KINDS,
};

/* Tells by their tokens which changes need not be remembered any more. */
struct rpc_files_applied {
    struct rpc_files files;
};
void rpc_files_applied_encode(struct buf *out, const struct rpc_files_applied *m);
bool rpc_files_applied_decode(struct span payload, struct rpc_files_applied *m);

struct rpc_call {
    enum rpc_call_kind kind;
    struct span method; /* "GET", …; of a timer the name of a function */
    struct span target; /* request target as received: path and query, percent-encoded */
    uint32_t path_skip; /* bytes of the target's path that name the object ("/objects/hello") */
    struct span head;   /* raw header fields: "Name: value\r\n" each */
    struct span body;   /* when body_size is 0: the whole body (may be empty) */
    uint64_t body_size; /* > 0: the body is the frame's descriptor, this long */
    struct span remote_addr; /* "127.0.0.1", or "unix" */
    struct span request_id;  /* of the client; empty: the worker derives one from boot and id */
    struct span user;        /* as authenticated; empty: nobody */
    struct span caller;      /* RPC_CALL_OBJECT: id of the object that calls; else empty */
    uint64_t expires_ns;     /* monotonic: not begun by then, it is refused; 0: never */
    uint32_t management;     /* status that refuses management actions; 0: they are allowed */
    bool readonly;           /* the turn may write no state */
    uint64_t timeout_ns;     /* of a turn that runs beside others; 0: the signal tells */
};
void rpc_call_encode(struct buf *out, const struct rpc_call *m);
bool rpc_call_decode(struct span payload, struct rpc_call *m);

/* To the ASK of the header's id, whatever became of it. */
struct rpc_answer {
    uint32_t status; /* HTTP */
    bool by_station; /* the handler did not answer: the body is a JSON error of the station */
    uint8_t outcome; /* else: enum rpc_outcome of its turn */
    struct span content_type;
    struct span body;
    uint64_t body_size; /* > 0: the body is the frame's descriptor, this long */
};
void rpc_answer_encode(struct buf *out, const struct rpc_answer *m);
bool rpc_answer_decode(struct span payload, struct rpc_answer *m);

/* --- worker to supervisor --- */

struct rpc_ready {
    struct span metadata;         /* JSON: {"endpoint":{…},"methods":["GET",…]} */
    bool has_health, has_migrate; /* the object has such a function */
    uint64_t migrated;            /* newest version whose migrate_state() its state has seen; 0 */
};
void rpc_ready_encode(struct buf *out, const struct rpc_ready *m);
bool rpc_ready_decode(struct span payload, struct rpc_ready *m);

struct rpc_load_failed {
    struct span error;     /* one line: "SyntaxError: invalid syntax" */
    struct span traceback; /* of the object's own frames; may be empty */
    uint32_t line;         /* 1-based; 0 unknown */
};
void rpc_load_failed_encode(struct buf *out, const struct rpc_load_failed *m);
bool rpc_load_failed_decode(struct span payload, struct rpc_load_failed *m);

enum rpc_outcome {
    RPC_OUTCOME_OK,      /* the handler returned */
    RPC_OUTCOME_RAISED,  /* the handler raised: no writes */
    RPC_OUTCOME_TIMEOUT, /* the deadline raised in the handler: no writes */
    RPC_OUTCOME_REFUSED, /* the handler did not run (405, malformed JSON body): no writes */
    RPC_OUTCOME_MISSING, /* the module has no such function (a timer): no writes */
    RPC_OUTCOMES,
};

struct rpc_field {
    struct span name;
    struct span value;
};

struct rpc_turn_done {
    uint32_t status; /* HTTP, 200..599 */
    enum rpc_outcome outcome;
    bool stream;              /* chunks follow on STREAM_PULL; body is empty */
    struct span content_type; /* empty: none */
    uint32_t field_count;     /* further reply fields, encoded rpc_field */
    struct span fields;
    struct span body;
    uint64_t body_size; /* > 0: the body is the frame's descriptor, this long */
    uint32_t write_count;
    struct span writes; /* encoded rpc_write */
    struct rpc_files files;
    struct rpc_schedules schedules;
};
void rpc_field_encode(struct buf *out, const struct rpc_field *f);
bool rpc_field_next(struct codec_reader *r, struct rpc_field *f);
void rpc_turn_done_encode(struct buf *out, const struct rpc_turn_done *m);
bool rpc_turn_done_decode(struct span payload, struct rpc_turn_done *m);

struct rpc_stream_chunk {
    struct span bytes;
    uint64_t size; /* > 0: the bytes are the frame's descriptor */
};
void rpc_stream_chunk_encode(struct buf *out, const struct rpc_stream_chunk *m);
bool rpc_stream_chunk_decode(struct span payload, struct rpc_stream_chunk *m);

struct rpc_stream_end {
    struct span error; /* empty: the generator finished */
};
void rpc_stream_end_encode(struct buf *out, const struct rpc_stream_end *m);
bool rpc_stream_end_decode(struct span payload, struct rpc_stream_end *m);

/*
 * What a running turn (the header's id) wants of an object: a call of its handler, or something to
 * see, named by the query of the station's own route ("state=true"). Each is answered by one
 * ANSWER.
 */
enum rpc_ask_kind { RPC_ASK_CALL, RPC_ASK_VIEW, RPC_ASK_KINDS };
enum rpc_ask_body { RPC_ASK_NONE, RPC_ASK_JSON, RPC_ASK_TEXT, RPC_ASK_BYTES, RPC_ASK_BODIES };

struct rpc_ask {
    uint64_t number; /* the worker's own, not 0: that of the ANSWER */
    enum rpc_ask_kind kind;
    struct span object; /* id, id@station, or the path of its file */
    struct span method; /* "GET" for a view */
    struct span query;  /* raw, without '?'; empty for a call */
    enum rpc_ask_body body_kind;
    struct span body;    /* when body_size is 0: the whole body */
    uint64_t body_size;  /* > 0: the body is the frame's descriptor, this long */
    uint64_t timeout_ns; /* how long the turn waits; 0: as long as it may */
};
void rpc_ask_encode(struct buf *out, const struct rpc_ask *m);
bool rpc_ask_decode(struct span payload, struct rpc_ask *m);

struct rpc_log {
    struct span level; /* "INFO", …: upper case */
    uint64_t wall_us;
    struct span message;
    struct span fields; /* JSON object; empty: none */
};
void rpc_log_encode(struct buf *out, const struct rpc_log *m);
bool rpc_log_decode(struct span payload, struct rpc_log *m);

struct rpc_outside_writes {
    uint32_t write_count;
    struct span writes;
};
void rpc_outside_writes_encode(struct buf *out, const struct rpc_outside_writes *m);
bool rpc_outside_writes_decode(struct span payload, struct rpc_outside_writes *m);

/* A file that the object has imported, or would have, had it been there. */
struct rpc_import {
    struct span path; /* below the objects folder */
    uint64_t hash;    /* XXH3 of its content; or one of these */
};
#define RPC_IMPORT_UNKNOWN 0ull /* there was no such file, or it is too large */
#define RPC_IMPORT_STALE   1ull /* it was written while the import ran */
void rpc_import_encode(struct buf *out, const struct rpc_import *i);
bool rpc_import_next(struct codec_reader *r, struct rpc_import *i);

struct rpc_imports {
    uint32_t import_count;
    struct span imports; /* encoded rpc_import */
};
void rpc_imports_encode(struct buf *out, const struct rpc_imports *m);
bool rpc_imports_decode(struct span payload, struct rpc_imports *m);

/* --- nursery --- */

/* A limit of 0 is not set. */
struct rpc_spawn {
    uint32_t slot;
    uint64_t generation;
    uint64_t mark;         /* of the worker and all it starts; see supervisor/process/family.h */
    uint64_t memory_bytes; /* rlimit, beyond what the nursery has */
    uint32_t open_files;   /* rlimit */
    uint32_t processes;    /* rlimit */
    struct span group;     /* folder of the cgroup v2 that it is born in; empty: none */
    struct span tasks;     /* files of cgroups v1 that it writes itself into, a line each */
};
void rpc_spawn_encode(struct buf *out, const struct rpc_spawn *m);
bool rpc_spawn_decode(struct span payload, struct rpc_spawn *m);

struct rpc_spawned {
    uint32_t slot;
    uint64_t generation;
    uint32_t pid;
};
void rpc_spawned_encode(struct buf *out, const struct rpc_spawned *m);
bool rpc_spawned_decode(struct span payload, struct rpc_spawned *m);

struct rpc_spawn_failed {
    uint32_t slot;
    uint64_t generation;
    uint32_t error; /* errno */
};
void rpc_spawn_failed_encode(struct buf *out, const struct rpc_spawn_failed *m);
bool rpc_spawn_failed_decode(struct span payload, struct rpc_spawn_failed *m);

/* --- sweeper --- */

struct rpc_bury {
    uint64_t generation; /* of the worker that is dead */
};
void rpc_bury_encode(struct buf *out, const struct rpc_bury *m);
bool rpc_bury_decode(struct span payload, struct rpc_bury *m);

/*
 * Messages without fields: STREAM_PULL, STREAM_CANCEL, EXIT, RESET_DONE, PROMOTE. The header's id
 * says what they are about.
 */
bool rpc_empty_decode(struct span payload);

#endif
