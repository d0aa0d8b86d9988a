/* recycle.c - see recycle.h. */
#include "io/recycle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Has nobody else opened this file, or mapped it? The kernel grants the lease only then. While it
 * is held, for an instant, an opener would be told by a signal that is ignored by default. */
static bool is_ours_alone(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) != 0 || fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
        return false;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

/* Would a file that is made in this folder now have this owner and these rights? The folder was
 * made by this process, or one like it. */
static bool is_as_if_made_in(int dir_fd, const struct stat *file)
{
    struct stat folder;

    return fstat(dir_fd, &folder) == 0 && file->st_uid == folder.st_uid &&
           file->st_gid == folder.st_gid && (file->st_mode & 07777) == (folder.st_mode & 0666);
}

/* Zeros that are allocated, also beyond the end. */
static int zero_range(int fd, uint64_t off, uint64_t end)
{
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    off_t from = (off_t)off, bytes = (off_t)(end - off);

    if (off >= end || fallocate(fd, FALLOC_FL_ZERO_RANGE, from, bytes) == 0)
        return 0;
    /* tmpfs has only the two halves of it. */
    if (errno == EOPNOTSUPP && fallocate(fd, punch, from, bytes) == 0 &&
        fallocate(fd, 0, from, bytes) == 0)
        return 0;
    return -errno;
}

/* From its old length and contents to the new ones. */
static int recast(int fd, uint64_t bytes, uint64_t keep_off, uint64_t keep_end)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) != 0 || ((uint64_t)st.st_size > bytes && ftruncate(fd, (off_t)bytes) != 0))
        return -errno;
    if (keep_end > bytes || keep_end > (uint64_t)st.st_size || keep_off >= keep_end)
        return -EINVAL;
    r = zero_range(fd, 0, keep_off);
    if (r == 0)
        r = zero_range(fd, keep_end, bytes); /* allocates what is beyond the old end, too */
    return r;
}

static void go_direct(struct sink *sink)
{
    int flags = fcntl(sink->fd, F_GETFL);

    sink->direct = flags >= 0 && fcntl(sink->fd, F_SETFL, flags | O_DIRECT) == 0 &&
                   sink_suits_direct(sink->fd);
    if (!sink->direct && flags >= 0)
        fcntl(sink->fd, F_SETFL, flags & ~O_DIRECT);
}

int sink_recycle(struct sink *sink, int dir_fd, const char *name, uint64_t bytes, bool want_direct,
                 const struct sink_backend *backend, const struct sink_old *old)
{
    struct stat st;
    int r = 0;

    *sink = (struct sink){.backend = backend, .fd = old->fd, .dir_fd = dir_fd, .length = bytes};
    snprintf(sink->temp_name, sizeof sink->temp_name, ".%s.new", name);
    unlinkat(dir_fd, sink->temp_name, 0); /* left by a crash: it was never a recording */
    if (renameat(old->dir_fd, old->name, dir_fd, sink->temp_name) != 0) {
        r = -errno;
        sink->temp_name[0] = '\0';
        unlinkat(old->dir_fd, old->name, 0);
    } else if (fstat(sink->fd, &st) != 0 || st.st_nlink != 1 || !is_as_if_made_in(dir_fd, &st) ||
               !is_ours_alone(sink->fd)) {
        r = -EBUSY;
    } else if (fsync(old->dir_fd) != 0 || fsync(dir_fd) != 0) {
        /* After a power cut the old name must not stand for what is written from here on. */
        r = -errno;
    }
    if (r == 0)
        r = sink_make_scratch(sink);
    if (r == 0)
        r = recast(sink->fd, bytes, old->keep_off, old->keep_end);
    if (r < 0)
        sink_close(sink);
    else if (want_direct)
        go_direct(sink);
    return r;
}
