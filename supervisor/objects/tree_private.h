// SPDX-License-Identifier: Apache-2.0
/*
 * tree_private - what the files of the tree share: tree.c has inotify and the objects folder
 * itself, tree_folders.c what is watched, tree_files.c what a file that is there or not means for
 * the object table, tree_scan.c the scribe's scans.
 */
#ifndef SUPERVISOR_OBJECTS_TREE_PRIVATE_H
#define SUPERVISOR_OBJECTS_TREE_PRIVATE_H

#include "common/seeded_hash.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/tree.h"

#include <sys/stat.h>

enum { TREE_SCANS_MAX = 64 /* folders that wait for one; beyond that all of it is scanned */ };

/* A watched folder: its path below the objects folder, "" or "basics/". */
struct folder {
    int wd;
    char *prefix;
    UT_hash_handle hh;
};

struct tree_scan {
    char *wanted[TREE_SCANS_MAX]; /* folders to be scanned; "": all of it */
    size_t wanted_count;
    char *prefix;       /* of the scan under way; NULL: none is */
    uint32_t number;    /* of the last scan of all of it */
    size_t unwatched;   /* folders that this scan could not watch */
    bool complained;    /* the operator knows of those */
    size_t sweep_place; /* in the order of the ids: how far the sweep after it has come */
    char *sweep_after;  /* the id it has come to; NULL: it is not sweeping */
    struct loop_timer sweep_timer, again_timer;
    void (*on_first)(void *arg); /* the first one is over; NULL: it was */
    void *on_first_arg;
};

struct tree_watch {
    struct station *station;
    int fd;
    dev_t root_dev; /* which folder is watched as the objects folder; 0, 0: none */
    ino_t root_ino;
    struct loop_timer root_timer;
    struct loop_source *source;
    struct folder *by_wd;
    struct tree_scan scan;
};

static inline bool tree_is_hidden(const char *name)
{
    return name[0] == '.' || name[0] == '_';
}

/* --- tree_files.c --- */

bool tree_file_exists(const struct tree_watch *t, const char *file);
/* A file is there: as an event, or found by the scan under way. */
void tree_file_present(struct tree_watch *t, const char *file);
/* The file of that path is not, whether or not an object knows it. */
void tree_path_absent(struct tree_watch *t, const char *file);
/* The object's file is not, if that is so. */
void tree_look_after(struct tree_watch *t, struct object *o);
/* The same of all objects below a folder, which is gone. */
void tree_below_absent(struct tree_watch *t, const char *prefix);

/* --- tree_folders.c --- */

/* Watches are made here only for folders that hold no objects; else the scribe makes them. */
void tree_folder_watch(struct tree_watch *t, const char *prefix);
void tree_folder_add(struct tree_watch *t, int wd, const char *prefix);
struct folder *tree_folder_find(struct tree_watch *t, int wd);
void tree_folder_forget(struct tree_watch *t, struct folder *f);
void tree_folders_unwatch(struct tree_watch *t, const char *prefix);
/* Forgets them all; the watches stay. */
void tree_folders_free(struct tree_watch *t);

/* --- tree_scan.c --- */

/* Has a folder scanned, soon; "": all of it, and what is not found has gone. */
void tree_scan_ask(struct tree_watch *t, const char *prefix);
void tree_scan_free(struct tree_watch *t);

/* --- tree.c --- */

/* While a scan is under way no event is read: what it has found may have changed since. */
void tree_hear(struct tree_watch *t, bool events);

#endif
