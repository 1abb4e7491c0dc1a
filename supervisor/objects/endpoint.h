// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint - the settings that an object declares in __endpoint__, checked.
 */
#ifndef SUPERVISOR_OBJECTS_ENDPOINT_H
#define SUPERVISOR_OBJECTS_ENDPOINT_H

#include "common/codec.h"

struct object;
struct station;

/*
 * Takes the metadata of a READY message ({"endpoint":{…},"methods":[…]}): keeps the text and
 * applies timeout and idle_timeout. False and a message for people when a value is of the wrong
 * type.
 */
bool endpoint_apply(struct object *o, const struct station *station, struct span metadata,
                    char *problem, size_t problem_size);

#endif
