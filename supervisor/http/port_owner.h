// SPDX-License-Identifier: Apache-2.0
/*
 * port_owner - who listens on a TCP port of this machine, for an error message at start.
 *
 * Looks the port up in /proc/net/tcp and tcp6, then the socket among the descriptors of the
 * processes that we may look into. Slow and best effort.
 */
#ifndef SUPERVISOR_HTTP_PORT_OWNER_H
#define SUPERVISOR_HTTP_PORT_OWNER_H

#include <stdbool.h>
#include <stddef.h>

/* "process 1234 (name)" into out; false when it cannot be seen. */
bool port_owner(unsigned port, char *out, size_t size);

#endif
