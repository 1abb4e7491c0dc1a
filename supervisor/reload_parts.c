// SPDX-License-Identifier: Apache-2.0
#include "supervisor/reload_parts.h"

#include "supervisor/http/front.h"
#include "supervisor/log/object_log.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int reload_parts_prepare(struct station *station, const struct config *fresh, char *error,
                         size_t error_size)
{
    if (access(fresh->worker_program, X_OK) < 0) {
        int err = -errno;
        snprintf(error, error_size, "workers.program %s: %s", fresh->worker_program,
                 strerror(-err));
        return err;
    }
    return front_prepare(station->front, fresh, error, error_size);
}

void reload_parts_commit(struct station *station, struct config *fresh)
{
    struct config old = station->config;
    const struct config *c = &station->config;
    station->config = *fresh;
    *fresh = (struct config){0};
    config_free(&old);
    log_setup("objectd", c->log_format, c->log_level);
    object_logs_configure(station->logs, c);
    object_logs_reopen(station->logs);
    scribe_configure(station->scribe, c);
    store_configure(station->store, c);
    front_commit(station->front);
}

void reload_parts_abandon(struct station *station)
{
    front_abandon(station->front);
}
