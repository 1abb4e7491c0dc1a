// SPDX-License-Identifier: Apache-2.0
#include "worker/title.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct {
    char *start;
    size_t size;
} area;

/* The end of the run of strings that begins at `end`. */
static char *extend(char *end, char *const *strings)
{
    for (; *strings; strings++)
        if (*strings == end)
            end += strlen(end) + 1;
    return end;
}

static char **copy_strings(char **strings)
{
    size_t count = 0;
    while (strings[count])
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(strings[i]);
        if (!copy[i])
            return NULL; /* start-up only: the process goes on without titles */
    }
    return copy;
}

void title_init(int argc, char **argv)
{
    char *end = extend(argc > 0 ? argv[0] : NULL, argv);
    end = extend(end, environ);
    char **moved = copy_strings(environ);
    if (argc < 1 || !moved)
        return;
    environ = moved;
    area.start = argv[0];
    area.size = (size_t)(end - argv[0]);
}

void title_set(const char *text)
{
    prctl(PR_SET_NAME, "objectd-worker");
    if (area.size < 2)
        return;
    size_t len = strlen(text);
    if (len > area.size - 1)
        len = area.size - 1;
    memset(area.start, 0, area.size);
    memcpy(area.start, text, len);
}
