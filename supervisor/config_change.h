// SPDX-License-Identifier: Apache-2.0
/*
 * config_change - what a configuration that was read again changes: keys that take effect, and
 * FIXED ones, which keep their value and need a restart. Loop thread.
 */
#ifndef SUPERVISOR_CONFIG_CHANGE_H
#define SUPERVISOR_CONFIG_CHANGE_H

#include "common/buf.h"
#include "supervisor/config.h"

struct config_change {
    const struct config_key *key;
    char *from, *to; /* in the form of the file */
};

struct config_changes {
    struct config_change *items;
    size_t count, fixed; /* fixed: how many of them need a restart */
};

/*
 * Compares, and gives `fresh` the present value of every FIXED key. 0, or -ENOMEM with nothing in
 * `changes`; `fresh` may then be half changed.
 */
int config_change_find(struct config *fresh, const struct config *present,
                       struct config_changes *changes);
/*
 * The file that the present one was read from, where `fresh` came without: it is gone from the
 * usual place. NULL: it is as it was.
 */
const char *config_change_lost_file(const struct config *fresh, const struct config *present);
void config_change_free(struct config_changes *changes);

/* A JSON list of {"key","from","to"}: those that need a restart, or the others. */
void config_change_put(const struct config_changes *changes, bool fixed, struct buf *json);
/* One line of the log each. */
void config_change_log(const struct config_changes *changes);

#endif
