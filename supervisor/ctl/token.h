// SPDX-License-Identifier: Apache-2.0
/*
 * token - the bearer token that objectctl shows a station with `management = token`.
 *
 * OBJECTD_TOKEN of the environment; else, for a station on a loopback address, the admin.token of
 * the data folder (OBJECTD_DATA, else the installed one) where this user may read it.
 */
#ifndef SUPERVISOR_CTL_TOKEN_H
#define SUPERVISOR_CTL_TOKEN_H

/* The token, allocated, or NULL: none. */
char *token_find(const char *url);

#endif
