// SPDX-License-Identifier: Apache-2.0
/*
 * merged_state - a checkpoint with an overlay laid over it: live entries in the order of their
 * keys.
 *
 * Deleted keys are left out, the tombstones of the file too. Borrows the descriptor and the overlay
 * (sorted with overlay_sort).
 */
#ifndef SUPERVISOR_SCRIBE_MERGED_STATE_H
#define SUPERVISOR_SCRIBE_MERGED_STATE_H

#include "supervisor/scribe/overlay.h"
#include "supervisor/scribe/sorted_state.h"

struct merged_state {
    struct sorted_state file;
    const struct overlay *overlay;
    size_t next;     /* of the overlay */
    bool is_fetched; /* `got` and `ahead` are the file's next entry */
    int got;
    struct state_file_entry ahead;
    char timestamp[STATE_FILE_TIMESTAMP_SIZE]; /* of an entry of the overlay */
};

/* As sorted_state_open and sorted_state_next, -EILSEQ included. */
int merged_state_open(struct merged_state *m, int fd, const struct overlay *overlay, bool sort);
int merged_state_next(struct merged_state *m, struct state_file_entry *e);
void merged_state_close(struct merged_state *m);

/*
 * Opens data_dir/state/<object>/state.tsv for reading; -ENOENT when there is none, -EINVAL when the
 * id is no file name, another -errno.
 */
int merged_state_open_file(const char *data_dir, const char *object_id);

/*
 * Runs pass(arg, fd, sort) on the object's checkpoint (fd -1 where there is none): streaming first,
 * and when that ends in -EILSEQ once more with sort = true. Damage (-EBADMSG of a pass) is for the
 * pass to log. Returns what the last pass returned, or -errno of opening.
 */
int merged_state_run(const char *data_dir, const char *object_id,
                     int (*pass)(void *arg, int fd, bool sort), void *arg);

#endif
