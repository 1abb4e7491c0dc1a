// SPDX-License-Identifier: Apache-2.0
/*
 * file_head - the header fields of a file: its type, how a browser treats it, its ETag. Pure.
 */
#ifndef SUPERVISOR_REST_FILE_HEAD_H
#define SUPERVISOR_REST_FILE_HEAD_H

#include "common/codec.h"

#include <sys/stat.h>

/* By the extension, in any case; application/octet-stream for what is not known. */
const char *file_head_type(const char *name);
/* Images are shown, everything else is saved (RFC 6266, with filename* where it takes that). */
void file_head_disposition(struct buf *out, const char *name);
/* Strong: another one for every content, as files are replaced and not rewritten. With quotes. */
void file_head_etag(struct buf *out, const struct stat *st);
/* "Sat, 21 Nov 2026 23:14:14 GMT" */
void file_head_date(struct buf *out, const struct stat *st);
/* Is the tag in an If-None-Match list (weak comparison), or the list "*"? */
bool file_head_matches(struct span list, const char *etag);

#endif
