// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/listeners.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/http/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ACCEPTS_PER_ROUND = 64 };
#define PAUSE_NS     (100 * NS_PER_MS)
#define SAY_AGAIN_NS (60 * NS_PER_S)

struct listeners_item {
    struct listeners_item *next;
    struct listeners *set;
    struct listener listener;
    char *spec; /* as configured */
    struct loop_source *source;
    bool is_new;    /* since listeners_prepare() */
    bool is_wanted; /* by the configuration that was prepared */
};

/* --- accepting --- */

static void accept_from_all(struct listeners *set, uint32_t events)
{
    for (struct listeners_item *item = set->first; item; item = item->next)
        if (!item->is_new)
            loop_rewatch(item->source, events);
}

static void on_pause_over(void *arg)
{
    accept_from_all(arg, EPOLLIN);
}

static void pause_accepting(struct listeners *set)
{
    uint64_t now = loop_now(set->loop);
    if (!set->said_ns || now - set->said_ns > SAY_AGAIN_NS) {
        log_warn("cannot accept connections: %m");
        set->said_ns = now;
    }
    accept_from_all(set, 0);
    loop_timer_set(set->loop, &set->pause, PAUSE_NS, on_pause_over, set);
}

static void on_accept(void *arg, uint32_t events)
{
    (void)events;
    struct listeners_item *item = arg;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        int fd = accept4(item->listener.fd, (struct sockaddr *)&address, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            connection_accept(item->set->front, fd, (struct sockaddr *)&address, size);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            pause_accepting(item->set);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* --- opening and closing --- */

static void close_item(struct listeners_item *item)
{
    loop_unwatch(item->source);
    listener_close(&item->listener);
    free(item->spec);
    free(item);
}

/* One that is not taken yet; "127.0.0.1:0" is also found by the port it was given. */
static struct listeners_item *find(struct listeners *set, const char *spec)
{
    for (struct listeners_item *item = set->first; item; item = item->next)
        if (!item->is_wanted &&
            (strcmp(item->spec, spec) == 0 || strcmp(item->listener.name, spec) == 0))
            return item;
    return NULL;
}

static int open_one(struct listeners *set, const char *spec, char *error, size_t error_size)
{
    struct listeners_item *item = calloc(1, sizeof(*item));
    char *copy = strdup(spec);
    if (!item || !copy) {
        snprintf(error, error_size, "no memory for the listeners");
        free(item);
        free(copy);
        return -ENOMEM;
    }
    *item = (struct listeners_item){.set = set, .spec = copy, .is_new = true, .is_wanted = true};
    int err = listener_open(&item->listener, spec, error, error_size);
    if (!err) {
        item->source = loop_watch(set->loop, item->listener.fd, 0, on_accept, item);
        err = item->source ? 0 : -errno;
        if (err)
            snprintf(error, error_size, "cannot watch %s: %s", spec, strerror(-err));
    }
    if (err) {
        close_item(item);
        return err;
    }
    struct listeners_item **link = &set->first;
    while (*link)
        link = &(*link)->next;
    *link = item;
    return 0;
}

int listeners_prepare(struct listeners *set, const struct config *config, char *error,
                      size_t error_size)
{
    for (struct listeners_item *item = set->first; item; item = item->next)
        item->is_wanted = false;
    for (size_t i = 0; i < config->listen_count; i++) {
        struct listeners_item *item = find(set, config->listen[i]);
        if (item) {
            item->is_wanted = true;
            continue;
        }
        int err = open_one(set, config->listen[i], error, error_size);
        if (err) {
            listeners_abandon(set);
            return err;
        }
    }
    return 0;
}

static void close_those(struct listeners *set, bool (*goes)(const struct listeners_item *item))
{
    struct listeners_item **link = &set->first;
    while (*link) {
        struct listeners_item *item = *link;
        if (!goes(item)) {
            link = &item->next;
            continue;
        }
        *link = item->next;
        close_item(item);
    }
}

static bool is_unwanted(const struct listeners_item *item)
{
    return !item->is_wanted;
}

static bool is_new(const struct listeners_item *item)
{
    return item->is_new;
}

static bool is_any(const struct listeners_item *item)
{
    (void)item;
    return true;
}

void listeners_commit(struct listeners *set)
{
    for (struct listeners_item *item = set->first; item; item = item->next)
        item->is_new = false;
    close_those(set, is_unwanted);
    if (!loop_timer_armed(&set->pause))
        accept_from_all(set, EPOLLIN);
}

void listeners_abandon(struct listeners *set)
{
    close_those(set, is_new);
}

void listeners_close(struct listeners *set)
{
    loop_timer_cancel(&set->pause);
    close_those(set, is_any);
}

const struct listener *listeners_at(const struct listeners *set, size_t i)
{
    const struct listeners_item *item = set->first;
    while (item && i-- > 0)
        item = item->next;
    return item ? &item->listener : NULL;
}
