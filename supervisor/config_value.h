// SPDX-License-Identifier: Apache-2.0
/*
 * config_value - one key of the configuration: what it may hold, and its text turned into the field
 * of struct config.
 *
 * The table is config_keys.def. Values from the file, the environment, the command line and the
 * defaults all pass through config_value_set(), so each is checked in the same way. Supervisor, at
 * the start and at a reload.
 */
#ifndef SUPERVISOR_CONFIG_VALUE_H
#define SUPERVISOR_CONFIG_VALUE_H

#include "supervisor/config.h"

#include <stdbool.h>

enum config_kind {
    CONFIG_STATION,
    CONFIG_PATH,
    CONFIG_VENV, /* a path; "": none */
    CONFIG_LISTEN,
    CONFIG_HOSTS,
    CONFIG_DURATION,
    CONFIG_SIZE,
    CONFIG_COUNT,
    CONFIG_FLAG,
    CONFIG_DURABILITY,
    CONFIG_CGROUPS,
    CONFIG_LEVEL,
    CONFIG_FORMAT,
    CONFIG_MANAGEMENT,
};

struct config_key {
    const char *section;
    const char *name;
    enum config_kind kind;
    size_t offset;        /* of the field in struct config */
    const char *fallback; /* default as text; NULL: depends on the place */
    double min, max;      /* seconds, bytes or a number, for the kinds that have limits */
    bool is_fixed;        /* keeps its value until the next start */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* NULL when there is no such key. */
const struct config_key *config_key_find(const char *section, const char *name);
/* Whether the key takes several values. */
bool config_key_is_list(const struct config_key *key);

/*
 * Replaces the key's field in config by the values given (one, or any number for a list). Relative
 * paths are taken below `base` (NULL: the working directory). 0, or -EINVAL after writing to `why`
 * what is wrong with which value and what is allowed; -ENOMEM likewise. On an error the field is
 * unchanged or, for a list, empty.
 */
int config_value_set(struct config *config, const struct config_key *key, const char *const *values,
                     size_t count, const char *base, char *why, size_t why_size);
/* What the key accepts, in words ("a number of seconds from 0.1 to 3600"). */
void config_value_allowed(const struct config_key *key, char *text, size_t size);
/* The field's value in the form of the file, for --check and tests. */
void config_value_show(const struct config *config, const struct config_key *key, char *text,
                       size_t size);
bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_key *key);
/* Gives `to` the value of `from`, for a key that is no list. 0 or -ENOMEM. */
int config_value_copy(struct config *to, const struct config *from, const struct config_key *key);
/* Frees what the key's field owns. */
void config_value_free(struct config *config, const struct config_key *key);

#endif
