// SPDX-License-Identifier: Apache-2.0
/*
 * time_text - points in time as people and files write them.
 */
#ifndef COMMON_TIME_TEXT_H
#define COMMON_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Microseconds since 1970 of "1700000000[.123456]" or of ISO 8601: "2026-11-21[T19:30[:00[.123]]]"
 * with a space or a small t for the T allowed and an optional zone "Z" or "+01:00" (none: UTC), in
 * which a space may stand for the plus that a query turns into one. False for anything else and for
 * times before 1970 or after 9999. Pure.
 */
bool time_text_parse(const char *text, size_t len, uint64_t *us);

#endif
