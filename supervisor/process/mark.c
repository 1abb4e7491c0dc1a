// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/mark.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAMILY_BIT (1ull << 62) /* no real limit is so large, but for none at all */
#define HASH_MASK  0x3fffffffull
#define STATION    0xffffffff00000000ull /* what a start's workers have in common */

uint64_t mark_of_station(const char *data_dir, uint64_t boot)
{
    uint64_t hash = XXH3_64bits_withSeed(data_dir, strlen(data_dir), boot);
    return FAMILY_BIT | (hash & HASH_MASK) << 32;
}

uint64_t mark_of_worker(uint64_t station_mark, uint64_t generation)
{
    return station_mark | (uint32_t)generation;
}

/* The mark of a process of that start, or 0. */
static uint64_t mark_of(pid_t pid, uint64_t station_mark)
{
    struct rlimit limit;
    if (prlimit(pid, RLIMIT_RTTIME, NULL, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
        return 0;
    return ((uint64_t)limit.rlim_max & STATION) == station_mark ? limit.rlim_max : 0;
}

/* It is dead already and waits for its parent. */
static bool is_zombie(pid_t pid)
{
    char path[32], line[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *end = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    return !end || end[1] != ' ' || end[2] == 'Z' || end[2] == 'X';
}

/* Through a descriptor: the pid may be somebody else's by the time of the signal. */
static bool end_one(pid_t pid, uint64_t mark, uint64_t station_mark)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return false;
    bool is_it = mark_of(pid, station_mark) == mark && !is_zombie(pid);
    if (is_it)
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    close(fd);
    return is_it;
}

void mark_kill_workers(uint64_t station_mark, size_t *(*count_of)(void *arg, uint64_t generation),
                       void *arg)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        uint64_t mark = pid > 1 && pid != getpid() ? mark_of(pid, station_mark) : 0;
        size_t *count = mark ? count_of(arg, mark & ~STATION) : NULL;
        if (count)
            *count += end_one(pid, mark, station_mark);
    }
    if (proc)
        closedir(proc);
}

static size_t *count_all(void *arg, uint64_t generation)
{
    (void)generation;
    return arg;
}

size_t mark_kill_station(uint64_t station_mark)
{
    size_t count = 0;
    mark_kill_workers(station_mark, count_all, &count);
    return count;
}
