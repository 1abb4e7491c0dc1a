// SPDX-License-Identifier: Apache-2.0
/*
 * metadata - the "metadata" object of GET ?metadata=true: what the object declares, with defaults,
 * and what the station knows about it.
 */
#ifndef SUPERVISOR_REST_METADATA_H
#define SUPERVISOR_REST_METADATA_H

#include "common/buf.h"

struct object;

/* Appends the JSON object: 0 or -ENOMEM. */
int metadata_put(const struct object *o, struct buf *json);

#endif
