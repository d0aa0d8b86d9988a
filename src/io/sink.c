/* sink.c - a file's life, from its making without a name to its close. See sink.h; what is written
 * into it is in sink_pages.c. */
#include "io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif

/* ---- the system's back end ---- */

static ssize_t system_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    return pwrite(fd, buf, bytes, off);
}

static ssize_t system_read_at(void *ctx, int fd, void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    return pread(fd, buf, bytes, off);
}

static int system_datasync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd);
}

static int system_truncate(void *ctx, int fd, off_t bytes)
{
    (void)ctx;
    return ftruncate(fd, bytes);
}

const struct sink_backend sink_backend_system = {
    .write_at = system_write_at,
    .read_at = system_read_at,
    .datasync = system_datasync,
    .truncate = system_truncate,
};

/* ---- the file's life ---- */

int sink_make_scratch(struct sink *sink)
{
    sink->scratch = aligned_alloc(SINK_PAGE, 2 * SINK_SCRATCH_BYTES);
    return sink->scratch ? 0 : -ENOMEM;
}

/* Kernels before 6.1 do not say (then O_DIRECT was accepted by open, and 4096 does everywhere we
 * know). */
bool sink_suits_direct(int fd)
{
    struct statx stx = {0};

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) != 0 || !(stx.stx_mask & STATX_DIOALIGN))
        return true;
#ifdef __GLIBC__
    /* glibc 2.36 knows the fields only from the kernel's headers; they follow stx_mnt_id. */
    {
        uint32_t align[2]; /* memory, offset */

        memcpy(align, (const unsigned char *)&stx + 0x98, sizeof align);
        return align[1] != 0 && align[1] <= SINK_PAGE && align[0] <= SINK_PAGE;
    }
#else
    return true;
#endif
}

void sink_write_in_place(int fd)
{
    int flags;

    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
        return;
    flags |= FS_NOCOW_FL;
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0) {
        /* A file system that has no such flag, and writes in place. */
    }
}

static int open_nameless(struct sink *sink, const char *name, int direct_flag)
{
    int flags = O_RDWR | O_CLOEXEC | direct_flag;

    sink->unnamed = true;
    sink->fd = openat(sink->dir_fd, ".", flags | O_TMPFILE, 0666);
    if (sink->fd >= 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
        return -errno;
    sink->unnamed = false;
    snprintf(sink->temp_name, sizeof sink->temp_name, ".%s.new", name);
    unlinkat(sink->dir_fd, sink->temp_name, 0); /* left by a crash: it was never a recording */
    sink->fd = openat(sink->dir_fd, sink->temp_name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    return sink->fd >= 0 ? 0 : -errno;
}

static int open_direct_or_not(struct sink *sink, const char *name, bool want_direct)
{
    if (want_direct && open_nameless(sink, name, O_DIRECT) == 0) {
        sink->direct = sink_suits_direct(sink->fd);
        if (sink->direct)
            return 0;
        close(sink->fd);
        sink->fd = -1;
        if (!sink->unnamed)
            unlinkat(sink->dir_fd, sink->temp_name, 0);
    }
    return open_nameless(sink, name, 0);
}

/* Room for all of it now, so that no write fails later for want of it; file systems that cannot
 * say so get a sparse file. */
static int reserve(struct sink *sink, uint64_t bytes)
{
    if (fallocate(sink->fd, 0, 0, (off_t)bytes) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    return ftruncate(sink->fd, (off_t)bytes) == 0 ? 0 : -errno;
}

static int create(struct sink *sink, int dir_fd, const char *name, uint64_t bytes, bool want_direct,
                  const struct sink_backend *backend, bool is_sparse)
{
    int r;

    *sink = (struct sink){.backend = backend, .fd = -1, .dir_fd = dir_fd, .length = bytes};
    if (sink_make_scratch(sink) < 0)
        return -ENOMEM;
    r = open_direct_or_not(sink, name, want_direct);
    if (r == 0)
        sink_write_in_place(sink->fd);
    if (r == 0 && is_sparse)
        r = ftruncate(sink->fd, (off_t)bytes) == 0 ? 0 : -errno;
    else if (r == 0)
        r = reserve(sink, bytes);
    if (r == 0 && flock(sink->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        r = -EWOULDBLOCK;
    if (r < 0)
        sink_close(sink);
    return r;
}

int sink_create(struct sink *sink, int dir_fd, const char *name, uint64_t bytes, bool want_direct,
                const struct sink_backend *backend)
{
    return create(sink, dir_fd, name, bytes, want_direct, backend, false);
}

int sink_create_sparse(struct sink *sink, int dir_fd, const char *name, uint64_t bytes,
                       bool want_direct, const struct sink_backend *backend)
{
    return create(sink, dir_fd, name, bytes, want_direct, backend, true);
}

int sink_reserve(struct sink *sink, uint64_t off, uint64_t bytes)
{
    if (fallocate(sink->fd, 0, (off_t)off, (off_t)bytes) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -errno;
}

#define LOCK_TRIES 5 /* who only asks whether it is locked holds it for an instant */

static int lock_patiently(int fd)
{
    for (int tries = 1; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
            return -errno;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return 0;
}

int sink_open(struct sink *sink, int dir_fd, const char *name, bool want_write,
              const struct sink_backend *backend)
{
    int flags = (want_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    struct stat opened, named;
    int r = 0;

    *sink = (struct sink){.backend = backend, .fd = -1, .dir_fd = dir_fd};
    if (sink_make_scratch(sink) < 0)
        return -ENOMEM;
    sink->fd = openat(dir_fd, name, flags);
    if (sink->fd < 0 || fstat(sink->fd, &opened) != 0)
        r = -errno;
    else if (!S_ISREG(opened.st_mode))
        r = -EINVAL;
    if (r == 0)
        r = lock_patiently(sink->fd);
    if (r == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        r = -errno;
    if (r == 0 && (named.st_ino != opened.st_ino || named.st_dev != opened.st_dev))
        r = -ESTALE;
    if (r == 0 && fstat(sink->fd, &opened) != 0) /* its length, now that nobody changes it */
        r = -errno;
    if (r == 0)
        sink->length = (uint64_t)opened.st_size;
    else
        sink_close(sink);
    return r;
}

int sink_link(int fd, int dir_fd, const char *name)
{
    char self[64];

    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    /* The second way needs a capability, the first a /proc. */
    if (linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ||
        (errno == ENOENT && linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0))
        return 0;
    return -errno;
}

int sink_publish(struct sink *sink, const char *name)
{
    int r;

    if (!sink->unnamed)
        return sink_rename(sink, sink->temp_name, name);
    r = sink_link(sink->fd, sink->dir_fd, name);
    if (r == 0)
        sink->unnamed = false;
    return r;
}

int sink_rename(struct sink *sink, const char *from, const char *to)
{
    if (renameat2(sink->dir_fd, from, sink->dir_fd, to, RENAME_NOREPLACE) != 0) {
        if (errno != EINVAL && errno != ENOSYS)
            return -errno;
        /* A file system without RENAME_NOREPLACE: link refuses to replace, too. */
        if (linkat(sink->dir_fd, from, sink->dir_fd, to, 0) != 0)
            return -errno;
        if (unlinkat(sink->dir_fd, from, 0) != 0)
            return -errno;
    }
    sink->temp_name[0] = '\0';
    return 0;
}

int sink_sync_dir(struct sink *sink)
{
    return fsync(sink->dir_fd) == 0 || errno == EINVAL ? 0 : -errno;
}

int sink_sync(struct sink *sink)
{
    return sink->backend->datasync(sink->backend->ctx, sink->fd) == 0 ? 0 : -errno;
}

int sink_truncate(struct sink *sink, uint64_t bytes)
{
    if (sink->backend->truncate(sink->backend->ctx, sink->fd, (off_t)bytes) != 0)
        return -errno;
    sink->length = bytes;
    return 0;
}

void sink_close(struct sink *sink)
{
    if (sink->fd >= 0) {
        if (sink->temp_name[0] != '\0')
            unlinkat(sink->dir_fd, sink->temp_name, 0);
        close(sink->fd);
    }
    sink->fd = -1;
    free(sink->scratch);
    sink->scratch = NULL;
}
