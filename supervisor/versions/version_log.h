// SPDX-License-Identifier: Apache-2.0
/*
 * version_log - the lines of an object's metadata.tsv from the newest to the oldest.
 *
 * A last line without its newline was never finished and is no version; in a file of the earlier
 * system, whose lines have no status, it counts when it is whole. Blocking, for files that are
 * small or read from their end; supervisor and scribe.
 */
#ifndef SUPERVISOR_VERSIONS_VERSION_LOG_H
#define SUPERVISOR_VERSIONS_VERSION_LOG_H

#include "supervisor/objects/source.h"
#include "supervisor/scribe/tail_reader.h"
#include "supervisor/versions/version_line.h"

struct version_log {
    int fd;
    struct version_columns columns;
    off_t size;         /* of the file */
    off_t whole;        /* up to here it is whole lines, but for a newline that may be missing */
    bool lacks_newline; /* the last line counts, without one */
    struct tail_reader tail;
};

/*
 * Opens VERSION_FILE in the folder `dir`, with O_RDONLY or O_RDWR (and O_CREAT). 0 or -errno
 * (-ENOENT: no history); version_log_close() after 0.
 */
int version_log_open(struct version_log *l, int dir, int flags);
/* 1: the next older version; 0: no more; -errno. Lines that are none are passed over. */
int version_log_next(struct version_log *l, struct version_line *v);
void version_log_close(struct version_log *l);

/*
 * The folder data_dir/versions/<object>, made durably where asked for. Its descriptor or -errno
 * (-EINVAL for an id that names no folder).
 */
int version_folder_open(const char *data_dir, const char *object_id, bool make);
/* "v12.txt" */
enum { VERSION_NAME_SIZE = 32 };
void version_file_name(uint64_t id, char name[VERSION_NAME_SIZE]);
/* The content of a version, its hash not compared with any. As source_read(). */
struct source *version_file_read(const char *data_dir, const char *object_id, uint64_t id,
                                 int *err);

#endif
