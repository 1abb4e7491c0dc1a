// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/endpoint.c supervisor/objects/depends.c common/when.c common/cron.c
 * -ljansson */
/*
 * The first byte is '0', the rest the metadata of a READY. What is accepted lies within its bounds,
 * what is not has a message.
 */
#include "supervisor/objects/endpoint.h"

#include <stdint.h>
#include <stdlib.h>

static void try_endpoint(struct span text)
{
    static const struct config config = {
        .metadata_max = 1 << 20, .workers_object_max = 64, .concurrent_max = 256};
    char problem[ENDPOINT_PROBLEM_SIZE] = "";
    struct endpoint e = endpoint_default(&config);
    if (!endpoint_parse(&e, &config, text, problem, sizeof(problem))) {
        if (!*problem)
            abort();
        return;
    }
    if (e.workers < 1 || e.workers > 64 || e.concurrent < 1 || e.concurrent > 256 ||
        (e.concurrent > 1 && !e.stateless))
        abort();
    endpoint_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    if (data[0] == '0')
        try_endpoint(rest);
    return 0;
}
