/* rewrite.c - see rewrite.h. */
#include "recording/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sink.h"

#define ROOM_STEP  65536u
#define NAME_BYTES 64

static const struct rewrite_file no_file = {.fd = -1};

void rewrite_init(struct rewrite *rewrite, int dir_fd, const char *name)
{
    *rewrite =
        (struct rewrite){.dir_fd = dir_fd, .name = name, .current = no_file, .spare = no_file};
}

static void close_file(struct rewrite_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    *file = no_file;
}

void rewrite_close(struct rewrite *rewrite)
{
    close_file(&rewrite->current);
    close_file(&rewrite->spare);
}

static void hidden_name(char name[NAME_BYTES], const struct rewrite *rewrite, const char *ending)
{
    snprintf(name, NAME_BYTES, ".%.50s.%s", rewrite->name, ending);
}

/* ---- making files ---- */

/* Blocks for `room` bytes behind the end of an empty file. Where blocks cannot be reserved the
 * file does without. */
static int reserve(struct rewrite_file *file, uint64_t room)
{
    if (room > 0 && fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)room) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    file->room = room;
    return 0;
}

/* Without a name where the file system has that, else under `name`, where nothing is overwritten:
 * what is there under this name is removed. */
static int make_file(const struct rewrite *rewrite, const char *name, uint64_t room,
                     struct rewrite_file *ret, bool *ret_is_named)
{
    int flags = O_WRONLY | O_CLOEXEC, r;

    *ret = no_file;
    *ret_is_named = false;
    ret->fd = openat(rewrite->dir_fd, ".", flags | O_TMPFILE, 0666);
    if (ret->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        unlinkat(rewrite->dir_fd, name, 0);
        ret->fd = openat(rewrite->dir_fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        *ret_is_named = ret->fd >= 0;
    }
    if (ret->fd < 0)
        return -errno;
    sink_write_in_place(ret->fd);
    r = reserve(ret, room);
    if (r < 0) {
        if (*ret_is_named)
            unlinkat(rewrite->dir_fd, name, 0);
        close_file(ret);
    }
    return r;
}

/* All of the content, and over what was longer blanks: cutting it off would give up the room. */
static int fill(struct rewrite_file *file, const char *content, size_t bytes)
{
    char blanks[512];
    uint64_t done = 0, end = file->bytes > bytes ? file->bytes : bytes;

    memset(blanks, '\n', sizeof blanks);
    while (done < end) {
        uint64_t left = done < bytes ? bytes - done : end - done;
        const char *from = done < bytes ? content + done : blanks;
        ssize_t n;

        if (from == blanks && left > sizeof blanks)
            left = sizeof blanks;
        n = pwrite(file->fd, from, left, (off_t)done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (uint64_t)n : 0;
        file->bytes = file->bytes > done ? file->bytes : done;
    }
    return fsync(file->fd) == 0 ? 0 : -errno;
}

/* ---- taking the name ---- */

static int sync_folder(const struct rewrite *rewrite)
{
    return fsync(rewrite->dir_fd) == 0 || errno == EINVAL ? 0 : -errno;
}

static int put_fresh(struct rewrite *rewrite, const char *content, size_t bytes, uint64_t room)
{
    struct rewrite_file fresh;
    char name[NAME_BYTES];
    bool is_named;
    int r;

    hidden_name(name, rewrite, "new");
    r = make_file(rewrite, name, room, &fresh, &is_named);
    if (r < 0)
        return r;
    r = fill(&fresh, content, bytes);
    if (r == 0 && !is_named) {
        unlinkat(rewrite->dir_fd, name, 0);
        r = sink_link(fresh.fd, rewrite->dir_fd, name);
        is_named = r == 0;
    }
    if (r == 0 && renameat(rewrite->dir_fd, name, rewrite->dir_fd, rewrite->name) != 0)
        r = -errno;
    if (r < 0) {
        if (is_named)
            unlinkat(rewrite->dir_fd, name, 0);
        close_file(&fresh);
        return r;
    }
    close_file(&rewrite->current);
    rewrite->current = fresh;
    return sync_folder(rewrite);
}

/* Ours alone, under the name that we know it by? */
static bool is_ours(const struct rewrite *rewrite, const struct rewrite_file *file,
                    const char *name)
{
    struct stat own, named;

    return file->fd >= 0 && fstat(file->fd, &own) == 0 && own.st_nlink == 1 &&
           fstatat(rewrite->dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           own.st_ino == named.st_ino && own.st_dev == named.st_dev;
}

/* Forget a spare that is not ours any more. */
static void check_spare(struct rewrite *rewrite, const char *name)
{
    if (rewrite->spare_is_named && !is_ours(rewrite, &rewrite->spare, name)) {
        close_file(&rewrite->spare);
        rewrite->spare_is_named = false;
    }
}

/* The spare is the file now, and the file the spare. */
static int change_places(struct rewrite *rewrite, const char *spare_name)
{
    struct rewrite_file old = rewrite->current;
    int dir = rewrite->dir_fd;

    if (renameat2(dir, spare_name, dir, rewrite->name, RENAME_EXCHANGE) == 0) {
        rewrite->current = rewrite->spare;
        rewrite->spare = old;
        if (!is_ours(rewrite, &rewrite->spare, spare_name)) { /* not one that we have written */
            unlinkat(dir, spare_name, 0);
            close_file(&rewrite->spare);
            rewrite->spare_is_named = false;
        }
        return 0;
    }
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (renameat(dir, spare_name, dir, rewrite->name) != 0)
        return -errno;
    close_file(&rewrite->current);
    rewrite->current = rewrite->spare;
    rewrite->spare = no_file;
    rewrite->spare_is_named = false;
    return 0;
}

static int put_into_spare(struct rewrite *rewrite, const char *content, size_t bytes)
{
    char name[NAME_BYTES];
    int r;

    hidden_name(name, rewrite, "spare");
    check_spare(rewrite, name);
    if (rewrite->spare.fd < 0)
        return -ENOSPC;
    r = fill(&rewrite->spare, content, bytes);
    if (r == 0 && !rewrite->spare_is_named) {
        unlinkat(rewrite->dir_fd, name, 0);
        r = sink_link(rewrite->spare.fd, rewrite->dir_fd, name);
        rewrite->spare_is_named = r == 0;
    }
    if (r == 0)
        r = change_places(rewrite, name);
    return r == 0 ? sync_folder(rewrite) : r;
}

static void drop_spare(struct rewrite *rewrite)
{
    char name[NAME_BYTES];

    hidden_name(name, rewrite, "spare");
    check_spare(rewrite, name);
    if (rewrite->spare_is_named)
        unlinkat(rewrite->dir_fd, name, 0);
    close_file(&rewrite->spare);
    rewrite->spare_is_named = false;
}

/* While there is room: the next content may have to do with what the spare has then. */
static void keep_spare(struct rewrite *rewrite, uint64_t room)
{
    char name[NAME_BYTES];
    struct rewrite_file larger;
    bool is_named;

    if (rewrite->spare.fd >= 0 && rewrite->spare.room >= room)
        return;
    if (rewrite->spare.fd >= 0 && reserve(&rewrite->spare, room) == 0)
        return;
    hidden_name(name, rewrite, "spare");
    if (rewrite->spare.fd < 0 && make_file(rewrite, name, room, &larger, &is_named) == 0) {
        rewrite->spare = larger;
        rewrite->spare_is_named = is_named;
    }
}

int rewrite_put(struct rewrite *rewrite, const char *content, size_t bytes)
{
    uint64_t room = (2 * (uint64_t)bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    int r = put_fresh(rewrite, content, bytes, room), spare_r;

    if (r == 0) {
        keep_spare(rewrite, room);
        return 0;
    }
    spare_r = put_into_spare(rewrite, content, bytes);
    return spare_r == 0 ? 0 : r;
}

int rewrite_end(struct rewrite *rewrite, const char *content, size_t bytes)
{
    int r = put_fresh(rewrite, content, bytes, 0);

    if (r < 0 && put_into_spare(rewrite, content, bytes) == 0) {
        r = 0;
        if (ftruncate(rewrite->current.fd, (off_t)bytes) == 0)
            rewrite->current.bytes = bytes;
    }
    drop_spare(rewrite);
    return r;
}
