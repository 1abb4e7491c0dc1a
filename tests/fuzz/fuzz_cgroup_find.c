// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/cgroup_find.c */
/*
 * /proc/self/mountinfo and, after a NUL, /proc/self/cgroup: the folders that are found there have
 * absolute paths, with room for the name of a group.
 */
#include "supervisor/process/cgroup_find.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cgroups own;
    char *mountinfo = calloc(1, size + 2);
    if (!mountinfo)
        abort();
    if (size)
        memcpy(mountinfo, data, size);
    cgroup_find(&own, mountinfo, mountinfo + strlen(mountinfo) + 1);
    if (own.count > CGROUP_ROOTS_MAX)
        abort();
    for (size_t i = 0; i < own.count; i++) {
        const struct cgroup_root *r = &own.roots[i];
        size_t len = strnlen(r->path, sizeof(r->path));
        if (len == 0 || len >= sizeof(r->path) - CGROUP_NAME_SIZE || r->path[0] != '/' ||
            (r->version != 1 && r->version != 2))
            abort();
    }
    free(mountinfo);
    return 0;
}
