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

static int make_mark(int dir_fd, const char *mark)
{
    int fd = openat(dir_fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    int r = fd < 0 || (fsync(dir_fd) != 0 && errno != EINVAL) ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return r;
}

/* Of a file that is being recorded the lock is not held: it may be finished, and be about to be
 * removed, since its mark was looked for. Then it is to be marked under its final name. */
static bool is_still_part(int dir_fd, const char *name)
{
    return !find_is_part(name) || faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int mark_set(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1], final[NAME_MAX + 1];
    bool was_marked = mark_is_set(dir_fd, name);
    int held, r;

    if (!mark_name(mark, name))
        return -EINVAL;
    held = hold(dir_fd, name);
    if (held < 0)
        return held;
    r = make_mark(dir_fd, mark);
    close(held);
    if (r < 0 || is_still_part(dir_fd, name))
        return r;
    snprintf(final, sizeof final, "%.*s", (int)(strlen(name) - strlen(".part")), name);
    r = mark_set(dir_fd, final);
    if (r == -ENOENT && !was_marked)
        unlinkat(dir_fd, mark, 0);
    return r;
}

int mark_clear(int dir_fd, const char *name)
{
    char mark[NAME_MAX + 1];

    if (!mark_name(mark, name))
        return -EINVAL;
    return unlinkat(dir_fd, mark, 0) == 0 || errno == ENOENT ? 0 : -errno;
}
