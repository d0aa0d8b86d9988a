/*
 * address.h - where to listen for TCP connections, as a person writes it. Any thread.
 */
#ifndef DAOREC_BASE_ADDRESS_H
#define DAOREC_BASE_ADDRESS_H

#include <sys/socket.h>

#include "lib/layout.h"

#define ADDRESS_TEXT_BYTES 80

struct address {
    struct sockaddr_storage socket;
    socklen_t bytes;
};

/*
 * "9464" (then on 127.0.0.1), "192.168.0.3:9464", "[::1]:9464", "0.0.0.0:9464" for all. Numbers
 * only: no name is looked up. Port 0: one that is free. 0, or -EINVAL with a text that says what is
 * allowed.
 */
int address_parse(struct address *ret, const char *text, struct dao_text *why);

/* Bind and listen there. A descriptor, or negative errno. */
int address_listen(const struct address *address);

/* Where this socket listens, as it may be parsed again. Returns text, of ADDRESS_TEXT_BYTES. */
char *address_format(char *text, int fd);

#endif
