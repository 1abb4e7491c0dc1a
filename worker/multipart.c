// SPDX-License-Identifier: Apache-2.0
#include "worker/multipart.h"

#include "worker/head.h"

#include <errno.h>
#include <strings.h>
#include <sys/types.h>

static int bad(struct multipart *m, const char *what)
{
    m->error = what;
    return -EBADMSG;
}

static struct span from(const struct multipart *m, size_t pos)
{
    return (struct span){m->body.data + pos, m->body.len - pos};
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

/* Offset of the next delimiter line at or behind pos; -1 none. */
static ssize_t find_delimiter(const struct multipart *m, size_t pos)
{
    struct span rest = from(m, pos);
    const char *at = rest.len ? memmem(rest.data, rest.len, m->delimiter, m->delimiter_len) : NULL;
    return at ? at - m->body.data : -1;
}

/* The first delimiter has no CR LF before it when the body begins with it. */
static bool begins_with_delimiter(const struct multipart *m)
{
    size_t len = m->delimiter_len - 2;
    return m->body.len >= len && memcmp(m->body.data, m->delimiter + 2, len) == 0;
}

int multipart_open(struct multipart *m, struct span content_type, struct span body)
{
    struct span boundary;
    *m = (struct multipart){.body = body};
    if (!find_boundary(content_type, &boundary))
        return bad(m, "no usable boundary");
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.data, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    if (begins_with_delimiter(m)) {
        m->pos = m->delimiter_len - 2;
        return 0;
    }
    ssize_t first = find_delimiter(m, 0);
    if (first < 0)
        return bad(m, "the boundary does not occur");
    m->pos = (size_t)first + m->delimiter_len;
    return 0;
}

/* Behind a delimiter: 1 a part follows (pos is moved to it), 0 that was the last. */
static int after_delimiter(struct multipart *m)
{
    struct span rest = from(m, m->pos);
    if (rest.len >= 2 && memcmp(rest.data, "--", 2) == 0)
        return 0;
    size_t blanks = 0;
    while (blanks < rest.len && (rest.data[blanks] == ' ' || rest.data[blanks] == '\t'))
        blanks++;
    if (rest.len - blanks < 2 || memcmp(rest.data + blanks, "\r\n", 2) != 0)
        return bad(m, "a delimiter line holds something else");
    m->pos += blanks + 2;
    return 1;
}

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

/* Reads the header of the part at pos and moves pos to its content. */
static int cut_header(struct multipart *m, struct multipart_part *part)
{
    struct span rest = from(m, m->pos);
    if (rest.len >= 2 && memcmp(rest.data, "\r\n", 2) == 0)
        return bad(m, "a part without a header");
    size_t reach = rest.len < MULTIPART_HEADER_MAX ? rest.len : MULTIPART_HEADER_MAX;
    const char *end = reach ? memmem(rest.data, reach, "\r\n\r\n", 4) : NULL;
    if (!end)
        return bad(m, "the header of a part does not end within 8 KiB");
    size_t len = (size_t)(end - rest.data);
    read_header(part, (struct span){rest.data, len + 2});
    m->pos += len + 4;
    return 0;
}

int multipart_next(struct multipart *m, struct multipart_part *part)
{
    *part = (struct multipart_part){.name = {"", 0}, .filename = {"", 0}, .content_type = {"", 0}};
    int follows = after_delimiter(m);
    if (follows != 1)
        return follows;
    int err = cut_header(m, part);
    if (err)
        return err;
    if (part->name.len == 0)
        return bad(m, "a part without a name");
    /* The CR LF before the delimiter may be the one that ends the header of an empty part. */
    ssize_t end = find_delimiter(m, m->pos - 2);
    if (end < 0)
        return bad(m, "the closing delimiter is missing");
    size_t start = m->pos;
    part->content = (struct span){m->body.data + start, 0};
    if ((size_t)end > start)
        part->content.len = (size_t)end - start;
    m->pos = (size_t)end + m->delimiter_len;
    return 1;
}
