/* notify.c - see notify.h. */
#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"

#define MESSAGE_BYTES 1024

/* A number from the environment; 0 where there is none. */
static uint64_t read_number(const char *name)
{
    const char *text = getenv(name);
    uint64_t value = 0;

    return text && units_parse_count(text, &value) == 0 ? value : 0;
}

/* 0: this process is not the one that is watched. */
static int64_t read_watchdog_ns(void)
{
    uint64_t us = read_number("WATCHDOG_USEC"), pid = read_number("WATCHDOG_PID");

    if (us == 0 || us > INT64_MAX / 1000 || (pid != 0 && pid != (uint64_t)getpid()))
        return 0;
    return (int64_t)us * 1000;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    *notify = (struct notify){.fd = -1};
    if (length < 2 || length >= sizeof notify->address.sun_path || !strchr("/@", path[0]))
        return;
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@') /* an abstract one */
        notify->address.sun_path[0] = '\0';
    notify->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->watchdog_ns = read_watchdog_ns();
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *fmt, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;

    if (notify->fd < 0)
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    sendto(notify->fd, message, strlen(message), MSG_NOSIGNAL,
           (const struct sockaddr *)&notify->address, notify->address_bytes);
}
