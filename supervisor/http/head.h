// SPDX-License-Identifier: Apache-2.0
/*
 * head - looks fields up in the raw head of a request that the guard has accepted: lines of
 * "Name: value\r\n", no folding, no bare line ends. Pure; what it returns is borrowed.
 */
#ifndef SUPERVISOR_HTTP_HEAD_H
#define SUPERVISOR_HTTP_HEAD_H

#include "common/codec.h"

/* Value of the first field of that name (case-insensitive), trimmed; data NULL when absent. */
struct span head_field(struct span head, const char *name);

#endif
