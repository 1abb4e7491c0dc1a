// SPDX-License-Identifier: Apache-2.0
/*
 * state_key - keys of an object's state that are the station's, not the object's: they begin with a
 * NUL. Stored, checkpointed and recovered with the others, and shown to nobody but the reader of
 * state.tsv (where NUL reads \0).
 */
#ifndef COMMON_STATE_KEY_H
#define COMMON_STATE_KEY_H

#include "common/codec.h"

/* Number of the newest version whose migrate_state() this state has been through. */
#define STATE_KEY_MIGRATED ((struct span){"\0migrated", 9})

static inline bool state_key_is_own(struct span key)
{
    return key.len > 0 && key.data[0] == '\0';
}

#endif
