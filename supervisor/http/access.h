// SPDX-License-Identifier: Apache-2.0
/*
 * access - who may ask for what: known host names, requests from foreign web pages, management.
 *
 * Loopback is not private: any web page can send requests to it. So Host must be a known name
 * (against DNS rebinding), and a request that changes something must not come from a foreign page.
 *
 * Known names are localhost, the listening addresses, the loopback addresses, and [http] hosts.
 * Ports are not compared: a forwarded port (ssh -L, a container) is no other site, and rebinding
 * shows in the name. A page is foreign when its Origin differs from Host in name or port. HTTP/1.0
 * without Host and the Unix socket pass, as no browser speaks them.
 *
 * No I/O except access_new() with management = token. One thread.
 */
#ifndef SUPERVISOR_HTTP_ACCESS_H
#define SUPERVISOR_HTTP_ACCESS_H

#include "common/codec.h"
#include "supervisor/config.h"

struct access;

/*
 * Keeps what it needs of config. With management = token reads data/admin.token, or makes it: 32
 * random bytes in hexadecimal, mode 0600. NULL after writing one line to error.
 */
struct access *access_new(const struct config *config, char *error, size_t error_size);
void access_free(struct access *access);
/* Adds the address of a listener, "127.0.0.1" or "::1", to the known names. False: no memory. */
bool access_add_address(struct access *access, const char *address);

/* Adds those that were added to the other one. */
bool access_add_addresses_of(struct access *access, const struct access *other);

/* The value of a Host field, with or without a port; data NULL when absent. */
bool access_host_is_known(const struct access *access, struct span host);
/* Origin and Sec-Fetch-Site as received; data NULL when absent. */
bool access_is_foreign(struct span host, struct span origin, struct span fetch_site);

/*
 * 0 when management is allowed, else the status to refuse with (401: a token is needed, 403) and
 * *why (static). `authorization` is the field's value or data NULL.
 */
unsigned access_management(const struct access *access, bool is_local, bool is_unix,
                           struct span authorization, const char **why);

#endif
