// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/reload_view.h"

#include "supervisor/reload.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/station.h"

static void on_reloaded(void *arg, bool refused, const char *report)
{
    struct exchange *x = arg;
    struct buf json = BUF_INIT;
    if (!report) {
        exchange_error(x, 503, NULL, "the station is stopping");
        return;
    }
    buf_puts(&json, report);
    json_reply(x, refused ? 422 : 200, &json);
}

void view_reload(struct station *station, struct exchange *x)
{
    if (!station->reload || reload_ask_and_wait(station->reload, on_reloaded, x) < 0)
        exchange_error(x, 503, NULL, "no reload is possible now");
}
