// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/management.h"

#include "supervisor/station.h"

bool management_allowed(struct station *station, struct exchange *x)
{
    const char *why;
    unsigned status = exchange_management(x, &why);
    (void)station;
    if (status == 0)
        return true;
    exchange_error(x, status, NULL, "%s", why);
    return false;
}
