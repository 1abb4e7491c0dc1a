// SPDX-License-Identifier: Apache-2.0
/*
 * notify - tells systemd how the station is, by the protocol of sd_notify(3).
 *
 * Where NOTIFY_SOCKET is not set every function is a no-op. The socket's name may be a path or an
 * abstract name ("@…"). Nothing here blocks or fails towards the caller: a manager that does not
 * listen is not our trouble. Loop thread only.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC/WATCHDOG_PID and removes them, so that no child has them.
 */
void notify_setup(void);
/* `status` is one line for people. */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* How often notify_watchdog() should be called: half the limit, in ns; 0: not asked for. */
uint64_t notify_watchdog_interval(void);

#endif
