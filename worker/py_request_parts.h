// SPDX-License-Identifier: Apache-2.0
/*
 * py_request_parts - the values behind request's attributes: mappings, body, uploads.
 *
 * Each function returns a new reference, or NULL with an exception. For py_*.c only.
 */
#ifndef WORKER_PY_REQUEST_PARTS_H
#define WORKER_PY_REQUEST_PARTS_H

#include "common/codec.h"
#include "worker/py_compat.h"

int py_request_parts_init(void);

/* A case-insensitive dict with names in lower case; repeated fields joined by ", ". */
PyObject *py_request_parts_headers(struct span head);
PyObject *py_request_parts_cookies(struct span head);
/* A list of (name, value); ValueError above 10,000 pairs. */
PyObject *py_request_parts_pairs(struct span urlencoded);
/* The last value of each name. */
PyObject *py_request_parts_dict(PyObject *pairs);
/* str of a percent-encoded text. */
PyObject *py_request_parts_text(struct span text, bool plus_is_blank);
/* List of the decoded, non-empty segments of a path. */
PyObject *py_request_parts_segments(struct span path);

/* bytes with .read(n=-1), filled from memory or, with fd >= 0, by pread. */
PyObject *py_request_parts_body(struct span bytes, int fd, uint64_t size);

/*
 * The fields and files of a multipart body, which must stay alive as `owner`: fields becomes a list
 * of (name, text), files a dict of name -> upload. 0, or -1 with ValueError.
 */
int py_request_parts_multipart(PyObject *owner, struct span content_type, PyObject **fields,
                               PyObject **files);

#endif
