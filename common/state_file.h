// SPDX-License-Identifier: Apache-2.0
/*
 * state_file - reads and writes the checkpoint of an object, data/state/<object>/state.tsv.
 *
 * Two kinds are read. Ours begins with `#objectd-state 1 seq=N`, then a line an entry: key, value
 * as JSON, timestamp, each escaped as in tsv.h; an empty value is a tombstone; the last line ends
 * in a newline. Without that first line the file is of the earlier Python system or written by
 * hand: a header line `key value timestamp` and blank lines are skipped, the timestamp may be
 * missing, values are bare text and come out as JSON: a number where the text is exactly what a
 * number would be written as (007, 1.50 and -0 are text), else a string. Further columns are
 * ignored in both.
 *
 * The reader streams: it holds one block, or the longest line, never the file, and uses pread only
 * (the descriptor's own position is left alone). It gives entries in the order of the file and does
 * not check that order, nor that a value is valid JSON; key and value are valid UTF-8 and not
 * empty (the value of a tombstone apart). Any process, one thread at a time a reader.
 */
#ifndef COMMON_STATE_FILE_H
#define COMMON_STATE_FILE_H

#include "common/buf.h"
#include "common/codec.h"

#include <sys/types.h>

enum {
    STATE_FILE_LINE_MAX = 256 * 1024 * 1024, /* bytes; a longer line is an error */
    STATE_FILE_TIMESTAMP_SIZE = 32,
};

struct state_file {
    /* for the caller, valid after state_file_open */
    bool is_legacy;     /* without our first line */
    uint64_t watermark; /* complete up to this sequence number; 0 for a legacy file */
    uint64_t line;      /* number of the line last read, from 1 */
    const char *error;  /* after -EBADMSG: what is wrong with that line; static */

    int fd; /* borrowed */
    off_t offset;
    char *block;
    size_t start, end, cap; /* of the bytes not yet consumed */
    bool at_eof;
    struct buf json; /* value of a legacy entry */
};

struct state_file_entry {
    struct span key;       /* unescaped */
    struct span value;     /* JSON text; empty for a tombstone */
    struct span timestamp; /* seconds with fraction as in the file; may be empty in a legacy file */
    bool is_tombstone;
};

/*
 * Reads the first line, or, where it is none of ours, as much as shows that. 0 (an empty file is a
 * legacy one without entries); -EBADMSG: damaged, see
 * f->line and f->error; another -errno of reading or memory. state_file_close() in any case.
 */
int state_file_open(struct state_file *f, int fd);
/*
 * 1: *e is the next entry, borrowed until the next call. 0: the end. -EBADMSG or another -errno as
 * above; reading can go on behind a line that is -EBADMSG.
 */
int state_file_next(struct state_file *f, struct state_file_entry *e);
/* Frees the reader; the descriptor stays open. */
void state_file_close(struct state_file *f);

/* Does a bare text stand for the number that it spells (json.dumps would write the same)? */
bool state_file_is_number(const char *text, size_t len);
/* "1700000000.123456" for microseconds since 1970. Returns the length. */
size_t state_file_timestamp(uint64_t us, char out[STATE_FILE_TIMESTAMP_SIZE]);

/* Writes a file of our kind to fd (borrowed), in blocks, from the descriptor's position. */
struct state_file_writer {
    int fd;
    int err; /* the first failure, -errno; sticky */
    struct buf out;
    uint64_t entries;
};
void state_file_write_begin(struct state_file_writer *w, int fd, uint64_t watermark);
/* The caller gives entries in the order of their keys' bytes. An empty value is a tombstone. */
void state_file_write_entry(struct state_file_writer *w, struct span key, struct span value,
                            struct span timestamp);
/* Writes what is left and frees the writer: 0 or the first -errno. Does not fsync. */
int state_file_write_end(struct state_file_writer *w);

#endif
