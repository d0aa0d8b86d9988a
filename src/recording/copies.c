/* copies.c - see copies.h. */
#include "recording/copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/find.h"

#define TEMPORARY  ".copy.new"
#define TRIES      3
#define BLOCK      (1u << 20)
#define NAME_BYTES (COPIES_NAME_MAX + sizeof COPIES_FOLDER + 1)

/* ---- one file ---- */

static int write_all(int fd, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = write(fd, bytes, count);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
        }
    }
    return 0;
}

/* All of it into the sum, and to `to` unless that is -1. */
static int read_through(int from, int to, uint64_t *ret_bytes, char sha256[SHA256_TEXT_BYTES])
{
    unsigned char *block = malloc(BLOCK);
    struct sha256 sum;
    ssize_t n = 1;
    int r = block ? 0 : -ENOMEM;

    *ret_bytes = 0;
    sha256_begin(&sum);
    while (r == 0 && n != 0) {
        n = read(from, block, BLOCK);
        if (n < 0 && errno != EINTR)
            r = -errno;
        if (n > 0) {
            sha256_add(&sum, block, (size_t)n);
            *ret_bytes += (uint64_t)n;
            r = to < 0 ? 0 : write_all(to, block, (size_t)n);
        }
    }
    sha256_end(&sum, sha256);
    free(block);
    return r;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ino == b->st_ino;
}

/* Once; -EAGAIN: it has changed meanwhile. */
static int copy_once(int from, int dir_fd, struct ledger_copy *copy)
{
    int to = openat(dir_fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    struct stat before, after;
    int r = to < 0 || fstat(from, &before) != 0 || lseek(from, 0, SEEK_SET) != 0 ? -errno : 0;

    if (r == 0)
        r = read_through(from, to, &copy->bytes, copy->sha256);
    if (r == 0 && fstat(from, &after) != 0)
        r = -errno;
    if (r == 0 && (!is_unchanged(&before, &after) || copy->bytes != (uint64_t)after.st_size))
        r = -EAGAIN;
    if (r == 0 && fsync(to) != 0)
        r = -errno;
    if (to >= 0)
        close(to);
    if (r == 0 &&
        renameat2(dir_fd, TEMPORARY, dir_fd, find_base_of(copy->name), RENAME_NOREPLACE) != 0)
        r = errno == EINVAL ? -ENOTSUP : -errno; /* a file system without that flag */
    if (r == -ENOTSUP)
        r = linkat(dir_fd, TEMPORARY, dir_fd, find_base_of(copy->name), 0) == 0 ? 0 : -errno;
    unlinkat(dir_fd, TEMPORARY, 0);
    return r;
}

/* A descriptor, or negative errno. */
static int open_source(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -EMEDIUMTYPE;
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

static void say_why(struct dao_text *text, const char *source, int error)
{
    snprintf(text->s, sizeof text->s, "%.300s: cannot be copied into the session: %s", source,
             error == -EMEDIUMTYPE ? "it is no regular file"
             : error == -EAGAIN    ? "it changes while it is copied"
                                   : strerror(-error));
}

static int copy_file(int dir_fd, struct ledger_copy *copy, struct dao_text *text)
{
    int from = open_source(copy->source), r = from < 0 ? from : 0;

    for (int i = 0; i < TRIES && (i == 0 || r == -EAGAIN) && (r == 0 || r == -EAGAIN); i++)
        r = copy_once(from, dir_fd, copy);
    if (r < 0)
        say_why(text, copy->source, r);
    if (from >= 0)
        close(from);
    return r;
}

/* ---- all of them ---- */

int copies_look(char *const *paths, size_t count, struct dao_text *text)
{
    for (size_t i = 0; i < count; i++) {
        int fd = open_source(paths[i]);

        if (fd < 0) {
            say_why(text, paths[i], fd);
            return fd;
        }
        close(fd);
    }
    return 0;
}

static int make_folder(int session_fd)
{
    if (mkdirat(session_fd, COPIES_FOLDER, 0777) != 0)
        return -errno;
    return openat(session_fd, COPIES_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int copies_make(struct copies *ret, int session_fd, char *const *paths, size_t count,
                struct dao_text *text)
{
    int r = 0, dir_fd;

    *ret = (struct copies){0};
    if (count == 0)
        return 0;
    ret->list = calloc(count, sizeof *ret->list);
    ret->names = calloc(count, NAME_BYTES);
    dir_fd = ret->list && ret->names ? make_folder(session_fd) : -ENOMEM;
    if (dir_fd < 0) {
        r = dir_fd == -1 ? -errno : dir_fd;
        snprintf(text->s, sizeof text->s, "cannot make the folder " COPIES_FOLDER ": %s",
                 strerror(-r));
    }
    while (r == 0 && ret->count < count) {
        struct ledger_copy *copy = &ret->list[ret->count];
        char *name = ret->names + ret->count * NAME_BYTES;

        snprintf(name, NAME_BYTES, COPIES_FOLDER "/%s", find_base_of(paths[ret->count]));
        *copy = (struct ledger_copy){.name = name, .source = paths[ret->count]};
        r = copy_file(dir_fd, copy, text);
        ret->count += r == 0;
    }
    if (r == 0 && (fsync(dir_fd) != 0 || fsync(session_fd) != 0) && errno != EINVAL)
        r = -errno;
    if (dir_fd >= 0)
        close(dir_fd);
    if (r < 0) {
        copies_remove(session_fd);
        copies_free(ret);
    }
    return r;
}

void copies_free(struct copies *copies)
{
    free(copies->list);
    free(copies->names);
    *copies = (struct copies){0};
}

void copies_remove(int session_fd)
{
    int fd = openat(session_fd, COPIES_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)))
        unlinkat(fd, entry->d_name, 0); /* what is a folder stays, and with it all of them */
    closedir(dir);
    unlinkat(session_fd, COPIES_FOLDER, AT_REMOVEDIR);
}

int copies_check(int session_fd, const struct ledger_copy *copy, struct dao_text *text)
{
    int fd = openat(session_fd, copy->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char sha256[SHA256_TEXT_BYTES];
    uint64_t bytes;
    struct stat st;
    int r = fd < 0 || fstat(fd, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EMEDIUMTYPE;

    if (r == 0)
        r = read_through(fd, -1, &bytes, sha256);
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s",
                 r == -ENOENT        ? "is missing; the ledger has it as a copy"
                 : r == -EMEDIUMTYPE ? "is no regular file; the ledger has it as a copy"
                                     : strerror(-r));
    else if (bytes != copy->bytes)
        snprintf(text->s, sizeof text->s, "has %llu bytes; by the ledger %llu were copied",
                 (unsigned long long)bytes, (unsigned long long)copy->bytes);
    else if (strcmp(sha256, copy->sha256) != 0)
        snprintf(text->s, sizeof text->s, "is not what was copied: its SHA-256 is another one");
    if (fd >= 0)
        close(fd);
    return r < 0 ? r : bytes == copy->bytes && strcmp(sha256, copy->sha256) == 0 ? 0 : -EUCLEAN;
}
