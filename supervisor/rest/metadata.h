// SPDX-License-Identifier: Apache-2.0
/*
 * metadata - the "metadata" object of GET ?metadata=true: what the object declares, with defaults,
 * and what the station knows about it.
 */
#ifndef SUPERVISOR_REST_METADATA_H
#define SUPERVISOR_REST_METADATA_H

#include "common/buf.h"

#include <stdint.h>

struct object;

/* Appends the JSON object: 0 or -ENOMEM. log_count < 0: not known. */
int metadata_put(const struct object *o, int64_t log_count, struct buf *json);

#endif
