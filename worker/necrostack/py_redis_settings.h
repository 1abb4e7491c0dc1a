// SPDX-License-Identifier: Apache-2.0
/*
 * py_redis_settings - the arguments of RedisBackend(...), checked: TypeError and ValueError name
 * the argument and never show the URL, which may hold a password.
 */
#ifndef WORKER_NECROSTACK_PY_REDIS_SETTINGS_H
#define WORKER_NECROSTACK_PY_REDIS_SETTINGS_H

#include <Python.h>

#include "common/events/redis_backend.h"

struct py_redis_settings {
    struct redis_settings c; /* its texts are those of the objects below */
    PyObject *url, *stream, *group, *consumer, *dead_letters; /* str */
    PyObject *shown_url;                                      /* without the password */
    uint32_t pool_size;
    uint64_t claim_min_idle_ms;
    bool consumer_made; /* no name was given */
};

/* All zero before. 0, or -1 with an exception; to be cleared in either case. */
int py_redis_settings_parse(struct py_redis_settings *settings, PyObject *args, PyObject *kwargs);
/* Where no name was given: another one, for another process. 0, or -1 with an exception. */
int py_redis_settings_rename(struct py_redis_settings *settings);
void py_redis_settings_clear(struct py_redis_settings *settings);

#endif
