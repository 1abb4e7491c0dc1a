// SPDX-License-Identifier: Apache-2.0
/*
 * py_event_json - events and their payloads between Python and JSON text.
 *
 * Texts are read by the json module of Python, whose scanner is written in C, and what it made is
 * checked like any payload. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_EVENT_JSON_H
#define WORKER_NECROSTACK_PY_EVENT_JSON_H

#include "worker/necrostack/py_necrostack.h"

/* 0, or -1 with an exception. */
int py_event_json_init(void);

/* The payload as compact JSON, made anew each time and kept in the event until the next. 0;
 * -ENOMEM; -EINVAL with ValidationError: the payload was changed into something else than JSON.
 * Both with an exception set. */
int py_event_json_payload(PyObject *event, struct span *json);
/* The whole event, as event_json.h has it: a new str, or NULL with an exception. */
PyObject *py_event_json_text(PyObject *event);

/* A dict from the text of a JSON object in UTF-8; NULL with ValidationError or another exception.
 */
PyObject *py_event_json_read_payload(struct span json);
/* Any value, not checked yet, from str, bytes or bytearray. `title`: of the ValidationError. */
PyObject *py_event_json_decode(PyObject *text, const char *title);

#endif
