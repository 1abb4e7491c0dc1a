// SPDX-License-Identifier: Apache-2.0
/*
 * boot_file - data/boot: which start of the station this is, and how far its records had come.
 *
 * One line, "boot \t seq": the number of the last start and the number of the last record it found.
 * Both only ever rise, also when the journal folder was emptied by hand. Replaced whole, durably.
 */
#ifndef SUPERVISOR_STATE_BOOT_FILE_H
#define SUPERVISOR_STATE_BOOT_FILE_H

#include <stdint.h>

struct boot_file {
    uint64_t boot;
    uint64_t seq;
};

/* 0 (zeros when there is no file), -EBADMSG when it cannot be understood, or another -errno. */
int boot_file_read(int data_fd, struct boot_file *out);
/* 0 or -errno. */
int boot_file_write(int data_fd, const struct boot_file *values);

#endif
