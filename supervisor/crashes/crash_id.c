// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_id.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SUFFIX ".json"

enum { DATE_DIGITS = 8, TIME_DIGITS = 6, HEX_MAX = 16 };

void crash_id_make(char id[CRASH_ID_SIZE], uint64_t wall_us, uint64_t boot, uint64_t generation)
{
    time_t at = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&at, &tm);
    size_t n = strftime(id, CRASH_ID_SIZE, "%Y%m%d-%H%M%S", &tm);
    snprintf(id + n, CRASH_ID_SIZE - n, "-%llx-%08llx", (unsigned long long)boot,
             (unsigned long long)generation);
}

/* Takes min to max characters of a set; false when there are fewer or more. */
static bool take(const char **at, const char *end, const char *set, size_t min, size_t max)
{
    size_t n = 0;
    while (*at + n < end && (*at)[n] && strchr(set, (*at)[n]))
        n++;
    *at += n;
    return n >= min && n <= max;
}

bool crash_id_valid(const char *text, size_t len)
{
    static const char digits[] = "0123456789", hex[] = "0123456789abcdef", dash[] = "-";
    const char *at = text, *end = text + len;
    return take(&at, end, digits, DATE_DIGITS, DATE_DIGITS) && take(&at, end, dash, 1, 1) &&
           take(&at, end, digits, TIME_DIGITS, TIME_DIGITS) && take(&at, end, dash, 1, 1) &&
           take(&at, end, hex, 1, HEX_MAX) && take(&at, end, dash, 1, 1) &&
           take(&at, end, hex, 1, HEX_MAX) && at == end;
}

static unsigned long long boot_of(const char *id)
{
    unsigned long long boot = 0;
    sscanf(id, "%*[0-9]-%*[0-9]-%llx", &boot);
    return boot;
}

int crash_id_compare(const char *a, const char *b)
{
    unsigned long long x = boot_of(a), y = boot_of(b);
    if (x != y)
        return x < y ? -1 : 1;
    return strcmp(a, b);
}

void crash_id_file(const char *id, char name[CRASH_NAME_SIZE])
{
    snprintf(name, CRASH_NAME_SIZE, "%.*s" SUFFIX, CRASH_ID_SIZE, id);
}

bool crash_id_of_file(const char *name, char id[CRASH_ID_SIZE])
{
    size_t len = strlen(name), suffix = strlen(SUFFIX);
    if (len <= suffix || strcmp(name + len - suffix, SUFFIX) != 0 ||
        !crash_id_valid(name, len - suffix))
        return false;
    snprintf(id, CRASH_ID_SIZE, "%.*s", (int)(len - suffix), name);
    return true;
}
