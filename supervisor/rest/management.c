// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/management.h"

#include "supervisor/http/access.h"
#include "supervisor/http/front.h"
#include "supervisor/station.h"

bool management_allowed(struct station *station, struct exchange *x)
{
    const struct exchange_request *request = exchange_request(x);
    bool is_unix = strcmp(request->remote_addr, "unix") == 0;
    const char *why;
    unsigned status = access_management(front_access(station->front), request->is_local, is_unix,
                                        exchange_header(x, "Authorization"), &why);
    if (status == 0)
        return true;
    exchange_error(x, status, NULL, "%s", why);
    return false;
}
