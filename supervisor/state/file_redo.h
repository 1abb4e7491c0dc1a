// SPDX-License-Identifier: Apache-2.0
/*
 * file_redo - the changes of files that the journal holds and that may not be visible yet: what a
 * start has to do again. Filled by recovery, in the order of the journal. Owns its texts.
 */
#ifndef SUPERVISOR_STATE_FILE_REDO_H
#define SUPERVISOR_STATE_FILE_REDO_H

#include "supervisor/state/segment.h"

struct file_redo_change {
    struct file_redo_change *prev, *next;
    char *object_id, *name, *token;
    uint64_t seq;
    uint64_t size;
    bool is_delete;
};

struct file_redo {
    struct file_redo_change *changes; /* oldest first */
};

struct file_redo *file_redo_new(void);
void file_redo_free(struct file_redo *redo);
/*
 * Takes one more in: a change that replaces an earlier one of the same name, or the word that those
 * up to a record are visible. What is no change that we write is left out. 0 or -ENOMEM.
 */
int file_redo_add(struct file_redo *redo, struct span object_id, uint64_t seq,
                  const struct segment_file *file);

#endif
