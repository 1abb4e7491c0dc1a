// SPDX-License-Identifier: Apache-2.0
/*
 * sorted_state - the entries of a checkpoint file in the order of their keys' bytes, each key once.
 *
 * A file of ours is sorted and is streamed. One that is not (of the earlier system, edited or
 * merged by hand) has to be read whole and sorted first, the last of equal keys counting: streaming
 * such a file fails with -EILSEQ, and the caller starts again with sort = true. Tombstones are
 * given as they stand. Any process, one thread.
 */
#ifndef SUPERVISOR_SCRIBE_SORTED_STATE_H
#define SUPERVISOR_SCRIBE_SORTED_STATE_H

#include "common/state_file.h"

struct sorted_state {
    struct state_file file; /* watermark, is_legacy, line and error are for the caller */
    bool is_loaded;         /* all of it is in `entries` */
    struct buf last_key;    /* streaming: to check the order */
    struct buf bytes;       /* loaded: what the entries point to */
    struct sorted_entry *entries;
    size_t count, cap, next;
};

/*
 * fd is borrowed; -1 stands for an empty file. A legacy file is sorted whatever `sort` says. 0,
 * -EBADMSG (file.line, file.error) or another -errno; sorted_state_close() in any case.
 */
int sorted_state_open(struct sorted_state *s, int fd, bool sort);
/* 1: *e, borrowed until the next call. 0: the end. -EILSEQ: not sorted, see above. Else as open. */
int sorted_state_next(struct sorted_state *s, struct state_file_entry *e);
void sorted_state_close(struct sorted_state *s);

/* < 0, 0, > 0: the order of keys in a checkpoint. */
int sorted_state_compare(struct span a, struct span b);

#endif
