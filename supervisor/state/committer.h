// SPDX-License-Identifier: Apache-2.0
/*
 * committer - the one thread that writes the journal and waits for the disk.
 *
 * The loop submits jobs and gets them back done; a job belongs to the thread between the two, and
 * nothing else is shared. Jobs and results travel as pointers through two pipes, so the loop sees
 * results as a readable descriptor. At most a few jobs are ever under way.
 *
 * A failure to write or sync what is in the journal is final: it is logged and the process exits at
 * once with EXIT_CODE_ENVIRONMENT, for nothing may be acknowledged after it. A failure to prepare
 * the spare segment is only reported: no record is in it yet. Preparing goes on between other jobs,
 * in steps of a mebibyte.
 */
#ifndef SUPERVISOR_STATE_COMMITTER_H
#define SUPERVISOR_STATE_COMMITTER_H

#include "common/codec.h"

struct committer;

enum committer_kind {
    COMMITTER_WRITE,  /* append a batch, perhaps going on in the spare segment */
    COMMITTER_SPARE,  /* prepare the spare segment */
    COMMITTER_REMOVE, /* delete a segment */
};

struct committer_part {
    int fd;             /* of the segment; -1: this part is not there */
    uint64_t first_seq; /* names the segment */
    uint64_t offset;
    struct span control; /* header or batch line; borrowed until the job is done, as records */
    struct span records;
};

struct committer_job {
    enum committer_kind kind;
    int err; /* result: 0 or -errno */

    /* WRITE: part[0] goes to the open segment; with `rotate`, the spare then becomes the segment
     * part[1].first_seq and part[1] is written to it. */
    struct committer_part part[2];
    bool rotate;
    bool sync; /* fdatasync each part before what follows */

    /* SPARE: a file of `size` newlines, durable, named SEGMENT_SPARE_NAME */
    uint64_t size;
    int spare_fd; /* result, owned by who submitted */

    /* REMOVE: durable when done */
    uint64_t first_seq;
};

/* `folder_fd` and `folder` (its path, for messages) stay borrowed. NULL: errno says why. */
struct committer *committer_new(int folder_fd, const char *folder);
/* Finishes what was submitted (a spare is given up half done), joins, frees. Results are lost. */
void committer_free(struct committer *c);

void committer_submit(struct committer *c, struct committer_job *job);
/* Readable when a job is done. */
int committer_fd(const struct committer *c);
/* The next job that is done; NULL when there is none. */
struct committer_job *committer_done(struct committer *c);
/* Blocks until a job is done. */
void committer_wait(struct committer *c);

#endif
