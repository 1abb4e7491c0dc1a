// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_text.h"

#include "common/json_scan.h"
#include "supervisor/crashes/crash_id.h"

#include <stdio.h>
#include <string.h>

static bool begins_with_id(struct span text, const char *id)
{
    char begin[CRASH_ID_SIZE + 32];
    size_t len = (size_t)snprintf(begin, sizeof(begin), "{\"crash_id\":\"%s\",", id);
    return text.len >= len && memcmp(text.data, begin, len) == 0;
}

bool crash_text_is_sound(struct span text, const char *id)
{
    while (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    return begins_with_id(text, id) && json_scan_valid(text);
}

bool crash_text_take_head(struct buf *text, const char *id)
{
    const char *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    if (!end || end == text->data || end[-1] != ',')
        return false;
    text->len = (size_t)(end - text->data);
    text->data[text->len - 1] = '}';
    return crash_text_is_sound((struct span){text->data, text->len}, id);
}
