// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/file_head.h"

#include <inttypes.h>
#include <strings.h>
#include <time.h>

static const struct {
    const char *extension, *type;
} types[] = {
    {"aac", "audio/aac"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"m4a", "audio/mp4"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"py", "text/x-python; charset=utf-8"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"tsv", "text/tab-separated-values; charset=utf-8"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

const char *file_head_type(const char *name)
{
    const char *point = strrchr(name, '.');
    for (size_t i = 0; point && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(point + 1, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* What a quoted string takes as it is. */
static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '%';
}

/* attr-char of RFC 5987 */
static bool is_attribute_char(unsigned char c)
{
    bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return is_alnum || (c && strchr("!#$&+-.^_`|~", c));
}

void file_head_disposition(struct buf *out, const char *name)
{
    bool is_image = strncmp(file_head_type(name), "image/", 6) == 0, is_extended = false;
    buf_puts(out, is_image ? "inline; filename=\"" : "attachment; filename=\"");
    for (const char *c = name; *c; c++) {
        bool plain = is_plain((unsigned char)*c);
        buf_putc(out, plain ? *c : '_');
        is_extended |= !plain;
    }
    buf_putc(out, '"');
    if (!is_extended)
        return;
    buf_puts(out, "; filename*=UTF-8''");
    for (const char *c = name; *c; c++) {
        if (is_attribute_char((unsigned char)*c))
            buf_putc(out, *c);
        else
            buf_printf(out, "%%%02X", (unsigned char)*c);
    }
}

void file_head_etag(struct buf *out, const struct stat *st)
{
    buf_printf(out, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)st->st_ino,
               (uint64_t)st->st_size,
               (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec);
}

void file_head_date(struct buf *out, const struct stat *st)
{
    char text[64];
    struct tm tm;
    gmtime_r(&st->st_mtim.tv_sec, &tm);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_puts(out, text);
}

bool file_head_matches(struct span list, const char *etag)
{
    size_t len = strlen(etag);
    if (list.len == 1 && list.data[0] == '*')
        return true;
    /* tags hold no commas of ours: anything between two commas is one, "W/" before it or not */
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t n = comma ? (size_t)(comma - list.data) : list.len, from = 0, to = n;
        while (from < to && (list.data[from] == ' ' || list.data[from] == '\t'))
            from++;
        while (to > from && (list.data[to - 1] == ' ' || list.data[to - 1] == '\t'))
            to--;
        if (to - from > 2 && memcmp(list.data + from, "W/", 2) == 0)
            from += 2;
        if (to - from == len && memcmp(list.data + from, etag, len) == 0)
            return true;
        size_t skip = comma ? n + 1 : n;
        list = (struct span){list.data + skip, list.len - skip};
    }
    return false;
}
