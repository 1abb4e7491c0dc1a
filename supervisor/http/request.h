// SPDX-License-Identifier: Apache-2.0
/*
 * request - what libmicrohttpd reports about connections and requests, turned into exchanges.
 *
 * Callbacks for MHD_start_daemon(), which describes their arguments. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_REQUEST_H
#define SUPERVISOR_HTTP_REQUEST_H

#include <microhttpd.h>

enum MHD_Result request_handle(void *arg, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **slot);
void request_completed(void *arg, struct MHD_Connection *mhd, void **slot,
                       enum MHD_RequestTerminationCode how);
void request_connection(void *arg, struct MHD_Connection *mhd, void **slot,
                        enum MHD_ConnectionNotificationCode what);

#endif
