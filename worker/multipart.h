// SPDX-License-Identifier: Apache-2.0
/*
 * multipart - the parts of a multipart/form-data body (RFC 7578) that lies in memory.
 *
 * Nothing is copied or allocated: every span is borrowed from the body. Strict where leniency would
 * guess: a body without its closing delimiter, a part without a name or with a header above 8 KiB
 * is malformed. Text before the first delimiter and behind the last is ignored.
 */
#ifndef WORKER_MULTIPART_H
#define WORKER_MULTIPART_H

#include "common/codec.h"

enum {
    MULTIPART_BOUNDARY_MAX = 70,
    MULTIPART_HEADER_MAX = 8 * 1024,
};

struct multipart {
    struct span body;
    size_t pos;                                 /* behind the delimiter before the next part */
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    size_t delimiter_len;
    const char *error; /* after -EBADMSG; static */
};

struct multipart_part {
    struct span name;     /* may hold backslash escapes: head_unquote() */
    struct span filename; /* as above */
    bool has_filename;
    bool filename_is_encoded; /* filename*=UTF-8''…: percent-encoded */
    struct span content_type; /* empty: none */
    struct span content;
};

/* content_type is the field of the request. 0, or -EBADMSG and m->error. */
int multipart_open(struct multipart *m, struct span content_type, struct span body);
/* 1: the next part. 0: the end. -EBADMSG and m->error. */
int multipart_next(struct multipart *m, struct multipart_part *part);

#endif
