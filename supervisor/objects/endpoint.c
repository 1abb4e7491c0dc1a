// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/endpoint.h"

#include "common/clock.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SECONDS_MAX 86400.0

/* A positive number of seconds, as nanoseconds; *ns keeps its value where the key is missing. */
static bool seconds_of(const json_t *endpoint, const char *key, uint64_t *ns, char *problem,
                       size_t problem_size)
{
    const json_t *value = json_object_get(endpoint, key);
    if (!value)
        return true;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds > 0 && seconds <= SECONDS_MAX)) {
        snprintf(problem, problem_size,
                 "__endpoint__[\"%s\"] must be a number of seconds above 0 and at most %.0f", key,
                 SECONDS_MAX);
        return false;
    }
    *ns = (uint64_t)(seconds * 1e9);
    return true;
}

bool endpoint_apply(struct object *o, const struct station *station, struct span metadata,
                    char *problem, size_t problem_size)
{
    uint64_t timeout_ns = station->config.timeout_ns;
    uint64_t idle_ns = station->config.idle_timeout_ns;
    json_t *root = json_loadb(metadata.data, metadata.len, 0, NULL);
    const json_t *endpoint = json_object_get(root, "endpoint");
    bool ok = json_is_object(endpoint);
    if (!ok)
        snprintf(problem, problem_size, "__endpoint__ is not a JSON object");
    ok = ok && seconds_of(endpoint, "timeout", &timeout_ns, problem, problem_size) &&
         seconds_of(endpoint, "idle_timeout", &idle_ns, problem, problem_size);
    bool raw_query = json_is_true(json_object_get(endpoint, "raw_query"));
    json_decref(root);
    char *text = ok ? span_dup(metadata) : NULL;
    if (!text) {
        if (ok)
            snprintf(problem, problem_size, "no memory");
        return false;
    }
    free(o->metadata);
    o->metadata = text;
    o->raw_query = raw_query;
    o->timeout_ns = timeout_ns;
    o->idle_timeout_ns = idle_ns;
    return true;
}
