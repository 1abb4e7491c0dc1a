// SPDX-License-Identifier: Apache-2.0
#include "supervisor/metric.h"

void metric_begin(struct buf *text, const char *name, const char *help, const char *type)
{
    buf_printf(text, "# HELP objectd_%s %s\n# TYPE objectd_%s %s\n", name, help, name, type);
}

void metric_counter(struct buf *text, const char *name, const char *help, uint64_t value)
{
    metric_begin(text, name, help, "counter");
    buf_printf(text, "objectd_%s %llu\n", name, (unsigned long long)value);
}

void metric_gauge(struct buf *text, const char *name, const char *help, double value)
{
    metric_begin(text, name, help, "gauge");
    buf_printf(text, "objectd_%s %.15g\n", name, value);
}
