// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup - the control groups of a station's workers: made, limited, killed and removed by name.
 * v1 and v2 differ in a table of file names and in how a process gets in; callers see neither.
 *
 * Mechanism only, used by the supervisor and by its sweeper: the station's own folders are found
 * and prepared by cgroup_find.h, what is limited is decided in family.h. Every call is a handful of
 * short writes to cgroupfs and never waits. Returns 0 or -errno.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_H
#define SUPERVISOR_PROCESS_CGROUP_H

#include "common/buf.h"

#include <stdint.h>

/* What groups can do for a station. */
enum cgroup_part {
    CGROUP_MEMORY,
    CGROUP_PROCESSES,
    CGROUP_CPU,      /* a fair share for each worker */
    CGROUP_CPU_TIME, /* what has been used of the processors is counted */
    CGROUP_FAMILY,   /* everything that a worker has started is found, and ended, through it */
    CGROUP_PARTS,
};

enum { CGROUP_ROOTS_MAX = 5, CGROUP_PATH_SIZE = 512, CGROUP_NAME_SIZE = 64 };

/* One hierarchy in which the station has a folder of its own; its groups lie below. */
struct cgroup_root {
    unsigned version; /* 1 or 2 */
    unsigned parts;   /* bits 1 << enum cgroup_part that are used here */
    char path[CGROUP_PATH_SIZE];
};

struct cgroups {
    struct cgroup_root roots[CGROUP_ROOTS_MAX];
    size_t count; /* 0: none can be used */
};

static inline unsigned cgroup_bit(enum cgroup_part part)
{
    return 1u << part;
}
/* NULL: the station has no groups for that. */
const struct cgroup_root *cgroup_root_of(const struct cgroups *groups, enum cgroup_part part);

/* A group in each root. What was made is taken back on an error. */
int cgroup_make(const struct cgroups *groups, const char *name);
/*
 * How a process gets in: the folder of v2 that it is to be born in ("" none), and the files of v1
 * that it writes itself into, a line each.
 */
void cgroup_entries(const struct cgroups *groups, const char *name, struct buf *folder,
                    struct buf *tasks);
/* bytes 0: no limit. -EBUSY: more is in use. */
int cgroup_limit_memory(const struct cgroups *groups, const char *name, uint64_t bytes);
/* Processes and threads; 0: no limit. */
int cgroup_limit_processes(const struct cgroups *groups, const char *name, uint64_t count);
/* Of one processor, for all of it; 0: no limit. -ENOENT: the kernel has no such limit. */
int cgroup_limit_cpu(const struct cgroups *groups, const char *name, uint64_t percent);
/* Whether it gets a processor only when nobody else wants it; a kernel before 5.15 does nothing. */
int cgroup_idle_cpu(const struct cgroups *groups, const char *name, bool is_idle);
/* To be read with cgroup_refused() and closed; -errno. */
int cgroup_refused_open(const struct cgroups *groups, const char *name);
/* Processes and threads that were refused because of its limit; 0 when that is not known. */
uint64_t cgroup_refused(int fd);
/* To be read with cgroup_oom_kills() and closed; -errno. */
int cgroup_oom_kills_open(const struct cgroups *groups, const char *name);
/* Processes that were killed in it because memory.limit was used up; 0 when that is not known. */
uint64_t cgroup_oom_kills(int fd);
/* To be read with cgroup_cpu_ns() and closed; -errno. */
int cgroup_cpu_open(const struct cgroups *groups, const char *name);
/* What was used of the processors in it since it was made; 0 when that is not known. */
uint64_t cgroup_cpu_ns(int fd);
/*
 * SIGKILL to whatever is in it. With v2 nothing escapes; with v1 what is being forked meanwhile
 * may, though no more than once: call again until cgroup_remove() succeeds.
 */
void cgroup_kill(const struct cgroups *groups, const char *name);
/* With the groups below. -EBUSY while something in it still lives; fine when it is not there. */
int cgroup_remove(const struct cgroups *groups, const char *name);
/* fn(arg, name) for each group of any root whose name begins so; may come twice for a name. */
void cgroup_each(const struct cgroups *groups, const char *prefix,
                 void (*fn)(void *arg, const char *name), void *arg);
/* The station's own folders, once no group is left; what is still in use stays. */
void cgroup_remove_roots(const struct cgroups *groups);

#endif
