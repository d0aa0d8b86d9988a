/* mark.c - see mark.h. */
#include "recording/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "recording/find.h"

#define LOCK_TRIES 20 /* of 5 ms: who removes a file has its lock for a moment */

/* "<final name>.keep". False: the name is too long, or no recording's. */
static bool mark_name(char ret[NAME_MAX + 1], const char *name)
{
    size_t length = strlen(name);

    if (find_is_part(name))
        length -= strlen(".part");
    if (length < strlen("x.fits") || strncmp(name + length - 5, ".fits", 5) != 0 ||
        length + sizeof MARK_SUFFIX > NAME_MAX || strchr(name, '/'))
        return false;
    snprintf(ret, NAME_MAX + 1, "%.*s" MARK_SUFFIX, (int)length, name);
    return true;
}

bool mark_is_set(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];
    struct stat st;

    return !mark_name(mark, name) || fstatat(dir_fd, mark, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           errno != ENOENT;
}

static int lock_shared(int fd, bool is_part)
{
    for (int tries = 1; flock(fd, LOCK_SH | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK)
            return -errno;
        if (is_part) /* its recorder has it */
            return 0;
        if (tries == LOCK_TRIES)
            return -EWOULDBLOCK;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return 0;
}

/* Open, lock it, and see that the name is still its own. A descriptor or negative errno. */
static int hold(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), r = 0;
    struct stat opened, named;

    if (fd < 0)
        return errno == ELOOP ? -EINVAL : -errno;
    if (fstat(fd, &opened) != 0)
        r = -errno;
    else if (!S_ISREG(opened.st_mode))
        r = -EINVAL;
    if (r == 0)
        r = lock_shared(fd, find_is_part(name));
    if (r == 0 && (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
                   named.st_ino != opened.st_ino || named.st_dev != opened.st_dev))
        r = -ENOENT;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

int mark_set(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];
    int held, fd, r = 0;

    if (!mark_name(mark, name))
        return -EINVAL;
    held = hold(dir_fd, name);
    if (held < 0)
        return held;
    fd = openat(dir_fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0 || (fsync(dir_fd) != 0 && errno != EINVAL))
        r = -errno;
    if (fd >= 0)
        close(fd);
    close(held);
    return r;
}

int mark_clear(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];

    if (!mark_name(mark, name))
        return -EINVAL;
    return unlinkat(dir_fd, mark, 0) == 0 || errno == ENOENT ? 0 : -errno;
}
