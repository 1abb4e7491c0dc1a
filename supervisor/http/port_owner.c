// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/port_owner.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool find_inode(const char *file, unsigned port, unsigned long *inode)
{
    enum { TCP_LISTEN_STATE = 0x0a };
    FILE *in = fopen(file, "re");
    if (!in)
        return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof(line), in)) {
        unsigned local, state;
        found = sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
                       &local, &state, inode) == 3 &&
                local == port && state == TCP_LISTEN_STATE;
    }
    fclose(in);
    return found;
}

static bool process_holds(const char *pid, const char *wanted)
{
    char path[300], link[64];
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool holds = false;
    for (struct dirent *entry; !holds && (entry = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
        if (n > 0) {
            link[n] = '\0';
            holds = strcmp(link, wanted) == 0;
        }
    }
    closedir(dir);
    return holds;
}

static void describe(const char *pid, char *out, size_t size)
{
    char path[300], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    FILE *in = fopen(path, "re");
    if (in) {
        if (fgets(name, sizeof(name), in))
            name[strcspn(name, "\n")] = '\0';
        fclose(in);
    }
    snprintf(out, size, "process %s (%s)", pid, name[0] ? name : "?");
}

bool port_owner(unsigned port, char *out, size_t size)
{
    unsigned long inode;
    if (!find_inode("/proc/net/tcp", port, &inode) && !find_inode("/proc/net/tcp6", port, &inode))
        return false;
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    DIR *dir = opendir("/proc");
    if (!dir)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(dir));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        found = process_holds(entry->d_name, wanted);
        if (found)
            describe(entry->d_name, out, size);
    }
    closedir(dir);
    return found;
}
