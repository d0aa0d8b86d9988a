/*
 * notify.h - telling the service manager how a service stands, by the protocol of sd_notify(3): a
 * datagram of VARIABLE=VALUE lines to the socket that $NOTIFY_SOCKET names. It is public, stable
 * and a page of code; libsystemd would bring its dependencies along for it. Main thread.
 */
#ifndef DAOREC_BASE_NOTIFY_H
#define DAOREC_BASE_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_bytes;
    int64_t watchdog_ns; /* WATCHDOG=1 is expected within this; 0: never */
};

/* From the environment. Where there is no manager, or its socket cannot be had, fd is -1. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* One message. What cannot be sent is lost: a manager that does not listen stops nobody. */
void notify_send(const struct notify *notify, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
