// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/measure.h"

#include "supervisor/process/memory.h"

#include <stdlib.h>

struct measure {
    struct scribe_rpc_measure ask;
    struct scribe_rpc_measured found;
};

struct measure *measure_new(const struct scribe_rpc_measure *ask)
{
    struct measure *m = calloc(1, sizeof(*m));
    if (m)
        m->ask = *ask;
    return m;
}

int measure_step(struct measure *m)
{
    if (m->found.count == m->ask.count)
        return 0;
    m->found.bytes[m->found.count] = memory_pss_bytes((pid_t)m->ask.pids[m->found.count]);
    return ++m->found.count < m->ask.count;
}

const struct scribe_rpc_measured *measure_found(const struct measure *m)
{
    return &m->found;
}

void measure_free(struct measure *m)
{
    free(m);
}
