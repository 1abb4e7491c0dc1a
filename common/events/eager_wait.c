// SPDX-License-Identifier: Apache-2.0
#include "common/events/eager_wait.h"

#include "common/clock.h"

#include <poll.h>
#include <time.h>

static bool sleep_for(int fd, uint64_t ns)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    struct timespec patience = {.tv_sec = (time_t)(ns / NS_PER_S),
                                .tv_nsec = (long)(ns % NS_PER_S)};
    return ppoll(&wanted, 1, &patience, NULL) > 0;
}

static bool may_be_active(struct eager_wait *wait)
{
    if (wait->resting == 0)
        return true;
    wait->resting--;
    return false;
}

static void note(struct eager_wait *wait, bool came)
{
    if (came)
        wait->misses = 0;
    else if (wait->misses < EAGER_WAIT_MISSES)
        wait->misses++;
    wait->resting = wait->misses < EAGER_WAIT_MISSES ? 0 : EAGER_WAIT_REST - 1;
}

bool eager_wait(struct eager_wait *wait, int fd, uint64_t ns, bool soon)
{
    uint64_t begun = clock_mono_ns(), passed = 0;
    if (!soon || ns < EAGER_WAIT_NS || !may_be_active(wait))
        return sleep_for(fd, ns);
    while (passed < EAGER_WAIT_NS) {
        if (sleep_for(fd, 0)) {
            note(wait, true);
            return true;
        }
        passed = clock_mono_ns() - begun;
    }
    note(wait, false);
    return sleep_for(fd, passed < ns ? ns - passed : 0);
}
