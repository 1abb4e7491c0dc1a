// SPDX-License-Identifier: Apache-2.0
/*
 * scribe - the supervisor's end of objectd-scribe, the process for slow file work.
 *
 * The scribe merges journal segments into checkpoints, builds state dumps, searches and tidies
 * logs, keeps the histories of sources and measures the memory of workers. Jobs run one after the
 * other, in order, but for those on logs and of measuring, which run in slices between the others
 * and may be overtaken. When it dies it is started
 * again (with backoff) and every job under way gets its callback with -EPIPE. One that hangs is not
 * killed, for it may be at a large merge; who asked for a document is told so after
 * http.view_timeout. Loop thread only. The
 * messages are in scribe_messages (part of common/rpc_messages.def, numbers 64 and up) and
 * scribe_rpc.h.
 */
#ifndef SUPERVISOR_SCRIBE_SCRIBE_H
#define SUPERVISOR_SCRIBE_SCRIBE_H

#include "common/codec.h"
#include "supervisor/config.h"
#include "supervisor/log/log_files.h"
#include "supervisor/loop.h"
#include "supervisor/process/process_end.h"

#include <sys/types.h>

struct scribe;

/* Starts the process (exec of this same program in its scribe role). Dies when that is impossible.
 */
struct scribe *scribe_new(struct loop *loop, const struct config *config);
/* Takes the limits of documents and how it logs, which the process is told. */
void scribe_configure(struct scribe *scribe, const struct config *config);
/* From now on every wait also ends when is_hurried() holds. */
void scribe_set_hurry(struct scribe *scribe, bool (*is_hurried)(void));
/* Lets it finish its jobs, waits for it (both within SCRIBE_END_S, then it is killed), frees. */
enum { SCRIBE_END_S = 5 };
void scribe_free(struct scribe *scribe);
/* pid of the running process, 0 when there is none; for status, and for whoever reaps children. */
pid_t scribe_pid(const struct scribe *scribe);
/* To be called by the reaper when that pid was reaped. */
void scribe_reaped(struct scribe *scribe, const struct process_end *end);

/* Bring the checkpoint of an object up to `upto_seq` from the journal's durable part. */
struct scribe_checkpoint {
    const char *object_id;
    uint64_t after_seq; /* the checkpoint's watermark: records up to here are in it */
    uint64_t upto_seq;  /* durable */
};
/* done(arg, err, index into the array given, keys now in the file) once for each. */
typedef void (*scribe_checkpoint_fn)(void *arg, int err, size_t index, uint64_t keys);
void scribe_checkpoint(struct scribe *scribe, const struct scribe_checkpoint *objects, size_t count,
                       scribe_checkpoint_fn done, void *arg);

/*
 * A JSON document in a sealed memfd; fd is owned by the callee, -1 when err < 0: -EBUSY
 * (limits.views_max are under way) and -ENOMEM from inside the call, -ETIMEDOUT after
 * http.view_timeout.
 */
typedef void (*scribe_document_fn)(void *arg, int err, int fd, uint64_t size);

/*
 * prefix + {"key":value,…} (or one value, -ENOENT when missing) + suffix: the checkpoint file of
 * the object overlaid by `writes` (encoded rpc_write).
 */
void scribe_dump(struct scribe *scribe, const char *object_id, const struct span *key,
                 struct span writes, uint32_t write_count, const char *prefix, const char *suffix,
                 scribe_document_fn done, void *arg);

/* What GET ?logs=true asks for. */
struct scribe_log_query {
    const char *object_id;
    bool as_events;                /* server-sent events instead of one JSON document */
    uint32_t levels;               /* set of log_level.h; 0: any */
    uint64_t limit;                /* the newest so many, after offset */
    uint64_t offset;               /* skipped from the newest */
    uint64_t since_us;             /* wall time, inclusive; 0 none */
    uint64_t until_us;             /* wall time, exclusive; 0 none */
    struct log_position upto;      /* nothing newer */
    uint64_t read_max, answer_max; /* bytes, see log_query.h */
    uint32_t filter_count;
    struct span filters; /* encoded rpc_field: a field (column or member of `fields`), its value */
};
/* {"status":"ok","object_id":…,"logs":[…],"count":n}, newest last. */
void scribe_logs(struct scribe *scribe, const struct scribe_log_query *query,
                 scribe_document_fn done, void *arg);
/* Searches under way, those that were cancelled and have not stopped yet included. */
size_t scribe_searches(const struct scribe *scribe);

/*
 * Appends a version (version_store.h); on the disk when done is told so. err -EPIPE: the scribe
 * died, and the version may be there or not.
 */
struct scribe_rpc_version_write;
typedef void (*scribe_version_fn)(void *arg, int err, bool in_objects, uint64_t version);
void scribe_version_write(struct scribe *scribe, const struct scribe_rpc_version_write *m,
                          scribe_version_fn done, void *arg);
/* A page of a history; one version of it (version_list.h). */
struct scribe_rpc_version_list;
void scribe_version_list(struct scribe *scribe, const struct scribe_rpc_version_list *m,
                         scribe_document_fn done, void *arg);
struct scribe_rpc_version_read;
void scribe_version_read(struct scribe *scribe, const struct scribe_rpc_version_read *m,
                         scribe_document_fn done, void *arg);

/* done(arg, err, the number) once. */
typedef void (*scribe_number_fn)(void *arg, int err, uint64_t value);
/* Keeps a crash report (crash_store.h); answers with how many went for it. */
struct scribe_rpc_crash_write;
void scribe_crash_write(struct scribe *scribe, const struct scribe_rpc_crash_write *m,
                        scribe_number_fn done, void *arg);
/* One crash report, or their list (crash_list.h). */
struct scribe_rpc_crash_read;
void scribe_crash_read(struct scribe *scribe, const struct scribe_rpc_crash_read *m,
                       scribe_document_fn done, void *arg);
/* How many lines the log has up to a position. */
void scribe_log_count(struct scribe *scribe, const char *object_id, const struct log_position *upto,
                      scribe_number_fn done, void *arg);
/*
 * Removes rotated files of an object (NULL: of all) beyond the newest `files`, and those older than
 * `seconds`; answers with how many. What goes is told to the hook as it goes.
 */
void scribe_log_keep(struct scribe *scribe, const char *object_id, uint64_t files, uint64_t seconds,
                     scribe_number_fn done, void *arg);
typedef void (*scribe_log_removed_fn)(void *arg, struct span object_id, uint64_t files,
                                      uint64_t lines);
void scribe_on_log_removed(struct scribe *scribe, scribe_log_removed_fn fn, void *arg);

/* Brings data/schedules.tsv up to a durable record (timer_image.h). */
void scribe_schedules(struct scribe *scribe, uint64_t upto_seq, scribe_number_fn done, void *arg);

/*
 * Work on the files of an object (file_work.h); limit is an enum scribe_files_limit, with -EDQUOT.
 * err -EPIPE: the scribe died, and it may be done, in part, or not; all of it can be done again.
 */
struct scribe_rpc_files;
typedef void (*scribe_files_fn)(void *arg, int err, unsigned limit);
void scribe_files(struct scribe *scribe, const struct scribe_rpc_files *m, scribe_files_fn done,
                  void *arg);
/* {"status":"ok","object_id":…,"files":[{"name","size","modified"}],"count":n}, sorted by name. */
void scribe_files_list(struct scribe *scribe, const char *object_id, scribe_document_fn done,
                       void *arg);

/*
 * Finds what is in the objects folder, or below one folder of it, and watches its folders with that
 * inotify descriptor (tree_walk.h). found() once for each, in order, then done() with their number;
 * err -EPIPE: the scribe died, and it is to be done again.
 */
struct scribe_rpc_tree_scan;
struct scribe_rpc_tree_entry;
struct scribe_rpc_tree_found;
typedef void (*scribe_tree_fn)(void *arg, const struct scribe_rpc_tree_entry *entry);
void scribe_tree_scan(struct scribe *scribe, const struct scribe_rpc_tree_scan *m, int inotify_fd,
                      scribe_tree_fn found, scribe_number_fn done, void *arg);

/*
 * How much memory these processes take, at most SCRIBE_MEASURE_MAX: done(arg, err, bytes of each,
 * 0 for one that is gone). A figure is of whoever had the pid then. Nobody waits for it:
 * scribe_wait() does not, and the end of the scribe drops it without a call.
 */
typedef void (*scribe_measured_fn)(void *arg, int err, const uint64_t *bytes);
void scribe_measure(struct scribe *scribe, const pid_t *pids, size_t count, scribe_measured_fn done,
                    void *arg);

/* Forgets every pending job with this arg: its done will not be called. Work in slices stops. */
void scribe_cancel(struct scribe *scribe, void *arg);
/*
 * Blocks until no job is pending: callbacks run from here, further jobs of theirs included. False
 * when that takes longer than `timeout_ns`.
 */
bool scribe_wait(struct scribe *scribe, uint64_t timeout_ns);

/*
 * The scribe process itself: what main() calls when the program was started in that role (argv[0]
 * is SCRIBE_PROGRAM_NAME). Jobs arrive on FD_RPC. Returns the exit code.
 */
#define SCRIBE_PROGRAM_NAME "objectd-scribe"
int scribe_main(int argc, char **argv);

#endif
