/*
 * preload_kill.c - death at a chosen step, for LD_PRELOAD: the process kills itself with SIGKILL
 * just before (or in the middle of) its n-th call that changes a file system.
 *
 *   KILL_AT=n       the n-th of all these calls, 1 being the first
 *   KILL_AT=name:n  the n-th of one kind: pwrite, write, fdatasync, fsync, ftruncate, fallocate,
 *                   linkat, renameat, renameat2, mkdirat, openat (with O_CREAT), unlinkat
 *   KILL_HALF=1     a pwrite or write is done to the half of its whole pages before
 *   KILL_COUNT=FILE count only: one line a call is appended to FILE, the call's name
 *
 * Only calls of libc are seen: io_uring goes by. Any thread.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#pragma GCC visibility push(default) /* the build hides everything else */

static atomic_long calls;
static long kill_at;
static char kill_name[16]; /* "": any */
static bool kill_half;
static int count_fd = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void load(void)
{
    const char *at = getenv("KILL_AT"), *count = getenv("KILL_COUNT"), *colon;

    real_write = (ssize_t(*)(int, const void *, size_t))(uintptr_t)real("write");
    real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))(uintptr_t)real("pwrite");
    if (count)
        count_fd = open(count, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    colon = at ? strchr(at, ':') : NULL;
    if (colon) {
        snprintf(kill_name, sizeof kill_name, "%.*s", (int)(colon - at), at);
        at = colon + 1;
    }
    kill_at = at ? strtol(at, NULL, 10) : 0;
    kill_half = getenv("KILL_HALF") != NULL;
}

static void die(void)
{
    for (;;)
        kill(getpid(), SIGKILL);
}

/* Count a call; true where it is the one to die at. */
static bool is_last(const char *name)
{
    if (count_fd >= 0) {
        char line[24];
        int length = snprintf(line, sizeof line, "%s\n", name);

        if (real_write(count_fd, line, (size_t)length) < 0)
            abort();
    }
    if (kill_at == 0 || (kill_name[0] && strcmp(kill_name, name) != 0))
        return false;
    return atomic_fetch_add(&calls, 1) + 1 == kill_at;
}

static void step(const char *name)
{
    if (is_last(name))
        die();
}

/* ---- the calls ---- */

ssize_t pwrite(int fd, const void *buf, size_t bytes, off_t off)
{
    if (is_last("pwrite")) {
        size_t half = bytes / 4096 / 2 * 4096;

        if (kill_half && half > 0 && real_pwrite(fd, buf, half, off) < 0)
            abort();
        die();
    }
    return real_pwrite(fd, buf, bytes, off);
}

/* A ledger, or a line to the terminal: only files count. */
ssize_t write(int fd, const void *buf, size_t bytes)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_last("write")) {
        if (kill_half && real_write(fd, buf, bytes / 2) < 0)
            abort();
        die();
    }
    return real_write(fd, buf, bytes);
}

int fdatasync(int fd)
{
    step("fdatasync");
    return ((int (*)(int))(uintptr_t)real("fdatasync"))(fd);
}

int fsync(int fd)
{
    step("fsync");
    return ((int (*)(int))(uintptr_t)real("fsync"))(fd);
}

int ftruncate(int fd, off_t bytes)
{
    step("ftruncate");
    return ((int (*)(int, off_t))(uintptr_t)real("ftruncate"))(fd, bytes);
}

int fallocate(int fd, int mode, off_t off, off_t bytes)
{
    step("fallocate");
    return ((int (*)(int, int, off_t, off_t))(uintptr_t)real("fallocate"))(fd, mode, off, bytes);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    step("linkat");
    return ((int (*)(int, const char *, int, const char *, int))(uintptr_t)real("linkat"))(
        from_dir, from, to_dir, to, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    step("renameat");
    return ((int (*)(int, const char *, int, const char *))(uintptr_t)real("renameat"))(
        from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    step("renameat2");
    return ((int (*)(int, const char *, int, const char *, unsigned))(uintptr_t)real("renameat2"))(
        from_dir, from, to_dir, to, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    step("mkdirat");
    return ((int (*)(int, const char *, mode_t))(uintptr_t)real("mkdirat"))(dir, name, mode);
}

int unlinkat(int dir, const char *name, int flags)
{
    step("unlinkat");
    return ((int (*)(int, const char *, int))(uintptr_t)real("unlinkat"))(dir, name, flags);
}

int openat(int dir, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        step("openat");
    }
    return ((int (*)(int, const char *, int, mode_t))(uintptr_t)real("openat"))(dir, name, flags,
                                                                                mode);
}
