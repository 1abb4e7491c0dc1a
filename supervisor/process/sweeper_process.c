// SPDX-License-Identifier: Apache-2.0
/*
 * sweeper_process - objectd-sweeper itself: families to be ended, one after the other and again
 * until each is gone, until the supervisor closes the socket or dies; then all that is left.
 * Single-threaded. Started as `objectd-sweeper FORMAT LEVEL BOOT MARK PARENT
 * [VERSION:PARTS:PATH]...`.
 */
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/worker_fds.h"
#include "supervisor/process/mark.h"
#include "supervisor/process/sweeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAYLOAD_MAX = 64,
    FIRST_PAUSE_MS = 1,
    LONGEST_PAUSE_MS = 100,
    PAUSE_GROWTH = 2,
    FIXED_ARGUMENTS = 6,
};
#define PATIENCE_NS   (30 * NS_PER_S) /* for a family that does not die */
#define LAST_SWEEP_NS (4 * NS_PER_S)

struct job {
    struct job *next;
    uint64_t generation;
    uint64_t since_ns;
    size_t marked; /* processes that carry its mark */
};

static struct {
    struct cgroups groups;
    uint64_t boot, mark;
    pid_t parent;
    struct channel channel;
    struct job *jobs;
} sweeper;

/* --- ending --- */

/* True when its group is gone. */
static bool end_its_group(uint64_t generation)
{
    char name[CGROUP_NAME_SIZE];
    sweeper_group_name(name, sweeper.boot, generation);
    if (cgroup_remove(&sweeper.groups, name) == 0)
        return true;
    cgroup_kill(&sweeper.groups, name);
    return cgroup_remove(&sweeper.groups, name) == 0;
}

static size_t *count_of(void *arg, uint64_t generation)
{
    (void)arg;
    for (struct job *job = sweeper.jobs; job; job = job->next)
        if ((uint32_t)job->generation == generation)
            return &job->marked;
    return NULL;
}

/* Where no group was made, or a process was moved to another one, the mark is left. */
static void end_marked(void)
{
    for (struct job *job = sweeper.jobs; job; job = job->next)
        job->marked = 0;
    if (sweeper.jobs)
        mark_kill_workers(sweeper.mark, count_of, NULL);
}

static bool job_is_over(const struct job *job)
{
    if (end_its_group(job->generation) && job->marked == 0)
        return true;
    if (clock_mono_ns() - job->since_ns < PATIENCE_NS)
        return false;
    log_warn("what worker %llu left behind does not end", (unsigned long long)job->generation);
    return true;
}

static void run_jobs(void)
{
    end_marked();
    for (struct job **link = &sweeper.jobs; *link;) {
        struct job *job = *link;
        if (!job_is_over(job)) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        free(job);
    }
}

static void end_group(void *arg, const char *name)
{
    size_t *left = arg;
    cgroup_kill(&sweeper.groups, name);
    *left += cgroup_remove(&sweeper.groups, name) < 0;
}

/* The supervisor is gone, and with it every reason for a worker to live. */
static void sweep(void)
{
    uint64_t until = clock_mono_ns() + LAST_SWEEP_NS;
    char prefix[CGROUP_NAME_SIZE];
    size_t left;
    snprintf(prefix, sizeof(prefix), "b%llu-", (unsigned long long)sweeper.boot);
    do {
        left = 0;
        cgroup_each(&sweeper.groups, prefix, end_group, &left);
        left += mark_kill_station(sweeper.mark);
        if (left)
            usleep(FIRST_PAUSE_MS * 1000);
    } while (left && clock_mono_ns() < until);
    cgroup_remove_roots(&sweeper.groups);
}

/* --- the socket --- */

static void take_job(const struct frame *f)
{
    struct rpc_bury m;
    struct job *job = calloc(1, sizeof(*job));
    if (!job || f->type != RPC_BURY || !rpc_bury_decode(f->payload, &m))
        die(EXIT_CODE_INTERNAL, "a message that makes no sense, or no memory");
    *job = (struct job){sweeper.jobs, m.generation, clock_mono_ns(), 0};
    sweeper.jobs = job;
}

/* False at the end. */
static bool receive(void)
{
    struct frame f;
    const char *reason;
    ssize_t n = channel_receive(&sweeper.channel);
    int got = 0;
    if (n <= 0)
        return n == -EAGAIN || n == -EINTR;
    while ((got = channel_next(&sweeper.channel, &f, &reason)) == 1)
        take_job(&f);
    return got == 0;
}

/*
 * The socket of a dead supervisor stays open where another process has a copy of it, as one of the
 * same user may take. Without pidfds the socket alone tells (poll passes over -1).
 */
static void serve(void)
{
    enum { RPC, PARENT, WATCHED };
    struct pollfd watched[WATCHED] = {
        [RPC] = {.fd = FD_RPC, .events = POLLIN},
        [PARENT] = {.fd = (int)syscall(SYS_pidfd_open, sweeper.parent, 0), .events = POLLIN}};
    int pause_ms = FIRST_PAUSE_MS;
    if (getppid() != sweeper.parent)
        return; /* it has died, and its number may be another's */
    channel_flush(&sweeper.channel);
    for (;;) {
        int ready = poll(watched, WATCHED, sweeper.jobs ? pause_ms : -1);
        if (ready > 0 && (watched[PARENT].revents || !receive()))
            return;
        run_jobs();
        pause_ms = ready > 0 ? FIRST_PAUSE_MS : pause_ms * PAUSE_GROWTH;
        if (pause_ms > LONGEST_PAUSE_MS)
            pause_ms = LONGEST_PAUSE_MS;
    }
}

static bool take_root(const char *text)
{
    struct cgroup_root *root = &sweeper.groups.roots[sweeper.groups.count++];
    return sscanf(text, "%u:%u:%511[^\n]", &root->version, &root->parts, root->path) == 3 &&
           (root->version == 1 || root->version == 2);
}

int sweeper_main(int argc, char **argv)
{
    if (argc < FIXED_ARGUMENTS || argc > FIXED_ARGUMENTS + CGROUP_ROOTS_MAX)
        die(EXIT_CODE_USAGE, SWEEPER_PROGRAM_NAME " is started by objectd");
    log_setup(SWEEPER_PROGRAM_NAME, (enum log_format)atoi(argv[1]), (enum log_level)atoi(argv[2]));
    sweeper.boot = strtoull(argv[3], NULL, 10);
    sweeper.mark = strtoull(argv[4], NULL, 10);
    sweeper.parent = (pid_t)strtoul(argv[5], NULL, 10);
    for (int i = FIXED_ARGUMENTS; i < argc; i++)
        if (!take_root(argv[i]))
            die(EXIT_CODE_USAGE, "%s: no control group", argv[i]);
    fcntl(FD_RPC, F_SETFL, O_NONBLOCK);
    channel_init(&sweeper.channel, FD_RPC, RPC_FROM_SWEEPER, RPC_FROM_SUPERVISOR, PAYLOAD_MAX);
    serve();
    sweep();
    channel_free(&sweeper.channel);
    return EXIT_CODE_OK;
}
