// SPDX-License-Identifier: Apache-2.0
/*
 * check_report - what `objectctl check` found, printed as it is found; and the checks of each kind
 * of file, which report into it. Private to check*.c.
 */
#ifndef SUPERVISOR_CTL_CHECK_REPORT_H
#define SUPERVISOR_CTL_CHECK_REPORT_H

#include "common/codec.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

struct check_report {
    FILE *out;
    const char *data_dir;
    bool is_live; /* a station is running on the folder */
    int findings;
    uint64_t files;
    uint64_t entries;     /* state keys, log lines, versions, turns */
    char path[PATH_MAX];  /* of the file being checked, below data_dir */
    int findings_of_file; /* beyond a few they are only counted */
};

/* Starts on another file, named by its path below the data folder. */
void check_report_file(struct check_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The current file is done. */
void check_report_end(struct check_report *r);
/* Something is wrong in the current file; line 0: with all of it. */
void check_report_line(struct check_report *r, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_report_note(struct check_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Opens the current file and calls check(arg, line, its number) for each line, without its newline.
 * A last line without a newline is not given; *is_cut tells. 0 or -errno (reported, but for
 * -ENOENT).
 */
int check_lines(struct check_report *r,
                void (*check)(void *arg, char *line, size_t len, uint64_t number), void *arg,
                bool *is_cut);
/* Reports what no line of ours holds: other bytes than UTF-8, raw NUL or carriage return. */
void check_bytes(struct check_report *r, const char *line, size_t len, uint64_t number);
/* Reports escapes other than those of tsv.h. */
void check_escapes(struct check_report *r, const char *line, size_t len, uint64_t number);

/* The kinds. Each checks the current file, or a folder of them. */
void check_state_file(struct check_report *r);
void check_log_file(struct check_report *r);
void check_versions_file(struct check_report *r, const char *object_id);
void check_crash_file(struct check_report *r);
void check_journal(struct check_report *r);
void check_files(struct check_report *r);
void check_schedules(struct check_report *r);

#endif
