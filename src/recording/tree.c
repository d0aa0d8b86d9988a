/* tree.c - see tree.h. */
#include "recording/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "recording/find.h"

static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

int tree_stream_name(char *dst, const char *segment_path)
{
    const char *base = find_base_of(segment_path);
    size_t length = strcspn(base, ".");
    const char *front = length == 0 || base[0] == '-' ? "shm_" : "";

    if (strlen(front) + length > FITS_STREAM_NAME_MAX)
        return -ENAMETOOLONG;
    dst += strlen(strcpy(dst, front));
    for (size_t i = 0; i < length; i++)
        *dst++ = strchr(name_chars, base[i]) ? base[i] : '_';
    *dst = '\0';
    return 0;
}

bool tree_is_stream_name(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= FITS_STREAM_NAME_MAX && strspn(name, name_chars) == length;
}

void tree_file_name(char *dst, const char *stream, uint64_t seq, int part)
{
    snprintf(dst, TREE_FILE_BYTES, "%.*s_%06llu.fits%s", FITS_STREAM_NAME_MAX, stream,
             (unsigned long long)(seq % 1000000000000ull), part ? ".part" : "");
}

uint64_t tree_file_seq(const char *name, const char *stream)
{
    size_t lead = strlen(stream);
    char own[TREE_FILE_BYTES];
    uint64_t seq;

    if (lead > FITS_STREAM_NAME_MAX || strncmp(name, stream, lead) != 0 || name[lead] != '_')
        return 0;
    seq = strtoull(name + lead + 1, NULL, 10);
    tree_file_name(own, stream, seq, 0);
    return strcmp(own, name) == 0 ? seq : 0;
}

/* mkdir -p. */
static int make_folders(const char *path)
{
    char partial[4096];
    size_t length = strlen(path);

    if (length == 0)
        return -ENOENT;
    if (length >= sizeof partial)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static void wait_for_next_second(const char *session,
                                 void (*waiting)(const char *taken, int64_t ns))
{
    struct timespec now, rest = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    rest.tv_nsec = 1000000000L - now.tv_nsec;
    if (rest.tv_nsec == 1000000000L)
        rest.tv_nsec = 999999999L;
    if (waiting)
        waiting(session, rest.tv_nsec);
    nanosleep(&rest, NULL);
}

int tree_create_session(const char *root, char session[TREE_SESSION_BYTES],
                        void (*waiting)(const char *taken, int64_t ns), struct dao_text *text)
{
    int r = make_folders(root), root_fd, fd;

    root_fd = r < 0 ? -1 : open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        r = r < 0 ? r : -errno;
        snprintf(text->s, sizeof text->s,
                 "%.200s: cannot make the output folder: %s; choose another with --output", root,
                 strerror(-r));
        return r;
    }
    for (;;) {
        struct tm utc;
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now); /* time() may be some ms behind: the second before */
        gmtime_r(&now.tv_sec, &utc);
        strftime(session, TREE_SESSION_BYTES, "%Y-%m-%d_%H-%M-%S", &utc);
        if (mkdirat(root_fd, session, 0777) == 0)
            break;
        if (errno != EEXIST) {
            r = -errno;
            snprintf(text->s, sizeof text->s,
                     "%.200s: cannot make a session folder: %s; choose another with --output", root,
                     strerror(-r));
            close(root_fd);
            return r;
        }
        wait_for_next_second(session, waiting);
    }
    fd = openat(root_fd, session, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    r = fd < 0 ? -errno : fd;
    if (fd < 0) {
        snprintf(text->s, sizeof text->s, "%.200s/%s: %s", root, session, strerror(-r));
        unlinkat(root_fd, session, AT_REMOVEDIR);
    } else {
        flock(fd, LOCK_SH); /* who looks whether a session lives holds the other kind, shortly */
    }
    fsync(root_fd);
    close(root_fd);
    return r;
}

int64_t tree_session_start(const char *name)
{
    char utc[TREE_SESSION_BYTES];
    int64_t ns = 0;

    if (strlen(name) != TREE_SESSION_BYTES - 1 || name[10] != '_' || name[13] != '-' ||
        name[16] != '-')
        return 0;
    memcpy(utc, name, sizeof utc);
    utc[10] = 'T';
    utc[13] = utc[16] = ':';
    return units_parse_utc(utc, &ns) == 0 ? ns : 0;
}

bool tree_session_is_alive(int session_fd)
{
    if (flock(session_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK;
    flock(session_fd, LOCK_UN);
    return false;
}

/* ".<stream>_000001.fits.new", unlocked: its recorder died before it had a name. */
static void remove_leftover(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(dir_fd, name, 0);
    close(fd);
}

/* What a ledger was written into, see rewrite.h. */
static void remove_ledgers(int session_fd)
{
    if (tree_session_is_alive(session_fd))
        return;
    unlinkat(session_fd, ".session.json.new", 0);
    unlinkat(session_fd, ".session.json.spare", 0);
}

/* As deep as a session's files lie. A link that somebody has put there leads out of the root: none
 * is followed. Takes dir_fd. */
static void remove_leftovers_in(int dir_fd, unsigned levels_left, bool is_session)
{
    DIR *dir = fdopendir(dir_fd);
    struct dirent *entry;

    if (!dir) {
        close(dir_fd);
        return;
    }
    if (is_session)
        remove_ledgers(dir_fd);
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        int fd;

        if (levels_left == 0) {
            if (fnmatch(".*_[0-9]*.fits.new", name, 0) == 0)
                remove_leftover(dirfd(dir), name);
        } else if (name[0] != '.') {
            fd = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (fd >= 0)
                remove_leftovers_in(fd, levels_left - 1,
                                    levels_left == 2 && tree_session_start(name) != 0);
        }
    }
    closedir(dir);
}

void tree_remove_leftovers(const char *root)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        remove_leftovers_in(fd, 2, false);
}

bool tree_is_gone(int dir_fd)
{
    struct stat st;

    return fstat(dir_fd, &st) != 0 ? errno == ESTALE : st.st_nlink == 0;
}

int tree_create_stream(int session_fd, const char *stream, struct dao_text *text)
{
    bool made = mkdirat(session_fd, stream, 0777) == 0;
    int fd =
        made ? openat(session_fd, stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;

    if (fd < 0) {
        int r = -errno;

        if (made)
            unlinkat(session_fd, stream, AT_REMOVEDIR);
        snprintf(text->s, sizeof text->s, "cannot make the folder of stream %s: %s", stream,
                 strerror(-r));
        return r;
    }
    fsync(session_fd);
    return fd;
}

int tree_replace_file(int dir_fd, const char *name, const char *content, size_t bytes)
{
    char temp[64];
    int fd, r = 0;

    snprintf(temp, sizeof temp, ".%.50s.new", name);
    /* Whatever is there under this name, a link to elsewhere perhaps, is not written into. */
    unlinkat(dir_fd, temp, 0);
    fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return -errno;
    while (bytes > 0 && r == 0) {
        ssize_t n = write(fd, content, bytes);

        if (n < 0 && errno != EINTR)
            r = -errno;
        if (n > 0) {
            content += n;
            bytes -= (size_t)n;
        }
    }
    if (r == 0 && fsync(fd) != 0)
        r = -errno;
    close(fd);
    if (r == 0 && renameat(dir_fd, temp, dir_fd, name) != 0)
        r = -errno;
    if (r == 0 && fsync(dir_fd) != 0 && errno != EINVAL)
        r = -errno;
    if (r < 0)
        unlinkat(dir_fd, temp, 0);
    snprintf(temp, sizeof temp, ".%.50s.spare", name);
    if (r == 0) /* of a recorder that died: see rewrite.h */
        unlinkat(dir_fd, temp, 0);
    return r;
}
