// SPDX-License-Identifier: Apache-2.0
/*
 * multipart - the parts of a multipart/form-data body (RFC 7578), as it arrives or in memory.
 *
 * Nothing is copied or allocated: every span is borrowed from the window that the caller shows.
 * Strict where leniency would guess: a body without its closing delimiter, a part without a name or
 * with a header above 8 KiB, or with a bare CR or LF in it, is malformed. Text before the first
 * delimiter and behind the last is ignored.
 *
 * As it arrives: multipart_step() is shown what has not been used up yet and says what comes next;
 * *used bytes of the window are done with then. MULTIPART_MORE asks for more bytes behind those
 * that are left, which are never many (MULTIPART_WINDOW_MAX). In memory: multipart_next().
 */
#ifndef COMMON_MULTIPART_H
#define COMMON_MULTIPART_H

#include "common/codec.h"

enum {
    MULTIPART_BOUNDARY_MAX = 70,
    MULTIPART_HEADER_MAX = 8 * 1024,
    MULTIPART_WINDOW_MAX = MULTIPART_HEADER_MAX + 128, /* what a step may leave */
};

enum multipart_state {
    MULTIPART_IN_PREAMBLE_START,
    MULTIPART_IN_PREAMBLE,
    MULTIPART_IN_DELIMITER, /* behind its boundary */
    MULTIPART_IN_HEADER,
    MULTIPART_IN_CONTENT_START, /* before the empty line's CR LF */
    MULTIPART_IN_CONTENT,
    MULTIPART_IN_EPILOGUE,
};

struct multipart {
    enum multipart_state state;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    size_t delimiter_len;
    const char *error; /* after MULTIPART_BAD; static */
};

struct multipart_part {
    struct span name;     /* may hold backslash escapes: head_unquote() */
    struct span filename; /* as above, or percent-encoded: multipart_put_filename() */
    bool has_filename;
    bool filename_is_encoded; /* filename*=UTF-8''…: percent-encoded */
    struct span content_type; /* empty: none */
    struct span content;      /* of multipart_next(): all of it; of MULTIPART_DATA: a piece */
};

enum multipart_event {
    MULTIPART_MORE,     /* more bytes are needed */
    MULTIPART_PART,     /* a part begins: everything of *part but its content */
    MULTIPART_DATA,     /* some of its content, in part->content; never empty */
    MULTIPART_PART_END, /* its content is over */
    MULTIPART_END,      /* the closing delimiter was seen; what follows does not matter */
    MULTIPART_BAD,      /* m->error */
};

/* content_type is the field of the request. 0, or -EBADMSG and m->error. */
int multipart_open(struct multipart *m, struct span content_type);
/* is_last: nothing follows the window. The verdict does not depend on how the body is split. */
enum multipart_event multipart_step(struct multipart *m, struct span window, bool is_last,
                                    size_t *used, struct multipart_part *part);

/*
 * The next part of a body in memory, of which *rest (at first: all of it) is left. 1; 0: the end;
 * -EBADMSG and m->error.
 */
int multipart_next(struct multipart *m, struct span *rest, struct multipart_part *part);

/* The file name of a part as the client meant it: any bytes. */
void multipart_put_filename(struct buf *out, const struct multipart_part *part);

#endif
