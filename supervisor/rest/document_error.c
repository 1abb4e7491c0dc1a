// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/document_error.h"

#include "supervisor/http/exchange.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"

#include <errno.h>

void document_error(struct exchange *x, const struct object *o, const char *what, int err)
{
    const struct config *config = &o->station->config;
    if (err == -ETIMEDOUT)
        exchange_error(x, 503, "\"limit\":\"view_timeout\"",
                       "%s %s could not be read in %.3g s (http.view_timeout)", what, o->id,
                       (double)config->view_timeout_ns / 1e9);
    else if (err == -EBUSY)
        exchange_error(x, 503, "\"limit\":\"views_max\"",
                       "%zu views are being made already (limits.views_max)",
                       (size_t)config->views_max);
    else if (err == -ENOMEM)
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for %s %s", what, o->id);
    else
        exchange_error(x, 503, NULL, "%s %s cannot be read now: %s", what, o->id, strerror(-err));
}
