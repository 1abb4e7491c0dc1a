// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_stacks.h"

#include "common/stack_marks.h"

#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 80 };

static const char *find(struct span text, const char *line)
{
    return text.len ? memmem(text.data, text.len, line, strlen(line)) : NULL;
}

/* What follows the last such line; empty when there is none. */
static struct span after_last(struct span text, const char *line)
{
    struct span rest = {"", 0};
    const char *at;
    while ((at = find(text, line))) {
        size_t skip = (size_t)(at - text.data) + strlen(line);
        text = rest = (struct span){text.data + skip, text.len - skip};
    }
    return rest;
}

/* Up to that line, or all of it. */
static struct span before(struct span text, const char *line)
{
    const char *at = find(text, line);
    return at ? (struct span){text.data, (size_t)(at - text.data)} : text;
}

static void make_line(char line[LINE_SIZE], const char *mark, pid_t pid)
{
    snprintf(line, LINE_SIZE, "%s%d" STACK_MARK_TAIL, mark, (int)pid);
}

struct crash_stacks crash_stacks_find(struct span text, pid_t pid)
{
    char c[LINE_SIZE], python[LINE_SIZE], end[LINE_SIZE];
    make_line(c, STACK_MARK_C, pid);
    make_line(python, STACK_MARK_PYTHON, pid);
    make_line(end, STACK_MARK_END, pid);
    struct span newest = after_last(text, c), dump = before(newest, end);
    return (struct crash_stacks){.c = before(dump, python),
                                 .python = after_last(dump, python),
                                 .has_ended = dump.len < newest.len};
}
