// SPDX-License-Identifier: Apache-2.0
/*
 * tree - keeps the object table equal to the *.py files of the objects folder: a scan at the start,
 * then inotify (new, written, renamed, removed files and folders); after a queue overflow, or every
 * TREE_AGAIN_S while not every folder can be watched, a scan of all of it.
 *
 * The scribe scans (tree_walk.h) and tells in batches; the loop lists no folder. Of two files with
 * one id the one that is there first keeps it; at the start that is the first by path.
 *
 * Folders that begin with '_' or '.', and virtual environments (VENV_FOLDER), are not entered;
 * symbolic links to folders are not followed.
 */
#ifndef SUPERVISOR_OBJECTS_TREE_H
#define SUPERVISOR_OBJECTS_TREE_H

enum { TREE_AGAIN_S = 5 };

struct station;
struct tree_watch;

/* Whether the folder can be served: 0 or -errno. */
int tree_check(const char *dir);
/*
 * Begins to scan and to watch; scanned(arg) once the first scan is over, later. Dies when the
 * objects folder cannot be read or watched.
 */
struct tree_watch *tree_watch_new(struct station *station, void (*scanned)(void *arg), void *arg);
/* Watches a folder ("_lib/") for what was imported from it. */
void tree_watch_folder(struct tree_watch *watch, const char *prefix);
void tree_watch_free(struct tree_watch *watch);

#endif
