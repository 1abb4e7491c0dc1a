// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/file_redo.h"

#include "common/file_store.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

struct file_redo *file_redo_new(void)
{
    return calloc(1, sizeof(struct file_redo));
}

static void free_change(struct file_redo_change *change)
{
    free(change->object_id);
    free(change->name);
    free(change->token);
    free(change);
}

void file_redo_free(struct file_redo *redo)
{
    struct file_redo_change *change, *next;
    if (!redo)
        return;
    DL_FOREACH_SAFE (redo->changes, change, next)
        free_change(change);
    free(redo);
}

static void drop(struct file_redo *redo, struct file_redo_change *change)
{
    DL_DELETE(redo->changes, change);
    free_change(change);
}

static void drop_visible(struct file_redo *redo, struct span object_id, uint64_t seq)
{
    struct file_redo_change *change, *next;
    DL_FOREACH_SAFE (redo->changes, change, next)
        if (change->seq <= seq && span_equal(object_id, change->object_id))
            drop(redo, change);
}

/*
 * Only the last change of a name is done again: after it the file is as it has to be, whatever had
 * been done of the others, and doing one of those again could undo the last.
 */
static void drop_replaced(struct file_redo *redo, struct span object_id, struct span name)
{
    struct file_redo_change *change, *next;
    DL_FOREACH_SAFE (redo->changes, change, next)
        if (span_equal(name, change->name) && span_equal(object_id, change->object_id))
            drop(redo, change);
}

int file_redo_add(struct file_redo *redo, struct span object_id, uint64_t seq,
                  const struct segment_file *file)
{
    if (file->op == SEGMENT_FILE_DONE) {
        drop_visible(redo, object_id, file->number);
        return 0;
    }
    if (file_store_name_problem(file->name) || !file_store_token_valid(file->token))
        return 0;
    struct file_redo_change *change = calloc(1, sizeof(*change));
    if (!change)
        return -ENOMEM;
    *change = (struct file_redo_change){.object_id = span_dup(object_id),
                                        .name = span_dup(file->name),
                                        .token = span_dup(file->token),
                                        .seq = seq,
                                        .size = file->number,
                                        .is_delete = file->op == SEGMENT_FILE_DELETE};
    if (!change->object_id || !change->name || !change->token) {
        free_change(change);
        return -ENOMEM;
    }
    drop_replaced(redo, object_id, file->name);
    DL_APPEND(redo->changes, change);
    return 0;
}
