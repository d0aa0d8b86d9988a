/*
 * preload_disk.c - a disk that fails, for LD_PRELOAD: calls on files below one folder fail, write
 * short or stall as a control page says, which the test changes while the program runs.
 *
 * FAULT_FOLDER is (part of) the path of the folder, FAULT_CONTROL a file that holds a struct
 * fault_control (eight bytes a member, see harness.Faults). Only calls of libc are seen: io_uring
 * goes by. Any thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default) /* the build hides everything else */

enum fault_op {
    FAULT_PWRITE = 1,
    FAULT_SYNC = 2,     /* fdatasync, fsync */
    FAULT_ALLOCATE = 4, /* fallocate */
    FAULT_NAME = 8,     /* linkat, renameat, renameat2 */
    FAULT_CREATE = 16,  /* openat with O_CREAT or O_TMPFILE */
    FAULT_TRUNCATE = 32,
    FAULT_PREAD = 64,
    FAULT_WRITE = 128,
    FAULT_NAMELESS = 256, /* openat with O_TMPFILE */
    FAULT_FOLDER = 512,   /* mkdirat */
    FAULT_CLOSE = 1024,   /* it is closed all the same */
};

struct fault_control {
    _Atomic int64_t calls;            /* seen so far, of the ops asked for and within the offsets */
    _Atomic int64_t hits;             /* of them, interfered with */
    _Atomic int64_t ops;              /* mask of enum fault_op */
    _Atomic int64_t first;            /* 1: the first call; 0: none */
    _Atomic int64_t count;            /* how many from there on; -1: all */
    _Atomic int64_t error;            /* errno to fail with; 0: do it */
    _Atomic int64_t short_to;         /* bytes at most in a write; 0: any */
    _Atomic int64_t stall_ms;         /* sleep before it is done */
    _Atomic int64_t off_min, off_max; /* of pread and pwrite; off_max 0: any */
    _Atomic int64_t bytes_min;        /* of fallocate: it asks for so many at least */
};

static struct fault_control *control;
static const char *folder;

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("FAULT_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    folder = getenv("FAULT_FOLDER");
    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (folder && page != MAP_FAILED)
        control = page;
}

static bool lies_below(int fd)
{
    char self[64], path[4096];
    ssize_t n;

    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    n = readlink(self, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    return strstr(path, folder) != NULL;
}

/* Is this call one to interfere with? Stalls; else errno is set where it is to fail (and -1 comes
 * back), or 0 and *bytes is cut. */
static int interfere(enum fault_op op, int fd, off_t off, size_t *bytes)
{
    int kept = errno;
    int64_t call, first, error, stall_ms, short_to;

    if (!control || !(control->ops & op) || !lies_below(fd))
        goto go_on;
    if (control->off_max && off >= 0 && (off < control->off_min || off >= control->off_max))
        goto go_on;
    call = atomic_fetch_add(&control->calls, 1) + 1;
    first = control->first;
    if (!first || call < first || (control->count >= 0 && call >= first + control->count))
        goto go_on;
    atomic_fetch_add(&control->hits, 1);
    stall_ms = control->stall_ms;
    error = control->error;
    short_to = control->short_to;
    if (stall_ms) {
        struct timespec rest = {stall_ms / 1000, stall_ms % 1000 * 1000000};

        nanosleep(&rest, NULL);
    }
    if (error) {
        errno = (int)error;
        return -1;
    }
    if (bytes && short_to && (int64_t)*bytes > short_to)
        *bytes = (size_t)short_to;
go_on:
    errno = kept;
    return 0;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* A write that is cut is done in whole pages, so that it may be a direct one, and told as cut. */
static ssize_t write_at(ssize_t (*real_pwrite)(int, const void *, size_t, off_t), int fd,
                        const void *buf, size_t bytes, off_t off)
{
    size_t told = bytes, whole;
    ssize_t n;

    if (interfere(FAULT_PWRITE, fd, off, &told))
        return -1;
    whole = (told + 4095) / 4096 * 4096;
    n = real_pwrite(fd, buf, whole < bytes ? whole : bytes, off);
    return n > (ssize_t)told ? (ssize_t)told : n;
}

ssize_t pwrite(int fd, const void *buf, size_t bytes, off_t off)
{
    return write_at(REAL(pwrite), fd, buf, bytes, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t bytes, off64_t off)
{
    return write_at(REAL(pwrite64), fd, buf, bytes, off);
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t off)
{
    return interfere(FAULT_PREAD, fd, off, NULL) ? -1 : REAL(pread)(fd, buf, bytes, off);
}

ssize_t pread64(int fd, void *buf, size_t bytes, off64_t off)
{
    return interfere(FAULT_PREAD, fd, off, NULL) ? -1 : REAL(pread64)(fd, buf, bytes, off);
}

ssize_t write(int fd, const void *buf, size_t bytes)
{
    return interfere(FAULT_WRITE, fd, -1, &bytes) ? -1 : REAL(write)(fd, buf, bytes);
}

int fdatasync(int fd)
{
    return interfere(FAULT_SYNC, fd, -1, NULL) ? -1 : REAL(fdatasync)(fd);
}

int fsync(int fd)
{
    return interfere(FAULT_SYNC, fd, -1, NULL) ? -1 : REAL(fsync)(fd);
}

int close(int fd)
{
    int error = interfere(FAULT_CLOSE, fd, -1, NULL) ? errno : 0, r = REAL(close)(fd);

    if (!error)
        return r;
    errno = error;
    return -1;
}

int fallocate(int fd, int mode, off_t off, off_t bytes)
{
    if (control && bytes >= control->bytes_min && interfere(FAULT_ALLOCATE, fd, -1, NULL))
        return -1;
    return REAL(fallocate)(fd, mode, off, bytes);
}

int ftruncate(int fd, off_t bytes)
{
    return interfere(FAULT_TRUNCATE, fd, -1, NULL) ? -1 : REAL(ftruncate)(fd, bytes);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    return interfere(FAULT_FOLDER, fd, -1, NULL) ? -1 : REAL(mkdirat)(fd, path, mode);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return interfere(FAULT_NAME, to_fd, -1, NULL) ? -1
                                                  : REAL(linkat)(from_fd, from, to_fd, to, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return interfere(FAULT_NAME, to_fd, -1, NULL) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return interfere(FAULT_NAME, to_fd, -1, NULL)
               ? -1
               : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

int openat(int fd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    bool nameless = (flags & O_TMPFILE) == O_TMPFILE;

    if (nameless || (flags & O_CREAT)) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        if (interfere(FAULT_CREATE, fd, -1, NULL) ||
            (nameless && interfere(FAULT_NAMELESS, fd, -1, NULL)))
            return -1;
    }
    return REAL(openat)(fd, path, flags, mode);
}
