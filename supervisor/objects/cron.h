// SPDX-License-Identifier: Apache-2.0
/*
 * cron - is this text a time table of five fields? Pure.
 *
 * Fields are minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week
 * (0-7, both ends Sunday), apart by spaces. A field is a list of star, number or number-number,
 * each with an optional /step.
 */
#ifndef SUPERVISOR_OBJECTS_CRON_H
#define SUPERVISOR_OBJECTS_CRON_H

#include <stdbool.h>

bool cron_is_valid(const char *text);

#endif
