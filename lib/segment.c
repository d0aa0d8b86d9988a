/*
 * segment.c - opening, mapping, checking and closing a segment. Creating one is create.c.
 *
 * One thread opens and closes a segment; the checks may be called from any thread meanwhile.
 */
#include "lib/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/guard.h"
#include "lib/segment_parts.h"

/* ---- mapping ---- */

void dao_segment_clear(struct dao_segment *seg)
{
    memset(seg, 0, sizeof *seg);
    seg->fd = -1;
    seg->guard_index = -1;
}

int dao_segment_set_path(struct dao_segment *seg, const char *path, struct dao_text *text)
{
    size_t length = path ? strlen(path) : 0;

    if (length == 0) {
        dao_text_set(text, "the segment's name is empty");
        return -EINVAL;
    }
    if (length >= sizeof seg->path) {
        dao_text_set(text, "the segment's name has %zu characters, at most %zu are allowed", length,
                     sizeof seg->path - 1);
        return -ENAMETOOLONG;
    }
    memcpy(seg->path, path, length + 1);
    return 0;
}

int dao_segment_map(struct dao_segment *seg, struct dao_text *text)
{
    int prot = seg->access == DAO_ACCESS_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    /* Not MAP_NORESERVE: what the machine has not got is refused here, instead of by its end. */
    int flags = seg->is_private ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *map = mmap(NULL, seg->geo.file_bytes, prot, flags, seg->fd, 0);

    if (map == MAP_FAILED) {
        int error = errno;

        dao_text_set(text, "%s: cannot map %" PRIu64 " bytes: %s", seg->path, seg->geo.file_bytes,
                     strerror(error));
        return -error;
    }
    seg->map = map;
    if (!seg->is_private)
        seg->guard_index = dao_guard_enter(map, seg->geo.file_bytes, prot);
    seg->guard_fired = dao_guard_flag(seg->guard_index);
    return 0;
}

void dao_segment_close(struct dao_segment *seg)
{
    if (seg->map) { /* a zeroed segment has no map, and its fd 0 and index 0 are not its own */
        dao_guard_leave(seg->guard_index);
        munmap(seg->map, seg->geo.file_bytes);
        if (seg->fd >= 0)
            close(seg->fd);
    }
    dao_segment_clear(seg);
}

/* ---- opening ---- */

int dao_segment_refused(const char *path, int error, struct dao_text *text)
{
    char buffer[1024];
    struct passwd entry, *owner = NULL;
    struct stat st;

    if ((error == EACCES || error == EPERM) && stat(path, &st) == 0) {
        getpwuid_r(st.st_uid, &entry, buffer, sizeof buffer, &owner);
        dao_text_set(text, "%s: %s: it belongs to %s (uid %u), mode %04o", path, strerror(error),
                     owner ? owner->pw_name : "an unknown user", (unsigned)st.st_uid,
                     (unsigned)st.st_mode & 07777);
    } else {
        dao_text_set(text, "%s: %s", path, strerror(error));
    }
    return -error;
}

int dao_segment_open_file(const char *path, enum dao_access access, struct stat *ret_st,
                          struct dao_text *text)
{
    int flags = access == DAO_ACCESS_WRITE ? O_RDWR : O_RDONLY;
    /* O_NONBLOCK: a named pipe is refused, not waited for. */
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error = 0;

    if (fd < 0)
        return dao_segment_refused(path, errno, text);
    if (fstat(fd, ret_st) < 0) {
        error = dao_segment_refused(path, errno, text);
    } else if (S_ISDIR(ret_st->st_mode)) {
        error = dao_segment_refused(path, EISDIR, text);
    } else if (!S_ISREG(ret_st->st_mode)) {
        dao_text_set(text, "%s: not a DAO segment: not a regular file", path);
        error = -EMEDIUMTYPE;
    }
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

int dao_segment_identify_fd(struct dao_geometry *ret, int fd, uint64_t file_bytes,
                            bool *ret_ambiguous, struct dao_text *text)
{
    unsigned char head[DAO_LAYOUT_PROBE_BYTES];
    size_t count = 0;

    while (count < sizeof head) {
        ssize_t n = pread(fd, head + count, sizeof head - count, (off_t)count);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            dao_text_set(text, "cannot be read: %s", strerror(errno));
            return -errno;
        }
        if (n == 0)
            break;
        count += (size_t)n;
    }
    return dao_layout_identify(ret, head, count, file_bytes, ret_ambiguous, text);
}

/* Put the path before a text that does not name it yet. */
static int with_path(int error, const char *path, const struct dao_text *from,
                     struct dao_text *text)
{
    dao_text_set(text, "%s: %s", path, from->s);
    return error;
}

int dao_segment_open(struct dao_segment *seg, const char *path, enum dao_access access,
                     struct dao_text *text)
{
    struct dao_text detail = {""};
    struct stat st;
    int error;

    dao_segment_clear(seg);
    error = dao_segment_set_path(seg, path, text);
    if (error < 0)
        return error;
    seg->access = access;
    seg->fd = dao_segment_open_file(path, access, &st, text);
    if (seg->fd < 0) {
        error = seg->fd;
        goto fail;
    }
    error =
        dao_segment_identify_fd(&seg->geo, seg->fd, (uint64_t)st.st_size, &seg->ambiguous, &detail);
    if (error < 0) {
        with_path(error, path, &detail, text);
        goto fail;
    }
    seg->dev = st.st_dev;
    seg->ino = st.st_ino;
    error = dao_segment_map(seg, text);
    if (error < 0)
        goto fail;
    if (dao_segment_check(seg) < 0) { /* truncated between the look and the mapping */
        dao_text_set(text, "%s: the file changes its size: still being created", path);
        error = -ENODATA;
        goto fail;
    }
    return 0;
fail:
    if (!seg->map && seg->fd >= 0)
        close(seg->fd);
    dao_segment_close(seg);
    return error;
}

/* ---- checks ---- */

int dao_segment_check(const struct dao_segment *seg)
{
    struct stat st;

    if (seg->is_private)
        return 0;
    if (dao_segment_is_gone(seg))
        return -ESTALE;
    return fstat(seg->fd, &st) == 0 && (uint64_t)st.st_size == seg->geo.file_bytes ? 0 : -ESTALE;
}

int dao_segment_check_path(const struct dao_segment *seg)
{
    struct stat st;

    if (seg->is_private)
        return 0;
    return stat(seg->path, &st) == 0 && st.st_dev == seg->dev && st.st_ino == seg->ino ? 0
                                                                                       : -ESTALE;
}

bool dao_segment_is_on_disk(const struct dao_segment *seg)
{
    struct statfs fs;

    if (seg->is_private || fstatfs(seg->fd, &fs) < 0)
        return false;
    return fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC;
}

void dao_segment_guard(bool enabled)
{
    dao_guard_enable(enabled);
}

int dao_segment_lock_writer(struct dao_segment *seg)
{
    if (seg->is_private)
        return 0;
    return flock(seg->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

void dao_segment_keyword(const struct dao_segment *seg, unsigned index, IMAGE_KEYWORD *ret)
{
    memcpy(ret, seg->map + seg->geo.kw_off + (uint64_t)index * sizeof *ret, sizeof *ret);
}
