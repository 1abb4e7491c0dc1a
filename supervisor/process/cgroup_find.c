// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/cgroup_find.h"

#include "common/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAF              "supervisor"
#define SUPERVISOR_WEIGHT "1000" /* ten times a worker's */

#define V1_SHARES 1024l /* of a process, or a group */

enum { FILE_PATH_SIZE = CGROUP_PATH_SIZE + CGROUP_NAME_SIZE, TEXT_SIZE = 4096 };

static const struct controller {
    const char *name;
    enum cgroup_part part;
} controllers[] = {{"memory", CGROUP_MEMORY},
                   {"pids", CGROUP_PROCESSES},
                   {"cpu", CGROUP_CPU},
                   {"cpuacct", CGROUP_CPU_TIME}};
enum { CONTROLLERS = sizeof(controllers) / sizeof(controllers[0]) };

/* The bits of the controllers in a list of names. */
static unsigned parts_of(const char *list, const char *separators)
{
    unsigned parts = 0;
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, separators);
        for (size_t i = 0; i < CONTROLLERS; i++)
            if (strlen(controllers[i].name) == len && strncmp(at, controllers[i].name, len) == 0)
                parts |= cgroup_bit(controllers[i].part);
        at += len;
        at += *at != '\0';
    }
    return parts;
}

/* --- where we are --- */

/* Our path in the hierarchy of v2 (part 0), or in the one of v1 that has these parts. */
static bool find_self(const char *self, unsigned parts, char path[CGROUP_PATH_SIZE])
{
    for (const char *line = self; line && *line;) {
        char list[256] = "";
        path[0] = '\0';
        int got = sscanf(line, "%*u:%255[^:\n]:%511[^\n]", list, path);
        if (got < 1)
            got = sscanf(line, "0::%511[^\n]", path) == 1 && !parts ? 2 : 0;
        else if (!parts || !(parts_of(list, ",") & parts))
            got = 0;
        if (got == 2)
            return path[0] == '/' && !strstr(path, "..");
        line = strchrnul(line, '\n');
        line += *line != '\0';
    }
    return false;
}

static void add_mount(struct cgroups *own, const char *line, const char *self)
{
    char root[CGROUP_PATH_SIZE], point[CGROUP_PATH_SIZE], type[16], options[256];
    char path[CGROUP_PATH_SIZE];
    const char *after = strstr(line, " - ");
    if (own->count == CGROUP_ROOTS_MAX || !after ||
        sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 || point[0] != '/' ||
        sscanf(after, " - %15s %*s %255s", type, options) != 2)
        return;
    bool is_v2 = strcmp(type, "cgroup2") == 0;
    unsigned parts = is_v2 ? 0 : parts_of(options, ",");
    if ((!is_v2 && (strcmp(type, "cgroup") != 0 || !parts)) || !find_self(self, parts, path))
        return;
    size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, skip) != 0 || (skip && path[skip] && path[skip] != '/'))
        return; /* mounted from elsewhere */
    struct cgroup_root *r = &own->roots[own->count];
    int len = snprintf(r->path, sizeof(r->path), "%s%s", point, path + skip);
    if (len < 0 || (size_t)len >= sizeof(r->path) - CGROUP_NAME_SIZE)
        return;
    while (len > 1 && r->path[len - 1] == '/')
        r->path[--len] = '\0';
    r->version = is_v2 ? 2 : 1;
    r->parts = parts;
    own->count++;
}

static void add_mounts(struct cgroups *own, const char *mountinfo, const char *self, bool v2)
{
    for (const char *line = mountinfo; line && *line;) {
        const char *end = strchrnul(line, '\n');
        char *copy = strndup(line, (size_t)(end - line));
        if (copy && (strstr(copy, " - cgroup2 ") != NULL) == v2)
            add_mount(own, copy, self);
        free(copy);
        line = *end ? end + 1 : end;
    }
}

void cgroup_find(struct cgroups *own, const char *mountinfo, const char *self)
{
    *own = (struct cgroups){0};
    add_mounts(own, mountinfo, self, true);
    add_mounts(own, mountinfo, self, false);
}

/* --- a folder of our own --- */

static int put(const char *folder, const char *file, const char *text)
{
    char path[FILE_PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, file);
    bool is_whole = len > 0 && (size_t)len < sizeof(path);
    return is_whole ? fd_io_put(path, text) : -ENAMETOOLONG;
}

static void get(const char *folder, const char *file, char text[TEXT_SIZE])
{
    char path[FILE_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : fd_io_read(fd, text, TEXT_SIZE - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
}

static unsigned get_parts(const char *folder, const char *file)
{
    char text[TEXT_SIZE];
    get(folder, file, text);
    return parts_of(text, " \n");
}

static void give_on(const char *folder, unsigned parts)
{
    char text[32];
    for (size_t i = 0; i < CONTROLLERS; i++)
        if (parts & cgroup_bit(controllers[i].part)) {
            snprintf(text, sizeof(text), "+%s", controllers[i].name);
            put(folder, "cgroup.subtree_control", text);
        }
}

static bool is_alone(const char *folder)
{
    char text[TEXT_SIZE], *rest;
    get(folder, "cgroup.procs", text);
    return strtol(text, &rest, 10) == getpid() && strspn(rest, "\n") == strlen(rest);
}

static bool has(const char *folder, const char *file, int mode)
{
    char path[FILE_PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, file);
    return len > 0 && (size_t)len < sizeof(path) && access(path, mode) == 0;
}

/* Into station/supervisor; false when that cannot be. */
static bool move_down(const char *own, const char *station)
{
    char leaf[CGROUP_PATH_SIZE + CGROUP_NAME_SIZE];
    snprintf(leaf, sizeof(leaf), "%s/" LEAF, station);
    if (!is_alone(own) || (mkdir(leaf, 0755) < 0 && errno != EEXIST))
        return false;
    bool is_there = put(leaf, "cgroup.procs", "0") == 0;
    if (!is_there)
        rmdir(leaf);
    return is_there;
}

/*
 * First the move: while a process is in it, the kernel lets a group give on cpu and pids alone, and
 * then no process may be in the groups below. The group of all groups is free of that, and has no
 * cgroup.type.
 */
static void give_on_to_station(const char *own, const char *station)
{
    unsigned missing =
        get_parts(own, "cgroup.controllers") & ~get_parts(own, "cgroup.subtree_control");
    if (missing && (!has(own, "cgroup.type", F_OK) || move_down(own, station)))
        give_on(own, missing);
}

/* Whether there may be processes in the groups below. */
static bool is_domain(const char *station)
{
    char type[TEXT_SIZE];
    get(station, "cgroup.type", type);
    return strcmp(type, "domain\n") == 0;
}

static unsigned prepare_v2(const char *own, const char *station)
{
    give_on_to_station(own, station);
    if (!is_domain(station))
        return 0;
    give_on(station, get_parts(station, "cgroup.controllers") &
                         ~get_parts(station, "cgroup.subtree_control"));
    unsigned parts = get_parts(station, "cgroup.subtree_control");
    if (parts & cgroup_bit(CGROUP_CPU))
        put(station, LEAF "/cpu.weight", SUPERVISOR_WEIGHT);
    if (has(station, "cgroup.kill", W_OK))
        parts |= cgroup_bit(CGROUP_FAMILY);
    /* Counted without a controller; for that alone a hierarchy more would not be worth it. */
    if (parts && has(station, "cpu.stat", R_OK))
        parts |= cgroup_bit(CGROUP_CPU_TIME);
    return parts;
}

/*
 * The supervisor stays beside the folder, as one process: on each processor it weighs as much as
 * all workers together, and they no less than any other process of the machine.
 */
static void weigh_v1(const char *station)
{
    char text[32];
    snprintf(text, sizeof(text), "%ld", V1_SHARES * sysconf(_SC_NPROCESSORS_ONLN));
    put(station, "cpu.shares", text);
}

/* The parts that are new with it; 0 when it is of no use. */
static unsigned prepare(struct cgroup_root *root, const struct cgroup_root *own, const char *name,
                        unsigned have, char *why, size_t why_size)
{
    *root = *own;
    if (own->version == 1 && !(own->parts & ~have))
        return 0;
    size_t len = strlen(root->path);
    snprintf(root->path + len, sizeof(root->path) - len, "/%s", name);
    if (mkdir(root->path, 0755) < 0 && errno != EEXIST) {
        snprintf(why, why_size, "%s: %s", root->path, strerror(errno));
        return 0;
    }
    if (own->version == 1 && (own->parts & cgroup_bit(CGROUP_CPU)))
        weigh_v1(root->path);
    root->parts = (own->version == 2 ? prepare_v2(own->path, root->path) : own->parts) & ~have;
    if (!root->parts)
        rmdir(root->path);
    return root->parts;
}

/* Without cgroup.kill a list of processes has to do: best that of the group that stops forks. */
static void choose_family(struct cgroups *groups)
{
    if (groups->count == 0 || cgroup_root_of(groups, CGROUP_FAMILY))
        return;
    const struct cgroup_root *processes = cgroup_root_of(groups, CGROUP_PROCESSES);
    size_t at = processes ? (size_t)(processes - groups->roots) : 0;
    groups->roots[at].parts |= cgroup_bit(CGROUP_FAMILY);
}

void cgroup_prepare(struct cgroups *groups, const struct cgroups *own, const char *name, char *why,
                    size_t why_size)
{
    unsigned have = 0, all = cgroup_bit(CGROUP_PARTS) - 1;
    *groups = (struct cgroups){0};
    why[0] = '\0';
    for (size_t i = 0; i < own->count; i++) {
        struct cgroup_root *root = &groups->roots[groups->count];
        unsigned parts = prepare(root, &own->roots[i], name, have, why, why_size);
        have |= parts;
        groups->count += parts != 0;
    }
    choose_family(groups);
    if ((have | cgroup_bit(CGROUP_FAMILY)) == all)
        why[0] = '\0';
    else if (!why[0])
        snprintf(why, why_size,
                 own->count ? "not every controller is at hand: other processes "
                              "share the station's group, or it is not delegated"
                            : "no control groups are mounted");
}
