// SPDX-License-Identifier: Apache-2.0
/*
 * py_json - JSON between Python objects and bytes, by Python's own C coder.
 *
 * Text is what json.dumps(ensure_ascii=False) writes; a value with lone surrogates, which UTF-8
 * cannot hold, is written with escapes instead. NaN and infinities are refused both ways. For
 * py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_JSON_H
#define WORKER_PY_JSON_H

#include "common/codec.h"
#include "worker/py_compat.h"

/* 0, or -1 with a Python exception. */
int py_json_init(void);

/* Is it exactly None, bool, int, float or str? Such an object is immutable and is JSON itself. */
bool py_json_is_scalar(PyObject *value);
/* Appends the text of a scalar. 0, or -1 with a Python exception. */
int py_json_put_scalar(struct buf *out, PyObject *value);
/*
 * The text of any value: a new object that owns it (str or bytes) and its span, or NULL with
 * TypeError, ValueError or RecursionError as json.dumps raises them.
 */
PyObject *py_json_encode(PyObject *value, struct span *text);
/*
 * As py_json_encode, but what JSON cannot hold is written as its str(), and a member of a dict that
 * cannot even so (NaN, a str() that raises) as its repr(): the others stay what they are.
 */
PyObject *py_json_encode_lossy(PyObject *value, struct span *text);
/* A new object, or NULL with ValueError (malformed, NaN, too deep). */
PyObject *py_json_decode(const char *text, size_t len);

#endif
