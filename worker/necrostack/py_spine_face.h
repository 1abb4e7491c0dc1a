// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_face - the small things of the Spine that are written in Python (core/outcomes.py): the
 * two enums of failure modes, SpineStats, EnqueueError, BackendUnavailableError.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_FACE_H
#define WORKER_NECROSTACK_PY_SPINE_FACE_H

#include <Python.h>

enum spine_enqueue_mode { SPINE_ENQUEUE_FAIL, SPINE_ENQUEUE_RETRY, SPINE_ENQUEUE_STORE };
enum spine_handler_mode { SPINE_HANDLER_LOG, SPINE_HANDLER_STORE, SPINE_HANDLER_NACK };

struct spine_stats {
    unsigned long long processed, emitted, enqueue_failures, handler_errors, backend_errors,
        ack_errors;
};

/* A member of the enum, or its value, or NULL for the default; *member is a new reference. 0, or -1
 * with ValueError. */
int spine_face_enqueue_mode(PyObject *given, PyObject **member, enum spine_enqueue_mode *mode);
int spine_face_handler_mode(PyObject *given, PyObject **member, enum spine_handler_mode *mode);

/* A SpineStats, a new reference. */
PyObject *spine_face_stats(const struct spine_stats *stats);

/* Raise EnqueueError from the error, and BackendUnavailableError. */
void spine_face_raise_enqueue_error(PyObject *event, PyObject *original);
void spine_face_raise_unavailable(unsigned long long failures, PyObject *last_error);

#endif
