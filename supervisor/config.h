// SPDX-License-Identifier: Apache-2.0
/*
 * config - the settings of a station, read at the start and at each reload.
 *
 * Precedence: command line, environment (OBJECTD_…), file (libconfuse), default. Everything here is
 * validated: consumers need not check again. Strings are owned by the struct. The keys with their
 * defaults and limits are in config_keys.def.
 *
 * Environment: OBJECTD_<SECTION>_<KEY>, lists separated by commas or blanks; STATION_ID,
 * OBJECTD_OBJECTS, OBJECTD_DATA and OBJECTD_LISTEN are short for the usual ones, OBJECTD_CONFIG
 * names the file.
 */
#ifndef SUPERVISOR_CONFIG_H
#define SUPERVISOR_CONFIG_H

#include "common/log.h"

#include <stddef.h>
#include <stdint.h>

enum durability { DURABILITY_FSYNC, DURABILITY_INTERVAL, DURABILITY_NONE };
/* Whether workers get cgroups: where it can be done; never; or not to start without. */
enum cgroups_mode { CGROUPS_AUTO, CGROUPS_OFF, CGROUPS_REQUIRE };
enum management { MANAGEMENT_LOOPBACK, MANAGEMENT_TOKEN, MANAGEMENT_OFF };

enum { CONFIG_LISTEN_MAX = 16, CONFIG_HOSTS_MAX = 64 };

struct config {
    char *file; /* path it was read from; NULL: none */

    /* station {} */
    char *station_id;  /* default: host name */
    char *objects_dir; /* absolute */
    char *data_dir;    /* absolute */

    /* http {} */
    char *listen[CONFIG_LISTEN_MAX]; /* "127.0.0.1:8001", "[::1]:8001", "unix:/path" */
    size_t listen_count;
    char *hosts[CONFIG_HOSTS_MAX]; /* further names that Host may hold */
    size_t host_count;
    uint64_t head_timeout_ns;      /* 10 s, the whole head */
    uint64_t body_timeout_ns;      /* 30 s, the window of body_rate_min */
    uint64_t keepalive_timeout_ns; /* 60 s idle */
    uint64_t view_timeout_ns;      /* 30 s */
    int debug_headers;
    int expose_tracebacks;

    /* limits {} : sizes in bytes */
    uint64_t head_max;   /* 16 KiB */
    uint64_t fields_max; /* 100 */
    uint64_t target_max; /* 8 KiB request target; 414 */
    uint64_t body_max;   /* 64 MiB */
    uint64_t upload_max;
    uint64_t upload_parts_max;
    uint64_t files_bytes_max;
    uint64_t files_count_max;
    uint64_t body_rate_min;           /* 256 bytes a second */
    uint64_t bodies_max;              /* 256 MiB, all bodies of the station together */
    uint64_t connections_max;         /* 10000 */
    uint64_t connections_address_max; /* 1000 */
    uint64_t queue_object_max;        /* 1024 */
    uint64_t queue_station_max;       /* 16384 */
    uint64_t call_depth_max;          /* 32; objects in a chain of calls */
    uint64_t turn_asks_max;           /* 1024; answers that one turn waits for */
    uint64_t views_max;               /* 256 */
    uint64_t schedules_object_max;    /* 10000; schedules of one object */
    uint64_t schedules_max;           /* 1000000; of all objects */
    uint64_t schedule_payload_max;    /* 64 KiB; of one schedule, as JSON */
    uint64_t ticks_max;               /* 256; ticks queued or running at the same time */
    uint64_t misfire_max;             /* 100; missed runs that misfire="all" makes up for */
    uint64_t test_runs_max;           /* 4; objects tested at the same time */
    uint64_t source_max;              /* 1 MiB, one object file */
    uint64_t metadata_max;            /* 1 MiB, JSON of what an object says about itself */
    uint64_t deploys_object_max;      /* 64, sources of one object that wait to be deployed */
    uint64_t candidates_max;          /* 8, new versions that load beside others at once */
    uint64_t imports_object_max;      /* 1000, files that one object has imported and are watched */
    uint64_t version_text_max;        /* 1 KiB, author or message of a version */
    uint64_t crashes_object_max;      /* 20, crash reports that are kept of one object */
    uint64_t crashes_station_max;     /* 1000, of all of them */
    uint64_t turn_writes_max;         /* 8 MiB, state written by one turn */
    uint64_t replica_lag_max;         /* 64 MiB of writes that one replica has not read */
    uint64_t workers_object_max;      /* 64, workers of one object */
    uint64_t concurrent_max;          /* 256, turns at once in one worker */
    /* Of each worker whose object does not say otherwise; 0: none. */
    uint64_t memory_mb;     /* 1024 */
    uint64_t cpu_seconds;   /* 60, of one turn */
    uint64_t open_files;    /* 1024 */
    uint64_t processes;     /* 256, threads included */
    uint64_t throttled_cpu; /* 1 % of a processor, for one that goes on beyond them */

    /* workers {} */
    uint64_t timeout_ns;             /* 30 s, execution */
    uint64_t timeout_grace_ns;       /* 2 s from TimeoutError to SIGKILL */
    uint64_t backoff_wait_ns;        /* 1 s, for the next start of what has failed */
    uint64_t queue_timeout_ns;       /* 30 s, waiting for a worker */
    uint64_t start_timeout_ns;       /* 30 s, import of an object */
    uint64_t rollback_window_ns;     /* 60 s, it is watched for so long */
    uint64_t rollback_errors;        /* 50 %, of its calls that fail */
    uint64_t rollback_calls;         /* 10, so many calls at least */
    uint64_t health_timeout_ns;      /* 10 s, health() of a new version */
    uint64_t migrate_timeout_ns;     /* 10 s, its migrate_state() */
    uint64_t stop_timeout_ns;        /* 30 s, graceful stop of the station */
    uint64_t idle_timeout_ns;        /* 600 s */
    uint64_t workers_max;            /* 512 */
    uint64_t workers_memory_max;     /* 0: three quarters of the machine's */
    uint64_t replica_lag_timeout_ns; /* 5 s without following the object's writes */
    int rollback;                    /* flag: true, a new version that fails goes back by itself */
    enum cgroups_mode cgroups;
    char *venv;           /* "": the packages of the system */
    char *worker_program; /* objectd-worker */

    /* state {} */
    enum durability durability;
    uint64_t sync_interval_ns;   /* durability = interval: 1 s */
    uint64_t segment_size;       /* 16 MiB, one journal segment */
    uint64_t checkpoint_idle_ns; /* 2 s after writes stop */
    uint64_t checkpoint_max_ns;  /* 60 s for a busy object */
    uint64_t journal_max;        /* 256 MiB of closed segments force checkpoints */

    /* log {} */
    enum log_level log_level;
    enum log_format log_format;
    uint64_t turn_lines_per_s;        /* 100: INFO lines of turns an object */
    uint64_t object_lines_per_s;      /* 10000: lines an object logs itself */
    uint64_t log_output_max;          /* 8 MiB a second printed by one worker */
    uint64_t log_line_max;            /* 64 KiB, a message, or the fields of a line */
    uint64_t log_file_max;            /* 10 MB, then it is rotated */
    uint64_t log_files_max;           /* 10 rotated files of an object */
    uint64_t log_keep_ns;             /* 90 days, for rotated files */
    uint64_t log_lines_max;           /* 10000 lines in one answer */
    uint64_t log_answer_max;          /* 16 MiB of them */
    uint64_t log_search_max;          /* 4 GiB of log read for one answer */
    uint64_t log_searches_max;        /* 16 at a time */
    uint64_t log_followers_max;       /* 100, of all objects together */
    uint64_t log_follow_buffer_max;   /* 1 MiB waits for one follower */
    uint64_t log_follow_heartbeat_ns; /* 15 s */

    /* security {} */
    enum management management;
};

struct options;

/*
 * Reads and validates everything: 0, or -EINVAL (-ENOMEM) after writing one line to `error` that
 * says where (file and line, variable or option), what, and what is allowed. On an error the struct
 * is empty. Nothing is logged, nothing on the disk is touched.
 */
int config_load(struct config *config, const struct options *options, char *error,
                size_t error_size);
void config_free(struct config *config);
/* The whole configuration in the form of the file, on stdout: what --check prints. */
void config_print(const struct config *config);

/* As in the configuration and in X-Durability. */
static inline const char *config_durability_name(enum durability durability)
{
    static const char *const names[] = {[DURABILITY_FSYNC] = "fsync",
                                        [DURABILITY_INTERVAL] = "interval",
                                        [DURABILITY_NONE] = "none"};
    return names[durability];
}

#endif
