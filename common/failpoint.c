// SPDX-License-Identifier: Apache-2.0
#include "common/failpoint.h"

#ifdef OBJECTD_FAILPOINTS

#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POINTS_MAX = 16, NAME_MAX_LEN = 48, ACTION_CRASH = 1 };

static struct point {
    char name[NAME_MAX_LEN];
    unsigned pass; /* acts on this one */
    bool from_then_on;
    int action; /* ACTION_CRASH or -errno */
    atomic_uint seen;
} points[POINTS_MAX];
static size_t point_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int action_of(const char *word)
{
    if (strcmp(word, "crash") == 0)
        return ACTION_CRASH;
    if (strcmp(word, "eio") == 0)
        return -EIO;
    if (strcmp(word, "enospc") == 0)
        return -ENOSPC;
    die(EXIT_CODE_USAGE, "failpoint: unknown action \"%s\"", word);
}

static void add_point(char *item)
{
    char *equals = strchr(item, '=');
    if (!equals || point_count == POINTS_MAX)
        die(EXIT_CODE_USAGE, "failpoint: malformed or too many: \"%s\"", item);
    *equals = '\0';
    struct point *point = &points[point_count++];
    point->action = action_of(equals + 1);
    point->pass = 1;
    point->from_then_on = false;
    atomic_store(&point->seen, 0);
    char *colon = strchr(item, ':');
    if (colon) {
        char *end;
        *colon = '\0';
        point->pass = (unsigned)strtoul(colon + 1, &end, 10);
        point->from_then_on = *end == '+';
        if (point->pass == 0 || end[point->from_then_on] != '\0')
            die(EXIT_CODE_USAGE, "failpoint: bad pass \"%s\"", colon + 1);
    }
    snprintf(point->name, sizeof(point->name), "%s", item);
}

static void parse(const char *list)
{
    point_count = 0;
    char *copy = list ? strdup(list) : NULL, *rest = copy, *item;
    while ((item = strsep(&rest, ",")))
        add_point(item);
    free(copy);
}

static void parse_environment(void)
{
    parse(getenv("OBJECTD_FAILPOINT"));
}

void failpoint_arm(const char *list)
{
    pthread_once(&once, parse_environment);
    parse(list);
}

int failpoint_hit(const char *name)
{
    pthread_once(&once, parse_environment);
    for (size_t i = 0; i < point_count; i++) {
        struct point *point = &points[i];
        if (strcmp(point->name, name) != 0)
            continue;
        unsigned seen = atomic_fetch_add(&point->seen, 1) + 1;
        if (seen != point->pass && !(point->from_then_on && seen > point->pass))
            continue;
        if (point->action == ACTION_CRASH)
            kill(getpid(), SIGKILL);
        return point->action;
    }
    return 0;
}

#else

typedef int failpoint_is_compiled_out; /* ISO C wants a declaration */

#endif
