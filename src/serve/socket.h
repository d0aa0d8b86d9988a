/*
 * socket.h - the Unix socket of a recorder: where it is, listening on it, connecting to it. Any
 * thread; blocks for moments only.
 */
#ifndef DAOREC_SERVE_SOCKET_H
#define DAOREC_SERVE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/layout.h"

#define SOCKET_PATH_BYTES 108u /* what the system takes, with its NUL */

struct socket_place {
    char path[SOCKET_PATH_BYTES];
    dev_t device; /* of the socket's file, so that only ours is removed */
    ino_t inode;
};

/* Where it is unless somebody says otherwise: $XDG_RUNTIME_DIR/daorec/control, for root
 * /run/daorec/control. 0, or -ENAMETOOLONG, -ENOENT (no such variable) with a text. */
int socket_default_path(char ret[SOCKET_PATH_BYTES], struct dao_text *text);

/* Is it as long as a socket's path may be? 0, or -ENAMETOOLONG with a text. */
int socket_check_path(const char *path, struct dao_text *text);

/*
 * Listen at `path` (NULL: the default one, whose folder is made). Mode 0660, never more. What is
 * left there by a process that does not live any more is replaced. A descriptor that does not
 * block, or negative errno with a text that names the path: -EADDRINUSE: somebody answers there, or
 * it is no socket; -ENAMETOOLONG.
 */
int socket_listen(struct socket_place *ret, const char *path, struct dao_text *text);

/* Remove the file, if it is still ours. */
void socket_remove(const struct socket_place *place);

/* Connect to whoever listens at `path` (NULL: the default one), waiting for timeout_ns at most
 * (above 0) where too many do. A descriptor that blocks, or negative errno with a text; -EAGAIN:
 * the time is up. */
int socket_connect(const char *path, int64_t timeout_ns, struct dao_text *text);

#endif
