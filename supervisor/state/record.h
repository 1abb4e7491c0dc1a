// SPDX-License-Identifier: Apache-2.0
/*
 * record - the lines of a journal segment: how they are written and how one is read.
 *
 *     seq \t hlc \t kind \t fields... \t checksum \n
 *
 * seq is decimal; hlc is the hybrid clock in seconds with six decimals; fields are escaped as in
 * tsv.h; checksum is XXH3-64 (16 lower-case hex digits) of everything before it, the last tab
 * included. Its seed is the first sequence number of the segment and, for the lines of a turn, the
 * boot number too, so that a line of another segment or another start is never taken for one of
 * this. Control lines leave the boot number out: they must be readable when the header is not.
 *
 *     header  first line; format, station, boot, sequence number of the last record before this
 *             segment, durable position, durable sequence number. seq: first of the segment
 *     batch   boot, durable position, durable sequence number. seq: last record before it
 *     begin   object, request id, number of parts that follow. All lines of a turn share its seq
 *     set     key, value (JSON text)
 *     del     key
 *     file    "put", name, token of the staged file, its size; "del", name, token; or "done" and a
 *             number: the object's changes up to that record are visible
 *     timer   "put", id, then the columns of a schedule as schedules.tsv has them (timer_image.h);
 *             or "del", id
 *     emit cursor ack   further parts of a turn
 *     commit  no fields; the turn counts
 *
 * A durable position is "segment:offset": everything before that byte had been made durable before
 * this line was written. Pure functions; supervisor and scribe.
 */
#ifndef SUPERVISOR_STATE_RECORD_H
#define SUPERVISOR_STATE_RECORD_H

#include "common/rpc.h"

enum {
    RECORD_FORMAT = 1,
    RECORD_FIELDS_MAX = 8,     /* fields stored by record_decode; more are ignored */
    RECORD_STATION_MAX = 255,  /* bytes of the station's name that a header keeps */
    RECORD_CONTROL_MAX = 1024, /* no header or batch line is longer */
};

enum record_kind {
    RECORD_HEADER,
    RECORD_BATCH,
    RECORD_BEGIN,
    RECORD_SET,
    RECORD_DEL,
    RECORD_FILE,
    RECORD_EMIT,
    RECORD_TIMER,
    RECORD_CURSOR,
    RECORD_ACK,
    RECORD_COMMIT,
    RECORD_KINDS,
};

struct record_position {
    uint64_t segment; /* its first sequence number */
    uint64_t offset;
};

/* <0, 0, >0 as a is before, at or after b. */
int record_position_compare(struct record_position a, struct record_position b);

struct record_seeds {
    uint64_t control; /* header and batch lines */
    uint64_t turn;    /* all others */
};
struct record_seeds record_seeds_of(uint64_t first_seq, uint64_t boot);

/* --- writing: append to `out`; check buf_ok() afterwards --- */

struct record_stamp {
    uint64_t seq;
    uint64_t hlc; /* microseconds since 1970 */
};

struct record_control {
    uint64_t boot;
    struct record_position durable;
    uint64_t durable_seq;
    struct span station;   /* header only */
    uint64_t previous_seq; /* header only */
};
void record_put_header(struct buf *out, struct record_stamp stamp,
                       const struct record_control *header);
void record_put_batch(struct buf *out, uint64_t first_seq, struct record_stamp stamp,
                      const struct record_control *batch);

/* A turn without its stamp. `writes` is a validated sequence of write_count encoded rpc_write. */
struct record_turn {
    struct span object_id;
    struct span request_id;
    struct span writes;
    uint32_t write_count;
    struct rpc_files files; /* validated likewise */
    uint64_t files_done;    /* 0: says nothing about it */
    struct span timers; /* fields of timer lines, apart by tabs and escaped, each with a newline */
    uint32_t timer_count;
};
void record_put_turn(struct buf *out, uint64_t seed, struct record_stamp stamp,
                     const struct record_turn *turn);

/* --- reading --- */

struct record_line {
    uint64_t seq;
    uint64_t hlc;
    enum record_kind kind;
    struct span fields[RECORD_FIELDS_MAX]; /* still escaped; borrowed from the line */
    size_t field_count;                    /* at most RECORD_FIELDS_MAX */
    struct span all;                       /* every field, with the tabs between them */
};
/* A line without its newline. False when anything about it is wrong. */
bool record_decode(struct span line, const struct record_seeds *seeds, struct record_line *out);
/* The content of a decoded header or batch line. False when it is not one of this form. */
bool record_control_decode(const struct record_line *line, struct record_control *out);
/* Format number of a decoded header line; 0 when unreadable. */
uint64_t record_header_format(const struct record_line *line);

/* Decimal digits, nothing else, no overflow. */
bool record_number(struct span text, uint64_t *value);

#endif
