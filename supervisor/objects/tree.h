// SPDX-License-Identifier: Apache-2.0
/*
 * tree - keeps the object table equal to the *.py files of the objects folder: a scan at start,
 * then inotify (new, written, renamed, removed files and folders); after a queue overflow, a
 * rescan.
 *
 * Folders that begin with '_' or '.', and virtual environments (VENV_FOLDER), are not entered;
 * symbolic links to folders are not followed.
 */
#ifndef SUPERVISOR_OBJECTS_TREE_H
#define SUPERVISOR_OBJECTS_TREE_H

struct station;
struct tree_watch;

/* Whether the folder can be served: 0 or -errno. */
int tree_check(const char *dir);
/* Scans and watches. Dies when the objects folder cannot be read or watched. */
struct tree_watch *tree_watch_new(struct station *station);
/* Watches a folder ("_lib/") for what was imported from it. */
void tree_watch_folder(struct tree_watch *watch, const char *prefix);
void tree_watch_free(struct tree_watch *watch);

#endif
