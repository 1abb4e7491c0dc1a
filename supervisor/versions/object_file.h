// SPDX-License-Identifier: Apache-2.0
/*
 * object_file - replaces the file of an object, whole and durably, beneath the objects folder.
 *
 * The new content is written beside the old under a hidden name, synced and renamed. No symbolic
 * link is followed below the objects folder: one that stands in the file's place is replaced, one
 * among its folders is an error. Blocking; the scribe's.
 */
#ifndef SUPERVISOR_VERSIONS_OBJECT_FILE_H
#define SUPERVISOR_VERSIONS_OBJECT_FILE_H

#include "common/sha256.h"

/* What has to stand there now, or nothing is changed. */
enum object_file_expect {
    OBJECT_FILE_ANY,  /* whatever it is */
    OBJECT_FILE_NONE, /* no file; else -EEXIST */
    OBJECT_FILE_HASH, /* a file with that hash; else -ESTALE */
    OBJECT_FILE_EXPECTS,
};

/*
 * `file` is a path below objects_dir. 0 or -errno (-EXDEV: it leads out or through a link).
 */
int object_file_write(const char *objects_dir, const char *file, struct span content,
                      enum object_file_expect expect, struct sha256 expected);
int object_file_remove(const char *objects_dir, const char *file);

#endif
