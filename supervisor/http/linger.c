// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct lingering {
    struct lingers *all;
    struct lingering *next, **link;
    int fd;
    size_t drained;
    struct loop_source *source;
    struct loop_timer timer;
};

void lingers_init(struct lingers *all, struct loop *loop)
{
    *all = (struct lingers){.loop = loop};
}

void lingers_are_last(struct lingers *all)
{
    all->is_last = true;
}

static void end(void *arg)
{
    struct lingering *l = arg;
    loop_timer_cancel(&l->timer);
    loop_unwatch(l->source);
    shutdown(l->fd, SHUT_RDWR);
    close(l->fd);
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->all->count--;
    free(l);
}

enum input { INPUT_DROPPED, INPUT_NONE, INPUT_OVER };

static enum input drop_input(int fd, size_t *drained)
{
    char dropped[16 * 1024];
    ssize_t n = recvfrom(fd, dropped, sizeof(dropped), MSG_DONTWAIT, NULL, NULL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return INPUT_NONE;
    return n > 0 && (*drained += (size_t)n) < LINGER_BYTES_MAX ? INPUT_DROPPED : INPUT_OVER;
}

static void on_readable(void *arg, uint32_t events)
{
    (void)events;
    struct lingering *l = arg;
    if (drop_input(l->fd, &l->drained) == INPUT_OVER)
        end(l);
}

static void drop_all_input(int fd, size_t drained)
{
    while (drop_input(fd, &drained) == INPUT_DROPPED)
        ;
}

void linger_start(struct lingers *all, int fd)
{
    shutdown(fd, SHUT_WR);
    bool has_room = all->is_last || all->count < LINGERS_MAX;
    struct lingering *l = has_room ? calloc(1, sizeof(*l)) : NULL;
    if (l)
        l->source = loop_watch(all->loop, fd, EPOLLIN, on_readable, l);
    if (!l || !l->source) {
        free(l);
        drop_all_input(fd, 0);
        shutdown(fd, SHUT_RDWR);
        close(fd);
        return;
    }
    l->all = all;
    l->fd = fd;
    l->link = &all->first;
    l->next = all->first;
    if (l->next)
        l->next->link = &l->next;
    all->first = l;
    all->count++;
    loop_timer_set(all->loop, &l->timer, LINGER_TIME_NS, end, l);
}

void linger_start_dup(struct lingers *all, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        shutdown(fd, SHUT_RDWR);
    else
        linger_start(all, copy);
}

void lingers_free(struct lingers *all)
{
    while (all->first) {
        drop_all_input(all->first->fd, all->first->drained);
        end(all->first);
    }
}
