// SPDX-License-Identifier: Apache-2.0
/*
 * store - the state of all objects as the rest of the supervisor sees it.
 *
 * Behind it: the journal (what was accepted, in order, made durable by the committer thread), one
 * memtable an object (the newest accepted value of every key written since the object's last
 * checkpoint) and the checkpoints (data/state/<object>/state.tsv). The whole state of an object is
 * its checkpoint file overlaid by its memtable; the supervisor never loads checkpoints itself.
 *
 * Sequence numbers are per station and start at 1. Loop thread only.
 */
#ifndef SUPERVISOR_STATE_STORE_H
#define SUPERVISOR_STATE_STORE_H

#include "common/rpc.h"
#include "supervisor/config.h"
#include "supervisor/loop.h"

struct scribe;
struct store;
struct object_state; /* one object's part; lives as long as the store */

struct store_report {
    uint64_t boot;       /* number of this start, from 1 */
    uint64_t records;    /* replayed from the journal */
    uint64_t torn_bytes; /* cut off the tail */
    char torn_at[128];   /* "segment:offset" when torn_bytes > 0 */
    uint64_t elapsed_ns;
};

/*
 * Recovers and opens. On damage, a locked or unusable folder: returns NULL after writing one line
 * to error (file and offset). The store adds its own loop sources and end-of-round hook, and calls
 * on_durable(arg) whenever store_durable() has grown.
 */
struct store *store_open(struct loop *loop, const struct config *config, struct scribe *scribe,
                         void (*on_durable)(void *arg), void *arg, struct store_report *report,
                         char *error, size_t error_size);
/* Takes the limits and times of the configuration; the durability mode stays. */
void store_configure(struct store *store, const struct config *config);
/* Waits for what is queued to become durable, checkpoints what is dirty for settle_ns, closes. */
void store_close(struct store *store, uint64_t settle_ns);

/* Waits until everything accepted is durable in the sense of the mode. */
void store_flush(struct store *store);

/* The part of an object, made when missing. NULL when memory is short. */
struct object_state *store_object(struct store *store, const char *object_id);

/* False: so many writes are above turn_writes_max, and refused with -EFBIG below. */
bool store_would_take(const struct store *store, struct span writes, uint32_t write_count);
/*
 * Accepts the writes of one turn: stamps them, appends ONE journal record and applies them to the
 * memtable. `writes` is a validated sequence of encoded rpc_write. *seq receives the record's
 * number. 0; -ENOSPC no room on the disk (answer 507); -EFBIG above turn_writes_max (413); -ENOMEM
 * (503); -EBADMSG or another -errno when the object's checkpoint cannot be read. On an error
 * nothing happened.
 */
int store_commit(struct store *store, struct object_state *object, struct span request_id,
                 struct span writes, uint32_t write_count, uint64_t *seq);

/* The same for a turn that changes files too; a record is made when there is anything in it. */
struct store_turn {
    struct span request_id;
    struct span writes;
    uint32_t write_count;
    struct rpc_files files; /* puts are staged and durable */
    uint64_t files_done; /* all changes of files up to this record are visible; 0: says nothing */
    struct span timers;  /* changes of schedules, as record.h has them */
    uint32_t timer_count;
};
int store_commit_turn(struct store *store, struct object_state *object,
                      const struct store_turn *turn, uint64_t *seq);
/*
 * Changes of files that the journal holds and that may not be visible yet, from recovery; they are
 * given away once. No record from `seq` on leaves the journal (0: that one needs none).
 */
struct file_redo;
struct file_redo *store_take_file_redo(struct store *store);
enum store_keeper { STORE_KEEP_FILES, STORE_KEEP_SCHEDULES, STORE_KEEPERS };
void store_keep_from(struct store *store, enum store_keeper who, uint64_t seq);

/* Every schedule that the data folder holds, from recovery; given away once. */
struct timer_image;
struct timer_image *store_take_timers(struct store *store);
/* Closed segments take more room than they may: whoever keeps some is to let go. */
bool store_is_pressed(const struct store *store);

/* Can the object's checkpoint file be used? 0 or -errno, logged when it is seen first. */
int store_readable(struct store *store, struct object_state *object);
/* Sequence number of the newest accepted record of the object; 0 none since the start. */
uint64_t store_newest(const struct object_state *object);
/* Everything up to this number survives what the durability mode promises to survive. */
uint64_t store_durable(const struct store *store);

/*
 * The accepted state of an object, to send to a worker: an open descriptor of the checkpoint file
 * (to be closed by the caller; -1 when there is none) and the encoded writes over it appended to
 * `writes`. 0 or -errno.
 */
int store_snapshot(struct store *store, struct object_state *object, int *checkpoint_fd,
                   struct buf *writes, uint32_t *write_count);

/*
 * Builds the JSON object of the whole state ({"key":value,…}) off the loop, in the scribe:
 * done(arg, err, fd, size) is called later with a sealed memfd (owned by the callee) or err < 0.
 * Only durable once store_durable() >= the store_newest() read at the call: the caller gates its
 * answer. If key is not NULL: just that key's value; -ENOENT when there is none. The text is prefix
 * + state + suffix.
 */
typedef void (*store_dump_fn)(void *arg, int err, int fd, uint64_t size);
void store_dump(struct store *store, struct object_state *object, const struct span *key,
                const char *prefix, const char *suffix, store_dump_fn done, void *arg);
/* Number of keys as of the last checkpoint plus those written since; an estimate, for metadata. */
uint64_t store_key_estimate(struct store *store, struct object_state *object);

/* Adds "journal":{…} members to a JSON object under construction (status), and metric lines. */
void store_status(const struct store *store, struct buf *json);
void store_metrics(const struct store *store, struct buf *text);

#endif
