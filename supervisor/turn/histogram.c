// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/histogram.h"

/* Upper bounds in microseconds. */
static const uint64_t bounds_us[HISTOGRAM_BUCKETS] = {
    50,    100,    200,    500,    1000,    2000,    5000,    10000,    20000,
    50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000};

void histogram_add(struct histogram *h, uint64_t ns)
{
    int i = 0;
    while (i < HISTOGRAM_BUCKETS && ns > bounds_us[i] * 1000)
        i++;
    h->counts[i]++;
    h->total++;
    h->sum_ns += ns;
}

double histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    if (h->total == 0)
        return 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > rank)
            return (double)bounds_us[i] / 1e6;
    }
    return (double)bounds_us[HISTOGRAM_BUCKETS - 1] / 1e6;
}

void histogram_metrics(const struct histogram *h, const char *name, struct buf *text)
{
    uint64_t seen = 0;
    buf_printf(text, "# TYPE %s histogram\n", name);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        buf_printf(text, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6,
                   (unsigned long long)seen);
    }
    buf_printf(text, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)h->total);
    buf_printf(text, "%s_sum %.6f\n", name, (double)h->sum_ns / 1e9);
    buf_printf(text, "%s_count %llu\n", name, (unsigned long long)h->total);
}
