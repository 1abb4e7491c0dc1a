// SPDX-License-Identifier: Apache-2.0
/*
 * timer_image - the schedules of a station as data/schedules.tsv and the journal hold them, each a
 * line of text that nobody here looks into.
 *
 *     #objectd-schedules 1 seq=N        everything up to record N of the journal is in it
 *     id \t object \t columns...        sorted by id; the columns are those of schedule_row.h
 *
 * Recovery reads the file and applies the journal's timer lines; the scribe does the same and
 * writes the file anew. Supervisor (at the start) and scribe; blocks on the disk.
 */
#ifndef SUPERVISOR_STATE_TIMER_IMAGE_H
#define SUPERVISOR_STATE_TIMER_IMAGE_H

#include "common/seeded_hash.h"
#include "supervisor/state/segment.h"

#define TIMER_IMAGE_FILE "schedules.tsv"

struct timer_row {
    uint64_t id;
    size_t object_len, columns_len;
    char *columns; /* in `text`, behind the object's id; both NUL-terminated */
    UT_hash_handle hh;
    char text[]; /* the object's id, still escaped */
};

struct timer_image {
    struct timer_row *rows;
    uint64_t seq;     /* up to there it is complete */
    uint64_t last_id; /* the largest ever met */
    uint64_t oldest;  /* first record applied to what the file had; 0: none */
};

/*
 * Of the file; an empty one when there is none. 0, -EBADMSG: damage, or another -errno, with a line
 * that names the file (and the line in it); *image is NULL then. timer_image_free().
 */
int timer_image_load(struct timer_image **image, const char *data_dir, char *error,
                     size_t error_size);
/* A sink's `timers`: of turns that the image has already nothing is taken. 0 or -ENOMEM. */
int timer_image_apply(struct timer_image *image, const struct segment_turn *turn,
                      const struct segment_timer *timers, size_t count);
/* In the order in which they were made. */
void timer_image_sort(struct timer_image *image);
/* Replaces the file, durably, complete up to `seq`. 0 or -errno. */
int timer_image_write(struct timer_image *image, const char *data_dir, uint64_t seq);
/* Brings the file up to a durable record of the journal. 0 or -errno, logged. */
int timer_image_update(const char *data_dir, uint64_t upto_seq);
void timer_image_free(struct timer_image *image);

#endif
