// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

uint64_t memory_rss_bytes(pid_t pid)
{
    char path[48];
    unsigned long long size, resident;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int got = fscanf(file, "%llu %llu", &size, &resident);
    fclose(file);
    return got == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t memory_pss_bytes(pid_t pid)
{
    char path[48], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return memory_rss_bytes(pid);
    bool found = false;
    while (!found && fgets(line, sizeof(line), file))
        found = sscanf(line, "Pss: %llu kB", &kib) == 1;
    fclose(file);
    return found ? kib * 1024 : memory_rss_bytes(pid);
}
