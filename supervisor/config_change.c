// SPDX-License-Identifier: Apache-2.0
#include "supervisor/config_change.h"

#include "common/json_text.h"
#include "supervisor/config_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 4096 };

static char *text_of(const struct config *config, const struct config_key *key)
{
    char text[VALUE_MAX];
    config_value_show(config, key, text, sizeof(text));
    return strdup(text);
}

static int note(struct config_changes *changes, const struct config *fresh,
                const struct config *present, const struct config_key *key)
{
    struct config_change *c = &changes->items[changes->count];
    *c = (struct config_change){key, text_of(present, key), text_of(fresh, key)};
    changes->count++;
    changes->fixed += key->is_fixed;
    return c->from && c->to ? 0 : -ENOMEM;
}

int config_change_find(struct config *fresh, const struct config *present,
                       struct config_changes *changes)
{
    *changes = (struct config_changes){.items = calloc(config_key_count, sizeof(*changes->items))};
    int err = changes->items ? 0 : -ENOMEM;
    for (size_t i = 0; !err && i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (config_value_equal(fresh, present, key))
            continue;
        err = note(changes, fresh, present, key);
        if (!err && key->is_fixed)
            err = config_value_copy(fresh, present, key);
    }
    if (err)
        config_change_free(changes);
    return err;
}

const char *config_change_lost_file(const struct config *fresh, const struct config *present)
{
    return fresh->file ? NULL : present->file;
}

void config_change_free(struct config_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->items[i].from);
        free(changes->items[i].to);
    }
    free(changes->items);
    *changes = (struct config_changes){0};
}

void config_change_put(const struct config_changes *changes, bool fixed, struct buf *json)
{
    buf_putc(json, '[');
    for (size_t i = 0, shown = 0; i < changes->count; i++) {
        const struct config_change *c = &changes->items[i];
        char name[128];
        if (c->key->is_fixed != fixed)
            continue;
        snprintf(name, sizeof(name), "%s.%s", c->key->section, c->key->name);
        buf_puts(json, shown++ ? ",{" : "{");
        json_put_member(json, "key", name);
        json_put_member(json, "from", c->from);
        json_put_member(json, "to", c->to);
        buf_putc(json, '}');
    }
    buf_putc(json, ']');
}

void config_change_log(const struct config_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct config_change *c = &changes->items[i];
        if (c->key->is_fixed)
            log_warn("%s.%s = %s needs a restart; %s stays", c->key->section, c->key->name, c->to,
                     c->from);
        else
            log_info("%s.%s = %s (was %s)", c->key->section, c->key->name, c->to, c->from);
    }
}
