// SPDX-License-Identifier: Apache-2.0
/*
 * byte_range - the Range field of a request (RFC 9110, 14). Pure.
 */
#ifndef SUPERVISOR_REST_BYTE_RANGE_H
#define SUPERVISOR_REST_BYTE_RANGE_H

#include "common/codec.h"

enum byte_range_verdict {
    BYTE_RANGE_ALL,  /* no range, one that we do not understand, or several: all of it (200) */
    BYTE_RANGE_PART, /* 206 */
    BYTE_RANGE_NONE, /* 416 */
};

struct byte_range {
    uint64_t first, length;
};

/* field: the value, data NULL when there is none. size: of the whole. */
enum byte_range_verdict byte_range_parse(struct span field, uint64_t size,
                                         struct byte_range *range);

#endif
