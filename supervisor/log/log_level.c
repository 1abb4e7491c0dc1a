// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_level.h"

#include <strings.h>

static const struct level {
    const char *name;
    uint32_t bit;
} levels[] = {
    {"INFO", 1 << 0},     {"STDOUT", 1 << 1}, {"STDERR", 1 << 2},
    {"WARNING", 1 << 3},  {"ERROR", 1 << 4},  {"DEBUG", 1 << 5},
    {"CRITICAL", 1 << 6}, {"WARN", 1 << 3},   {"FATAL", 1 << 6},
};

uint32_t log_level_bit(struct span name)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strlen(levels[i].name) == name.len &&
            strncasecmp(levels[i].name, name.data, name.len) == 0)
            return levels[i].bit;
    return 0;
}

static struct span trimmed(struct span s)
{
    while (s.len > 0 && s.data[0] == ' ') {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && s.data[s.len - 1] == ' ')
        s.len--;
    return s;
}

bool log_level_set_parse(struct span text, uint32_t *set)
{
    *set = 0;
    for (;;) {
        const char *comma = text.len ? memchr(text.data, ',', text.len) : NULL;
        size_t len = comma ? (size_t)(comma - text.data) : text.len;
        uint32_t bit = log_level_bit(trimmed((struct span){text.data, len}));
        if (!bit)
            return false;
        *set |= bit;
        if (!comma)
            return true;
        text.data += len + 1;
        text.len -= len + 1;
    }
}
