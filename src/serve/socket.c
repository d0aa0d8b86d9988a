/* socket.c - see socket.h. */
#include "serve/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG    8
#define LOCK_TRIES 400 /* of 5 ms: a recorder that starts has the folder for a moment */

int socket_default_path(char ret[SOCKET_PATH_BYTES], struct dao_text *text)
{
    const char *folder = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");

    if (!folder || folder[0] != '/') {
        snprintf(text->s, sizeof text->s,
                 "where is the control socket? XDG_RUNTIME_DIR is not set: give a path");
        return -ENOENT;
    }
    if ((size_t)snprintf(ret, SOCKET_PATH_BYTES, "%s/daorec/control", folder) >=
        SOCKET_PATH_BYTES) {
        snprintf(text->s, sizeof text->s,
                 "%.150s/daorec/control: longer than a socket's name may be; give a shorter path",
                 folder);
        return -ENAMETOOLONG;
    }
    return 0;
}

int socket_check_path(const char *path, struct dao_text *text)
{
    size_t length = strlen(path);

    if (length > 0 && length < SOCKET_PATH_BYTES)
        return 0;
    dao_text_set(text, "'%.300s' has %zu bytes, and a socket's path 1 to %u: give another one",
                 path, length, SOCKET_PATH_BYTES - 1);
    return -ENAMETOOLONG;
}

/* `path`, or the default one, in an address. */
static int find_place(struct sockaddr_un *ret, const char *path, struct dao_text *text)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!path)
        return socket_default_path(ret->sun_path, text);
    if (socket_check_path(path, text) < 0)
        return -ENAMETOOLONG;
    strcpy(ret->sun_path, path);
    return 0;
}

static int say(struct dao_text *text, const char *path, int error, const char *what)
{
    snprintf(text->s, sizeof text->s, "%s: %s: %s", path, what, strerror(-error));
    return error;
}

/* ---- who is there? ---- */

static int new_socket(int flags)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    return fd < 0 ? -errno : fd;
}

/* 0: nobody, and nothing is in the way (any more). */
static int clear_place(const struct sockaddr_un *address, struct dao_text *text)
{
    const char *path = address->sun_path;
    struct ucred who = {0};
    socklen_t bytes = sizeof who;
    struct stat st;
    int fd, r;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : say(text, path, -errno, "cannot listen there");
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(text->s, sizeof text->s,
                 "%s is there already, and is no socket; give another path", path);
        return -EADDRINUSE;
    }
    fd = new_socket(SOCK_NONBLOCK);
    if (fd < 0)
        return say(text, path, fd, "cannot make a socket");
    r = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : -errno;
    if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0)
        who.pid = 0;
    close(fd);
    if (r == -ECONNREFUSED) /* of a process that does not live any more */
        return unlink(path) == 0 || errno == ENOENT
                   ? 0
                   : say(text, path, -errno, "cannot remove what a dead process left there");
    if (r == 0 || r == -EAGAIN)
        snprintf(text->s, sizeof text->s,
                 "%s: another recorder answers there (process %d); give this one a path of its own",
                 path, (int)who.pid);
    else
        return say(text, path, r, "somebody is there, and cannot be asked");
    return -EADDRINUSE;
}

/* ---- listening ---- */

/* The folder of a path, which is made where it is the default one; locked, so that of two that
 * start at once one finds the other. A descriptor or negative errno. */
static int hold_folder(const char *path, bool make)
{
    char copy[SOCKET_PATH_BYTES];
    const char *folder;
    int fd;

    strcpy(copy, path);
    folder = dirname(copy);
    if (make && mkdir(folder, 0755) != 0 && errno != EEXIST)
        return -errno;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return fd;
}

static int bind_to(const struct sockaddr_un *address, struct socket_place *ret)
{
    int fd = new_socket(SOCK_NONBLOCK), r = 0;
    struct stat st;

    if (fd < 0)
        return fd;
    /* The umask takes away from the descriptor's mode; then that is given back. Never more. */
    if (fchmod(fd, 0660) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        r = -errno;
    if (r == 0 && (chmod(address->sun_path, 0660) != 0 || lstat(address->sun_path, &st) != 0 ||
                   listen(fd, BACKLOG) != 0)) {
        r = -errno;
        unlink(address->sun_path);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    strcpy(ret->path, address->sun_path);
    ret->device = st.st_dev;
    ret->inode = st.st_ino;
    return fd;
}

int socket_listen(struct socket_place *ret, const char *path, struct dao_text *text)
{
    struct sockaddr_un address;
    int r = find_place(&address, path, text), folder, fd;

    if (r < 0)
        return r;
    folder = hold_folder(address.sun_path, !path);
    if (folder < 0)
        return say(text, address.sun_path, folder, "cannot use its folder");
    fd = clear_place(&address, text);
    if (fd == 0) {
        fd = bind_to(&address, ret);
        if (fd < 0)
            say(text, address.sun_path, fd, "cannot listen there");
    }
    close(folder);
    return fd;
}

void socket_remove(const struct socket_place *place)
{
    struct stat st;

    if (lstat(place->path, &st) == 0 && st.st_dev == place->device && st.st_ino == place->inode)
        unlink(place->path);
}

/* ---- connecting ---- */

int socket_connect(const char *path, int64_t timeout_ns, struct dao_text *text)
{
    struct sockaddr_un address;
    int r = find_place(&address, path, text), fd;
    struct timeval most = {.tv_sec = timeout_ns / 1000000000,
                           .tv_usec = timeout_ns / 1000 % 1000000};

    if (r < 0)
        return r;
    fd = new_socket(0);
    if (fd < 0)
        return say(text, address.sun_path, fd, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    r = -errno;
    close(fd);
    if (r == -ENOENT || r == -ECONNREFUSED)
        snprintf(text->s, sizeof text->s,
                 "%s: no recorder listens there; start one with `daorec record --control`, or give "
                 "its path with --socket",
                 address.sun_path);
    else if (r == -EAGAIN)
        snprintf(text->s, sizeof text->s,
                 "%s: the recorder has not answered in time, and too many wait for it already",
                 address.sun_path);
    else if (r == -EACCES)
        snprintf(text->s, sizeof text->s,
                 "%s: not allowed: it is for its owner and group (see `ls -l`)", address.sun_path);
    else
        say(text, address.sun_path, r, "cannot connect");
    return r;
}
