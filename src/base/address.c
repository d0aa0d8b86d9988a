/* address.c - see address.h. */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"

static int parse_port(const char *text, uint16_t *ret)
{
    uint64_t port;

    if (units_parse_count(text, &port) < 0 || port > UINT16_MAX)
        return -EINVAL;
    *ret = htons((uint16_t)port);
    return 0;
}

/* `host` without brackets, of either family. */
static int parse_host(struct address *ret, const char *host, uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&ret->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->socket;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
        ret->bytes = sizeof *four;
        return 0;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = port;
        ret->bytes = sizeof *six;
        return 0;
    }
    return -EINVAL;
}

static int parse(struct address *ret, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1";
    size_t length = colon ? (size_t)(colon - text) : 0;
    uint16_t port;

    if (colon && (length == 0 || length >= sizeof host))
        return -EINVAL;
    if (colon)
        memcpy(host, text, length);
    if (colon)
        host[length] = '\0';
    if (parse_port(colon ? colon + 1 : text, &port) < 0)
        return -EINVAL;
    if (host[0] == '[' && length > 2 && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return parse_host(ret, host + 1, port);
    }
    return strchr(host, ':') ? -EINVAL : parse_host(ret, host, port);
}

int address_parse(struct address *ret, const char *text, struct dao_text *why)
{
    struct address address;

    if (parse(&address, text) < 0) {
        snprintf(why->s, sizeof why->s,
                 "'%.100s' is no place to listen: give a port, 0 to 65535, or ADDRESS:PORT in "
                 "numbers, such as 9464, 0.0.0.0:9464 or [::1]:9464",
                 text);
        return -EINVAL;
    }
    *ret = address;
    return 0;
}

int address_listen(const struct address *address)
{
    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, r;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address->socket, address->bytes) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    r = -errno;
    close(fd);
    return r;
}

char *address_format(char *text, int fd)
{
    struct address address = {.bytes = sizeof address.socket};
    const struct sockaddr_in *four = (const struct sockaddr_in *)&address.socket;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address.socket;
    char host[INET6_ADDRSTRLEN] = "?";

    getsockname(fd, (struct sockaddr *)&address.socket, &address.bytes);
    if (address.socket.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, ntohs(four->sin_port));
    }
    return text;
}
