// SPDX-License-Identifier: Apache-2.0
#include "supervisor/notify.h"

#include "common/clock.h"
#include "common/log.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct sockaddr_un address;
    socklen_t length; /* 0: nobody to tell */
    uint64_t watchdog_ns;
} manager;

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    *value = strtoull(text, &end, 10);
    return *end == 0;
}

static void read_socket(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    manager.length = 0;
    if (len < 2 || (name[0] != '/' && name[0] != '@'))
        return;
    if (len >= sizeof(manager.address.sun_path)) {
        log_warn("NOTIFY_SOCKET is too long, systemd will not be told");
        return;
    }
    manager.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(manager.address.sun_path, name, len);
    if (name[0] == '@') /* the abstract namespace: a leading NUL, and no terminating one */
        manager.address.sun_path[0] = 0;
    manager.length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/' ? 1 : 0));
}

static void read_watchdog(const char *usec, const char *pid)
{
    uint64_t us, wanted;
    manager.watchdog_ns = 0;
    if (!parse_number(usec, &us) || us == 0 || us > UINT64_MAX / 1000)
        return;
    if (pid && (!parse_number(pid, &wanted) || wanted != (uint64_t)getpid()))
        return; /* meant for another process of ours */
    manager.watchdog_ns = us * 1000 / 2;
}

void notify_setup(void)
{
    read_socket(getenv("NOTIFY_SOCKET"));
    read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void tell(const char *message)
{
    if (manager.length == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, message, strlen(message), MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&manager.address, manager.length) < 0)
        log_debug("systemd could not be told: %m");
    close(fd);
}

void notify_ready(const char *status)
{
    char message[256];
    snprintf(message, sizeof(message), "READY=1\nSTATUS=%.200s", status);
    tell(message);
}

/* The time tells the manager which READY belongs to this. */
void notify_reloading(void)
{
    char message[128];
    snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
             (unsigned long long)(clock_mono_ns() / 1000));
    tell(message);
}

void notify_stopping(void)
{
    tell("STOPPING=1\nSTATUS=stopping");
}

void notify_watchdog(void)
{
    tell("WATCHDOG=1");
}

uint64_t notify_watchdog_interval(void)
{
    return manager.watchdog_ns;
}
