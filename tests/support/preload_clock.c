/*
 * preload_clock.c - a wall clock that jumps, for LD_PRELOAD: CLOCK_REALTIME and time() are shifted
 * by the nanoseconds that stand in the file CLOCK_CONTROL, which the test changes while the program
 * runs. The monotonic clocks are left alone. Any thread.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default) /* the build hides everything else */

#define NS_PER_S 1000000000ll

static const _Atomic int64_t *shift_ns;
static int (*real_gettime)(clockid_t, struct timespec *);

/* Constructors of other libraries may ask for the time before ours has run. */
static void find_real(void)
{
    void *found = dlsym(RTLD_NEXT, "clock_gettime");

    if (!found)
        abort();
    real_gettime = (__typeof__(real_gettime))found;
}

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("CLOCK_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd >= 0 ? mmap(NULL, sizeof *shift_ns, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    find_real();
    if (fd >= 0)
        close(fd);
    if (page != MAP_FAILED)
        shift_ns = page;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r;

    if (!real_gettime) /* one thread yet */
        find_real();
    r = real_gettime(clock, ret);

    if (r == 0 && clock == CLOCK_REALTIME && shift_ns) {
        int64_t ns = (int64_t)ret->tv_sec * NS_PER_S + ret->tv_nsec + *shift_ns;

        ret->tv_sec = ns / NS_PER_S;
        ret->tv_nsec = ns % NS_PER_S;
    }
    return r;
}

time_t time(time_t *ret)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
