// SPDX-License-Identifier: Apache-2.0
/*
 * histogram - counts of durations in fixed buckets, as Prometheus wants them. Pure.
 */
#ifndef SUPERVISOR_TURN_HISTOGRAM_H
#define SUPERVISOR_TURN_HISTOGRAM_H

#include "common/buf.h"

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 18 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS + 1]; /* the last: above every bound */
    uint64_t total;
    uint64_t sum_ns;
};

void histogram_add(struct histogram *h, uint64_t ns);
/* The upper bound in seconds of the bucket that holds the q-th quantile (0..1); 0 when empty. */
double histogram_quantile(const struct histogram *h, double q);
/* name_bucket{le="…"}, name_sum, name_count lines. */
void histogram_metrics(const struct histogram *h, const char *name, struct buf *text);

#endif
