// SPDX-License-Identifier: Apache-2.0
/* links: common/tsv.c common/json_scan.c common/json_text.c common/time_text.c common/state_file.c
 * supervisor/log/log_line.c supervisor/versions/version_line.c common/sha256.c common/buf.c
 * common/codec.c common/utf8.c -ljansson -lsodium */
/*
 * Any bytes as a field, a line of a log (the first line is its header), a JSON text and a time:
 * escaping is undone exactly, a log line always becomes valid JSON, and what jansson takes for JSON
 * the scanner takes too. The first line is a header of a history, too, and the rest a version of
 * it: what is appended under any header reads back as it was.
 */
#include "common/json_scan.h"
#include "common/time_text.h"
#include "common/tsv.h"
#include "common/utf8.h"
#include "supervisor/log/log_line.h"
#include "supervisor/versions/version_line.h"

#include <jansson.h>
#include <stdlib.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_field(const char *bytes, size_t len)
{
    struct buf escaped = BUF_INIT, plain = BUF_INIT;
    tsv_put(&escaped, bytes, len);
    require(len == 0 || !memchr(escaped.data, '\t', escaped.len));
    require(len == 0 || !memchr(escaped.data, '\n', escaped.len));
    tsv_unescape(&plain, (struct span){escaped.data, escaped.len});
    require(plain.len == len && (len == 0 || memcmp(plain.data, bytes, len) == 0));
    buf_reset(&plain, SIZE_MAX);
    tsv_unescape(&plain, (struct span){bytes, len}); /* of any text */
    require(plain.len <= len);
    buf_free(&escaped);
    buf_free(&plain);
}

static void check_log_line(const struct log_columns *columns, const char *bytes, size_t len)
{
    struct log_line line;
    struct buf json = BUF_INIT;
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    log_line_parse(&line, columns, copy, len);
    log_line_json(&json, &line);
    require(json_scan_valid((struct span){json.data, json.len}));
    require(utf8_valid(json.data, json.len));
    log_line_matches(&line, line.field[0], line.field[1]);
    buf_free(&json);
    free(copy);
}

static void check_log(const char *bytes, size_t len)
{
    struct log_columns columns;
    const char *newline = len ? memchr(bytes, '\n', len) : NULL;
    size_t head = newline ? (size_t)(newline - bytes) : 0;
    require(log_columns_parse(&columns, (struct span){bytes, head}) >= 0);
    if (newline)
        check_log_line(&columns, newline + 1, len - head - 1);
    check_log_line(&columns, bytes, len);
    log_columns_free(&columns);
}

static void check_versions(const char *bytes, size_t len)
{
    const char *newline = len > 0 ? memchr(bytes, '\n', len) : NULL;
    size_t header = newline ? (size_t)(newline - bytes) : len;
    struct span rest = {bytes + header + (newline != NULL), len - header - (newline != NULL)};
    struct version_columns columns;
    struct version_line v, again;
    struct buf line = BUF_INIT;
    version_columns_parse(&columns, (struct span){bytes, header});
    if (!version_line_parse(&columns, rest, &v))
        return;
    struct version_facts facts = {.id = v.id,
                                  .author = rest,
                                  .message = v.field[VERSION_MESSAGE],
                                  .hash = v.hash,
                                  .is_rejected = !v.is_accepted,
                                  .reason = v.field[VERSION_REASON]};
    version_line_put(&line, &columns, &facts);
    require(buf_ok(&line) && memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    require(version_line_parse(&columns, (struct span){line.data, line.len - 1}, &again));
    require(again.id == v.id && again.has_hash && again.is_accepted == v.is_accepted);
    buf_free(&line);
}

static void check_json(const char *bytes, size_t len)
{
    bool has_nul = len > 0 && memchr(bytes, '\0', len); /* the end of the text, to jansson */
    json_t *value = has_nul ? NULL : json_loadb(bytes, len, JSON_DECODE_ANY, NULL);
    require(!value || json_scan_valid((struct span){bytes, len}));
    struct json_scan scan = json_scan_object((struct span){bytes, len});
    struct span name, member;
    size_t members = 0;
    while (json_scan_member(&scan, &name, &member)) {
        require(json_scan_valid(name) && json_scan_valid(member));
        members++;
    }
    require(!json_is_object(value) || members >= json_object_size(value));
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t us;
    char *bytes = malloc(size ? size : 1); /* no byte more: the sanitizer sees a read beyond */
    memcpy(bytes, data, size);
    check_field(bytes, size);
    check_log(bytes, size);
    check_versions(bytes, size);
    check_json(bytes, size);
    time_text_parse(bytes, size, &us);
    free(bytes);
    return 0;
}
