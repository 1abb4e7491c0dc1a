// SPDX-License-Identifier: Apache-2.0
/*
 * metric - one figure of GET /metrics, in the text format of Prometheus, with its help and type.
 */
#ifndef SUPERVISOR_METRIC_H
#define SUPERVISOR_METRIC_H

#include "common/buf.h"

#include <stdint.h>

/* name: without "objectd_". */
void metric_counter(struct buf *text, const char *name, const char *help, uint64_t value);
void metric_gauge(struct buf *text, const char *name, const char *help, double value);
/* Only what stands before the lines of a figure with labels; type "counter", "histogram". */
void metric_begin(struct buf *text, const char *name, const char *help, const char *type);

#endif
