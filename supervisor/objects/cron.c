// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/cron.h"

#include <ctype.h>
#include <stddef.h>

enum { DIGITS_MAX = 2 };

struct range {
    unsigned least, most;
};

static bool read_number(const char **at, struct range allowed, unsigned *number)
{
    const char *start = *at;
    *number = 0;
    while (isdigit((unsigned char)**at) && *at - start < DIGITS_MAX)
        *number = *number * 10 + (unsigned)(*(*at)++ - '0');
    return *at > start && *number >= allowed.least && *number <= allowed.most;
}

static bool accept(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool read_item(const char **at, struct range allowed)
{
    unsigned first, last, step;
    if (!accept(at, '*')) {
        if (!read_number(at, allowed, &first))
            return false;
        if (accept(at, '-') && !(read_number(at, allowed, &last) && first <= last))
            return false;
    }
    return !accept(at, '/') || read_number(at, (struct range){1, allowed.most}, &step);
}

static bool read_field(const char **at, struct range allowed)
{
    do {
        if (!read_item(at, allowed))
            return false;
    } while (accept(at, ','));
    return true;
}

bool cron_is_valid(const char *text)
{
    static const struct range fields[] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *before = text;
        while (accept(&text, ' '))
            ;
        if ((i > 0 && text == before) || !read_field(&text, fields[i]))
            return false;
    }
    while (accept(&text, ' '))
        ;
    return *text == '\0';
}
