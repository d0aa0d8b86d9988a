/* out.c - see out.h. */
#include "extract/out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "recording/find.h"

#define BUFFER_BYTES (1u << 20)

void extract_out_explain(const struct extract_out *out, int error, struct dao_text *text)
{
    snprintf(text->s, sizeof text->s, "%.250s: %s%s", out->path, strerror(-error),
             error == -ENOSPC || error == -EDQUOT ? "; make room or choose another place with -o"
             : error == -EFBIG                    ? "; the limit on file sizes (ulimit -f) is lower"
                                                  : "");
}

static int fail(struct extract_out *out, int error, struct dao_text *text)
{
    extract_out_explain(out, error, text);
    extract_out_drop(out, false);
    return error;
}

/* ---- begin ---- */

static int check_name(const struct extract_out *out, bool force, struct dao_text *text)
{
    struct stat st;

    if (find_base_of(out->path)[0] == '\0') {
        snprintf(text->s, sizeof text->s, "%.250s: names a folder; give a file's name", out->path);
        return -EISDIR;
    }
    if (fstatat(out->dir_fd, find_base_of(out->path), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (S_ISDIR(st.st_mode)) {
        snprintf(text->s, sizeof text->s, "%.250s is a folder; give a file's name", out->path);
        return -EISDIR;
    }
    if (force && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        snprintf(text->s, sizeof text->s, "%.250s is no file that could be replaced", out->path);
        return -EINVAL;
    }
    if (force)
        return 0;
    snprintf(text->s, sizeof text->s, "%.250s is there already; --force replaces it", out->path);
    return -EEXIST;
}

static int open_file(struct extract_out *out)
{
    int flags = O_RDWR | O_CLOEXEC;

    out->fd = openat(out->dir_fd, ".", flags | O_TMPFILE, 0666);
    if (out->fd >= 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
        return -errno;
    snprintf(out->temp, sizeof out->temp, ".%.200s.%d.new", find_base_of(out->path), (int)getpid());
    out->fd = openat(out->dir_fd, out->temp, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (out->fd >= 0)
        return 0;
    out->temp[0] = '\0'; /* not ours */
    return -errno;
}

int extract_out_create(struct extract_out *out, const char *path, uint64_t bytes, bool force,
                       struct dao_text *text)
{
    char folder[4096], size[32];
    int r;

    *out = (struct extract_out){.dir_fd = -1, .fd = -1};
    if (strlen(path) >= sizeof out->path)
        return fail(out, -ENAMETOOLONG, text);
    snprintf(out->path, sizeof out->path, "%s", path);
    find_folder_of(path, folder, sizeof folder);
    out->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->dir_fd < 0)
        return fail(out, -errno, text);
    r = check_name(out, force, text);
    if (r < 0) {
        extract_out_drop(out, false);
        return r;
    }
    out->buffer = malloc(BUFFER_BYTES);
    r = out->buffer ? open_file(out) : -ENOMEM;
    if (r < 0)
        return fail(out, r, text);
    if (bytes > INT64_MAX)
        return fail(out, -EFBIG, text);
    /* Not everywhere possible: then it is found out later. */
    if (bytes > 0 && fallocate(out->fd, 0, 0, (off_t)bytes) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        r = fail(out, -errno, text);
        if (r != -EFBIG)
            snprintf(text->s, sizeof text->s,
                     "%.250s: there is no room for %s; choose another place with -o", path,
                     units_format_bytes(size, sizeof size, bytes));
    }
    return r;
}

/* ---- bytes ---- */

int extract_out_write_at(struct extract_out *out, uint64_t off, const void *bytes, size_t count)
{
    const unsigned char *from = bytes;

    while (count > 0) {
        ssize_t n = pwrite(out->fd, from, count, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        off += (uint64_t)n;
        count -= (size_t)n;
    }
    return 0;
}

int extract_out_flush(struct extract_out *out)
{
    int r = extract_out_write_at(out, out->off, out->buffer, out->filled);

    out->off += out->filled;
    out->filled = 0;
    return r;
}

int extract_out_put(struct extract_out *out, const void *bytes, size_t count)
{
    const unsigned char *from = bytes;
    int r = 0;

    while (count > 0 && r == 0) {
        size_t part = BUFFER_BYTES - out->filled;

        part = count < part ? count : part;
        if (from)
            memcpy(out->buffer + out->filled, from, part);
        else
            memset(out->buffer + out->filled, 0, part);
        out->filled += part;
        from = from ? from + part : NULL;
        count -= part;
        if (out->filled == BUFFER_BYTES)
            r = extract_out_flush(out);
    }
    return r;
}

/* ---- the end ---- */

/* A hidden name for a file that has none, in order to be renamed over another. */
static int name_hidden(struct extract_out *out, const char *self)
{
    for (unsigned n = 0; n < 1000; n++) {
        snprintf(out->temp, sizeof out->temp, ".%.200s.%d.%u.new", find_base_of(out->path),
                 (int)getpid(), n);
        if (linkat(AT_FDCWD, self, out->dir_fd, out->temp, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    out->temp[0] = '\0';
    return -errno;
}

/* In the place of what has the name now, which is kept under the hidden name until the drop. */
static int replace(struct extract_out *out, const char *name)
{
    struct stat st;

    if (fstatat(out->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            return -EISDIR;
        if (renameat2(out->dir_fd, out->temp, out->dir_fd, name, RENAME_EXCHANGE) == 0) {
            out->has_old = true;
            return 0;
        }
        out->is_for_good = true; /* names cannot be exchanged here */
    }
    if (renameat(out->dir_fd, out->temp, out->dir_fd, name) != 0)
        return -errno;
    out->temp[0] = '\0';
    return 0;
}

static int give_name(struct extract_out *out, bool force)
{
    const char *name = find_base_of(out->path);
    char self[64];
    int r = 0;

    snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
    if (out->temp[0] == '\0' && !force)
        return linkat(AT_FDCWD, self, out->dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
    if (out->temp[0] == '\0')
        r = name_hidden(out, self);
    if (r < 0)
        return r;
    if (force)
        return replace(out, name);
    /* A link fails where the name is taken meanwhile; where there are none, look once more. */
    if (linkat(out->dir_fd, out->temp, out->dir_fd, name, 0) == 0)
        return unlinkat(out->dir_fd, out->temp, 0) == 0 ? (out->temp[0] = '\0', 0) : -errno;
    if (errno == EEXIST || faccessat(out->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (renameat(out->dir_fd, out->temp, out->dir_fd, name) != 0)
        return -errno;
    out->temp[0] = '\0';
    return 0;
}

int extract_out_sync(struct extract_out *out, struct dao_text *text)
{
    int r = extract_out_flush(out);

    if (r == 0 && fsync(out->fd) != 0)
        r = -errno;
    if (r < 0)
        extract_out_explain(out, r, text);
    return r;
}

int extract_out_commit(struct extract_out *out, bool force, struct dao_text *text)
{
    int r = give_name(out, force);

    out->is_named = r == 0;
    if (r == 0 && fsync(out->dir_fd) != 0 && errno != EINVAL)
        r = -errno;
    if (r == -EEXIST)
        snprintf(text->s, sizeof text->s, "%.250s was made by somebody else meanwhile", out->path);
    else if (r < 0)
        extract_out_explain(out, r, text);
    return r;
}

/* The name is again what it was. */
static void undo_name(struct extract_out *out)
{
    const char *name = find_base_of(out->path);

    if (!out->has_old && !out->is_for_good)
        unlinkat(out->dir_fd, name, 0);
    if (out->has_old && renameat(out->dir_fd, out->temp, out->dir_fd, name) != 0)
        log_warning("%s: what it was before is now %s beside it: %s", out->path, out->temp,
                    strerror(errno));
    if (out->has_old)
        out->temp[0] = '\0';
}

void extract_out_drop(struct extract_out *out, bool undo)
{
    if (!out->buffer && out->path[0] == '\0')
        return;
    if (out->fd >= 0)
        close(out->fd);
    if (out->dir_fd >= 0 && undo && out->is_named)
        undo_name(out);
    if (out->dir_fd >= 0 && out->temp[0] != '\0')
        unlinkat(out->dir_fd, out->temp, 0);
    if (out->dir_fd >= 0)
        close(out->dir_fd);
    free(out->buffer);
    *out = (struct extract_out){.dir_fd = -1, .fd = -1};
}
