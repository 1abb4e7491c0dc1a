// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/crashes/crash_id.c supervisor/crashes/crash_stacks.c */
/*
 * What a worker wrote to stderr before it died, and names in the folder of crash reports: stacks
 * lie inside of the text, in their order, without marks of theirs; a name is of a report if it is
 * the one that its id gives.
 */
#include "common/stack_marks.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/crashes/crash_stacks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PID = 7 };
#define MARK(begin) begin "7" STACK_MARK_TAIL

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool holds(struct span text, const char *mark)
{
    return text.len && memmem(text.data, text.len, mark, strlen(mark));
}

static bool inside(struct span piece, struct span text)
{
    return !piece.len ||
           (piece.data >= text.data && piece.data + piece.len <= text.data + text.len);
}

static void check_stacks(struct span text)
{
    struct crash_stacks found = crash_stacks_find(text, PID);
    require(inside(found.c, text) && inside(found.python, text));
    require(!found.c.len || !found.python.len || found.c.data + found.c.len <= found.python.data);
    require(!holds(found.c, MARK(STACK_MARK_C)) && !holds(found.c, MARK(STACK_MARK_PYTHON)));
    require(!holds(found.python, MARK(STACK_MARK_C)) && !holds(found.python, MARK(STACK_MARK_END)));
    require(holds(text, MARK(STACK_MARK_C)) || (!found.c.len && !found.python.len));
    require(!found.has_ended || holds(text, MARK(STACK_MARK_END)));
}

static void check_name(struct span text)
{
    char *name = strndup(text.data, text.len), id[CRASH_ID_SIZE], again[CRASH_NAME_SIZE];
    require(name != NULL);
    if (crash_id_of_file(name, id)) {
        require(crash_id_valid(id, strlen(id)));
        crash_id_file(id, again);
        require(strcmp(name, again) == 0);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    check_stacks(text);
    check_name(text);
    return 0;
}
