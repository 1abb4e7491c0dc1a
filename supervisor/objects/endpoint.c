// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/endpoint.h"

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

struct endpoint endpoint_default(const struct config *config)
{
    return (struct endpoint){.timeout_ns = config->timeout_ns,
                             .idle_timeout_ns = config->idle_timeout_ns};
}

static bool read_settings(struct endpoint *e, const json_t *endpoint, char *problem,
                          size_t problem_size)
{
    if (!json_is_object(endpoint)) {
        snprintf(problem, problem_size, "__endpoint__ is not a JSON object");
        return false;
    }
    e->raw_query = json_is_true(json_object_get(endpoint, "raw_query"));
    return seconds_of(endpoint, "timeout", &e->timeout_ns, problem, problem_size) &&
           seconds_of(endpoint, "idle_timeout", &e->idle_timeout_ns, problem, problem_size);
}

bool endpoint_parse(struct endpoint *e, const struct config *config, struct span metadata,
                    char *problem, size_t problem_size)
{
    struct endpoint parsed = endpoint_default(config);
    json_t *root = json_loadb(metadata.data, metadata.len, 0, NULL);
    bool ok = read_settings(&parsed, json_object_get(root, "endpoint"), problem, problem_size);
    json_decref(root);
    if (!ok)
        return false;
    parsed.metadata = span_dup(metadata);
    if (!parsed.metadata) {
        snprintf(problem, problem_size, "no memory");
        return false;
    }
    endpoint_free(e);
    *e = parsed;
    return true;
}

void endpoint_free(struct endpoint *e)
{
    free(e->metadata);
    e->metadata = NULL;
}
