// SPDX-License-Identifier: Apache-2.0
/*
 * scribe_rpc - payloads of the messages between supervisor and scribe (common/rpc_messages.def, 64
 * and up). The frame's id is the number of the job. Rules of encoders and decoders as in rpc.h.
 */
#ifndef SUPERVISOR_SCRIBE_SCRIBE_RPC_H
#define SUPERVISOR_SCRIBE_SCRIBE_RPC_H

#include "common/rpc.h"
#include "common/sha256.h"

struct scribe_rpc_object {
    struct span object_id;
    uint64_t after_seq;
    uint64_t upto_seq;
};

struct scribe_rpc_checkpoint {
    uint32_t object_count;
    struct span objects; /* encoded scribe_rpc_object */
};
void scribe_rpc_object_encode(struct buf *out, const struct scribe_rpc_object *o);
bool scribe_rpc_object_next(struct codec_reader *r, struct scribe_rpc_object *o);
void scribe_rpc_checkpoint_encode(struct buf *out, const struct scribe_rpc_checkpoint *m);
bool scribe_rpc_checkpoint_decode(struct span payload, struct scribe_rpc_checkpoint *m);

struct scribe_rpc_checkpointed {
    uint32_t index; /* in the job's array */
    uint32_t error; /* errno; 0: done */
    uint64_t keys;  /* now in the file */
};
void scribe_rpc_checkpointed_encode(struct buf *out, const struct scribe_rpc_checkpointed *m);
bool scribe_rpc_checkpointed_decode(struct span payload, struct scribe_rpc_checkpointed *m);

struct scribe_rpc_dump {
    struct span object_id;
    struct span key; /* empty: all of it */
    struct span prefix;
    struct span suffix;
    uint32_t write_count;
    struct span writes; /* encoded rpc_write, oldest first */
};
void scribe_rpc_dump_encode(struct buf *out, const struct scribe_rpc_dump *m);
bool scribe_rpc_dump_decode(struct span payload, struct scribe_rpc_dump *m);

/* A place in a log, as struct log_position. */
struct scribe_rpc_position {
    bool is_set;
    uint64_t inode;
    uint64_t size;
};

enum scribe_rpc_form {
    SCRIBE_RPC_FORM_JSON,   /* one document */
    SCRIBE_RPC_FORM_EVENTS, /* server-sent events, one a line */
    SCRIBE_RPC_FORMS,
};

struct scribe_rpc_search {
    struct span object_id;
    enum scribe_rpc_form form;
    uint32_t levels; /* set of log_level.h; 0: any */
    uint64_t limit;
    uint64_t offset;
    uint64_t since_us;
    uint64_t until_us;
    struct scribe_rpc_position upto; /* nothing newer */
    uint64_t read_max;               /* bytes of log that are read at most */
    uint64_t answer_max;             /* bytes of the lines in the answer, about */
    uint32_t filter_count;
    struct span filters; /* encoded rpc_field: name and value to be equal */
};
void scribe_rpc_search_encode(struct buf *out, const struct scribe_rpc_search *m);
bool scribe_rpc_search_decode(struct span payload, struct scribe_rpc_search *m);

struct scribe_rpc_version_write {
    struct span object_id;
    struct span author;
    struct span message;
    struct span content;
    uint64_t wall_us;
    uint32_t is_rejected; /* 1: `reason` says why */
    struct span reason;
    struct span objects_dir;
    struct span file;       /* below objects_dir, to hold the content too; empty: none */
    uint32_t expect;        /* enum object_file_expect */
    struct sha256 expected; /* for OBJECT_FILE_HASH */
};
void scribe_rpc_version_write_encode(struct buf *out, const struct scribe_rpc_version_write *m);
bool scribe_rpc_version_write_decode(struct span payload, struct scribe_rpc_version_write *m);

struct scribe_rpc_version_written {
    uint32_t error;      /* errno; 0: done */
    uint32_t in_objects; /* 1: the objects folder refused, not the data folder */
    uint64_t version;
};
void scribe_rpc_version_written_encode(struct buf *out, const struct scribe_rpc_version_written *m);
bool scribe_rpc_version_written_decode(struct span payload, struct scribe_rpc_version_written *m);

struct scribe_rpc_version_list {
    struct span object_id;
    uint64_t limit;
    uint64_t offset; /* skipped from the newest */
    uint64_t after;  /* only older ones than this; 0: all */
};
void scribe_rpc_version_list_encode(struct buf *out, const struct scribe_rpc_version_list *m);
bool scribe_rpc_version_list_decode(struct span payload, struct scribe_rpc_version_list *m);

struct scribe_rpc_version_read {
    struct span object_id;
    uint64_t version;
    uint32_t is_bare; /* 1: the content alone */
};
void scribe_rpc_version_read_encode(struct buf *out, const struct scribe_rpc_version_read *m);
bool scribe_rpc_version_read_decode(struct span payload, struct scribe_rpc_version_read *m);

struct scribe_rpc_crash_write {
    struct span object_id;
    struct span crash_id;
    uint64_t object_max; /* reports that stay, of this object and of all */
    uint64_t station_max;
    uint64_t log_lines; /* newest lines of the log that are added */
    struct scribe_rpc_position log_upto;
    struct span report; /* JSON, its last member and the closing brace missing */
};
void scribe_rpc_crash_write_encode(struct buf *out, const struct scribe_rpc_crash_write *m);
bool scribe_rpc_crash_write_decode(struct span payload, struct scribe_rpc_crash_write *m);

struct scribe_rpc_crash_read {
    struct span object_id;
    struct span crash_id; /* empty: the list of them */
    uint64_t limit;       /* of the list */
};
void scribe_rpc_crash_read_encode(struct buf *out, const struct scribe_rpc_crash_read *m);
bool scribe_rpc_crash_read_decode(struct span payload, struct scribe_rpc_crash_read *m);

struct scribe_rpc_document {
    uint32_t error; /* errno; 0: the frame's descriptor is the document */
    uint64_t size;
};
void scribe_rpc_document_encode(struct buf *out, const struct scribe_rpc_document *m);
bool scribe_rpc_document_decode(struct span payload, struct scribe_rpc_document *m);

enum scribe_files_action {
    SCRIBE_FILES_SYNC,  /* make staged puts durable, within the limits of the object */
    SCRIBE_FILES_APPLY, /* make these changes visible, durably */
    SCRIBE_FILES_DROP,  /* remove staged files */
    SCRIBE_FILES_SWEEP, /* remove every staged file of this owner but those of `files` */
    SCRIBE_FILES_ACTIONS
};
struct scribe_rpc_files {
    enum scribe_files_action action;
    struct span object_id;
    struct span owner;  /* SWEEP: what the tokens begin with */
    uint64_t bytes_max; /* SYNC: of all files of the object, afterwards */
    uint64_t count_max;
    struct rpc_files files;
};
void scribe_rpc_files_encode(struct buf *out, const struct scribe_rpc_files *m);
bool scribe_rpc_files_decode(struct span payload, struct scribe_rpc_files *m);

enum scribe_files_limit {
    SCRIBE_FILES_FINE,
    SCRIBE_FILES_BYTES,
    SCRIBE_FILES_COUNT,
    SCRIBE_FILES_LIMITS
};
struct scribe_rpc_files_done {
    uint32_t error;                /* errno; 0: done */
    enum scribe_files_limit limit; /* which one was met, with EDQUOT */
};
void scribe_rpc_files_done_encode(struct buf *out, const struct scribe_rpc_files_done *m);
bool scribe_rpc_files_done_decode(struct span payload, struct scribe_rpc_files_done *m);

struct scribe_rpc_list {
    struct span object_id;
};
void scribe_rpc_list_encode(struct buf *out, const struct scribe_rpc_list *m);
bool scribe_rpc_list_decode(struct span payload, struct scribe_rpc_list *m);
struct scribe_rpc_log_count {
    struct span object_id;
    struct scribe_rpc_position upto;
};
void scribe_rpc_log_count_encode(struct buf *out, const struct scribe_rpc_log_count *m);
bool scribe_rpc_log_count_decode(struct span payload, struct scribe_rpc_log_count *m);

struct scribe_rpc_log_keep {
    struct span object_id; /* empty: all of them */
    uint64_t files;        /* rotated ones, the newest */
    uint64_t seconds;      /* since their rotation */
};
void scribe_rpc_log_keep_encode(struct buf *out, const struct scribe_rpc_log_keep *m);
bool scribe_rpc_log_keep_decode(struct span payload, struct scribe_rpc_log_keep *m);

struct scribe_rpc_log_setup {
    uint32_t format; /* enum log_format */
    uint32_t level;  /* enum log_level */
};
void scribe_rpc_log_setup_encode(struct buf *out, const struct scribe_rpc_log_setup *m);
bool scribe_rpc_log_setup_decode(struct span payload, struct scribe_rpc_log_setup *m);

struct scribe_rpc_log_removed {
    struct span object_id;
    uint64_t files;
    uint64_t lines;
};
void scribe_rpc_log_removed_encode(struct buf *out, const struct scribe_rpc_log_removed *m);
bool scribe_rpc_log_removed_decode(struct span payload, struct scribe_rpc_log_removed *m);

struct scribe_rpc_tree_scan {
    struct span objects_dir;
    struct span prefix; /* folder below it: "" or "basics/" */
};
void scribe_rpc_tree_scan_encode(struct buf *out, const struct scribe_rpc_tree_scan *m);
bool scribe_rpc_tree_scan_decode(struct span payload, struct scribe_rpc_tree_scan *m);

enum scribe_tree_kind {
    SCRIBE_TREE_FILE,       /* *.py, no folder */
    SCRIBE_TREE_FOLDER,     /* entered, and watched unless there is an error */
    SCRIBE_TREE_UNREADABLE, /* a folder that cannot be listed */
    SCRIBE_TREE_TOO_DEEP,   /* a folder that is not entered */
    SCRIBE_TREE_KINDS
};
struct scribe_rpc_tree_entry {
    enum scribe_tree_kind kind;
    uint32_t watch;   /* of a folder: inotify's number */
    uint32_t error;   /* errno */
    struct span path; /* below the objects folder; of folders with a slash at the end, or empty */
};
void scribe_rpc_tree_entry_encode(struct buf *out, const struct scribe_rpc_tree_entry *e);
bool scribe_rpc_tree_entry_next(struct codec_reader *r, struct scribe_rpc_tree_entry *e);

struct scribe_rpc_tree_found {
    uint32_t count;
    struct span entries; /* encoded scribe_rpc_tree_entry, in the order of their paths */
};
void scribe_rpc_tree_found_encode(struct buf *out, const struct scribe_rpc_tree_found *m);
bool scribe_rpc_tree_found_decode(struct span payload, struct scribe_rpc_tree_found *m);

struct scribe_rpc_schedules {
    uint64_t upto_seq; /* durable */
};
void scribe_rpc_schedules_encode(struct buf *out, const struct scribe_rpc_schedules *m);
bool scribe_rpc_schedules_decode(struct span payload, struct scribe_rpc_schedules *m);

enum { SCRIBE_MEASURE_MAX = 8 /* processes at a time */ };
struct scribe_rpc_measure {
    uint32_t count;
    uint32_t pids[SCRIBE_MEASURE_MAX];
};
void scribe_rpc_measure_encode(struct buf *out, const struct scribe_rpc_measure *m);
bool scribe_rpc_measure_decode(struct span payload, struct scribe_rpc_measure *m);

struct scribe_rpc_measured {
    uint32_t error; /* errno */
    uint32_t count;
    uint64_t bytes[SCRIBE_MEASURE_MAX]; /* proportional set sizes; 0: it is gone */
};
void scribe_rpc_measured_encode(struct buf *out, const struct scribe_rpc_measured *m);
bool scribe_rpc_measured_decode(struct span payload, struct scribe_rpc_measured *m);

struct scribe_rpc_number {
    uint32_t error; /* errno */
    uint64_t value;
};
void scribe_rpc_number_encode(struct buf *out, const struct scribe_rpc_number *m);
bool scribe_rpc_number_decode(struct span payload, struct scribe_rpc_number *m);

#endif
