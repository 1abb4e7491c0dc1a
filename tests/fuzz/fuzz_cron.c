// SPDX-License-Identifier: Apache-2.0
/* links: common/when.c common/cron.c common/time_text.c */
/*
 * Any text as the `when` of a schedule. What is accepted comes after the time that was asked for,
 * what is not has a message.
 */
#include "common/codec.h"
#include "common/when.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static void check_next(const struct when *when)
{
    static const int64_t starts_us[] = {1774746000000000, 1792890000000000, 4102444799000000};
    for (size_t i = 0; i < sizeof(starts_us) / sizeof(starts_us[0]); i++) {
        int64_t at = starts_us[i];
        for (int n = 0; n < 3; n++) {
            int64_t next = when_next(when, starts_us[i], at);
            if (next == WHEN_NEVER)
                break;
            if (next <= at)
                abort();
            at = next;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct when when;
    char problem[WHEN_PROBLEM_SIZE] = "";
    char *text = span_dup((struct span){(const char *)data, size});
    if (!text)
        return 0;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    if (when_parse(text, &when, problem, sizeof(problem)))
        check_next(&when);
    else if (!*problem)
        abort();
    free(text);
    return 0;
}
