// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/byte_range.h"

#include <strings.h>

/* Cuts digits off *s; false when there are none. What does not fit is as large as can be. */
static bool take_number(struct span *s, uint64_t *value)
{
    size_t n = 0;
    uint64_t sum = 0;
    for (; n < s->len && s->data[n] >= '0' && s->data[n] <= '9'; n++) {
        unsigned digit = (unsigned)(s->data[n] - '0');
        sum = sum > (UINT64_MAX - digit) / 10 ? UINT64_MAX : sum * 10 + digit;
    }
    *s = (struct span){s->data + n, s->len - n};
    *value = sum;
    return n > 0;
}

static enum byte_range_verdict take_suffix(uint64_t length, uint64_t size, struct byte_range *range)
{
    if (length == 0 || size == 0)
        return BYTE_RANGE_NONE;
    range->length = length < size ? length : size;
    range->first = size - range->length;
    return BYTE_RANGE_PART;
}

static enum byte_range_verdict take_interval(uint64_t first, uint64_t last, uint64_t size,
                                             struct byte_range *range)
{
    if (last < first)
        return BYTE_RANGE_ALL; /* malformed */
    if (first >= size)
        return BYTE_RANGE_NONE;
    range->first = first;
    range->length = (last < size ? last : size - 1) - first + 1;
    return BYTE_RANGE_PART;
}

enum byte_range_verdict byte_range_parse(struct span field, uint64_t size, struct byte_range *range)
{
    static const char unit[] = "bytes=";
    size_t len = sizeof(unit) - 1;
    if (field.len <= len || strncasecmp(field.data, unit, len) != 0)
        return BYTE_RANGE_ALL;
    struct span s = {field.data + len, field.len - len};
    uint64_t first, last;
    bool has_first = take_number(&s, &first);
    if (s.len == 0 || s.data[0] != '-')
        return BYTE_RANGE_ALL;
    s = (struct span){s.data + 1, s.len - 1};
    bool has_last = take_number(&s, &last);
    if (s.len || (!has_first && !has_last))
        return BYTE_RANGE_ALL;
    return has_first ? take_interval(first, has_last ? last : UINT64_MAX, size, range)
                     : take_suffix(last, size, range);
}
