// SPDX-License-Identifier: Apache-2.0
/*
 * py_upload - one uploaded file of a multipart body. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_UPLOAD_H
#define WORKER_PY_UPLOAD_H

#include "common/codec.h"
#include "worker/py_compat.h"

int py_upload_init(void);
/* content lies in `owner` (bytes), which the upload keeps alive; it is copied when asked for. */
PyObject *py_upload_new(PyObject *name, PyObject *filename, struct span content_type,
                        struct span content, PyObject *owner);

#endif
