// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint_group - new state.tsv files, filled one by one and made durable together.
 *
 * Each file is written as state.tsv.tmp, fsynced, renamed over state.tsv, and its folder fsynced;
 * but each of those steps is done for all of the group before the next, for the first fsync of a
 * row then pays for the others. A failure concerns its own object only. In the scribe.
 */
#ifndef SUPERVISOR_SCRIBE_CHECKPOINT_GROUP_H
#define SUPERVISOR_SCRIBE_CHECKPOINT_GROUP_H

#include "supervisor/scribe/checkpoint_merge.h"
#include "supervisor/scribe/overlay.h"

enum { CHECKPOINT_GROUP_MAX = 64 };

struct checkpoint_item {
    size_t index; /* for the report */
    const char *object_id;
    uint64_t upto_seq;
    const struct overlay *overlay; /* sorted */
    uint64_t keys;
    int err;
    bool is_new; /* its folder was made */
    bool is_renamed;
    int folder, temp; /* -1: not open */
};

struct checkpoint_group {
    const char *data_dir;
    struct checkpoint_item items[CHECKPOINT_GROUP_MAX];
    size_t count;
    uint64_t bytes; /* in temporary files */
};

/*
 * Fills the temporary file of one object: its checkpoint under the overlay, both borrowed until the
 * commit, watermark upto_seq. What fails is reported by the commit.
 */
void checkpoint_group_add(struct checkpoint_group *g, size_t index, const char *object_id,
                          uint64_t upto_seq, const struct overlay *overlay);
/* Time to commit: enough files, or enough bytes. */
bool checkpoint_group_is_full(const struct checkpoint_group *g);
/* Makes the files durable and calls done for each; the group is empty then. */
void checkpoint_group_commit(struct checkpoint_group *g, checkpoint_merge_fn done, void *arg);

#endif
