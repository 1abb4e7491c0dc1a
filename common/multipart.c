// SPDX-License-Identifier: Apache-2.0
#include "common/multipart.h"

#include "common/head.h"
#include "common/urlencoded.h"

#include <errno.h>
#include <strings.h>

enum { BLANKS_MAX = 256 /* behind a boundary */ };

static enum multipart_event bad(struct multipart *m, const char *what)
{
    m->error = what;
    return MULTIPART_BAD;
}

static struct span behind(struct span window, size_t used)
{
    return (struct span){window.data + used, window.len - used};
}

static bool is_boundary(struct span s)
{
    if (s.len == 0 || s.len > MULTIPART_BOUNDARY_MAX || s.data[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < ' ' || s.data[i] > '~')
            return false;
    return true;
}

static bool find_boundary(struct span content_type, struct span *boundary)
{
    struct span rest = content_type, name;
    while (head_next_parameter(&rest, &name, boundary))
        if (head_name_is(name, "boundary"))
            return is_boundary(*boundary);
    return false;
}

int multipart_open(struct multipart *m, struct span content_type)
{
    struct span boundary;
    *m = (struct multipart){.state = MULTIPART_IN_PREAMBLE_START};
    if (!find_boundary(content_type, &boundary)) {
        m->error = "no usable boundary";
        return -EBADMSG;
    }
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.data, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    return 0;
}

/* --- finding the delimiter --- */

enum match { MATCH_NONE, MATCH_PARTLY, MATCH_WHOLE };

/* Does the window begin with the delimiter, its first `skip` bytes left out? */
static enum match match_delimiter(const struct multipart *m, struct span window, size_t skip)
{
    size_t len = m->delimiter_len - skip, reach = window.len < len ? window.len : len;
    if (reach && memcmp(window.data, m->delimiter + skip, reach) != 0)
        return MATCH_NONE;
    return reach == len ? MATCH_WHOLE : MATCH_PARTLY;
}

/* Bytes before the delimiter, or before what may be the beginning of one; *whole tells which. */
static size_t before_delimiter(const struct multipart *m, struct span window, bool *whole)
{
    const char *at =
        window.len ? memmem(window.data, window.len, m->delimiter, m->delimiter_len) : NULL;
    *whole = at != NULL;
    if (at)
        return (size_t)(at - window.data);
    size_t from = window.len < m->delimiter_len ? 0 : window.len - m->delimiter_len + 1;
    while (from < window.len && match_delimiter(m, behind(window, from), 0) == MATCH_NONE)
        from++;
    return from;
}

/* --- the header of a part --- */

static void take_filename(struct multipart_part *part, struct span value, bool is_extended)
{
    static const char charset[] = "utf-8''";
    size_t len = sizeof(charset) - 1;
    if (!is_extended && part->filename_is_encoded)
        return; /* the extended form wins, in any order */
    if (is_extended && (value.len < len || strncasecmp(value.data, charset, len) != 0))
        return;
    part->filename = is_extended ? (struct span){value.data + len, value.len - len} : value;
    part->filename_is_encoded = is_extended;
    part->has_filename = true;
}

static void read_disposition(struct multipart_part *part, struct span field)
{
    struct span name, value;
    if (!head_name_is(head_media_type(field), "form-data"))
        return;
    while (head_next_parameter(&field, &name, &value)) {
        if (head_name_is(name, "name"))
            part->name = value;
        else if (head_name_is(name, "filename"))
            take_filename(part, value, false);
        else if (head_name_is(name, "filename*"))
            take_filename(part, value, true);
    }
}

static void read_header(struct multipart_part *part, struct span header)
{
    struct span name, value;
    while (head_next(&header, &name, &value)) {
        if (head_name_is(name, "content-disposition"))
            read_disposition(part, value);
        else if (head_name_is(name, "content-type"))
            part->content_type = value;
    }
}

/* Others may see other lines there than we do. */
static bool has_bare_line_end(struct span header)
{
    for (size_t i = 0; i < header.len; i++) {
        char c = header.data[i];
        if (c == '\n' && (i == 0 || header.data[i - 1] != '\r'))
            return true;
        if (c == '\r' && (i + 1 == header.len || header.data[i + 1] != '\n'))
            return true;
    }
    return false;
}

static enum multipart_event step_header(struct multipart *m, struct span window, bool is_last,
                                        size_t *used, struct multipart_part *part)
{
    if (window.len >= 2 && memcmp(window.data, "\r\n", 2) == 0)
        return bad(m, "a part without a header");
    size_t reach = window.len < MULTIPART_HEADER_MAX ? window.len : MULTIPART_HEADER_MAX;
    const char *end = reach ? memmem(window.data, reach, "\r\n\r\n", 4) : NULL;
    if (!end && (is_last || reach == MULTIPART_HEADER_MAX))
        return bad(m, "the header of a part does not end within 8 KiB");
    if (!end)
        return MULTIPART_MORE;
    *part = (struct multipart_part){
        .name = {"", 0}, .filename = {"", 0}, .content_type = {"", 0}, .content = {"", 0}};
    size_t len = (size_t)(end - window.data) + 2;
    if (has_bare_line_end((struct span){window.data, len}))
        return bad(m, "a line of a part's header does not end in CR LF");
    read_header(part, (struct span){window.data, len});
    if (part->name.len == 0)
        return bad(m, "a part without a name");
    *used = len;
    m->state = MULTIPART_IN_CONTENT_START;
    return MULTIPART_PART;
}

/* --- everything else --- */

static enum multipart_event step_preamble_start(struct multipart *m, struct span window,
                                                bool is_last, size_t *used)
{
    /* The first delimiter has no CR LF before it when the body begins with it. */
    enum match match = match_delimiter(m, window, 2);
    if (match == MATCH_PARTLY && !is_last)
        return MULTIPART_MORE;
    if (match == MATCH_WHOLE)
        *used = m->delimiter_len - 2;
    m->state = match == MATCH_WHOLE ? MULTIPART_IN_DELIMITER : MULTIPART_IN_PREAMBLE;
    return MULTIPART_DATA;
}

static enum multipart_event step_preamble(struct multipart *m, struct span window, bool is_last,
                                          size_t *used)
{
    bool whole;
    *used = before_delimiter(m, window, &whole);
    if (whole) {
        *used += m->delimiter_len;
        m->state = MULTIPART_IN_DELIMITER;
        return MULTIPART_DATA;
    }
    return is_last ? bad(m, "the boundary does not occur") : MULTIPART_MORE;
}

static enum multipart_event step_delimiter(struct multipart *m, struct span window, bool is_last,
                                           size_t *used)
{
    static const char problem[] = "a delimiter line holds something else";
    size_t blanks = 0;
    if (window.len >= 2 && memcmp(window.data, "--", 2) == 0) {
        m->state = MULTIPART_IN_EPILOGUE;
        return MULTIPART_DATA;
    }
    while (blanks < window.len && (window.data[blanks] == ' ' || window.data[blanks] == '\t'))
        blanks++;
    struct span rest = behind(window, blanks);
    static const char *const ends[] = {"\r\n", "--"};
    bool may_end = blanks < BLANKS_MAX && rest.len < 2 &&
                   (rest.len == 0 || rest.data[0] == ends[0][0] ||
                    (blanks == 0 && rest.data[0] == ends[1][0]));
    if (may_end && !is_last)
        return MULTIPART_MORE;
    if (blanks >= BLANKS_MAX || rest.len < 2 || memcmp(rest.data, ends[0], 2) != 0)
        return bad(m, problem);
    *used = blanks + 2;
    m->state = MULTIPART_IN_HEADER;
    return MULTIPART_DATA;
}

static enum multipart_event end_part(struct multipart *m, size_t *used)
{
    *used = m->delimiter_len;
    m->state = MULTIPART_IN_DELIMITER;
    return MULTIPART_PART_END;
}

/* The CR LF before the delimiter may be the one that ends the header of an empty part. */
static enum multipart_event step_content_start(struct multipart *m, struct span window,
                                               bool is_last, size_t *used)
{
    enum match match = match_delimiter(m, window, 0);
    if (match == MATCH_PARTLY && !is_last)
        return MULTIPART_MORE;
    if (match == MATCH_WHOLE)
        return end_part(m, used);
    *used = 2;
    m->state = MULTIPART_IN_CONTENT;
    return MULTIPART_DATA;
}

static enum multipart_event step_content(struct multipart *m, struct span window, bool is_last,
                                         size_t *used, struct multipart_part *part)
{
    bool whole;
    size_t before = before_delimiter(m, window, &whole);
    if (whole && before == 0)
        return end_part(m, used);
    if (!whole && is_last)
        return bad(m, "the closing delimiter is missing");
    *used = before;
    if (before == 0)
        return MULTIPART_MORE;
    part->content = (struct span){window.data, before};
    return MULTIPART_DATA;
}

static enum multipart_event step(struct multipart *m, struct span window, bool is_last,
                                 size_t *used, struct multipart_part *part)
{
    switch (m->state) {
    case MULTIPART_IN_PREAMBLE_START:
        return step_preamble_start(m, window, is_last, used);
    case MULTIPART_IN_PREAMBLE:
        return step_preamble(m, window, is_last, used);
    case MULTIPART_IN_DELIMITER:
        return step_delimiter(m, window, is_last, used);
    case MULTIPART_IN_HEADER:
        return step_header(m, window, is_last, used, part);
    case MULTIPART_IN_CONTENT_START:
        return step_content_start(m, window, is_last, used);
    case MULTIPART_IN_CONTENT:
        return step_content(m, window, is_last, used, part);
    case MULTIPART_IN_EPILOGUE:
        *used = window.len;
        return MULTIPART_END;
    }
    return bad(m, "no state");
}

enum multipart_event multipart_step(struct multipart *m, struct span window, bool is_last,
                                    size_t *used, struct multipart_part *part)
{
    size_t total = 0;
    for (;;) {
        size_t n = 0;
        part->content = (struct span){"", 0};
        enum multipart_event event = step(m, behind(window, total), is_last, &n, part);
        total += n;
        *used = total;
        /* framing that went by: what comes next is what the caller wants to know */
        if (event != MULTIPART_DATA || part->content.len)
            return event;
    }
}

int multipart_next(struct multipart *m, struct span *rest, struct multipart_part *part)
{
    struct span content = {"", 0};
    for (;;) {
        size_t used;
        enum multipart_event event = multipart_step(m, *rest, true, &used, part);
        *rest = behind(*rest, used);
        if (event == MULTIPART_DATA)
            content = part->content; /* in one piece: nothing is held back */
        if (event == MULTIPART_PART_END) {
            part->content = content;
            return 1;
        }
        if (event == MULTIPART_END)
            return 0;
        if (event == MULTIPART_BAD)
            return -EBADMSG;
    }
}

void multipart_put_filename(struct buf *out, const struct multipart_part *part)
{
    struct span name = part->filename;
    if (!buf_reserve(out, name.len + 1))
        return;
    char *at = out->data + out->len;
    out->len +=
        part->filename_is_encoded ? urlencoded_decode(name, false, at) : head_unquote(name, at);
}
