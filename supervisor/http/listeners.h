// SPDX-License-Identifier: Apache-2.0
/*
 * listeners - the listening sockets of a front: opened from the configuration, accepted from in the
 * loop, exchanged at a reload. One that stays is not touched by a reload; the connections of one
 * that goes live on. Loop thread.
 */
#ifndef SUPERVISOR_HTTP_LISTENERS_H
#define SUPERVISOR_HTTP_LISTENERS_H

#include "supervisor/config.h"
#include "supervisor/http/listener.h"
#include "supervisor/loop.h"

struct front;

struct listeners {
    struct front *front;
    struct loop *loop;
    struct listeners_item *first;
    struct loop_timer pause; /* descriptors are short */
    uint64_t said_ns;        /* when that was logged last; 0: never */
};

/*
 * Opens what config names and is not open. What was opened accepts nothing before
 * listeners_commit(), which also closes what is not named any more; listeners_abandon() closes what
 * was opened instead. 0 or -errno after one line in error; then nothing was opened.
 */
int listeners_prepare(struct listeners *set, const struct config *config, char *error,
                      size_t error_size);
void listeners_commit(struct listeners *set);
void listeners_abandon(struct listeners *set);
void listeners_close(struct listeners *set);
/* The i-th, NULL beyond the last; one that is being opened counts. */
const struct listener *listeners_at(const struct listeners *set, size_t i);

#endif
