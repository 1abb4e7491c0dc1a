// SPDX-License-Identifier: Apache-2.0
/*
 * clock_step - preloaded by a test: the wall clock of these processes alone is ahead of the
 * machine's by the microseconds (int64_t) in the file that CLOCK_STEP_FILE names, which the test
 * changes while they run. A timer on the wall clock follows, and one that is to be cancelled when
 * the clock is set is told as the kernel tells it: by ECANCELED, once, from whichever of read() and
 * timerfd_settime() comes first. Nothing else wakes a process that waits for such a timer, so waits
 * of epoll are cut into short ones. Times of files stay the machine's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_MS = 5, US_PER_S = 1000000 };

static const volatile int64_t *offset_us;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static int (*real_wait)(int, struct epoll_event *, int, int, const sigset_t *);
static ssize_t (*real_read)(int, void *, size_t);

static struct {
    int fd; /* -1: none */
    int cancels;
    int64_t seen_us; /* the offset that its owner knows of */
} timer = {.fd = -1};

static const int64_t nothing;

static void begin(void)
{
    const char *path = getenv("CLOCK_STEP_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    real_settime = dlsym(RTLD_NEXT, "timerfd_settime");
    real_wait = dlsym(RTLD_NEXT, "epoll_pwait");
    real_read = dlsym(RTLD_NEXT, "read");
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    offset_us = page == MAP_FAILED ? &nothing : page;
}

/* Others are initialised before us, and read the clock. */
static int64_t ahead(void)
{
    if (!offset_us)
        begin();
    return *offset_us;
}

static struct timespec moved(struct timespec t, int64_t by_us)
{
    int64_t us = t.tv_nsec / 1000 + by_us % US_PER_S;
    t.tv_sec += by_us / US_PER_S + us / US_PER_S;
    us %= US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        t.tv_sec--;
    }
    t.tv_nsec = us * 1000 + t.tv_nsec % 1000;
    return t;
}

/* --- the clock --- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t by_us = ahead();
    int err = real_gettime(clock, now);
    if (err == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *now = moved(*now, by_us);
    return err;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *now = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (now)
        *now = t.tv_sec;
    return t.tv_sec;
}

/* --- a timer on it --- */

int timerfd_create(int clock, int flags)
{
    int (*real)(int, int) = dlsym(RTLD_NEXT, "timerfd_create");
    int fd = real(clock, flags);
    if (clock == CLOCK_REALTIME) {
        timer.fd = fd;
        timer.seen_us = ahead();
    }
    return fd;
}

static int is_cancelled(void)
{
    int64_t now_us = ahead();
    if (!timer.cancels || timer.seen_us == now_us)
        return 0;
    timer.seen_us = now_us;
    return 1;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    int64_t by_us = ahead();
    struct itimerspec at = *when;
    int is_set = at.it_value.tv_sec || at.it_value.tv_nsec;
    if (fd != timer.fd)
        return real_settime(fd, flags, when, before);
    timer.cancels = timer.cancels || (flags & TFD_TIMER_CANCEL_ON_SET);
    if (is_set && (flags & TFD_TIMER_ABSTIME))
        at.it_value = moved(at.it_value, -by_us);
    if (is_set && at.it_value.tv_sec < 0)
        at.it_value = (struct timespec){0, 1};
    int err = real_settime(fd, flags, &at, before);
    if (err || !is_set || !is_cancelled())
        return err;
    errno = ECANCELED;
    return -1;
}

ssize_t read(int fd, void *bytes, size_t len)
{
    ahead();
    ssize_t n = real_read(fd, bytes, len);
    if (fd < 0 || fd != timer.fd || !is_cancelled())
        return n;
    errno = ECANCELED;
    return -1;
}

static void tell_timer(void)
{
    struct itimerspec at_once = {.it_value = {0, 1}};
    if (timer.fd >= 0 && timer.cancels && timer.seen_us != ahead())
        real_settime(timer.fd, 0, &at_once, NULL);
}

int epoll_pwait(int set, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
    for (ahead();;) {
        int slice = timeout_ms >= 0 && timeout_ms < SLICE_MS ? timeout_ms : SLICE_MS;
        tell_timer();
        int count = real_wait(set, events, max, slice, mask);
        timeout_ms -= timeout_ms > 0 ? slice : 0;
        if (count != 0 || timeout_ms == 0)
            return count;
    }
}
