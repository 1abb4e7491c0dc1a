// SPDX-License-Identifier: Apache-2.0
/*
 * memory - resident memory of a process, from /proc.
 */
#ifndef SUPERVISOR_PROCESS_MEMORY_H
#define SUPERVISOR_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes; 0 when the process is not there. */
uint64_t memory_rss_bytes(pid_t pid);
/* Its share of what it maps: a page counts in parts for those who have it. Slower. */
uint64_t memory_pss_bytes(pid_t pid);

#endif
