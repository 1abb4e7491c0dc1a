// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/epoll_keep.h"

#include "supervisor/http/guard_recv.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Marks event data that is ours: a struct guarded is never at an odd address. */
enum { OURS = 1 };

static int library_set = -1;
static bool library_waits_here;

void epoll_keep_set(int epoll_fd)
{
    library_set = epoll_fd;
    library_waits_here = false;
}

static int kernel_ctl(int set, int op, int fd, struct epoll_event *event)
{
    return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
}

void epoll_keep_forget(struct epoll_keep *keep, int fd)
{
    if (keep->kept)
        kernel_ctl(library_set, EPOLL_CTL_DEL, fd, NULL);
    *keep = (struct epoll_keep){0};
}

static int put_in(struct guarded *c, int fd, const struct epoll_event *event)
{
    struct epoll_keep *keep = &c->keep;
    struct epoll_event ours = {.events = event->events, .data.u64 = (uintptr_t)c | OURS};
    bool was_kept = keep->kept;
    keep->library_data = event->data.ptr;
    keep->kept = false;
    if (!was_kept)
        return kernel_ctl(library_set, EPOLL_CTL_ADD, fd, &ours);
    /* Changing it makes the kernel look again and report what was held back. */
    return keep->missed ? kernel_ctl(library_set, EPOLL_CTL_MOD, fd, &ours) : 0;
}

static int take_out(struct guarded *c)
{
    c->keep.kept = true;
    c->keep.missed = false;
    return 0;
}

__attribute__((visibility("default"))) int epoll_ctl(int set, int op, int fd,
                                                     struct epoll_event *event)
{
    struct guarded *c = set == library_set && library_waits_here ? guarded_at(fd) : NULL;
    if (c && op == EPOLL_CTL_ADD)
        return put_in(c, fd, event);
    if (c && op == EPOLL_CTL_DEL && c->keep.library_data)
        return take_out(c);
    return kernel_ctl(set, op, fd, event);
}

/* Gives the library its own data back and drops what is not for it now. */
static int translate(struct epoll_event *events, int count)
{
    int shown = 0;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = events[i];
        if (event.data.u64 & OURS) {
            struct guarded *c = (struct guarded *)(uintptr_t)(event.data.u64 - OURS);
            event.data.ptr = c->keep.library_data;
            c->keep.missed |= c->keep.kept;
            if (c->keep.kept)
                continue;
        }
        events[shown++] = event;
    }
    return shown;
}

__attribute__((visibility("default"))) int epoll_wait(int set, struct epoll_event *events, int max,
                                                      int timeout_ms)
{
    int count = epoll_pwait(set, events, max, timeout_ms, NULL);
    if (set != library_set)
        return count;
    library_waits_here = true;
    return count > 0 ? translate(events, count) : count;
}
