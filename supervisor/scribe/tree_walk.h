// SPDX-License-Identifier: Apache-2.0
/*
 * tree_walk - finds and watches what is in the objects folder, or in a folder below it, a slice at
 * a time. In the scribe.
 *
 * In the order of names, a folder's content in its place: of two files with one id the first comes
 * first. Each folder is watched before it is listed, so what changes meanwhile is an event. Only
 * *.py files are told. Folders that begin with '_' or '.', and virtual environments (VENV_FOLDER),
 * are not entered, links to folders not followed.
 */
#ifndef SUPERVISOR_SCRIBE_TREE_WALK_H
#define SUPERVISOR_SCRIBE_TREE_WALK_H

#include "supervisor/scribe/scribe_rpc.h"

#include <sys/inotify.h>

enum {
    TREE_DEPTH_MAX = 32, /* folders within folders */
    TREE_WATCHED_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                          IN_ONLYDIR | IN_EXCL_UNLINK | IN_DONT_FOLLOW,
};

struct tree_walk;
/* Some of it was found, for that job. */
typedef void (*tree_walk_fn)(void *arg, uint64_t job, const struct scribe_rpc_tree_found *found);

/* Takes inotify_fd over, in any case. NULL when memory is short. */
struct tree_walk *tree_walk_new(const struct scribe_rpc_tree_scan *ask, int inotify_fd,
                                uint64_t job, tree_walk_fn found, void *arg);
/* Goes on until about that time (monotonic). 1: there is more to do. 0: done. -errno. */
int tree_walk_step(struct tree_walk *walk, uint64_t until_ns);
/* What was told so far. */
uint64_t tree_walk_count(const struct tree_walk *walk);
void tree_walk_free(struct tree_walk *walk);

#endif
